//! FN-DSA-512 (Falcon), for suite 0x0102. **Experimental**: FIPS 206 is not final, and keys and signatures of the
//! final standard may differ from these. It is therefore never alone: Ed25519 signs the same bytes.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use fn_dsa::{
    CryptoRng, DOMAIN_NONE, FN_DSA_LOGN_512, HASH_ID_RAW, KeyPairGenerator as _, KeyPairGenerator512,
    RngCore, RngError, SigningKey as _, SigningKey512, VerifyingKey as _, VerifyingKey512,
};
use shake::{ExtendableOutput as _, Shake256, Update as _, XofReader};
use zeroize::Zeroizing;

use super::{ALGORITHM_FN_DSA_512, BadKey, BadSignature, KeyId};

/// Separates what is derived for FN-DSA from every other use of a hybrid key's seed.
const DEVICE_LABEL: &[u8] = b"DCCP-FN-DSA-DEVICE-v1\0";

/// A private key, encoded.
pub const SIGNING_KEY_BYTES: usize = fn_dsa::sign_key_size(FN_DSA_LOGN_512);
/// A public key, encoded.
pub const VERIFYING_KEY_BYTES: usize = fn_dsa::vrfy_key_size(FN_DSA_LOGN_512);
/// A signature.
pub const SIGNATURE_BYTES: usize = fn_dsa::signature_size(FN_DSA_LOGN_512);

/// A private key. Never printed; zeroed on drop.
pub struct SigningKey {
    bytes: Zeroizing<Vec<u8>>,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// A fresh key (some milliseconds).
    pub fn generate(rng: &mut impl rand::CryptoRng) -> Self {
        Self::made_with(&mut Adapted(rng))
    }

    /// The key that a device has beside its hybrid key: the same each time, so that no second secret has to be kept.
    /// The library makes a key from 32 octets of randomness, which here are SHAKE256 of the hybrid key's seed; another
    /// version of the library may make another key of them.
    pub fn beside(hybrid: &super::SigningKey) -> Self {
        let derived = Shake256::default().chain(DEVICE_LABEL).chain(hybrid.seed().as_slice()).finalize_xof();
        Self::made_with(&mut Derived(derived))
    }

    #[expect(clippy::expect_used, reason = "a key that the library just made is one that it reads")]
    fn made_with(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut bytes = Zeroizing::new(vec![0; SIGNING_KEY_BYTES]);
        let mut public = [0; VERIFYING_KEY_BYTES];
        KeyPairGenerator512::default().keygen(FN_DSA_LOGN_512, rng, &mut bytes, &mut public);
        let verifying = VerifyingKey::from_bytes(&public).expect("a public key we just made");
        Self { bytes, verifying }
    }

    /// Parses an encoded key of [`SIGNING_KEY_BYTES`] octets.
    ///
    /// # Errors
    /// [`BadKey`] when it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() != SIGNING_KEY_BYTES {
            return Err(BadKey);
        }
        let key = SigningKey512::decode(bytes).ok_or(BadKey)?;
        let mut public = [0; VERIFYING_KEY_BYTES];
        key.to_verifying_key(&mut public);
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()), verifying: VerifyingKey::from_bytes(&public)? })
    }

    /// The encoded key, for storage under a key of its own.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.bytes.clone()
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs with randomness of the system's generator. The working state of the library (some 60 kB) lives for one
    /// signature, so that a key can be used by several threads.
    #[expect(clippy::expect_used, reason = "the key was decoded once and the buffer has the right length")]
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let mut key = Box::new(SigningKey512::decode(&self.bytes).expect("a key that was decoded before"));
        let mut signature = vec![0; SIGNATURE_BYTES];
        key.sign(&mut System(SystemRandom::new()), &DOMAIN_NONE, &HASH_ID_RAW, bytes, &mut signature)
            .expect("FN-DSA-512 signing");
        signature
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying.key_id())
    }
}

/// A public key, parsed once and cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey(Arc<ParsedKey>);

struct ParsedKey {
    bytes: [u8; VERIFYING_KEY_BYTES],
    key_id: KeyId,
    parsed: VerifyingKey512,
}

impl VerifyingKey {
    /// Parses [`VERIFYING_KEY_BYTES`] octets.
    ///
    /// # Errors
    /// [`BadKey`] when they are not a key of degree 512.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKey> {
        let bytes: [u8; VERIFYING_KEY_BYTES] = bytes.try_into().map_err(|_| BadKey)?;
        let parsed = VerifyingKey512::decode(&bytes).ok_or(BadKey)?;
        let key_id = KeyId::of(ALGORITHM_FN_DSA_512, &bytes);
        Ok(Self(Arc::new(ParsedKey { bytes, key_id, parsed })))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8; VERIFYING_KEY_BYTES] {
        &self.0.bytes
    }

    /// The short name of this key.
    pub fn key_id(&self) -> KeyId {
        self.0.key_id
    }

    pub(super) fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match self.0.parsed.verify(signature, &DOMAIN_NONE, &HASH_ID_RAW, bytes) {
            true => Ok(()),
            false => Err(BadSignature),
        }
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

