//! The octets of a message while they come in, whether by `DATA` or in chunks: counted, bounded, and kept only as
//! long as the message can still be accepted.
//!
//! A bare CR or LF is the one thing whose treatment depends on the sender. Most servers take it for an octet, some
//! for a line end, and who knows which can make two messages of one. So a message that holds one is refused as a
//! whole, or, from networks that are allowed to be that old, every bare CR and every bare LF becomes CRLF before
//! anyone sees the message: signatures over those lines break, but nobody can read it in two ways any more.

use bytes::Bytes;

use crate::server::Grant;

/// What becomes of a bare CR or LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BareLineEnds {
    /// The message is refused at its end.
    Refused,
    /// It becomes CRLF.
    Mended,
}

/// What a message may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) size_max: u64,
    /// `SIZE=`: growth aims at it, but memory is taken only for what arrived.
    pub(super) declared: Option<u64>,
    pub(super) bare_line_ends: BareLineEnds,
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Keep {
    terms: Terms,
    octets: Vec<u8>,
    grant: Grant,
    /// Octets so far, kept or not.
    length: u64,
    /// Line ends so far.
    lines: u64,
    /// The line, counted from 1, of the first bare CR or LF, where that is a fault.
    bare_line_end: Option<u64>,
    /// How many bare CRs and LFs became CRLF.
    mended: u64,
    out_of_memory: bool,
}

/// A whole message.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) octets: Bytes,
    /// The memory it holds.
    pub(super) grant: Grant,
    /// How many bare CRs and LFs became CRLF.
    pub(super) mended: u64,
}

/// Why a message is refused, the gravest reason first: a message that can never be accepted must not be called back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A bare CR or LF; the line number counts from 1.
    BareLineEnd { line: u64 },
    /// More than `size_max` octets.
    TooLarge { octets: u64 },
    /// The budget for bodies is used up.
    NoMemory,
}

impl Keep {
    pub(super) fn new(terms: Terms, grant: Grant) -> Self {
        Self {
            terms,
            octets: Vec::new(),
            grant,
            length: 0,
            lines: 0,
            bare_line_end: None,
            mended: 0,
            out_of_memory: false,
        }
    }

    /// Octets of the message so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Octets in which `lines` CRLFs stand and no other CR or LF; one that will be refused is counted but no longer
    /// kept.
    pub(super) fn run(&mut self, run: &[u8], lines: u64) {
        self.lines += lines;
        self.length += run.len() as u64;
        if self.fault().is_none() && self.make_room(run.len()) {
            self.octets.extend_from_slice(run);
            return;
        }
        self.out_of_memory |= self.fault().is_none();
        self.octets = Vec::new();
        self.grant.release();
    }

    /// A bare CR or LF stood here.
    pub(super) fn bare_line_end(&mut self) {
        match self.terms.bare_line_ends {
            BareLineEnds::Refused => _ = self.bare_line_end.get_or_insert(self.lines + 1),
            BareLineEnds::Mended => {
                self.mended += 1;
                self.run(b"\r\n", 1);
            }
        }
    }

    /// Whether the last octet ends a line, or there is none.
    pub(super) fn ends_a_line(&self) -> bool {
        self.octets.is_empty() || self.octets.ends_with(b"\r\n")
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        if let Some(line) = self.bare_line_end {
            Some(Fault::BareLineEnd { line })
        } else if self.length > self.terms.size_max {
            Some(Fault::TooLarge { octets: self.length })
        } else if self.out_of_memory {
            Some(Fault::NoMemory)
        } else {
            None
        }
    }

    /// The message, after its end.
    pub(super) fn complete(self) -> Result<Kept, Fault> {
        match self.fault() {
            Some(fault) => Err(fault),
            // Takes the buffer over, copies nothing.
            None => Ok(Kept { octets: Bytes::from(self.octets), grant: self.grant, mended: self.mended }),
        }
    }

    /// Doubles the buffer, but never beyond what the client declared while that suffices.
    fn make_room(&mut self, more: usize) -> bool {
        let need = self.octets.len() + more;
        if need <= self.octets.capacity() {
            return true;
        }
        let declared = self.terms.declared.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let doubled = need.max(self.octets.capacity() * 2);
        let target = if need <= declared { doubled.min(declared) } else { doubled };
        for capacity in [target, need] {
            if self.grant.grow_to(capacity) {
                self.octets.reserve_exact(capacity - self.octets.len());
                return true;
            }
        }
        false
    }
}
