//! A client that says exactly the octets it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that owes a reply for so long will never give it; a test must fail then, not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    heard: Vec<u8>,
}

impl Client {
    /// Connects and takes the greeting.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap(); // pieces travel as they are said
        let mut client = Self::new(stream);
        assert_eq!(client.reply().await, "220 gw.acme.example ESMTP ready\r\n");
        client
    }

    /// Connects, takes the greeting, says EHLO.
    pub(crate) async fn introduced(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        client.ask("EHLO mx.acme.example\r\n", 250).await;
        client
    }

    /// Everything up to the `354`.
    pub(crate) async fn in_data(address: SocketAddr) -> Self {
        let mut client = Self::introduced(address).await;
        client.ask("MAIL FROM:<alice@acme.example>\r\n", 250).await;
        client.ask("RCPT TO:<bob@globex.example>\r\n", 250).await;
        client.ask("DATA\r\n", 354).await;
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, heard: Vec::new() }
    }

    pub(crate) async fn say(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Says it and expects a reply with this code.
    pub(crate) async fn ask(&mut self, octets: impl AsRef<[u8]>, code: u16) -> String {
        self.say(octets).await;
        self.expect(code).await
    }

    pub(crate) async fn expect(&mut self, code: u16) -> String {
        let reply = self.reply().await;
        assert!(reply.starts_with(&code.to_string()), "expected {code}, got {reply:?}");
        reply
    }

    /// One whole reply with all its lines; empty at the end of the connection.
    pub(crate) async fn reply(&mut self) -> String {
        timeout(PATIENCE, self.lines_of_a_reply()).await.expect("a reply in time")
    }

    async fn lines_of_a_reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let Some(end) = self.heard.windows(2).position(|two| two == b"\r\n") else {
                if self.stream.read_buf(&mut self.heard).await.expect("no reset: it may cost replies") == 0 {
                    return reply;
                }
                continue;
            };
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            reply.push_str(str::from_utf8(&line).unwrap());
            if line.get(3) == Some(&b' ') {
                return reply;
            }
        }
    }

    /// Everything until the server hangs up.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        loop {
            let reply = self.reply().await;
            if reply.is_empty() {
                return rest;
            }
            rest.push_str(&reply);
        }
    }
}
