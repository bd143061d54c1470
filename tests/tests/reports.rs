//! What senders and recipients are told about a mail: delivered, late, and how it was protected.

use tests::peers::{Dovecot, Postfix, PostfixConfig};
use tests::site::{PATIENCE, Site, TwoSites, eventually, loopback};
use tests::submit::{letter, submitted, submitted_asking};

/// Alice's and bob's mail servers, and their gateways.
struct House {
    sites: TwoSites,
    alice: Dovecot,
    bob: Dovecot,
}

impl House {
    fn found() -> House {
        let (alice, bob) = (Dovecot::start(), Dovecot::start());
        let lmtp = |dovecot: &Dovecot| format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port());
        let sites = TwoSites::found(&lmtp(&alice), &lmtp(&bob));
        House { sites, alice, bob }
    }

    /// The one mail in alice's mailbox.
    fn told_to_alice(&self) -> String {
        let mail = eventually("alice is told", || self.alice.mailbox("alice").into_iter().next());
        String::from_utf8(mail).expect("a report is text")
    }
}

/// Alice writes to bob with these parameters of `MAIL FROM` and `RCPT TO`; the queue id.
fn submitted_with(acme: &Site, mail: &str, rcpt: &str, octets: &[u8]) -> String {
    submitted_asking(acme.smtp, ("alice@acme.test", mail), &[("bob@globex.test", rcpt)], octets)
}

#[test]
fn a_sender_who_asks_is_told_that_the_recipient_has_it() {
    let mut house = House::found();
    house.sites.start();
    let asked = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;the+20team@acme.test";
    submitted_with(
        &house.sites.acme,
        "RET=HDRS ENVID=order+2B7",
        asked,
        &letter("asked@acme.test", "secret words"),
    );
    let report = house.told_to_alice();
    for line in [
        "Subject: Your message was delivered\r\n",
        "Original-Envelope-Id: order+7\r\n",
        "Original-Recipient: rfc822; the team@acme.test\r\n",
        "Final-Recipient: rfc822; bob@globex.test\r\n",
        "Action: delivered\r\n",
        "Message-ID: <asked@acme.test>\r\n",
    ] {
        assert!(report.contains(line), "{line:?} is missing:\n{report}");
    }
    assert!(!report.contains("secret words"));
    house.sites.settled();
}

#[test]
fn a_sender_who_does_not_ask_hears_nothing_of_a_delivery() {
    let mut house = House::found();
    house.sites.start();
    let quiet = submitted(
        house.sites.acme.smtp,
        "alice@acme.test",
        &["bob@globex.test"],
        &letter("quiet@acme.test", "hello"),
    );
    house.sites.acme.await_state(&quiet, "delivered");
    house.sites.settled();
    assert!(house.alice.mailbox("alice").is_empty());
}

#[test]
fn a_sender_hears_of_a_refused_recipient_while_the_partner_still_tries_another() {
    let alice = Dovecot::start();
    let access = "{nobody@globex.test=550 5.1.1 no such user}, {slow@globex.test=450 4.2.0 wait}";
    let bobs = Postfix::start_with(
        PostfixConfig {
            domain: "globex.test".to_owned(),
            relayhost: loopback(9),
            lmtp: Some(alice.lmtp_port()),
        },
        &format!("smtpd_recipient_restrictions = check_recipient_access inline:{{{access}}}, permit"),
    );
    let deliver =
        [format!("lmtp:127.0.0.1:{}", alice.lmtp_port()), format!("smtp:127.0.0.1:{}", bobs.port())];
    let mut sites = TwoSites::found(&deliver[0], &deliver[1]);
    sites.start();
    let to = [("nobody@globex.test", ""), ("slow@globex.test", ""), ("bob@globex.test", "")];
    let octets = letter("partly@acme.test", "hello");
    let id = submitted_asking(sites.acme.smtp, ("alice@acme.test", ""), &to, &octets);
    alice.await_mail("alice", 1, PATIENCE);
    let trace = sites.acme.trace(&id).expect("a trace");
    assert_eq!(trace["messages"][0]["state"], "sent");
    assert!(trace.to_string().contains("1 recipient refused, others still wait"), "{trace}");

    // The partner's administrator gives up on the other: alice hears of that one only.
    sites.globex.obeyed(&["expire", "--kind", "mail", "--why", "enough"]);
    sites.acme.await_state(&id, "failed");
    sites.settled();
    let reports: Vec<String> = alice.await_mail("alice", 2, PATIENCE).into_iter().map(text).collect();
    let of = |recipient: &str| reports.iter().filter(|report| report.contains(recipient)).count();
    let [nobody, slow, bob] = ["nobody@globex.test", "slow@globex.test", "bob@globex.test"]
        .map(|recipient| of(&format!("Final-Recipient: rfc822; {recipient}")));
    assert_eq!((nobody, slow, bob, reports.len()), (1, 1, 0, 2), "{reports:?}");
}

fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).expect("a report is text")
}

#[test]
fn a_sender_hears_once_that_a_mail_is_late() {
    let mut house = House::found();
    house.sites.acme.start();
    let late = submitted(
        house.sites.acme.smtp,
        "alice@acme.test",
        &["bob@globex.test"],
        &letter("late@acme.test", "hello"),
    );
    let waived = submitted_with(&house.sites.acme, "", "NOTIFY=NEVER", &letter("waived@acme.test", "hello"));
    assert!(house.sites.acme.terminate().success());
    five_hours_pass(&house.sites.acme);
    // Housekeeping looks at the start, and every minute: the second start must not tell again.
    for _ in 0..2 {
        house.sites.acme.start();
        for mail in [&late, &waived] {
            eventually("the journal knows", || {
                house.sites.acme.trace(mail)?.to_string().contains("\"late\"").then_some(())
            });
        }
        assert!(house.sites.acme.terminate().success());
    }
    house.sites.start();
    house.sites.acme.await_state(&late, "delivered");
    house.sites.settled();
    let report = house.told_to_alice();
    assert!(
        report.contains("Subject: Your message is delayed\r\n") && report.contains("Action: delayed\r\n"),
        "{report}"
    );
    assert_eq!((house.alice.mailbox("alice").len(), house.bob.mailbox("bob").len()), (1, 2));
}

fn five_hours_pass(site: &Site) {
    let database = rusqlite::Connection::open(site.data().join("gateway.db")).expect("a database");
    database
        .execute_batch("UPDATE rows SET accepted_at = accepted_at - 5 * 3600 * 1000")
        .expect("a database");
}

#[test]
fn only_our_own_word_about_protection_reaches_the_mailbox() {
    let mut house = House::found();
    // Not the host's: what is written under this name is believed.
    house.sites.globex.set("authserv_id", "mail.globex.test");
    house.sites.start();
    let forged = b"X-DCCP-Status: sealed; suite=0x0001; partner=bank.test; verified\r\n\
        Authentication-Results: mail.globex.test; dmarc=pass header.from=bank.test\r\n";
    let octets = [forged.as_slice(), &letter("forged@acme.test", "hello")].concat();
    submitted(house.sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &octets);
    house.sites.settled();
    let mail = String::from_utf8(house.bob.mailbox("bob").remove(0)).expect("text");
    assert_eq!(mail.matches("X-DCCP-Status:").count(), 1, "{mail}");
    assert!(
        mail.contains("X-DCCP-Status: sealed; suite=0x0001; key=")
            && mail.contains("partner=acme.test; verified\r\n"),
        "{mail}"
    );
    assert!(!mail.contains("bank.test"), "{mail}");
}
