//! Servers that fail: temporary, in bounded time, and never "there is nothing".

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::finding::{DiscoverError, Finder, NameError, Settings};
use tests::peers::Zone;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::organisation::Organisation;
use super::web;
use crate::{Lab, SOON, at_home, now};

/// A DNS server that answers every question with one code (RFC 1035 §4.1.1), or not at all.
struct Sick(SocketAddr, AbortHandle);

impl Sick {
    async fn start(code: Option<u8>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let answering = async move {
            let mut packet = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let Some(code) = code else { continue };
                packet[2] |= 0x80; // a response
                packet[3] = 0x80 | code;
                let _ = socket.send_to(&packet[..length], from).await;
            }
        };
        Self(address, tokio::spawn(answering).abort_handle())
    }
}

impl Drop for Sick {
    fn drop(&mut self) {
        self.1.abort();
    }
}

#[tokio::test]
async fn a_dns_server_that_fails_or_is_silent_is_a_temporary_failure() {
    const SERVFAIL: u8 = 2;
    const REFUSED: u8 = 5;
    for code in [Some(SERVFAIL), Some(REFUSED), None] {
        let sick = Sick::start(code).await;
        let settings = Settings {
            dns_servers: vec![sick.0],
            dns_deadline: Duration::from_secs(3),
            ..Settings::default()
        };
        let before = Instant::now();
        let finder = Finder::new(settings).expect("a finder");
        let error = finder.discover("globex.test", None, now()).await.unwrap_err();
        assert!(matches!(error, DiscoverError::Dns(NameError::Unanswered(_))), "{code:?}: {error}");
        assert!(error.is_temporary());
        assert!(before.elapsed() < SOON);
    }
}

#[tokio::test]
async fn a_domain_that_publishes_nothing_is_not_found() {
    let nothing = web::status("404 Not Found");
    let lab = Lab::new()
        .names(&[Zone::signed("bare.test"), at_home(Zone::signed("web.test")), Zone::unsigned("plain.test")])
        .serves(1, &["web.test", "dccp.web.test"], move |_| nothing.clone())
        .await;
    for domain in ["bare.test", "web.test", "plain.test", "unknown.test"] {
        assert_eq!(lab.discover(domain).await.unwrap_err(), DiscoverError::NotFound, "{domain}");
    }
}

#[tokio::test]
async fn a_web_server_that_fails_is_no_domain_that_publishes_nothing() {
    let failing = web::status("503 Service Unavailable");
    let lab = Lab::new()
        .names(&[at_home(Zone::signed("failing.test"))])
        .serves(1, &["failing.test", "dccp.failing.test"], move |_| failing.clone())
        .await;
    let error = lab.discover("failing.test").await.unwrap_err();
    assert!(matches!(error, DiscoverError::Https { .. }) && error.is_temporary(), "{error}");

    let lab = Lab::new().names(&[at_home(Zone::signed("closed.test"))]);
    let error = lab.discover("closed.test").await.unwrap_err();
    assert!(matches!(error, DiscoverError::Https { .. }) && error.is_temporary(), "{error}");
}

#[tokio::test]
async fn a_mirror_that_fails_leaves_the_domain_unanswered() {
    let globex = Organisation::globex();
    let page = globex.page().to_json();
    let lab = Lab::new()
        .names(&[at_home(Zone::signed("globex.test").names(globex.did().as_str()))])
        .serves(1, &["globex.test"], move |path| match path.ends_with(".cbor") {
            true => web::status("502 Bad Gateway"),
            false => web::ok(&page),
        })
        .await;
    let error = lab.discover("globex.test").await.unwrap_err();
    assert!(matches!(error, DiscoverError::Records { .. }) && error.is_temporary(), "{error}");
}

#[tokio::test]
async fn the_whole_search_ends_at_its_deadline() {
    let lab = Lab::new().names(&[Zone::signed("globex.test").record("@", "A", "127.0.0.1")]);
    // It accepts and never says a word.
    let _silent = tokio::net::TcpListener::bind(("127.0.0.1", lab.port.0)).await.expect("a port");
    let deadline = Duration::from_millis(500);
    let finder = Finder::new(Settings { deadline, ..lab.settings() }).expect("a finder");
    let before = Instant::now();
    let error = finder.discover("globex.test", None, now()).await.unwrap_err();
    assert_eq!(error, DiscoverError::TooSlow);
    assert!(error.is_temporary() && before.elapsed() < SOON);
}
