//! Making text safe for a header field, a delivery-status field or a body.

use std::time::SystemTime;

use mail_parser::DateTime;

/// RFC 5322 §2.1.1: octets of a line without its CRLF that every server takes.
const LINE_OCTETS_MAX: usize = 998;

/// RFC 2045 §6.7: characters of an encoded line, the soft line break included.
const QUOTED_PRINTABLE_LINE_MAX: usize = 76;

/// Where a long field is folded; RFC 5322 §2.1.1 recommends 78.
const FOLD_COLUMN: usize = 76;

/// RFC 5322 §3.3, in UTC.
pub(super) fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(0)).to_rfc822()
}

/// `text` on one line: runs of whitespace and control characters become one space, and it ends after
/// `chars_max` characters.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).collect();
    let mut line = spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(chars_max) {
        line.truncate(end);
        line.push_str("...");
    }
    line
}

/// Like [`one_line`], with `?` for everything beyond ASCII.
pub(super) fn one_ascii_line(text: &str, chars_max: usize) -> String {
    one_line(text, chars_max).chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// `Name: value` folded at spaces, with its CRLF. The value is one line of bounded length.
pub(super) fn field(name: &str, value: &str) -> String {
    let mut out = format!("{name}:");
    let mut column = out.len();
    for word in value.split(' ') {
        if column + 1 + word.len() > FOLD_COLUMN && column > name.len() + 1 {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out + "\r\n"
}

/// Content-Transfer-Encoding of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    SevenBit,
    QuotedPrintable,
}

impl Encoding {
    /// The header field; nothing for the default.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::SevenBit => "",
            Self::QuotedPrintable => "Content-Transfer-Encoding: quoted-printable\r\n",
        }
    }
}

/// Octets with CRLF line ends as they are if every mail server takes them so, else in quoted-printable.
pub(super) fn encode(octets: &[u8]) -> (Encoding, String) {
    let plain = |line: &[u8]| {
        line.len() <= LINE_OCTETS_MAX && line.iter().all(|octet| matches!(octet, b'\t' | b' '..=b'~'))
    };
    match std::str::from_utf8(octets) {
        Ok(text) if text.split("\r\n").all(|line| plain(line.as_bytes())) => {
            (Encoding::SevenBit, text.to_owned())
        }
        _ => (Encoding::QuotedPrintable, quoted_printable(octets)),
    }
}

/// RFC 2045 §6.7, with CRLF at the end of every line.
pub(crate) fn quoted_printable(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len() * 2);
    let mut rest = octets;
    while !rest.is_empty() {
        let (line, after) = match rest.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => (rest.get(..end).unwrap_or_default(), rest.get(end + 2..).unwrap_or_default()),
            None => (rest, &[][..]),
        };
        quoted_printable_line(line, &mut out);
        out.push_str("\r\n");
        rest = after;
    }
    out
}

fn quoted_printable_line(line: &[u8], out: &mut String) {
    let mut column = 0;
    for (index, octet) in line.iter().enumerate() {
        let last = index + 1 == line.len();
        let quoted = match octet {
            // White space at the end of a line may get lost on the way (RFC 2045 §6.7 rule 3).
            b'\t' | b' ' if !last => char::from(*octet).to_string(),
            b'!'..=b'<' | b'>'..=b'~' => char::from(*octet).to_string(),
            _ => format!("={octet:02X}"),
        };
        if column + quoted.len() > QUOTED_PRINTABLE_LINE_MAX - 1 {
            out.push_str("=\r\n");
            column = 0;
        }
        out.push_str(&quoted);
        column += quoted.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_rfc_5322() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_599);
        assert_eq!(date(time), "Wed, 31 Dec 2025 23:59:59 +0000");
        assert_eq!(date(SystemTime::UNIX_EPOCH), "Thu, 1 Jan 1970 00:00:00 +0000");
    }

    #[test]
    fn a_value_never_leaves_its_line() {
        assert_eq!(one_line("a\r\nAction: delivered\0\u{85}\u{2028}b", 100), "a Action: delivered b");
        assert_eq!(one_line("abcdef", 3), "abc...");
        assert_eq!(one_ascii_line("grün", 10), "gr?n");
    }

    #[test]
    fn long_fields_are_folded_and_unfold_to_the_same() {
        let value = "word ".repeat(60);
        let field = field("Diagnostic-Code", value.trim_end());
        assert!(field.split("\r\n").all(|line| line.len() <= FOLD_COLUMN));
        assert_eq!(field.replace("\r\n ", " "), format!("Diagnostic-Code: {}\r\n", value.trim_end()));
    }

    #[test]
    fn quoted_printable_protects_white_space_at_the_end_of_a_line() {
        assert_eq!(quoted_printable(b"a b \r\n\t\r\nc"), "a b=20\r\n=09\r\nc\r\n");
    }

    proptest! {
        #[test]
        fn quoted_printable_is_read_back_by_an_independent_decoder(octets in proptest::collection::vec(any::<u8>(), 1..400)) {
            let encoded = quoted_printable(&octets);
            prop_assert!(encoded.split("\r\n").all(|line| line.len() <= QUOTED_PRINTABLE_LINE_MAX));
            prop_assert!(encoded.is_ascii() && !encoded.contains(" \r\n"));
            let decoded = mail_parser::decoders::quoted_printable::quoted_printable_decode(encoded.as_bytes()).unwrap();
            let expected = if octets.ends_with(b"\r\n") { octets } else { [&octets[..], b"\r\n"].concat() };
            prop_assert_eq!(decoded, expected);
        }
    }
}
