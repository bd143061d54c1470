//! Head records: what is published of a DID, small enough for a distributed hash table.
//!
//! A head says which operation of the log is the last, which manifest epoch goes with it, which nodes to ask for the
//! log itself, and what the tree of bindings was. It proves nothing about the log: a head counts only beside the
//! verified log whose end it names.
//!
//! The tree stands here because a head lies on the shelves of others. An organisation that shows one tree to one partner
//! and another to the next would have to publish both, in one place, under its operators' signature.

use super::DidDocument;
use crate::cbor::{self, CborError, Fields, Value};
use crate::find;
use crate::keys::{Domain, SigningKey};
use crate::limits::{
    CLOCK_SKEW_MS_MAX, HEAD_LIFETIME_MS_MAX, NODE_ADDRESS_BYTES_MAX, NODE_ADDRESSES_MAX, PARTNER_NODES_MAX,
    PEER_ID_BYTES_MAX, RECORD_BYTES_MAX,
};
use crate::record::{RECORD_VERSION, RecordError, SignedBody, check_time, expect_version};
use crate::tree::TreeHead;
use crate::{Did, UnixMillis};

/// The published state of a DID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The DID.
    pub did: Did,
    /// How often its keys were rotated.
    pub rotations: u64,
    /// The sequence number of the last operation of its log.
    pub seq: u64,
    /// The hash of the body of that operation.
    pub hash: [u8; 32],
    /// The epoch of the manifest that goes with it.
    pub manifest_epoch: u64,
    /// Its tree of bindings: at least everything that was in it at `not_before`. [`TreeHead::EMPTY`] for who binds none.
    pub tree: TreeHead,
    /// The nodes that serve the log, preferred first.
    pub nodes: Vec<HeadNode>,
    /// From when the record counts.
    pub not_before: UnixMillis,
    /// Until when it counts, exclusive.
    pub expires: UnixMillis,
}

/// A node to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadNode {
    /// The binary PeerId (a multihash).
    pub peer_id: Vec<u8>,
    /// Multiaddrs as text, preferred first.
    pub addresses: Vec<String>,
}

impl Head {
    /// The head of a verified log, and the tree that goes with it.
    pub fn of(
        document: &DidDocument,
        manifest_epoch: u64,
        tree: TreeHead,
        nodes: Vec<HeadNode>,
        (not_before, expires): (UnixMillis, UnixMillis),
    ) -> Self {
        Self {
            did: document.did().clone(),
            rotations: document.rotations(),
            seq: document.seq(),
            hash: *document.head_hash(),
            manifest_epoch,
            tree,
            nodes,
            not_before,
            expires,
        }
    }

