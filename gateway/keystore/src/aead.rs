//! AES-256-GCM under a key and a nonce that are both derived freshly for one record.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// Key and nonce of one record, as a key derivation gives them.
pub(crate) const DERIVED_BYTES: usize = KEY_BYTES + NONCE_LEN;

/// What sealing adds.
pub(crate) const TAG_BYTES: usize = 16;

/// Ciphertext ‖ tag.
#[expect(clippy::expect_used, reason = "AES-GCM refuses only inputs beyond 64 GiB")]
pub(crate) fn seal(derived: &[u8; DERIVED_BYTES], context: &[u8], clear: &[u8]) -> Vec<u8> {
    let (key, nonce) = key_and_nonce(derived);
    let mut body = Zeroizing::new(clear.to_vec());
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(context), body.as_mut_slice());
    [body.as_slice(), tag.expect("a key is shorter than 64 GiB").as_ref()].concat()
}

/// The clear text, or `None` when key, context or bytes are not the ones it was sealed with.
pub(crate) fn open(
    derived: &[u8; DERIVED_BYTES],
    context: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (key, nonce) = key_and_nonce(derived);
    let mut body = Zeroizing::new(sealed.to_vec());
    let length = key.open_in_place(nonce, Aad::from(context), body.as_mut_slice()).ok()?.len();
    body.truncate(length);
    Some(body)
}

#[expect(clippy::expect_used, reason = "the key has the length of the algorithm")]
fn key_and_nonce(derived: &[u8; DERIVED_BYTES]) -> (LessSafeKey, Nonce) {
    let (key, nonce_bytes) = derived.split_at(KEY_BYTES);
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(nonce_bytes);
    let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key");
    (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
}
