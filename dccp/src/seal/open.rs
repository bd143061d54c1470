//! Opening: first the AEAD with our key, then the signature with theirs, then what a signature cannot promise.

use aws_lc_rs::aead::Aad;
use bytes::Bytes;

use super::draft::BATCH_FIELD;
use super::schedule::key_and_nonce;
use super::{LENGTH_BYTES, SealedMessage, TAG_BYTES};
use crate::batch::{ClaimedPlace, PATH_HASHES_MAX, RootCache};
use crate::body::BodyOutline;
use crate::kem::{DecapsulationKey, KemError, SharedSecret};
use crate::keys::{BadSignature, DeviceVerifier, Domain, KeyId};
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::message::{Class, FsClass, Message, MessageError};
use crate::session::OpenCache;
use crate::wire::{self, Malformed};
use crate::{Did, Suite, UnixMillis};

/// Why a sealed message was not opened, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Ours, or a forger's: the key that the header names is not of the mechanism that its suite chooses.
    #[error("the key is not one for suite {0}")]
    KeyOfAnotherSuite(Suite),
    /// Theirs: the KEM ciphertext is degenerate.
    #[error(transparent)]
    Kem(#[from] KemError),
    /// Theirs, a relay's, or ours if the key is not the one it was sealed to: altered or another key.
    #[error("cannot be decrypted with this key")]
    Decryption,
    /// Theirs: the padding is not zeros behind a length that fits.
    #[error("malformed padding")]
    Padding,
    /// Theirs: the clear form is not a signed message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Theirs: a field of the message is out of bounds.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Theirs or a forger's.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// Theirs or a forwarder's: the signed recipients do not contain us.
    #[error("message is not addressed to us")]
    NotForUs,
    /// Theirs or a forger's: the signed suite, class or body is not the one outside.
    #[error("header and signed message disagree about `{0}`")]
    Contradiction(&'static str),
    /// A clock's: it was made later than now.
    #[error("message comes from the future")]
    FromTheFuture,
    /// Time's, or a replay's.
    #[error("message has expired")]
    Expired,
}

/// Decrypts with our key. What comes out may have been written by anyone who knows the public key.
///
/// # Errors
/// [`OpenError::Decryption`] when the message was altered or sealed to another key; otherwise what is wrong inside.
pub fn unseal(sealed: &SealedMessage, key: &DecapsulationKey) -> Result<Unverified, OpenError> {
    Unverified::read(sealed, decrypt(sealed, &decapsulate(sealed, key)?)?)
}

/// As [`unseal`], and of a live session only the first message costs a decapsulation.
///
/// # Errors
/// Those of [`unseal`].
pub fn unseal_with(
    sealed: &SealedMessage,
    cache: &OpenCache,
    key: &DecapsulationKey,
) -> Result<Unverified, OpenError> {
    let key_id = key.encapsulation_key().key_id();
    if sealed.seq().is_none() {
        return unseal(sealed, key);
    }
    if let Some(secret) = cache.secret(key_id, sealed.kem_ct()) {
        return Unverified::read(sealed, decrypt(sealed, &secret)?);
    }
    let secret = decapsulate(sealed, key)?;
    let plain = decrypt(sealed, &secret)?;
    // Only what decrypted is kept: rubbish must not drive out the secrets of others.
    cache.keep(key_id, sealed.kem_ct(), secret);
    Unverified::read(sealed, plain)
}

/// A decrypted message that nobody vouches for yet.
pub struct Unverified {
    message: Message,
    signer: KeyId,
    signature: Bytes,
    batch: Option<ClaimedPlace>,
    body: Bytes,
    evidence: Bytes,
    suite: Suite,
    class: Class,
    in_session: bool,
    beside: Option<BodyOutline>,
}

impl Unverified {
    fn read(sealed: &SealedMessage, plain: Vec<u8>) -> Result<Self, OpenError> {
        let evidence = signed_part(plain)?;
        let signed = decode_signed(evidence.clone())?;
        let [signature] = signed.signatures.as_slice() else {
            return Err(Malformed.into());
        };
        let signer = <[u8; 16]>::try_from(signature.key_id.as_ref()).map_err(|_| Malformed)?;
        if signature.signature.len() != sealed.suite().choices().signature.signature_bytes() {
            return Err(BadSignature.into());
        }
        Ok(Self {
            message: Message::from_wire(signed.body.clone())?,
            signer: KeyId(signer),
            signature: signature.signature.clone(),
            batch: signed.batch.as_ref().map(ClaimedPlace::from_wire).transpose()?,
            body: signed.body,
            evidence,
            suite: sealed.suite(),
            class: sealed.class(),
            in_session: sealed.seq().is_some(),
            beside: sealed.body(),
        })
    }

    /// The organisation that it claims to be from: whose manifest holds the key to verify it with.
    pub fn sender(&self) -> &Did {
        &self.message.sender
    }

    /// The id of the key that it claims to be signed with.
    pub fn signer(&self) -> KeyId {
        self.signer
    }

    /// Believes the message, or says why not. `signer` must be a device of [`sender`](Self::sender); `me` is the
    /// organisation whose key opened it. The caller compares `fs_class` with the kind of that key and the suite with
    /// the minimum agreed with the sender, and refuses what it has seen before.
    ///
    /// # Errors
    /// [`OpenError::BadSignature`], [`NotForUs`](OpenError::NotForUs), [`Contradiction`](OpenError::Contradiction),
    /// [`FromTheFuture`](OpenError::FromTheFuture) or [`Expired`](OpenError::Expired).
    pub fn verify(self, signer: &DeviceVerifier, me: &Did, now: UnixMillis) -> Result<Opened, OpenError> {
        self.believe(signer, me, now, None)
    }

    /// As [`verify`](Self::verify), and of a batch only the first message costs a signature check.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    pub fn verify_with(
        self,
        roots: &RootCache,
        signer: &DeviceVerifier,
        me: &Did,
        now: UnixMillis,
    ) -> Result<Opened, OpenError> {
        self.believe(signer, me, now, Some(roots))
    }

    fn believe(
        self,
        signer: &DeviceVerifier,
        me: &Did,
        now: UnixMillis,
        roots: Option<&RootCache>,
    ) -> Result<Opened, OpenError> {
        if signer.key_id() != self.signer {
            return Err(BadSignature.into());
        }
        // First, because the suite says how the signature is to be read.
        if self.message.suite != self.suite {
            return Err(OpenError::Contradiction("suite"));
        }
        match &self.batch {
            Some(place) => place.verify(&self.body, self.suite, signer, &self.signature, roots)?,
            None => signer.verify(self.suite, Domain::Message, &self.body, &self.signature)?,
        }
        if !self.message.recipients.contains(me) {
            return Err(OpenError::NotForUs);
        }
        if self.message.class != self.class {
            return Err(OpenError::Contradiction("class"));
        }
        if self.message.body() != self.beside {
            return Err(OpenError::Contradiction("body"));
        }
        if self.in_session && self.message.fs_class == FsClass::OneTime {
            return Err(OpenError::Contradiction("session"));
        }
        if self.message.timestamp > now.saturating_add_ms(CLOCK_SKEW_MS_MAX) {
            return Err(OpenError::FromTheFuture);
        }
        if now >= self.message.expires.saturating_add_ms(CLOCK_SKEW_MS_MAX) {
            return Err(OpenError::Expired);
        }
        Ok(Opened { message: self.message, evidence: self.evidence })
    }
}

