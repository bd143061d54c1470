//! Node records: a transport key (a libp2p PeerId) speaks for an organisation because its operator signed so.

use crate::cbor::{self, CborError, Value};
use crate::did::DidDocument;
use crate::keys::{Domain, SigningKey};
use crate::limits::{NODE_ADDRESS_BYTES_MAX, NODE_ADDRESSES_MAX, PEER_ID_BYTES_MAX, RECORD_BYTES_MAX};
use crate::record::{RECORD_VERSION, RecordError, SignedBody, check_time, expect_did, expect_version};
use crate::{Did, UnixMillis};

/// One node of an organisation: who it is on the network and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// The organisation.
    pub did: Did,
    /// The binary PeerId (a multihash).
    pub peer_id: Vec<u8>,
    /// Multiaddrs as text, preferred first.
    pub addresses: Vec<String>,
    /// From when the record counts.
    pub not_before: UnixMillis,
    /// Until when it counts, exclusive.
    pub expires: UnixMillis,
}

impl NodeRecord {
    /// Signs the record with the operator key.
    ///
    /// # Errors
    /// [`RecordError::OutOfBounds`] when a field exceeds its limit or the record ends before it begins.
    pub fn sign(&self, operator: &SigningKey) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let body = cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("did", Value::Text(self.did.to_string())),
            ("peer", Value::Bytes(self.peer_id.clone())),
            ("addr", cbor::texts(self.addresses.iter().map(String::as_str))),
            ("nb", Value::Unsigned(self.not_before.as_u64())),
            ("exp", Value::Unsigned(self.expires.as_u64())),
        ]);
        Ok(SignedBody::sign(Domain::NodeRecord, &body, operator).to_bytes())
    }

    /// Verifies a signed record: signature, DID, limits, time.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn verify(bytes: &[u8], document: &DidDocument, now: UnixMillis) -> Result<Self, RecordError> {
        let signed = SignedBody::from_bytes(bytes, RECORD_BYTES_MAX)?;
        signed.verify_any(Domain::NodeRecord, document.operators())?;
        let mut fields = signed.fields()?;
        expect_version(&mut fields)?;
        expect_did(&mut fields, document.did())?;
        let record = Self {
            did: document.did().clone(),
            peer_id: fields.bytes("peer")?,
            addresses: fields.text_array("addr", NODE_ADDRESSES_MAX)?,
            not_before: UnixMillis(fields.unsigned("nb")?),
            expires: UnixMillis(fields.unsigned("exp")?),
        };
        fields.finish()?;
        record.check()?;
        check_time(record.not_before, record.expires, now)?;
        Ok(record)
    }

    /// The DID that an unverified record claims: tells a receiver whose document to verify it with.
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn claimed_did(bytes: &[u8]) -> Result<Did, RecordError> {
        let did = SignedBody::from_bytes(bytes, RECORD_BYTES_MAX)?.fields()?.text("did")?;
        Ok(did.parse().map_err(|_| CborError::Wrong("did"))?)
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
        if self.expires <= self.not_before {
            return Err(RecordError::OutOfBounds("exp"));
        }
        Ok(())
    }
}
