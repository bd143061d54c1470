//! Sealing and opening: sign, then encrypt, to one recipient key.
//!
//! ```text
//! Message ─ prepare ─► Draft ─ sign, or batch::sign ─► Evidence
//!                      Draft ─ finish (pad, AEAD) ──────────────► SealedMessage
//!                              key: HKDF-SHA256(KEM secret), in a session one per message
//!                              aad: everything but the ciphertext, octet for octet
//! SealedMessage ─ parse (no keys) ─ unseal (our key) ─► Unverified ─ verify (their key) ─► Opened
//! ```
//!
//! Recipients and suite are inside the signature, so that a recipient cannot re-seal a message to a third party and
//! nobody can downgrade it. The sender is inside the ciphertext. What is signed is the exact bytes, never a
//! re-encoding.

mod draft;
mod open;
mod schedule;
mod sealed;

use rand::CryptoRng;

use crate::kem::{EncapsulationKey, KemError};
use crate::keys::{DeviceSigner, KeyId, NoSigningKey};
use crate::message::{FsClass, Message, MessageError};
use crate::session::SessionError;
use crate::{Did, Suite, UnixMillis};

pub use draft::Draft;
pub use open::{OpenError, Opened, Unverified, unseal, unseal_with};
pub use sealed::{MAILBOX_BYTES, SealedMessage, SealedMessageError, mailbox};

/// The version of the sealed form.
pub const VERSION: u32 = 1;

const TAG_BYTES: usize = 16;
/// The length of `Signed` in front of it, before the padding.
const LENGTH_BYTES: usize = 4;

/// A key of the recipient, and what is known about it.
#[derive(Clone, Debug)]
pub struct RecipientKey {
    /// Whose key it is.
    pub did: Did,
    /// The suite to seal with, one that the recipient's manifest lists.
    pub suite: Suite,
    /// The id of `kem`.
    pub key_id: KeyId,
    /// The key, of the mechanism that the suite chooses.
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
    /// Ours: the message is not for the owner of the key, names another suite or protection than the key has, or is
    /// not what the evidence is for.
    #[error("message and recipient key disagree about `{0}`")]
    Mismatch(&'static str),
    /// Ours: this device does not sign for the suite.
    #[error(transparent)]
    NoSigningKey(#[from] NoSigningKey),
    /// Ours: the session cannot carry the message.
    #[error(transparent)]
    Session(#[from] SessionError),
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

/// Signs and encrypts one message to one recipient key. `now` sets the time to live and the mailbox tag.
///
/// # Errors
/// Any [`SealError`].
pub fn seal(
    message: &Message,
    to: &RecipientKey,
    signer: &DeviceSigner,
    now: UnixMillis,
    rng: &mut impl CryptoRng,
) -> Result<SealedMessage, SealError> {
    let draft = Draft::prepare(message, to)?;
    let evidence = draft.sign(signer)?;
    draft.finish(&evidence, now, rng, None)
}

#[cfg(test)]
mod tests;
