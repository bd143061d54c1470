//! Each suite from end to end: what the manifests list is what travels, and what is experimental says so.

use tests::peers::Dovecot;
use tests::site::{Site, said};

use crate::{lmtp, to_bob};

/// A gateway that takes part in this suite and in no other.
fn speaking(suite: &str, domain: &'static str, mail: &Dovecot) -> Site {
    let site = Site::found(domain, &lmtp(mail));
    site.set("suites.accept", &format!("[{suite}]"));
    site.set("suites.minimum", suite);
    let warned = said(&site.command(&["check"]));
    assert!(warned.contains("`dccp-gateway did devices renew`"), "{warned}");
    site.done(&["did", "devices", "renew"]);
    let checked = said(&site.command(&["check"]));
    assert!(!checked.contains("warning"), "{checked}");
    site
}

fn a_mail_crosses_in(suite: &str, id: &str) {
    let (alice, bob) = (Dovecot::start(), Dovecot::start());
    let mut acme = speaking(suite, "acme.test", &alice);
    let mut globex = speaking(suite, "globex.test", &bob);
    acme.introduce(&globex);
    globex.introduce(&acme);
    acme.start();
    globex.start();
    acme.await_links();
    let trace = acme.await_state(&to_bob(&acme, "suite@acme.test"), "delivered");
    let sealed = trace["stages"].to_string();
    assert!(sealed.contains(&format!("suite {id}")), "{sealed}");
    let is_experimental = suite.starts_with("experimental");
    let arrived = bob.mailbox("bob").remove(0);
    let arrived = String::from_utf8_lossy(&arrived);
    assert!(arrived.contains(&format!("X-DCCP-Status: sealed; suite={id}")), "{arrived}");
    for shown in [&sealed, &*arrived] {
        assert_eq!(shown.to_lowercase().contains("experimental"), is_experimental, "{shown}");
    }
    acme.settled();
    globex.settled();
}

#[test]
fn a_mail_crosses_in_suite_0x0002() {
    a_mail_crosses_in("hybrid-chacha", "0x0002");
}

#[test]
fn a_mail_crosses_in_suite_0x0101() {
    a_mail_crosses_in("ml-kem-ml-dsa", "0x0101");
}

#[test]
fn a_mail_crosses_in_the_experimental_suite_0x0102() {
    a_mail_crosses_in("experimental-falcon", "0x0102");
}
