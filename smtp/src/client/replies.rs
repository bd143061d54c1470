//! Reading replies of a server that may be broken or hostile: strict, and with an end to everything.

use bytes::{Buf, BytesMut};

use crate::reply::{Enhanced, Reply};

/// Octets of one reply line with its CRLF. RFC 5321 §4.5.3.1.5 allows 512; a little more is met in practice.
const LINE_BYTES_MAX: usize = 1_024;

/// Lines of one reply. The longest honest one is the answer to EHLO, with some twenty keywords.
const LINES_MAX: usize = 64;

/// What a server said that is not SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line without an end within `LINE_BYTES_MAX` octets.
    #[error("a reply line longer than {LINE_BYTES_MAX} octets")]
    LineTooLong,
    /// More than `LINES_MAX` lines that all promise another one.
    #[error("a reply of more than {LINES_MAX} lines")]
    TooManyLines,
    /// The line does not start with a code between 200 and 559 and a space or a hyphen.
    #[error("a line that is not a reply")]
    NotAReply,
    /// The lines of one reply bear different codes (RFC 5321 §4.2.1).
    #[error("one reply with two codes")]
    CodesDiffer,
    /// A bare CR, a bare LF or another control character.
    #[error("a control character in a reply")]
    ControlCharacter,
    /// More replies than commands: nothing after this could be attributed.
    #[error("a reply that nothing had asked for")]
    Unasked,
    /// A code that has no meaning at this point, such as 250 where only 354 starts the mail data.
    #[error("reply {0} has no meaning here")]
    OutOfPlace(u16),
}

/// One whole reply: the code, and the text of each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerReply {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

impl ServerReply {
    /// 2xx.
    pub(super) fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// "Service not available, closing transmission channel": may answer any command (RFC 5321 §3.8).
    pub(super) fn is_closing(&self) -> bool {
        self.code == 421
    }
}

impl From<ServerReply> for Reply {
    /// Takes the enhanced status code out of the text: it stands in front of each line (RFC 2034 §4) and has
    /// the class of the code; anything else is ordinary text.
    fn from(reply: ServerReply) -> Self {
        let first = reply.lines.first().and_then(|line| enhanced_of(line, reply.code));
        let enhanced = first.map(|(enhanced, _)| enhanced);
        let text_of = |line: &String| match enhanced_of(line, reply.code) {
            Some((own, text)) if Some(own) == enhanced => text.to_owned(),
            _ => line.clone(),
        };
        let lines: Vec<String> = reply.lines.iter().map(text_of).collect();
        Self { code: reply.code, enhanced, text: lines.join("\n") }
    }
}

fn enhanced_of(line: &str, code: u16) -> Option<(Enhanced, &str)> {
    let (word, text) = line.split_once(' ').unwrap_or((line, ""));
    let enhanced: Enhanced = word.parse().ok()?;
    (u16::from(enhanced.0) == code / 100).then_some((enhanced, text))
}

/// Reads what a server has said in one piece: the whole replies of a transcript, without what it did not finish.
///
/// # Errors
/// The first thing in it that is not SMTP.
pub fn replies_in(transcript: &[u8]) -> Result<Vec<Reply>, ReplyError> {
    let mut reader = ReplyReader { buffer: transcript.into(), ..ReplyReader::default() };
    let mut replies = Vec::new();
    while let Some(reply) = reader.next_reply()? {
        replies.push(Reply::from(reply));
    }
    Ok(replies)
}

/// Octets in, replies out. Holds at most one read's worth of octets and one incomplete reply.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    /// What the socket has given and nobody has read yet.
    pub(super) buffer: BytesMut,
    code: Option<u16>,
    lines: Vec<String>,
}

impl ReplyReader {
    /// The next complete reply in the buffer, or `None` while more octets are needed.
    pub(super) fn next_reply(&mut self) -> Result<Option<ServerReply>, ReplyError> {
        while let Some(line) = self.next_line()? {
            let line = Line::parse(&line)?;
            if self.code.is_some_and(|code| code != line.code) {
                return Err(ReplyError::CodesDiffer);
            }
            if self.lines.len() == LINES_MAX {
                return Err(ReplyError::TooManyLines);
            }
            self.lines.push(line.text);
            if line.last {
                self.code = None;
                return Ok(Some(ServerReply { code: line.code, lines: std::mem::take(&mut self.lines) }));
            }
            self.code = Some(line.code);
        }
        Ok(None)
    }

    /// Nothing read and not yet understood, neither whole replies nor parts of one.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.code.is_none()
    }

    fn next_line(&mut self) -> Result<Option<BytesMut>, ReplyError> {
        let end = self.buffer.iter().take(LINE_BYTES_MAX).position(|octet| *octet == b'\n');
        match end {
            Some(end) => {
                let mut line = self.buffer.split_to(end);
                self.buffer.advance(1);
                match line.split_last() {
                    Some((b'\r', _)) => line.truncate(line.len() - 1),
                    _ => return Err(ReplyError::ControlCharacter),
                }
                Ok(Some(line))
            }
            None if self.buffer.len() >= LINE_BYTES_MAX => Err(ReplyError::LineTooLong),
            None => Ok(None),
        }
    }
}

struct Line {
    code: u16,
    last: bool,
    text: String,
}

