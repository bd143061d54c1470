//! The part before the `@`: `Dot-string / Quoted-string` (RFC 5321 §4.1.2, RFC 6531 §3.3).

use super::AddressError;

/// Reads the local part at the start of `text`; returns it in its shortest valid form, and the rest.
pub(super) fn parse(text: &str) -> Result<(String, &str), AddressError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (content, rest) = unquote(quoted)?;
        return Ok((shortest(content), rest));
    }
    let end = text.find('@').ok_or(AddressError::NoDomain)?;
    let (local, rest) = text.split_at(end);
    if is_dot_string(local) { Ok((local.to_owned(), rest)) } else { Err(AddressError::Local) }
}

/// The content of a quoted string after its opening quote, and what follows the closing one.
fn unquote(quoted: &str) -> Result<(String, &str), AddressError> {
    let mut content = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((content, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, escaped @ ' '..='~')) => content.push(escaped), // quoted-pairSMTP
                _ => return Err(AddressError::Local),
            },
            ' '..='~' => content.push(c), // qtextSMTP
            c if is_utf8_text(c) => content.push(c),
            _ => return Err(AddressError::Local),
        }
    }
    Err(AddressError::Local)
}

/// "The quoted form SHOULD be avoided where the unquoted one is possible" (RFC 5321 §4.1.2).
fn shortest(content: String) -> String {
    if is_dot_string(&content) {
        return content;
    }
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// `Atom *("." Atom)`.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// `atext` of RFC 5322 §3.2.3, with UTF-8 (RFC 6531 §3.3).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c)
}

/// A non-ASCII character that may stand in an address.
///
/// RFC 6531 admits all of UTF-8; characters that end lines, are blank or turn the reading direction around
/// would let an address lie to its reader, and no mailbox needs them (RFC 6532 §4, RFC 8398 §3 likewise).
pub(super) fn is_utf8_text(c: char) -> bool {
    let turns = matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    !c.is_ascii() && !c.is_control() && !c.is_whitespace() && !turns && c != '\u{FEFF}'
}
