//! From alice's mail program to a stranger's mail server, through a whole gateway: decided again before every attempt,
//! tried until it goes or expires, and told to alice if it cannot.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tests::peers::Zone;
use tests::site::{PATIENCE, Site, eventually};
use tests::submit::{letter, submitted};

use super::lab::{Lab, World, to_here};
use super::replies::Greylist;

const ALICE: &str = "alice@acme.test";

/// Acme, whose people have their mail in the same Dovecot, and for whom clear text will do.
pub(crate) fn acme(lab: &Lab) -> Site {
    acme_with(lab, &format!("lmtp:127.0.0.1:{}", lab.dovecot.lmtp_port()))
}

/// The same with another mail server of its own.
pub(crate) fn acme_with(lab: &Lab, deliver: &str) -> Site {
    let site = Site::found("acme.test", deliver);
    site.set("dns_servers", &format!("[\"{}\"]", lab.dns.address()));
    site.set("dns_trust_anchor", lab.dns.trust_anchor().to_str().expect("a path"));
    site.set("extra_roots", roots(lab).to_str().expect("a path"));
    site.set("allow_private_addresses", "true");
    site.set("https_port", &lab.network().https_port.to_string());
    site.set("outside.policy", "opportunistic");
    site.set("outside.port", &lab.postfix.port().to_string());
    site.set("outside.retry_delay_ms_min", "200");
    site.set("outside.retry_delay_ms_max", "1000");
    site
}

fn roots(lab: &Lab) -> PathBuf {
    lab.world.authority.roots()
}

fn write(smtp: SocketAddr, to: &[&str], subject: &str) -> String {
    submitted(smtp, ALICE, to, &letter(&format!("{subject}@acme.test"), "The secret of the merger"))
}

/// Everything the journal of a mail says.
pub(crate) fn journal(site: &Site, id: &str) -> String {
    site.trace(id).map_or_else(String::new, |trace| trace.to_string())
}

