//! What we say of ourselves, the same to everybody.

use std::sync::{Arc, Mutex, PoisonError};

use dccp::did::{DidDocument, Head, HeadNode};
use dccp::partner::PartnerFile;
use dccp::tree::TreeHead;
use dccp::{Did, UnixMillis};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::custody::Custody;

/// How long a head counts. It is signed anew long before; a node that was off for a week is asked directly.
const HEAD_LIFETIME_MS: u64 = 7 * 24 * 3_600_000;

/// When it is signed anew.
const HEAD_RENEWED_AFTER_MS: u64 = 24 * 3_600_000;

/// A reader whose clock is behind must not find our head in its future; and the tree in it is read once a minute, so
/// that nobody was shown a larger one before the head counts.
const BACKDATED_MS: u64 = 3_600_000;

/// Our organisation's records.
pub struct Own {
    custody: Arc<Custody>,
    node_record: Vec<u8>,
    node: HeadNode,
    clock: Clock,
    tree: watch::Sender<TreeHead>,
    head: Mutex<Option<Signed>>,
}

/// A head that was signed lately.
struct Signed {
    at: UnixMillis,
    tree: TreeHead,
    record: Vec<u8>,
}

impl Own {
    /// `node_record` is this node's signed record, `addresses` are those in it; `tree` is our tree of bindings.
    pub fn new(
        custody: Arc<Custody>,
        node_record: Vec<u8>,
        addresses: &[String],
        tree: TreeHead,
        clock: Clock,
    ) -> Own {
        let peer_id = overlay::peer_id_of(&custody.node_seed()).to_bytes();
        let node = HeadNode { peer_id, addresses: addresses.to_vec() };
        Own { custody, node_record, node, clock, tree: watch::Sender::new(tree), head: Mutex::default() }
    }

    /// Our DID.
    pub fn did(&self) -> &Did {
        self.custody.did()
    }

    /// Our verified log.
    pub fn document(&self) -> &DidDocument {
        self.custody.document()
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

    /// Our tree of bindings is this one now: the head says so from now on.
    pub fn set_tree(&self, tree: TreeHead) {
        self.tree.send_if_modified(|known| std::mem::replace(known, tree) != tree);
    }

    /// Sees each change of what the head says of our tree.
    pub fn tree(&self) -> watch::Receiver<TreeHead> {
        self.tree.subscribe()
    }

    /// Our head, signed today, with our tree as it is now.
    pub fn head(&self) -> Vec<u8> {
        let now = (self.clock)();
        let tree = *self.tree.borrow();
        let mut kept = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = kept.as_ref()
            && signed.tree == tree
            && now < signed.at.saturating_add_ms(HEAD_RENEWED_AFTER_MS)
        {
            return signed.record.clone();
        }
        let time = (now.saturating_sub_ms(BACKDATED_MS), now.saturating_add_ms(HEAD_LIFETIME_MS));
        let epoch = self.custody.devices().epoch();
        let head = Head::of(self.custody.document(), epoch, tree, vec![self.node.clone()], time);
        match head.sign(self.custody.operator()) {
            Ok(record) => {
                *kept = Some(Signed { at: now, tree, record: record.clone() });
                record
            }
            Err(error) => {
                // Partners then learn of us as they did before there were heads: by asking.
                tracing::error!(%error, "our head record cannot be signed");
                Vec::new()
            }
        }
    }
}
