//! What is away for a while: the partner, our mail server, the gateway itself. Mail waits and nothing is lost.

use tests::peers::{Dovecot, SmtpSink, free_port};
use tests::site::{TwoSites, eventually};
use tests::submit::{letter, submitted};

const NOWHERE: &str = "lmtp:127.0.0.1:9";

fn lmtp(dovecot: &Dovecot) -> String {
    format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port())
}

#[test]
fn mail_to_an_unreachable_partner_is_queued_not_bounced_and_goes_when_it_is_back() {
    let dovecot = Dovecot::start();
    let mut sites = TwoSites::found(NOWHERE, &lmtp(&dovecot));
    sites.acme.start();
    for n in 0..5 {
        submitted(
            sites.acme.smtp,
            "alice@acme.test",
            &["bob@globex.test"],
            &letter(&format!("wait-{n}@acme.test"), "Hello"),
        );
    }
    eventually("the courier has tried", || {
        let trace = sites.acme.trace("wait-0@acme.test")?;
        trace["messages"][0]["stages"]
            .as_array()?
            .iter()
            .any(|stage| stage["stage"] == "deferred")
            .then_some(())
    });
    assert_eq!(sites.acme.await_state("wait-0@acme.test", "queued")["partner_domain"], "globex.test");
    sites.globex.start();
    for n in 0..5 {
        sites.acme.await_state(&format!("wait-{n}@acme.test"), "delivered");
    }
    assert_eq!(dovecot.mailbox("bob").len(), 5);
    sites.settled();
}

#[test]
fn a_partner_that_leaves_in_between_gets_the_rest_after_its_return() {
    let dovecot = Dovecot::start();
    let mut sites = TwoSites::found(NOWHERE, &lmtp(&dovecot));
    sites.start();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter("before@acme.test", "one"));
    sites.settled();
    assert!(sites.globex.terminate().success(), "SIGTERM is an orderly end");
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter("during@acme.test", "two"));
    sites.globex.start();
    sites.acme.await_state("during@acme.test", "delivered");
    assert_eq!(dovecot.mailbox("bob").len(), 2);
    sites.settled();
}

#[test]
fn mail_waits_sealed_while_our_mail_server_is_away() {
    let port = free_port();
    let mut sites = TwoSites::found(NOWHERE, &format!("smtp:127.0.0.1:{port}"));
    sites.globex.set("queue.retry_delay_ms_max", "2000");
    sites.start();
    submitted(
        sites.acme.smtp,
        "alice@acme.test",
        &["bob@globex.test"],
        &letter("patient@acme.test", "Hello"),
    );
    let waiting = eventually("delivery has tried", || {
        let trace = sites.globex.trace("patient@acme.test")?["messages"][0].clone();
        trace["stages"].as_array()?.iter().any(|stage| stage["stage"] == "deferred").then_some(trace)
    });
    assert_eq!(waiting["state"], "queued");
    let sink = SmtpSink::start_on(port);
    sites.acme.await_state("patient@acme.test", "delivered");
    assert_eq!(sink.messages().len(), 1);
    sites.settled();
}

#[test]
fn a_restarted_gateway_goes_on_where_it_stopped() {
    let dovecot = Dovecot::start();
    let mut sites = TwoSites::found(NOWHERE, &lmtp(&dovecot));
    sites.acme.start();
    submitted(
        sites.acme.smtp,
        "alice@acme.test",
        &["bob@globex.test"],
        &letter("overnight@acme.test", "Hello"),
    );
    assert!(sites.acme.terminate().success());
    sites.acme.start();
    sites.globex.start();
    let trace = sites.acme.await_state("overnight@acme.test", "delivered");
    assert_eq!(trace["sender"], "alice@acme.test", "the summary opens after a restart");
    sites.settled();
}

#[test]
fn a_mail_that_nobody_takes_comes_back_as_a_report() {
    let (acme_mail, globex_mail) = (Dovecot::start(), SmtpSink::start_with(&["-f", "rcpt"]));
    let mut sites = TwoSites::found(&lmtp(&acme_mail), &format!("smtp:127.0.0.1:{}", globex_mail.port()));
    sites.start();
    let original = letter("unwanted@acme.test", "A secret that no report may repeat");
    submitted(sites.acme.smtp, "alice@acme.test", &["nobody@globex.test"], &original);
    let trace = sites.acme.await_state("unwanted@acme.test", "failed");
    assert!(
        trace["stages"].as_array().expect("stages").iter().any(|stage| stage["stage"] == "reported"),
        "{trace}"
    );
    let reports = eventually("alice has the report", || {
        let mails = acme_mail.mailbox("alice");
        (!mails.is_empty()).then_some(mails)
    });
    let report = String::from_utf8_lossy(&reports[0]).into_owned();
    for part in [
        "Return-Path: <>",
        "multipart/report",
        "message/delivery-status",
        "Action: failed",
        "nobody@globex.test",
        "Message-ID: <unwanted@acme.test>",
    ] {
        assert!(report.contains(part), "the report says {part:?}:\n{report}");
    }
    assert!(!report.contains("A secret"), "{report}");
    sites.settled();
}

#[test]
fn what_waits_too_long_expires_and_is_reported() {
    let acme_mail = Dovecot::start();
    let mut sites = TwoSites::found(&lmtp(&acme_mail), NOWHERE);
    sites.acme.start();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter("late@acme.test", "Hello"));
    sites.acme.await_state("late@acme.test", "queued");
    assert!(sites.acme.terminate().success());
    // Four days later by the clock of the gateway; its timers run on (FAKETIME leaves the monotonic clock alone).
    sites.acme.start_under(&["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", "+4d"]);
    sites.acme.await_ready();
    sites.acme.await_state("late@acme.test", "expired");
    let reports = eventually("alice has the report", || {
        let mails = acme_mail.mailbox("alice");
        (!mails.is_empty()).then_some(mails)
    });
    assert!(String::from_utf8_lossy(&reports[0]).contains("Status: 5.4.7"));
    sites.acme.settled();
}

#[test]
fn a_mail_to_more_people_than_one_seal_may_name_reaches_them_all() {
    let globex_mail = SmtpSink::start();
    let mut sites = TwoSites::found(NOWHERE, &format!("smtp:127.0.0.1:{}", globex_mail.port()));
    sites.acme.set("recipients_max", "2000");
    sites.start();
    let everybody: Vec<String> = (0..1_500).map(|n| format!("person-{n}@globex.test")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let octets = letter("everybody@acme.test", "Hello all");
    let queue_id = submitted(sites.acme.smtp, "alice@acme.test", &everybody, &octets);
    sites.settled();
    let rows = sites.acme.trace(&queue_id).expect("a trace")["messages"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 2, "1,000 and 500");
    assert!(rows.iter().all(|row| row["state"] == "delivered"), "{rows:?}");
    assert_eq!(globex_mail.messages().len(), 2);
}