    /// Signs the record with one operator key.
    ///
    /// # Errors
    /// [`RecordError::OutOfBounds`] when a field exceeds its limit, the record ends before it begins or counts for too
    /// long, an empty tree has entries, or the record is larger than a published one may be.
    pub fn sign(&self, operator: &SigningKey) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let body = cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("did", Value::Text(self.did.to_string())),
            ("rot", Value::Unsigned(self.rotations)),
            ("seq", Value::Unsigned(self.seq)),
            ("head", Value::Bytes(self.hash.to_vec())),
            ("ep", Value::Unsigned(self.manifest_epoch)),
            ("tree", tree_value(&self.tree)),
            ("nodes", Value::Array(self.nodes.iter().map(HeadNode::to_value).collect())),
            ("nb", Value::Unsigned(self.not_before.as_u64())),
            ("exp", Value::Unsigned(self.expires.as_u64())),
        ]);
        let bytes = SignedBody::sign(Domain::Head, &body, operator).to_bytes();
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::OutOfBounds("nodes"));
        }
        Ok(bytes)
    }

    /// What a record claims before anything is verified: which DID to resolve, and which nodes to ask.
    ///
    /// # Errors
    /// [`RecordError::Malformed`], [`RecordError::UnsupportedVersion`] or [`RecordError::OutOfBounds`].
    pub fn claimed(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::read(&SignedBody::from_bytes(bytes, RECORD_BYTES_MAX)?)
    }

    /// Verifies a record beside the verified log that it belongs to: signed by an operator, in its time, and naming
    /// exactly the end of that log.
    ///
    /// # Errors
    /// [`RecordError::Behind`] when the log at hand is newer; [`RecordError::Ahead`] when the record is signed by
    /// an operator but names operations that the log does not have: the log must be fetched again. A record of
    /// operators that the log does not know yet is a [`RecordError::BadSignature`]: fetch, too, but within limits.
    pub fn verify(bytes: &[u8], document: &DidDocument, now: UnixMillis) -> Result<Self, RecordError> {
        let signed = SignedBody::from_bytes(bytes, RECORD_BYTES_MAX)?;
        let head = Self::read(&signed)?;
        if head.did != *document.did() {
            return Err(RecordError::OtherDid);
        }
        signed.verify_any(Domain::Head, document.operators())?;
        check_time(head.not_before, head.expires, now)?;
        let named = (head.rotations, head.seq, &head.hash);
        if named == (document.rotations(), document.seq(), document.head_hash()) {
            return Ok(head);
        }
        Err(if head.seq < document.seq() { RecordError::Behind } else { RecordError::Ahead })
    }

    /// Does this head say something later than `other`? For two records that were each verified beside the log that
    /// counts; a rotation outweighs any number of operations, as it does in the log.
    pub fn newer_than(&self, other: &Self) -> bool {
        let order = |head: &Self| (head.rotations, head.seq, head.manifest_epoch, head.not_before);
        order(self) > order(other)
    }

    /// Whether the two cannot both be true of one tree that only grows: two trees of one size, or a later record with a
    /// smaller tree. Records whose times two clocks could exchange are neither the later one. Says nothing about trees
    /// of two sizes that may continue each other: that takes a proof ([`crate::transparency`]).
    pub fn contradicts(&self, other: &Self) -> bool {
        let (earlier, later) =
            if self.not_before <= other.not_before { (self, other) } else { (other, self) };
        let is_later = later.not_before > earlier.not_before.saturating_add_ms(CLOCK_SKEW_MS_MAX);
        let is_split = earlier.tree.size == later.tree.size && earlier.tree.root != later.tree.root;
        is_split || (is_later && later.tree.size < earlier.tree.size)
    }

    fn read(signed: &SignedBody) -> Result<Self, RecordError> {
        let mut fields = signed.fields()?;
        expect_version(&mut fields)?;
        let nodes = fields.array("nodes", PARTNER_NODES_MAX)?;
        let head = Self {
            did: fields.text("did")?.parse().map_err(|_| CborError::Wrong("did"))?,
            rotations: fields.unsigned("rot")?,
            seq: fields.unsigned("seq")?,
            hash: fields.bytes("head")?.try_into().map_err(|_| CborError::Wrong("head"))?,
            manifest_epoch: fields.unsigned("ep")?,
            tree: read_tree(fields.map("tree")?)?,
            nodes: nodes.into_iter().map(HeadNode::read).collect::<Result<_, _>>()?,
            not_before: UnixMillis(fields.unsigned("nb")?),
            expires: UnixMillis(fields.unsigned("exp")?),
        };
        fields.finish()?;
        head.check()?;
        Ok(head)
    }

    fn check(&self) -> Result<(), RecordError> {
        if self.nodes.len() > PARTNER_NODES_MAX {
            return Err(RecordError::OutOfBounds("nodes"));
        }
        self.nodes.iter().try_for_each(HeadNode::check)?;
        if self.tree.size == 0 && self.tree != TreeHead::EMPTY {
            return Err(RecordError::OutOfBounds("tree"));
        }
        let lifetime = self.not_before..=self.not_before.saturating_add_ms(HEAD_LIFETIME_MS_MAX);
        if self.expires == self.not_before || !lifetime.contains(&self.expires) {
            return Err(RecordError::OutOfBounds("exp"));
        }
        Ok(())
    }
}

