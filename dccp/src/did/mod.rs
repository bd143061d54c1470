//! Identities of organisations and people: the self-certifying `did:dccp`, its log, and what stands beside the log.
//!
//! ```text
//! genesis body (dCBOR) ── SHA-256 ──► did:dccp:1…          the name is the hash of the founding
//!      │ signed by L1 (operators)
//!      ├─ auth.L0: only hashes of the recovery keys (pre-rotation: revealed when they sign, once)
//!      ├─ auth.L1: the operator keys ── sign ──► manifest, node records, prekeys, head record
//!      └─ svc: the domains, so that the log names them back
//! update (L1) ─► update (L1) ─► rotate (old L0 and new L1) ─► … ─► deactivate (L0)
//! ```
//!
//! [`found`] → [`Log`] → [`Log::verify`] → [`DidDocument`]; [`Log::update`], [`Log::rotate`], [`Log::deactivate`] continue
//! a log; [`Log::compare`] says which of two counts. Everything that this module writes it reads back before it gives it
//! away, so there is one set of rules. Absent: where logs are kept and fetched, and which DID is believed.

mod aka;
mod authority;
mod document;
mod fork;
mod head;
mod log;
mod manifest;
mod operation;
mod service;
pub mod w3c;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE32_NOPAD;

pub use aka::{AKA_SALT_BYTES, Aka};
pub use authority::{Commitment, Quorum};
pub use document::{Custody, DidDocument};
pub use fork::Comparison;
pub use head::{Head, HeadNode};
pub use log::{Founding, Log, LogError, Rotation, found};
pub use manifest::{Device, Devices, HeldBy, Manifest};
pub use operation::{Change, OperationKind};
pub use service::{EndpointId, Service};

const PREFIX: &str = "did:dccp:1";
/// SHA-256 in unpadded base32: 256 bits in 52 characters of 5.
const HASH_CHARACTERS: usize = 52;

/// A DID: `did:dccp:1` and 52 lower-case base32 characters, always compared whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did(Arc<str>);

impl Did {
    /// The name of a genesis body: the hash of its unsigned canonical bytes.
    pub(crate) fn of_genesis(body: &[u8]) -> Self {
        let hash = BASE32_NOPAD.encode(digest(&SHA256, body).as_ref()).to_ascii_lowercase();
        Self(format!("{PREFIX}{hash}").into())
    }

    /// The whole identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 52 characters that identify: the hash in base32.
    pub(crate) fn hash_characters(&self) -> &str {
        self.0.strip_prefix(PREFIX).unwrap_or(&self.0)
    }
}

impl FromStr for Did {
    type Err = BadDid;

    fn from_str(text: &str) -> Result<Self, BadDid> {
        let hash = text.strip_prefix(PREFIX).ok_or(BadDid)?;
        if hash.len() != HASH_CHARACTERS || !hash.bytes().all(|c| matches!(c, b'a'..=b'z' | b'2'..=b'7')) {
            return Err(BadDid);
        }
        // 52 × 5 = 260 bits: the four bits too many must be zero, or two spellings would name one hash.
        BASE32_NOPAD.decode(hash.to_ascii_uppercase().as_bytes()).map_err(|_| BadDid)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a `did:dccp` identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a did:dccp identifier (did:dccp:1 and 52 base32 characters)")]
pub struct BadDid;

#[cfg(test)]
mod tests;
