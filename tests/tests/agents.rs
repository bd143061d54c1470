//! Agents: software with an address, to which people write with their mail programs, and which answers over HTTP.
//!
//! ```text
//! alice: swaks ─► acme ═ overlay ═ globex ─► inbox ◄─ HTTP ─ a1@agents.globex.test
//! alice: Dovecot ◄─ acme ═ overlay ═ globex ◄─────── HTTP ─┘
//! carol@initech.test ─► mx of globex ─────► inbox ◄─ HTTP ─┘        NSD: SPF and DMARC of initech, hooli
//! ```

use std::cell::OnceCell;
use std::fs;

use serde_json::{Value, json};
use tests::agent::{Agent, open_to_agents};
use tests::peers::clients::{self, Letter};
use tests::peers::{Dns, Dovecot, Zone, read_mail};
use tests::site::{PATIENCE, Site, TwoSites, eventually};
use tests::submit::{letter, submit, submitted, without_trace};

const ALICE: &str = "alice@acme.test";
const A1: &str = "a1@agents.globex.test";
const NAME: &str = "Bestellannahme Zürich";
const SECRET: &str = "the takeover of Initech";

/// Acme with alice's mailbox and an agent `a2`; globex with bob's and an agent `a1`.
struct House {
    sites: TwoSites,
    alice: Dovecot,
    bob: Dovecot,
    a1: Agent,
    a2: Agent,
}

impl House {
    fn open() -> Self {
        Self::open_with(|_| {})
    }

    /// `prepare` is shown both sites before they start.
    fn open_with(prepare: impl Fn(&Site)) -> Self {
        let (alice, bob) = (Dovecot::start(), Dovecot::start());
        let found = |domain, agents: &str, mail: &Dovecot| {
            let lmtp = format!("lmtp:127.0.0.1:{}", mail.lmtp_port());
            Site::found_with(domain, &lmtp, &["--also", agents])
        };
        let acme = found("acme.test", "agents.acme.test", &alice);
        let globex = found("globex.test", "agents.globex.test", &bob);
        let [acme_door, globex_door] = [&acme, &globex].map(open_to_agents);
        acme.set("aliases", "aliases.yaml");
        fs::write(acme.folder().join("aliases.yaml"), format!("orders@acme.test: [{A1}, bob@globex.test]\n"))
            .expect("a file");
        [&acme, &globex].into_iter().for_each(prepare);
        let a1 = Agent::add(&globex, globex_door, "a1", NAME);
        let a2 = Agent::add(&acme, acme_door, "a2", "");
        acme.introduce(&globex);
        globex.introduce(&acme);
        let mut sites = TwoSites { acme, globex };
        sites.start();
        Self { sites, alice, bob, a1, a2 }
    }

    /// What alice's mail program shows of her `count`th mail.
    fn read_by_alice(&self, count: usize) -> Value {
        let mails = self.alice.await_mail("alice", count, PATIENCE);
        read_mail(&mails[count - 1])
    }
}

fn from_alice(to: &str, message_id: &str, text: &str) -> Vec<u8> {
    String::from_utf8(letter(message_id, text)).expect("ASCII").replace("bob@globex.test", to).into_bytes()
}

#[test]
fn a_person_and_an_agent_write_to_each_other() {
    let house = House::open();
    let question = Letter {
        from: ALICE,
        to: A1,
        subject: "Frage für Montag",
        body: "Was kostet es?\n",
        attachment: None,
    };
    clients::swaks(house.sites.acme.smtp.port(), &question).expect_accepted();
    let (told, octets) = house.a1.take();
    assert_eq!(
        (&told["from"], &told["to"], &told["subject"]),
        (&json!(ALICE), &json!(A1), &json!(question.subject))
    );
    assert_eq!(told["sender_did"], json!(house.sites.acme.did().to_string()));
    assert_eq!(
        (&told["sealed"]["partner"], &told["content_type"]),
        (&json!("acme.test"), &json!("message/rfc822"))
    );
    assert_eq!((&told["automatic"], &told["answers"]), (&json!(false), &json!(0)));
    assert_eq!(told["size"], json!(octets.len()));
    let read = read_mail(&octets);
    assert_eq!(
        (read["body"].as_str().map(str::trim_end), &read["defects"]),
        (Some("Was kostet es?"), &json!([]))
    );

    let text = "Grüß Gott,\n.ein Punkt\n你好 — fünf €\n";
    let answer = house.a1.send(&json!({
        "to": [ALICE], "subject": "Antwort: Frage für Montag", "content_type": "text/plain", "payload": text,
        "thread_id": told["thread_id"], "in_reply_to": told["internet_message_id"],
    }));
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = answer.json();
    house.sites.globex.await_state(answer["queue_id"].as_str().expect("a queue id"), "delivered");
    let read = house.read_by_alice(1);
    assert_eq!(read["from"], json!(format!("{NAME} <{A1}>")));
    assert_eq!((&read["subject"], &read["body"]), (&json!("Antwort: Frage für Montag"), &json!(text)));
    let id = |id: &Value| format!("<{}>", id.as_str().expect("an id"));
    assert_eq!(read["in_reply_to"], json!(id(&told["internet_message_id"])));
    assert_eq!(read["message_id"], json!(id(&answer["internet_message_id"])));
    assert_eq!((&read["auto_submitted"], &read["defects"]), (&json!("auto-replied"), &json!([])));
    assert_eq!(read["return_path"], json!(format!("<{A1}>")));
    house.sites.settled();
}

