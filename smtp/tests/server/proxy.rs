//! The PROXY protocol: who stands behind a balancer.

use std::net::SocketAddr;

use smtp::server::{Config, Event, Limits, Refused};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::client::Client;
use crate::house::{Server, config};
use crate::tls::{shake_hands, tls};

/// The header of version 2 for `203.0.113.9:51234`.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc0\0\x02\x19\xc8\x22\0\x19";
/// The same of a balancer that only looks whether we are well.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Connections from this machine come from a balancer; clients on this machine are ours.
fn behind_balancer() -> Config {
    Config { proxy_networks: vec!["127.0.0.0/8".parse().unwrap()], ..config() }
}

fn line(client: &str) -> String {
    format!("PROXY TCP4 {client} 192.0.2.25 51234 25\r\n")
}

async fn brought(server: &Server, header: impl AsRef<[u8]>) -> Client {
    let mut client = Client::new(TcpStream::connect(server.address).await.unwrap());
    client.say(header).await;
    client
}

async fn opened(server: &mut Server) -> Event {
    server.event(|event| matches!(event, Event::SessionOpened { .. })).await
}

#[tokio::test]
async fn a_client_behind_a_balancer_is_known_by_its_own_address() {
    let server = Server::start(behind_balancer()).await;
    for header in [line("203.0.113.9").as_bytes(), BINARY] {
        let mut client = brought(&server, header).await;
        client.say("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nhi\r\n.\r\n").await;
        for code in [220, 250, 250, 250, 354, 250] {
            client.expect(code).await;
        }
    }
    let kept = server.house.kept();
    assert_eq!(kept.len(), 2);
    for mail in kept {
        assert_eq!(mail.client.address, "203.0.113.9:51234".parse::<SocketAddr>().unwrap());
        assert_eq!(mail.client.proxy, Some("127.0.0.1".parse().unwrap()));
        assert!(!mail.client.trusted, "the balancer is ours, its clients are not");
    }
}

#[tokio::test]
async fn trust_follows_the_client_and_never_the_balancer() {
    let mut server = Server::start(behind_balancer()).await;
    let mut ours = brought(&server, line("127.0.0.7")).await;
    ours.expect(220).await;
    assert_eq!(opened(&mut server).await, Event::SessionOpened { trusted: true });
    let mut check = brought(&server, LOCAL).await;
    check.expect(220).await;
    assert_eq!(opened(&mut server).await, Event::SessionOpened { trusted: false });
    let mut unknown = brought(&server, "PROXY UNKNOWN\r\n").await;
    unknown.expect(220).await;
    assert_eq!(opened(&mut server).await, Event::SessionOpened { trusted: false });
}

#[tokio::test]
async fn a_balancer_that_says_nothing_of_its_client_is_refused_without_an_answer() {
    let mut server = Server::start(behind_balancer()).await;
    for not_a_header in ["EHLO mx.globex.example\r\n", "PROXY TCP4 nobody\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut client = brought(&server, not_a_header).await;
        let mut heard = Vec::new();
        let _ = client.stream.read_to_end(&mut heard).await; // an end or a reset
        assert_eq!(heard, b"", "{not_a_header:?}");
        server.event(|event| *event == Event::SessionRefused(Refused::NoHeader)).await;
    }
}

#[tokio::test]
async fn a_stranger_who_speaks_the_balancers_language_is_not_listened_to() {
    let mut server = Server::start(config()).await;
    let mut client = Client::connect(server.address).await;
    client.ask(line("203.0.113.9"), 500).await;
    assert_eq!(opened(&mut server).await, Event::SessionOpened { trusted: true }, "known by its own address");
}

#[tokio::test]
async fn the_limits_are_those_of_the_client_not_of_the_balancer() {
    let limits = Limits { per_source_max: 1, ..Limits::default() };
    let server = Server::start(Config { limits, ..behind_balancer() }).await;
    let mut first = brought(&server, line("203.0.113.1")).await;
    first.expect(220).await;
    let mut second = brought(&server, line("203.0.113.2")).await;
    second.expect(220).await;
    let mut third = brought(&server, line("203.0.113.1")).await;
    assert!(third.rest().await.starts_with("421 4.7.0"));
}

#[tokio::test]
async fn a_header_in_pieces_is_read_and_what_follows_it_reaches_the_handshake() {
    let tls = tls();
    let config = Config { tls: Some(tls.server.clone()), implicit_tls: true, ..behind_balancer() };
    let server = Server::start(config).await;
    let mut client = Client::new(TcpStream::connect(server.address).await.unwrap());
    client.stream.set_nodelay(true).unwrap();
    for octet in BINARY {
        client.say([*octet]).await;
    }
    let mut client = shake_hands(&tls, client).await;
    client.expect(220).await;
    client.ask("EHLO mx.globex.example\r\n", 250).await;
}
