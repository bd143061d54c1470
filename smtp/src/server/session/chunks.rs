//! What follows `BDAT` (RFC 3030): so many octets as were announced, and nothing in them is a command or an end.
//!
//! The dots of lines are not stuffed and CRLF.CRLF means nothing. But the message may go on by `DATA`, so its lines
//! end in CRLF as there: bare CRs and LFs are treated alike, and a last line without an end gets one, as any client
//! of `DATA` must add it (RFC 5321 §4.1.1.4).

use memchr::memchr2;

use super::keep::{Fault, Keep, Kept, Terms};
use crate::server::Grant;

/// A message on its way in, over all its chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    keep: Keep,
    /// The last octet was a CR; the next one, maybe of another chunk, tells what it means.
    after_cr: bool,
}

impl Chunks {
    pub(super) fn new(terms: Terms, grant: Grant) -> Self {
        Self { keep: Keep::new(terms, grant), after_cr: false }
    }

    /// Octets of the message so far.
    pub(super) fn length(&self) -> u64 {
        self.keep.length() + u64::from(self.after_cr)
    }

    /// Why it will be refused, as far as is known before its end.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.keep.fault()
    }

    /// Takes all of `octets`.
    pub(super) fn feed(&mut self, octets: &[u8]) {
        let mut rest = octets;
        if self.after_cr && !rest.is_empty() {
            rest = self.line_end_across(rest);
        }
        let (mut at, mut lines) = (0, 0);
        while let Some(found) = memchr2(b'\r', b'\n', rest.get(at..).unwrap_or_default()) {
            at += found;
            match rest.get(at..).unwrap_or_default() {
                [b'\r', b'\n', ..] => {
                    at += 2;
                    lines += 1;
                    continue;
                }
                [b'\r'] => self.after_cr = true,
                _ => {}
            }
            let (run, line_end) = rest.split_at(at);
            self.keep.run(run, lines);
            if !self.after_cr {
                self.keep.bare_line_end();
            }
            rest = line_end.get(1..).unwrap_or_default();
            (at, lines) = (0, 0);
        }
        self.keep.run(rest, lines);
    }

    /// The message, after its last chunk.
    pub(super) fn complete(mut self) -> Result<Kept, Fault> {
        if self.after_cr {
            self.keep.bare_line_end();
        }
        if !self.keep.ends_a_line() {
            self.keep.run(b"\r\n", 1);
        }
        self.keep.complete()
    }

    /// A CR was the last octet before `octets`; answers what follows the line end or the bare CR.
    fn line_end_across<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        self.after_cr = false;
        match octets {
            [b'\n', rest @ ..] => {
                self.keep.run(b"\r\n", 1);
                rest
            }
            bare => {
                self.keep.bare_line_end();
                bare
            }
        }
    }
}

#[cfg(test)]
mod tests;
