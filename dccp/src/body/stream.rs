//! The cipher of one body: AES-256-GCM in the STREAM construction.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::{BodyKey, KEY_BYTES, TAG_BYTES};

/// Separates the key of the cipher from every other use of a 32-octet secret.
const LABEL: &[u8] = b"DCCP-BODY-v1\0";
const PREFIX_BYTES: usize = 7;

/// Seals and opens the chunks of one body, each by its place in it.
pub(super) struct Stream {
    key: LessSafeKey,
    prefix: [u8; PREFIX_BYTES],
}

impl Stream {
    /// `HKDF-SHA256(salt: empty, ikm: key, info: label)` → key of the cipher (32) ‖ prefix of the nonces (7).
    pub(super) fn new(key: &BodyKey) -> Result<Self, Unspecified> {
        let mut okm = Zeroizing::new([0; KEY_BYTES + PREFIX_BYTES]);
        Salt::none(HKDF_SHA256)
            .extract(key.0.as_slice())
            .expand(&[LABEL], KeyAndPrefix)?
            .fill(okm.as_mut_slice())?;
        let (key, prefix) = okm.split_at(KEY_BYTES);
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?),
            prefix: prefix.try_into().map_err(|_| Unspecified)?,
        })
    }

    /// Encrypts a chunk where it lies and gives its tag.
    pub(super) fn seal(&self, index: u32, last: bool, chunk: &mut [u8]) -> Result<Tag, Unspecified> {
        self.key.seal_in_place_separate_tag(self.nonce(index, last), Aad::empty(), chunk)
    }

    /// Decrypts a chunk, ciphertext ‖ tag, into `clear`, which is as long as the ciphertext.
    pub(super) fn open(
        &self,
        index: u32,
        last: bool,
        sealed: &[u8],
        clear: &mut [u8],
    ) -> Result<(), Unspecified> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Unspecified)?;
        self.key.open_separate_gather(self.nonce(index, last), Aad::empty(), ciphertext, tag, clear)
    }

    /// Prefix (7) ‖ index (u32) ‖ 1 for the last chunk, else 0.
    fn nonce(&self, index: u32, last: bool) -> Nonce {
        let [a, b, c, d, e, f, g] = self.prefix;
        let [h, i, j, k] = index.to_be_bytes();
        Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, u8::from(last)])
    }
}

struct KeyAndPrefix;

impl KeyType for KeyAndPrefix {
    fn len(&self) -> usize {
        KEY_BYTES + PREFIX_BYTES
    }
}
