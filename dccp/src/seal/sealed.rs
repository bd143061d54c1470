//! The sealed form: what travels, what rests, and all that a relay sees.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, message};

use super::{TAG_BYTES, VERSION};
use crate::body::BodyOutline;
use crate::keys::KeyId;
use crate::limits::{LIFETIME_MS_MAX, RESTING_BYTES_MAX, SEALED_BYTES_MAX, SESSION_MESSAGES_MAX};
use crate::message::Class;
use crate::padding::is_padded_len;
use crate::prekey::epoch_of;
use crate::session::{SESSION_ID_BYTES, session_id};
use crate::wire::{self, Malformed};
use crate::{Did, Suite, UnixMillis, UnsupportedSuite};

/// Octets of a mailbox tag.
pub const MAILBOX_BYTES: usize = 16;
const CIPHERTEXT_FIELD: u32 = 10;
const BODY_FIELD: u32 = 11;

const MAILBOX_LABEL: &[u8] = b"DCCP-MAILBOX-v1\0";
const FIELDS_MAX: usize = 11;

/// A sealed message whose header is well formed. Nothing in it is trusted; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedMessage {
    bytes: Bytes,
    suite: Suite,
    mailbox: [u8; MAILBOX_BYTES],
    key_id: KeyId,
    class: Class,
    ttl_s: u32,
    kem_ct: Bytes,
    session: Option<([u8; SESSION_ID_BYTES], u64)>,
    body: Option<BodyOutline>,
    aad: Bytes,
    ciphertext: Bytes,
}

/// Why some bytes are not a sealed message that we can handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedMessageError {
    /// Theirs: larger than any message.
    #[error("sealed message of {0} octets is too large")]
    TooLarge(usize),
    /// Theirs: not protobuf, or fields that this version does not know.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Theirs: not the one canonical encoding.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// Theirs: a field of the wrong length or value.
    #[error("header field `{0}` is out of bounds")]
    OutOfBounds(&'static str),
    /// Nobody's: a later version of the protocol.
    #[error("version {0} is not supported")]
    UnsupportedVersion(u32),
    /// Nobody's: a suite we do not speak.
    #[error(transparent)]
    UnsupportedSuite(#[from] UnsupportedSuite),
}

impl SealedMessage {
    /// Reads the header without any key: size, version, suite, lengths, canonical form. Copies nothing but the
    /// header.
    ///
    /// # Errors
    /// Any [`SealedMessageError`].
    pub fn parse(bytes: Bytes) -> Result<Self, SealedMessageError> {
        Self::parse_within(SEALED_BYTES_MAX, bytes)
    }

    /// As [`parse`](Self::parse), of bytes that rest with us: they may have arrived before there were bodies.
    ///
    /// # Errors
    /// Any [`SealedMessageError`].
    pub fn parse_resting(bytes: Bytes) -> Result<Self, SealedMessageError> {
        Self::parse_within(RESTING_BYTES_MAX, bytes)
    }

    fn parse_within(bytes_max: usize, bytes: Bytes) -> Result<Self, SealedMessageError> {
        if bytes.len() > bytes_max {
            return Err(SealedMessageError::TooLarge(bytes.len()));
        }
        let mut header: wire::SealedMessage = wire::decode(bytes.clone(), FIELDS_MAX)?;
        let ciphertext = std::mem::take(&mut header.ciphertext);
        check(&header, &ciphertext)?;

        // The header is authenticated as bytes, and a digest names a message: so there is one encoding only.
        let clear = Clear::of(&header);
        let front = clear.before(ciphertext.len());
        let canonical = bytes.starts_with(&front) && bytes.ends_with(clear.behind());
        if !canonical || front.len() + ciphertext.len() + clear.behind().len() != bytes.len() {
            return Err(SealedMessageError::NotCanonical);
        }
        Self::from_parts(bytes, header, clear, ciphertext)
    }

    /// A sealed message of parts that are known to agree.
    pub(super) fn from_parts(
        bytes: Bytes,
        header: wire::SealedMessage,
        clear: Clear,
        ciphertext: Bytes,
    ) -> Result<Self, SealedMessageError> {
        let fixed = |field: &Bytes, name| {
            <[u8; 16]>::try_from(field.as_ref()).map_err(|_| SealedMessageError::OutOfBounds(name))
        };
        Ok(Self {
            suite: Suite::try_from(header.suite)?,
            mailbox: fixed(&header.mailbox, "mailbox")?,
            key_id: KeyId(fixed(&header.key_id, "key_id")?),
            class: Class::from_number(header.class).ok_or(SealedMessageError::OutOfBounds("class"))?,
            ttl_s: header.ttl_s,
            session: (header.seq > 0).then(|| (session_id(&header.kem_ct), header.seq)),
            kem_ct: header.kem_ct,
            body: header.body.as_ref().map(outline).transpose()?,
            aad: clear.octets,
            ciphertext,
            bytes,
        })
    }

    /// The bytes that travel and rest.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the bytes: the name of this very message, used by receipts and against repetition.
    pub fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.iter_mut().zip(digest(&SHA256, &self.bytes).as_ref()).for_each(|(to, from)| *to = *from);
        out
    }

    /// Which of the recipient's keys opens it.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The suite it claims; the signed one inside must agree.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The recipient's tag of the day it was sealed ([`mailbox`]).
    pub fn mailbox(&self) -> [u8; MAILBOX_BYTES] {
        self.mailbox
    }

    /// How urgent it claims to be; the signed class inside must agree.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Seconds it had left to live when it was sealed.
    pub fn ttl_s(&self) -> u32 {
        self.ttl_s
    }

    /// The live session that it belongs to.
    pub fn session(&self) -> Option<[u8; SESSION_ID_BYTES]> {
        self.session.map(|(id, _)| id)
    }

    /// The how manieth message of its session it is, from 1.
    pub fn seq(&self) -> Option<u64> {
        self.session.map(|(_, seq)| seq)
    }

    /// What shows of the body that it claims to refer to; the signed reference inside must agree.
    pub fn body(&self) -> Option<BodyOutline> {
        self.body
    }

    pub(super) fn kem_ct(&self) -> &[u8] {
        &self.kem_ct
    }

    /// The additional authenticated data: the canonical bytes of everything but the ciphertext.
    pub(super) fn aad(&self) -> &[u8] {
        &self.aad
    }

    /// Ciphertext ‖ tag.
    pub(super) fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }
}

