use super::*;

/// A pair for tests of this room. RSA keys cost up to a second, so a test makes one.
pub(in super::super) fn pair(domain: &str) -> KeyPair {
    KeyPair::of_secret(domain, "s1", &KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn a_secret_comes_back_as_the_same_pair() {
    let secret = KeyPair::generate().unwrap();
    let pair = KeyPair::of_secret("ACME.example", "s1", &secret).unwrap();
    let again = KeyPair::of_secret("acme.example", "s1", &secret).unwrap();
    assert_eq!(pair.published().unwrap(), again.published().unwrap());
    assert_eq!((pair.domain(), pair.selector()), ("acme.example", "s1"));
}

#[test]
fn both_public_keys_are_records_that_a_verifier_reads() {
    let [ed25519, rsa] = pair("acme.example").published().unwrap();
    assert_eq!(ed25519.name, "s1-ed._domainkey.acme.example.");
    assert_eq!(rsa.name, "s1-rsa._domainkey.acme.example.");
    assert_eq!(BASE64.decode(ed25519.value.rsplit_once("p=").unwrap().1).unwrap().len(), 32);
    assert!(rsa.value.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"), "{}", rsa.value);
}

#[test]
fn a_long_record_is_split_into_strings_that_dns_can_hold() {
    let rsa = pair("acme.example").published().unwrap()[1].clone();
    let strings: Vec<&str> = rsa.strings().collect();
    assert_eq!(strings.concat(), rsa.value);
    assert_eq!(strings.iter().map(|string| string.len()).collect::<Vec<_>>(), [255, rsa.value.len() - 255]);
    let exact = Published { name: String::new(), value: "x".repeat(510) };
    assert_eq!(exact.strings().map(str::len).collect::<Vec<_>>(), [255, 255]);
}

#[test]
fn what_is_no_name_or_no_secret_is_refused() {
    let secret = KeyPair::generate().unwrap();
    let refusal = |domain: &str, selector: &str, secret: &[u8]| {
        KeyPair::of_secret(domain, selector, secret).err().map(|error| error.to_string())
    };
    for (domain, selector) in [
        ("acme.example", "a.b"),
        ("acme.example", ""),
        ("acme.example", "a;b"),
        ("acme.example", "é"),
        ("acme", "s1"),
        ("[192.0.2.1]", "s1"),
        ("acme.example\r\nX: y", "s1"),
        ("bücher.example", "s1"),
    ] {
        assert!(refusal(domain, selector, &secret).is_some(), "{domain} {selector}");
    }
    assert!(refusal("acme.example", &"s".repeat(60), &secret).is_some());
    for broken in [&b""[..], &secret[..31], &secret[..40], &secret[1..]] {
        assert_eq!(refusal("acme.example", "s1", broken), Some(KeyError::Secret.to_string()));
    }
}
