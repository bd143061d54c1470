//! Sealing and opening: sign, then encrypt, to one recipient key, in suite 0x0001.
//!
//! ```text
//! Message ─► AgentMessage ─ sign ─► Signed ─ pad ─► AES-256-GCM ─► SealedMessage
//!                                              key: HKDF-SHA256(X-Wing secret)
//!                                              aad: the header, octet for octet
//! SealedMessage ─ parse (no keys) ─ unseal (our key) ─► Unverified ─ verify (their key) ─► Opened
//! ```
//!
//! Recipients and suite are inside the signature, so that a recipient cannot re-seal a message to a third party and
//! nobody can downgrade it. The sender is inside the ciphertext. What is signed is the exact bytes, never a
//! re-encoding.

mod open;
mod padding;
mod sealed;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::keys::{Domain, KeyId, SIGNATURE_BYTES, SigningKey};
use crate::message::{FsClass, Message, MessageError};
use crate::xwing::{CIPHERTEXT_BYTES, EncapsulationKey, KemError};
use crate::{Did, Suite, UnixMillis, wire};

pub use open::{OpenError, Opened, Unverified, unseal};
pub use sealed::{MAILBOX_BYTES, SealedMessage, SealedMessageError, mailbox};

/// The version of the sealed form.
pub const VERSION: u32 = 1;

const TAG_BYTES: usize = 16;
/// The length of `Signed` in front of it, before the padding.
const LENGTH_BYTES: usize = 4;
const KEY_ID_BYTES: usize = 16;
const KEY_SCHEDULE_LABEL: &[u8] = b"DCCP-SEAL-v1\0";

/// A key of the recipient, and what is known about it.
#[derive(Clone, Debug)]
pub struct RecipientKey {
    /// Whose key it is.
    pub did: Did,
    /// The suite it is for.
    pub suite: Suite,
    /// The id of `kem`.
    pub key_id: KeyId,
    /// The key.
    pub kem: EncapsulationKey,
    /// Whether it is a prekey or the key of the manifest.
    pub fs_class: FsClass,
}

