//! The keys of a device: one hybrid key for all suites but one, and an FN-DSA key for suite 0x0102 if it has one.
//!
//! | suite | signs with |
//! |---|---|
//! | 0x0001, 0x0002 | both halves of the hybrid key |
//! | 0x0101 | the ML-DSA-65 half |
//! | 0x0102 | the Ed25519 half, and FN-DSA-512 |
//!
//! A half that signed for one suite must not pass for a half of another: for 0x0101 and 0x0102 the suite is part of
//! what is signed. (0x0001 signs what it always did; 0x0002 has the same algorithms, and the suite is in the body.)

use aws_lc_rs::digest::{SHA512, digest};

use super::{
    BadSignature, Domain, ED25519_SIGNATURE_BYTES, KeyId, SIGNATURE_BYTES, SigningKey, VerifyingKey, falcon,
};
use crate::Suite;
use crate::digest::sha256;
use crate::suite::SignatureAlgorithm;

/// Signs messages for a device.
#[derive(Debug)]
pub struct DeviceSigner {
    hybrid: SigningKey,
    falcon: Option<falcon::SigningKey>,
    verifying: DeviceVerifier,
}

impl DeviceSigner {
    /// A device that signs for every suite if it has an FN-DSA key, otherwise for all but 0x0102.
    pub fn new(hybrid: SigningKey, falcon: Option<falcon::SigningKey>) -> Self {
        let public = falcon.as_ref().map(|key| key.verifying_key().clone());
        let verifying = DeviceVerifier::new(hybrid.verifying_key().clone(), public);
        Self { hybrid, falcon, verifying }
    }

    /// The hybrid key.
    pub fn hybrid(&self) -> &SigningKey {
        &self.hybrid
    }

    /// The public half.
    pub fn verifying_key(&self) -> &DeviceVerifier {
        &self.verifying
    }

    /// Can it sign for this suite?
    pub fn signs_for(&self, suite: Suite) -> bool {
        self.verifying.signs_for(suite)
    }

    /// Signs `message` for one suite and purpose.
    ///
    /// # Errors
    /// [`NoSigningKey`] for suite 0x0102 without an FN-DSA key.
    pub fn sign(&self, suite: Suite, domain: Domain, message: &[u8]) -> Result<Vec<u8>, NoSigningKey> {
        let bytes = signed_bytes(suite, domain, message);
        match suite.choices().signature {
            SignatureAlgorithm::Ed25519MlDsa65 => Ok(self.hybrid.sign_bytes(&bytes).0),
            SignatureAlgorithm::MlDsa65 => Ok(self.hybrid.sign_ml_dsa(&bytes)),
            SignatureAlgorithm::Ed25519FnDsa512 => {
                let falcon = self.falcon.as_ref().ok_or(NoSigningKey(suite))?;
                Ok([self.hybrid.sign_ed25519(&bytes), falcon.sign(&bytes)].concat())
            }
        }
    }
}

impl From<SigningKey> for DeviceSigner {
    fn from(hybrid: SigningKey) -> Self {
        Self::new(hybrid, None)
    }
}

/// The device has no key for this suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this device has no key to sign for suite {0}")]
pub struct NoSigningKey(pub Suite);

/// Verifies what a device signed; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceVerifier {
    hybrid: VerifyingKey,
    falcon: Option<falcon::VerifyingKey>,
    fingerprint: [u8; 32],
}

impl DeviceVerifier {
    /// The public keys of one device.
    pub fn new(hybrid: VerifyingKey, falcon: Option<falcon::VerifyingKey>) -> Self {
        let second = falcon.as_ref().map_or([].as_slice(), |key| key.as_bytes().as_slice());
        let fingerprint = sha256(&[hybrid.as_bytes(), second]);
        Self { hybrid, falcon, fingerprint }
    }

    /// The hybrid key.
    pub fn hybrid(&self) -> &VerifyingKey {
        &self.hybrid
    }

    /// The FN-DSA key, if the device has one.
    pub fn falcon(&self) -> Option<&falcon::VerifyingKey> {
        self.falcon.as_ref()
    }

    /// The name under which the device signs, whatever the suite: that of its hybrid key.
    pub fn key_id(&self) -> KeyId {
        self.hybrid.key_id()
    }

    /// Can it sign for this suite?
    pub fn signs_for(&self, suite: Suite) -> bool {
        suite.choices().signature != SignatureAlgorithm::Ed25519FnDsa512 || self.falcon.is_some()
    }

    /// SHA-256 of all its keys: unlike [`key_id`](Self::key_id) a commitment to them.
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Verifies a signature of one suite; of two algorithms both.
    ///
    /// # Errors
    /// [`BadSignature`] when the length is not that of the suite, the device has no key for it, or either algorithm
    /// does not verify, without saying which.
    pub fn verify(
        &self,
        suite: Suite,
        domain: Domain,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let algorithm = suite.choices().signature;
        if signature.len() != algorithm.signature_bytes() {
            return Err(BadSignature);
        }
        let bytes = signed_bytes(suite, domain, message);
        let classical = || signature.split_at_checked(ED25519_SIGNATURE_BYTES).ok_or(BadSignature);
        match algorithm {
            SignatureAlgorithm::Ed25519MlDsa65 => self.hybrid.verify_bytes(&bytes, signature),
            SignatureAlgorithm::MlDsa65 => self.hybrid.verify_ml_dsa(&bytes, signature),
            SignatureAlgorithm::Ed25519FnDsa512 => {
                let falcon = self.falcon.as_ref().ok_or(BadSignature)?;
                let (ed25519, fn_dsa) = classical()?;
                self.hybrid.verify_ed25519(&bytes, ed25519)?;
                falcon.verify(&bytes, fn_dsa)
            }
        }
    }
}

impl From<VerifyingKey> for DeviceVerifier {
    fn from(hybrid: VerifyingKey) -> Self {
        Self::new(hybrid, None)
    }
}

fn signed_bytes(suite: Suite, domain: Domain, message: &[u8]) -> Vec<u8> {
    match suite {
        Suite::X0001 | Suite::X0002 => domain.signed_bytes(message),
        Suite::X0101 | Suite::X0102 => {
            let hash = digest(&SHA512, message);
            [domain.label(), &suite.id().to_be_bytes(), hash.as_ref()].concat()
        }
    }
}

const _: () = assert!(SIGNATURE_BYTES == SignatureAlgorithm::Ed25519MlDsa65.signature_bytes());
const _: () = assert!(falcon::SIGNATURE_BYTES + 64 == SignatureAlgorithm::Ed25519FnDsa512.signature_bytes());
