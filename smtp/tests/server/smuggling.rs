//! Bare line ends: whoever believes in them sees another mail than we do.

use smtp::server::Event;

use crate::client::Client;
use crate::house::{Server, config};

const SMUGGLED: &str = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nsmuggled\r\n";

#[tokio::test]
async fn no_false_end_ends_a_message_or_lets_a_part_of_it_through() {
    let mut server = Server::start(config()).await;
    for end in ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\n\n.\n\n", "\r\n\n.\r\n"] {
        let mut client = Client::in_data(server.address).await;
        client.say(format!("Subject: x\r\n\r\ntext{end}{SMUGGLED}.\r\n")).await;
        let reply = client.expect(554).await;
        assert!(reply.contains("5.6.0") && reply.contains("bare LF"), "{end:?}: {reply}");
        client.ask("QUIT\r\n", 221).await;
        assert_eq!(client.rest().await, "", "{end:?}: nothing else was answered");
        server.event(|event| *event == Event::BareLineEnd { in_message: true }).await;
    }
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn a_false_end_at_the_edge_of_two_packets_changes_nothing() {
    let server = Server::start(config()).await;
    for pieces in [["text\r", "\n.\n"], ["text\n.", "\r\n"], ["text\r\n.", "\n"], ["text\r\n.\r", "x"]] {
        let mut client = Client::in_data(server.address).await;
        for piece in pieces {
            client.say(piece).await;
            tokio::task::yield_now().await;
        }
        client.say(format!("{SMUGGLED}.\r\n")).await;
        client.expect(554).await;
        client.ask("NOOP\r\n", 250).await;
    }
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn a_bare_line_end_never_makes_two_commands_of_one() {
    let mut server = Server::start(config()).await;
    let mut client = Client::introduced(server.address).await;
    client.ask("MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\r\n", 500).await;
    server.event(|event| *event == Event::BareLineEnd { in_message: false }).await;
    client.ask("RSET\rRSET\r\n", 500).await;
    client.ask("NO\0OP\r\n", 500).await;
    client.ask("RCPT TO:<c@d.example>\r\n", 503).await;
}

#[tokio::test]
async fn the_next_message_after_a_refused_one_is_welcome() {
    let server = Server::start(config()).await;
    let mut client = Client::in_data(server.address).await;
    client.ask("bare\nline\r\n.\r\n", 554).await;
    client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nSubject: good\r\n.\r\n").await;
    for code in [250, 250, 354, 250] {
        client.expect(code).await;
    }
    assert_eq!(server.house.kept().len(), 1);
}