#[test]
fn a_mail_to_an_alias_reaches_mailbox_and_agent_with_its_octets_over_a_restart() {
    let mut house = House::open();
    let mail = from_alice("orders@acme.test", "secret-plan@acme.test", SECRET);
    let queue_id = submitted(house.sites.acme.smtp, ALICE, &["orders@acme.test"], &mail);
    house.sites.acme.await_state(&queue_id, "delivered");
    let mailbox = house.bob.await_mail("bob", 1, PATIENCE);
    assert_eq!(without_trace(&mailbox[0]), mail);
    house.sites.settled();
    nothing_clear_rests_at(&house.sites.globex);
    assert!(house.sites.globex.terminate().success());
    nothing_clear_rests_at(&house.sites.globex);
    house.sites.globex.start();
    let (told, octets) = house.a1.take();
    assert_eq!(without_trace(&octets), mail, "a signature over it still holds");
    assert_eq!(told["internet_message_id"], json!("secret-plan@acme.test"));
    house.sites.globex.kill();
    house.sites.globex.start();
    assert_eq!(house.a1.ask("GET", "/agent/v1/messages", b"").json(), json!({"messages": []}));
}

/// Neither what was written nor who wrote to whom.
fn nothing_clear_rests_at(site: &Site) {
    for file in fs::read_dir(site.data()).expect("the data folder") {
        let path = file.expect("a file").path();
        let octets = fs::read(&path).unwrap_or_default();
        for secret in [SECRET, ALICE, A1, NAME, "secret-plan@acme.test"] {
            let found =
                octets.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret.as_bytes()));
            assert!(!found, "{} contains {secret:?}", path.display());
        }
    }
}

#[test]
fn agents_write_to_agents_and_hear_of_failures() {
    let house = House::open();
    let sent = house.a2.write(A1, "Order 7", "{\"piece\": 7}");
    let (told, _) = house.a1.take();
    assert_eq!((&told["from"], &told["automatic"]), (&json!(house.a2.address), &json!(true)));
    assert_eq!(told["internet_message_id"], sent["internet_message_id"]);

    let reply = json!({
        "to": [house.a2.address], "subject": "Re: Order 7", "content_type": "application/json",
        "payload": "{\"ok\": true}", "in_reply_to": told["internet_message_id"],
    });
    assert_eq!(house.a1.send(&reply).status, 202);
    let (told, octets) = house.a2.take();
    assert_eq!((&told["answers"], &told["in_reply_to"]), (&json!(1), &sent["internet_message_id"]));
    let read = read_mail(&octets);
    assert_eq!((&read["type"], &read["payload"]), (&json!("application/json"), &json!("eyJvayI6IHRydWV9")));

    house.a2.write("nobody@agents.globex.test", "Order 8", "Hello?");
    let (report, octets) = house.a2.take();
    assert_eq!((&report["from"], &report["sealed"]), (&json!(""), &Value::Null));
    let text = String::from_utf8_lossy(&octets).into_owned();
    assert!(text.contains("Final-Recipient: rfc822; nobody@agents.globex.test\r\n"), "{text}");
    assert!(text.contains("Action: failed\r\n") && text.contains("Status: 5.1.1\r\n"), "{text}");
    house.sites.settled();
}

#[test]
fn mail_from_outside_reaches_an_agent_and_a_forgery_does_not() {
    let strict = |domain, spf| {
        Zone::signed(domain).record("@", "TXT", spf).record("_dmarc", "TXT", "\"v=DMARC1; p=reject\"")
    };
    let dns = Dns::start(&[
        strict("initech.test", "\"v=spf1 ip4:127.0.0.1 -all\""),
        strict("hooli.test", "\"v=spf1 -all\""),
    ]);
    let mx = OnceCell::new();
    let house = House::open_with(|site| {
        if site.domain == "globex.test" {
            mx.set(site.open_mx(dns.address())).expect("one globex");
        }
    });
    let write = |from: &str, message_id: &str| {
        let octets = String::from_utf8(from_alice(A1, message_id, "Was kostet es?")).expect("ASCII");
        let octets = octets.replace(ALICE, from).into_bytes();
        (submit(*mx.get().expect("a door"), from, &[A1], &octets), octets)
    };
    let (refused, _) = write("ceo@hooli.test", "forged@hooli.test");
    assert!(refused.starts_with("550 5.7.26 "), "{refused}");
    let (taken, sent) = write("carol@initech.test", "asked@initech.test");
    assert!(taken.starts_with("250 "), "{taken}");

    let (told, octets) = house.a1.take(); // the only one
    assert_eq!((&told["from"], &told["to"]), (&json!("carol@initech.test"), &json!(A1)));
    assert_eq!(told["internet_message_id"], json!("asked@initech.test"));
    assert_eq!((&told["sealed"], &told["sender_did"]), (&Value::Null, &Value::Null), "it came in the clear");
    assert_eq!(without_trace(&octets), sent);
    let found = String::from_utf8_lossy(&octets).into_owned();
    assert!(found.contains("Authentication-Results: ") && found.contains("dmarc=pass"), "{found}");
    house.sites.settled();
    assert_eq!(house.a1.ask("GET", "/agent/v1/messages", b"").json(), json!({"messages": []}));
}

