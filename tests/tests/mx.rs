//! The outside world at our door: mail for our own people comes in and is told apart from forgeries; nothing goes through.
//!
//! ```text
//! carol@initech.test ─► mx of acme ─► Dovecot          NSD: SPF, DMARC of initech, hooli, umbrella
//! ```

use tests::peers::{Dns, Dovecot, Judges, SmtpSink, Zone};
use tests::site::{PATIENCE, Site, eventually, loopback};
use tests::submit::{Talk, submit, without_trace};

/// Acme, its mailboxes, and the names of the world.
struct House {
    site: Site,
    mx: std::net::SocketAddr,
    mailboxes: Dovecot,
    dns: Dns,
}

impl House {
    fn open() -> Self {
        let mailboxes = Dovecot::start();
        let site = Site::found("acme.test", &format!("lmtp:127.0.0.1:{}", mailboxes.lmtp_port()));
        let dns = Dns::start(&[
            site.zone_with_signing_keys(),
            Zone::signed("initech.test").record("@", "TXT", "\"v=spf1 ip4:127.0.0.1 -all\"").record(
                "_dmarc",
                "TXT",
                "\"v=DMARC1; p=reject\"",
            ),
            Zone::signed("hooli.test").record("@", "TXT", "\"v=spf1 -all\"").record(
                "_dmarc",
                "TXT",
                "\"v=DMARC1; p=reject\"",
            ),
            Zone::signed("umbrella.test").record("@", "TXT", "\"v=spf1 -all\"").record(
                "_dmarc",
                "TXT",
                "\"v=DMARC1; p=quarantine\"",
            ),
            Zone::unsigned("nothing.test"),
        ]);
        let mx = site.open_mx(dns.address());
        let mut house = Self { site, mx, mailboxes, dns };
        house.site.start();
        house
    }
}

fn letter_from(from: &str, more: &str) -> Vec<u8> {
    format!("{more}From: {from}\r\nTo: bob@acme.test\r\nSubject: Hello\r\n\r\n.dots, ü and\r\n no end")
        .into_bytes()
}

/// The reply to one recipient, for the sender `from`.
fn rcpt(mx: std::net::SocketAddr, from: &str, to: &str) -> String {
    let mut talk = Talk::to(mx);
    let reply = talk.say(&format!("MAIL FROM:<{from}>"));
    if reply.starts_with("250") { talk.say(&format!("RCPT TO:{to}")) } else { reply }
}

#[test]
fn mail_for_our_people_arrives_octet_for_octet_behind_what_was_found_out() {
    let house = House::open();
    let mut octets = letter_from("carol@initech.test", "");
    let reply = submit(house.mx, "carol@initech.test", &["bob@acme.test"], &octets);
    assert!(reply.starts_with("250 "), "{reply}");
    let mails = house.mailboxes.await_mail("bob", 1, PATIENCE);
    octets.extend_from_slice(b"\r\n"); // SMTP has no message without an end of its last line
    assert_eq!(String::from_utf8_lossy(without_trace(&mails[0])), String::from_utf8_lossy(&octets));
    let mail = String::from_utf8_lossy(&mails[0]).into_owned();
    assert!(mail.contains("Return-Path: <carol@initech.test>"), "{mail}");
    assert!(mail.contains("Authentication-Results: gateway.acme.test"), "{mail}");
    assert!(mail.contains("spf=pass") && mail.contains("dmarc=pass"), "{mail}");
    house.site.settled();
}

#[test]
fn what_we_found_is_sealed_for_whoever_stands_behind_us() {
    let house = House::open();
    // Until DNS was seen to show the key, nothing is sealed.
    eventually("the key signs", || {
        let listed = house.site.command(&["dkim", "list"]);
        String::from_utf8_lossy(&listed.stdout).contains("signs").then_some(())
    });
    let octets = letter_from("carol@initech.test", "");
    let reply = submit(house.mx, "carol@initech.test", &["bob@acme.test"], &octets);
    assert!(reply.starts_with("250 "), "{reply}");
    let mail = house.mailboxes.await_mail("bob", 1, PATIENCE).remove(0);
    assert_eq!(
        without_trace(&mail),
        [octets.as_slice(), b"\r\n"].concat(),
        "the seal stands before the octets"
    );
    let words = String::from_utf8_lossy(&mail).into_owned();
    assert!(words.contains("ARC-Authentication-Results: i=1; gateway.acme.test"), "{words}");
    assert!(words.contains("cv=none") && words.contains("d=acme.test"), "{words}");
    let judged = Judges::new(house.dns.address()).arc(&mail);
    assert!(judged.starts_with("pass 1"), "{judged}\n{words}");
    house.site.settled();
}

#[test]
fn the_door_for_the_world_relays_nothing_for_nobody() {
    let house = House::open();
    let strangers = [
        "<victim@outside.test>",
        "<victim@globex.test>",
        "<@acme.test:victim@outside.test>",
        "<victim@sub.acme.test>",
        "<victim@acme.test.outside.test>",
        "<victim@[127.0.0.1]>",
        "<\"victim@outside.test\"@outside.test>",
        "<victim@outside.test@outside.test>",
        "victim@outside.test",
        "<victim>",
    ];
    for from in ["carol@initech.test", "", "alice@acme.test", "postmaster@localhost"] {
        for to in strangers {
            let reply = rcpt(house.mx, from, to);
            assert!(reply.starts_with('5'), "{from} to {to}: {reply}");
        }
    }
    assert!(rcpt(house.mx, "carol@initech.test", "<victim@outside.test>").starts_with("550 5.7.1"));
    assert!(rcpt(house.mx, "carol@initech.test", "<bob@acme.test>").starts_with("250"));
}

