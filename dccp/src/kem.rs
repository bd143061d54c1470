//! Keys that messages are sealed to, of either mechanism that a suite may choose.

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::keys::{BadKey, KeyId};
use crate::suite::KemAlgorithm;
use crate::{mlkem, xwing};

/// 32 octets that both sides now share. Zeroed on drop, never printed.
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<[u8; 32]>);

impl SharedSecret {
    /// A secret of up to 32 octets; the mechanisms all make exactly 32.
    pub(crate) fn copied(octets: &[u8]) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        secret.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        Self(secret)
    }

    /// The secret, as input to a key derivation.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// The key or the ciphertext is not one that an honest peer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed or degenerate KEM key or ciphertext")]
pub struct KemError;

/// A public key; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncapsulationKey {
    /// For suites 0x0001, 0x0002 and 0x0102.
    XWing(xwing::EncapsulationKey),
    /// For suite 0x0101.
    MlKem768(mlkem::EncapsulationKey),
}

impl EncapsulationKey {
    /// Parses a key of one mechanism.
    ///
    /// # Errors
    /// [`BadKey`] when the length is another or the library refuses it.
    pub fn from_bytes(algorithm: KemAlgorithm, bytes: &[u8]) -> Result<Self, BadKey> {
        match algorithm {
            KemAlgorithm::XWing => xwing::EncapsulationKey::from_bytes(bytes).map(Self::XWing),
            KemAlgorithm::MlKem768 => mlkem::EncapsulationKey::from_bytes(bytes).map(Self::MlKem768),
        }
    }

    /// Which mechanism it is for.
    pub fn algorithm(&self) -> KemAlgorithm {
        match self {
            Self::XWing(_) => KemAlgorithm::XWing,
            Self::MlKem768(_) => KemAlgorithm::MlKem768,
        }
    }

    /// The octets, as records carry them.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::XWing(key) => key.to_bytes(),
            Self::MlKem768(key) => key.to_bytes(),
        }
    }

    /// The short name of this key, as the header of a sealed message carries it.
    pub fn key_id(&self) -> KeyId {
        match self {
            Self::XWing(key) => key.key_id(),
            Self::MlKem768(key) => key.key_id(),
        }
    }

    /// Makes a ciphertext and the secret it carries.
    ///
    /// # Errors
    /// [`KemError`] when the key is malformed (FIPS 203 §7.2) or its X25519 half is a low-order point.
    pub fn encapsulate(&self, rng: &mut impl CryptoRng) -> Result<(Vec<u8>, SharedSecret), KemError> {
        match self {
            Self::XWing(key) => key.encapsulate(rng),
            Self::MlKem768(key) => key.encapsulate(),
        }
    }
}

impl From<xwing::EncapsulationKey> for EncapsulationKey {
    fn from(key: xwing::EncapsulationKey) -> Self {
        Self::XWing(key)
    }
}

impl From<mlkem::EncapsulationKey> for EncapsulationKey {
    fn from(key: mlkem::EncapsulationKey) -> Self {
        Self::MlKem768(key)
    }
}

/// A private key, expanded and ready. Never printed; its seed is zeroed on drop.
#[derive(Debug)]
pub struct DecapsulationKey {
    private: Private,
    public: EncapsulationKey,
}

#[derive(Debug)]
enum Private {
    XWing(xwing::DecapsulationKey),
    MlKem768(mlkem::DecapsulationKey),
}

impl DecapsulationKey {
    /// Expands a seed of [`KemAlgorithm::seed_bytes`] octets.
    ///
    /// # Errors
    /// [`BadKey`] when the length is another.
    pub fn from_seed(algorithm: KemAlgorithm, seed: &[u8]) -> Result<Self, BadKey> {
        match algorithm {
            KemAlgorithm::XWing => {
                let seed = Zeroizing::new(seed.try_into().map_err(|_| BadKey)?);
                Ok(xwing::DecapsulationKey::from_seed(&seed).into())
            }
            KemAlgorithm::MlKem768 => {
                let seed = Zeroizing::new(seed.try_into().map_err(|_| BadKey)?);
                Ok(mlkem::DecapsulationKey::from_seed(&seed).into())
            }
        }
    }

    /// A fresh key from octets of `rng`.
    pub fn generate(algorithm: KemAlgorithm, rng: &mut impl CryptoRng) -> Self {
        match algorithm {
            KemAlgorithm::XWing => xwing::DecapsulationKey::generate(rng).into(),
            KemAlgorithm::MlKem768 => mlkem::DecapsulationKey::generate(rng).into(),
        }
    }

    /// The seed, for storage under a key of its own.
    pub fn seed(&self) -> Zeroizing<Vec<u8>> {
        match &self.private {
            Private::XWing(key) => Zeroizing::new(key.seed().to_vec()),
            Private::MlKem768(key) => Zeroizing::new(key.seed().to_vec()),
        }
    }

    /// Which mechanism it is for.
    pub fn algorithm(&self) -> KemAlgorithm {
        self.public.algorithm()
    }

    /// The public half.
    pub fn encapsulation_key(&self) -> &EncapsulationKey {
        &self.public
    }

    /// Recovers the shared secret. A ciphertext made for another key gives another secret, not an error: ML-KEM
    /// rejects implicitly, and the AEAD above notices.
    ///
    /// # Errors
    /// [`KemError`] when the length is wrong or the X25519 half is a low-order point.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<SharedSecret, KemError> {
        match &self.private {
            Private::XWing(key) => key.decapsulate(ciphertext),
            Private::MlKem768(key) => key.decapsulate(ciphertext),
        }
    }
}

impl From<xwing::DecapsulationKey> for DecapsulationKey {
    fn from(key: xwing::DecapsulationKey) -> Self {
        Self { public: key.encapsulation_key().clone().into(), private: Private::XWing(key) }
    }
}

impl From<mlkem::DecapsulationKey> for DecapsulationKey {
    fn from(key: mlkem::DecapsulationKey) -> Self {
        Self { public: key.encapsulation_key().clone().into(), private: Private::MlKem768(key) }
    }
}
