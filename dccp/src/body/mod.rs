//! Bodies: octets too many for a sealed message, encrypted once and referred to by every message that carries them.
//!
//! ```text
//! octets ─ cut into chunks of 256 KiB, the last padded ─ BodySealer ─► sealed chunks ─► BodyRef (key, digest, size)
//!                                                                     │ Tally (no key): BodyOutline (digest, size)
//! octets ◄──────────────── BodyOpener (BodyRef) ◄─────────────────────┘
//! ```
//!
//! Each body has a key of its own, which the sealer draws itself, so that no key ever seals two. Chunks follow the
//! STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", CRYPTO 2015): the nonce of a chunk contains its index and whether it is the last, so that none
//! can be left out, moved, repeated or put behind the end.
//!
//! # Invariants
//! * The reference is signed and sealed to each recipient inside a message; the key never travels otherwise.
//! * The digest is over the ciphertext. Whoever knows the key could make other chunks under it; nobody makes others
//!   of the same digest. A house holds chunks against the digest before it opens them.
//! * The cut, the padding and the number of chunks follow from the size alone: there is one outline for one reference.

mod cut;
mod opener;
mod sealer;
mod stream;
mod tally;

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::limits::BODY_BYTES_MAX;
use crate::wire;
use cut::Cut;

pub use opener::BodyOpener;
pub use sealer::BodySealer;
pub use tally::{Tally, chunk_hash};

/// Clear octets of a chunk, all but the last.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Octets of a sealed chunk, all but the last: the clear ones and a tag.
pub const CHUNK_SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// Octets of a [`BodyRef`] as a house keeps it.
pub const BODY_REF_BYTES: usize = KEY_BYTES + DIGEST_BYTES + 8;

const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const DIGEST_BYTES: usize = 32;

/// Is there a sealed chunk of so many octets?
pub(crate) fn is_chunk_len(length: usize) -> bool {
    (TAG_BYTES + 1..=CHUNK_SEALED_BYTES).contains(&length)
}

/// The key of one body. Zeroed on drop, never printed.
#[derive(Clone, PartialEq, Eq)]
struct BodyKey(Zeroizing<[u8; KEY_BYTES]>);

/// Names the sealed octets of a body: SHA-256 of `label ‖ SHA-256 of every sealed chunk ‖ their number (u32) ‖ their
/// octets (u64)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    /// The digest of these octets, as they were stored or travelled.
    pub const fn from_bytes(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyDigest({self})")
    }
}

/// What shows of a body to whoever carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyOutline {
    /// Which body.
    pub digest: BodyDigest,
    /// The octets of all its sealed chunks.
    pub sealed_bytes: u64,
}

impl BodyOutline {
    /// How many chunks it has.
    pub fn chunks(&self) -> u32 {
        cut::chunks_of_sealed(self.sealed_bytes)
    }

    pub(crate) fn to_wire(self) -> wire::BodyOutline {
        let digest = Bytes::copy_from_slice(self.digest.as_bytes());
        wire::BodyOutline { digest, sealed_bytes: self.sealed_bytes }
    }

    /// `None` when no body has such an outline.
    pub(crate) fn from_wire(outline: &wire::BodyOutline) -> Option<Self> {
        let digest = BodyDigest(outline.digest.as_ref().try_into().ok()?);
        Cut::of_sealed(outline.sealed_bytes)?;
        Some(Self { digest, sealed_bytes: outline.sealed_bytes })
    }
}

/// Everything it takes to read a body whose sealed chunks are at hand. As secret as the octets; its `Debug` leaves the
/// key out.
#[derive(Clone, PartialEq, Eq)]
pub struct BodyRef {
    key: BodyKey,
    digest: BodyDigest,
    size: u64,
}

impl BodyRef {
    /// Which sealed chunks.
    pub fn digest(&self) -> BodyDigest {
        self.digest
    }

    /// Clear octets, without the padding: 1 to [`BODY_BYTES_MAX`].
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What shows of it outside.
    pub fn outline(&self) -> BodyOutline {
        let sealed_bytes = Cut::of(self.size).map_or(0, |cut| cut.sealed_bytes());
        BodyOutline { digest: self.digest, sealed_bytes }
    }

    /// For a house that keeps the reference, sealed, beside the chunks: key (32) ‖ digest (32) ‖ size (u64).
    pub fn to_bytes(&self) -> Zeroizing<[u8; BODY_REF_BYTES]> {
        let mut octets = Zeroizing::new([0; BODY_REF_BYTES]);
        let parts = self.key.0.iter().chain(self.digest.as_bytes()).copied().chain(self.size.to_be_bytes());
        octets.iter_mut().zip(parts).for_each(|(octet, part)| *octet = part);
        octets
    }

    /// What [`to_bytes`](Self::to_bytes) made; `None` when it refers to nothing that can be.
    pub fn from_bytes(octets: &[u8; BODY_REF_BYTES]) -> Option<Self> {
        let (key, rest) = octets.split_first_chunk::<KEY_BYTES>()?;
        let (digest, size) = rest.split_first_chunk::<DIGEST_BYTES>()?;
        let size = u64::from_be_bytes(size.try_into().ok()?);
        Cut::of(size).ok()?;
        Some(Self { key: BodyKey(Zeroizing::new(*key)), digest: BodyDigest(*digest), size })
    }

    pub(crate) fn to_wire(&self) -> wire::BodyRef {
        let [key, digest] = [self.key.0.as_slice(), self.digest.as_bytes()].map(Bytes::copy_from_slice);
        wire::BodyRef { key, digest, size: self.size }
    }

    /// `None` when it refers to nothing that can be.
    pub(crate) fn from_wire(body: &wire::BodyRef) -> Option<Self> {
        let key = BodyKey(Zeroizing::new(body.key.as_ref().try_into().ok()?));
        let digest = BodyDigest(body.digest.as_ref().try_into().ok()?);
        Cut::of(body.size).ok()?;
        Some(Self { key, digest, size: body.size })
    }
}

impl fmt::Debug for BodyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyRef({} octets, {})", self.size, self.digest)
    }
}

/// Why a body was not sealed, or what came is not the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Ours: nothing, or more than a body may have.
    #[error("a body has 1 to {BODY_BYTES_MAX} octets, not {0}")]
    Size(u64),
    /// Ours: fewer or more octets came than were announced.
    #[error("there are not as many octets as were announced")]
    Miscounted,
    /// Ours: the cryptographic library failed (out of memory).
    #[error("encryption failed")]
    Encryption,
    /// Ours, or the carrier's: the body ends too early.
    #[error("chunk {0} is missing")]
    Missing(u32),
    /// Theirs, or the carrier's: a chunk behind the last.
    #[error("there is no chunk {0} in this body")]
    Surplus(u32),
    /// Theirs, or the carrier's: a chunk is not as long as its place in the body asks for.
    #[error("chunk {0} has the wrong length")]
    Length(u32),
    /// Theirs, or the carrier's: a chunk was altered, moved, or belongs to another body or key.
    #[error("chunk {0} cannot be decrypted")]
    NotAuthentic(u32),
    /// Theirs: the padding is not zeros.
    #[error("malformed padding")]
    Padding,
    /// Theirs: chunks under the right key, but not those that the sender signed.
    #[error("the body has another digest")]
    Digest,
}

#[cfg(test)]
mod tests;
