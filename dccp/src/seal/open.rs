//! Opening: first the AEAD with our key, then the signature with theirs, then what a signature cannot promise.

use aws_lc_rs::aead::Aad;
use bytes::Bytes;

use super::{LENGTH_BYTES, SealedMessage, TAG_BYTES, key_schedule};
use crate::keys::{BadSignature, Domain, KeyId, Signature, VerifyingKey};
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::message::{Class, Message, MessageError};
use crate::wire::{self, Malformed};
use crate::xwing::{DecapsulationKey, KemError};
use crate::{Did, Suite, UnixMillis};

/// Why a sealed message was not opened, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
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
    /// Theirs or a forger's: the signed suite or class is not the one outside.
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
    let evidence = signed_part(decrypt(sealed, key)?)?;
    let signed: wire::Signed = wire::decode(evidence.clone(), 2)?;
    let [signature] = signed.signatures.as_slice() else {
        return Err(Malformed.into());
    };
    let signer = <[u8; 16]>::try_from(signature.key_id.as_ref()).map_err(|_| Malformed)?;
    Ok(Unverified {
        message: Message::from_wire(signed.body.clone())?,
        signer: KeyId(signer),
        signature: Signature::from_bytes(&signature.signature)?,
        body: signed.body,
        evidence,
        suite: sealed.suite(),
        class: sealed.class(),
    })
}

/// A decrypted message that nobody vouches for yet.
pub struct Unverified {
    message: Message,
    signer: KeyId,
    signature: Signature,
    body: Bytes,
    evidence: Bytes,
    suite: Suite,
    class: Class,
}

impl Unverified {
    /// The organisation that it claims to be from: whose manifest holds the key to verify it with.
    pub fn sender(&self) -> &Did {
        &self.message.sender
    }

    /// The id of the key that it claims to be signed with.
    pub fn signer(&self) -> KeyId {
        self.signer
    }

    /// Believes the message, or says why not. `signer` must be a key of [`sender`](Self::sender); `me` is the
    /// organisation whose key opened it. The caller compares `fs_class` with the kind of that key and refuses what it
    /// has seen before.
    ///
    /// # Errors
    /// [`OpenError::BadSignature`], [`NotForUs`](OpenError::NotForUs), [`Contradiction`](OpenError::Contradiction),
    /// [`FromTheFuture`](OpenError::FromTheFuture) or [`Expired`](OpenError::Expired).
    pub fn verify(self, signer: &VerifyingKey, me: &Did, now: UnixMillis) -> Result<Opened, OpenError> {
        if signer.key_id() != self.signer {
            return Err(BadSignature.into());
        }
        signer.verify(Domain::Message, &self.body, &self.signature)?;
        if !self.message.recipients.contains(me) {
            return Err(OpenError::NotForUs);
        }
        if self.message.suite != self.suite {
            return Err(OpenError::Contradiction("suite"));
        }
        if self.message.class != self.class {
            return Err(OpenError::Contradiction("class"));
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

/// Decrypts into one fresh buffer.
fn decrypt(sealed: &SealedMessage, key: &DecapsulationKey) -> Result<Vec<u8>, OpenError> {
    let secret = key.decapsulate(sealed.kem_ct())?;
    let (key, nonce) = key_schedule(secret.as_bytes(), sealed.suite()).map_err(|_| OpenError::Decryption)?;
    let whole = sealed.ciphertext();
    let plain_length = whole.len().checked_sub(TAG_BYTES).ok_or(OpenError::Decryption)?;
    let (ciphertext, tag) = whole.split_at_checked(plain_length).ok_or(OpenError::Decryption)?;
    let mut plain = vec![0; plain_length];
    key.open_separate_gather(nonce, Aad::from(sealed.header()), ciphertext, tag, &mut plain)
        .map_err(|_| OpenError::Decryption)?;
    Ok(plain)
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