fn first(site: &Site, id: &str, state: &str) -> Value {
    site.await_state(id, state)
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_a_domain_without_a_gateway_leaves_and_the_journal_says_how_it_was_protected() {
    let world = World::new();
    let (tls, digest) = world.certificate(&["mx.dane.test"]);
    let zone = to_here(Zone::signed("dane.test"), "dane.test");
    let zones = [zone.record("_25._tcp.mx", "TLSA", &format!("3 0 1 {digest}"))];
    let lab = world.start(&zones, &["dane.test"], &tls);
    let mut acme = acme(&lab);
    acme.start();

    let id = write(acme.smtp, &["bob@dane.test"], "1");
    let mails = lab.dovecot.await_mail("bob", 1, PATIENCE);
    assert!(String::from_utf8_lossy(&mails[0]).contains("The secret of the merger"));
    first(&acme, &id, "delivered");
    let journal = journal(&acme, &id);
    for word in ["mx.dane.test", "TLSv1.3", "verified by DANE", "250"] {
        assert!(journal.contains(word), "{word}: {journal}");
    }
    acme.settled();
    acme.await_metric("dccp_relayed_total", 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_is_told_to_the_sender_and_what_is_not_is_tried_again() {
    let greylist = Greylist::start();
    let world = World::new();
    let zones = [
        Zone::signed("null.test").record("@", "MX", "0 ."),
        to_here(Zone::signed("two.test"), "two.test"),
        to_here(Zone::signed("wrong.test"), "wrong.test").record(
            "_25._tcp.mx",
            "TLSA",
            &format!("3 1 1 {}", "00".repeat(32)),
        ),
    ];
    let access = "check_recipient_access inline:{{nobody@two.test=550 5.1.1 no such user}}";
    let more = format!(
        "smtpd_recipient_restrictions = {access} check_policy_service inet:127.0.0.1:{}",
        greylist.port
    );
    let lab = world.start(&zones, &["two.test", "wrong.test"], &more);
    let mut acme = acme(&lab);
    acme.start();

    // The first attempt for bob is greylisted; nobody is refused for good.
    let id = write(acme.smtp, &["bob@two.test", "nobody@two.test"], "2");
    lab.dovecot.await_mail("bob", 1, PATIENCE);
    first(&acme, &id, "failed");
    let journal_of_two = journal(&acme, &id);
    assert!(
        journal_of_two.contains("deferred") && journal_of_two.contains("1 of 2 recipients"),
        "{journal_of_two}"
    );
    let report = lab.dovecot.await_mail("alice", 1, PATIENCE).remove(0);
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains("nobody@two.test") && report.contains("5.1.1"), "{report}");
    assert!(!report.contains("bob@two.test"), "{report}");

    let id = write(acme.smtp, &["bob@null.test"], "3");
    first(&acme, &id, "failed");
    let reports = lab.dovecot.await_mail("alice", 2, PATIENCE);
    assert!(reports.iter().any(|report| String::from_utf8_lossy(report).contains("5.1.10")));

    // A wrong TLSA record keeps the mail back, and the journal says why.
    let id = write(acme.smtp, &["bob@wrong.test"], "4");
    eventually("the reason is in the journal", || journal(&acme, &id).contains("no TLS with").then_some(()));
    assert_eq!(acme.trace(&id).expect("a trace")["messages"][0]["state"], "queued");
    acme.may_leave_mail();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_s_now_does_not_wait_until_servers_that_cannot_be_reached_have_rested() {
    let zones = [to_here(Zone::signed("away.test"), "away.test")];
    let lab = World::new().start(&zones, &["away.test"], "");
    let mut acme = acme(&lab);
    // Nobody listens at that port, and it would be tried again in an hour.
    acme.set("outside.port", &tests::peers::free_port().to_string());
    acme.set("outside.retry_delay_ms_min", "3600000");
    acme.set("outside.retry_delay_ms_max", "3600000");
    acme.start();
    let id = write(acme.smtp, &["bob@away.test"], "6");
    let tried = |times: usize| {
        eventually("it was tried", || {
            (journal(&acme, &id).matches("not now").count() >= times).then_some(())
        });
    };
    tried(1);
    acme.obeyed(&["retry", &id, "--by", "carol"]);
    tried(2);
    acme.obeyed(&["reroute", &id, "--to", &format!("127.0.0.1:{}", lab.postfix.port())]);
    lab.dovecot.await_mail("bob", 1, PATIENCE);
    first(&acme, &id, "delivered");
    acme.settled();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_leave_any_more_does_not_leave_although_it_was_accepted() {
    let zones = [to_here(Zone::signed("later.test"), "later.test")];
    let lab = World::new().start(&zones, &["later.test"], "");
    let mut acme = acme(&lab);
    // Nobody listens at that port, so the mail waits.
    acme.set("outside.port", &tests::peers::free_port().to_string());
    acme.start();
    let id = write(acme.smtp, &["bob@later.test"], "5");
    eventually("it was tried", || journal(&acme, &id).contains("deferred").then_some(()));
    assert!(acme.terminate().success());

    // While it waits somebody decides that such mail must be encrypted.
    acme.set("outside.port", &lab.postfix.port().to_string());
    acme.set("recipient_domains", "[later.test]");
    acme.start();
    first(&acme, &id, "failed");
    let report = lab.dovecot.await_mail("alice", 1, PATIENCE).remove(0);
    assert!(
        String::from_utf8_lossy(&report).contains("must be encrypted"),
        "{}",
        String::from_utf8_lossy(&report)
    );
    acme.settled();
    assert!(lab.dovecot.mailbox("bob").is_empty() && !lab.postfix.log().contains("later.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_releases_leaves_although_the_rule_that_held_it_stands() {
    let zones = [to_here(Zone::signed("open.test"), "open.test")];
    let lab = World::new().start(&zones, &["open.test"], "");
    let mut acme = acme(&lab);
    let rules = acme.data().join("local.cedar");
    let rule = "@id(\"first-look\") @effect(\"hold\") @why(\"A person looks first.\")
        forbid (principal, action == Action::\"mail-out\", resource);";
    std::fs::write(&rules, rule).expect("a file");
    acme.set("policies.rules", rules.to_str().expect("a path"));
    acme.start();
    let id = write(acme.smtp, &["bob@open.test"], "7");
    first(&acme, &id, "held");
    acme.obeyed(&["release", &id, "--by", "dave"]);
    first(&acme, &id, "delivered");
    let journal = journal(&acme, &id);
    assert!(journal.contains("release by dave") && journal.contains("approved, first-look"), "{journal}");
    acme.settled();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_must_be_encrypted_leaves_for_nobody_when_one_recipient_is_outside() {
    let zones = [to_here(Zone::signed("open.test"), "open.test")];
    let lab = World::new().start(&zones, &["open.test"], "");
    let mut acme = acme(&lab);
    acme.set("subject_tags", "[\"[secure]\"]");
    acme.start();
    let octets =
        b"From: alice@acme.test\r\nSubject: [secure] 6\r\nMessage-ID: <6@acme.test>\r\n\r\nA secret.\r\n";
    let to = [ALICE, "bob@open.test"];
    let reply = tests::submit::submit(acme.smtp, ALICE, &to, octets);
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    acme.settled();
    assert!(lab.dovecot.mailbox("bob").is_empty() && lab.dovecot.mailbox("alice").is_empty());
    assert!(!lab.postfix.log().contains("open.test"));
}
