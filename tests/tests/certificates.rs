//! The gateway gets its certificate from an authority, by itself, and no door waits for it.
//!
//! ```text
//! gateway ─order─► Pebble ─asks─► acme.listen | the HTTPS door of the gateway
//!    └─► openssl s_client -starttls smtp: verified against Pebble's root
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use tests::peers::{Pebble, PebbleConfig};
use tests::site::{Site, eventually};
use tests::submit::Talk;

const NAME: &str = "gateway.acme.test";

const ALICE: [&str; 1] = ["alice"];

/// Acme, whose certificate comes from an authority that asks by HTTP. Neither runs yet.
struct House {
    site: Site,
    authority: Pebble,
    submission: SocketAddr,
}

impl House {
    fn found(config: &PebbleConfig, more: &str) -> Self {
        let authority = Pebble::new("acme.test", config);
        let http = format!("listen: [\"{}\"]", authority.http());
        Self::of(authority, &format!("names: [{NAME}], {http}{more}"))
    }

    fn of(authority: Pebble, acme: &str) -> Self {
        let site = Site::found("acme.test", "lmtp:127.0.0.1:9");
        let [starttls, _] = site.open_submission(&ALICE);
        let (directory, ca) = (authority.directory(), authority.roots());
        let ca = ca.display();
        site.use_authority(&format!(
            "{{ directory: \"{directory}\", terms_agreed: true, contact: postmaster@acme.test, ca: {ca}, {acme} }}"
        ));
        Self { site, authority, submission: tests::site::loopback(starttls) }
    }

    fn start(&mut self) {
        self.authority.start();
        self.site.start();
    }

    /// Waits until the door shows a certificate of the authority.
    fn await_certificate(&self) -> String {
        let root = self.authority.issuer();
        eventually("the door shows the authority's certificate", || verified(self.submission, &root))
    }

    fn renew(&self, more: &[&str]) -> Output {
        self.site.command(&[&["certificate", "renew"], more].concat())
    }

    fn show(&self) -> String {
        said(&self.site.command(&["certificate", "show"]))
    }
}

fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

fn s_client(door: SocketAddr) -> Command {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-starttls", "smtp", "-name", "client.test", "-servername", NAME]);
    command.args(["-connect", &door.to_string()]);
    command
}

/// The certificate (PEM) that a door shows after STARTTLS.
fn shown(door: SocketAddr) -> String {
    let done = s_client(door).stdin(Stdio::null()).output().expect("openssl: apt-get install openssl");
    pem(&String::from_utf8_lossy(&done.stdout)).unwrap_or_else(|| panic!("{door}: {}", said(&done)))
}

/// The same, if OpenSSL believes it for our name and `root`.
fn verified(door: SocketAddr, root: &Path) -> Option<String> {
    let mut command = s_client(door);
    command.args(["-verify_return_error", "-verify_hostname", NAME, "-CAfile"]).arg(root);
    let done = command.stdin(Stdio::null()).output().expect("openssl: apt-get install openssl");
    pem(&String::from_utf8_lossy(&done.stdout)).filter(|_| done.status.success())
}

fn pem(text: &str) -> Option<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let start = text.find("-----BEGIN CERTIFICATE-----")?;
    let end = text.find(END)? + END.len();
    Some(text[start..end].to_owned())
}

