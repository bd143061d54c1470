//! What all signed dCBOR records share: the body, who signed it, from when until when it counts.

use crate::cbor::{self, CborError, Fields, Value};
use crate::did::Quorum;
use crate::keys::{BadKey, BadSignature, Domain, KeyId, Signature, SigningKey, VerifyingKey};
use crate::limits::{CLOCK_SKEW_MS_MAX, SIGNATURES_MAX};
use crate::{Did, UnixMillis, UnsupportedSuite};

/// Why a manifest, node record, prekey or head record is not accepted.
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
    /// Theirs or an attacker's: signatures were never made or were stripped.
    #[error("record has fewer signatures than the {needed} it needs")]
    TooFewSignatures {
        /// The threshold of the operators.
        needed: u64,
    },
    /// Theirs or an attacker's: it speaks for another organisation.
    #[error("record belongs to another DID")]
    OtherDid,
    /// Ours: a head record names operations that the log at hand does not have. Fetch the log again.
    #[error("record names operations that the log at hand does not have")]
    Ahead,
    /// Time's: a head record names a state that the log at hand has left behind.
    #[error("record is older than the log at hand")]
    Behind,
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

/// A body and the signatures beside it: `{b: body, s: [{k: key id, s: signature}, …]}`, sorted by key id, none twice.
///
/// Every signature that is there must be by a key that may sign, and must verify: one that is not is no decoration
/// but a sign of tampering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedBody {
    pub(crate) body: Vec<u8>,
    signatures: Vec<(KeyId, Signature)>,
}

impl SignedBody {
    pub(crate) fn sign(domain: Domain, body: &Value, key: &SigningKey) -> Self {
        Self::sign_by(domain, body, &[key])
    }

    /// Signs with each of the keys; a key that is given twice signs once.
    pub(crate) fn sign_by(domain: Domain, body: &Value, keys: &[&SigningKey]) -> Self {
        let body = cbor::encode(body);
        let mut keys = keys.to_vec();
        keys.sort_by_key(|key| key.verifying_key().key_id());
        keys.dedup_by_key(|key| key.verifying_key().key_id());
        let sign = |key: &SigningKey| (key.verifying_key().key_id(), key.sign(domain, &body));
        let signatures = keys.into_iter().map(sign).collect();
        Self { body, signatures }
    }

    /// Whose signatures are there, as they claim.
    pub(crate) fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().map(|(key_id, _)| *key_id)
    }

    /// Checks that at least the threshold of the members signed, and nobody else.
    ///
    /// # Errors
    /// [`RecordError::TooFewSignatures`] or [`RecordError::BadSignature`].
    pub(crate) fn verify_quorum(
        &self,
        domain: Domain,
        quorum: &Quorum<VerifyingKey>,
    ) -> Result<(), RecordError> {
        if (self.signatures.len() as u64) < quorum.threshold {
            return Err(RecordError::TooFewSignatures { needed: quorum.threshold });
        }
        Ok(self.verify_each(domain, &quorum.members)?)
    }

    /// Checks that at least one member signed, and nobody else.
    pub(crate) fn verify_any(
        &self,
        domain: Domain,
        quorum: &Quorum<VerifyingKey>,
    ) -> Result<(), BadSignature> {
        self.verify_each(domain, &quorum.members)
    }

    /// Verifies every signature once, each with the key of that id among `keys`.
    pub(crate) fn verify_each(&self, domain: Domain, keys: &[VerifyingKey]) -> Result<(), BadSignature> {
        for (key_id, signature) in &self.signatures {
            let key = keys.iter().find(|key| key.key_id() == *key_id).ok_or(BadSignature)?;
            key.verify(domain, &self.body, signature)?;
        }
        Ok(())
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
        let signature = |(key_id, signature): &(KeyId, Signature)| {
            cbor::map([
                ("k", Value::Bytes(key_id.as_bytes().to_vec())),
                ("s", Value::Bytes(signature.to_bytes())),
            ])
        };
        let signatures = self.signatures.iter().map(signature).collect();
        cbor::map([("b", Value::Bytes(self.body.clone())), ("s", Value::Array(signatures))])
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of(value, "record")?;
        let body = fields.bytes("b")?;
        let signatures = fields.array("s", SIGNATURES_MAX)?;
        fields.finish()?;

        let signatures = signatures.into_iter().map(read_signature).collect::<Result<Vec<_>, _>>()?;
        if signatures.is_empty() || !signatures.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(CborError::Wrong("s"));
        }
        Ok(Self { body, signatures })
    }
}

fn read_signature(value: Value) -> Result<(KeyId, Signature), CborError> {
    let mut fields = Fields::of(value, "s")?;
    let key_id = fields.bytes("k")?.try_into().map_err(|_| CborError::Wrong("k"))?;
    let signature = Signature::from_bytes(&fields.bytes("s")?).map_err(|_| CborError::Wrong("s"))?;
    fields.finish()?;
    Ok((KeyId(key_id), signature))
}
