use std::time::Duration;

use proptest::prelude::*;

use super::super::keys::tests::pair;
use super::*;

const MESSAGE: &str = "From: Alice <alice@acme.example>\r\nTo: bob@globex.example\r\nSubject:  two\r\n  lines\r\n\
    Received: by elsewhere\r\n\r\nHello  Bob \r\n\r\n\r\n";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[test]
fn both_algorithms_sign_and_every_line_fits() {
    let signer = Signer::new(vec![pair("acme.example")]);
    let fields = signer.sign("ACME.example", MESSAGE.as_bytes(), now()).unwrap().unwrap();
    let lines: Vec<&str> = fields.strip_suffix("\r\n").unwrap().split("\r\n").collect();
    let heads: Vec<&&str> = lines.iter().filter(|line| !line.starts_with('\t')).collect();
    assert_eq!(
        heads,
        [
            &"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;",
            &"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;"
        ]
    );
    assert!(lines.iter().all(|line| line.len() <= 78 && !line.trim().is_empty()), "{fields}");
    assert!(fields.contains("\r\n\ts=s1-ed; t=1800000000;\r\n"), "{fields}");
}

#[test]
fn fields_that_count_are_signed_once_more_than_they_are_there() {
    let message = Message::read(MESSAGE.as_bytes()).unwrap();
    let names: Vec<&str> = message.names.split(':').map(str::trim).collect();
    let count = |name| names.iter().filter(|signed| **signed == name).count();
    assert_eq!((count("From"), count("Subject"), count("Cc"), count("Message-ID")), (2, 2, 1, 1));
    assert_eq!((count("Received"), count("List-ID")), (0, 0));
}

#[test]
fn repeated_fields_are_signed_from_the_bottom_up() {
    let message = "List-ID: 1\r\nFrom: a@b.example\r\nList-ID: 2\r\n\r\n";
    let signed: Vec<_> =
        Message::read(message.as_bytes()).unwrap().signed().map(|(_, value)| value).collect();
    assert_eq!(signed, [b" a@b.example\r\n".as_slice(), b" 2\r\n", b" 1\r\n"]);
    let flood = "From: a@b.example\r\n".repeat(500) + "\r\n";
    assert_eq!(Message::read(flood.as_bytes()).unwrap().signed.len(), REPEATED_MAX);
}

#[test]
fn a_domain_without_a_key_is_not_signed_for_and_the_newest_key_signs() {
    let old = pair("acme.example");
    let secret = KeyPair::generate().unwrap();
    let new = KeyPair::of_secret("acme.example", "s2", &secret).unwrap();
    let signer = Signer::new(vec![old, new]);
    assert_eq!(signer.sign("globex.example", MESSAGE.as_bytes(), now()), Ok(None));
    assert_eq!(signer.key("acme.example").map(KeyPair::selector), Some("s2"));
}

#[test]
fn a_message_that_nobody_wrote_is_not_signed() {
    let signer = Signer::new(vec![pair("acme.example")]);
    let sign = |message: &str| signer.sign("acme.example", message.as_bytes(), now());
    assert_eq!(sign("Subject: x\r\n\r\nFrom: y\r\n"), Err(SignError::NoFrom));
    assert_eq!(sign("From: a@acme.example\r\ngarbage\r\n\r\n"), Err(SignError::GarbageInHeader));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::read(&octets);
        let _ = Message::read(&[b"From: a@acme.example\r\n".as_slice(), &octets].concat());
    }
}
