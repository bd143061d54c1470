//! Who tells a sender what became of a mail that crosses the border: the server out there, or we (RFC 3461 §5.2).

use std::net::SocketAddr;

use tests::peers::{Postfix, PostfixConfig, Zone};
use tests::site::{PATIENCE, Site, eventually};
use tests::submit::{letter, submitted_asking};

use super::courier::{acme, acme_with, journal};
use super::lab::{Lab, World, to_here};

const ALICE: (&str, &str) = ("alice@acme.test", "RET=HDRS ENVID=order-7");

/// What `user` was told, oldest first, once nothing is left to do.
fn told(lab: &Lab, acme: &Site, user: &str) -> Vec<String> {
    acme.settled();
    lab.postfix.await_empty_queue(PATIENCE);
    lab.dovecot.mailbox(user).into_iter().map(|mail| String::from_utf8_lossy(&mail).into_owned()).collect()
}

fn assert_says(report: &str, lines: &[&str]) {
    for line in lines {
        assert!(report.contains(line), "{line:?} is missing:\n{report}");
    }
}

/// A stranger's server that also takes what its own reports say to alice.
fn lab(more: &str) -> Lab {
    let zones = [to_here(Zone::signed("open.test"), "open.test")];
    World::new().start(&zones, &["open.test", "acme.test"], more)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_offers_dsn_knows_what_was_asked_and_reports_in_our_place() {
    let lab = lab("");
    let mut acme = acme(&lab);
    acme.start();
    let bob = ("bob@open.test", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;team@acme.test");
    let id = submitted_asking(acme.smtp, ALICE, &[bob], &letter("1@acme.test", "hello"));
    lab.dovecot.await_mail("alice", 1, PATIENCE);
    let [report] = &told(&lab, &acme, "alice")[..] else { panic!("alice is told twice") };
    let words =
        ["Reporting-MTA: dns; mx.outside.test", "Original-Envelope-Id: order-7", "rfc822;team@acme.test"];
    assert_says(report, &words);
    assert!(journal(&acme, &id).contains("it reports what becomes of it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_offers_no_dsn_leaves_the_report_to_us() {
    let lab = lab("smtpd_discard_ehlo_keywords = dsn");
    let mut acme = acme(&lab);
    acme.start();
    let bob = ("bob@open.test", "NOTIFY=SUCCESS ORCPT=rfc822;team@acme.test");
    submitted_asking(acme.smtp, ALICE, &[bob], &letter("2@acme.test", "hello"));
    lab.dovecot.await_mail("alice", 1, PATIENCE);
    let [report] = &told(&lab, &acme, "alice")[..] else { panic!("alice is told twice") };
    let words =
        ["Action: relayed", "Original-Envelope-Id: order-7", "Original-Recipient: rfc822; team@acme.test"];
    assert_says(report, &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_reported_while_another_recipient_is_slow() {
    let access = "{nobody@open.test=550 5.1.1 no such user}, {slow@open.test=450 4.2.0 wait}";
    let lab =
        lab(&format!("smtpd_recipient_restrictions = check_recipient_access inline:{{{access}}}, permit"));
    let mut acme = acme(&lab);
    acme.start();
    let to = [("nobody@open.test", ""), ("slow@open.test", ""), ("bob@open.test", "NOTIFY=NEVER")];
    let id = submitted_asking(acme.smtp, ALICE, &to, &letter("3@acme.test", "hello"));
    lab.dovecot.await_mail("alice", 1, PATIENCE);
    assert_eq!(acme.trace(&id).expect("a trace")["messages"][0]["state"], "queued");
    eventually("slow was tried again", || {
        (journal(&acme, &id).matches("not now").count() >= 3).then_some(())
    });
    acme.obeyed(&["expire", &id, "--why", "enough"]);
    let reports = told(&lab, &acme, "alice");
    let [refused, given_up] = &reports[..] else { panic!("two reports: {reports:?}") };
    let server = ["Remote-MTA: dns; mx.open.test", "Diagnostic-Code: smtp; 550 5.1.1 "];
    assert_says(refused, &["Final-Recipient: rfc822; nobody@open.test", "Status: 5.1.1"]);
    assert_says(refused, &server);
    assert_says(given_up, &["Final-Recipient: rfc822; slow@open.test", "Status: 5.4.7"]);
    assert!(given_up.contains("x-local") && !given_up.contains("Remote-MTA"), "our own words: {given_up}");
    assert!(!refused.contains("slow@open.test") && !given_up.contains("nobody@open.test"));
    assert!(!given_up.contains("bob@open.test"));
}

/// A mail server of acme that does not know `gone`, and refuses some mails when it has seen them.
fn ours(lab: &Lab) -> Postfix {
    let config = PostfixConfig {
        domain: "acme.test".to_owned(),
        relayhost: SocketAddr::from(([127, 0, 0, 1], 9)),
        lmtp: Some(lab.dovecot.lmtp_port()),
    };
    let more = "smtpd_recipient_restrictions = check_recipient_access inline:{{gone@acme.test=550 5.1.1 gone}}, permit
header_checks = regexp:{{/^Subject: poison/ REJECT 5.7.1 not this one}}";
    Postfix::start_with(config, more)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_whose_mail_our_own_server_refuses_is_told_as_it_asked() {
    let zone = Zone::signed("initech.test").record("@", "TXT", "\"v=spf1 ip4:127.0.0.1 -all\"");
    let lab = World::new().start(&[to_here(zone, "initech.test")], &["initech.test"], "");
    let ours = ours(&lab);
    let mut acme = acme_with(&lab, &format!("smtp:127.0.0.1:{}", ours.port()));
    acme.set("verify_recipients", "false");
    let mx = acme.open_mx(lab.dns.address());
    acme.start();
    let write = |from: &str, to: &str, asked: &str, subject: &str| {
        let octets = format!("From: carol@initech.test\r\nSubject: {subject}\r\n\r\nhello\r\n");
        submitted_asking(mx, (from, "RET=HDRS ENVID=bill+207"), &[(to, asked)], octets.as_bytes())
    };
    let (carol, gone, bob) = ("carol@initech.test", "gone@acme.test", "bob@acme.test");
    // Refused at RCPT: told to who wants to hear it.
    write(carol, gone, "NOTIFY=FAILURE ORCPT=rfc822;info@acme.test", "one");
    for (from, asked) in [(carol, "NOTIFY=NEVER"), (carol, "NOTIFY=SUCCESS,DELAY"), ("", "NOTIFY=FAILURE")] {
        let quiet = write(from, gone, asked, "quiet");
        acme.await_state(&quiet, "failed");
    }
    // Refused after DATA; delivered.
    write(carol, bob, "", "poison");
    write(carol, bob, "NOTIFY=SUCCESS", "two");
    lab.dovecot.await_mail("carol", 3, PATIENCE);
    let mut reports = told(&lab, &acme, "carol");
    ours.await_empty_queue(PATIENCE);
    let mut the_one = |what: &str| {
        let at = reports.iter().position(|report| report.contains(what)).expect(what);
        reports.remove(at)
    };
    let envelope = "Original-Envelope-Id: bill 7";
    assert_says(
        &the_one("Final-Recipient: rfc822; gone@acme.test"),
        &[envelope, "Original-Recipient: rfc822; info@acme.test", "Status: 5.1.1", "Subject: one"],
    );
    assert_says(&the_one("Subject: poison"), &[envelope, "Action: failed", "Status: 5.7.1"]);
    assert_says(&the_one("Action: delivered"), &[envelope, "Subject: two"]);
    assert!(reports.is_empty(), "nobody is told twice: {reports:?}");
}
