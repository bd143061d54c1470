//! How the octets of a mail are read from a large body that is nearly it: which of the body's octets, and what else between them.
//!
//! ```text
//! rendition = reference to the body (72) ‖ pieces
//! piece     = kind (1) ‖ octets (u64) ‖ those octets, if they are the rendition's own
//!             0 own: not in the body · 1 taken from the body · 2 passed over in the body
//! ```
//!
//! A rendition has the key of its body: it rests only sealed, to those who may read the mail.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use dccp::body::{BODY_REF_BYTES, BodyError, BodyOpener, BodyRef};
use zeroize::Zeroizing;

const OWN: u8 = 0;
const TAKEN: u8 = 1;
const PASSED: u8 = 2;

/// A mail, as it is read from a large body.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendition {
    body: BodyRef,
    pieces: Vec<Piece>,
}

/// A part of a mail, or of the body that it is read from.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Octets that are not in the body.
    Own(Bytes),
    /// The next so many of the body.
    Taken(u64),
    /// The next so many of the body are not of the mail.
    Passed(u64),
}

/// A mail on its way out of a body: chunk after chunk goes in, sealed, and the mail comes out.
pub struct Rendering {
    /// Until the last chunk has come and all of them are what the reference says.
    opener: Option<BodyOpener>,
    next: u32,
    chunks: u32,
    pieces: VecDeque<Piece>,
    /// The chunk in hand, opened.
    clear: Vec<u8>,
    /// The end of the mail, while chunks are still to come: of padding alone.
    held_back: Vec<u8>,
}

impl Rendition {
    /// `pieces` have every octet of the body, in order.
    pub(super) fn new(body: BodyRef, pieces: Vec<Piece>) -> Self {
        Self { body, pieces: pieces.into_iter().filter(|piece| piece.len() > 0).collect() }
    }

    /// How many octets the mail has.
    pub fn size(&self) -> u64 {
        let of_the_mail = |piece: &&Piece| !matches!(piece, Piece::Passed(_));
        self.pieces.iter().filter(of_the_mail).map(Piece::len).sum()
    }

    /// How many sealed chunks it is read from.
    pub fn chunks(&self) -> u32 {
        self.body.outline().chunks()
    }

    /// Begins to read.
    ///
    /// # Errors
    /// [`BodyError::Encryption`].
    pub fn begin(self) -> Result<Rendering, BodyError> {
        let (opener, chunks) = (Some(BodyOpener::new(&self.body)?), self.chunks());
        let (clear, held_back) = (Vec::new(), Vec::new());
        Ok(Rendering { opener, next: 0, chunks, pieces: self.pieces.into(), clear, held_back })
    }

    /// As it is sealed.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut octets = Zeroizing::new(self.body.to_bytes().to_vec());
        for piece in &self.pieces {
            octets.push(piece.kind());
            octets.extend_from_slice(&piece.len().to_be_bytes());
            if let Piece::Own(own) = piece {
                octets.extend_from_slice(own);
            }
        }
        octets
    }

    /// What [`encode`](Self::encode) made; `None` when it is of another form.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let (body, mut rest) = octets.split_first_chunk::<BODY_REF_BYTES>()?;
        let body = BodyRef::from_bytes(body)?;
        let mut pieces = Vec::new();
        while rest.has_remaining() {
            let (kind, length) = (rest.try_get_u8().ok()?, rest.try_get_u64().ok()?);
            pieces.push(match kind {
                OWN => {
                    let (own, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                    rest = behind;
                    Piece::Own(Bytes::copy_from_slice(own))
                }
                TAKEN => Piece::Taken(length),
                PASSED => Piece::Passed(length),
                _ => return None,
            });
        }
        let of_the_body = |piece: &Piece| if matches!(piece, Piece::Own(_)) { 0 } else { piece.len() };
        let named = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(of_the_body(piece)));
        (named == Some(body.size())).then(|| Self::new(body, pieces))
    }
}

