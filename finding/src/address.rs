//! Which addresses a stranger may make us connect to: only such as belong to the public Internet.
//!
//! A domain's owner chooses where its names point, and we connect there from inside our own network. Without this
//! check a TXT record would be a way to speak with our printers and with the metadata service of a cloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that the public Internet routes (IANA special-purpose registries, RFC 6890, and their
/// updates until 2026). IPv6 forms that carry an IPv4 address are refused whole: a host has an address of its own.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0, ..] => true,                          // "this network", RFC 791
        [10, ..] => true,                         // private, RFC 1918
        [100, second, ..] => second & 0xc0 == 64, // carrier-grade NAT, RFC 6598
        [127, ..] => true,                        // loopback, RFC 1122
        [169, 254, ..] => true,                   // link-local and cloud metadata, RFC 3927
        [172, second, ..] => second & 0xf0 == 16, // private, RFC 1918
        [192, 0, 0 | 2, _] => true,               // IETF assignments, TEST-NET-1
        [192, 88, 99, _] => true,                 // 6to4 relay anycast, RFC 7526
        [192, 168, ..] => true,                   // private, RFC 1918
        [198, 18 | 19, ..] => true,               // benchmarks, RFC 2544
        [198, 51, 100, _] => true,                // TEST-NET-2
        [203, 0, 113, _] => true,                 // TEST-NET-3
        [224..=255, ..] => true,                  // multicast, reserved, broadcast
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, second, ..] if second < 0x0200 => false, // 2001::/23: Teredo, ORCHID, benchmarks
        [0x2001, 0x0db8, ..] => false,                    // documentation, RFC 3849
        [0x2002, ..] => false,                            // 6to4: an IPv4 address inside
        [0x3fff, second, ..] if second < 0x1000 => false, // documentation, RFC 9637
        // 2000::/3 is all that is allocated; loopback, mapped, NAT64, ULA, link-local and multicast lie outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_a_network_are_not_public() {
        let inside = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.9.9",
            "198.51.100.1",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in inside {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        let outside = [
            "1.1.1.1",
            "9.9.9.9",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "2400:cb00::1",
            "3ffe::1",
        ];
        for address in outside {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }
}
