//! Prekeys: encapsulation keys that are destroyed, so that yesterday's mail cannot be opened with a key stolen
//! tomorrow. An **epoch prekey** ([`Prekey`]) lives for one UTC day; today's and tomorrow's are published. A **one-time
//! prekey** ([`OneTimePrekey`]) opens one message and is handed out from a [`Stock`].

mod stock;

use crate::cbor::{self, Value};
use crate::did::DidDocument;
use crate::kem::EncapsulationKey;
use crate::keys::{Domain, KeyId, SigningKey};
use crate::limits::RECORD_BYTES_MAX;
use crate::record::{RECORD_VERSION, RecordError, SignedBody, check_time, expect_did, expect_version};
use crate::suite::KemAlgorithm;
use crate::{Did, Suite, UnixMillis, UnsupportedSuite};

pub use stock::{OneTimeBatch, OneTimePrekey, Stock};

/// The length of an epoch: one UTC day.
pub const EPOCH_MS: u64 = 24 * 3600 * 1000;

/// The epoch that contains `now`: whole days since 1970.
pub fn epoch_of(now: UnixMillis) -> u64 {
    now.as_u64() / EPOCH_MS
}

/// A prekey of one organisation for one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prekey {
    /// The organisation.
    pub did: Did,
    /// The day it is for.
    pub epoch: u64,
    /// The id of `kem`, derived from it.
    pub key_id: KeyId,
    /// The key to seal to.
    pub kem: EncapsulationKey,
    /// The start of the epoch, derived from it.
    pub not_before: UnixMillis,
    /// The end of the epoch, exclusive, derived from it.
    pub expires: UnixMillis,
}

impl Prekey {
    /// A prekey for every suite that chooses the mechanism of the key.
    pub fn new(did: Did, epoch: u64, kem: impl Into<EncapsulationKey>) -> Self {
        let kem = kem.into();
        Self {
            did,
            epoch,
            key_id: kem.key_id(),
            kem,
            not_before: UnixMillis(epoch.saturating_mul(EPOCH_MS)),
            expires: UnixMillis(epoch.saturating_add(1).saturating_mul(EPOCH_MS)),
        }
    }

    /// Signs the record with the operator key. The derived fields are not on the wire.
    pub fn sign(&self, operator: &SigningKey) -> Vec<u8> {
        let body = cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("did", Value::Text(self.did.to_string())),
            ("su", Value::Unsigned(number_of(self.kem.algorithm()))),
            ("ep", Value::Unsigned(self.epoch)),
            ("key", Value::Bytes(self.kem.to_bytes())),
        ]);
        SignedBody::sign(Domain::Prekey, &body, operator).to_bytes()
    }

    /// Verifies a signed prekey: signature, DID, mechanism, and that its epoch is today's or tomorrow's.
    ///
    /// # Errors
    /// [`RecordError::Expired`] for an earlier epoch, [`RecordError::NotYetValid`] for one after tomorrow; otherwise
    /// what is wrong with the bytes, the signature or the DID.
    pub fn verify(bytes: &[u8], document: &DidDocument, now: UnixMillis) -> Result<Self, RecordError> {
        let signed = SignedBody::from_bytes(bytes, RECORD_BYTES_MAX)?;
        signed.verify_any(Domain::Prekey, document.operators())?;
        let mut fields = signed.fields()?;
        expect_version(&mut fields)?;
        expect_did(&mut fields, document.did())?;
        let algorithm = algorithm_of(fields.unsigned("su")?)?;
        let epoch = fields.unsigned("ep")?;
        let kem = EncapsulationKey::from_bytes(algorithm, &fields.bytes("key")?)?;
        fields.finish()?;

        let prekey = Self::new(document.did().clone(), epoch, kem);
        // Tomorrow's key is published today: it may be a whole epoch early.
        check_time(prekey.not_before.saturating_sub_ms(EPOCH_MS), prekey.expires, now)?;
        Ok(prekey)
    }

    /// Is this the key to use at `now`? Skew is allowed for: the receiver keeps a key long after its epoch.
    pub fn is_current_at(&self, now: UnixMillis) -> bool {
        self.epoch == epoch_of(now)
    }
}

/// How records name a mechanism: by the first suite that chooses it.
fn number_of(algorithm: KemAlgorithm) -> u64 {
    let suite = match algorithm {
        KemAlgorithm::XWing => Suite::X0001,
        KemAlgorithm::MlKem768 => Suite::X0101,
    };
    suite.id().into()
}

fn algorithm_of(number: u64) -> Result<KemAlgorithm, UnsupportedSuite> {
    [KemAlgorithm::XWing, KemAlgorithm::MlKem768]
        .into_iter()
        .find(|algorithm| number_of(*algorithm) == number)
        .ok_or(UnsupportedSuite(u32::try_from(number).unwrap_or(u32::MAX)))
}
