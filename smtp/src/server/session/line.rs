//! Finding command lines. Only CRLF ends a line; a bare CR or LF is an error inside one, never its end.

use memchr::memchr_iter;

/// RFC 5321 §4.5.3.1.4: a command line has at most 512 octets with CRLF. To MAIL, SIZE (RFC 1870 §3) adds 26, 8BITMIME
/// (RFC 6152 §3) 17, SMTPUTF8 (RFC 6531 §3.1) 10, REQUIRETLS (RFC 8689 §2) 11, AUTH (RFC 4954 §3) 500, RET 9 and ENVID
/// 307 when each of its 100 characters is encoded (RFC 3461 §4.4). RCPT with an ORCPT of 500 is shorter.
pub(super) const LINE_OCTETS_MAX: usize = 512 + 26 + 17 + 10 + 11 + 500 + 9 + 307;

/// RFC 4954 §4: the base64 of an authentication exchange has at most 12288 octets, also in the AUTH command.
pub(super) const AUTH_LINE_OCTETS_MAX: usize = 12_288;

/// How long the command line that begins here may be.
pub(super) fn line_octets_max(input: &[u8]) -> usize {
    let is_auth = input.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
    if is_auth { AUTH_LINE_OCTETS_MAX } else { LINE_OCTETS_MAX }
}

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

/// Looks for a line of at most `octets_max` octets at the start of `input`.
pub(super) fn first_line(input: &[u8], octets_max: usize) -> Line<'_> {
    let window = input.get(..octets_max).unwrap_or(input);
    match end_of_line(window) {
        Some(end) => Line::Complete(input.get(..end).unwrap_or_default()),
        None if input.len() < octets_max => Line::Partial,
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
        assert_eq!(first_line(b"NOOP\r\nQUIT\r\n", LINE_OCTETS_MAX), Line::Complete(b"NOOP"));
        assert_eq!(first_line(b"\r\n", LINE_OCTETS_MAX), Line::Complete(b""));
        assert_eq!(first_line(b"\nNO\nO\rP\r\n", LINE_OCTETS_MAX), Line::Complete(b"\nNO\nO\rP"));
        for partial in [&b""[..], b"NOOP", b"NOOP\r", b"NOOP\n", b"\n", b"\n\r"] {
            assert_eq!(first_line(partial, LINE_OCTETS_MAX), Line::Partial);
        }
    }

    #[test]
    fn the_longest_line_is_a_line_and_one_octet_more_is_not() {
        let mut line = vec![b'x'; LINE_OCTETS_MAX - 2];
        line.extend_from_slice(b"\r\n");
        assert_eq!(first_line(&line, LINE_OCTETS_MAX), Line::Complete(&line[..LINE_OCTETS_MAX - 2]));
        line.insert(0, b'x');
        assert_eq!(first_line(&line, LINE_OCTETS_MAX), Line::Overlong);
        assert_eq!(first_line(&line[..LINE_OCTETS_MAX - 1], LINE_OCTETS_MAX), Line::Partial);
    }

    #[test]
    fn lines_of_an_authentication_may_be_longer() {
        assert_eq!(line_octets_max(b"auth plain"), AUTH_LINE_OCTETS_MAX);
        assert_eq!(line_octets_max(b"AUTH"), LINE_OCTETS_MAX);
        assert_eq!(line_octets_max(b"AUTHOR x"), LINE_OCTETS_MAX);
    }

    #[test]
    fn an_overlong_line_is_skipped_to_its_real_end() {
        assert_eq!(skip_line(b"xx\nx\rx\r\nNOOP\r\n"), (8, true));
        assert_eq!(skip_line(b"xxxx"), (4, false));
        assert_eq!(skip_line(b"xxx\r"), (3, false));
    }
}