#[test]
fn an_agent_that_is_removed_is_nobody_any_more() {
    let house = House::open();
    assert!(house.sites.globex.command(&["agent", "remove", A1]).status.success());
    assert_eq!(house.a1.ask("GET", "/agent/v1/messages", b"").status, 401);
    let mail = from_alice(A1, "late@acme.test", "Are you there?");
    submitted(house.sites.acme.smtp, ALICE, &[A1], &mail);
    let report = eventually("alice is told", || house.alice.mailbox("alice").into_iter().next());
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains("Status: 5.1.1\r\n") && report.contains("no agent has this address"), "{report}");
    let refused = submit(house.sites.globex.smtp, "bob@globex.test", &[A1], &mail);
    assert!(refused.starts_with("550 5.1.1"), "a colleague is told at once: {refused}");
    house.sites.settled();
}

#[test]
fn who_has_no_token_gets_nothing_and_a_new_one_ends_the_old() {
    let house = House::open();
    for stranger in [house.a1.with_token("wrong"), house.a1.with_token("")] {
        let answer = stranger.ask("GET", "/agent/v1/messages", b"");
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.head.to_lowercase().contains("www-authenticate: bearer realm="), "{}", answer.head);
    }
    let done = house.sites.globex.command(&["agent", "token", A1]);
    let token =
        String::from_utf8_lossy(&done.stdout).trim_end().rsplit('\n').next().expect("a token").to_owned();
    assert_eq!(house.a1.ask("GET", "/agent/v1/messages", b"").status, 401);
    assert_eq!(house.a1.with_token(&token).ask("GET", "/agent/v1/messages", b"").status, 200);
    let listed = String::from_utf8_lossy(&house.sites.globex.command(&["agent", "list"]).stdout).into_owned();
    assert!(listed.starts_with(A1) && !listed.contains(&token), "{listed}");
}

#[test]
fn what_is_not_taken_is_refused_in_words_that_software_understands() {
    let house = House::open_with(|site| site.set("sends_per_recipient_per_minute", "3"));
    let message =
        |to: &str| json!({"to": [to], "subject": "x", "content_type": "text/plain", "payload": "x"});
    let refused = |message: &Value, status: u16| {
        let answer = house.a1.send(message);
        assert_eq!(answer.status, status, "{message}: {}", String::from_utf8_lossy(&answer.octets));
        assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
        answer.json()
    };
    let outside = refused(&message("olive@outside.test"), 403);
    assert_eq!((&outside["smtp"]["code"], &outside["smtp"]["enhanced_code"]), (&json!(550), &json!("5.7.1")));
    assert_eq!(outside["smtp"]["recipient"], json!("olive@outside.test"));
    let unknown = refused(&message("a9@agents.globex.test"), 422);
    assert_eq!(unknown["smtp"]["enhanced_code"], json!("5.1.1"));
    let with = |key: &str, value: Value| {
        let mut message = message(ALICE);
        message[key] = value;
        message
    };
    refused(&with("subject", json!("x\r\nBcc: eve@evil.test")), 400);
    refused(&with("to", json!(["alice"])), 400);
    refused(&with("to", json!([])), 400);
    refused(&with("content_type", json!("text/html")), 415);
    refused(&with("payload_base64", json!("eA==")), 400);
    refused(&with("color", json!("red")), 422);
    let whole = |from: &str| {
        let mail = format!("From: {from}\r\nTo: {ALICE}\r\nSubject: whole\r\n\r\nHello\r\n");
        json!({"to": [ALICE], "content_type": "message/rfc822", "payload": mail})
    };
    refused(&whole("bob@globex.test"), 400);
    assert_eq!(house.a1.send(&whole(A1)).status, 202);

    // Two machines that answer each other go on at the pace that the configuration allows, not at theirs.
    let taken = (0..5).filter(|_| house.a1.send(&message(ALICE)).status == 202).count();
    assert_eq!(taken, 2);
    let answer = house.a1.send(&message(ALICE));
    assert!(answer.status == 429 && answer.head.to_lowercase().contains("retry-after: "), "{answer:?}");

    house.alice.await_mail("alice", 3, PATIENCE);
    let mails: Vec<Value> = house.alice.mailbox("alice").iter().map(|mail| read_mail(mail)).collect();
    let read = mails.iter().find(|mail| mail["subject"] == json!("whole")).expect("the whole mail");
    assert_eq!(read["auto_submitted"], json!("auto-generated"));
    assert!(read["date"] != json!("") && read["message_id"] != json!(""), "{read}");
    house.sites.settled();
}
