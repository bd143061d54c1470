//! The body of a message as a signature covers it, relaxed (RFC 6376 §3.4.4).
//!
//! `mail-auth` keeps lines at the end that hold nothing but white space, where the standard makes them empty and then
//! leaves them out. Judges that nobody here wrote disagree with it, so this is our own, for signing and for verifying.

use aws_lc_rs::digest::{Context, Digest, SHA256};
use memchr::memchr;

/// SHA-256 over the relaxed canonical body.
pub(super) fn relaxed_hash(body: &[u8]) -> Digest {
    let mut hash = Context::new(&SHA256);
    relaxed(body, |piece| hash.update(piece));
    hash.finish()
}

/// Gives out the canonical body piece by piece.
fn relaxed(body: &[u8], mut put: impl FnMut(&[u8])) {
    let mut empty_lines = 0_usize;
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = behind;
        let line = without_end(line);
        if line.is_empty() {
            empty_lines += 1; // at the end of the body they do not count
            continue;
        }
        (0..std::mem::take(&mut empty_lines)).for_each(|_| put(b"\r\n"));
        put_line(line, &mut put);
    }
}

/// A line without its line end and the white space before it.
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let end = line.iter().rposition(|octet| !is_space(*octet)).map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}

/// White space in a line is one space; every line ends in CRLF, also the last one.
fn put_line(line: &[u8], put: &mut impl FnMut(&[u8])) {
    let mut rest = line;
    while let Some(space) = rest.iter().position(|octet| is_space(*octet)) {
        let (text, behind) = rest.split_at_checked(space).unwrap_or((rest, &[]));
        put(text);
        put(b" ");
        let end = behind.iter().position(|octet| !is_space(*octet)).unwrap_or(behind.len());
        rest = behind.get(end..).unwrap_or_default();
    }
    put(rest);
    put(b"\r\n");
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_counts_once_and_not_at_all_at_an_end() {
        for (body, canonical) in [
            ("", ""),
            ("\r\n\r\n", ""),
            (" \t \r\n", ""),
            ("a", "a\r\n"),
            ("a\r\n\r\n", "a\r\n"),
            (" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"), // the example of §3.4.5
            (" \t \r\n\ta  b\t\r\n\r\n \r\n", "\r\n a b\r\n"),
            ("a\r\n \r\n\t\r\nb", "a\r\n\r\n\r\nb\r\n"),
            ("a\u{a0} \r\n", "a\u{a0}\r\n"),
        ] {
            let mut found = Vec::new();
            relaxed(body.as_bytes(), |piece| found.extend_from_slice(piece));
            assert_eq!(String::from_utf8(found).unwrap(), canonical, "{body:?}");
        }
    }
}