impl Piece {
    fn kind(&self) -> u8 {
        match self {
            Self::Own(_) => OWN,
            Self::Taken(_) => TAKEN,
            Self::Passed(_) => PASSED,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Own(own) => own.len() as u64,
            Self::Taken(octets) | Self::Passed(octets) => *octets,
        }
    }
}

impl Rendering {
    /// The chunk of the body that is wanted next; `None`: the mail is complete, and what its maker kept.
    pub fn wants(&self) -> Option<u32> {
        (self.next < self.chunks).then_some(self.next)
    }

    /// Takes the chunk that is wanted and gives what it has of the mail. The end of the mail is given only when the whole body
    /// was what the reference says.
    ///
    /// # Errors
    /// [`BodyError`]: what was given out before counts for nothing.
    pub fn chunk(&mut self, sealed: &[u8]) -> Result<Vec<u8>, BodyError> {
        let n = self.next;
        let Some(opener) = &mut self.opener else { return Err(BodyError::Surplus(n)) };
        self.clear.clear();
        opener.chunk(sealed, &mut self.clear)?;
        self.next += 1;
        if self.next == self.chunks
            && let Some(opener) = self.opener.take()
        {
            opener.finish()?;
        }
        let mut given = std::mem::take(&mut self.held_back);
        self.read(&mut given);
        if self.pieces.is_empty() && self.wants().is_some() {
            self.held_back = std::mem::take(&mut given);
        }
        Ok(given)
    }

