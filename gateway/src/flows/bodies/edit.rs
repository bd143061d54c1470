//! What the gateway changes in a mail: lines of its own in front, and forged fields that it leaves out. Everything else stays, octet
//! for octet, so the mail before and the mail after can both be read from whichever of them rests.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use dccp::body::BodyRef;
use dccp::mail::Content;

use super::rendition::{Piece, Rendition};
use crate::spool::LargeBody;

/// A change of one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    in_front: Bytes,
    /// What stays of the octets, in their order.
    kept: Vec<Range<usize>>,
    /// How many octets there were.
    size: usize,
}

/// The octets of a mail for somebody who keeps them longer than its rows do.
pub enum Stored<'a> {
    /// All of them.
    Whole(Cow<'a, [u8]>),
    /// How they are read from a large body.
    Beside(LargeBody, Rendition),
}

impl Edit {
    /// Everything stays as it is.
    pub fn none(octets: &[u8]) -> Self {
        Self::without(octets, [])
    }

    /// These ranges, which come in order, are left out.
    pub fn without(octets: &[u8], left_out: impl IntoIterator<Item = Range<usize>>) -> Self {
        let (mut kept, mut from) = (Vec::new(), 0);
        for gone in left_out {
            kept.push(from..gone.start);
            from = gone.end;
        }
        kept.push(from..octets.len());
        Self { in_front: Bytes::new(), kept, size: octets.len() }
    }

    /// With these lines in front.
    #[must_use]
    pub fn behind(self, lines: impl Into<Bytes>) -> Self {
        Self { in_front: lines.into(), ..self }
    }

    /// The mail after the edit, piece by piece: nothing is copied.
    pub fn pieces(&self, octets: &Bytes) -> Vec<Bytes> {
        let kept = self.kept.iter().map(|range| octets.slice(range.clone()));
        std::iter::once(self.in_front.clone()).filter(|lines| !lines.is_empty()).chain(kept).collect()
    }

    /// The mail before the edit, which is `octets`. What rests, `content` in its row and perhaps a large body, is the mail after it.
    pub fn undone<'a>(&self, octets: &'a Bytes, content: &Content, large: Option<LargeBody>) -> Stored<'a> {
        let whole = || Stored::Whole(Cow::Borrowed(octets));
        beside(content, large, |body| self.before(body, octets)).unwrap_or_else(whole)
    }

    /// The mail after the edit. What rests is the mail before it, which is `octets`.
    pub fn done<'a>(&self, octets: &'a Bytes, content: &Content, large: Option<LargeBody>) -> Stored<'a> {
        let whole = || Stored::Whole(Cow::Owned(self.pieces(octets).concat()));
        beside(content, large, |body| self.after(body)).unwrap_or_else(whole)
    }

    fn before(&self, body: BodyRef, octets: &Bytes) -> Rendition {
        let mut pieces = vec![Piece::Passed(self.in_front.len() as u64)];
        let mut from = 0;
        for range in &self.kept {
            pieces.push(Piece::Own(octets.slice(from..range.start)));
            pieces.push(Piece::Taken(range.len() as u64));
            from = range.end;
        }
        pieces.push(Piece::Own(octets.slice(from..)));
        Rendition::new(body, pieces)
    }

    fn after(&self, body: BodyRef) -> Rendition {
        let mut pieces = vec![Piece::Own(self.in_front.clone())];
        let mut from = 0;
        for range in &self.kept {
            pieces.push(Piece::Passed((range.start - from) as u64));
            pieces.push(Piece::Taken(range.len() as u64));
            from = range.end;
        }
        pieces.push(Piece::Passed((self.size - from) as u64));
        Rendition::new(body, pieces)
    }
}

impl Stored<'_> {
    /// How many octets the mail has.
    pub fn size(&self) -> u64 {
        match self {
            Self::Whole(octets) => octets.len() as u64,
            Self::Beside(_, rendition) => rendition.size(),
        }
    }

    /// The large body that it is read from.
    pub fn large(&self) -> Option<LargeBody> {
        match self {
            Self::Whole(_) => None,
            Self::Beside(large, _) => Some(*large),
        }
    }
}

fn beside<'a>(
    content: &Content,
    large: Option<LargeBody>,
    read: impl FnOnce(BodyRef) -> Rendition,
) -> Option<Stored<'a>> {
    match (content, large) {
        (Content::Body(body), Some(large)) => Some(Stored::Beside(large, read(body.clone()))),
        _ => None,
    }
}
