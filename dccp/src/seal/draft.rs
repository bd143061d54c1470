//! Sealing in three steps: encode, sign (alone or with others), encrypt.

use std::fmt;

use aws_lc_rs::aead::Aad;
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use rand::CryptoRng;

use super::schedule::key_and_nonce;
use super::sealed::Clear;
use super::{LENGTH_BYTES, RecipientKey, SealError, SealedMessage, TAG_BYTES, VERSION, mailbox};
use crate::batch::{self, Evidence};
use crate::body::BodyOutline;
use crate::keys::DeviceSigner;
use crate::message::{Class, Message, MessageError};
use crate::padding::padded_len;
use crate::session::{Session, session_id};
use crate::tree::Hash;
use crate::{UnixMillis, wire};

/// A message that is encoded for one recipient key and not yet signed.
pub struct Draft {
    pub(super) body: Vec<u8>,
    pub(super) to: RecipientKey,
    class: Class,
    expires: UnixMillis,
    beside: Option<BodyOutline>,
}

impl Draft {
    /// Checks and encodes a message.
    ///
    /// # Errors
    /// [`SealError::Message`] or [`SealError::Mismatch`].
    pub fn prepare(message: &Message, to: &RecipientKey) -> Result<Self, SealError> {
        message.check()?;
        let agree = |holds: bool, field| if holds { Ok(()) } else { Err(SealError::Mismatch(field)) };
        agree(message.recipients.contains(&to.did), "recipient")?;
        agree(message.suite == to.suite, "suite")?;
        agree(message.fs_class == to.fs_class, "fs_class")?;
        agree(to.kem.algorithm() == to.suite.choices().kem, "kem")?;
        agree(to.key_id == to.kem.key_id(), "key_id")?;
        let body = message.to_wire().encode_to_vec();
        let beside = message.body();
        Ok(Self { body, to: to.clone(), class: message.class, expires: message.expires, beside })
    }

    /// What [`batch::sign`] puts in its tree for this message.
    pub fn leaf(&self) -> Hash {
        batch::leaf_of(&self.body)
    }

    /// The key it is for.
    pub fn to(&self) -> &RecipientKey {
        &self.to
    }

    /// Signs this message by itself.
    ///
    /// # Errors
    /// [`SealError::NoSigningKey`].
    pub fn sign(&self, signer: &DeviceSigner) -> Result<Evidence, SealError> {
        Ok(Evidence::of_body(&self.body, self.to.suite, signer)?)
    }

    /// Encrypts the message with its evidence, in one buffer; in a session if one is given. `now` sets the time to
    /// live and the mailbox tag.
    ///
    /// # Errors
    /// [`SealError::Expired`], [`SealError::Session`], [`SealError::Mismatch`] when the evidence is that of another
    /// message; otherwise what is wrong with the recipient's key.
    pub fn finish(
        self,
        evidence: &Evidence,
        now: UnixMillis,
        rng: &mut impl CryptoRng,
        session: Option<&mut Session>,
    ) -> Result<SealedMessage, SealError> {
        if self.expires <= now {
            return Err(SealError::Expired);
        }
        if !evidence.is_for(&self.body, self.to.suite) {
            return Err(SealError::Mismatch("evidence"));
        }
        match session {
            None => {
                let (kem_ct, secret) = self.to.kem.encapsulate(rng)?;
                let header = self.header(now, kem_ct.into());
                self.encrypt(evidence, header, |suite| key_and_nonce(&secret, suite, None))
            }
            Some(session) => {
                let seq = session.next(&self.to, now)?;
                let kem_ct = Bytes::copy_from_slice(&session.kem_ct);
                let id = Bytes::copy_from_slice(&session_id(&kem_ct));
                let header = wire::SealedMessage { session: id, seq, ..self.header(now, kem_ct) };
                self.encrypt(evidence, header, |suite| key_and_nonce(&session.secret, suite, Some(seq)))
            }
        }
    }

