//! An orderly end: nothing promised is broken, nothing new is begun.

use smtp::server::{Closed, Event, Limits, Premises};

use crate::client::Client;
use crate::house::{Server, config, config_with};

#[tokio::test]
async fn waiting_clients_are_told_421_and_the_server_ends() {
    let mut server = Server::start(config()).await;
    let mut idle = Client::introduced(server.address).await;
    let mut between = Client::introduced(server.address).await;
    between.ask("MAIL FROM:<>\r\n", 250).await;
    server.stop.cancel();
    assert!(idle.rest().await.starts_with("421 4.3.2"));
    assert!(between.rest().await.starts_with("421 4.3.2"));
    server.event(|event| *event == Event::SessionClosed(Closed::Stopped)).await;
    drop((idle, between));
    server.stop().await;
}

#[tokio::test]
async fn a_message_on_its_way_is_still_taken_and_answered() {
    let server = Server::start_with_closed_gate(Premises::default(), config()).await;
    let mut sending = Client::in_data(server.address).await;
    sending.say("Subject: x\r\n").await;
    let mut thinking = Client::in_data(server.address).await;
    thinking.say("Subject: y\r\n.\r\n").await;
    server.house.is_asked().await;
    server.stop.cancel();
    sending.say("\r\nlate but welcome\r\n.\r\nMAIL FROM:<>\r\n").await;
    server.house.is_asked().await;
    server.house.open_gate(2);
    sending.expect(250).await;
    sending.expect(421).await;
    thinking.expect(250).await;
    thinking.expect(421).await;
    drop((sending, thinking));
    let house = server.house.clone();
    server.stop().await;
    assert_eq!(house.kept().len(), 2);
}

#[tokio::test]
async fn a_message_that_does_not_come_to_its_end_does_not_hold_up_the_shutdown() {
    let server = Server::start(config_with(Limits { drain_s_max: 0, ..Limits::default() })).await;
    let mut client = Client::in_data(server.address).await;
    client.say("Subject: never ends\r\n").await;
    server.stop.cancel();
    assert!(client.rest().await.starts_with("421 4.3.2"));
    drop(client);
    let house = server.house.clone();
    server.stop().await;
    assert!(house.kept().is_empty());
}
