//! Promises of the directory.

use proptest::prelude::*;

use super::*;

fn acme() -> Did {
    "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap()
}

fn directory(domains: &[&str]) -> Directory {
    let domains: Vec<String> = domains.iter().map(ToString::to_string).collect();
    Directory::of_domains(acme(), &domains)
}

fn ours(address: &str) -> Recognition {
    Recognition::Ours(Person { did: acme(), address: address.to_owned() })
}

#[test]
fn an_address_of_our_domain_is_ours() {
    let acme = directory(&["acme.example", "acme.test"]);
    assert_eq!(acme.recognise("alice@acme.example"), ours("alice@acme.example"));
    assert_eq!(acme.recognise("alice@acme.test"), ours("alice@acme.test"));
}

#[test]
fn domains_compare_without_case_and_local_parts_stay_as_they_came() {
    let acme = directory(&["Acme.Example"]);
    assert_eq!(acme.recognise("Alice@ACME.example"), ours("Alice@acme.example"));
}

#[test]
fn another_domain_is_not_ours() {
    let acme = directory(&["acme.example"]);
    for address in ["bob@globex.example", "alice@notacme.example", "alice@acme.example.evil.test"] {
        assert_eq!(acme.recognise(address), Recognition::NotOurs, "{address}");
    }
}

#[test]
fn a_sub_domain_is_ours_only_if_listed() {
    assert_eq!(directory(&["acme.example"]).recognise("a@mail.acme.example"), Recognition::NotOurs);
    let both = directory(&["acme.example", "mail.acme.example"]);
    assert_eq!(both.recognise("a@mail.acme.example"), ours("a@mail.acme.example"));
}

#[test]
fn the_empty_reverse_path_is_null() {
    assert_eq!(directory(&["acme.example"]).recognise(""), Recognition::Null);
}

#[test]
fn a_quoted_at_sign_does_not_move_the_domain() {
    let acme = directory(&["acme.example"]);
    assert_eq!(
        acme.recognise(r#""a@globex.example"@acme.example"#),
        ours(r#""a@globex.example"@acme.example"#)
    );
    assert_eq!(acme.recognise(r#""a@acme.example"@globex.example"#), Recognition::NotOurs);
}

#[test]
fn what_is_no_address_is_not_ours() {
    let acme = directory(&["acme.example", ""]);
    for text in ["acme.example", "@acme.example", "@", "alice@", " ", "alice@acme.example."] {
        assert_eq!(acme.recognise(text), Recognition::NotOurs, "{text:?}");
    }
}

#[test]
fn the_generation_follows_the_contents() {
    let one = directory(&["acme.example", "acme.test"]).generation();
    assert_eq!(one, directory(&["ACME.test", "acme.example"]).generation());
    assert_ne!(one, directory(&["acme.example"]).generation());
    assert_ne!(one, directory(&["acme.exampleacme.test"]).generation());
}

proptest! {
    #[test]
    fn only_a_listed_domain_makes_an_address_ours(address in ".*") {
        if let Recognition::Ours(person) = directory(&["acme.example"]).recognise(&address) {
            prop_assert!(person.address.ends_with("@acme.example"));
            prop_assert!(address.to_lowercase().ends_with("@acme.example"));
        }
    }
}
