//! A reply: what an SMTP server says to one command (RFC 5321 §4.2), with its enhanced status code
//! (RFC 3463, carried in front of the text as RFC 2034 says).

use std::fmt;
use std::str::FromStr;

/// A reply line is at most 512 octets with code and CRLF (RFC 5321 §4.5.3.1.5); longer text is wrapped.
const REPLY_LINE_OCTETS_MAX: usize = 512;

/// An enhanced status code `class.subject.detail` (RFC 3463 §2), for example `5.6.0`.
///
/// The class is 2 (success), 4 (persistent transient failure) or 5 (permanent failure).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The text is not an enhanced status code of RFC 3463 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code (class.subject.detail, class 2, 4 or 5)")]
pub struct NotEnhanced;

impl FromStr for Enhanced {
    type Err = NotEnhanced;

    /// Strict: `class.subject.detail`, class one of 2, 4, 5, the others one to three digits.
    fn from_str(text: &str) -> Result<Self, NotEnhanced> {
        let mut fields = text.split('.');
        let (class, subject, detail) = (fields.next(), fields.next(), fields.next());
        let (Some(class), Some(subject), Some(detail), None) = (class, subject, detail, fields.next()) else {
            return Err(NotEnhanced);
        };
        let class = match class {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return Err(NotEnhanced),
        };
        Ok(Self(class, number(subject)?, number(detail)?))
    }
}

/// One to three digits (RFC 3463 §2), without a leading zero.
fn number(digits: &str) -> Result<u16, NotEnhanced> {
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    if !plain || padded {
        return Err(NotEnhanced);
    }
    digits.parse().map_err(|_| NotEnhanced)
}

/// What a server says to one command.
///
/// The fields hold what was meant; [`Reply::write_to`] makes it safe for the wire (only printable ASCII,
/// no line longer than 512 octets), so no text can ever inject a second reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status code, `None` where the RFCs have none (greeting, EHLO, 3xx).
    pub enhanced: Option<Enhanced>,
    /// The words for people, without code; lines separated by `\n`.
    pub text: String,
}

impl Reply {
    /// A reply without an enhanced status code.
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self { code, enhanced: None, text: text.into() }
    }

    /// A reply with an enhanced status code.
    pub fn new(code: u16, enhanced: Enhanced, text: impl Into<String>) -> Self {
        Self { code, enhanced: Some(enhanced), text: text.into() }
    }

    /// 2xx: done.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 3xx: go on (`354`).
    #[must_use]
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// 4xx: not now, the same command may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5xx: never.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// The enhanced status code, or the most general one of the reply's class (`5.0.0`) where it has none.
    #[must_use]
    pub fn status(&self) -> Enhanced {
        self.enhanced.unwrap_or(match self.code {
            200..=399 => Enhanced(2, 0, 0),
            400..=499 => Enhanced(4, 0, 0),
            _ => Enhanced(5, 0, 0),
        })
    }

    /// Appends the reply as it travels: every line with its code, the enhanced code on each (RFC 2034 §4),
    /// ending in CRLF. Control and non-ASCII characters become `?`, long lines are wrapped.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let enhanced = self.enhanced.map(|e| format!("{e} ")).unwrap_or_default();
        let width = REPLY_LINE_OCTETS_MAX.saturating_sub("250-".len() + enhanced.len() + "\r\n".len());
        let mut lines = self.text.split('\n').flat_map(|line| wrapped(line.trim_end_matches('\r'), width));
        let mut next = lines.next();
        while let Some(line) = next {
            next = lines.next();
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if next.is_some() { b'-' } else { b' ' });
            out.extend_from_slice(enhanced.as_bytes());
            out.extend(line.chars().map(visible));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// One line for logs and diagnostics: `550 5.1.1 no such user`, lines joined by a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} ", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        for c in self.text.trim_end().chars() {
            write!(f, "{}", if c.is_control() { ' ' } else { c })?;
        }
        Ok(())
    }
}

/// The octet that stands for a character in a reply: itself when printable ASCII, else `?`.
fn visible(c: char) -> u8 {
    if matches!(c, ' '..='~') { c as u8 } else { b'?' }
}

/// `line` in pieces of at most `width` characters, cut at a space where there is one. Never empty.
fn wrapped(line: &str, width: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((limit, _)) = text.char_indices().nth(width) else {
            return Some(text);
        };
        let (head, _) = text.split_at(limit);
        let cut = head.rfind(' ').filter(|&at| at > 0).unwrap_or(limit);
        let (piece, tail) = text.split_at(cut);
        rest = Some(tail.trim_start_matches(' '));
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_carries_its_enhanced_code_on_every_line() {
        let reply = Reply::new(550, Enhanced(5, 7, 1), "refused by rule r1\nask the postmaster");
        assert_eq!(wire(&reply), "550-5.7.1 refused by rule r1\r\n550 5.7.1 ask the postmaster\r\n");
    }

    #[test]
    fn a_reply_text_never_injects_a_second_reply() {
        let reply = Reply::new(550, Enhanced(5, 1, 1), "no <a\r250 ok\u{85}\0é>");
        assert_eq!(wire(&reply), "550 5.1.1 no <a?250 ok???>\r\n");
    }

    #[test]
    fn a_long_text_is_wrapped_at_spaces_within_512_octets() {
        let text = "word ".repeat(300);
        let wire = wire(&Reply::new(554, Enhanced(5, 6, 0), text.trim_end()));
        assert!(wire.lines().count() > 2);
        assert!(wire.split_inclusive("\r\n").all(|line| line.len() <= REPLY_LINE_OCTETS_MAX));
        let back: Vec<&str> = wire.split("\r\n").filter_map(|l| l.get(10..)).collect();
        assert_eq!(back.join(" "), text.trim_end());
    }

    #[test]
    fn an_unbroken_text_is_cut_hard() {
        let wire = wire(&Reply::plain(250, "x".repeat(2_000)));
        assert!(wire.split_inclusive("\r\n").all(|line| line.len() <= REPLY_LINE_OCTETS_MAX));
        assert_eq!(wire.matches('x').count(), 2_000);
    }

    #[test]
    fn an_empty_text_is_still_one_line() {
        assert_eq!(wire(&Reply::plain(250, "")), "250 \r\n");
    }

    #[test]
    fn enhanced_codes_are_parsed_strictly() {
        assert_eq!("5.6.0".parse(), Ok(Enhanced(5, 6, 0)));
        assert_eq!("4.999.12".parse(), Ok(Enhanced(4, 999, 12)));
        for bad in ["", "5", "5.1", "3.1.1", "5.1.1.1", "5.01.1", "5.1000.1", "5..1", "5.+1.1", "5.1.1 "] {
            assert_eq!(bad.parse::<Enhanced>(), Err(NotEnhanced), "{bad}");
        }
    }

    #[test]
    fn a_reply_without_enhanced_code_has_the_status_of_its_class() {
        assert_eq!(Reply::plain(452, "full").status(), Enhanced(4, 0, 0));
        assert_eq!(Reply::plain(250, "ok").status(), Enhanced(2, 0, 0));
        assert_eq!(Reply::plain(550, "no").status(), Enhanced(5, 0, 0));
    }
}
