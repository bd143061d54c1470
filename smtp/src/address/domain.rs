//! The part after the `@`: `Domain / address-literal` (RFC 5321 §4.1.2 and §4.1.3, RFC 6531 §3.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{AddressError, DOMAIN_OCTETS_MAX, local};

/// RFC 1035 §2.3.4: octets of one label.
const LABEL_OCTETS_MAX: usize = 63;

/// The domain or address literal in canonical form: lower-case, literals as `std` prints them.
pub(super) fn parse(text: &str) -> Result<String, AddressError> {
    if text.is_empty() || text.len() > DOMAIN_OCTETS_MAX {
        return Err(AddressError::Domain);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(AddressError::Domain)?;
        return literal(inner).map(|address| match address {
            IpAddr::V4(v4) => format!("[{v4}]"),
            IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
        });
    }
    let lower = text.to_lowercase();
    let good = lower.len() <= DOMAIN_OCTETS_MAX && lower.split('.').all(is_label);
    if good { Ok(lower) } else { Err(AddressError::Domain) }
}

/// `IPv4-address-literal / IPv6-address-literal`. General literals have no registered tag and no use.
fn literal(inner: &str) -> Result<IpAddr, AddressError> {
    let tagged = inner.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    match inner.get(5..) {
        Some(v6) if tagged => v6.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| AddressError::Domain),
        _ => inner.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| AddressError::Domain),
    }
}

/// `sub-domain = Let-dig [Ldh-str]`, or a label with UTF-8 (U-label).
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_OCTETS_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || local::is_utf8_text(c))
}
