//! Counting and hashing sealed chunks: what needs no key.

use aws_lc_rs::digest::{Context, SHA256};

use super::{BodyDigest, BodyError, BodyOutline, CHUNK_SEALED_BYTES, is_chunk_len};
use crate::digest::{finished, sha256};
use crate::limits::CHUNKS_MAX;

const LABEL: &[u8] = b"DCCP-BODY-DIGEST-v1\0";

/// SHA-256 of a sealed chunk: whoever keeps it beside the chunk need not read the chunk again to name the body.
pub fn chunk_hash(sealed: &[u8]) -> [u8; 32] {
    sha256(&[sealed])
}

/// The outline of a body, made from its sealed chunks as they come by, in order.
#[derive(Clone)]
pub struct Tally {
    hashes: Context,
    chunks: u32,
    sealed_bytes: u64,
    /// The last chunk was not a full one: nothing may follow.
    ended: bool,
}

impl Default for Tally {
    fn default() -> Self {
        let mut hashes = Context::new(&SHA256);
        hashes.update(LABEL);
        Self { hashes, chunks: 0, sealed_bytes: 0, ended: false }
    }
}

impl Tally {
    /// How many chunks were counted: the index of the next one.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Counts the next chunk.
    ///
    /// # Errors
    /// [`BodyError::Length`] or [`BodyError::Surplus`] when no body has such a chunk in this place.
    pub fn add(&mut self, sealed: &[u8]) -> Result<(), BodyError> {
        self.add_hash(chunk_hash(sealed), sealed.len())
    }

    /// Counts the next chunk by its [hash](chunk_hash) and its length in octets.
    ///
    /// # Errors
    /// As [`Tally::add`].
    pub fn add_hash(&mut self, hash: [u8; 32], length: usize) -> Result<(), BodyError> {
        if self.ended || self.chunks == CHUNKS_MAX {
            return Err(BodyError::Surplus(self.chunks));
        }
        if !is_chunk_len(length) {
            return Err(BodyError::Length(self.chunks));
        }
        self.ended = length < CHUNK_SEALED_BYTES;
        self.hashes.update(&hash);
        self.chunks += 1;
        self.sealed_bytes += length as u64;
        Ok(())
    }

    /// The outline of what was counted.
    pub fn finish(mut self) -> BodyOutline {
        self.hashes.update(&self.chunks.to_be_bytes());
        self.hashes.update(&self.sealed_bytes.to_be_bytes());
        BodyOutline { digest: BodyDigest(finished(self.hashes)), sealed_bytes: self.sealed_bytes }
    }
}
