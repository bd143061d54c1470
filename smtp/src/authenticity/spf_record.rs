//! The grammar of an SPF record (RFC 7208 §4.6.1 and §12), where `mail-auth` is more forgiving than the standard: a
//! term that nobody knows makes the whole record a permerror instead of being passed over.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether it begins with `v=spf1`, and then a space or nothing (§4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    let rest = text.get(..6).filter(|version| version.eq_ignore_ascii_case(b"v=spf1")).and(text.get(6..));
    rest.is_some_and(|rest| rest.first().is_none_or(|next| *next == b' '))
}

/// Whether every term behind the version is a mechanism or a modifier.
pub(super) fn is_well_formed(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    text.is_ascii() && text.split(' ').skip(1).filter(|term| !term.is_empty()).all(is_term)
}

fn is_term(term: &str) -> bool {
    let is_modifier = term.split_once('=').is_some_and(|(name, _)| is_name(name));
    is_modifier || is_mechanism(term.strip_prefix(['+', '-', '~', '?']).unwrap_or(term))
}

/// `name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )`.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
}

fn is_mechanism(directive: &str) -> bool {
    let end = directive.find([':', '/']).unwrap_or(directive.len());
    let (name, argument) = directive.split_at_checked(end).unwrap_or_default();
    let value = argument.strip_prefix(':');
    match name.to_ascii_lowercase().as_str() {
        "all" => argument.is_empty(),
        "include" | "exists" => value.is_some_and(|domain| !domain.is_empty()),
        "a" | "mx" | "ptr" => value != Some(""), // domain and prefix lengths are read by `mail-auth`
        "ip4" => value.is_some_and(|network| is_network::<Ipv4Addr>(network, 32)),
        "ip6" => value.is_some_and(|network| is_network::<Ipv6Addr>(network, 128)),
        _ => false,
    }
}

fn is_network<A: std::str::FromStr>(network: &str, prefix_max: u8) -> bool {
    let (address, prefix) = network.split_once('/').unwrap_or((network, "0"));
    let is_prefix = prefix.bytes().all(|digit| digit.is_ascii_digit());
    address.parse::<A>().is_ok() && is_prefix && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= prefix_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_as_they_are_published_are_well_formed() {
        for good in [
            "v=spf1",
            "v=spf1 ",
            "V=SPF1 +MX a:mail.acme.example/28 mx/24//64 -all",
            "v=spf1  ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all",
            "v=spf1 include:_spf.acme.example exists:%{ir}.%{v}._spf.%{d2} ptr ?all",
            "v=spf1 redirect=_spf.acme.example exp=why.%{d} x-new.kind=42",
        ] {
            assert!(is_spf(good.as_bytes()) && is_well_formed(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn a_term_that_nobody_knows_spoils_the_record() {
        for term in [
            "ipv4:192.0.2.1",
            "ip4:192.0.2.999",
            "ip4:192.0.2.1/33",
            "ip4:",
            "ip4",
            "ip6:192.0.2.1",
            "all:x",
            "include",
            "include:",
            "a:",
            "--all",
            "-",
            "=x",
            "1x=y",
            "é",
            "nothing",
        ] {
            assert!(!is_well_formed(format!("v=spf1 {term} -all").as_bytes()), "{term}");
        }
        assert!(!is_well_formed(b"v=spf1 \xff -all"));
    }

    #[test]
    fn only_the_exact_version_makes_an_spf_record() {
        for other in
            ["", "v=spf", "v=spf10 -all", "v=spf1; -all", " v=spf1", "spf2.0/pra", "v=DMARC1; p=none"]
        {
            assert!(!is_spf(other.as_bytes()), "{other}");
        }
    }
}
