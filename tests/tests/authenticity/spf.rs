//! SPF: our verdicts and those of pyspf are the same.

use smtp::authenticity::Outcome;
use tests::peers::{Judges, Zone};

use crate::{LETTER, STRANGER, ask, names, verifier};

/// A domain, what it publishes, and what that means for 192.0.2.7.
const DOMAINS: [(&str, &str, &str); 14] = [
    ("pass.test", "v=spf1 ip4:192.0.2.0/24 -all", "pass"),
    ("fail.test", "v=spf1 ip4:198.51.100.1 -all", "fail"),
    ("soft.test", "v=spf1 ~all", "softfail"),
    ("neutral.test", "v=spf1 ?all", "neutral"),
    ("open.test", "v=spf1 mx:nowhere.test", "neutral"),
    ("none.test", "some other text", "none"),
    ("include.test", "v=spf1 include:pass.test -all", "pass"),
    ("exclude.test", "v=spf1 include:fail.test ~all", "softfail"),
    ("lost.test", "v=spf1 include:none.test -all", "permerror"),
    ("redirect.test", "v=spf1 redirect=fail.test", "fail"),
    ("broken.test", "v=spf1 ipv4:192.0.2.7 -all", "permerror"),
    ("loop.test", "v=spf1 include:loop.test -all", "permerror"),
    ("host.test", "v=spf1 a:host.host.test mx -all", "pass"),
    ("macro.test", "v=spf1 exists:%{ir}.%{v}._spf.%{d} -all", "pass"),
];

#[tokio::test]
async fn we_and_an_independent_judge_say_the_same() {
    let zones = DOMAINS.map(|(domain, record, _)| {
        let zone = Zone::unsigned(domain).record("@", "TXT", &format!("\"{record}\""));
        let zone = zone.record("host", "A", "192.0.2.7");
        zone.record("7.2.0.192.in-addr._spf", "A", "127.0.0.2")
    });
    let dns = names(zones);
    let (judges, verifier) = (Judges::new(dns.address()), verifier(dns.address()));
    for (domain, record, expected) in DOMAINS {
        let sender = format!("alice@{domain}");
        let ours = ask(&verifier, STRANGER, "mx.test", &sender, LETTER.as_bytes()).await.mail_from;
        let theirs = judges.spf("192.0.2.7", &sender, "mx.test");
        assert_eq!((ours.outcome.as_str(), theirs.as_str()), (expected, expected), "{domain} {record}");
        assert_eq!(ours.identity.domain(), domain);
    }
}

#[tokio::test]
async fn the_null_path_is_judged_by_the_greeting_and_a_bad_greeting_by_nobody() {
    let dns = names([Zone::unsigned("acme.test")
        .record("mx", "A", "192.0.2.7")
        .record("mx", "TXT", "\"v=spf1 a -all\"")
        .record("twice", "TXT", "\"v=spf1 +all\"")
        .record("twice", "TXT", "\"v=spf1 -all\"")]);
    let (judges, verifier) = (Judges::new(dns.address()), verifier(dns.address()));
    let verdicts = ask(&verifier, STRANGER, "mx.acme.test", "", LETTER.as_bytes()).await;
    assert_eq!((verdicts.mail_from.outcome, &verdicts.mail_from), (Outcome::Pass, &verdicts.helo));
    assert_eq!(judges.spf("192.0.2.7", "", "mx.acme.test"), "pass");
    for hello in ["[192.0.2.7]", "localhost", "mx acme", "nowhere.test", "..", "x\u{e9}.test"] {
        let verdicts = ask(&verifier, STRANGER, hello, "", LETTER.as_bytes()).await;
        assert_eq!(verdicts.helo.outcome, Outcome::None, "{hello}");
    }
    // Two records are no record (RFC 7208 §4.5).
    let verdicts = ask(&verifier, STRANGER, "twice.acme.test", "", LETTER.as_bytes()).await;
    assert_eq!(verdicts.helo.outcome, Outcome::PermError);
    assert_eq!(judges.spf("192.0.2.7", "", "twice.acme.test"), "permerror");
}

#[tokio::test]
async fn an_ipv4_client_on_an_ipv6_socket_is_an_ipv4_client() {
    let dns = names([Zone::unsigned("acme.test").record(
        "@",
        "TXT",
        "\"v=spf1 ip4:192.0.2.7 ip6:2001:db8::/32 -all\"",
    )]);
    let verifier = verifier(dns.address());
    for (ip, expected) in [
        ("::ffff:192.0.2.7", Outcome::Pass),
        ("2001:db8::9", Outcome::Pass),
        ("::ffff:192.0.2.8", Outcome::Fail),
        ("2001:db9::9", Outcome::Fail),
    ] {
        let verdicts = ask(&verifier, ip.parse().unwrap(), "x", "alice@acme.test", LETTER.as_bytes()).await;
        assert_eq!(verdicts.mail_from.outcome, expected, "{ip}");
    }
}
