//! Everything has an end.

use std::time::Duration;

use smtp::server::{Closed, Event, Limits, Premises, Refused};
use tokio::io::AsyncWriteExt as _;

use crate::client::Client;
use crate::house::{Server, config, config_with};

#[tokio::test]
async fn an_oversize_message_is_read_to_its_end_and_refused_with_both_numbers() {
    let mut server = Server::start(config()).await;
    let mut client = Client::in_data(server.address).await;
    let line = "x".repeat(98) + "\r\n";
    client.say(line.repeat(30_000)).await;
    let reply = client.ask(".\r\n", 552).await;
    assert!(reply.contains("5.3.4") && reply.contains("3000000") && reply.contains("1048576"), "{reply}");
    server.event(|event| *event == Event::MessageTooLarge).await;
    client.ask("MAIL FROM:<> SIZE=1048577\r\n", 552).await;
    client.ask("MAIL FROM:<> SIZE=1048576\r\n", 250).await;
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn a_slow_sender_is_cut_by_the_data_rate_floor() {
    let limits = Limits { data_rate_floor: 1_000_000, data_grace_s: 0, ..Limits::default() };
    let mut server = Server::start(config_with(limits)).await;
    let mut client = Client::in_data(server.address).await;
    client.say("a few octets\r\n").await;
    assert!(client.rest().await.starts_with("421 4.4.2"));
    server.event(|event| *event == Event::SessionClosed(Closed::TooSlow)).await;
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn a_silent_client_is_cut() {
    let mut server = Server::start(config_with(Limits { idle_s_max: 1, ..Limits::default() })).await;
    let mut client = Client::introduced(server.address).await;
    client.say("NOO").await;
    assert!(client.rest().await.starts_with("421 4.4.2"));
    server.event(|event| *event == Event::SessionClosed(Closed::Idle)).await;
}

#[tokio::test]
async fn one_source_gets_only_its_share_of_places_and_a_free_place_is_given_again() {
    let mut server = Server::start(config_with(Limits { per_source_max: 2, ..Limits::default() })).await;
    let mut first = Client::connect(server.address).await;
    let _second = Client::connect(server.address).await;
    let mut third = Client::new(tokio::net::TcpStream::connect(server.address).await.unwrap());
    assert!(third.rest().await.starts_with("421 4.7.0"));
    server.event(|event| *event == Event::SessionRefused(Refused::SourceFull)).await;
    first.ask("QUIT\r\n", 221).await;
    drop(first);
    server.event(|event| *event == Event::SessionClosed(Closed::Quit)).await;
    while !connects(&server).await {}
}

/// Whether a connection is let in.
async fn connects(server: &Server) -> bool {
    let mut client = Client::new(tokio::net::TcpStream::connect(server.address).await.unwrap());
    client.reply().await.starts_with("220")
}

#[tokio::test]
async fn a_full_server_says_so() {
    let mut server = Server::start(config_with(Limits { sessions_max: 1, ..Limits::default() })).await;
    let _first = Client::connect(server.address).await;
    let mut second = Client::new(tokio::net::TcpStream::connect(server.address).await.unwrap());
    assert!(second.rest().await.starts_with("421 4.3.2"));
    server.event(|event| *event == Event::SessionRefused(Refused::Full)).await;
}

#[tokio::test]
async fn too_many_errors_are_answered_before_the_connection_ends() {
    let mut server = Server::start(config()).await;
    let mut client = Client::introduced(server.address).await;
    client.say("BOO\r\n".repeat(100_000)).await; // far more than the server reads before it is fed up
    let rest = client.rest().await;
    assert_eq!(rest.matches("500 5.5.1").count(), 21);
    assert!(rest.ends_with("421 4.7.0 gw.acme.example: too many errors, closing the connection\r\n"));
    server.event(|event| *event == Event::SessionClosed(Closed::Unwelcome)).await;
}

#[tokio::test]
async fn a_message_beyond_the_memory_budget_is_put_off_until_the_house_has_answered_others() {
    let mut server = Server::start_with_closed_gate(Premises::new(10_000, 10), config()).await;
    let body = "0123456789abcdef".repeat(375) + "\r\n.\r\n"; // 6,000 octets
    let mut first = Client::in_data(server.address).await;
    first.say(&body).await;
    server.house.is_asked().await;

    let mut second = Client::in_data(server.address).await;
    let reply = second.ask(&body, 452).await;
    assert!(reply.contains("4.3.1"), "{reply}");
    server.event(|event| *event == Event::MemoryExhausted).await;
    second.ask("MAIL FROM:<> SIZE=6000\r\n", 452).await;

    server.house.open_gate(2);
    first.expect(250).await;
    second.say("MAIL FROM:<> SIZE=6000\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\n").await;
    for code in [250, 250, 354] {
        second.expect(code).await;
    }
    second.ask(&body, 250).await;
    assert_eq!(server.house.kept().len(), 2);
}

#[tokio::test]
async fn while_the_house_thinks_a_client_cannot_push_more_into_memory_and_others_go_on() {
    let server = Server::start_with_closed_gate(Premises::default(), config()).await;
    let mut pusher = Client::in_data(server.address).await;
    pusher.say("first\r\n.\r\n").await;
    server.house.is_asked().await;
    let flood = vec![b'x'; 64 * 1024 * 1024];
    let pushed = tokio::time::timeout(Duration::from_millis(300), pusher.stream.write_all(&flood)).await;
    assert!(pushed.is_err(), "the socket must push back");

    let mut other = Client::in_data(server.address).await;
    other.say("second\r\n.\r\n").await;
    server.house.is_asked().await;
    server.house.open_gate(2);
    other.expect(250).await;
    pusher.expect(250).await;
}

#[tokio::test]
async fn a_panic_in_the_house_costs_one_session_and_its_place_is_free_again() {
    let mut server = Server::start(config_with(Limits { sessions_max: 1, ..Limits::default() })).await;
    let mut client = Client::introduced(server.address).await;
    client.ask("MAIL FROM:<>\r\n", 250).await;
    client.say("RCPT TO:<panic@globex.example>\r\n").await;
    assert_eq!(client.rest().await, "");
    server.event(|event| *event == Event::SessionClosed(Closed::Lost)).await;
    while !connects(&server).await {}
}

#[tokio::test]
async fn a_hundred_thousand_recipients_are_counted_and_the_rest_of_the_flood_is_turned_away() {
    let server = Server::start(config()).await;
    let mut client = Client::introduced(server.address).await;
    client.ask("MAIL FROM:<>\r\n", 250).await;
    client.say("RCPT TO:<bob@globex.example>\r\n".repeat(100_000)).await;
    let rest = client.rest().await;
    let limits = Limits::default();
    assert_eq!(rest.matches("250 2.1.5").count(), limits.recipients_max);
    assert!(rest.matches("452 4.5.3").count() <= limits.commands_max as usize);
    assert!(rest.ends_with(
        "421 4.7.0 gw.acme.example: too many commands without a message, closing the connection\r\n"
    ));
}

#[tokio::test]
async fn a_hundred_thousand_recipients_are_taken_where_that_is_the_limit() {
    const RECIPIENTS: usize = 100_000;
    let server = Server::start(config_with(Limits { recipients_max: RECIPIENTS, ..Limits::default() })).await;
    let mut client = Client::introduced(server.address).await;
    client.ask("MAIL FROM:<>\r\n", 250).await;
    for _ in 0..RECIPIENTS / 1_000 {
        client.say("RCPT TO:<bob@globex.example> NOTIFY=NEVER\r\n".repeat(1_000)).await;
        for _ in 0..1_000 {
            client.expect(250).await;
        }
    }
    client.ask("DATA\r\n", 354).await;
    client.ask("hi\r\n.\r\n", 250).await;
    assert_eq!(server.house.kept()[0].to.len(), RECIPIENTS);
}
