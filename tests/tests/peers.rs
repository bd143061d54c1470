//! The peers work as the scenarios suppose, with no gateway involved.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tests::peers::{
    Dovecot, Postfix, PostfixConfig, SmtpSink, await_within,
    clients::{self, Letter, Sent},
    smtp_source,
};
use tests::site::PATIENCE;

const LETTER: Letter<'_> = Letter {
    from: "alice@acme.test",
    to: "bob@globex.test",
    subject: "Plan for Monday",
    body: "Hello Bob,\n.a line that starts with a dot\nGrüße\n",
    attachment: None,
};

type Client = fn(u16, &Letter<'_>) -> Sent;

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Globex: Postfix that delivers to Dovecot, and relays everything else to `relayhost`.
fn globex(dovecot: &Dovecot, relayhost: u16) -> Postfix {
    let lmtp = Some(dovecot.lmtp_port());
    Postfix::start(PostfixConfig { domain: "globex.test".into(), relayhost: loopback(relayhost), lmtp })
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn a_letter_goes_through_postfix_into_dovecot_and_is_read_by_imap() {
    let dovecot = Dovecot::start();
    let postfix = globex(&dovecot, 9);
    clients::swaks(postfix.port(), &LETTER).expect_accepted();
    let kept = dovecot.await_mail("bob", 1, PATIENCE);
    assert_eq!(dovecot.imap_fetch_all("bob@globex.test"), kept);
    let mail = text(&kept[0]);
    assert!(
        mail.contains("Subject: Plan for Monday\r\n")
            && mail.contains("\r\n.a line that starts with a dot\r\n"),
        "{mail}"
    );
    postfix.await_empty_queue(PATIENCE);
    assert!(dovecot.imap_fetch_all("carol").is_empty());
}

#[test]
fn every_client_sends_text_and_attachments() {
    let dovecot = Dovecot::start();
    let postfix = globex(&dovecot, 9);
    let all: [(&str, Client); 4] = [
        ("swaks", clients::swaks),
        ("s-nail", clients::s_nail),
        ("neomutt", clients::neomutt),
        ("msmtp", clients::msmtp),
    ];
    let octets: Vec<u8> = (0..=255).cycle().take(3_000).collect();
    for (name, send) in all {
        let to = format!("{name}@globex.test");
        send(postfix.port(), &Letter { to: &to, ..LETTER }).expect_accepted();
        let plain = text(&dovecot.await_mail(name, 1, PATIENCE)[0]);
        assert!(plain.contains("Return-Path: <alice@acme.test>"), "{name}: {plain}");
        assert!(
            plain.contains("Subject: Plan for Monday\r\n") && plain.contains("Hello Bob,"),
            "{name}: {plain}"
        );

        send(postfix.port(), &Letter { to: &to, attachment: Some(("plan.bin", &octets)), ..LETTER })
            .expect_accepted();
        let attached = text(&dovecot.await_mail(name, 2, PATIENCE)[1]);
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygp";
        assert!(attached.contains("plan.bin") && attached.contains(base64), "{name}: {attached}");
    }
}

#[test]
fn a_refusal_is_told_by_every_client_in_the_words_of_the_server() {
    let sink = SmtpSink::start_with(&["-f", "RCPT", "-B", "550 5.1.1 nobody of that name"]);
    for send in [clients::swaks, clients::s_nail, clients::neomutt, clients::msmtp] {
        let sent = send(sink.port(), &LETTER);
        assert!(!sent.accepted && sent.transcript.contains("5.1.1 nobody of that name"), "{sent:?}");
    }
}

#[test]
fn postfix_relays_foreign_mail_and_keeps_it_while_the_relay_is_down() {
    let dovecot = Dovecot::start();
    let down = tests::peers::free_port();
    let postfix = globex(&dovecot, down);
    let foreign = Letter { from: "bob@globex.test", to: "alice@acme.test", ..LETTER };
    clients::swaks(postfix.port(), &foreign).expect_accepted();
    // While a mail moves from one queue to the next, it may be listed twice or not at all.
    let waits = || await_within(PATIENCE, "the mail waits", || (postfix.queue_length() == 1).then_some(()));
    waits();
    postfix.flush();

    let sink = SmtpSink::start();
    let relayed = globex(&dovecot, sink.port());
    clients::swaks(relayed.port(), &foreign).expect_accepted();
    let mail = text(&sink.await_messages(1, PATIENCE)[0]);
    assert!(mail.contains("alice@acme.test") && mail.contains("Subject: Plan for Monday"), "{mail}");
    relayed.await_empty_queue(PATIENCE);
    waits();
}

#[test]
fn lmtp_keeps_the_octets_and_tells_each_recipient_apart() {
    let dovecot = Dovecot::start();
    let octets = "Subject: exact\r\n\r\n.dot\r\n\r\nspaces at the end   \r\nGrüße\r\n";
    let reply = lmtp_session(dovecot.lmtp_port(), &["bob@globex.test", "carol@globex.test"], octets);
    assert_eq!(reply.matches("250 2.0.0").count(), 2, "{reply}");
    for user in ["bob", "carol"] {
        let mail = dovecot.await_mail(user, 1, PATIENCE).remove(0);
        assert!(mail.ends_with(octets.as_bytes()), "{}", text(&mail));
    }
}

/// The replies to the final dot.
fn lmtp_session(port: u16, recipients: &[&str], octets: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(loopback(port)).unwrap();
    let rcpt: String = recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>\r\n")).collect();
    let stuffed = octets.replace("\r\n.", "\r\n..");
    write!(stream, "LHLO x\r\nMAIL FROM:<a@acme.test> BODY=8BITMIME\r\n{rcpt}DATA\r\n{stuffed}.\r\nQUIT\r\n")
        .unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    replies.split_once("354 ").unwrap().1.to_owned()
}

#[test]
fn smtp_source_loads_a_sink_and_tells_how_long_it_took() {
    let sink = SmtpSink::start();
    let took = smtp_source(loopback(sink.port()), ("a@acme.test", "b@globex.test"), (200, 1_000, 10));
    assert!(took > Duration::ZERO && took < PATIENCE);
    assert_eq!(sink.await_messages(200, PATIENCE).len(), 200);
}

#[test]
fn dropped_peers_leave_no_process_behind() {
    let dovecot = Dovecot::start();
    let postfix = globex(&dovecot, 9);
    let sink = SmtpSink::start();
    let ports = [dovecot.imap_port(), dovecot.lmtp_port(), postfix.port(), sink.port()];
    drop((dovecot, postfix, sink));
    for port in ports {
        // Who is killed lets go of its port a moment later.
        await_within(PATIENCE, &format!("nobody listens on {port}"), || {
            std::net::TcpListener::bind(loopback(port)).ok()
        });
    }
}
