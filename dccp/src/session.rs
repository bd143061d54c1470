//! Live sessions: one key encapsulation for many messages to one recipient key, and a key per message.
//!
//! Every message of a session repeats the KEM ciphertext and carries its number. So any of them opens alone: the
//! receiver needs no state, order does not matter, and a crash or a second node of the cluster loses nothing. What a
//! session saves is work: the sender encapsulates once, and a receiver that keeps the secret for a while
//! ([`OpenCache`]) decapsulates once.
//!
//! A session lasts [`SESSION_MS_MAX`] or [`SESSION_MESSAGES_MAX`] messages. It cannot be made with a one-time
//! prekey: that is destroyed with the first message it opened, and the rest would be lost.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::CryptoRng;

use crate::UnixMillis;
use crate::digest::sha256;
use crate::kem::{KemError, SharedSecret};
use crate::keys::KeyId;
use crate::limits::{SESSION_MESSAGES_MAX, SESSION_MS_MAX};
use crate::message::FsClass;
use crate::recent::Recent;
use crate::seal::RecipientKey;

/// Octets of a session id: the first of `SHA-256(kem_ct)`.
pub const SESSION_ID_BYTES: usize = 16;

/// The sender's side of a session. Not to be stored: it lives and dies with the process.
pub struct Session {
    to: KeyId,
    started: UnixMillis,
    next_seq: u64,
    pub(crate) kem_ct: Vec<u8>,
    pub(crate) secret: SharedSecret,
}

/// Why there is no session: seal one by one instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Ours: a one-time prekey opens one message.
    #[error("a one-time prekey cannot carry a session")]
    OneTimeKey,
    /// Theirs: the recipient published a key that no honest key generation makes.
    #[error(transparent)]
    RecipientKey(#[from] KemError),
    /// Ours: the session is for another key.
    #[error("the session is for another key")]
    OtherKey,
    /// Time's: it has lasted long enough or carried enough; start another.
    #[error("the session is over")]
    Over,
}

impl Session {
    /// Encapsulates to a key.
    ///
    /// # Errors
    /// [`SessionError::OneTimeKey`] or [`SessionError::RecipientKey`].
    pub fn start(to: &RecipientKey, now: UnixMillis, rng: &mut impl CryptoRng) -> Result<Self, SessionError> {
        if to.fs_class == FsClass::OneTime {
            return Err(SessionError::OneTimeKey);
        }
        let (kem_ct, secret) = to.kem.encapsulate(rng)?;
        Ok(Self { to: to.key_id, started: now, next_seq: 1, kem_ct, secret })
    }

    /// Can it carry another message to this key at `now`?
    pub fn carries(&self, to: &RecipientKey, now: UnixMillis) -> bool {
        self.check(to, now).is_ok()
    }

    /// The number of the next message; each is given once.
    pub(crate) fn next(&mut self, to: &RecipientKey, now: UnixMillis) -> Result<u64, SessionError> {
        self.check(to, now)?;
        let seq = self.next_seq;
        self.next_seq += 1;
        Ok(seq)
    }

    fn check(&self, to: &RecipientKey, now: UnixMillis) -> Result<(), SessionError> {
        if to.key_id != self.to || to.fs_class == FsClass::OneTime {
            return Err(SessionError::OtherKey);
        }
        // A clock that was set back ends the session too: how long it really lasted is unknown then.
        let in_time = self.started <= now && now < self.started.saturating_add_ms(SESSION_MS_MAX);
        if in_time && self.next_seq <= SESSION_MESSAGES_MAX { Ok(()) } else { Err(SessionError::Over) }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session(to key {}, {} messages)", self.to, self.next_seq - 1)
    }
}

/// The id of the session that a KEM ciphertext starts.
pub(crate) fn session_id(kem_ct: &[u8]) -> [u8; SESSION_ID_BYTES] {
    let mut id = [0; SESSION_ID_BYTES];
    id.iter_mut().zip(sha256(&[kem_ct])).for_each(|(to, from)| *to = from);
    id
}

/// The receiver's side: secrets of sessions whose first message was opened. Bounded, zeroed when forgotten.
///
/// It holds what the key it was opened with protects: whoever destroys a key calls [`forget`](Self::forget).
pub struct OpenCache(Mutex<Recent<Name, SharedSecret>>);

/// A key and SHA-256 of the ciphertext that it decapsulated.
type Name = (KeyId, [u8; 32]);

impl OpenCache {
    /// Keeps at most `capacity` secrets; the oldest is forgotten first.
    pub fn new(capacity: usize) -> Self {
        Self(Mutex::new(Recent::new(capacity)))
    }

    /// Forgets every secret that was made for this key.
    pub fn forget(&self, key_id: &KeyId) {
        self.lock().retain(|(of, _)| of != key_id);
    }

    /// How many secrets are kept.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Is none kept?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn secret(&self, key_id: KeyId, kem_ct: &[u8]) -> Option<SharedSecret> {
        self.lock().find(&(key_id, sha256(&[kem_ct]))).cloned()
    }

    pub(crate) fn keep(&self, key_id: KeyId, kem_ct: &[u8], secret: SharedSecret) {
        self.lock().keep((key_id, sha256(&[kem_ct])), secret);
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Name, SharedSecret>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for OpenCache {
    /// For a gateway with hundreds of partners: 1,024 sessions.
    fn default() -> Self {
        Self::new(1024)
    }
}

impl fmt::Debug for OpenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenCache({} sessions)", self.len())
    }
}
