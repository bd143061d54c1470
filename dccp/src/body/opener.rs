//! Opening: sealed chunks in, clear octets out, one at a time.

use super::cut::Cut;
use super::stream::Stream;
use super::{BodyError, BodyOutline, BodyRef, TAG_BYTES, Tally};

/// Opens one body. What it has given out is what the sender signed only once [`BodyOpener::finish`] has said so:
/// whoever streams the octets on must be able to break off.
pub struct BodyOpener {
    stream: Stream,
    /// Clear octets that are still to come.
    left: usize,
    cut: Cut,
    outline: BodyOutline,
    tally: Tally,
}

impl BodyOpener {
    /// Begins to read a body.
    ///
    /// # Errors
    /// [`BodyError::Encryption`].
    pub fn new(body: &BodyRef) -> Result<Self, BodyError> {
        Ok(Self {
            stream: Stream::new(&body.key).map_err(|_| BodyError::Encryption)?,
            left: usize::try_from(body.size).map_err(|_| BodyError::Size(body.size))?,
            cut: Cut::of(body.size)?,
            outline: body.outline(),
            tally: Tally::default(),
        })
    }

    /// Opens the next chunk and appends its octets, without the padding, to `clear`.
    ///
    /// # Errors
    /// [`BodyError::Surplus`], [`BodyError::Length`], [`BodyError::NotAuthentic`] or [`BodyError::Padding`]; nothing
    /// is appended then.
    pub fn chunk(&mut self, sealed: &[u8], clear: &mut Vec<u8>) -> Result<(), BodyError> {
        let index = self.tally.chunks();
        let padded = match self.cut.clear_len(index) {
            0 => return Err(BodyError::Surplus(index)),
            length if length + TAG_BYTES != sealed.len() => return Err(BodyError::Length(index)),
            length => length,
        };
        let before = clear.len();
        let octets = padded.min(self.left);
        let opened = self.open(index, sealed, clear, padded, octets);
        clear.truncate(if opened.is_ok() { before + octets } else { before });
        opened?;
        self.left -= octets;
        self.tally.add(sealed)
    }

    /// Decrypts to the end of `clear` and looks at the padding behind the octets.
    fn open(
        &self,
        index: u32,
        sealed: &[u8],
        clear: &mut Vec<u8>,
        padded: usize,
        octets: usize,
    ) -> Result<(), BodyError> {
        let start = clear.len();
        clear.resize(start + padded, 0);
        let chunk = clear.get_mut(start..).unwrap_or_default();
        let last = self.cut.is_last(index);
        self.stream.open(index, last, sealed, chunk).map_err(|_| BodyError::NotAuthentic(index))?;
        match chunk.get(octets..).unwrap_or_default().iter().all(|octet| *octet == 0) {
            true => Ok(()),
            false => Err(BodyError::Padding),
        }
    }

    /// Says whether that was the whole body, and the one that the sender signed.
    ///
    /// # Errors
    /// [`BodyError::Missing`], [`BodyError::Digest`].
    pub fn finish(self) -> Result<(), BodyError> {
        match self.tally.chunks() {
            opened if opened < self.cut.chunks() => Err(BodyError::Missing(opened)),
            _ if self.tally.finish() == self.outline => Ok(()),
            _ => Err(BodyError::Digest),
        }
    }
}
