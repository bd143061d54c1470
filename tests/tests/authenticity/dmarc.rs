//! DMARC: whether the author's own domain stands behind a message, and what it asks for where it does not.

use std::time::SystemTime;

use smtp::authenticity::{Outcome, Policy, Signer};
use tests::peers::Zone;

use crate::{LETTER, STRANGER, ask, names, own_pair, publish_in, verifier};

/// The letter with another author.
fn by(author: &str) -> String {
    LETTER.replace("Alice <alice@acme.test>", author)
}

/// A domain that lets 192.0.2.7 send and publishes this policy.
fn domain(name: &str, policy: &str) -> Zone {
    let zone = Zone::unsigned(name).record("@", "TXT", "\"v=spf1 ip4:192.0.2.7 -all\"");
    zone.record("_dmarc", "TXT", &format!("\"v=DMARC1; {policy}\""))
}

#[tokio::test]
async fn a_proven_domain_counts_only_where_it_is_the_authors() {
    let dns = names([
        domain("acme.test", "p=reject"),
        domain("globex.test", "p=quarantine"),
        Zone::unsigned("silent.test"),
    ]);
    let verifier = verifier(dns.address());
    for (author, sender, outcome, policy) in [
        ("alice@acme.test", "alice@acme.test", Outcome::Pass, Policy::Reject),
        ("alice@ACME.test", "bounce@acme.test", Outcome::Pass, Policy::Reject),
        ("alice@acme.test", "mallory@globex.test", Outcome::Fail, Policy::Reject),
        ("bob@globex.test", "mallory@silent.test", Outcome::Fail, Policy::Quarantine),
        ("carol@silent.test", "carol@silent.test", Outcome::None, Policy::None),
    ] {
        let verdicts = ask(&verifier, STRANGER, "x", sender, by(author).as_bytes()).await;
        let found = (verdicts.dmarc.outcome, verdicts.dmarc.policy);
        assert_eq!(found, (outcome, policy), "{author} {sender} {:?}", verdicts.dmarc);
        assert!(!verdicts.temporary);
    }
}

#[tokio::test]
async fn a_signature_of_the_author_s_domain_is_enough_and_one_of_a_subdomain_only_if_not_strict() {
    let pair = own_pair("mail.acme.test", "s1");
    let zones = ["p=reject", "p=reject; adkim=s"].map(|policy| {
        let zone = Zone::unsigned("acme.test").record("_dmarc", "TXT", &format!("\"v=DMARC1; {policy}\""));
        publish_in(zone, "acme.test", &pair)
    });
    let signer = Signer::new(vec![pair]);
    let signature = signer.sign("mail.acme.test", LETTER.as_bytes(), SystemTime::now()).unwrap().unwrap();
    let signed = signature + LETTER;
    for (zone, expected) in zones.into_iter().zip([Outcome::Pass, Outcome::Fail]) {
        let dns = names([zone]);
        let verdicts = ask(&verifier(dns.address()), STRANGER, "x", "", signed.as_bytes()).await;
        assert_eq!(verdicts.dmarc.outcome, expected, "{:?}", verdicts.dkim);
    }
}

#[tokio::test]
async fn subdomains_have_the_policy_that_is_meant_for_them() {
    let dns = names([
        domain("acme.test", "p=reject; sp=quarantine; np=reject").record("there", "A", "192.0.2.1"),
        domain("trial.test", "p=reject; t=y"),
    ]);
    let verifier = verifier(dns.address());
    for (author, policy) in [
        ("alice@there.acme.test", Policy::Quarantine),
        ("alice@invented.acme.test", Policy::Reject),
        ("alice@trial.test", Policy::Quarantine),
    ] {
        let verdicts = ask(&verifier, STRANGER, "x", "mallory@globex.test", by(author).as_bytes()).await;
        assert_eq!((verdicts.dmarc.outcome, verdicts.dmarc.policy), (Outcome::Fail, policy), "{author}");
    }
}

#[tokio::test]
async fn a_message_of_several_domains_must_be_everybodys() {
    let dns = names([
        domain("acme.test", "p=reject"),
        domain("globex.test", "p=quarantine"),
        domain("initech.test", "p=none"),
        Zone::unsigned("silent.test"),
    ]);
    let verifier = verifier(dns.address());
    for (authors, sender, outcome, policy) in [
        ("mallory@globex.test, alice@acme.test", "mallory@globex.test", Outcome::Fail, Policy::Reject),
        ("alice@acme.test, mallory@globex.test", "mallory@globex.test", Outcome::Fail, Policy::Reject),
        (
            "mallory@globex.test\r\nFrom: alice@acme.test",
            "mallory@globex.test",
            Outcome::Fail,
            Policy::Reject,
        ),
        ("alice@acme.test, bob@globex.test", "alice@acme.test", Outcome::Fail, Policy::Quarantine),
        ("alice@acme.test, Carol <carol@ACME.test>", "alice@acme.test", Outcome::Pass, Policy::Reject),
        ("alice@acme.test, dan@initech.test", "alice@acme.test", Outcome::Fail, Policy::None),
        ("alice@acme.test, erin@silent.test", "alice@acme.test", Outcome::None, Policy::None),
        ("a@a.test, b@b.test, c@c.test, d@d.test, e@e.test", "a@a.test", Outcome::Fail, Policy::Reject),
    ] {
        let verdicts = ask(&verifier, STRANGER, "x", sender, by(authors).as_bytes()).await;
        let found = (verdicts.dmarc.outcome, verdicts.dmarc.policy);
        assert_eq!(found, (outcome, policy), "{authors}: {:?}", verdicts.dmarc);
    }
}

#[tokio::test]
async fn a_message_that_hides_its_author_is_nobodys() {
    let dns = names([domain("globex.test", "p=reject")]);
    let verifier = verifier(dns.address());
    for author in ["nobody at all", "undisclosed:;"] {
        let verdicts = ask(&verifier, STRANGER, "x", "mallory@globex.test", by(author).as_bytes()).await;
        assert_eq!(verdicts.dmarc.outcome, Outcome::PermError, "{author}");
    }
    let verdicts = ask(&verifier, STRANGER, "x", "mallory@globex.test", b"\r\nno header").await;
    assert_eq!(verdicts.dmarc.outcome, Outcome::PermError);
}

#[tokio::test]
async fn an_international_domain_is_found_by_its_a_label() {
    let dns = names([domain("xn--bcher-kva.test", "p=reject")]);
    let verifier = verifier(dns.address());
    let octets = by("kafka@b\u{fc}cher.test");
    let verdicts = ask(&verifier, STRANGER, "x", "kafka@b\u{fc}cher.test", octets.as_bytes()).await;
    assert_eq!((verdicts.mail_from.outcome, verdicts.dmarc.outcome), (Outcome::Pass, Outcome::Pass));
    assert_eq!(verdicts.dmarc.domain, "xn--bcher-kva.test");
}