/// A session under TLS that stays open.
struct Session {
    client: Child,
    words: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Session {
    fn open(door: SocketAddr) -> Self {
        let mut command = s_client(door);
        command.args(["-quiet", "-crlf"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = command.spawn().expect("openssl: apt-get install openssl");
        let words = client.stdin.take().expect("a pipe");
        let replies = BufReader::new(client.stdout.take().expect("a pipe"));
        Self { client, words, replies }
    }

    /// One command and the one line of its reply.
    fn say(&mut self, command: &str) -> String {
        writeln!(self.words, "{command}").expect("the session is open");
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("the session is open");
        line
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        _ = self.client.kill();
        _ = self.client.wait();
    }
}

#[test]
fn a_gateway_shows_the_authoritys_certificate_and_after_a_restart_without_asking_again() {
    let mut house = House::found(&PebbleConfig::default(), "");
    house.start();
    let certificate = house.await_certificate();
    let page = house.show();
    assert!(page.contains(NAME) && page.contains("Pebble") && page.contains("TLSA      3 1 1 "), "{page}");
    eventually("the metric tells of years", || {
        (house.site.metric("dccp_certificate_days_left{certificate=\"acme\"}") > 1000.0).then_some(())
    });

    for path in ["/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/x"] {
        assert_eq!(status(&format!("http://{}{path}", house.authority.http())), "404", "{path}");
    }
    for name in ["account", "certificate"] {
        let sealed = fs::read(house.site.folder().join("keys/acme").join(name)).expect("a file");
        for clear in [&b"PRIVATE"[..], b"key_pkcs8", b"CERTIFICATE", b"localhost", EC_KEY] {
            assert!(!sealed.windows(clear.len()).any(|window| window == clear), "{name} holds {clear:?}");
        }
    }
    let root = house.authority.issuer();
    house.authority.stop();
    assert!(house.site.terminate().success());
    house.site.start();
    assert_eq!(verified(house.submission, &root), Some(certificate));
    assert_eq!(house.site.metric("dccp_certificates_stale"), 0.0);
}

/// What a web server answers.
fn status(url: &str) -> String {
    let mut curl = Command::new("curl");
    let done = curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", url]).output();
    said(&done.expect("curl: apt-get install curl"))
}

/// How the algorithm of an elliptic curve key begins in DER.
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

#[test]
fn a_certificate_is_replaced_before_it_ends_and_no_session_notices() {
    let mut house = House::found(&PebbleConfig { term_s: Some(18), ..PebbleConfig::default() }, "");
    house.start();
    let first = house.await_certificate();
    let mut session = Session::open(house.submission);
    assert!(session.say("NOOP").starts_with("250 "));
    let root = house.authority.issuer();
    let second = eventually("another certificate is shown", || {
        verified(house.submission, &root).filter(|certificate| *certificate != first)
    });
    assert!(session.say("NOOP").starts_with("250 "));
    assert_eq!(key_of(&first), key_of(&second), "TLSA records go on fitting");

    let done = house.renew(&["--new-key"]);
    assert!(done.status.success(), "{}", said(&done));
    let third = verified(house.submission, &root).expect("a certificate of the authority");
    assert_ne!(key_of(&third), key_of(&second));
    assert!(session.say("NOOP").starts_with("250 "));
}

/// The public key of a certificate in PEM.
fn key_of(certificate: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-pubkey"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut openssl = openssl.spawn().expect("openssl: apt-get install openssl");
    openssl.stdin.take().expect("a pipe").write_all(certificate.as_bytes()).expect("openssl reads");
    let done = openssl.wait_with_output().expect("openssl ends");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn doors_open_while_the_authority_is_away_and_never_ask_for_a_password_in_the_clear() {
    let mut house = House::found(&PebbleConfig::default(), "");
    house.site.start();
    let hello = Talk::to(house.submission).say("EHLO client.test");
    assert!(hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    let made_here = shown(house.submission);
    let log = eventually("the log says what to do", || {
        Some(house.site.log()).filter(|log| log.contains("no certificate yet"))
    });
    assert!(log.contains("cannot be asked") && log.contains("check acme.directory"), "{log}");

    house.authority.start();
    let done = house.renew(&[]);
    assert!(done.status.success(), "{}", said(&done));
    assert_ne!(house.await_certificate(), made_here);
}

#[test]
fn the_old_certificate_stays_while_the_authority_is_away_and_a_forgotten_account_is_made_anew() {
    let mut house = House::found(&PebbleConfig::default(), "");
    house.start();
    let old = house.await_certificate();
    house.authority.stop();
    let done = house.renew(&[]);
    assert!(!done.status.success() && said(&done).contains("cannot be asked"), "{}", said(&done));
    assert_eq!(shown(house.submission), old);
    eventually("the gauge tells", || (house.site.metric("dccp_certificates_stale") == 1.0).then_some(()));
    eventually("the log tells", || house.site.log().contains("the old one stays in use").then_some(()));
    assert!(house.show().contains("fault     the authority cannot be asked"), "{}", house.show());

    house.authority.start(); // it has forgotten everything
    let done = house.renew(&[]);
    assert!(done.status.success(), "{}", said(&done));
    assert_ne!(house.await_certificate(), old);
    eventually("the gauge tells", || (house.site.metric("dccp_certificates_stale") == 0.0).then_some(()));
}

#[test]
fn what_the_authority_refuses_or_does_not_find_is_told_with_its_reason() {
    let config = PebbleConfig {
        refused: vec!["refused.acme.test"],
        nowhere: vec!["elsewhere"],
        ..PebbleConfig::default()
    };
    for (name, reason) in [
        ("refused.acme.test", "the authority refuses: rejectedIdentifier"),
        ("elsewhere.acme.test", "did not find us under elsewhere.acme.test: connection"),
    ] {
        let authority = Pebble::new("acme.test", &config);
        let http = authority.http();
        let mut house = House::of(authority, &format!("names: [{NAME}, {name}], listen: [\"{http}\"]"));
        house.start();
        let told = said(&house.renew(&[]));
        assert!(told.contains(reason), "{told}");
    }
}

const CUSTOMER: (&str, &str) =
    ("customer-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

#[test]
fn an_authority_for_customers_serves_whoever_has_the_right_key() {
    let config = PebbleConfig { customer: Some(CUSTOMER), ..PebbleConfig::default() };
    let external = format!(", external_account: {{ id: {}, key: keys/acme.external }}", CUSTOMER.0);
    let mut house = House::found(&config, &external);
    let key = house.site.folder().join("keys/acme.external");
    keystore::durable::write_new(&key, b"bm90IHRoZSBrZXkgb2YgdGhpcyBjdXN0b21lcg==\n", 0o600).expect("a file");
    house.start();
    let told = said(&house.renew(&[]));
    assert!(told.contains("the authority refuses: "), "{told}");
    keystore::durable::replace(&key, format!("{}\n", CUSTOMER.1).as_bytes(), 0o600).expect("a file");
    let done = house.renew(&[]);
    assert!(done.status.success(), "{}", said(&done));
    house.await_certificate();
}

#[test]
fn the_https_door_answers_the_authority_and_goes_on_answering_everybody_else() {
    let authority = Pebble::new("acme.test", &PebbleConfig::default());
    let https = authority.https();
    let mut house = House::of(authority, &format!("names: [{NAME}]"));
    house.site.set("publication", &format!("{{ listen: [\"{https}\"] }}"));
    house.start();
    house.await_certificate();
    let root = house.authority.issuer();
    let there = format!("{NAME}:{}:127.0.0.1", https.port());
    let url = format!("https://{NAME}:{}/.well-known/dccp.json", https.port());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--resolve", &there, "--cacert"]).arg(root).args(["-w", "%{http_code}", &url]);
    let done = curl.output().expect("curl: apt-get install curl");
    assert!(done.status.success() && said(&done).ends_with("404"), "{}", said(&done));
}
