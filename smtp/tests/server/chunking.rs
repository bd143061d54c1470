//! BDAT (RFC 3030) over sockets.

use smtp::server::{Closed, Event, Limits};

use crate::client::Client;
use crate::house::{Server, config, config_with};

#[tokio::test]
async fn a_whole_session_in_chunks_and_one_write_is_answered_in_order() {
    let server = Server::start(config()).await;
    let mut client = Client::connect(server.address).await;
    client
        .say(
            "EHLO mx.acme.example\r\nMAIL FROM:<alice@acme.example>\r\nRCPT TO:<bob@globex.example>\r\n\
             BDAT 14\r\nSubject: x\r\n\r\nBDAT 7 LAST\r\n.\r\n..\r\nQUIT\r\n",
        )
        .await;
    for code in [250, 250, 250, 250, 250, 221] {
        client.expect(code).await;
    }
    assert_eq!(client.rest().await, "");
    let [mail] = &server.house.kept()[..] else { panic!("one mail") };
    assert_eq!(mail.octets.as_ref(), b"Subject: x\r\n\r\n.\r\n..\r\n");
    server.stop().await;
}

#[tokio::test]
async fn a_large_mail_arrives_whole_however_its_chunks_are_cut() {
    let server = Server::start(config()).await;
    let message: Vec<u8> = (0..20_000u32).flat_map(|n| format!(".{n}\r\n").into_bytes()).collect();
    let mut client = Client::introduced(server.address).await;
    client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\n").await;
    for code in [250, 250] {
        client.expect(code).await;
    }
    for chunk in message.chunks(1_021) {
        client.say([format!("BDAT {}\r\n", chunk.len()).as_bytes(), chunk].concat()).await;
    }
    client.say("BDAT 0 LAST\r\n").await;
    for _ in 0..=message.chunks(1_021).count() {
        client.expect(250).await;
    }
    assert_eq!(server.house.kept()[0].octets, message);
}

#[tokio::test]
async fn commands_hidden_in_a_chunk_are_never_obeyed() {
    let server = Server::start(config()).await;
    let evil = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nsmuggled\r\n.\r\n";
    let mut client = Client::introduced(server.address).await;
    client.say(format!("BDAT {} LAST\r\n{evil}NOOP\r\n", evil.len())).await;
    client.expect(503).await;
    client.expect(250).await;
    client
        .say(format!("MAIL FROM:<>\r\nRCPT TO:<nobody@globex.example>\r\nBDAT {}\r\n{evil}", evil.len()))
        .await;
    for code in [250, 550, 554] {
        client.expect(code).await;
    }
    client.say(format!("BDAT {0}\r\n{evil}", evil.len()).replace("BDAT ", "BDAT x")).await;
    client.expect(501).await;
    assert!(client.rest().await.starts_with("421 4.5.0"), "nothing behind an unread count is a command");
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn who_pauses_between_chunks_holds_memory_no_longer_than_who_drips() {
    let limits = Limits { data_rate_floor: 1_000_000, data_grace_s: 0, ..Limits::default() };
    let mut server = Server::start(config_with(limits)).await;
    let mut client = Client::introduced(server.address).await;
    client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nBDAT 2\r\n\r\n").await;
    for code in [250, 250, 250] {
        client.expect(code).await;
    }
    assert!(client.rest().await.starts_with("421 4.4.2"));
    server.event(|event| *event == Event::SessionClosed(Closed::TooSlow)).await;
    assert!(server.house.kept().is_empty());
}

#[tokio::test]
async fn a_message_in_chunks_is_finished_before_the_server_stops() {
    let server = Server::start(config()).await;
    let mut client = Client::introduced(server.address).await;
    client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nBDAT 6\r\nhalf\r\n").await;
    for code in [250, 250, 250] {
        client.expect(code).await;
    }
    server.stop.cancel();
    client.ask("BDAT 0 LAST\r\n", 250).await;
    assert!(client.rest().await.starts_with("421 4.3.2"));
    assert_eq!(server.house.kept().len(), 1);
}
