//! Head records: what is published of a DID, small enough for a distributed hash table.
//!
//! A head says which operation of the log is the last, which manifest epoch goes with it, and which nodes to ask for
//! the log itself. It proves nothing about the log: a head counts only beside the verified log whose end it names.

use super::DidDocument;
use crate::cbor::{self, CborError, Fields, Value};
use crate::keys::{Domain, SigningKey};
use crate::limits::{
    NODE_ADDRESS_BYTES_MAX, NODE_ADDRESSES_MAX, PARTNER_NODES_MAX, PEER_ID_BYTES_MAX, RECORD_BYTES_MAX,
};
use crate::record::{RECORD_VERSION, RecordError, SignedBody, check_time, expect_version};
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
    /// The head of a verified log.
    pub fn of(
        document: &DidDocument,
        manifest_epoch: u64,
        nodes: Vec<HeadNode>,
        (not_before, expires): (UnixMillis, UnixMillis),
    ) -> Self {
        Self {
            did: document.did().clone(),
            rotations: document.rotations(),
            seq: document.seq(),
            hash: *document.head_hash(),
            manifest_epoch,
            nodes,
            not_before,
            expires,
        }
    }

    /// Signs the record with one operator key.
    ///
    /// # Errors
    /// [`RecordError::OutOfBounds`] when a field exceeds its limit, the record ends before it begins, or it is larger
    /// than a published record may be.
    pub fn sign(&self, operator: &SigningKey) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let body = cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("did", Value::Text(self.did.to_string())),
            ("rot", Value::Unsigned(self.rotations)),
            ("seq", Value::Unsigned(self.seq)),
            ("head", Value::Bytes(self.hash.to_vec())),
            ("ep", Value::Unsigned(self.manifest_epoch)),
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
        if self.expires <= self.not_before {
            return Err(RecordError::OutOfBounds("exp"));
        }
        Ok(())
    }
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
