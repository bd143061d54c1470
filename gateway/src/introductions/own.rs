//! What we say of ourselves, the same to everybody.

use std::sync::{Arc, Mutex, PoisonError};

use dccp::did::{Head, HeadNode};
use dccp::partner::PartnerFile;
use dccp::{Did, UnixMillis};

use crate::clock::Clock;
use crate::custody::Custody;

/// How long a head counts. It is signed anew long before; a node that was off for a week is asked directly.
const HEAD_LIFETIME_MS: u64 = 7 * 24 * 3_600_000;

/// When it is signed anew.
const HEAD_RENEWED_AFTER_MS: u64 = 24 * 3_600_000;

/// A reader whose clock is behind must not find our head in its future.
const BACKDATED_MS: u64 = 3_600_000;

/// Our organisation's records.
pub struct Own {
    custody: Arc<Custody>,
    node_record: Vec<u8>,
    node: HeadNode,
    clock: Clock,
    head: Mutex<Option<(UnixMillis, Vec<u8>)>>,
}

impl Own {
    /// `node_record` is this node's signed record, `addresses` are those in it.
    pub fn new(custody: Arc<Custody>, node_record: Vec<u8>, addresses: &[String], clock: Clock) -> Own {
        let peer_id = overlay::peer_id_of(&custody.node_seed()).to_bytes();
        let node = HeadNode { peer_id, addresses: addresses.to_vec() };
        Own { custody, node_record, node, clock, head: Mutex::default() }
    }

    /// Our DID.
    pub fn did(&self) -> &Did {
        self.custody.did()
    }

    /// This node's signed record.
    pub fn node_record(&self) -> &[u8] {
        &self.node_record
    }

    /// Our nodes as addresses that end in `/p2p/…`, for those who have nothing but our word.
    pub fn node_addresses(&self) -> Vec<String> {
        let with_peer = |address: &String| overlay::address_of_peer(address, &self.node.peer_id);
        self.node.addresses.iter().filter_map(with_peer).collect()
    }

    /// Everything about us as one file, with the prekeys of the day.
    pub fn bundle(&self) -> PartnerFile {
        PartnerFile {
            log: self.custody.log().clone(),
            manifest: self.custody.manifest().clone(),
            nodes: vec![self.node_record.clone()],
            prekeys: self.custody.current_prekey_records(),
        }
    }

    /// Our head, signed today.
    pub fn head(&self) -> Vec<u8> {
        let now = (self.clock)();
        let mut kept = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((signed_at, head)) = kept.as_ref()
            && now < signed_at.saturating_add_ms(HEAD_RENEWED_AFTER_MS)
        {
            return head.clone();
        }
        let time = (now.saturating_sub_ms(BACKDATED_MS), now.saturating_add_ms(HEAD_LIFETIME_MS));
        let epoch = self.custody.devices().epoch();
        let head = Head::of(self.custody.document(), epoch, vec![self.node.clone()], time);
        match head.sign(self.custody.operator()) {
            Ok(signed) => {
                *kept = Some((now, signed.clone()));
                signed
            }
            Err(error) => {
                // Partners then learn of us as they did before there were heads: by asking.
                tracing::error!(%error, "our head record cannot be signed");
                Vec::new()
            }
        }
    }
}
