//! Hybrid signing keys: Ed25519 and ML-DSA-65 over the same bytes, and both must verify.
//!
//! The bytes that are signed are always `label ‖ SHA-512(message)`: the label keeps a signature made for one
//! purpose from being presented for another, and the hash lets both algorithms read a 25 MB mail once.

mod device;
pub mod falcon;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair as _, ML_DSA_65, ML_DSA_65_SIGNING, ParsedPublicKey, PqdsaKeyPair,
};
use rand::CryptoRng;
use zeroize::Zeroizing;

pub use device::{DeviceSigner, DeviceVerifier, NoSigningKey};

/// Algorithm id of Ed25519 + ML-DSA-65, hashed into key ids and pre-rotation commitments.
pub(crate) const ALGORITHM_HYBRID_SIGNATURE: u16 = 0x0001;
/// Algorithm id of FN-DSA-512, hashed into key ids.
pub(crate) const ALGORITHM_FN_DSA_512: u16 = 0x0002;
/// Algorithm id of X-Wing, hashed into key ids.
pub(crate) const ALGORITHM_XWING: u16 = 0x0101;
/// Algorithm id of ML-KEM-768, hashed into key ids.
pub(crate) const ALGORITHM_ML_KEM_768: u16 = 0x0102;

const ED25519_KEY_BYTES: usize = 32;
const ML_DSA_65_KEY_BYTES: usize = 1952;
/// A verifying key: Ed25519 (32) ‖ ML-DSA-65 (1952).
pub const VERIFYING_KEY_BYTES: usize = ED25519_KEY_BYTES + ML_DSA_65_KEY_BYTES;

const ED25519_SIGNATURE_BYTES: usize = 64;
const ML_DSA_65_SIGNATURE_BYTES: usize = 3309;
/// A signature: Ed25519 (64) ‖ ML-DSA-65 (3309).
pub const SIGNATURE_BYTES: usize = ED25519_SIGNATURE_BYTES + ML_DSA_65_SIGNATURE_BYTES;

/// What a signature is for. The label is part of the signed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// An operation of a DID log.
    DidOperation,
    /// A device manifest.
    Manifest,
    /// A node record.
    NodeRecord,
    /// An epoch prekey.
    Prekey,
    /// The root over a stock of one-time prekeys.
    PrekeyStock,
    /// The body of a message.
    Message,
    /// The root over a batch of messages.
    Batch,
    /// A succession notice: a domain goes over from one DID to another.
    Succession,
    /// A head record: the state of a DID as it is published.
    Head,
    /// An organisation's answer to a question about an address or its tree of bindings.
    FindAnswer,
    /// The head of an organisation's tree of bindings.
    TreeHead,
}

impl Domain {
    /// The label, with its terminating zero.
    pub const fn label(self) -> &'static [u8] {
        match self {
            Self::DidOperation => b"DCCP-DID-OP-v1\0",
            Self::Manifest => b"DCCP-MANIFEST-v1\0",
            Self::NodeRecord => b"DCCP-NODE-v1\0",
            Self::Prekey => b"DCCP-PREKEY-v1\0",
            Self::PrekeyStock => b"DCCP-STOCK-v1\0",
            Self::Message => b"DCCP-MSG-v1\0",
            Self::Batch => b"DCCP-BATCH-v1\0",
            Self::Succession => b"DCCP-SUCCESSION-v1\0",
            Self::Head => b"DCCP-HEAD-v1\0",
            Self::FindAnswer => b"DCCP-FIND-v1\0",
            Self::TreeHead => b"DCCP-TREE-HEAD-v1\0",
        }
    }

    fn signed_bytes(self, message: &[u8]) -> Vec<u8> {
        let hash = digest(&SHA512, message);
        [self.label(), hash.as_ref()].concat()
    }
}