/// Why a message was not sealed. All of it is ours to mend, except a partner's degenerate key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Ours: a field of the message is out of bounds.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Ours: the message is not for the owner of the key, or names another suite or protection than the key has.
    #[error("message and recipient key disagree about `{0}`")]
    Mismatch(&'static str),
    /// Ours: it would be expired before it leaves.
    #[error("message has expired")]
    Expired,
    /// Theirs: the recipient published a key that no honest key generation makes.
    #[error(transparent)]
    RecipientKey(#[from] KemError),
    /// Ours: the cryptographic library failed (out of memory).
    #[error("encryption failed")]
    Encryption,
}

/// Signs and encrypts a message to one recipient key, in one buffer. `now` sets the time to live and the mailbox tag.
///
/// # Errors
/// Any [`SealError`].
pub fn seal(
    message: &Message,
    to: &RecipientKey,
    signer: &SigningKey,
    now: UnixMillis,
    rng: &mut impl CryptoRng,
) -> Result<SealedMessage, SealError> {
    check(message, to, now)?;
    let (kem_ct, secret) = to.kem.encapsulate(rng)?;
    let header = header(message, to, now, kem_ct);
    let body = message.to_wire();

    let header_length = header.encoded_len();
    let signed_length = signed_len(body.encoded_len());
    let plain_length = padding::padded_len(LENGTH_BYTES + signed_length);
    let cipher_length = plain_length + TAG_BYTES;
    let mut out = Vec::with_capacity(header_length + delimited_len(sealed::CIPHERTEXT_FIELD, cipher_length));
    header.encode_raw(&mut out);
    encode_key(sealed::CIPHERTEXT_FIELD, WireType::LengthDelimited, &mut out);
    encode_varint(cipher_length as u64, &mut out);

    let plain_at = out.len();
    let length = u32::try_from(signed_length).map_err(|_| MessageError::OutOfBounds("payload"))?;
    out.extend_from_slice(&length.to_be_bytes());
    write_signed(&mut out, &body, signer);
    out.resize(plain_at + plain_length, 0);

    let (head, plain) = out.split_at_mut(plain_at);
    let aad = head.get(..header_length).ok_or(SealError::Encryption)?;
    let (key, nonce) = key_schedule(secret.as_bytes(), to.suite).map_err(|_| SealError::Encryption)?;
    let tag =
        key.seal_in_place_separate_tag(nonce, Aad::from(aad), plain).map_err(|_| SealError::Encryption)?;
    out.extend_from_slice(tag.as_ref());
    SealedMessage::from_parts(Bytes::from(out), header, header_length, plain_at)
        .map_err(|_| SealError::Encryption)
}

fn check(message: &Message, to: &RecipientKey, now: UnixMillis) -> Result<(), SealError> {
    message.check()?;
    let agree = |holds: bool, field| if holds { Ok(()) } else { Err(SealError::Mismatch(field)) };
    agree(message.recipients.contains(&to.did), "recipient")?;
    agree(message.suite == to.suite, "suite")?;
    agree(message.fs_class == to.fs_class, "fs_class")?;
    agree(to.key_id == to.kem.key_id(), "key_id")?;
    if message.expires <= now { Err(SealError::Expired) } else { Ok(()) }
}

fn header(message: &Message, to: &RecipientKey, now: UnixMillis, kem_ct: Vec<u8>) -> wire::SealedMessage {
    let ttl_ms = message.expires.as_u64().saturating_sub(now.as_u64());
    wire::SealedMessage {
        version: VERSION,
        suite: to.suite.id(),
        mailbox: Bytes::copy_from_slice(&mailbox(&to.did, now)),
        key_id: Bytes::copy_from_slice(to.key_id.as_bytes()),
        kem_ct: kem_ct.into(),
        class: message.class.number(),
        ttl_s: u32::try_from(ttl_ms.div_ceil(1000)).unwrap_or(u32::MAX),
        ciphertext: Bytes::new(),
    }
}

// Fields of `Signed` and `Signature` (dccp.proto). They are written by hand because the signature is over bytes that
// are already in the buffer.
const BODY_FIELD: u32 = 1;
const SIGNATURES_FIELD: u32 = 2;

fn write_signed(out: &mut Vec<u8>, body: &wire::AgentMessage, signer: &SigningKey) {
    encode_key(BODY_FIELD, WireType::LengthDelimited, out);
    encode_varint(body.encoded_len() as u64, out);
    let body_at = out.len();
    body.encode_raw(out);

    let signature = signer.sign(Domain::Message, out.get(body_at..).unwrap_or_default());
    let signature = wire::Signature {
        key_id: Bytes::copy_from_slice(signer.verifying_key().key_id().as_bytes()),
        signature: Bytes::copy_from_slice(signature.as_bytes()),
    };
    prost::encoding::message::encode(SIGNATURES_FIELD, &signature, out);
}

/// The length of `Signed` around a body of this length.
fn signed_len(body: usize) -> usize {
    // The two byte strings of `Signature` have one-octet keys (fields 1 and 2).
    let signature = delimited_len(1, KEY_ID_BYTES) + delimited_len(2, SIGNATURE_BYTES);
    delimited_len(BODY_FIELD, body) + delimited_len(SIGNATURES_FIELD, signature)
}

/// The length of a length-delimited field with contents of this length.
fn delimited_len(field: u32, contents: usize) -> usize {
    key_len(field) + encoded_len_varint(contents as u64) + contents
}

/// `HKDF-SHA256(salt: empty, ikm: X-Wing secret, info: label ‖ suite)` → key (32) ‖ nonce (12). The secret is used
/// for one message only, so the nonce may be derived.
fn key_schedule(
    secret: &[u8; 32],
    suite: Suite,
) -> Result<(LessSafeKey, Nonce), aws_lc_rs::error::Unspecified> {
    let mut okm = Zeroizing::new([0; KeyAndNonce::BYTES]);
    let suite = suite.id().to_be_bytes();
    let info = [KEY_SCHEDULE_LABEL, suite.as_slice()];
    let prk = Salt::none(HKDF_SHA256).extract(secret);
    prk.expand(&info, KeyAndNonce)?.fill(okm.as_mut_slice())?;
    let (key, nonce) = okm.split_at(KeyAndNonce::KEY_BYTES);
    Ok((LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?), Nonce::try_assume_unique_for_key(nonce)?))
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

const _: () = assert!(CIPHERTEXT_BYTES == 1120, "the header is documented with this length");

#[cfg(test)]
mod tests;
