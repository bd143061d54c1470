//! From a shared secret to the key and nonce of one message.

use aws_lc_rs::aead::{AES_256_GCM, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::Suite;
use crate::kem::SharedSecret;
use crate::suite::AeadAlgorithm;

const LABEL: &[u8] = b"DCCP-SEAL-v1\0";
const SESSION_LABEL: &[u8] = b"DCCP-SESSION-v1\0";

/// `HKDF-SHA256(salt: empty, ikm: secret, info)` → key (32) ‖ nonce (12), where info is `label ‖ suite`, in a session
/// `label ‖ suite ‖ number of the message`. Each info is used for one message, so the nonce may be derived.
pub(super) fn key_and_nonce(
    secret: &SharedSecret,
    suite: Suite,
    seq: Option<u64>,
) -> Result<(LessSafeKey, Nonce), Unspecified> {
    let mut okm = Zeroizing::new([0; KeyAndNonce::BYTES]);
    let suite_id = suite.id().to_be_bytes();
    let seq = seq.map(u64::to_be_bytes);
    let info = match &seq {
        None => [LABEL, &suite_id, &[]],
        Some(seq) => [SESSION_LABEL, &suite_id, seq],
    };
    let prk = Salt::none(HKDF_SHA256).extract(secret.as_bytes());
    prk.expand(&info, KeyAndNonce)?.fill(okm.as_mut_slice())?;
    let (key, nonce) = okm.split_at(KeyAndNonce::KEY_BYTES);
    let aead = match suite.choices().aead {
        AeadAlgorithm::Aes256Gcm => &AES_256_GCM,
        AeadAlgorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
    };
    Ok((LessSafeKey::new(UnboundKey::new(aead, key)?), Nonce::try_assume_unique_for_key(nonce)?))
}

struct KeyAndNonce;

impl KeyAndNonce {
    const KEY_BYTES: usize = 32;
    const BYTES: usize = Self::KEY_BYTES + 12;
}

impl KeyType for KeyAndNonce {
    fn len(&self) -> usize {
        Self::BYTES
    }
}
