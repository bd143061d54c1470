//! Text in parameters of MAIL and RCPT: `xtext` (RFC 3461 §4) and its sister for addresses beyond ASCII
//! (RFC 6533 §3). Both are read strictly: what has two spellings for us has none for the next server.

/// `xtext`: printable ASCII, but for `+` and `=`, and `+HH` in upper case for the rest.
///
/// The answer is printable ASCII with blanks; `None` for anything else, because it will stand in reports.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'+' => digit(octets.next()?)? << 4 | digit(octets.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => octet,
            _ => return None,
        };
        matches!(octet, b' '..=b'~').then(|| decoded.push(char::from(octet)))?;
    }
    Some(decoded)
}

/// `text` as `xtext`; what is not ASCII becomes its UTF-8 octets.
pub(crate) fn encode(text: &str) -> String {
    let plain = |octet: u8| matches!(octet, b'!'..=b'~') && !matches!(octet, b'+' | b'=');
    let spelled = |octet: u8| match octet {
        octet if plain(octet) => char::from(octet).to_string(),
        octet => format!("+{octet:02X}"),
    };
    text.bytes().map(spelled).collect()
}

/// `utf-8-addr-xtext` and `utf-8-addr-unitext`: printable, but for `\`, `+` and `=`, and `\x{H…}` in upper case for
/// the rest. The answer has no control characters.
pub(crate) fn decode_utf8(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (c, after) = match c {
            '\\' => {
                let (digits, after) = rest.strip_prefix("\\x{")?.split_once('}')?;
                (code_point(digits)?, after)
            }
            '+' | '=' | ' ' => return None,
            c => (c, rest.get(c.len_utf8()..)?),
        };
        (!c.is_control()).then(|| decoded.push(c))?;
        rest = after;
    }
    Some(decoded)
}

/// `text` as `utf-8-addr-xtext`, which is ASCII.
pub(crate) fn encode_utf8(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '+' | '=');
    let spelled = |c: char| if plain(c) { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) };
    text.chars().map(spelled).collect()
}

/// `HEXPOINT`: up to six digits of a Unicode scalar value, without a leading zero beyond the second digit.
fn code_point(digits: &str) -> Option<char> {
    let length_ok = (2..=6).contains(&digits.len()) && (digits.len() == 2 || !digits.starts_with('0'));
    let value = digits.bytes().try_fold(0, |value, octet| Some(value << 4 | u32::from(digit(octet)?)))?;
    char::from_u32(value).filter(|_| length_ok)
}

/// One hexadecimal digit, in upper case only.
fn digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn xtext_is_read_strictly() {
        assert_eq!(decode("QQ314159").as_deref(), Some("QQ314159"));
        assert_eq!(decode("a+2Bb+3D+20c").as_deref(), Some("a+b= c"));
        for bad in ["+", "+2", "+2b", "+GG", "a=b", "a b", "é", "+00", "+0D+0A", "+7F", "+FF", "a\tb"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_beyond_ascii_are_read_strictly() {
        assert_eq!(decode_utf8("\\x{FC}ser@b\\x{FC}cher.example").as_deref(), Some("üser@bücher.example"));
        assert_eq!(decode_utf8("üser@x.example").as_deref(), Some("üser@x.example"));
        assert_eq!(decode_utf8("a\\x{2B}b\\x{1F600}").as_deref(), Some("a+b😀"));
        for bad in ["a+b", "a=b", "\\", "\\x{fc}", "\\x{}", "\\x{0FC}", "\\x{D800}", "\\x{110000}", "\\x{0A}"]
        {
            assert_eq!(decode_utf8(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(ascii in "[ -~]{0,60}", text in "\\PC{0,60}") {
            prop_assert_eq!(decode(&encode(&ascii)), Some(ascii));
            let travelling = encode_utf8(&text);
            prop_assert!(travelling.is_ascii());
            prop_assert_eq!(decode_utf8(&travelling), Some(text));
        }
    }
}
