//! The whole road with software that nobody here wrote: a mail client, a mail server, two gateways, a mail server, and
//! an IMAP mailbox at the end.
//!
//! ```text
//! swaks | s-nail | neomutt | msmtp ─► Postfix ─► gateway ═ overlay ═ gateway ─► [Postfix ─►] Dovecot ─► IMAP
//! ```

use serde_json::Value;
use tests::peers::clients::{self, Letter, Sent};
use tests::peers::{Dovecot, Postfix, PostfixConfig, read_mail};
use tests::site::{PATIENCE, Site, eventually};
use tests::submit::{Talk, letter};

type Client = fn(u16, &Letter<'_>) -> Sent;

const CLIENTS: [(&str, Client); 4] = [
    ("swaks", clients::swaks),
    ("s-nail", clients::s_nail),
    ("neomutt", clients::neomutt),
    ("msmtp", clients::msmtp),
];

/// Dots, umlauts, three scripts, a long line.
const BODY: &str = "Lieber Bob,\n.ein Punkt am Anfang\n\nschöne Grüße, 你好, мир — ✓\n\
    A long line: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";

const LETTER: Letter<'_> = Letter {
    from: "alice@acme.test",
    to: "bob@globex.test",
    subject: "Grüße an 你好 — Plan für Montag",
    body: BODY,
    attachment: None,
};

/// An organisation as it is in life: gateway, mail server, mailboxes.
struct Organisation {
    site: Site,
    postfix: Postfix,
    dovecot: Dovecot,
}

/// How a gateway hands mail over.
#[derive(Clone, Copy)]
enum Delivery {
    /// To Dovecot.
    Lmtp,
    /// To Postfix, which passes it to Dovecot.
    Smtp,
}

impl Organisation {
    fn found(domain: &'static str, delivery: Delivery) -> Self {
        let dovecot = Dovecot::start();
        let site = Site::found(domain, &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
        let (relayhost, lmtp) = (site.smtp, Some(dovecot.lmtp_port()));
        let postfix = Postfix::start(PostfixConfig { domain: domain.to_owned(), relayhost, lmtp });
        if matches!(delivery, Delivery::Smtp) {
            site.set("protocol", "smtp");
            site.set("delivery.address", &format!("\"127.0.0.1:{}\"", postfix.port()));
        }
        Self { site, postfix, dovecot }
    }

    /// What IMAP gives of a mailbox, once it holds `count` mails.
    fn read(&self, user: &str, count: usize) -> Vec<Mail> {
        self.dovecot.await_mail(user, count, PATIENCE);
        let mails = self.dovecot.imap_fetch_all(&format!("{user}@{}", self.site.domain));
        assert_eq!(mails.len(), count, "mails of {user}");
        mails.iter().map(|octets| Mail::parse(octets)).collect()
    }

    fn settled(&self) {
        self.postfix.await_empty_queue(PATIENCE);
        self.site.settled();
    }
}

/// Acme and globex, who know each other, up and connected.
fn two_organisations(acme: Delivery, globex: Delivery) -> (Organisation, Organisation) {
    let (mut acme, mut globex) =
        (Organisation::found("acme.test", acme), Organisation::found("globex.test", globex));
    acme.site.introduce(&globex.site);
    globex.site.introduce(&acme.site);
    acme.site.start();
    globex.site.start();
    acme.site.await_links();
    globex.site.await_links();
    (acme, globex)
}

/// A mail as somebody else's software understands it.
struct Mail(Value);

impl Mail {
    fn parse(octets: &[u8]) -> Self {
        Self(read_mail(octets))
    }

    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("{field} in {}", self.0))
    }

    #[track_caller]
    fn is_the_letter(&self, client: &str, letter: &Letter<'_>) {
        assert_eq!(self.text("subject"), letter.subject, "subject by {client}");
        assert_eq!(self.text("body").trim_end(), letter.body.trim_end(), "body by {client}");
        assert!(self.text("return_path").contains(letter.from), "{client}: {}", self.0);
        assert_eq!(self.0["defects"], serde_json::json!([]), "{client}");
        let files = self.0["files"].as_object().expect("files");
        assert_eq!(files.len(), usize::from(letter.attachment.is_some()), "attachments by {client}");
        if let Some((name, octets)) = letter.attachment {
            let file =
                files.get(name).unwrap_or_else(|| panic!("{client} attached {name}: {:?}", files.keys()));
            assert!(file.as_str() == Some(&base64(octets)), "{client} attached other octets than arrived");
        }
    }
}

fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sixbit = |group: u32, at: usize| char::from(ALPHABET[(group >> (18 - 6 * at)) as usize & 63]);
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let group = (0..3).fold(0, |group, at| group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        (0..4).for_each(|at| text.push(if at <= chunk.len() { sixbit(group, at) } else { '=' }));
    }
    text
}

