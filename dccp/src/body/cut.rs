//! How a body is cut: full chunks, and a last one as long as the padding leaves it. Arithmetic alone.

use super::{BodyError, CHUNK_BYTES, CHUNK_SEALED_BYTES, TAG_BYTES};
use crate::limits::BODY_BYTES_MAX;
use crate::padding::padded_len;

/// The cut of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Clear octets with the padding.
    padded: usize,
}

impl Cut {
    /// The cut of a body of `size` clear octets.
    pub(super) fn of(size: u64) -> Result<Self, BodyError> {
        match usize::try_from(size) {
            Ok(octets @ 1..) if size <= BODY_BYTES_MAX => Ok(Self { padded: padded_len(octets) }),
            _ => Err(BodyError::Size(size)),
        }
    }

    /// The cut of a body whose sealed chunks have so many octets together; `None` when no body has.
    pub(super) fn of_sealed(sealed_bytes: u64) -> Option<Self> {
        let tags = u64::from(chunks_of_sealed(sealed_bytes)) * TAG_BYTES as u64;
        let cut = Self::of(sealed_bytes.checked_sub(tags)?).ok()?;
        (cut.sealed_bytes() == sealed_bytes).then_some(cut)
    }

    pub(super) fn chunks(self) -> u32 {
        u32::try_from(self.padded.div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX)
    }

    /// Clear octets of this chunk, with the padding; 0 behind the end.
    pub(super) fn clear_len(self, index: u32) -> usize {
        self.padded.saturating_sub(index as usize * CHUNK_BYTES).min(CHUNK_BYTES)
    }

    pub(super) fn is_last(self, index: u32) -> bool {
        index + 1 == self.chunks()
    }

    pub(super) fn sealed_bytes(self) -> u64 {
        self.padded as u64 + u64::from(self.chunks()) * TAG_BYTES as u64
    }
}

/// How many chunks so many sealed octets are.
pub(super) fn chunks_of_sealed(sealed_bytes: u64) -> u32 {
    u32::try_from(sealed_bytes.div_ceil(CHUNK_SEALED_BYTES as u64)).unwrap_or(u32::MAX)
}
