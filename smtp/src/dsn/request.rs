//! What a sender asked to be told, and what of (RFC 3461): carried with the envelope from hop to hop.

use std::fmt;
use std::str::FromStr;

use super::xtext;

/// Octets of an `ORCPT` value as it travels (RFC 3461 §4.2, §5.4).
pub const ORCPT_OCTETS_MAX: usize = 500;

/// Characters of an `ENVID` once it is decoded. RFC 3461 §5.4 wants 100 to be taken as they travel, which is never more.
pub const ENVID_CHARACTERS_MAX: usize = 100;

/// Characters of an address type; the registered ones have at most six.
pub const ADDRESS_TYPE_CHARS_MAX: usize = 32;

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
    /// The type of the address as it was spelled (RFC 3461 §5.2.1: it travels on in the same case): `rfc822`, `utf-8` (RFC
    /// 6533 §3) or another.
    pub kind: String,
    /// The address, decoded; without control characters, ASCII unless the type is `utf-8`.
    pub address: String,
}

/// The text is not the value of a parameter of RFC 3461.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a value that RFC 3461 knows for this parameter")]
pub struct NotARequest;

impl Notify {
    /// The same without `SUCCESS`, where that is somebody else's to tell.
    #[must_use]
    pub fn without_success(self) -> Self {
        match self {
            Self::On { failure: false, delay: false, .. } => Self::Never,
            Self::On { failure, delay, .. } => Self::On { success: false, failure, delay },
            Self::Unspecified | Self::Never => self,
        }
    }

    /// Whether the sender wants to hear of success.
    #[must_use]
    pub fn asks_for_success(self) -> bool {
        matches!(self, Self::On { success: true, .. })
    }
}

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
        let address = match is_utf8(kind) {
            true => xtext::decode_utf8(address),
            false => xtext::decode(address),
        };
        let address = address.filter(|address| !address.is_empty()).ok_or(NotARequest)?;
        let kind_ok = (1..=ADDRESS_TYPE_CHARS_MAX).contains(&kind.len())
            && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if kind_ok && text.len() <= ORCPT_OCTETS_MAX {
            Ok(Self { kind: kind.to_owned(), address })
        } else {
            Err(NotARequest)
        }
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match is_utf8(&self.kind) {
            true => xtext::encode_utf8(&self.address),
            false => xtext::encode(&self.address),
        };
        write!(f, "{};{address}", self.kind)
    }
}

/// RFC 6533 §3: the type whose addresses have a spelling of their own.
fn is_utf8(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("utf-8")
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
    fn what_is_left_without_success_is_what_else_was_asked_for() {
        let success = |failure, delay| Notify::On { success: true, failure, delay };
        assert_eq!(success(false, false).without_success(), Notify::Never);
        assert_eq!(
            success(true, false).without_success(),
            Notify::On { success: false, failure: true, delay: false }
        );
        for same in [Notify::Unspecified, Notify::Never] {
            assert_eq!(same.without_success(), same);
        }
        assert!(success(false, true).asks_for_success() && !Notify::Unspecified.asks_for_success());
    }

    #[test]
    fn an_original_recipient_is_read_and_written_alike() {
        for (text, kind, address) in [
            ("rfc822;bob@globex.example", "rfc822", "bob@globex.example"),
            ("rfc822;bob+2Bx@globex.example", "rfc822", "bob+x@globex.example"),
            ("RFC822;Bob@globex.example", "RFC822", "Bob@globex.example"),
            ("utf-8;b\\x{F6}b@globex.example", "utf-8", "böb@globex.example"),
            ("UTF-8;b\\x{F6}b@globex.example", "UTF-8", "böb@globex.example"),
            ("x400;/S=x+3Dy/".replace("S=x", "S+3Dx").as_str(), "x400", "/S=x=y/"),
        ] {
            let read: OriginalRecipient = text.parse().unwrap();
            assert_eq!((read.kind.as_str(), read.address.as_str()), (kind, address));
            assert_eq!(read.to_string(), text);
        }
        let long = format!("rfc822;{}", "a".repeat(494));
        let unheard_of = format!("{};a", "t".repeat(ADDRESS_TYPE_CHARS_MAX + 1));
        let bad = ["", "rfc822", "rfc822;", ";a@b", "rfc 822;a", "rfc822;a=b", "rfc822;ü", "utf-8;+FC"];
        for bad in bad.into_iter().chain([long.as_str(), &unheard_of]) {
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
