//! Signatures: ours before independent judges, theirs before us.

use std::time::SystemTime;

use smtp::authenticity::{Outcome, Signer, Visibility};
use tests::peers::{Judges, PeerKey, Zone};

use crate::{LETTER, ask_letter, names, own_pair, publish, verifier};

#[tokio::test]
async fn what_we_sign_is_accepted_by_us_and_by_an_independent_judge() {
    let pair = own_pair("acme.test", "s1");
    let dns = names([publish(Zone::unsigned("acme.test"), &pair)]);
    let signer = Signer::new(vec![pair]);
    let signature = signer.sign("acme.test", LETTER.as_bytes(), SystemTime::now()).unwrap().unwrap();
    let signed = format!("{signature}{LETTER}");

    let judges = Judges::new(dns.address());
    assert_eq!(judges.dkim(signed.as_bytes()), ["pass", "pass"]);
    let verdicts = ask_letter(&verifier(dns.address()), signed.as_bytes()).await;
    let found: Vec<_> =
        verdicts.dkim.iter().map(|it| (it.outcome, it.algorithm, it.selector.as_str())).collect();
    let expected = [(Outcome::Pass, "ed25519-sha256", "s1-ed"), (Outcome::Pass, "rsa-sha256", "s1-rsa")];
    assert_eq!(found, expected);

    // Trace fields in front are no change, an added or altered field and another body are.
    let relayed = format!("Received: by mx.test; today\r\n{signed}");
    assert_eq!(judges.dkim(relayed.as_bytes()), ["pass", "pass"]);
    for altered in [
        signed.replace("How are", "Who are"),
        signed.replace("A letter", "A bill"),
        signed.replace("To: Bob", "From: eve@acme.test\r\nTo: Bob"),
        signed.replace("To: Bob", "Cc: eve@acme.test\r\nTo: Bob"),
    ] {
        let judged = judges.dkim(altered.as_bytes());
        assert!(judged.len() == 2 && judged.iter().all(|it| it.starts_with("fail")), "{judged:?}\n{altered}");
        let verdicts = ask_letter(&verifier(dns.address()), altered.as_bytes()).await;
        assert!(
            verdicts.dkim.iter().all(|it| matches!(it.outcome, Outcome::Fail | Outcome::Neutral)),
            "{altered}"
        );
    }
}

#[tokio::test]
async fn odd_messages_are_signed_as_an_independent_judge_reads_them() {
    let pair = own_pair("acme.test", "s1");
    let dns = names([publish(Zone::unsigned("acme.test"), &pair)]);
    let signer = Signer::new(vec![pair]);
    let judges = Judges::new(dns.address());
    for odd in [
        "From: alice@acme.test\r\n\r\n",
        "From: alice@acme.test\r\n\r\n\r\n\r\n",
        "From: alice@acme.test\r\n\r\nno line end",
        "From:alice@acme.test\r\nSUBJECT:\t spaces\t\t \r\n\r\n \t \r\n\ta  b\t\r\n\r\n \r\n",
        "From: alice@acme.test\r\nSubject: =?utf-8?q?=C3=BC?=\r\n\r\n\u{fc}ber\r\n",
        "To: a@b.test\r\nTo: c@d.test\r\nFrom: alice@acme.test\r\nReferences: <1@a>\r\n <2@a>\r\n\r\n.\r\n..\r\n",
    ] {
        let signature = signer.sign("acme.test", odd.as_bytes(), SystemTime::now()).unwrap().unwrap();
        let signed = format!("{signature}{odd}");
        assert_eq!(judges.dkim(signed.as_bytes()), ["pass", "pass"], "{odd}");
        let verdicts = ask_letter(&verifier(dns.address()), signed.as_bytes()).await;
        assert!(verdicts.dkim.iter().all(|it| it.outcome == Outcome::Pass), "{odd} {:?}", verdicts.dkim);
    }
}

