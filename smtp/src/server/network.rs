//! An IP network in CIDR notation, for `trusted_networks`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// `192.0.2.0/24` or `2001:db8::/32`; an address alone is a network of one.
///
/// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) count as the IPv4 address they map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address lies inside.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                bits(self.address, self.prefix) == bits(address.to_canonical(), self.prefix)
            }
            _ => false,
        }
    }
}

/// The first `prefix` bits of the address, the others zero.
fn bits(address: IpAddr, prefix: u8) -> u128 {
    let (value, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let host_bits = u32::saturating_sub(width, u32::from(prefix));
    value.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0)
}

/// The /64 an IPv6 address lies in, or the IPv4 address: what one source of connections holds.
pub(super) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(bits(IpAddr::V6(v6), 64))),
        v4 => v4,
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Strict: a valid address, a prefix in plain decimal that fits it, and no bits set behind the prefix
    /// (`10.0.0.1/8` is a typing error more often than a wish).
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        if address.to_canonical() != address {
            return Err(NetworkError::Mapped);
        }
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(digits) => prefix_length(digits).filter(|&p| p <= width).ok_or(NetworkError::Prefix)?,
        };
        if bits(address, prefix) != bits(address, width) {
            return Err(NetworkError::HostBits);
        }
        Ok(Self { address, prefix })
    }
}

fn prefix_length(digits: &str) -> Option<u8> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not an IPv4 or IPv6 address.
    #[error("not an IP address (write 192.0.2.0/24 or 2001:db8::/32)")]
    Address,
    /// An IPv4-mapped IPv6 address: it would never match.
    #[error("write an IPv4 network as IPv4, not as ::ffff:…")]
    Mapped,
    /// Not a number, or longer than the address.
    #[error("the prefix length must be 0 to 32 (IPv4) or 0 to 128 (IPv6)")]
    Prefix,
    /// Bits are set behind the prefix.
    #[error("the address has bits set behind the prefix length")]
    HostBits,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let ten = network("10.0.0.0/8");
        assert!(ten.contains(ip("10.255.0.1")) && ten.contains(ip("::ffff:10.1.2.3")));
        assert!(!ten.contains(ip("11.0.0.1")) && !ten.contains(ip("::a00:1")));
        let doc = network("2001:db8::/33");
        assert!(doc.contains(ip("2001:db8:7fff::1")) && !doc.contains(ip("2001:db8:8000::1")));
        assert!(network("192.0.2.7").contains(ip("192.0.2.7")));
        assert!(!network("192.0.2.7").contains(ip("192.0.2.8")));
        assert!(network("0.0.0.0/0").contains(ip("203.0.113.9")));
        assert!(!network("0.0.0.0/0").contains(ip("2001:db8::1")));
        assert!(network("::/0").contains(ip("2001:db8::1")) && !network("::/0").contains(ip("192.0.2.1")));
    }

    #[test]
    fn networks_are_parsed_strictly() {
        for (bad, why) in [
            ("", NetworkError::Address),
            ("10.0.0/8", NetworkError::Address),
            (" 10.0.0.0/8", NetworkError::Address),
            ("example.org", NetworkError::Address),
            ("::ffff:10.0.0.0/104", NetworkError::Mapped),
            ("10.0.0.0/33", NetworkError::Prefix),
            ("10.0.0.0/", NetworkError::Prefix),
            ("10.0.0.0/+8", NetworkError::Prefix),
            ("10.0.0.0/08", NetworkError::Prefix),
            ("10.0.0.0/8/8", NetworkError::Prefix),
            ("2001:db8::/129", NetworkError::Prefix),
            ("10.0.0.1/8", NetworkError::HostBits),
            ("2001:db8::1/64", NetworkError::HostBits),
        ] {
            assert_eq!(bad.parse::<Network>(), Err(why), "{bad}");
        }
        assert_eq!(network("10.0.0.0/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("2001:db8::1").to_string(), "2001:db8::1/128");
    }

    #[test]
    fn one_ipv6_host_is_one_source_however_it_varies_its_address() {
        assert_eq!(source(ip("2001:db8::1")), source(ip("2001:db8::ffff:1")));
        assert_ne!(source(ip("2001:db8::1")), source(ip("2001:db8:0:1::1")));
        assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_ne!(source(ip("192.0.2.1")), source(ip("192.0.2.2")));
    }
}
