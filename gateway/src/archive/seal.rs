//! The sealed form of a copy.
//!
//! ```text
//! copy   = version 1 (1) ‖ suite 0x0001 (4) ‖ key id (16) ‖ X-Wing ciphertext (1120) ‖ AES-256-GCM(inside) ‖ tag (16)
//! inside = content (1) ‖ length of the facts (4) ‖ facts (JSON) ‖ the mail:
//!          content 0 octet for octet · 1 as it is read from a large body (`flows::bodies::rendition`)
//! key ‖ nonce = HKDF-SHA256(no salt, shared secret, "DCCP-ARCHIVE-copy-v1\0" ‖ all that stands in front)
//! ```
//!
//! Everything in front of the ciphertext is authenticated. Numbers are most significant octet first.

use aws_lc_rs::aead::Aad;
use bytes::Bytes;
use dccp::Suite;
use dccp::kem::KemError;
use dccp::keys::KeyId;
use dccp::xwing;
use rand::CryptoRng;

use super::Facts;
use super::key::{PrivateKey, PublicKey};
use crate::custody::key_and_nonce;
use crate::flows::bodies::{Rendition, Stored};

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 16;
const SUITE_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + SUITE_BYTES + KEY_ID_BYTES + xwing::CIPHERTEXT_BYTES;
const TAG_BYTES: usize = 16;
const LABEL: &[u8] = b"DCCP-ARCHIVE-copy-v1\0";

/// The mail's octets stand in the copy itself.
const CONTENT_OCTETS: u8 = 0;
/// They rest in a large body beside it; the copy has its key.
const CONTENT_BODY: u8 = 1;
const INSIDE_HEAD_BYTES: usize = 1 + 4;

/// Why a copy stays closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// None of the keys at hand is the one it was sealed to.
    #[error("it is sealed to the archive key {0}, which was not given")]
    OtherKey(KeyId),
    /// Altered, or cut short.
    #[error("it does not open: it was altered, or is no copy of an archive")]
    Altered,
    /// Written by a newer gateway.
    #[error("it is of a form that only a newer gateway knows")]
    Newer,
}

/// A copy, opened.
pub struct Opened {
    /// Envelope and trace.
    pub facts: Facts,
    /// The mail.
    pub content: Content,
}

/// The octets of a mail that was archived, or how to come by them.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// All of them.
    Octets(Bytes),
    /// They are read from the large body that lies beside the copy.
    Body(Rendition),
}

/// Seals a mail with its facts to the archive key.
///
/// # Errors
/// [`KemError`] when the key is malformed.
pub fn seal(
    key: &PublicKey,
    facts: &Facts,
    octets: &Stored<'_>,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, KemError> {
    let (ciphertext, secret) = key.encapsulate(rng)?;
    // Serialising this plain struct to memory has no failing case.
    let facts = serde_json::to_vec(facts).map_err(|_| KemError)?;
    let reference;
    let (kind, octets) = match octets {
        Stored::Whole(octets) => (CONTENT_OCTETS, octets.as_ref()),
        Stored::Beside(_, rendition) => {
            reference = rendition.encode();
            (CONTENT_BODY, reference.as_slice())
        }
    };
    let length = u32::try_from(facts.len()).map_err(|_| KemError)?;
    let mut copy =
        Vec::with_capacity(HEAD_BYTES + INSIDE_HEAD_BYTES + facts.len() + octets.len() + TAG_BYTES);
    copy.push(VERSION);
    copy.extend_from_slice(&Suite::X0001.id().to_be_bytes());
    copy.extend_from_slice(key.key_id().as_bytes());
    copy.extend_from_slice(&ciphertext);
    let head = copy.clone();
    copy.push(kind);
    copy.extend_from_slice(&length.to_be_bytes());
    copy.extend_from_slice(&facts);
    copy.extend_from_slice(octets);
    let (aead, nonce) = key_and_nonce(secret.as_bytes(), b"", &[LABEL, &head]);
    let inside = copy.get_mut(HEAD_BYTES..).unwrap_or_default();
    let tag = aead.seal_in_place_separate_tag(nonce, Aad::from(&head), inside).map_err(|_| KemError)?;
    copy.extend_from_slice(tag.as_ref());
    Ok(copy)
}

/// Opens a copy with whichever of the keys it is sealed to.
///
/// # Errors
/// Any [`OpenError`].
pub fn open(keys: &[PrivateKey], sealed: &[u8]) -> Result<Opened, OpenError> {
    let (head, body) = sealed.split_at_checked(HEAD_BYTES).ok_or(OpenError::Altered)?;
    let Some((&VERSION, rest)) = head.split_first() else { return Err(OpenError::Newer) };
    let (suite, rest) = rest.split_at_checked(SUITE_BYTES).ok_or(OpenError::Altered)?;
    if suite != Suite::X0001.id().to_be_bytes() {
        return Err(OpenError::Newer);
    }
    let (key_id, ciphertext) = rest.split_at_checked(KEY_ID_BYTES).ok_or(OpenError::Altered)?;
    let key_id = KeyId(key_id.try_into().map_err(|_| OpenError::Altered)?);
    let key = keys.iter().find(|key| key.key_id() == key_id).ok_or(OpenError::OtherKey(key_id))?;
    let secret = key.decapsulate(ciphertext).map_err(|_| OpenError::Altered)?;
    let (aead, nonce) = key_and_nonce(secret.as_bytes(), b"", &[LABEL, head]);
    let mut inside = body.to_vec();
    let length =
        aead.open_in_place(nonce, Aad::from(head), &mut inside).map_err(|_| OpenError::Altered)?.len();
    inside.truncate(length);
    read(Bytes::from(inside))
}

fn read(inside: Bytes) -> Result<Opened, OpenError> {
    let (head, rest) = inside.split_at_checked(INSIDE_HEAD_BYTES).ok_or(OpenError::Altered)?;
    let Some((&kind, length)) = head.split_first() else { return Err(OpenError::Newer) };
    let length = u32::from_be_bytes(length.try_into().map_err(|_| OpenError::Altered)?) as usize;
    let (facts, octets) = rest.split_at_checked(length).ok_or(OpenError::Altered)?;
    let facts = serde_json::from_slice(facts).map_err(|_| OpenError::Newer)?;
    let content = match kind {
        CONTENT_OCTETS => Content::Octets(inside.slice_ref(octets)),
        CONTENT_BODY => Content::Body(Rendition::decode(octets).ok_or(OpenError::Newer)?),
        _ => return Err(OpenError::Newer),
    };
    Ok(Opened { facts, content })
}
