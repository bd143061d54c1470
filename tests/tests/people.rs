//! People as an administrator handles them, with the real program: beside a running gateway and without one.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dccp::did::Commitment;
use dccp::keys::SigningKey;
use dccp::xwing::DecapsulationKey;
use tests::site::{Site, said};

const NOWHERE: &str = "lmtp:127.0.0.1:9";
const BOB: &str = "bob@globex.test";

fn did_in(text: &str) -> String {
    let did = text.split_whitespace().find(|word| word.starts_with("did:dccp:1"));
    did.unwrap_or_else(|| panic!("no DID in {text:?}")).to_owned()
}

#[test]
fn a_person_is_added_published_shown_and_ended() {
    let site = Site::found("globex.test", NOWHERE);
    assert!(site.done(&["person", "list"]).contains("No people yet"));
    let did = did_in(&site.done(&["person", "add", "Bob@Globex.test"]));
    assert!(site.done(&["person", "add", BOB]).contains(&format!("was already {did}")));
    assert_eq!(site.done(&["person", "list"]), format!("{BOB}  unlisted  {did}\n"));
    assert!(site.done(&["person", "publish", BOB]).contains(&did));
    let page = site.done(&["person", "show", BOB]);
    for expected in ["published", &did, "org", "gateway-1  held by gateway"] {
        assert!(page.contains(expected), "{expected:?} is not in {page}");
    }
    site.done(&["person", "unlist", BOB]);
    assert!(site.done(&["person", "list"]).contains("unlisted"));

    assert!(site.refused(&["person", "leave", BOB]).contains("person deactivate"));
    assert!(site.done(&["person", "deactivate", BOB]).contains("ended for ever"));
    assert!(site.done(&["person", "list"]).contains("DEACTIVATED"));
    assert!(site.refused(&["person", "publish", BOB]).contains("nobody has the address"));
    assert_ne!(did_in(&site.done(&["person", "add", BOB])), did, "the address is free");
}

#[test]
fn a_file_of_addresses_is_added_beside_a_running_gateway() {
    let mut site = Site::found("globex.test", NOWHERE);
    site.start();
    let file = site.folder().join("addresses.txt");
    let mut lines = String::from("# everybody\n\n");
    (0..300).for_each(|number| lines.push_str(&format!("person{number}@globex.test\n")));
    fs::write(&file, lines).expect("a file");
    let file = file.to_str().expect("a path");
    assert!(site.done(&["person", "add", "--file", file]).contains("Added 300 people; 0 were there"));
    assert!(site.done(&["person", "add", "--file", file]).contains("Added 0 people; 300 were there"));
    assert_eq!(site.done(&["person", "list"]).lines().count(), 300);
    assert!(site.is_running());
}

#[test]
fn one_address_of_another_domain_refuses_the_whole_file() {
    let site = Site::found("globex.test", NOWHERE);
    let file = site.folder().join("addresses.txt");
    fs::write(&file, "bob@globex.test\nalice@acme.test\n").expect("a file");
    let refusal = site.refused(&["person", "add", "--file", file.to_str().expect("a path")]);
    assert!(refusal.contains("alice@acme.test is not an address of this organisation"), "{refusal}");
    assert!(site.done(&["person", "list"]).contains("No people yet"));
}

#[test]
fn who_keeps_the_recovery_key_leaves_with_the_did_and_without_the_address() {
    let site = Site::found("globex.test", NOWHERE);
    let key = SigningKey::generate(&mut rand::rng());
    let commitment = Commitment::of(key.verifying_key()).to_string();
    let missing = site.command(&["person", "add", BOB, "--custody", "joint"]);
    assert_eq!(missing.status.code(), Some(2), "the command line itself is wrong: {}", said(&missing));
    let words =
        ["person", "add", BOB, "--custody", "joint", "--recovery-commitment", &commitment, "--publish"];
    let did = did_in(&site.done(&words));
    assert!(site.refused(&["person", "deactivate", BOB]).contains("person leave"));
    assert!(site.done(&["person", "leave", BOB]).contains(&did));
    assert!(site.done(&["person", "list"]).contains(&format!("{BOB}  left  {did}")));
    assert_ne!(did_in(&site.done(&["person", "add", BOB])), did);
}

#[test]
fn a_device_that_a_person_holds_is_added_and_revoked() {
    let site = Site::found("globex.test", NOWHERE);
    site.done(&["person", "add", BOB]);
    let (signing, kem) =
        (SigningKey::generate(&mut rand::rng()), DecapsulationKey::generate(&mut rand::rng()));
    let signing = BASE64.encode(signing.verifying_key().to_bytes());
    let kem = BASE64.encode(kem.encapsulation_key().to_bytes());
    let file = site.folder().join("phone.json");
    fs::write(&file, format!(r#"{{"id": "phone", "signing": "{signing}", "kem": "{kem}"}}"#))
        .expect("a file");
    let file = file.to_str().expect("a path");

    assert!(site.done(&["person", "devices", "add", BOB, "--file", file]).contains("manifest 2"));
    assert!(site.done(&["person", "devices", "list", BOB]).contains("phone  held by device  until"));
    assert!(site.done(&["person", "devices", "revoke", BOB, "phone"]).contains("manifest 3"));
    assert!(site.done(&["person", "devices", "list", BOB]).contains("phone  held by device  revoked"));
    assert!(site.refused(&["person", "devices", "revoke", BOB, "gateway-1"]).contains("this gateway"));
}

#[test]
fn addresses_rest_sealed() {
    let site = Site::found("globex.test", NOWHERE);
    site.done(&["person", "add", BOB, "--publish"]);
    for entry in fs::read_dir(site.data()).expect("the data folder") {
        let path = entry.expect("an entry").path();
        let octets = fs::read(&path).unwrap_or_default();
        let found = octets.windows(BOB.len()).any(|window| window == BOB.as_bytes());
        assert!(!found, "{} contains the address", path.display());
    }
}