/// A hybrid private key. Never printed; its seed is zeroed on drop.
pub struct SigningKey {
    seed: Zeroizing<[u8; 64]>,
    ed25519: Ed25519KeyPair,
    ml_dsa: PqdsaKeyPair,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// The key of a seed: 32 octets for Ed25519 (RFC 8032 §5.1.5) ‖ 32 octets for ML-DSA-65 (FIPS 204 §6.1, ξ).
    #[expect(clippy::expect_used, reason = "fails only on a wrong length (fixed here) or without memory")]
    pub fn from_seed(seed: &[u8; 64]) -> Self {
        let (classical, lattice) = seed.split_at(32);
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(classical).expect("32-octet Ed25519 seed");
        let ml_dsa = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, lattice).expect("32-octet ML-DSA-65 seed");
        let public = [ed25519.public_key().as_ref(), ml_dsa.public_key().as_ref()].concat();
        let verifying = VerifyingKey::from_bytes(&public).expect("a public key we just derived");
        Self { seed: Zeroizing::new(*seed), ed25519, ml_dsa, verifying }
    }

    /// A fresh key from 64 octets of `rng`.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 64]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// The seed, for storage under a key of its own.
    pub fn seed(&self) -> Zeroizing<[u8; 64]> {
        self.seed.clone()
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs `message` for one purpose. ML-DSA is hedged with randomness of the library's own generator.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        self.sign_bytes(&domain.signed_bytes(message))
    }

    fn sign_bytes(&self, bytes: &[u8]) -> Signature {
        Signature([self.sign_ed25519(bytes), self.sign_ml_dsa(bytes)].concat())
    }

    fn sign_ed25519(&self, bytes: &[u8]) -> Vec<u8> {
        self.ed25519.sign(bytes).as_ref().to_vec()
    }

    #[expect(clippy::expect_used, reason = "signing fails only without memory; there is no honest fallback")]
    fn sign_ml_dsa(&self, bytes: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; ML_DSA_65_SIGNATURE_BYTES];
        self.ml_dsa.sign(bytes, &mut signature).expect("ML-DSA-65 signing");
        signature
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying.key_id())
    }
}

/// A hybrid public key, parsed once and cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey(Arc<ParsedKeys>);

struct ParsedKeys {
    bytes: Vec<u8>,
    key_id: KeyId,
    ed25519: ParsedPublicKey,
    ml_dsa: ParsedPublicKey,
}

impl VerifyingKey {
    /// Parses [`VERIFYING_KEY_BYTES`] octets.
    ///
    /// # Errors
    /// [`BadKey`] when the length is another or the library refuses one of the halves.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() != VERIFYING_KEY_BYTES {
            return Err(BadKey);
        }
        let (classical, lattice) = bytes.split_at_checked(ED25519_KEY_BYTES).ok_or(BadKey)?;
        let ed25519 = ParsedPublicKey::new(&ED25519, classical).map_err(|_| BadKey)?;
        let ml_dsa = ParsedPublicKey::new(&ML_DSA_65, lattice).map_err(|_| BadKey)?;
        let key_id = KeyId::of(ALGORITHM_HYBRID_SIGNATURE, bytes);
        Ok(Self(Arc::new(ParsedKeys { bytes: bytes.to_vec(), key_id, ed25519, ml_dsa })))
    }

    /// Ed25519 (32) ‖ ML-DSA-65 (1952).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.bytes.clone()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The short name of this key.
    pub fn key_id(&self) -> KeyId {
        self.0.key_id
    }

    /// Verifies both halves of a signature.
    ///
    /// # Errors
    /// [`BadSignature`] when either half does not verify, without saying which.
    pub fn verify(&self, domain: Domain, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        self.verify_bytes(&domain.signed_bytes(message), &signature.0)
    }

    fn verify_bytes(&self, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let (classical, lattice) = signature.split_at_checked(ED25519_SIGNATURE_BYTES).ok_or(BadSignature)?;
        self.verify_ed25519(bytes, classical)?;
        self.verify_ml_dsa(bytes, lattice)
    }

    fn verify_ed25519(&self, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.0.ed25519.verify_sig(bytes, signature).map_err(|_| BadSignature)
    }

    fn verify_ml_dsa(&self, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.0.ml_dsa.verify_sig(bytes, signature).map_err(|_| BadSignature)
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.key_id())
    }
}

/// A hybrid signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Takes [`SIGNATURE_BYTES`] octets.
    ///
    /// # Errors
    /// [`BadSignature`] when the length is another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadSignature> {
        if bytes.len() == SIGNATURE_BYTES { Ok(Self(bytes.to_vec())) } else { Err(BadSignature) }
    }

    /// Ed25519 (64) ‖ ML-DSA-65 (3309).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// The short name of a public key: the first 16 octets of `SHA-256(algorithm id (u16, big-endian) ‖ key)`.
///
/// A name, not a commitment: whoever acts on a key compares the whole key or verifies a signature with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    pub(crate) fn of(algorithm: u16, key: &[u8]) -> Self {
        let mut hash = aws_lc_rs::digest::Context::new(&SHA256);
        hash.update(&algorithm.to_be_bytes());
        hash.update(key);
        let mut id = [0; 16];
        id.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(id)
    }

    /// The 16 octets.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The bytes are not a public key of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid public key")]
pub struct BadKey;

/// The signature does not belong to this key, purpose and message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

#[cfg(test)]
mod tests;
