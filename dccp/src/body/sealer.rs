//! Sealing: clear octets in, sealed chunks out, one at a time.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::cut::Cut;
use super::stream::Stream;
use super::{BodyError, BodyKey, BodyRef, KEY_BYTES, TAG_BYTES, Tally};

/// Seals one body under a fresh key.
pub struct BodySealer {
    key: BodyKey,
    stream: Stream,
    size: u64,
    /// Clear octets that are still to come.
    left: usize,
    cut: Cut,
    tally: Tally,
}

impl BodySealer {
    /// Begins a body of `size` clear octets.
    ///
    /// # Errors
    /// [`BodyError::Size`], [`BodyError::Encryption`].
    pub fn new(size: u64, rng: &mut impl CryptoRng) -> Result<Self, BodyError> {
        let cut = Cut::of(size)?;
        let left = usize::try_from(size).map_err(|_| BodyError::Size(size))?;
        let mut key = BodyKey(Zeroizing::new([0; KEY_BYTES]));
        rng.fill_bytes(key.0.as_mut_slice());
        let stream = Stream::new(&key).map_err(|_| BodyError::Encryption)?;
        Ok(Self { key, stream, size, left, cut, tally: Tally::default() })
    }

    /// Takes the clear octets of the next chunk from the front of `octets` and seals them; `None` when the body is
    /// complete. They are copied once, into the buffer that is sealed and handed out.
    ///
    /// # Errors
    /// [`BodyError::Miscounted`] when there are fewer octets than were announced, or some are left over.
    pub fn chunk(&mut self, octets: &mut impl Buf) -> Result<Option<Bytes>, BodyError> {
        let index = self.tally.chunks();
        if index == self.cut.chunks() {
            return if octets.has_remaining() { Err(BodyError::Miscounted) } else { Ok(None) };
        }
        let padded = self.cut.clear_len(index);
        let clear = padded.min(self.left);
        if octets.remaining() < clear {
            return Err(BodyError::Miscounted);
        }
        let mut chunk = BytesMut::with_capacity(padded + TAG_BYTES);
        chunk.put(octets.take(clear));
        chunk.resize(padded, 0);
        let last = self.cut.is_last(index);
        let tag = self.stream.seal(index, last, &mut chunk).map_err(|_| BodyError::Encryption)?;
        chunk.extend_from_slice(tag.as_ref());
        self.left -= clear;
        self.tally.add(&chunk)?;
        Ok(Some(chunk.freeze()))
    }

    /// The reference to the body.
    ///
    /// # Errors
    /// [`BodyError::Missing`] when chunks are still to be sealed.
    pub fn finish(self) -> Result<BodyRef, BodyError> {
        match self.tally.chunks() {
            sealed if sealed < self.cut.chunks() => Err(BodyError::Missing(sealed)),
            _ => Ok(BodyRef { key: self.key, digest: self.tally.finish().digest, size: self.size }),
        }
    }
}
