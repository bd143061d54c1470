//! Odd mails through every door: what comes out is what went in, or a refusal that is known beforehand.
//!
//! ```text
//! corpus/*.eml ─► relay of acme ═ overlay ═ globex ─► Dovecot        the table in corpus/README.md says what becomes
//!              ─► mx of acme ─► Dovecot                              of each
//!              ─► relay of acme ─► a server outside
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tests::peers::{Dns, Dovecot, SmtpSink, Zone};
use tests::site::{PATIENCE, TwoSites};
use tests::submit::{Talk, submit, without_trace};

const ALICE: &str = "alice@acme.test";
const CAROL: &str = "carol@initech.test";

/// One mail of the corpus, named as its file.
struct Odd {
    name: String,
    octets: Vec<u8>,
    fate: String,
}

impl Odd {
    /// Whether it comes out; otherwise its fate is the beginning of the reply that refuses it.
    fn arrives(&self) -> bool {
        self.fate.starts_with("arrives")
    }

    /// What comes out: no transport of SMTP has a message without an end of its last line (RFC 5321 §4.1.1.4).
    fn delivered(&self) -> Vec<u8> {
        let end: &[u8] = if self.octets.ends_with(b"\r\n") { b"" } else { b"\r\n" };
        [&self.octets, end].concat()
    }

    /// The reply was the one that the table promises.
    #[track_caller]
    fn is_answered(&self, reply: &str, door: &str) {
        let expected = if self.arrives() { "250 2.0.0" } else { &self.fate };
        assert!(reply.starts_with(&format!("{expected} ")), "{} at {door}: {reply}", self.name);
    }

    /// `found` is this mail behind a trace header and nothing else.
    #[track_caller]
    fn is(&self, found: &[u8], way: &str) {
        let trace = found.strip_suffix(self.delivered().as_slice());
        let is_whole = trace.is_some_and(|trace| !trace.is_empty() && without_trace(trace).is_empty());
        assert!(is_whole, "{} was changed {way}:\n{}", self.name, found.escape_ascii());
    }
}

