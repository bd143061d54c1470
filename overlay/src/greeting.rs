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
use crate::gate::Gate;
use crate::house::House;
use crate::window::Window;

/// Version of the frames on `/dccp/msg/1`.
pub(crate) const VERSION: u32 = dccp::frame::VERSION;

/// Later Hellos that a stream may bring at once, and one more per [`HELLO_INTERVAL`]: each costs us
/// a hybrid signature verification.
const HELLO_BURST: u32 = 8;
const HELLO_INTERVAL: Duration = Duration::from_secs(60);

/// Lets the later Hellos of one stream through at a bounded rate.
pub(crate) fn hello_gate(now: Instant) -> Gate {
    Gate::new(HELLO_BURST, HELLO_INTERVAL, now)
}

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
    /// Cancelled when other operator keys count for the partner.
    pub(crate) superseded: CancellationToken,
}

impl Known {
    /// Whether whoever proved itself to one has proved itself to the other.
    pub(crate) fn trusts_like(&self, other: &Known) -> bool {
        self.document.operators() == other.document.operators()
    }
}

/// What we present on each stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The signed node record of this node.
    pub node_record: Vec<u8>,
    /// Signed prekey records: today's and tomorrow's.
    pub prekeys: Vec<Vec<u8>>,
    /// The signed head record of the organisation; empty when there is none to present.
    pub head: Vec<u8>,
}

/// A partner's node that has proved itself.
pub(crate) struct Caller {
    pub(crate) known: Arc<Known>,
    pub(crate) record: NodeRecord,
    pub(crate) prekeys: Vec<Vec<u8>>,
    pub(crate) head: Vec<u8>,
}

impl Caller {
    /// Gives the house what the caller presented. To be called once.
    pub(crate) fn present_to<H: House>(&mut self, house: &H) {
        house.prekeys(&self.known.did, std::mem::take(&mut self.prekeys));
        let head = std::mem::take(&mut self.head);
        if !head.is_empty() {
            house.presented_head(&self.known.did, head);
        }
    }
}

impl Hello {
    pub(crate) fn frame(&self) -> Frame {
        Frame::Hello {
            version: VERSION,
            node_record: Bytes::copy_from_slice(&self.node_record),
            prekeys: self.prekeys.iter().map(|record| Bytes::copy_from_slice(record)).collect(),
            head: Bytes::copy_from_slice(&self.head),
        }
    }
}

/// Verifies a Hello that came over a connection with `peer`.
pub(crate) fn recognise(frame: Frame, peer: &PeerId, book: &Book, now: UnixMillis) -> Result<Caller, Fault> {
    let Frame::Hello { version, node_record, prekeys, head } = frame else {
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
        .map_err(|error| Fault::RecordForged { claimed, why: error.to_string() })?;
    if record.peer_id != peer.to_bytes() {
        return Err(Fault::NotItsRecord);
    }
    let prekeys = prekeys.iter().map(|record| record.to_vec()).collect();
    Ok(Caller { known: Arc::clone(known), record, prekeys, head: head.to_vec() })
}
