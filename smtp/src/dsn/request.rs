//! What a sender asked to be told, and what of (RFC 3461): carried with the envelope from hop to hop.

use std::fmt;
use std::str::FromStr;

use super::xtext;

/// Octets of an `ORCPT` value as it travels (RFC 3461 §4.2).
pub const ORCPT_OCTETS_MAX: usize = 500;

/// Characters of an `ENVID` before it is encoded (RFC 3461 §4.4).
pub const ENVID_CHARACTERS_MAX: usize = 100;

/// `RET=`: how much of the message a report about failure returns (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Only its header.
    Headers,
}

/// `NOTIFY=`: when the sender wants a report about one recipient (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Notify {
    /// Not said: on failure, and on delay where the server likes to (RFC 3461 §4.1).
    #[default]
    Unspecified,
    /// `NEVER`: whatever happens.
    Never,
    /// Exactly for what is named; at least one is.
    On {
        /// It was delivered.
        success: bool,
        /// It was given up.
        failure: bool,
        /// It is late.
        delay: bool,
    },
}

/// `ORCPT=`: the recipient as the sender first wrote it, before anyone rewrote it (RFC 3461 §4.2).
///
/// Its text form is the parameter's value, always in ASCII: `rfc822;bob@globex.example`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient {
    /// The type of the address in lower case: `rfc822`, `utf-8` (RFC 6533 §3) or another.
    pub kind: String,
    /// The address, decoded; without control characters, ASCII unless the type is `utf-8`.
    pub address: String,
}

/// The text is not the value of a parameter of RFC 3461.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a value that RFC 3461 knows for this parameter")]
pub struct NotARequest;

impl FromStr for Ret {
    type Err = NotARequest;

    fn from_str(text: &str) -> Result<Self, NotARequest> {
        match text.to_ascii_uppercase().as_str() {
            "FULL" => Ok(Self::Full),
            "HDRS" => Ok(Self::Headers),
            _ => Err(NotARequest),
        }
    }
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl FromStr for Notify {
    type Err = NotARequest;

    /// `NEVER` alone, or a list of the others.
    fn from_str(text: &str) -> Result<Self, NotARequest> {
        let text = text.to_ascii_uppercase();
        if text == "NEVER" {
            return Ok(Self::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for word in text.split(',') {
            match word {
                "SUCCESS" => success = true,
                "FAILURE" => failure = true,
                "DELAY" => delay = true,
                _ => return Err(NotARequest),
            }
        }
        Ok(Self::On { success, failure, delay })
    }
}

impl FromStr for OriginalRecipient {
    type Err = NotARequest;

    /// Strict about type, length and encoding, but not about the address: it may be one of another world.
    fn from_str(text: &str) -> Result<Self, NotARequest> {
        let (kind, address) = text.split_once(';').ok_or(NotARequest)?;
        let kind = kind.to_ascii_lowercase();
        let address = match kind.as_str() {
            "utf-8" => xtext::decode_utf8(address),
            _ => xtext::decode(address),
        };
        let address = address.filter(|address| !address.is_empty()).ok_or(NotARequest)?;
        let kind_ok = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if kind_ok && text.len() <= ORCPT_OCTETS_MAX { Ok(Self { kind, address }) } else { Err(NotARequest) }
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match self.kind.as_str() {
            "utf-8" => xtext::encode_utf8(&self.address),
            _ => xtext::encode(&self.address),
        };
        write!(f, "{};{address}", self.kind)
    }
}

/// The value of `ENVID=`, decoded.
///
/// # Errors
/// It is empty, too long, or not `xtext` of printable ASCII.
pub fn envid(text: &str) -> Result<String, NotARequest> {
    let fits = |id: &String| (1..=ENVID_CHARACTERS_MAX).contains(&id.len());
    xtext::decode(text).filter(fits).ok_or(NotARequest)
}

/// `id` as the value of `ENVID=`.
#[must_use]
pub fn envid_value(id: &str) -> String {
    xtext::encode(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_never_or_a_list_of_the_others() {
        assert_eq!("never".parse(), Ok(Notify::Never));
        let on = Notify::On { success: true, failure: false, delay: true };
        assert_eq!("DELAY,success".parse(), Ok(on));
        for bad in ["", "NEVER,FAILURE", "SUCCESS,", ",DELAY", "SUCCESS DELAY", "ALWAYS"] {
            assert_eq!(bad.parse::<Notify>(), Err(NotARequest), "{bad}");
        }
    }

    #[test]
    fn an_original_recipient_is_read_and_written_alike() {
        for (text, kind, address) in [
            ("rfc822;bob@globex.example", "rfc822", "bob@globex.example"),
            ("rfc822;bob+2Bx@globex.example", "rfc822", "bob+x@globex.example"),
            ("utf-8;b\\x{F6}b@globex.example", "utf-8", "böb@globex.example"),
            ("x400;/S=x+3Dy/".replace("S=x", "S+3Dx").as_str(), "x400", "/S=x=y/"),
        ] {
            let read: OriginalRecipient = text.parse().unwrap();
            assert_eq!((read.kind.as_str(), read.address.as_str()), (kind, address));
            assert_eq!(read.to_string(), text);
        }
        assert_eq!("RFC822;a".parse::<OriginalRecipient>().unwrap().to_string(), "rfc822;a");
        let long = format!("rfc822;{}", "a".repeat(494));
        for bad in
            ["", "rfc822", "rfc822;", ";a@b", "rfc 822;a", "rfc822;a=b", "rfc822;ü", "utf-8;+FC", &long]
        {
            assert_eq!(bad.parse::<OriginalRecipient>(), Err(NotARequest), "{bad}");
        }
        assert!(long[..500].parse::<OriginalRecipient>().is_ok());
    }

    #[test]
    fn an_envelope_id_is_bounded_before_it_is_encoded() {
        assert_eq!(envid("QQ+20314").as_deref(), Ok("QQ 314"));
        assert!(envid(&"+2B".repeat(ENVID_CHARACTERS_MAX)).is_ok());
        for bad in [String::new(), "a".repeat(ENVID_CHARACTERS_MAX + 1), "a=b".into(), "+0A".into()] {
            assert_eq!(envid(&bad), Err(NotARequest), "{bad}");
        }
        assert_eq!(envid(&envid_value("a+b= c")).as_deref(), Ok("a+b= c"));
    }
}
