//! Who is there? Both sides of a stream present a node record; nothing else is said before.
//!
//! The connection proves an Ed25519 PeerId. The record binds that PeerId to a DID with the
//! operator's hybrid signature, so a forged or stolen classical key alone gets nobody in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dccp::did::DidDocument;
use dccp::frame::Frame;
use dccp::node::NodeRecord;
use dccp::{Did, UnixMillis};
use libp2p::PeerId;
use tokio_util::sync::CancellationToken;

use crate::end::Fault;
use crate::window::Window;

/// Version of the frames on `/dccp/msg/1`.
pub(crate) const VERSION: u32 = dccp::frame::VERSION;

/// Later Hellos that a stream may bring at once, and one more per [`HELLO_INTERVAL`]: each costs us
/// a hybrid signature verification.
const HELLO_BURST: u32 = 8;
const HELLO_INTERVAL: Duration = Duration::from_secs(60);

/// Whom we know: read by every stream, replaced as a whole.
pub(crate) type Book = HashMap<Did, Arc<Known>>;

/// A partner as the streams see it.
pub(crate) struct Known {
    pub(crate) did: Did,
    pub(crate) document: DidDocument,
    /// What all streams of this partner together may have us hold.
    pub(crate) window: Window,
    /// Cancelled when the partner is taken off the list.
    pub(crate) removed: CancellationToken,
}

/// What we present on each stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The signed node record of this node.
    pub node_record: Vec<u8>,
    /// Signed prekey records: today's and tomorrow's.
    pub prekeys: Vec<Vec<u8>>,
}

/// A partner's node that has proved itself.
pub(crate) struct Caller {
    pub(crate) known: Arc<Known>,
    pub(crate) record: NodeRecord,
    pub(crate) prekeys: Vec<Vec<u8>>,
}

impl Hello {
    pub(crate) fn frame(&self) -> Frame {
        Frame::Hello {
            version: VERSION,
            node_record: Bytes::copy_from_slice(&self.node_record),
            prekeys: self.prekeys.iter().map(|record| Bytes::copy_from_slice(record)).collect(),
        }
    }
}

/// Verifies a Hello that came over a connection with `peer`.
pub(crate) fn recognise(frame: Frame, peer: &PeerId, book: &Book, now: UnixMillis) -> Result<Caller, Fault> {
    let Frame::Hello { version, node_record, prekeys } = frame else {
        return Err(Fault::NoHello);
    };
    if version != VERSION {
        return Err(Fault::Version(version));
    }
    let claimed =
        NodeRecord::claimed_did(&node_record).map_err(|e| Fault::RecordUnreadable(e.to_string()))?;
    let Some(known) = book.get(&claimed) else {
        return Err(Fault::Unknown(claimed));
    };
    let record = NodeRecord::verify(&node_record, &known.document, now)
        .map_err(|e| Fault::RecordForged(e.to_string()))?;
    if record.peer_id != peer.to_bytes() {
        return Err(Fault::NotItsRecord);
    }
    let prekeys = prekeys.iter().map(|record| record.to_vec()).collect();
    Ok(Caller { known: Arc::clone(known), record, prekeys })
}

/// Lets later Hellos through at a bounded rate.
pub(crate) struct HelloGate {
    tokens: u32,
    refilled: Instant,
}

impl HelloGate {
    pub(crate) fn new(now: Instant) -> Self {
        HelloGate { tokens: HELLO_BURST, refilled: now }
    }

    pub(crate) fn pass(&mut self, now: Instant) -> Result<(), Fault> {
        let passed = now.saturating_duration_since(self.refilled).as_secs() / HELLO_INTERVAL.as_secs();
        if let Some(earned) = u32::try_from(passed).ok().filter(|earned| *earned > 0) {
            self.tokens = self.tokens.saturating_add(earned).min(HELLO_BURST);
            self.refilled = now;
        }
        self.tokens = self.tokens.checked_sub(1).ok_or(Fault::HelloFlood)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_hellos_passes_and_a_flood_does_not() {
        let start = Instant::now();
        let mut gate = HelloGate::new(start);
        for _ in 0..HELLO_BURST {
            assert!(gate.pass(start).is_ok());
        }
        assert!(matches!(gate.pass(start), Err(Fault::HelloFlood)));
        assert!(gate.pass(start + HELLO_INTERVAL).is_ok());
        assert!(gate.pass(start + HELLO_INTERVAL).is_err());
    }
}