/// All mails, each with its row of the table.
fn corpus() -> Vec<Odd> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let table = fs::read_to_string(folder.join("README.md")).expect("the table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(".eml` |"));
    let rows = rows.map(|(name, row)| {
        let fate = row.trim_end_matches('|').rsplit('|').next().expect("four columns").trim();
        (name.to_owned(), fate.to_owned())
    });
    let mut fates: BTreeMap<String, String> = rows.collect();
    let files = fs::read_dir(&folder).expect("the corpus").map(|file| file.expect("a file").path());
    let mut mails: Vec<Odd> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "eml"))
        .map(|file| {
            let name = file.file_stem().and_then(|name| name.to_str()).expect("a plain name").to_owned();
            let fate = fates.remove(&name).unwrap_or_else(|| panic!("{name} has no row in the table"));
            Odd { octets: fs::read(&file).expect("a mail"), name, fate }
        })
        .collect();
    assert!(fates.is_empty(), "rows without a mail: {fates:?}");
    mails.sort_by(|a, b| a.name.cmp(&b.name));
    mails
}

/// Acme with a door for its people and one for the world, its partner globex, and a server that is no partner.
struct Scene {
    sites: TwoSites,
    mx: SocketAddr,
    acme_mail: Dovecot,
    globex_mail: Dovecot,
    outside: SmtpSink,
    _dns: Dns,
}

impl Scene {
    fn start() -> Self {
        let (acme_mail, globex_mail, outside) = (Dovecot::start(), Dovecot::start(), SmtpSink::start());
        let lmtp = |dovecot: &Dovecot| format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port());
        let mut sites = TwoSites::found(&lmtp(&acme_mail), &lmtp(&globex_mail));
        let dns = Dns::start(&[
            Zone::signed("outside.test").record("@", "MX", "10 mx.outside.test.").record(
                "mx",
                "A",
                "127.0.0.1",
            ),
            Zone::signed("initech.test").record("@", "TXT", "\"v=spf1 ip4:127.0.0.1 -all\""),
        ]);
        let acme = &sites.acme;
        let mx = acme.open_mx(dns.address());
        acme.set("dns_trust_anchor", dns.trust_anchor().to_str().expect("a path"));
        acme.set("allow_private_addresses", "true");
        acme.set("outside.policy", "opportunistic");
        acme.set("outside.port", &outside.port().to_string());
        sites.start();
        Self { sites, mx, acme_mail, globex_mail, outside, _dns: dns }
    }

    /// The end of every test: nothing is left to do, and nobody panicked on the way.
    fn ends_well(&self) {
        self.sites.settled();
        for site in [&self.sites.acme, &self.sites.globex] {
            assert!(!site.log().contains("panicked"), "{} panicked:\n{}", site.domain, site.log());
        }
    }
}

/// Hands a mail in by `BDAT` (RFC 3030), in three chunks that may end anywhere; the last reply.
fn submit_in_chunks(server: SocketAddr, from: &str, to: &str, octets: &[u8]) -> String {
    let mut talk = Talk::to(server);
    for command in [format!("MAIL FROM:<{from}> BODY=8BITMIME"), format!("RCPT TO:<{to}>")] {
        assert!(talk.say(&command).starts_with("250"), "{command}");
    }
    let third = octets.len().div_ceil(3).max(1);
    for chunk in octets.chunks(third) {
        talk.send(&[format!("BDAT {}\r\n", chunk.len()).as_bytes(), chunk].concat());
        let reply = talk.reply();
        if !reply.starts_with("250") {
            return reply;
        }
    }
    talk.say("BDAT 0 LAST")
}

#[test]
fn every_odd_mail_reaches_a_partner_byte_for_byte_or_is_refused_as_the_table_says() {
    let (scene, mails) = (Scene::start(), corpus());
    let door = scene.sites.acme.smtp;
    for mail in &mails {
        let to = format!("{}@globex.test", mail.name);
        mail.is_answered(&submit(door, ALICE, &[&to], &mail.octets), "the relay");
        mail.is_answered(&submit_in_chunks(door, ALICE, &to, &mail.octets), "the relay, in chunks");
    }
    scene.ends_well();
    for mail in &mails {
        let mailbox = scene.globex_mail.mailbox(&mail.name);
        assert_eq!(mailbox.len(), if mail.arrives() { 2 } else { 0 }, "{}", mail.name);
        mailbox.iter().for_each(|found| mail.is(found, "between partners"));
    }
}

#[test]
fn every_odd_mail_from_the_world_reaches_our_people_byte_for_byte_or_is_refused_as_the_table_says() {
    let (scene, mails) = (Scene::start(), corpus());
    for mail in &mails {
        let to = format!("{}@acme.test", mail.name);
        mail.is_answered(&submit(scene.mx, CAROL, &[&to], &mail.octets), "the mx");
    }
    scene.ends_well();
    for mail in &mails {
        let mailbox = scene.acme_mail.mailbox(&mail.name);
        assert_eq!(mailbox.len(), usize::from(mail.arrives()), "{}", mail.name);
        mailbox.iter().for_each(|found| mail.is(found, "between the world and us"));
    }
}

#[test]
fn every_odd_mail_leaves_for_the_world_byte_for_byte_or_is_refused_as_the_table_says() {
    let (scene, mails) = (Scene::start(), corpus());
    for mail in &mails {
        let to = format!("{}@outside.test", mail.name);
        mail.is_answered(&submit(scene.sites.acme.smtp, ALICE, &[&to], &mail.octets), "the relay");
    }
    scene.ends_well();
    let leaving = mails.iter().filter(|mail| mail.arrives());
    let arrived = scene.outside.await_messages(leaving.clone().count(), PATIENCE);
    for mail in leaving {
        let to = format!("<{}@outside.test>", mail.name);
        let found = arrived.iter().find(|found| contains(found, to.as_bytes()));
        let found = found.unwrap_or_else(|| panic!("{} did not leave", mail.name));
        // The sink writes LF for CRLF, a header section of its own in front, and an empty line behind.
        let sent = [lines(&mail.delivered()), b"\n".to_vec()].concat();
        assert!(
            found.ends_with(&sent),
            "{} was changed on its way out:\n{}",
            mail.name,
            found.escape_ascii()
        );
    }
    assert_eq!(arrived.len(), mails.iter().filter(|mail| mail.arrives()).count());
}

/// What mails are made of, and what readers take for more than it is.
const PIECES: [&[u8]; 22] = [
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n.\r\n",
    b"\r\n..",
    b".",
    b"\r\n ",
    b"\r\n\t",
    b": ",
    b"Subject: =?utf-8?q?=C3?=\r\n",
    b"Received: by x; now\r\n",
    b"From: a@b.test\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"--b\r\n",
    b"--b--\r\n",
    b"RCPT TO:<eve@globex.test>\r\n",
    b"BDAT 5 LAST\r\n",
    b"\xc3\xbc",
    b"\xff\x80\x0b\x1b\x7f",
    b"word and word ",
];

/// What costs the mail, wherever it stands.
const FATAL: [&[u8]; 2] = [b"\n", b"\0"];

/// A mail of up to 60 pieces; two of three begin with a field and few have a fatal piece, so that many are accepted.
fn thrown_together(dice: &mut StdRng) -> Vec<u8> {
    let begin: &[u8] = if dice.random_ratio(2, 3) { b"X-Dice: 1\r\n" } else { b"" };
    let rest = (0..dice.random_range(0..60)).flat_map(|_| {
        let pieces: &[&[u8]] = if dice.random_ratio(1, 100) { &FATAL } else { &PIECES };
        pieces[dice.random_range(0..pieces.len())]
    });
    begin.iter().chain(rest).copied().collect()
}

#[test]
fn whatever_is_accepted_comes_out_as_it_went_in_and_nothing_else_does() {
    const MAILS: usize = 400;
    let scene = Scene::start();
    let mut dice = StdRng::seed_from_u64(1);
    let thrown: Vec<(Vec<u8>, bool)> = (0..MAILS)
        .map(|at| {
            let (octets, to) = (thrown_together(&mut dice), format!("dice-{at}@globex.test"));
            let reply = submit_in_chunks(scene.sites.acme.smtp, ALICE, &to, &octets);
            assert!(reply.starts_with("250 2.0.0 ") || reply.starts_with("554 5."), "{reply}");
            (octets, reply.starts_with("250"))
        })
        .collect();
    let accepted = thrown.iter().filter(|(_, accepted)| *accepted).count();
    assert!((MAILS / 10..MAILS * 9 / 10).contains(&accepted), "{accepted} of {MAILS} were accepted");
    scene.ends_well();
    for (at, (octets, accepted)) in thrown.into_iter().enumerate() {
        let odd = Odd { name: format!("dice-{at}"), octets, fate: "arrives".to_owned() };
        let mailbox = scene.globex_mail.mailbox(&odd.name);
        assert_eq!(mailbox.len(), usize::from(accepted), "{}: {}", odd.name, odd.octets.escape_ascii());
        mailbox.iter().for_each(|found| odd.is(found, "between partners"));
    }
    assert!(scene.globex_mail.mailbox("eve").is_empty(), "a mail in a mail was delivered");
}

/// With LF line ends.
fn lines(octets: &[u8]) -> Vec<u8> {
    octets.split(|&octet| octet == b'\r').flatten().copied().collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
