//! What strangers may do, and what those who do too much of it get.

use std::time::{Duration, Instant};

use smtp::server::{Closed, Config, Event, Limits, Mechanism, Offence, Premises, Refused, Role};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::house::{Server, config};
use crate::tls::{shake_hands, tls};

/// A listener for which every client is a stranger.
fn strangers(limits: Limits) -> Config {
    Config { trusted_networks: Vec::new(), limits, ..config() }
}

/// What a newcomer hears first.
async fn greeting(server: &Server) -> String {
    Client::new(TcpStream::connect(server.address).await.unwrap()).reply().await
}

#[tokio::test]
async fn who_comes_too_often_is_put_off_unless_it_is_one_of_ours() {
    let limits = Limits { connections_per_minute_max: 2, ..Limits::default() };
    let mut server = Server::start(strangers(limits.clone())).await;
    for _ in 0..2 {
        assert!(greeting(&server).await.starts_with("220"));
    }
    assert!(greeting(&server).await.starts_with("421 4.7.0"));
    server.event(|event| *event == Event::SessionRefused(Refused::TooOften)).await;

    let server = Server::start(Config { limits, ..config() }).await;
    for _ in 0..5 {
        assert!(greeting(&server).await.starts_with("220"));
    }
}

#[tokio::test]
async fn who_collects_addresses_is_banned_at_every_door_and_its_other_sessions_go_on() {
    let premises = Premises::default();
    let limits = Limits { refusals_per_minute_max: 3, ..Limits::default() };
    let mut server = Server::start_in(premises.clone(), strangers(limits)).await;
    let mut bystander = Client::introduced(server.address).await;
    let mut collector = Client::introduced(server.address).await;
    collector.ask("MAIL FROM:<>\r\n", 250).await;
    collector.say("RCPT TO:<nobody@globex.example>\r\n".repeat(10)).await;
    for _ in 0..4 {
        collector.expect(550).await;
    }
    assert!(collector.rest().await.starts_with("421 4.7.0"));
    server.event(|event| *event == Event::SourceBanned(Offence::Refusal)).await;
    server.event(|event| *event == Event::SessionClosed(Closed::Banned)).await;

    let other_door = Server::start_in(premises, strangers(Limits::default())).await;
    assert!(greeting(&server).await.starts_with("421 4.7.0"));
    assert!(greeting(&other_door).await.starts_with("421 4.7.0"));
    server.event(|event| *event == Event::SessionRefused(Refused::Banned)).await;
    bystander.ask("NOOP\r\n", 250).await;
}

#[tokio::test]
async fn errors_are_counted_over_all_sessions_of_a_source() {
    let limits = Limits { errors_per_minute_max: 3, ..Limits::default() };
    let mut server = Server::start(strangers(limits)).await;
    for _ in 0..2 {
        let mut client = Client::introduced(server.address).await;
        client.ask("BOO\r\n", 500).await;
    }
    let mut client = Client::introduced(server.address).await;
    client.ask("BOO\r\n", 500).await;
    client.ask("BOO\r\n", 500).await;
    assert!(client.rest().await.starts_with("421 4.7.0"));
    server.event(|event| *event == Event::SourceBanned(Offence::Error)).await;
}

#[tokio::test]
async fn handshakes_that_fail_are_errors_too() {
    let limits = Limits { errors_per_minute_max: 1, ..Limits::default() };
    let config = Config { tls: Some(tls().server), implicit_tls: true, ..strangers(limits) };
    let mut server = Server::start(config).await;
    for _ in 0..2 {
        let mut client = Client::new(TcpStream::connect(server.address).await.unwrap());
        client.say("EHLO in the clear\r\n").await;
        server.event(|event| *event == Event::SessionClosed(Closed::TlsFailed)).await;
    }
    let _third = TcpStream::connect(server.address).await.unwrap();
    server.event(|event| *event == Event::SessionRefused(Refused::Banned)).await;
}

#[tokio::test]
async fn a_guesser_of_passwords_waits_longer_each_time_and_is_then_banned() {
    let tls = tls();
    let limits = Limits { auth_failures_max: 2, ..Limits::default() };
    let config = Config { tls: Some(tls.server.clone()), implicit_tls: true, ..strangers(limits) };
    let auth = Mechanism::ALL.into();
    let mut server = Server::start(Config { role: Role::Submission, auth, ..config }).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut client = shake_hands(&tls, Client::new(stream)).await;
    client.expect(220).await;
    client.ask("EHLO laptop.globex.example\r\n", 250).await;
    for least in [500, 1_000, 2_000] {
        let asked = Instant::now();
        client.ask("AUTH PLAIN AGFsaWNlAGNyYXlvbg==\r\n", 535).await;
        assert!(asked.elapsed() >= Duration::from_millis(least), "{:?}", asked.elapsed());
    }
    assert!(client.rest().await.starts_with("421 4.7.0"));
    server.event(|event| *event == Event::SourceBanned(Offence::WrongPassword)).await;
    let _again = TcpStream::connect(server.address).await.unwrap();
    server.event(|event| *event == Event::SessionRefused(Refused::Banned)).await;
}

#[tokio::test]
async fn memory_that_is_nearly_used_up_keeps_newcomers_out_and_harms_nobody_inside() {
    let premises = Premises::new(10_000, 10);
    let mut server = Server::start_with_closed_gate(premises.clone(), config()).await;
    let mut inside = Client::introduced(server.address).await;
    let mut sender = Client::in_data(server.address).await;
    sender.say("0123456789abcdef".repeat(590) + "\r\n.\r\n").await; // 9,440 of 10,000 octets
    server.house.is_asked().await;

    let other_door = Server::start_in(premises, config()).await;
    assert!(greeting(&server).await.starts_with("421 4.3.1"));
    assert!(greeting(&other_door).await.starts_with("421 4.3.1"), "the memory is that of all listeners");
    server.event(|event| *event == Event::SessionRefused(Refused::MemoryShort)).await;
    inside.ask("MAIL FROM:<> SIZE=6000\r\n", 452).await;
    inside.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\n").await;
    for code in [250, 250, 354] {
        inside.expect(code).await;
    }
    inside.say("small\r\n.\r\n").await;
    server.house.is_asked().await;

    server.house.open_gate(2);
    sender.expect(250).await;
    inside.expect(250).await;
    assert!(greeting(&server).await.starts_with("220"));
}