    /// What the chunk in hand has of the mail, and what of the mail's own stands before and between.
    fn read(&mut self, given: &mut Vec<u8>) {
        given.reserve(self.clear.len());
        let mut clear = self.clear.as_slice();
        while let Some(piece) = self.pieces.pop_front() {
            let (of_body, taken) = match piece {
                Piece::Own(own) => {
                    given.extend_from_slice(&own);
                    continue;
                }
                Piece::Taken(octets) => (octets, true),
                Piece::Passed(octets) => (octets, false),
            };
            let here = usize::try_from(of_body).map_or(clear.len(), |octets| octets.min(clear.len()));
            let (now, behind) = clear.split_at_checked(here).unwrap_or_default();
            clear = behind;
            if taken {
                given.extend_from_slice(now);
            }
            let left = of_body - here as u64;
            if left > 0 {
                self.pieces.push_front(if taken { Piece::Taken(left) } else { Piece::Passed(left) });
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dccp::body::{BodySealer, CHUNK_BYTES};
    use dccp::mail::Content;
    use uuid::Uuid;

    use super::*;
    use crate::flows::bodies::edit::{Edit, Stored};
    use crate::spool::LargeBody;

    /// A body of these octets, and its chunks.
    fn sealed(octets: &[u8]) -> (BodyRef, Vec<Bytes>) {
        let mut sealer = BodySealer::new(octets.len() as u64, &mut rand::rng()).unwrap();
        let (mut rest, mut chunks) = (octets, Vec::new());
        while let Some(chunk) = sealer.chunk(&mut rest).unwrap() {
            chunks.push(chunk);
        }
        (sealer.finish().unwrap(), chunks)
    }

    fn read(rendition: Rendition, chunks: &[Bytes]) -> Result<Vec<u8>, BodyError> {
        let mut rendering = rendition.begin()?;
        let mut octets = Vec::new();
        while let Some(n) = rendering.wants() {
            let chunk = chunks.get(n as usize).ok_or(BodyError::Missing(n))?;
            octets.extend(rendering.chunk(chunk)?);
        }
        Ok(octets)
    }

    /// Octets no two of which stand in one place, and an edit that leaves out one stretch within a chunk, one across two of them,
    /// and one at the very end.
    fn edited() -> (Bytes, Edit) {
        let octets: Bytes = (0..2 * CHUNK_BYTES + 1_000).map(|at| (at % 251) as u8).collect();
        let left_out = [100..250, CHUNK_BYTES - 10..CHUNK_BYTES + 10, octets.len() - 5..octets.len()];
        (octets.clone(), Edit::without(&octets, left_out).behind("Received: here\r\n"))
    }

    fn rendition(stored: &Stored<'_>) -> Rendition {
        let Stored::Beside(_, rendition) = stored else { panic!("a large body") };
        assert_eq!(rendition.size(), stored.size());
        Rendition::decode(&rendition.encode()).unwrap()
    }

    #[test]
    fn a_mail_is_read_as_it_came_from_what_the_gateway_made_of_it_and_the_other_way_round() {
        let (octets, edit) = edited();
        let after = edit.pieces(&octets).concat();
        assert!(after.starts_with(b"Received: here\r\n\x00") && after.len() == octets.len() + 16 - 175);
        let large = Some(LargeBody(Uuid::nil()));
        let (body, chunks) = sealed(&after);
        let undone = rendition(&edit.undone(&octets, &Content::Body(body), large));
        assert!(read(undone, &chunks).unwrap() == octets);
        let (body, chunks) = sealed(&octets);
        let done = rendition(&edit.done(&octets, &Content::Body(body), large));
        assert!(read(done, &chunks).unwrap() == after);
    }

    #[test]
    fn the_end_of_a_mail_is_not_given_out_before_its_whole_body_is_proven() {
        let (octets, _) = edited();
        let (body, mut chunks) = sealed(&octets);
        let whole = Edit::none(&octets).done(&octets, &Content::Body(body), Some(LargeBody(Uuid::nil())));
        let mut rendering = rendition(&whole).begin().unwrap();
        let mut altered = chunks.pop().unwrap().to_vec();
        altered[0] ^= 1;
        assert_eq!(rendering.chunk(&chunks[0]).unwrap(), &octets[..CHUNK_BYTES]);
        assert_eq!(rendering.chunk(&chunks[0]), Err(BodyError::NotAuthentic(1)));
        assert_eq!(rendering.chunk(&chunks[1]).unwrap().len(), CHUNK_BYTES);
        assert_eq!(rendering.chunk(&altered), Err(BodyError::NotAuthentic(2)));
        assert_eq!(rendering.wants(), Some(2), "it is not complete");
    }

    #[test]
    fn nor_where_the_last_chunks_are_padding() {
        let octets = Bytes::from(vec![7; 64 * CHUNK_BYTES + 1]);
        let (body, chunks) = sealed(&octets);
        assert_eq!(chunks.len(), 66, "the last has nothing of the mail");
        let whole = Edit::none(&octets).done(&octets, &Content::Body(body), Some(LargeBody(Uuid::nil())));
        assert!(read(rendition(&whole), &chunks).unwrap() == octets);
        let mut rendering = rendition(&whole).begin().unwrap();
        let before: usize = chunks[..65].iter().map(|chunk| rendering.chunk(chunk).unwrap().len()).sum();
        assert!(before < octets.len());
    }

    #[test]
    fn a_rendition_that_names_other_octets_than_its_body_has_is_refused() {
        let (body, _) = sealed(b"octets");
        let of = |pieces: Vec<Piece>| Rendition::new(body.clone(), pieces).encode();
        assert!(Rendition::decode(&of(vec![Piece::Taken(6)])).is_some());
        for wrong in [
            vec![],
            vec![Piece::Taken(5)],
            vec![Piece::Passed(7)],
            vec![Piece::Taken(u64::MAX), Piece::Taken(7)],
        ] {
            assert!(Rendition::decode(&of(wrong)).is_none());
        }
        let right = of(vec![Piece::Own(Bytes::from_static(b"own")), Piece::Taken(6)]);
        for cut in 0..right.len() {
            assert!(Rendition::decode(&right[..cut]).is_none(), "cut at {cut}");
        }
    }
}