impl std::fmt::Debug for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unverified(from {}, key {})", self.sender(), self.signer)
    }
}

/// A message whose sender is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The message.
    pub message: Message,
    /// The bytes of `Signed`: body and signature, which prove to a third party who said it.
    pub evidence: Bytes,
}

fn decapsulate(sealed: &SealedMessage, key: &DecapsulationKey) -> Result<SharedSecret, OpenError> {
    if key.algorithm() != sealed.suite().choices().kem {
        return Err(OpenError::KeyOfAnotherSuite(sealed.suite()));
    }
    Ok(key.decapsulate(sealed.kem_ct())?)
}

/// Decrypts into one fresh buffer.
fn decrypt(sealed: &SealedMessage, secret: &SharedSecret) -> Result<Vec<u8>, OpenError> {
    let (key, nonce) =
        key_and_nonce(secret, sealed.suite(), sealed.seq()).map_err(|_| OpenError::Decryption)?;
    let whole = sealed.ciphertext();
    let plain_length = whole.len().checked_sub(TAG_BYTES).ok_or(OpenError::Decryption)?;
    let (ciphertext, tag) = whole.split_at_checked(plain_length).ok_or(OpenError::Decryption)?;
    let mut plain = vec![0; plain_length];
    key.open_separate_gather(nonce, Aad::from(sealed.aad()), ciphertext, tag, &mut plain)
        .map_err(|_| OpenError::Decryption)?;
    Ok(plain)
}

/// Body, signature, batch proof. The hashes of the proof are counted before there is room made for them.
fn decode_signed(evidence: Bytes) -> Result<wire::Signed, Malformed> {
    const FIELDS_MAX: usize = 3;
    for (number, contents) in wire::delimited_fields(evidence.clone(), FIELDS_MAX)? {
        if number == BATCH_FIELD {
            wire::count_fields(contents, 2 + PATH_HASHES_MAX)?;
        }
    }
    wire::decode(evidence, FIELDS_MAX)
}

/// Takes off the length in front and the zeros behind.
fn signed_part(plain: Vec<u8>) -> Result<Bytes, OpenError> {
    let plain = Bytes::from(plain);
    let (length, rest) = plain.split_first_chunk::<LENGTH_BYTES>().ok_or(OpenError::Padding)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| OpenError::Padding)?;
    let (_, zeros) = rest.split_at_checked(length).ok_or(OpenError::Padding)?;
    if zeros.iter().any(|octet| *octet != 0) {
        return Err(OpenError::Padding);
    }
    Ok(plain.slice(LENGTH_BYTES..LENGTH_BYTES + length))
}