/// Our generators as those of rand_core 0.6, which the library asks for.
struct Adapted<'a, R: rand::CryptoRng>(&'a mut R);

impl<R: rand::CryptoRng> RngCore for Adapted<'_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), RngError> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl<R: rand::CryptoRng> CryptoRng for Adapted<'_, R> {}

/// Octets that follow from a seed alone.
struct Derived<X: XofReader>(X);

impl<X: XofReader> RngCore for Derived<X> {
    fn next_u32(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.fill_bytes(&mut octets);
        u32::from_le_bytes(octets)
    }

    fn next_u64(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.fill_bytes(&mut octets);
        u64::from_le_bytes(octets)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.read(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), RngError> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl<X: XofReader> CryptoRng for Derived<X> {}

/// The generator that also hedges ML-DSA.
struct System(SystemRandom);

impl RngCore for System {
    fn next_u32(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.fill_bytes(&mut octets);
        u32::from_le_bytes(octets)
    }

    fn next_u64(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.fill_bytes(&mut octets);
        u64::from_le_bytes(octets)
    }

    #[expect(clippy::expect_used, reason = "without randomness there is no honest way on")]
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill(dest).expect("randomness of the system");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), RngError> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for System {}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn key(seed: u64) -> SigningKey {
        SigningKey::generate(&mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn a_stored_key_signs_for_the_same_public_key() {
        let stored = SigningKey::from_bytes(&key(1).to_bytes()).unwrap();
        assert_eq!(stored.verifying_key(), key(1).verifying_key());
        let signature = stored.sign(b"a message");
        assert_eq!(signature.len(), SIGNATURE_BYTES);
        assert_eq!(key(1).verifying_key().verify(b"a message", &signature), Ok(()));
        assert_eq!(key(2).verifying_key().verify(b"a message", &signature), Err(BadSignature));
        assert_eq!(stored.verifying_key().verify(b"another message", &signature), Err(BadSignature));
    }

    #[test]
    fn the_same_message_never_has_the_same_signature_twice() {
        // A repeated nonce under two messages would give Falcon's private key away.
        assert_ne!(key(1).sign(b"a message"), key(1).sign(b"a message"));
    }

    #[test]
    fn what_is_no_key_or_signature_of_degree_512_is_refused() {
        let key = key(1);
        let public = *key.verifying_key().as_bytes();
        for length in [0, 1, VERIFYING_KEY_BYTES - 1] {
            assert_eq!(VerifyingKey::from_bytes(&public[..length]).unwrap_err(), BadKey);
            assert_eq!(SigningKey::from_bytes(&key.to_bytes()[..length]).unwrap_err(), BadKey);
        }
        let of_degree_1024 = [&[0x0a], &public[1..]].concat();
        assert_eq!(VerifyingKey::from_bytes(&of_degree_1024).unwrap_err(), BadKey);
        assert_eq!(VerifyingKey::from_bytes(&[0xff; VERIFYING_KEY_BYTES]).unwrap_err(), BadKey);
        assert_eq!(SigningKey::from_bytes(&[0xff; SIGNING_KEY_BYTES]).unwrap_err(), BadKey);
        let signature = key.sign(b"a message");
        for length in [0, 1, SIGNATURE_BYTES - 1] {
            assert_eq!(key.verifying_key().verify(b"a message", &signature[..length]), Err(BadSignature));
        }
    }

    #[test]
    fn the_key_beside_a_hybrid_key_is_the_same_each_time_and_of_no_other() {
        let hybrid = |seed| crate::keys::SigningKey::from_seed(&[seed; 64]);
        let beside = SigningKey::beside(&hybrid(1));
        // Recorded: a manifest names this key, so a library that makes another one of the same seed must be noticed.
        assert_eq!(beside.verifying_key().key_id().to_string(), "aaa5aeeb56b63c5b53eab3afb021325a");
        assert_ne!(beside.verifying_key(), SigningKey::beside(&hybrid(2)).verifying_key());
        let signature = beside.sign(b"a message");
        assert_eq!(SigningKey::beside(&hybrid(1)).verifying_key().verify(b"a message", &signature), Ok(()));
    }

    #[test]
    fn private_keys_are_not_printed() {
        assert_eq!(format!("{:?}", key(1)), format!("SigningKey({})", key(1).verifying_key().key_id()));
    }
}
