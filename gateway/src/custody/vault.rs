//! The vault seals what rests on disk to ourselves, under the storage key.
//!
//! ```text
//! storage key ─ HKDF-SHA256(record's 32-byte random salt, purpose) ─► AES-256-GCM key and nonce of this record only
//!             └ HKDF-SHA256("tag") ─► HMAC-SHA256 key for look-up tags
//! sealed record = version (1) ‖ salt (32) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! A fresh key per record means that no number of records wears the storage key out and that a nonce cannot repeat
//! under one key. The purpose is bound in: a record of one kind never opens as another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use rand::Rng;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const SALT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// What sealing adds to the clear text.
pub const OVERHEAD_BYTES: usize = 1 + SALT_BYTES + TAG_BYTES;

/// The storage key at work. Has no `Debug`.
pub struct Vault {
    storage_key: Zeroizing<[u8; 32]>,
    tag_key: hmac::Key,
}

/// A record that this vault did not seal for this purpose, or that was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored record cannot be opened: it was altered, or sealed under another storage key")]
pub struct VaultError;

impl Vault {
    /// A vault under this storage key.
    pub fn new(storage_key: Zeroizing<[u8; 32]>) -> Vault {
        let mut tag_key = Zeroizing::new([0; 32]);
        derive(&storage_key, b"", &[b"DCCP-VAULT-tag-v1\0"], tag_key.as_mut());
        Vault { tag_key: hmac::Key::new(hmac::HMAC_SHA256, tag_key.as_ref()), storage_key }
    }

    /// Seals `clear` for `purpose`; [`OVERHEAD_BYTES`] longer.
    pub fn seal(&self, purpose: &'static str, clear: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(clear.len() + OVERHEAD_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&[0; SALT_BYTES]);
        rand::rng().fill_bytes(&mut sealed[1..]);
        let (key, nonce) = self.record_key(purpose, &sealed[1..]);
        let mut body = Zeroizing::new(clear.to_vec());
        let tag = key.seal_in_place_separate_tag(nonce, aad(purpose), body.as_mut_slice());
        // AES-GCM refuses only inputs beyond 64 GiB, which no message of ours reaches.
        #[expect(clippy::expect_used, reason = "cannot fail below 64 GiB")]
        let tag = tag.expect("the record is shorter than 64 GiB");
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`seal`](Self::seal) made for the same purpose.
    ///
    /// # Errors
    /// [`VaultError`] for anything else.
    pub fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (version, rest) = sealed.split_first().ok_or(VaultError)?;
        let (salt, body) = rest.split_at_checked(SALT_BYTES).ok_or(VaultError)?;
        if *version != VERSION {
            return Err(VaultError);
        }
        let (key, nonce) = self.record_key(purpose, salt);
        let mut body = Zeroizing::new(body.to_vec());
        let length =
            key.open_in_place(nonce, aad(purpose), body.as_mut_slice()).map_err(|_| VaultError)?.len();
        body.truncate(length);
        Ok(body)
    }

    /// A keyed tag by which equal values are found again without being stored: a Message-ID, an address.
    pub fn tag(&self, purpose: &'static str, value: &[u8]) -> [u8; 16] {
        let mut hmac = hmac::Context::with_key(&self.tag_key);
        hmac.update(purpose.as_bytes());
        hmac.update(&[0]); // purposes have no zero byte, so no purpose and value run into another pair
        hmac.update(value);
        let mut tag = [0; 16];
        tag.iter_mut().zip(hmac.sign().as_ref()).for_each(|(to, from)| *to = *from);
        tag
    }

    fn record_key(&self, purpose: &str, salt: &[u8]) -> (LessSafeKey, Nonce) {
        key_and_nonce(&self.storage_key, salt, &[b"DCCP-VAULT-record-v1\0", purpose.as_bytes()])
    }
}

/// The AES-256-GCM key and nonce of one record, of a secret that makes them for nothing else than `salt` and `info` say.
pub(crate) fn key_and_nonce(secret: &[u8; 32], salt: &[u8], info: &[&[u8]]) -> (LessSafeKey, Nonce) {
    let mut derived = Zeroizing::new([0; KEY_BYTES + NONCE_LEN]);
    derive(secret, salt, info, derived.as_mut());
    let (key, nonce_bytes) = derived.split_at(KEY_BYTES);
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(nonce_bytes);
    #[expect(clippy::expect_used, reason = "the key has the length of the algorithm")]
    let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key");
    (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
}

/// Version and purpose are authenticated with each record.
fn aad(purpose: &str) -> Aad<Vec<u8>> {
    Aad::from([&[VERSION], purpose.as_bytes()].concat())
}

/// RFC 5869: extract with `salt`, expand with `info`, fill `out`.
fn derive(key: &[u8; 32], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(key);
    let filled = pseudorandom.expand(info, Length(out.len())).and_then(|okm| okm.fill(out));
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
    filled.expect("a few dozen bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(seed: u8) -> Vault {
        Vault::new(Zeroizing::new([seed; 32]))
    }

    #[test]
    fn what_was_sealed_opens_again_and_shows_nothing() {
        let sealed = vault(1).seal("slip", b"alice@acme.test");
        assert_eq!(vault(1).open("slip", &sealed).unwrap().as_slice(), b"alice@acme.test");
        assert_eq!(sealed.len(), b"alice@acme.test".len() + OVERHEAD_BYTES);
        assert!(!sealed.windows(5).any(|window| window == b"alice"));
        assert_eq!(vault(1).open("slip", &vault(1).seal("slip", b"")).unwrap().as_slice(), b"");
    }

    #[test]
    fn the_same_text_never_looks_the_same_twice() {
        assert_ne!(vault(1).seal("slip", b"text"), vault(1).seal("slip", b"text"));
    }

    #[test]
    fn a_record_opens_only_for_its_purpose_and_under_its_key() {
        let sealed = vault(1).seal("slip", b"text");
        assert_eq!(vault(1).open("summary", &sealed), Err(VaultError));
        assert_eq!(vault(2).open("slip", &sealed), Err(VaultError));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = vault(1).seal("slip", b"text");
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(vault(1).open("slip", &altered), Err(VaultError), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(vault(1).open("slip", &sealed[..length]), Err(VaultError), "length {length}");
        }
    }

    #[test]
    fn a_tag_is_the_same_for_the_same_value_key_and_purpose_only() {
        let tag = vault(1).tag("message-id", b"1@acme.test");
        assert_eq!(tag, vault(1).tag("message-id", b"1@acme.test"));
        assert_ne!(tag, vault(1).tag("message-id", b"2@acme.test"));
        assert_ne!(tag, vault(1).tag("address", b"1@acme.test"));
        assert_ne!(tag, vault(2).tag("message-id", b"1@acme.test"));
    }
}
