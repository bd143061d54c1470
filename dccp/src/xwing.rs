//! X-Wing, the hybrid of X25519 and ML-KEM-768, byte for byte as draft-connolly-cfrg-xwing-kem-10.
//!
//! A decapsulation key is a 32-octet seed. It is expanded once (`ml-kem` derives the 2400-octet ML-KEM key, which
//! aws-lc-rs cannot do from a seed) and then kept ready in aws-lc-rs. The expanded key never leaves the process
//! (draft §5.5.1).
//!
//! Low-order X25519 points: the draft computes on; aws-lc-rs refuses an all-zero result (RFC 7748 §6.1 permits the
//! check). No honest key or ciphertext is a low-order point, so we refuse too: [`KemError`].

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::digest::{Context, SHA3_256};
use aws_lc_rs::kem::{self, ML_KEM_768};
use rand::CryptoRng;
use shake::{ExtendableOutput as _, Shake256, Update as _, XofReader as _};
use zeroize::Zeroizing;

pub use crate::kem::{KemError, SharedSecret};
use crate::keys::{ALGORITHM_XWING, BadKey, KeyId};
use crate::mlkem;

const ML_KEM_KEY_BYTES: usize = 1184;
const ML_KEM_CIPHERTEXT_BYTES: usize = 1088;
const X25519_BYTES: usize = 32;
/// A decapsulation key: the seed.
pub const SEED_BYTES: usize = 32;
/// An encapsulation key: ML-KEM-768 (1184) ‖ X25519 (32).
pub const ENCAPSULATION_KEY_BYTES: usize = ML_KEM_KEY_BYTES + X25519_BYTES;
/// A ciphertext: ML-KEM-768 (1088) ‖ X25519 (32).
pub const CIPHERTEXT_BYTES: usize = ML_KEM_CIPHERTEXT_BYTES + X25519_BYTES;

/// `\.//^\`, draft §5.3.
const LABEL: [u8; 6] = [0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c];

/// A private key, expanded and ready.
pub struct DecapsulationKey {
    seed: Zeroizing<[u8; SEED_BYTES]>,
    ml_kem: kem::DecapsulationKey,
    x25519: PrivateKey,
    public: EncapsulationKey,
}

impl DecapsulationKey {
    /// Expands a seed (draft §5.2, `expandDecapsulationKey`).
    #[expect(
        clippy::expect_used,
        reason = "all lengths are fixed here; the library fails only without memory"
    )]
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Self {
        let expanded = expand(seed);
        let (ml_kem_seed, x25519_scalar) = expanded.split_first_chunk().expect("64 of the 96 octets");
        let (ml_kem, ml_kem_public) = mlkem::expand(ml_kem_seed);
        let x25519 = PrivateKey::from_private_key(&X25519, x25519_scalar).expect("32-octet X25519 scalar");
        let x25519_public = x25519.compute_public_key().expect("X25519 public key");
        let public = [ml_kem_public.as_slice(), x25519_public.as_ref()].concat();
        let public = EncapsulationKey::from_bytes(&public).expect("a public key we just derived");
        Self { seed: Zeroizing::new(*seed), ml_kem, x25519, public }
    }

    /// A fresh key from 32 octets of `rng`.
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

    /// Recovers the shared secret (draft §5.5). A ciphertext made for another key gives another secret, not an
    /// error: ML-KEM rejects implicitly, and the AEAD above notices.
    ///
    /// # Errors
    /// [`KemError`] when the length is wrong or the X25519 half is a low-order point.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<SharedSecret, KemError> {
        if ciphertext.len() != CIPHERTEXT_BYTES {
            return Err(KemError);
        }
        let (ct_m, ct_x) = ciphertext.split_at_checked(ML_KEM_CIPHERTEXT_BYTES).ok_or(KemError)?;
        let ss_m = self.ml_kem.decapsulate(kem::Ciphertext::from(ct_m)).map_err(|_| KemError)?;
        agree(&self.x25519, UnparsedPublicKey::new(&X25519, ct_x), KemError, |ss_x| {
            Ok(combine(ss_m.as_ref(), ss_x, ct_x, self.public.x25519()))
        })
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
    /// [`BadKey`] when the length is another or the library refuses the ML-KEM half.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() != ENCAPSULATION_KEY_BYTES {
            return Err(BadKey);
        }
        let (ml_kem, _) = bytes.split_at_checked(ML_KEM_KEY_BYTES).ok_or(BadKey)?;
        let ml_kem = kem::EncapsulationKey::new(&ML_KEM_768, ml_kem).map_err(|_| BadKey)?;
        Ok(Self(Arc::new(ParsedKey {
            bytes: bytes.to_vec(),
            key_id: KeyId::of(ALGORITHM_XWING, bytes),
            ml_kem,
        })))
    }

    /// ML-KEM-768 (1184) ‖ X25519 (32).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.bytes.clone()
    }

    /// The short name of this key, as the header of a sealed message carries it.
    pub fn key_id(&self) -> KeyId {
        self.0.key_id
    }

    /// Makes a ciphertext ([`CIPHERTEXT_BYTES`]) and the secret it carries (draft §5.4). The X25519 ephemeral comes
    /// from `rng`; ML-KEM's randomness comes from the library's own generator, which takes no argument.
    ///
    /// # Errors
    /// [`KemError`] when the key is malformed (FIPS 203 §7.2) or its X25519 half is a low-order point.
    pub fn encapsulate(&self, rng: &mut impl CryptoRng) -> Result<(Vec<u8>, SharedSecret), KemError> {
        let mut scalar = Zeroizing::new([0; X25519_BYTES]);
        rng.fill_bytes(scalar.as_mut_slice());
        let ephemeral = PrivateKey::from_private_key(&X25519, scalar.as_slice()).map_err(|_| KemError)?;
        let ct_x: agreement::PublicKey = ephemeral.compute_public_key().map_err(|_| KemError)?;
        let (ct_m, ss_m) = self.0.ml_kem.encapsulate().map_err(|_| KemError)?;
        let secret = agree(&ephemeral, UnparsedPublicKey::new(&X25519, self.x25519()), KemError, |ss_x| {
            Ok(combine(ss_m.as_ref(), ss_x, ct_x.as_ref(), self.x25519()))
        })?;
        Ok(([ct_m.as_ref(), ct_x.as_ref()].concat(), secret))
    }

    fn x25519(&self) -> &[u8] {
        self.0.bytes.get(ML_KEM_KEY_BYTES..).unwrap_or_default()
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

/// Draft §5.3: SHA3-256(ss_M ‖ ss_X ‖ ct_X ‖ pk_X ‖ label).
fn combine(ss_m: &[u8], ss_x: &[u8], ct_x: &[u8], pk_x: &[u8]) -> SharedSecret {
    let mut hash = Context::new(&SHA3_256);
    for part in [ss_m, ss_x, ct_x, pk_x, LABEL.as_slice()] {
        hash.update(part);
    }
    SharedSecret::copied(hash.finish().as_ref())
}

/// SHAKE256(seed, 96 octets): d ‖ z for ML-KEM-768, then the X25519 scalar.
fn expand(seed: &[u8; SEED_BYTES]) -> Zeroizing<[u8; 96]> {
    let mut expanded = Zeroizing::new([0; 96]);
    Shake256::default().chain(seed).finalize_xof().read(expanded.as_mut_slice());
    expanded
}

#[cfg(test)]
mod tests;