/// Every client sends one letter without and one with an attachment to `port`; both are read in globex's mailboxes.
fn every_client_is_understood(port: u16, globex: &Organisation) {
    let octets: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (name, send) in CLIENTS {
        let to = format!("{name}@globex.test");
        let plain = Letter { to: &to, ..LETTER };
        send(port, &plain).expect_accepted();
        globex.read(name, 1)[0].is_the_letter(name, &plain);
        let attached = Letter { attachment: Some(("plan.bin", &octets)), ..plain };
        send(port, &attached).expect_accepted();
        globex.read(name, 2)[1].is_the_letter(name, &attached);
    }
}

#[test]
fn every_client_reaches_a_mailbox_through_postfix_two_gateways_and_dovecot() {
    let (acme, globex) = two_organisations(Delivery::Lmtp, Delivery::Lmtp);
    every_client_is_understood(acme.postfix.port(), &globex);
    acme.settled();
    globex.settled();
}

#[test]
fn every_client_may_speak_to_the_gateway_itself() {
    let (acme, globex) = two_organisations(Delivery::Lmtp, Delivery::Lmtp);
    every_client_is_understood(acme.site.smtp.port(), &globex);
    acme.settled();
    globex.settled();
}

#[test]
fn every_client_reaches_a_mailbox_behind_another_postfix() {
    let (acme, globex) = two_organisations(Delivery::Smtp, Delivery::Smtp);
    every_client_is_understood(acme.postfix.port(), &globex);
    acme.settled();
    globex.settled();
}

#[test]
fn an_answer_travels_back() {
    let (acme, globex) = two_organisations(Delivery::Smtp, Delivery::Lmtp);
    clients::neomutt(acme.postfix.port(), &LETTER).expect_accepted();
    let arrived = &globex.read("bob", 1)[0];
    let answer = format!(
        "From: Bob <bob@globex.test>\r\nTo: {}\r\nSubject: Re: Monday\r\nMessage-ID: <answer@globex.test>\r\n\
         In-Reply-To: {}\r\n\r\nMonday is fine.\r\n",
        arrived.text("from"),
        arrived.text("message_id")
    );
    let mut talk = Talk::to(([127, 0, 0, 1], globex.postfix.port()).into());
    let reply = talk.mail("bob@globex.test", &["alice@acme.test"], answer.as_bytes());
    assert!(reply.starts_with("250"), "{reply}");
    let back = &acme.read("alice", 1)[0];
    assert_eq!((back.text("body").trim_end(), back.text("subject")), ("Monday is fine.", "Re: Monday"));
    assert_eq!(back.text("in_reply_to"), arrived.text("message_id"));
    for site in [&acme.site, &globex.site] {
        assert!(site.trace("answer@globex.test").is_some(), "{} has traced the answer", site.domain);
    }
    acme.settled();
    globex.settled();
}

/// Acme with two partners: globex (Dovecot) and initech (Postfix).
fn three_organisations() -> [Organisation; 3] {
    let (acme, globex) = two_organisations(Delivery::Lmtp, Delivery::Lmtp);
    let mut initech = Organisation::found("initech.test", Delivery::Smtp);
    initech.site.introduce(&acme.site);
    acme.site.introduce(&initech.site);
    initech.site.start();
    initech.site.await_links();
    acme.site.await_links();
    [acme, globex, initech]
}

#[test]
fn a_mail_to_two_partners_reaches_both_and_a_refused_recipient_is_told_by_the_mail_server() {
    let [acme, globex, initech] = three_organisations();
    let to = "bob@globex.test,carol@globex.test,peter@initech.test,eve@nowhere.test";
    clients::swaks(acme.postfix.port(), &Letter { to, ..LETTER }).expect_accepted();
    for (organisation, user) in [(&globex, "bob"), (&globex, "carol"), (&initech, "peter")] {
        organisation.read(user, 1)[0].is_the_letter("swaks", &LETTER);
    }
    // The gateway refused eve at RCPT; Postfix, which had accepted her, tells alice in the gateway's words.
    let bounce = acme.dovecot.await_mail("alice", 1, PATIENCE).remove(0);
    let bounce = String::from_utf8_lossy(&bounce).into_owned();
    assert!(bounce.contains("eve@nowhere.test") && bounce.contains("no-gateway-known"), "{bounce}");
    assert!(!bounce.contains("peter@initech.test: "), "only eve failed:\n{bounce}");
    for organisation in [&acme, &globex, &initech] {
        organisation.settled();
    }
}

