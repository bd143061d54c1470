//! People who submit mail: AUTH (RFC 4954) under STARTTLS.

use smtp::server::{Config, Event, Mechanism, Role};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::house::{Server, config};
use crate::tls::{Tls, shake_hands, tls};

/// `\0alice\0pencil`, whom the house knows.
const ALICE: &str = "AUTH PLAIN AGFsaWNlAHBlbmNpbA==\r\n";
const MAIL: &str = "MAIL FROM:<alice@acme.example>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nhi\r\n.\r\n";

async fn start(tls: &Tls) -> Server {
    let auth = Mechanism::ALL.into();
    let tls = Some(tls.server.clone());
    Server::start(Config { role: Role::Submission, tls, auth, ..config() }).await
}

async fn secured(tls: &Tls, server: &Server) -> Client<TlsStream<TcpStream>> {
    let mut plain = Client::introduced(server.address).await;
    plain.ask("STARTTLS\r\n", 220).await;
    let mut client = shake_hands(tls, plain).await;
    client.ask("EHLO laptop.acme.example\r\n", 250).await;
    client
}

#[tokio::test]
async fn a_mail_is_taken_from_who_has_authenticated_and_the_house_knows_who() {
    let tls = tls();
    let mut server = start(&tls).await;
    let mut client = secured(&tls, &server).await;
    client.ask("MAIL FROM:<alice@acme.example>\r\n", 530).await;
    client.say(format!("{ALICE}{MAIL}")).await;
    for code in [235, 250, 250, 354, 250] {
        client.expect(code).await;
    }
    let [mail] = &server.house.kept()[..] else { panic!("one mail") };
    assert_eq!((mail.client.user.as_deref(), mail.client.role), (Some("alice"), Role::Submission));
    let mechanism = Mechanism::Plain;
    server.event(|event| *event == Event::Authenticated { mechanism }).await;
    server.stop().await;
}

#[tokio::test]
async fn credentials_in_clear_text_reach_nobody() {
    let tls = tls();
    let server = start(&tls).await;
    let mut client = Client::introduced(server.address).await;
    let reply = client.ask(ALICE, 538).await;
    assert!(reply.contains("5.7.11"), "{reply}");
    client.ask("MAIL FROM:<alice@acme.example>\r\n", 530).await;
    // Injected behind STARTTLS they are void, and do not count under TLS.
    client.say(format!("STARTTLS\r\nEHLO evil.example\r\n{ALICE}")).await;
    client.expect(220).await;
    let mut client = shake_hands(&tls, client).await;
    client.ask("EHLO laptop.acme.example\r\n", 250).await;
    client.ask("MAIL FROM:<alice@acme.example>\r\n", 530).await;
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn what_is_pipelined_behind_a_failed_attempt_is_not_believed_either() {
    let tls = tls();
    let mut server = start(&tls).await;
    let mut client = secured(&tls, &server).await;
    client.say(format!("AUTH PLAIN AGFsaWNlAGNyYXlvbg==\r\n{MAIL}")).await;
    for code in [535, 530, 503, 503] {
        client.expect(code).await;
    }
    let mechanism = Mechanism::Plain;
    server.event(|event| *event == Event::AuthenticationFailed { mechanism }).await;
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn commands_are_responses_while_one_is_awaited() {
    let tls = tls();
    let server = start(&tls).await;
    let mut client = secured(&tls, &server).await;
    client.say("AUTH PLAIN\r\nMAIL FROM:<evil@x.example>\r\nNOOP\r\n").await;
    assert_eq!(client.expect(334).await, "334 \r\n");
    assert!(client.expect(501).await.contains("5.5.2"));
    client.expect(250).await;
}

#[tokio::test]
async fn a_challenge_is_never_the_same_twice() {
    let tls = tls();
    let server = start(&tls).await;
    let mut challenges = Vec::new();
    for _ in 0..2 {
        let mut client = secured(&tls, &server).await;
        challenges.push(client.ask("AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWFiYw==\r\n", 334).await); // n,,n=alice,r=abc
    }
    assert_ne!(challenges[0], challenges[1]);
}
