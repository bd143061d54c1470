//! RFC 2920, and that the octets are sacred.

use crate::client::Client;
use crate::house::{Server, config};

#[tokio::test]
async fn a_whole_session_in_one_write_is_answered_in_order() {
    let server = Server::start(config()).await;
    let mut client = Client::connect(server.address).await;
    client
        .say(
            "EHLO mx.acme.example\r\nMAIL FROM:<alice@acme.example> BODY=8BITMIME SIZE=20\r\n\
             RCPT TO:<bob@globex.example>\r\nRCPT TO:<nobody@globex.example>\r\nRCPT TO:<carol@globex.example>\r\n\
             DATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n",
        )
        .await;
    for code in [250, 250, 250, 550, 250, 354, 250, 221] {
        client.expect(code).await;
    }
    assert_eq!(client.rest().await, "");
    let [mail] = &server.house.kept()[..] else { panic!("one mail") };
    assert_eq!(mail.from.reverse_path.as_str(), "alice@acme.example");
    assert_eq!((mail.from.body_8bit, mail.from.size), (true, Some(20)));
    let to: Vec<&str> = mail.to.iter().map(|to| to.address.as_str()).collect();
    assert_eq!(to, ["bob@globex.example", "carol@globex.example"]);
    assert_eq!(mail.octets.as_ref(), b"Subject: x\r\n\r\nhi\r\n");
    assert!(mail.client.trusted && mail.client.esmtp);
    assert_eq!(mail.client.hello, "mx.acme.example");
    server.stop().await;
}

#[tokio::test]
async fn the_octets_arrive_exactly_as_they_were_sent() {
    let server = Server::start(config()).await;
    let mut message: Vec<u8> = (0..=255u8).filter(|b| !b"\r\n".contains(b)).collect();
    message.extend_from_slice(b"\r\n.\r\n..\r\n.x\r\n\r\n.\r\n");
    message.extend_from_slice(&[b'l'; 100_000]);
    message.extend_from_slice(b"\r\n");
    let mut wire = Vec::new();
    for line in message.split_inclusive(|&b| b == b'\n') {
        wire.extend_from_slice(if line.starts_with(b".") { b"." } else { b"" });
        wire.extend_from_slice(line);
    }
    let mut client = Client::in_data(server.address).await;
    client.say(wire).await;
    client.ask(".\r\n", 250).await;
    assert_eq!(server.house.kept()[0].octets, message);
}

#[tokio::test]
async fn many_mails_in_many_connections_all_arrive_once() {
    const CONNECTIONS: usize = 20;
    const MAILS: usize = 25;
    let server = Server::start(config()).await;
    let mut clients = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let address = server.address;
        clients.spawn(async move {
            let mut client = Client::introduced(address).await;
            for mail in 0..MAILS {
                client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\n").await;
                for code in [250, 250, 354] {
                    client.expect(code).await;
                }
                client.ask(format!("Subject: {connection}.{mail}\r\n\r\n.\r\n"), 250).await;
            }
            client.ask("QUIT\r\n", 221).await;
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let mut subjects: Vec<_> = server.house.kept().into_iter().map(|mail| mail.octets).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), CONNECTIONS * MAILS);
    server.stop().await;
}
