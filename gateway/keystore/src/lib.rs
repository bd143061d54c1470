//! Keys at rest: sealed under a master key that comes from a file, from systemd, from a person or from a PKCS#11
//! token; and the shares in which officers keep the recovery key and the key of the archive.
//!
//! ```text
//! file ───────────────┐
//! systemd credential ─┤                     ┌─ purpose "dccp-operator-key-v2:" ─► keys/operator.key
//! passphrase, Argon2id┼─► MasterKey ─ HKDF ─┼─ purpose "dccp-device-key-v2:"   ─► keys/device.key
//! PKCS#11 token ──────┘     (32 bytes)      └─ …                                  AES-256-GCM, a key per file
//!
//! recovery key (L0) ─ Shamir ─► share 1 of 3, share 2 of 3, share 3 of 3          paper or USB, offline
//! archive key ─ Shamir, or a passphrase ─► the same, or one file
//! ```
//!
//! Words of this room: the *master key* opens all key files of one gateway; a *key file* is one line of text whose
//! start says what it holds; *wrapped* is the master key as a passphrase or a token keeps it; a *share* is one of the
//! texts from which, together, the recovery key comes back.
//!
//! Invariants:
//! - Nothing here shows a secret in `Debug`, in an error or in a log, and every copy we make is wiped on drop.
//! - A secret file that others may read is refused, not read.
//! - Files are written beside their place, synced and then named: a name never stands for half a file, and a key is
//!   never written over ([`durable::replace`] is for the one who means it).
//! - What a key file holds is authenticated together with its kind and version: one cannot be passed off as another.
//!
//! Deliberately absent: what the keys are for (`gateway::custody`), and DIDs.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod aead;
pub mod durable;
pub mod keyfile;
mod line;
mod master;
pub mod passphrase;
mod process;
pub mod prompt;
pub mod shares;
mod token;

pub use master::{MasterError, MasterKey, MasterSource, OpenError};
pub use passphrase::PASSPHRASE_CHARACTERS_MIN;
pub use process::harden_process;
pub use token::Token;