    pub(super) fn header(&self, now: UnixMillis, kem_ct: Bytes) -> wire::SealedMessage {
        let ttl_ms = self.expires.as_u64().saturating_sub(now.as_u64());
        wire::SealedMessage {
            version: VERSION,
            suite: self.to.suite.id(),
            mailbox: Bytes::copy_from_slice(&mailbox(&self.to.did, now)),
            key_id: Bytes::copy_from_slice(self.to.key_id.as_bytes()),
            kem_ct,
            session: Bytes::new(),
            seq: 0,
            class: self.class.number(),
            ttl_s: u32::try_from(ttl_ms.div_ceil(1000)).unwrap_or(u32::MAX),
            ciphertext: Bytes::new(),
            body: self.beside.map(BodyOutline::to_wire),
        }
    }

    fn encrypt(
        &self,
        evidence: &Evidence,
        header: wire::SealedMessage,
        key: impl FnOnce(crate::Suite) -> Result<KeyAndNonce, aws_lc_rs::error::Unspecified>,
    ) -> Result<SealedMessage, SealError> {
        let (signature, batch) = evidence.to_wire();
        let signed_length = signed_len(self.body.len(), &signature, batch.as_ref());
        let plain_length = padded_len(LENGTH_BYTES + signed_length);
        let cipher_length = plain_length + TAG_BYTES;
        let clear = Clear::of(&header);
        let mut out = clear.before(cipher_length);
        let plain_at = out.len();
        out.reserve_exact(cipher_length + clear.behind().len());

        let length = u32::try_from(signed_length).map_err(|_| MessageError::OutOfBounds("payload"))?;
        out.extend_from_slice(&length.to_be_bytes());
        write_signed(&mut out, &self.body, &signature, batch.as_ref());
        out.resize(plain_at + plain_length, 0);

        let plain = out.get_mut(plain_at..).unwrap_or_default();
        let (key, nonce) = key(self.to.suite).map_err(|_| SealError::Encryption)?;
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(clear.octets()), plain)
            .map_err(|_| SealError::Encryption)?;
        out.extend_from_slice(tag.as_ref());
        out.extend_from_slice(clear.behind());
        let bytes = Bytes::from(out);
        let ciphertext = bytes.slice(plain_at..plain_at + cipher_length);
        SealedMessage::from_parts(bytes, header, clear, ciphertext).map_err(|_| SealError::Encryption)
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} octets to key {})", self.body.len(), self.to.key_id)
    }
}

type KeyAndNonce = (aws_lc_rs::aead::LessSafeKey, aws_lc_rs::aead::Nonce);

// Fields of `Signed` (dccp.proto). They are written by hand because the body is already encoded.
const BODY_FIELD: u32 = 1;
const SIGNATURES_FIELD: u32 = 2;
pub(super) const BATCH_FIELD: u32 = 3;

pub(super) fn write_signed(
    out: &mut Vec<u8>,
    body: &[u8],
    signature: &wire::Signature,
    batch: Option<&wire::BatchProof>,
) {
    encode_key(BODY_FIELD, WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
    prost::encoding::message::encode(SIGNATURES_FIELD, signature, out);
    if let Some(proof) = batch {
        prost::encoding::message::encode(BATCH_FIELD, proof, out);
    }
}

/// The length of `Signed`.
fn signed_len(body: usize, signature: &wire::Signature, batch: Option<&wire::BatchProof>) -> usize {
    delimited_len(BODY_FIELD, body)
        + delimited_len(SIGNATURES_FIELD, signature.encoded_len())
        + batch.map_or(0, |proof| delimited_len(BATCH_FIELD, proof.encoded_len()))
}

/// The length of a length-delimited field with contents of this length.
fn delimited_len(field: u32, contents: usize) -> usize {
    key_len(field) + encoded_len_varint(contents as u64) + contents
}