#[test]
fn the_gateway_refuses_one_recipient_and_takes_the_mail_for_the_others() {
    let [acme, globex, initech] = three_organisations();
    let mut talk = Talk::to(acme.site.smtp);
    assert!(talk.say("MAIL FROM:<alice@acme.test>").starts_with("250"));
    for (recipient, code) in
        [("bob@globex.test", "250"), ("eve@nowhere.test", "550 5.7.1"), ("peter@initech.test", "250")]
    {
        let reply = talk.say(&format!("RCPT TO:<{recipient}>"));
        assert!(reply.starts_with(code), "{recipient}: {reply}");
    }
    assert!(talk.say("DATA").starts_with("354"));
    talk.send(&[letter("three@acme.test", "Hello").as_slice(), b".\r\n"].concat());
    let reply = talk.reply();
    let queue_id = reply.rsplit(' ').next().expect("a queue id");
    assert!(reply.starts_with("250 "), "{reply}");
    for (organisation, user) in [(&globex, "bob"), (&initech, "peter")] {
        assert_eq!(organisation.read(user, 1)[0].text("body").trim_end(), "Hello");
    }
    let traces = eventually("both destinations have confirmed", || {
        let traces = acme.site.trace(queue_id)?["messages"].as_array()?.clone();
        traces.iter().all(|trace| trace["state"] == "delivered").then_some(traces)
    });
    let mut domains: Vec<&str> = traces.iter().filter_map(|trace| trace["partner_domain"].as_str()).collect();
    domains.sort_unstable();
    assert_eq!(domains, ["globex.test", "initech.test"], "one queue id, one trace for each destination");
    for organisation in [&acme, &globex, &initech] {
        organisation.settled();
    }
}

/// Speaks SMTPUTF8 (RFC 6531) to acme's gateway; the queue id.
fn send_with_smtputf8(acme: &Organisation, to: &str) -> String {
    let mut talk = Talk::unannounced(acme.site.smtp);
    assert!(talk.say("EHLO client.test").contains("SMTPUTF8"));
    assert!(talk.say("MAIL FROM:<alice@acme.test> BODY=8BITMIME SMTPUTF8").starts_with("250"));
    let reply = talk.say(&format!("RCPT TO:<{to}>"));
    assert!(reply.starts_with("250"), "{reply}");
    assert!(talk.say("DATA").starts_with("354"));
    let header =
        format!("From: alice@acme.test\r\nTo: {to}\r\nSubject: Grüße\r\nMessage-ID: <umlaut@acme.test>\r\n");
    talk.send(format!("{header}\r\nHello\r\n.\r\n").as_bytes());
    let reply = talk.reply();
    assert!(reply.starts_with("250"), "{reply}");
    reply.rsplit(' ').next().expect("a queue id").to_owned()
}

/// Dovecot's LMTP has no SMTPUTF8: what cannot be handed over comes back as a report, and the report arrives although
/// alice's own mail server has no SMTPUTF8 either.
#[test]
fn what_a_mail_server_without_smtputf8_cannot_take_is_reported() {
    let (acme, globex) = two_organisations(Delivery::Lmtp, Delivery::Lmtp);
    // RFC 6531 §5: X.6.7 is the address, X.6.9 a header in UTF-8.
    for (count, (to, status)) in
        [("jörg@globex.test", "5.6.7"), ("bob@globex.test", "5.6.9")].into_iter().enumerate()
    {
        let queue_id = send_with_smtputf8(&acme, to);
        acme.site.await_state(&queue_id, "failed");
        let report = acme.dovecot.await_mail("alice", count + 1, PATIENCE).remove(count);
        let report = String::from_utf8_lossy(&report).into_owned();
        assert!(report.contains(&format!("Status: {status}")) && report.contains("SMTPUTF8"), "{report}");
    }
    assert!(globex.dovecot.mailbox("jörg").is_empty());
    acme.settled();
    globex.settled();
}

#[test]
fn a_mail_server_with_smtputf8_gets_the_address_as_it_is() {
    let (acme, globex) = two_organisations(Delivery::Smtp, Delivery::Smtp);
    let queue_id = send_with_smtputf8(&acme, "jörg@globex.test");
    let trace = acme.site.await_state(&queue_id, "delivered");
    assert_eq!(trace["recipients"], serde_json::json!(["jörg@globex.test"]));
    eventually("Postfix has taken it up", || {
        globex.postfix.log().contains("to=<jörg@globex.test>").then_some(())
    });
    // Dovecot behind it cannot take it, so Postfix reports that to alice, with the null sender, over the same road.
    eventually("the report has come back to acme's Postfix", || {
        acme.postfix.log().contains("from=<>").then_some(())
    });
    acme.settled();
    globex.settled();
}

#[test]
fn a_mail_of_twenty_mebibytes_arrives_whole() {
    let (acme, globex) = two_organisations(Delivery::Lmtp, Delivery::Smtp);
    let mut octets = vec![0; 15 << 20];
    let mut state = 1_u64;
    octets.iter_mut().for_each(|octet| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *octet = (state >> 56) as u8;
    });
    let large = Letter { attachment: Some(("film.bin", &octets)), ..LETTER };
    clients::msmtp(acme.postfix.port(), &large).expect_accepted();
    let arrived = globex.read("bob", 1);
    assert!(globex.dovecot.mailbox("bob")[0].len() > 20 << 20);
    arrived[0].is_the_letter("msmtp", &large);
    acme.settled();
    globex.settled();
}