#[tokio::test]
async fn what_an_independent_signer_signs_passes_here_in_every_canonical_form() {
    let folder = tempfile::tempdir().unwrap();
    let key = PeerKey::rsa(folder.path(), "acme.test", "their", "rsa-sha256");
    let (name, record) = key.record();
    let dns = names([Zone::unsigned("acme.test").record(&name, "TXT", &record)]);
    let judges = Judges::new(dns.address());
    for form in [["relaxed", "relaxed"], ["relaxed", "simple"], ["simple", "relaxed"], ["simple", "simple"]] {
        let signed = judges.sign(LETTER.as_bytes(), &key, form) + LETTER;
        let verdicts = ask_letter(&verifier(dns.address()), signed.as_bytes()).await;
        assert_eq!(verdicts.dkim[0].outcome, Outcome::Pass, "{form:?} {:?}", verdicts.dkim);
        assert_eq!(verdicts.dkim[0].domain, "acme.test");
        let broken = signed.replace("How", "Who");
        let verdicts = ask_letter(&verifier(dns.address()), broken.as_bytes()).await;
        assert_eq!(verdicts.dkim[0].outcome, Outcome::Neutral, "{form:?} {:?}", verdicts.dkim);
    }
}

#[tokio::test]
async fn an_outdated_algorithm_proves_nothing_and_a_missing_key_is_no_failure_of_dns() {
    let folder = tempfile::tempdir().unwrap();
    let old = PeerKey::rsa(folder.path(), "acme.test", "old", "rsa-sha1");
    let lost = PeerKey::rsa(folder.path(), "acme.test", "lost", "rsa-sha256");
    let (name, record) = old.record();
    let dns = names([Zone::unsigned("acme.test").record(&name, "TXT", &record)]);
    let judges = Judges::new(dns.address());
    let by_old = judges.sign(LETTER.as_bytes(), &old, ["relaxed", "relaxed"]);
    let by_lost = judges.sign(LETTER.as_bytes(), &lost, ["relaxed", "relaxed"]);
    let signed = format!("{by_old}{by_lost}{LETTER}");
    let verdicts = ask_letter(&verifier(dns.address()), signed.as_bytes()).await;
    let mut outcomes: Vec<_> = verdicts.dkim.iter().map(|it| (it.selector.as_str(), it.outcome)).collect();
    outcomes.sort_by_key(|(selector, _)| *selector);
    assert_eq!(outcomes, [("lost", Outcome::PermError), ("old", Outcome::Policy)]);
    assert!(!verdicts.temporary);
}

#[tokio::test]
async fn only_the_last_eight_signatures_are_looked_at() {
    let pair = own_pair("acme.test", "s1");
    let dns = names([publish(Zone::unsigned("acme.test"), &pair)]);
    let signer = Signer::new(vec![pair]);
    let signature = signer.sign("acme.test", LETTER.as_bytes(), SystemTime::now()).unwrap().unwrap();
    let signed = signature.repeat(10) + LETTER;
    let verdicts = ask_letter(&verifier(dns.address()), signed.as_bytes()).await;
    assert_eq!(verdicts.dkim.len(), 8);

    // A list of signed fields without an end costs nothing.
    let endless = signature.replace("h=From", &format!("h=From{}", ":x".repeat(100_000)));
    let verdicts = ask_letter(&verifier(dns.address()), format!("{endless}{LETTER}").as_bytes()).await;
    assert!(verdicts.dkim.iter().all(|it| it.outcome == Outcome::Policy), "{:?}", verdicts.dkim);
}

#[tokio::test]
async fn a_published_key_is_visible_and_any_other_is_not() {
    let (ours, other) = (own_pair("acme.test", "s1"), own_pair("acme.test", "s1"));
    let dns = names([publish(Zone::unsigned("acme.test"), &ours)]);
    let verifier = verifier(dns.address());
    for record in ours.published().unwrap() {
        assert_eq!(verifier.visibility(&record).await, Visibility::Visible);
    }
    for record in other.published().unwrap() {
        assert_eq!(verifier.visibility(&record).await, Visibility::Missing, "another key under this name");
    }
    let elsewhere = own_pair("globex.test", "s1");
    assert_eq!(verifier.visibility(&elsewhere.published().unwrap()[0]).await, Visibility::Missing);
}
