//! What follows `DATA`: finding the real end, removing the stuffed dots, refusing bare line ends.
//!
//! The message ends at CRLF.CRLF and nowhere else. `\n.\n`, `\n.\r\n` or `\r.\r` end it in the eyes of some
//! servers and not of others; a sender who knows which can smuggle a second message past the first reader.
//! So the scan goes on to the real end, whatever [`super::keep`] makes of a bare CR or LF on the way.

use memchr::memchr2;

use super::keep::{Fault, Keep, Kept, Terms};
use crate::server::Grant;

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Content {
    keep: Keep,
    at_line_start: bool,
}

impl Content {
    pub(super) fn new(terms: Terms, grant: Grant) -> Self {
        // The CRLF of the DATA command begins the first line (RFC 5321 §4.1.1.4).
        Self { keep: Keep::new(terms, grant), at_line_start: true }
    }

    /// Octets of the message so far, after unstuffing.
    pub(super) fn length(&self) -> u64 {
        self.keep.length()
    }

    /// Takes what it can from `input`: the number of octets consumed, and whether the message ended there.
    ///
    /// Up to two octets stay behind when only the next ones tell what they mean.
    pub(super) fn feed(&mut self, input: &[u8]) -> (usize, bool) {
        let (mut at, mut unstored, mut lines) = (0, 0, 0);
        loop {
            if self.at_line_start {
                match input.get(at..).unwrap_or_default() {
                    [b'.', b'\r', b'\n', ..] => {
                        self.store(input, unstored, at, lines);
                        return (at + 3, true);
                    }
                    [] | [b'.'] | [b'.', b'\r'] => break,
                    [b'.', ..] => {
                        self.store(input, unstored, at, lines); // RFC 5321 §4.5.2: the first dot of a line goes
                        at += 1;
                        (unstored, lines) = (at, 0);
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
                    lines += 1;
                    self.at_line_start = true;
                }
                _ => {
                    self.store(input, unstored, at, lines);
                    self.keep.bare_line_end(); // no line begins behind it: a dot there is not stuffed
                    at += 1;
                    (unstored, lines) = (at, 0);
                }
            }
        }
        self.store(input, unstored, at, lines);
        (at, false)
    }

    /// The message, after its end.
    pub(super) fn complete(self) -> Result<Kept, Fault> {
        self.keep.complete()
    }

    fn store(&mut self, input: &[u8], from: usize, to: usize, lines: u64) {
        self.keep.run(input.get(from..to).unwrap_or_default(), lines);
    }
}

#[cfg(test)]
mod tests;