impl Line {
    /// `Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF` (RFC 5321 §4.2).
    fn parse(line: &[u8]) -> Result<Self, ReplyError> {
        let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::NotAReply)?;
        let code = match code {
            [a @ b'2'..=b'5', b @ b'0'..=b'5', c @ b'0'..=b'9'] => {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return Err(ReplyError::NotAReply),
        };
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ReplyError::NotAReply),
        };
        // RFC 6531 §3.7.4.2 allows UTF-8 here. What is not UTF-8 is still a reply: local languages exist.
        let text = String::from_utf8_lossy(text);
        if text.chars().any(|character| character.is_control() && character != '\t') {
            return Err(ReplyError::ControlCharacter);
        }
        Ok(Self { code, last, text: text.into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(octets: &[u8]) -> Result<Option<ServerReply>, ReplyError> {
        ReplyReader { buffer: octets.into(), ..ReplyReader::default() }.next_reply()
    }

    fn reply(code: u16, lines: &[&str]) -> ServerReply {
        ServerReply { code, lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn single_and_multi_line_replies_are_read_with_their_text() {
        assert_eq!(read(b"250 2.1.0 Ok\r\n"), Ok(Some(reply(250, &["2.1.0 Ok"]))));
        assert_eq!(read(b"250\r\n"), Ok(Some(reply(250, &[""]))));
        assert_eq!(
            read(b"250-mx\r\n250-SIZE 10\r\n250 HELP\r\n"),
            Ok(Some(reply(250, &["mx", "SIZE 10", "HELP"])))
        );
        assert_eq!(
            read("550 5.1.1 unbekannt: müller\r\n".as_bytes()),
            Ok(Some(reply(550, &["5.1.1 unbekannt: müller"])))
        );
    }

    #[test]
    fn an_incomplete_reply_waits_for_more() {
        for part in [&b""[..], b"2", b"250", b"250 ok", b"250 ok\r", b"250-ok\r\n", b"250-ok\r\n250"] {
            assert_eq!(read(part), Ok(None), "{part:?}");
        }
    }

    #[test]
    fn what_is_not_a_reply_is_refused_with_the_reason() {
        let long = [b"250 ", &[b'a'; LINE_BYTES_MAX][..]].concat();
        let endless = b"250-a\r\n".repeat(LINES_MAX + 1);
        for (octets, error) in [
            (&b"hello\r\n"[..], ReplyError::NotAReply),
            (b"\r\n", ReplyError::NotAReply),
            (b"199 a\r\n", ReplyError::NotAReply),
            (b"600 a\r\n", ReplyError::NotAReply),
            (b"260 a\r\n", ReplyError::NotAReply),
            (b"2500 a\r\n", ReplyError::NotAReply),
            (b"HTTP/1.1 400 Bad Request\r\n", ReplyError::NotAReply),
            (b"250 ok\n", ReplyError::ControlCharacter),
            (b"250 o\rk\r\n", ReplyError::ControlCharacter),
            (b"250 o\0k\r\n", ReplyError::ControlCharacter),
            (b"250-a\r\n550 b\r\n", ReplyError::CodesDiffer),
            (&long, ReplyError::LineTooLong),
            (&endless, ReplyError::TooManyLines),
        ] {
            assert_eq!(read(octets), Err(error), "{:?}", String::from_utf8_lossy(octets));
        }
    }

    #[test]
    fn the_longest_line_and_the_longest_reply_are_still_read() {
        let line = [b"250 ", &[b'a'; LINE_BYTES_MAX - 6][..], b"\r\n"].concat();
        assert!(read(&line).unwrap().is_some());
        let lines = [b"250-a\r\n".repeat(LINES_MAX - 1), b"250 b\r\n".to_vec()].concat();
        assert_eq!(read(&lines).unwrap().unwrap().lines.len(), LINES_MAX);
    }

    #[test]
    fn replies_of_a_pipelined_group_come_one_by_one() {
        let mut reader = ReplyReader {
            buffer: b"250 a\r\n550-b\r\n550 c\r\n354 d\r\n"[..].into(),
            ..ReplyReader::default()
        };
        assert_eq!(reader.next_reply(), Ok(Some(reply(250, &["a"]))));
        assert_eq!(reader.next_reply(), Ok(Some(reply(550, &["b", "c"]))));
        assert!(!reader.is_empty());
        assert_eq!(reader.next_reply(), Ok(Some(reply(354, &["d"]))));
        assert!(reader.is_empty());
    }

    #[test]
    fn the_enhanced_status_code_is_taken_out_of_every_line() {
        let text = "no such user\nask the postmaster";
        assert_eq!(
            Reply::from(reply(550, &["5.1.1 no such user", "5.1.1 ask the postmaster"])),
            Reply::new(550, Enhanced(5, 1, 1), text)
        );
        assert_eq!(Reply::from(reply(250, &["2.0.0"])), Reply::new(250, Enhanced(2, 0, 0), ""));
        assert_eq!(Reply::from(reply(550, &["2.0.0 liar"])), Reply::plain(550, "2.0.0 liar"));
        assert_eq!(Reply::from(reply(451, &["wait"])), Reply::plain(451, "wait"));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic_and_within_bounds(octets in proptest::collection::vec(any::<u8>(), 0..4_096)) {
            let mut reader = ReplyReader { buffer: octets[..].into(), ..ReplyReader::default() };
            while let Ok(Some(reply)) = reader.next_reply() {
                prop_assert!((200..=559).contains(&reply.code));
                prop_assert!(reply.lines.len() <= LINES_MAX);
            }
        }
    }
}