fn tree_value(tree: &TreeHead) -> Value {
    cbor::map([("size", Value::Unsigned(tree.size)), ("root", Value::Bytes(tree.root.to_vec()))])
}

fn read_tree(mut fields: Fields) -> Result<TreeHead, CborError> {
    let tree = TreeHead { size: fields.unsigned("size")?, root: find::hash(fields.bytes("root")?, "root")? };
    fields.finish()?;
    Ok(tree)
}

impl HeadNode {
    fn to_value(&self) -> Value {
        cbor::map([
            ("peer", Value::Bytes(self.peer_id.clone())),
            ("addr", cbor::texts(self.addresses.iter().map(String::as_str))),
        ])
    }

    fn read(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of(value, "nodes")?;
        let node = Self {
            peer_id: fields.bytes("peer")?,
            addresses: fields.text_array("addr", NODE_ADDRESSES_MAX)?,
        };
        fields.finish()?;
        Ok(node)
    }

    fn check(&self) -> Result<(), RecordError> {
        let is_address = |address: &String| {
            (1..=NODE_ADDRESS_BYTES_MAX).contains(&address.len())
                && address.bytes().all(|octet| octet.is_ascii_graphic())
        };
        if !(1..=PEER_ID_BYTES_MAX).contains(&self.peer_id.len()) {
            return Err(RecordError::OutOfBounds("peer"));
        }
        if self.addresses.len() > NODE_ADDRESSES_MAX || !self.addresses.iter().all(is_address) {
            return Err(RecordError::OutOfBounds("addr"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::{Tree, leaf_hash};

    const NOW: u64 = 1_800_000_000_000;

    fn published(at: u64, tree: TreeHead) -> Head {
        Head {
            did: format!("did:dccp:1{}", "a".repeat(52)).parse().unwrap(),
            rotations: 0,
            seq: 0,
            hash: [0; 32],
            manifest_epoch: 1,
            tree,
            nodes: Vec::new(),
            not_before: UnixMillis(at),
            expires: UnixMillis(at + 1),
        }
    }

    fn tree_of(leaves: u64) -> TreeHead {
        (0..leaves).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect::<Tree>().head()
    }

    #[test]
    fn two_trees_of_one_size_contradict_each_other_at_any_time() {
        let other = TreeHead { root: [7; 32], ..tree_of(3) };
        for at in [0, NOW, 2 * NOW] {
            assert!(published(NOW, tree_of(3)).contradicts(&published(at, other)));
        }
        assert!(!published(NOW, tree_of(3)).contradicts(&published(0, tree_of(3))));
    }

    #[test]
    fn a_tree_that_shrinks_contradicts_itself_once_no_clock_excuses_it() {
        let before = published(NOW, tree_of(3));
        let after = |ms: u64| published(NOW + ms, tree_of(2));
        assert!(!before.contradicts(&after(CLOCK_SKEW_MS_MAX)));
        assert!(before.contradicts(&after(CLOCK_SKEW_MS_MAX + 1)));
        assert!(after(CLOCK_SKEW_MS_MAX + 1).contradicts(&before), "whichever came first");
        assert!(before.contradicts(&published(NOW + CLOCK_SKEW_MS_MAX + 1, TreeHead::EMPTY)));
    }

    proptest! {
        #[test]
        fn honest_growth_never_contradicts_itself(
            earlier in 0..40_u64,
            grown in 0..40_u64,
            later_ms in 0..2 * HEAD_LIFETIME_MS_MAX,
        ) {
            let (before, after) =
                (published(NOW, tree_of(earlier)), published(NOW + later_ms, tree_of(earlier + grown)));
            prop_assert!(!before.contradicts(&after) && !after.contradicts(&before));
        }
    }
}
