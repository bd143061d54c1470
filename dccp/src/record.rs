//! What all signed dCBOR records share: the body, who signed it, from when until when it counts.

use crate::cbor::{self, CborError, Fields, Value};
use crate::keys::{BadKey, BadSignature, Domain, KeyId, Signature, SigningKey, VerifyingKey};
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::{Did, UnixMillis, UnsupportedSuite};

/// Why a manifest, node record or prekey is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Theirs: the bytes are not a record.
    #[error("malformed record: {0}")]
    Malformed(#[from] CborError),
    /// Theirs: a key inside is not a key.
    #[error(transparent)]
    BadKey(#[from] BadKey),
    /// Theirs: something in it is too long, too many, empty or contradictory.
    #[error("record field `{0}` is out of bounds")]
    OutOfBounds(&'static str),
    /// Theirs or an attacker's: signed by another key, or altered.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// Theirs or an attacker's: it speaks for another organisation.
    #[error("record belongs to another DID")]
    OtherDid,
    /// Nobody's: a later version of the protocol.
    #[error("record version {0} is not supported")]
    UnsupportedVersion(u64),
    /// Nobody's: only suites that we do not speak.
    #[error(transparent)]
    UnsupportedSuite(#[from] UnsupportedSuite),
    /// A clock's: it is not valid yet.
    #[error("record is not valid yet")]
    NotYetValid,
    /// Time's: it was valid once.
    #[error("record has expired")]
    Expired,
}

/// The version that every signed record of this landing carries in `v`.
pub(crate) const RECORD_VERSION: u64 = 1;

pub(crate) fn expect_version(fields: &mut Fields) -> Result<(), RecordError> {
    match fields.unsigned("v")? {
        RECORD_VERSION => Ok(()),
        other => Err(RecordError::UnsupportedVersion(other)),
    }
}

pub(crate) fn expect_did(fields: &mut Fields, did: &Did) -> Result<(), RecordError> {
    if fields.text("did")? == did.as_str() { Ok(()) } else { Err(RecordError::OtherDid) }
}

/// Is `now` within `[not_before, expires)`, give or take the skew of honest clocks?
pub(crate) fn check_time(
    not_before: UnixMillis,
    expires: UnixMillis,
    now: UnixMillis,
) -> Result<(), RecordError> {
    if now >= expires.saturating_add_ms(CLOCK_SKEW_MS_MAX) {
        return Err(RecordError::Expired);
    }
    if now.saturating_add_ms(CLOCK_SKEW_MS_MAX) < not_before {
        return Err(RecordError::NotYetValid);
    }
    Ok(())
}

/// A body and the signature beside it: `{b: body, s: [{k: key id, s: signature}]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedBody {
    pub(crate) body: Vec<u8>,
    pub(crate) key_id: KeyId,
    signature: Signature,
}

impl SignedBody {
    pub(crate) fn sign(domain: Domain, body: &Value, key: &SigningKey) -> Self {
        let body = cbor::encode(body);
        let signature = key.sign(domain, &body);
        Self { body, key_id: key.verifying_key().key_id(), signature }
    }

    /// Checks the signature over the exact bytes of the body.
    pub(crate) fn verify(&self, domain: Domain, key: &VerifyingKey) -> Result<(), BadSignature> {
        if self.key_id != key.key_id() {
            return Err(BadSignature);
        }
        key.verify(domain, &self.body, &self.signature)
    }

    pub(crate) fn fields(&self) -> Result<Fields, CborError> {
        Fields::of(cbor::decode(&self.body, self.body.len())?, "body")
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&self.to_value())
    }

    pub(crate) fn from_bytes(bytes: &[u8], bytes_max: usize) -> Result<Self, CborError> {
        Self::from_value(cbor::decode(bytes, bytes_max)?)
    }

    pub(crate) fn to_value(&self) -> Value {
        let signature = cbor::map([
            ("k", Value::Bytes(self.key_id.as_bytes().to_vec())),
            ("s", Value::Bytes(self.signature.to_bytes())),
        ]);
        cbor::map([("b", Value::Bytes(self.body.clone())), ("s", Value::Array(vec![signature]))])
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of(value, "record")?;
        let body = fields.bytes("b")?;
        let mut signatures = fields.array("s", 1)?;
        fields.finish()?;

        let mut fields = Fields::of(signatures.pop().ok_or(CborError::Wrong("s"))?, "s")?;
        let key_id = fields.bytes("k")?.try_into().map_err(|_| CborError::Wrong("k"))?;
        let signature = Signature::from_bytes(&fields.bytes("s")?).map_err(|_| CborError::Wrong("s"))?;
        fields.finish()?;
        Ok(Self { body, key_id: KeyId(key_id), signature })
    }
}