#[test]
fn a_forged_sender_is_refused_or_held_as_its_domain_asks() {
    let mut house = House::open();
    house.site.may_leave_mail();
    let signature =
        "DKIM-Signature: v=1; a=rsa-sha256; d=hooli.test; s=none; h=from:subject; bh=AAAA; b=AAAA\r\n";
    for more in ["", signature] {
        let octets = letter_from("ceo@hooli.test", more);
        let reply = submit(house.mx, "ceo@hooli.test", &["bob@acme.test"], &octets);
        assert!(reply.starts_with("550 5.7.26"), "{reply}");
    }
    // Who passes SPF for another domain has proved nothing about the one that people see.
    let octets = letter_from("ceo@hooli.test", "");
    let reply = submit(house.mx, "carol@initech.test", &["bob@acme.test"], &octets);
    assert!(reply.starts_with("550 5.7.26"), "{reply}");

    // Nor has who names an honest author beside the forged one.
    for more in ["From: carol@initech.test\r\n", "From: carol@initech.test, ceo@hooli.test\r\n"] {
        let octets = letter_from("ceo@hooli.test", more);
        let reply = submit(house.mx, "carol@initech.test", &["bob@acme.test"], &octets);
        assert!(reply.starts_with("550 5.7.26"), "{more}: {reply}");
    }

    let octets = letter_from("ceo@umbrella.test", "");
    let reply = submit(house.mx, "ceo@umbrella.test", &["bob@acme.test"], &octets);
    let queue_id = reply.strip_prefix("250 ").and_then(|text| text.rsplit(' ').next()).expect("a queue id");
    house.site.await_state(queue_id, "held");
    assert!(house.mailboxes.mailbox("bob").is_empty());
}

#[test]
fn what_only_we_may_say_does_not_come_in_from_outside() {
    let house = House::open();
    let claims = "Authentication-Results: gateway.acme.test; dkim=pass header.d=bank.test\r\n\
                  X-DCCP-Status: sealed; partner=bank.test; verified\r\n\
                  Authentication-Results: mx.initech.test; spf=pass\r\n";
    let octets = letter_from("carol@initech.test", claims);
    let reply = submit(house.mx, "carol@initech.test", &["bob@acme.test"], &octets);
    assert!(reply.starts_with("250 "), "{reply}");
    let mail = String::from_utf8_lossy(&house.mailboxes.await_mail("bob", 1, PATIENCE)[0]).into_owned();
    assert!(!mail.contains("bank.test"), "{mail}");
    assert!(
        mail.contains("Authentication-Results: mx.initech.test"),
        "another's claim is not ours to judge:\n{mail}"
    );
    house.site.settled();
}

#[test]
fn mail_waits_outside_while_our_mail_server_or_dns_does_not_answer() {
    let silent = loopback(tests::peers::free_port());
    let mut site = Site::found("acme.test", &format!("lmtp:{silent}"));
    let mx = site.open_mx(silent);
    site.start();
    let reply = rcpt(mx, "carol@initech.test", "<bob@acme.test>");
    assert!(reply.starts_with("451 4.4.1"), "a recipient that nobody can be asked about: {reply}");

    drop(site);
    let mut site = Site::found("acme.test", &format!("lmtp:{silent}"));
    site.set("verify_recipients", "false");
    let mx = site.open_mx(silent);
    site.start();
    let octets = letter_from("carol@initech.test", "");
    let reply = submit(mx, "carol@initech.test", &["bob@acme.test"], &octets);
    assert!(reply.starts_with("451 4.7.24") || reply.starts_with("451 4.4.3"), "{reply}");
    assert_eq!(site.unsettled(), 0);
}

#[test]
fn a_mail_to_an_alias_for_more_people_than_one_mail_may_name_reaches_everybody() {
    const MEMBERS: usize = 1_500;
    let sink = SmtpSink::start();
    let mut site = Site::found("acme.test", &format!("smtp:127.0.0.1:{}", sink.port()));
    let dns = Dns::start(&[Zone::signed("initech.test").record("@", "TXT", "\"v=spf1 ip4:127.0.0.1 -all\"")]);
    let mx = site.open_mx(dns.address());
    site.set("aliases", "aliases.yaml");
    let members: Vec<String> = (0..MEMBERS).map(|number| format!("p{number}@acme.test")).collect();
    let file = format!("everybody@acme.test: [{}]\n", members.join(", "));
    std::fs::write(site.folder().join("aliases.yaml"), file).expect("a file of aliases");
    site.start();
    let reply =
        submit(mx, "carol@initech.test", &["everybody@acme.test"], &letter_from("carol@initech.test", ""));
    assert!(reply.starts_with("250 "), "{reply}");
    site.settled();
    let reached: usize = sink
        .messages()
        .iter()
        .map(|octets| String::from_utf8_lossy(octets).matches("X-Rcpt-Args: ").count())
        .sum();
    assert_eq!(reached, MEMBERS);
}
