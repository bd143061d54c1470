//! Whatever comes, the server stays.

use std::time::Duration;

use smtp::server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::house::{Server, config, config_with};

/// A small deterministic generator (xorshift64): failures replay.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 32) as u8).collect()
    }
}

#[tokio::test]
async fn random_garbage_harms_nobody() {
    let server = Server::start(config()).await;
    let mut noise = Noise(0x5eed);
    for round in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if round % 2 == 0 {
            let begin = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
            stream.write_all(begin).await.unwrap();
        }
        let length = (noise.next() % 5_000) as usize;
        let _ = stream.write_all(&noise.octets(length)).await; // the server may have hung up already
        let _ = stream.shutdown().await;
        let mut replies = Vec::new();
        let _ =
            tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut replies)).await.unwrap();
        assert!(replies.starts_with(b"220 "));
    }
    assert!(server.house.kept().is_empty());
    Client::introduced(server.address).await.ask("QUIT\r\n", 221).await;
    server.stop().await;
}

#[tokio::test]
async fn clients_that_vanish_anywhere_leave_nothing_behind() {
    let server = Server::start(config()).await;
    let whole = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n";
    for length in 0..whole.len() {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&whole[..length]).await.unwrap();
    }
    let house = server.house.clone();
    server.stop().await; // returns only when every session is over
    assert!(house.kept().is_empty(), "a message without its end is no message");
}

#[tokio::test]
async fn a_control_character_anywhere_in_a_command_refuses_it() {
    let server = Server::start(config_with(Limits { errors_max: 1_000, ..Limits::default() })).await;
    let mut client = Client::introduced(server.address).await;
    let controls = (0..=0x1f).chain([0x7f]).filter(|&octet| octet != b'\r' && octet != b'\n');
    for octet in controls {
        for command in
            ["?NOOP", "NO?OP", "MAIL FROM:<a?@b.example>", "RCPT TO:<c@d.example> NOTIFY=?", "EHLO x?"]
        {
            let line: Vec<u8> = command.bytes().map(|b| if b == b'?' { octet } else { b }).collect();
            let reply = client.ask([line.as_slice(), b"\r\n"].concat(), 500).await;
            assert!(reply.contains("5.5.2 control character"), "{octet:#x} in {command}: {reply}");
        }
    }
    client.ask("NOOP\r\n", 250).await;
}
