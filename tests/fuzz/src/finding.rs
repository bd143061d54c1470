//! What a domain says of itself, and the names it is asked by.

use finding::{DomainName, Mirror, WELL_KNOWN_BYTES_MAX, WellKnown, claim};

/// A page that was accepted is within its limit, and reads back as the same page.
pub(crate) fn well_known(octets: &[u8]) -> bool {
    let Ok(page) = WellKnown::from_json(octets) else { return false };
    assert!(octets.len() <= WELL_KNOWN_BYTES_MAX);
    assert_eq!(WellKnown::from_json(&page.to_json()).as_ref(), Ok(&page), "another page when read again");
    true
}

/// The DID of a TXT record stands in it as it is spelled.
pub(crate) fn dns_txt(octets: &[u8]) -> bool {
    let Ok(Some(did)) = claim(octets) else { return false };
    let spelled = did.as_str().as_bytes();
    assert!(octets.windows(spelled.len()).any(|window| window == spelled), "a DID out of nowhere");
    true
}

/// A mail domain has one spelling.
pub(crate) fn domain_name(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(domain) = text.parse::<DomainName>() else { return false };
    assert_eq!(domain.as_str(), text.to_ascii_lowercase());
    assert_eq!(domain.as_str().parse().as_ref(), Ok(&domain), "another domain when read again");
    true
}

/// A mirror has one spelling, and it is HTTPS.
pub(crate) fn mirror(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(mirror) = Mirror::parse(text) else { return false };
    let spelled = mirror.to_string();
    assert!(spelled.starts_with("https://"), "{spelled}");
    assert_eq!(Mirror::parse(&spelled).as_ref(), Ok(&mirror), "another mirror when read again");
    true
}
