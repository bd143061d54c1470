//! Names of mail domains, in the one spelling that logs and records use.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// RFC 1035 §2.3.4, without the final dot and with room for the label `_dccp.` or `dccp.` in front.
const BYTES_MAX: usize = 253 - "_dccp.".len();

/// A mail domain: lower-case host name in A-labels, at least two labels, no final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = BadDomain;

    /// Reads a name; upper-case letters become lower case, nothing else is repaired.
    fn from_str(text: &str) -> Result<Self, BadDomain> {
        let name = text.to_ascii_lowercase();
        let bounded = name.len() <= BYTES_MAX && name.contains('.');
        if bounded && name.split('.').all(is_label) && name.parse::<Ipv4Addr>().is_err() {
            Ok(Self(name))
        } else {
            Err(BadDomain)
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 1123 §2.1.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The text is not the name of a mail domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mail domain (a host name of two labels or more; international names as A-labels, `xn--…`)")]
pub struct BadDomain;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_spelling() {
        assert_eq!(DomainName::from_str("Globex.Test").expect("a domain").as_str(), "globex.test");
    }

    #[test]
    fn what_is_no_host_name_is_no_domain() {
        let long = format!("{}.test", "a".repeat(64));
        let deep = format!("{}test", "a.".repeat(125));
        for wrong in [
            "",
            "localhost",
            "10.0.0.1",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "a-.b",
            "a b.c",
            "a/b.c",
            "bücher.de",
            "a_b.c",
            &long,
            &deep,
        ] {
            assert_eq!(DomainName::from_str(wrong), Err(BadDomain), "{wrong}");
        }
    }
}
