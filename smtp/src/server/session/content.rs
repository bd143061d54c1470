//! What follows `DATA`: finding the real end, removing the stuffed dots, refusing bare line ends.
//!
//! The message ends at CRLF.CRLF and nowhere else. `\n.\n`, `\n.\r\n` or `\r.\r` end it in the eyes of some
//! servers and not of others; a sender who knows which can smuggle a second message past the first reader.
//! So the scan goes on to the real end, and a message with a bare CR or LF is refused as a whole.

use bytes::Bytes;
use memchr::memchr2;

use crate::server::Grant;

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Content {
    octets: Vec<u8>,
    grant: Grant,
    /// Octets after unstuffing, stored or not.
    length: u64,
    size_max: u64,
    /// `SIZE=`: growth aims at it, but memory is taken only for what arrived.
    declared: usize,
    /// CRLFs so far.
    lines: u64,
    at_line_start: bool,
    /// The line, counted from 1, of the first bare CR or LF.
    bare_line_end: Option<u64>,
    out_of_memory: bool,
}

/// Why a message is refused at its end, the gravest reason first: a message that can never be accepted
/// must not be called back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A bare CR or LF; the line number counts from 1.
    BareLineEnd { line: u64 },
    /// More than `size_max` octets.
    TooLarge { octets: u64 },
    /// The budget for bodies is used up.
    NoMemory,
}

impl Content {
    pub(super) fn new(size_max: u64, declared: Option<u64>, grant: Grant) -> Self {
        Self {
            octets: Vec::new(),
            grant,
            length: 0,
            size_max,
            declared: declared.and_then(|size| usize::try_from(size).ok()).unwrap_or(0),
            lines: 0,
            at_line_start: true, // the CRLF of the DATA command begins the first line (RFC 5321 §4.1.1.4)
            bare_line_end: None,
            out_of_memory: false,
        }
    }

    /// Octets of the message so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Takes what it can from `input`: the number of octets consumed, and whether the message ended there.
    ///
    /// Up to two octets stay behind when only the next ones tell what they mean.
    pub(super) fn feed(&mut self, input: &[u8]) -> (usize, bool) {
        let (mut at, mut unstored) = (0, 0);
        loop {
            if self.at_line_start {
                match input.get(at..).unwrap_or_default() {
                    [b'.', b'\r', b'\n', ..] => {
                        self.store(input, unstored, at);
                        return (at + 3, true);
                    }
                    [] | [b'.'] | [b'.', b'\r'] => break,
                    [b'.', ..] => {
                        self.store(input, unstored, at); // RFC 5321 §4.5.2: the first dot of a line goes
                        at += 1;
                        unstored = at;
                    }
                    _ => {}
                }
                self.at_line_start = false;
            }
            let Some(found) = memchr2(b'\r', b'\n', input.get(at..).unwrap_or_default()) else {
                at = input.len();
                break;
            };
            at += found;
            match input.get(at..).unwrap_or_default() {
                [b'\r'] => break,
                [b'\r', b'\n', ..] => {
                    at += 2;
                    self.lines += 1;
                    self.at_line_start = true;
                }
                _ => {
                    at += 1;
                    self.bare_line_end.get_or_insert(self.lines + 1);
                }
            }
        }
        self.store(input, unstored, at);
        (at, false)
    }

    /// The message, after its end, with the memory it holds.
    pub(super) fn complete(self) -> Result<(Bytes, Grant), Fault> {
        match self.fault() {
            Some(fault) => Err(fault),
            None => Ok((Bytes::from(self.octets), self.grant)), // takes the buffer over, copies nothing
        }
    }

    fn fault(&self) -> Option<Fault> {
        if let Some(line) = self.bare_line_end {
            Some(Fault::BareLineEnd { line })
        } else if self.length > self.size_max {
            Some(Fault::TooLarge { octets: self.length })
        } else if self.out_of_memory {
            Some(Fault::NoMemory)
        } else {
            None
        }
    }

    /// Appends a run of octets; a message that will be refused is counted but no longer kept.
    fn store(&mut self, input: &[u8], from: usize, to: usize) {
        let run = input.get(from..to).unwrap_or_default();
        self.length += run.len() as u64;
        if self.fault().is_none() && self.make_room(run.len()) {
            self.octets.extend_from_slice(run);
            return;
        }
        self.out_of_memory |= self.fault().is_none();
        self.octets = Vec::new();
        self.grant.release();
    }

    /// Doubles the buffer, but never beyond what the client declared while that suffices.
    fn make_room(&mut self, more: usize) -> bool {
        let need = self.octets.len() + more;
        if need <= self.octets.capacity() {
            return true;
        }
        let doubled = need.max(self.octets.capacity() * 2);
        let target = if need <= self.declared { doubled.min(self.declared) } else { doubled };
        for capacity in [target, need] {
            if self.grant.grow_to(capacity) {
                self.octets.reserve_exact(capacity - self.octets.len());
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
