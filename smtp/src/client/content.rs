//! The octets of a message as they go on the wire after DATA: checked once, dot-stuffed while they are
//! written, never concatenated.

use bytes::Bytes;
use memchr::{memchr2, memmem};

use crate::message::BareLineEnd;

/// Ends the mail data (RFC 5321 §4.1.1.4). The CRLF in front of it belongs to the last line of the message.
const END_OF_DATA: &[u8] = b".\r\n";
const CRLF: &[u8] = b"\r\n";

/// The checked segments of one message, with what the MAIL command needs to know about them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    segments: &'a [Bytes],
    /// Octets of the message as RFC 1870 §6 counts them: line ends included, stuffed dots and the final dot not.
    pub(super) size: u64,
    /// Any octet above 127.
    pub(super) eight_bit: bool,
    /// An octet above 127 before the first empty line: an internationalized header (RFC 6532).
    pub(super) eight_bit_header: bool,
    ends_a_line: bool,
}

impl<'a> Content<'a> {
    /// Reads all segments once, as if they were one.
    ///
    /// Some servers take a bare LF for a line end and would see the end of the mail data, and new commands, in
    /// the middle of a message ("SMTP smuggling"). RFC 5321 §2.3.8 forbids them, so such a message stops here.
    pub(super) fn check(segments: &'a [Bytes]) -> Result<Self, BareLineEnd> {
        let mut scan = Scan::default();
        for segment in segments {
            scan.read(segment)?;
        }
        let ends_a_line = scan.finish()?;
        Ok(Self {
            segments,
            size: (scan.offset + if ends_a_line { 0 } else { CRLF.len() }) as u64,
            eight_bit: segments.iter().any(|segment| !segment.is_ascii()),
            eight_bit_header: scan.eight_bit_header,
            ends_a_line,
        })
    }

    /// The wire form, piece by piece: runs of the segments, a dot wherever a line starts with one
    /// (RFC 5321 §4.5.2), and the end of the mail data.
    pub(super) fn pieces(&self) -> Pieces<'a> {
        Pieces {
            segments: self.segments.iter(),
            rest: &[],
            line_start: true,
            stuffed: false,
            tail: if self.ends_a_line { Tail::Dot } else { Tail::LineEndAndDot },
        }
    }
}

/// What was seen so far; lives across segments so that a CRLF may be split between two of them.
#[derive(Default)]
struct Scan {
    offset: usize,
    after_cr: bool,
    /// Octets in the current line, line end not counted; an empty line ends the header.
    line_length: usize,
    header_over: bool,
    eight_bit_header: bool,
}

impl Scan {
    fn read(&mut self, segment: &[u8]) -> Result<(), BareLineEnd> {
        let mut rest = segment;
        while let Some(at) = memchr2(b'\r', b'\n', rest) {
            let (run, line_end) = rest.split_at(at);
            self.run(run)?;
            let Some((octet, after)) = line_end.split_first() else { break };
            self.line_end(*octet)?;
            rest = after;
        }
        self.run(rest)
    }

    /// Octets that are neither CR nor LF.
    fn run(&mut self, run: &[u8]) -> Result<(), BareLineEnd> {
        if run.is_empty() {
            return Ok(());
        }
        if self.after_cr {
            return Err(BareLineEnd { offset: self.offset - 1 });
        }
        self.eight_bit_header |= !self.header_over && !run.is_ascii();
        self.offset += run.len();
        self.line_length += run.len();
        Ok(())
    }

    fn line_end(&mut self, octet: u8) -> Result<(), BareLineEnd> {
        match (octet, self.after_cr) {
            (b'\r', false) => self.after_cr = true,
            (b'\n', true) => {
                self.after_cr = false;
                self.header_over |= self.line_length == 0;
                self.line_length = 0;
            }
            (b'\r', true) => return Err(BareLineEnd { offset: self.offset - 1 }),
            _ => return Err(BareLineEnd { offset: self.offset }),
        }
        self.offset += 1;
        Ok(())
    }

    /// Whether the last line is complete; a message without octets needs no line end either.
    fn finish(&self) -> Result<bool, BareLineEnd> {
        if self.after_cr {
            return Err(BareLineEnd { offset: self.offset - 1 });
        }
        Ok(self.line_length == 0)
    }
}

/// Iterator over the wire form of a [`Content`]; borrows the segments.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    segments: std::slice::Iter<'a, Bytes>,
    rest: &'a [u8],
    /// The next octet is the first of a line.
    line_start: bool,
    /// The dot in front of `rest` has been doubled already.
    stuffed: bool,
    tail: Tail,
}

#[derive(Debug)]
enum Tail {
    LineEndAndDot,
    Dot,
    Written,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while self.rest.is_empty() {
            match self.segments.next() {
                Some(segment) => self.rest = segment,
                None => return self.tail(),
            }
        }
        if self.line_start && self.rest.starts_with(b".") && !self.stuffed {
            self.stuffed = true;
            return Some(b".");
        }
        Some(self.run())
    }
}