impl fmt::Debug for SealedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedMessage({} octets to key {})", self.bytes.len(), self.key_id)
    }
}

/// The canonical bytes of everything but the ciphertext: what stands before it, and what stands behind it.
pub(super) struct Clear {
    octets: Bytes,
    before: usize,
}

impl Clear {
    /// Those of a header without its ciphertext.
    pub(super) fn of(header: &wire::SealedMessage) -> Self {
        let octets = Bytes::from(header.encode_to_vec());
        let behind = header.body.as_ref().map_or(0, |body| message::encoded_len(BODY_FIELD, body));
        Self { before: octets.len() - behind, octets }
    }

    /// Everything in front of a ciphertext of this length.
    pub(super) fn before(&self, ciphertext_length: usize) -> Vec<u8> {
        let mut front = self.octets.get(..self.before).unwrap_or_default().to_vec();
        encode_key(CIPHERTEXT_FIELD, WireType::LengthDelimited, &mut front);
        encode_varint(ciphertext_length as u64, &mut front);
        front
    }

    /// Everything behind it.
    pub(super) fn behind(&self) -> &[u8] {
        self.octets.get(self.before..).unwrap_or_default()
    }

    /// The additional authenticated data.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

fn outline(body: &wire::BodyOutline) -> Result<BodyOutline, SealedMessageError> {
    BodyOutline::from_wire(body).ok_or(SealedMessageError::OutOfBounds("body"))
}

/// The tag under which relays keep messages for an organisation, another one every UTC day:
/// the first 16 octets of `SHA-256(label ‖ DID ‖ day (u64, big-endian))`. Whoever knows the DID can compute it.
pub fn mailbox(did: &Did, now: UnixMillis) -> [u8; MAILBOX_BYTES] {
    let mut hash = Context::new(&SHA256);
    hash.update(MAILBOX_LABEL);
    hash.update(did.as_str().as_bytes());
    hash.update(&epoch_of(now).to_be_bytes());
    let mut tag = [0; MAILBOX_BYTES];
    tag.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    tag
}

fn check(header: &wire::SealedMessage, ciphertext: &Bytes) -> Result<(), SealedMessageError> {
    if header.version != VERSION {
        return Err(SealedMessageError::UnsupportedVersion(header.version));
    }
    let suite = Suite::try_from(header.suite)?;
    let within =
        |holds: bool, field| if holds { Ok(()) } else { Err(SealedMessageError::OutOfBounds(field)) };
    within(header.kem_ct.len() == suite.choices().kem.ciphertext_bytes(), "kem_ct")?;
    within(header.seq <= SESSION_MESSAGES_MAX, "seq")?;
    within(header.session.is_empty() == (header.seq == 0), "session")?;
    within(header.session.is_empty() || header.session == session_id(&header.kem_ct)[..], "session")?;
    within(u64::from(header.ttl_s) * 1000 <= LIFETIME_MS_MAX, "ttl_s")?;
    within(ciphertext.len().checked_sub(TAG_BYTES).is_some_and(is_padded_len), "ciphertext")
}
