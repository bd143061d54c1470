//! Finding command lines. Only CRLF ends a line; a bare CR or LF is an error inside one, never its end.

use memchr::memchr_iter;

/// RFC 5321 §4.5.3.1.4: a command line has at most 512 octets with CRLF. To MAIL, SIZE (RFC 1870 §3) adds 26, 8BITMIME
/// (RFC 6152 §3) 17, SMTPUTF8 (RFC 6531 §3.1) 10, REQUIRETLS (RFC 8689 §2) 11, AUTH (RFC 4954 §3) 500, RET 9 and ENVID
/// 307 when each of its 100 characters is encoded (RFC 3461 §4.4). RCPT with an ORCPT of 500 is shorter.
pub(super) const LINE_OCTETS_MAX: usize = 512 + 26 + 17 + 10 + 11 + 500 + 9 + 307;

/// What stands at the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A whole line, without its CRLF.
    Complete(&'a [u8]),
    /// No end yet, and it may still come in time.
    Partial,
    /// Longer than a line may be.
    Overlong,
}

/// Looks for a line at the start of `input`.
pub(super) fn first_line(input: &[u8]) -> Line<'_> {
    let window = input.get(..LINE_OCTETS_MAX).unwrap_or(input);
    match end_of_line(window) {
        Some(end) => Line::Complete(input.get(..end).unwrap_or_default()),
        None if input.len() < LINE_OCTETS_MAX => Line::Partial,
        None => Line::Overlong,
    }
}

/// How many octets of an overlong line can be thrown away, and whether they include its end.
pub(super) fn skip_line(input: &[u8]) -> (usize, bool) {
    match end_of_line(input) {
        Some(end) => (end + 2, true),
        None if input.ends_with(b"\r") => (input.len() - 1, false), // its LF may be the next octet
        None => (input.len(), false),
    }
}

/// Where the first CRLF begins.
fn end_of_line(input: &[u8]) -> Option<usize> {
    memchr_iter(b'\n', input).filter_map(|lf| lf.checked_sub(1)).find(|&cr| input.get(cr) == Some(&b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(first_line(b"NOOP\r\nQUIT\r\n"), Line::Complete(b"NOOP"));
        assert_eq!(first_line(b"\r\n"), Line::Complete(b""));
        assert_eq!(first_line(b"\nNO\nO\rP\r\n"), Line::Complete(b"\nNO\nO\rP"));
        for partial in [&b""[..], b"NOOP", b"NOOP\r", b"NOOP\n", b"\n", b"\n\r"] {
            assert_eq!(first_line(partial), Line::Partial);
        }
    }

    #[test]
    fn the_longest_line_is_a_line_and_one_octet_more_is_not() {
        let mut line = vec![b'x'; LINE_OCTETS_MAX - 2];
        line.extend_from_slice(b"\r\n");
        assert_eq!(first_line(&line), Line::Complete(&line[..LINE_OCTETS_MAX - 2]));
        line.insert(0, b'x');
        assert_eq!(first_line(&line), Line::Overlong);
        assert_eq!(first_line(&line[..LINE_OCTETS_MAX - 1]), Line::Partial);
    }

    #[test]
    fn an_overlong_line_is_skipped_to_its_real_end() {
        assert_eq!(skip_line(b"xx\nx\rx\r\nNOOP\r\n"), (8, true));
        assert_eq!(skip_line(b"xxxx"), (4, false));
        assert_eq!(skip_line(b"xxx\r"), (3, false));
    }
}