impl<'a> Pieces<'a> {
    /// Everything up to the next dot at the start of a line. Line starts are found by LF alone because
    /// `check` let no bare one through.
    fn run(&mut self) -> &'a [u8] {
        let end = memmem::find(self.rest, b"\n.").map_or(self.rest.len(), |at| at + 1);
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.line_start = run.ends_with(b"\n");
        self.stuffed = false;
        run
    }

    fn tail(&mut self) -> Option<&'static [u8]> {
        match self.tail {
            Tail::LineEndAndDot => {
                self.tail = Tail::Dot;
                Some(CRLF)
            }
            Tail::Dot => {
                self.tail = Tail::Written;
                Some(END_OF_DATA)
            }
            Tail::Written => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(segments: &[&[u8]]) -> Result<Vec<u8>, BareLineEnd> {
        let segments: Vec<Bytes> = segments.iter().map(|segment| Bytes::copy_from_slice(segment)).collect();
        Ok(Content::check(&segments)?.pieces().flatten().copied().collect())
    }

    #[test]
    fn a_dot_at_the_start_of_a_line_is_doubled_and_others_are_left_alone() {
        assert_eq!(wire(&[b".a\r\nb.\r\n..\r\n"]).unwrap(), b"..a\r\nb.\r\n...\r\n.\r\n");
    }

    #[test]
    fn a_line_end_split_between_segments_still_starts_a_line() {
        assert_eq!(wire(&[b"a\r", b"\n", b"", b".b\r\n"]).unwrap(), b"a\r\n..b\r\n.\r\n");
        assert_eq!(wire(&[b"a", b".b\r\n"]).unwrap(), b"a.b\r\n.\r\n");
    }

    #[test]
    fn a_missing_last_line_end_is_added_and_counted() {
        let segments = [Bytes::from_static(b"a\r\nb")];
        assert_eq!(Content::check(&segments).unwrap().size, 6);
        assert_eq!(wire(&[b"a\r\nb"]).unwrap(), b"a\r\nb\r\n.\r\n");
        assert_eq!(wire(&[]).unwrap(), b".\r\n");
    }

    #[test]
    fn bare_line_ends_are_found_with_their_offset_across_segments() {
        for (segments, offset) in [
            (vec![&b"a\nb\r\n"[..]], 1),
            (vec![&b"a\r\n"[..], b"b\rc\r\n"], 4),
            (vec![&b"ab\r"[..], b".\r\n"], 2),
            (vec![&b"ab\r"[..]], 2),
            (vec![&b"a\r\r\n"[..]], 1),
            (vec![&b"\n"[..]], 0),
            (vec![&b"a\r\n.\n.\r\n"[..]], 4),
        ] {
            assert_eq!(wire(&segments), Err(BareLineEnd { offset }), "{segments:?}");
        }
    }

    #[test]
    fn a_smuggled_end_of_data_is_found_wherever_the_message_is_cut() {
        for end in ["\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r", "\r\n\0\r.\r\n"] {
            let message = format!("a: b\r\n\r\nc{end}MAIL FROM:<>\r\n");
            let whole = wire(&[message.as_bytes()]);
            assert!(whole.is_err(), "{end:?}");
            for first in 0..=message.len() {
                for second in first..=message.len() {
                    let (head, tail) = message.as_bytes().split_at(second);
                    let (head, middle) = head.split_at(first);
                    assert_eq!(wire(&[head, middle, tail]), whole, "{end:?} cut at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn eight_bit_octets_are_told_apart_in_header_and_body() {
        let look = |text: &'static str| {
            let segments = [Bytes::from_static(text.as_bytes())];
            let content = Content::check(&segments).unwrap();
            (content.eight_bit, content.eight_bit_header)
        };
        assert_eq!(look("Subject: a\r\n\r\nb\r\n"), (false, false));
        assert_eq!(look("Subject: a\r\n\r\nü\r\n"), (true, false));
        assert_eq!(look("Subject: ü\r\n\r\nb\r\n"), (true, true));
    }

    /// RFC 5321 §4.5.2 word by word, line by line, over the whole message.
    fn reference(message: &str) -> String {
        let mut out = String::new();
        for line in message.split_inclusive("\r\n") {
            if line.starts_with('.') {
                out.push('.');
            }
            out.push_str(line);
        }
        if !out.is_empty() && !out.ends_with("\r\n") {
            out.push_str("\r\n");
        }
        out + ".\r\n"
    }

    fn message() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            Just("\r\n"),
            Just("\r\n.\r\n"),
            Just("."),
            Just("a"),
            Just("MAIL FROM:<>"),
            Just("ü")
        ];
        proptest::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn any_segmentation_gives_the_reference_and_one_end_of_data(
            message in message(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect();
            cuts.sort_unstable();
            let mut segments = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([message.len()]) {
                segments.push(&message.as_bytes()[from..cut]);
                from = cut;
            }
            let wire = wire(&segments).unwrap();
            prop_assert_eq!(&wire, &reference(&message).into_bytes());

            let seen_from_the_reply_to_data = [b"\r\n", &wire[..]].concat();
            let end = b"\r\n.\r\n";
            let first = seen_from_the_reply_to_data.windows(end.len()).position(|window| window == end);
            prop_assert_eq!(first, Some(seen_from_the_reply_to_data.len() - end.len()));
        }
    }
}
