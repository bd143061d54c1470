//! A server that follows a script, one per connection, over real TCP.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use aws_lc_rs::{hmac, pbkdf2};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use smtp::client::{Envelope, Pool, Protocol, Target, Timeouts};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// No test may hang for longer than this.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the server does next.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes this as it is.
    Say(String),
    /// Writes these octets, which are no text.
    SayOctets(&'static [u8]),
    /// Reads one line, which must start like this.
    Read(&'static str),
    /// The same, and nothing may have come with it.
    ReadAlone(&'static str),
    /// Reads mail data up to CRLF.CRLF, with which the client must pause.
    ReadMessage,
    /// Reads this many octets.
    ReadOctets(usize),
    /// Closes the writing half and goes on reading.
    HalfClose,
    /// Resets the connection.
    Abort,
    /// Does nothing until the client hangs up.
    Hang,
    /// Says this again and again, slowly, until the client hangs up.
    Trickle(&'static str),
    /// Lets the test go on.
    Tell(Arc<Notify>),
    /// Waits for the test.
    Await(Arc<Notify>),
    /// Answers the first message of SCRAM-SHA-256, in the line before, as one who knows this password, and proves it
    /// to whatever the client's last message is.
    AnswerScram(&'static str),
    /// Shakes hands with this certificate.
    Secure(Arc<rustls::ServerConfig>),
    /// The same, and the client breaks it off.
    FailToSecure(Arc<rustls::ServerConfig>),
}

pub(crate) fn say(text: impl Into<String>) -> Step {
    Step::Say(text.into() + "\r\n")
}

pub(crate) use Step::{
    Abort, AnswerScram, Await, FailToSecure, HalfClose, Hang, Read, ReadAlone, ReadMessage, ReadOctets, Say,
    SayOctets, Secure, Tell, Trickle,
};

/// Greeting and EHLO or LHLO with these keywords.
pub(crate) fn session(keywords: &[&str]) -> Vec<Step> {
    [vec![say("220 mx.corp.test")], introduction(keywords)].concat()
}

/// The same with STARTTLS, up to the point where hands are to be shaken.
pub(crate) fn session_to_tls() -> Vec<Step> {
    [session(&["STARTTLS"]), vec![ReadAlone("STARTTLS"), say("220 go")]].concat()
}

/// A session with these keywords after STARTTLS.
pub(crate) fn secured_session(tls: &Arc<rustls::ServerConfig>, keywords: &[&str]) -> Vec<Step> {
    [session_to_tls(), vec![Secure(tls.clone())], introduction(keywords)].concat()
}

/// EHLO or LHLO with these keywords.
pub(crate) fn introduction(keywords: &[&str]) -> Vec<Step> {
    let mut lines = vec!["mx.corp.test".to_owned()];
    lines.extend(keywords.iter().map(|keyword| (*keyword).to_owned()));
    let last = lines.len() - 1;
    let reply: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| format!("250{}{line}", if at == last { ' ' } else { '-' }))
        .collect();
    vec![Read(""), say(reply.join("\r\n"))]
}

/// MAIL, one RCPT, DATA and the message, each accepted.
pub(crate) fn accepted_mail() -> Vec<Step> {
    [
        commands_to_data(),
        vec![say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go"), ReadMessage, say("250 2.0.0 kept")],
    ]
    .concat()
}

/// The three commands of a pipelined mail to one recipient, before any reply.
pub(crate) fn commands_to_data() -> Vec<Step> {
    vec![Read("MAIL FROM:"), Read("RCPT TO:"), Read("DATA")]
}

pub(crate) struct Server {
    pub(crate) address: String,
    task: JoinHandle<Vec<String>>,
}

impl Server {
    /// Serves one connection after the other; the n-th follows the n-th script.
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        Self::start_at("127.0.0.1".parse().unwrap(), scripts).await
    }

    /// The same, at this address of this machine.
    pub(crate) async fn start_at(address: IpAddr, scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            let mut received = Vec::new();
            for script in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                received.push(follow(stream, script).await);
            }
            received
        });
        Self { address, task }
    }

    /// What each connection received, once all scripts are over.
    pub(crate) async fn received(self) -> Vec<String> {
        timeout(DEADLINE, self.task).await.expect("a script is not over").expect("a script was not followed")
    }

    pub(crate) fn pool(&self, protocol: Protocol) -> Pool {
        self.pool_with(protocol, |_| {})
    }

    pub(crate) fn pool_with(&self, protocol: Protocol, change: impl FnOnce(&mut Target)) -> Pool {
        // Shorter than a script may take, so that a test fails with the error of the client.
        let wait = DEADLINE / 2;
        let timeouts = Timeouts {
            connect: wait,
            greeting: wait,
            command: wait,
            data_start: wait,
            data_block: wait,
            data_end: wait,
            ..Timeouts::default()
        };
        let mut target = Target { timeouts, ..Target::new(protocol, &self.address, "gw.acme.test") };
        change(&mut target);
        Pool::new(target)
    }
}

/// An address of this machine that is not the loopback, if it has one. Asks the routing table, and nobody else.
pub(crate) fn outside_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // RFC 5737: documentation
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

pub(crate) fn envelope(forward_paths: &[&str]) -> Envelope {
    Envelope {
        reverse_path: "alice@acme.test".into(),
        forward_paths: forward_paths.iter().map(|path| (*path).to_owned()).collect(),
        ..Envelope::default()
    }
}

async fn follow(stream: TcpStream, script: Vec<Step>) -> String {
    stream.set_nodelay(true).unwrap(); // what is said leaves at once
    let mut peer = Peer { stream: Stream::Clear(stream), waiting: Vec::new(), received: String::new() };
    for step in script {
        match step {
            Step::Say(text) => peer.stream.write_all(text.as_bytes()).await.unwrap(),
            Step::SayOctets(octets) => peer.stream.write_all(octets).await.unwrap(),
            Step::Read(start) => peer.line(start).await,
            Step::ReadAlone(start) => {
                peer.line(start).await;
                assert!(peer.waiting.is_empty(), "sent ahead: {:?}", String::from_utf8_lossy(&peer.waiting));
            }
            Step::ReadMessage => {
                peer.until(|waiting| waiting.ends_with(b"\r\n.\r\n").then_some(waiting.len())).await
            }
            Step::ReadOctets(count) => peer.until(|waiting| (waiting.len() >= count).then_some(count)).await,
            Step::HalfClose => peer.stream.shutdown().await.unwrap(),
            Step::Hang => peer.rest().await,
            Step::Trickle(text) => {
                while peer.stream.write_all(text.as_bytes()).await.is_ok() {
                    sleep(Duration::from_millis(40)).await;
                }
            }
            Step::Tell(notify) => notify.notify_one(),
            Step::Await(notify) => notify.notified().await,
            Step::AnswerScram(password) => peer.answer_scram(password).await,
            Step::Secure(config) => {
                assert!(peer.waiting.is_empty(), "sent ahead: {:?}", String::from_utf8_lossy(&peer.waiting));
                let stream = TlsAcceptor::from(config).accept(peer.stream.clear()).await.unwrap();
                peer.stream = Stream::Secured(Box::new(stream));
            }
            Step::FailToSecure(config) => {
                let handshake = async {
                    let mut stream = TlsAcceptor::from(config).accept(peer.stream.clear()).await?;
                    // In TLS 1.3 the server is ready before the client has judged it.
                    stream.read_u8().await
                };
                assert!(handshake.await.is_err(), "the client went on");
                return peer.received;
            }
            Step::Abort => {
                peer.stream.clear().set_zero_linger().unwrap();
                return peer.received;
            }
        }
    }
    peer.received
}

/// The server's end of the connection.
enum Stream {
    Clear(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn clear(self) -> TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Secured(_) => panic!("a script secures a connection once"),
        }
    }

    async fn write_all(&mut self, octets: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.write_all(octets).await,
            Self::Secured(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
        }
    }

    async fn read_buf(&mut self, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read_buf(buffer).await,
            Self::Secured(stream) => stream.read_buf(buffer).await,
        }
    }

    async fn shutdown(&mut self) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.shutdown().await,
            Self::Secured(stream) => stream.shutdown().await,
        }
    }
}

struct Peer {
    stream: Stream,
    waiting: Vec<u8>,
    received: String,
}

impl Peer {
    async fn line(&mut self, start: &str) {
        let before = self.received.len();
        self.until(|waiting| find(waiting, b"\r\n").map(|at| at + 2)).await;
        let line = &self.received[before..];
        assert!(line.starts_with(start), "{line:?} where {start:?} was expected");
    }

    async fn until(&mut self, end: impl Fn(&[u8]) -> Option<usize>) {
        let end = loop {
            if let Some(end) = end(&self.waiting) {
                break end;
            }
            let read = self.stream.read_buf(&mut self.waiting).await.unwrap();
            assert!(read > 0, "the client hung up after {:?}", self.received);
        };
        let taken: Vec<u8> = self.waiting.drain(..end).collect();
        self.received += &String::from_utf8_lossy(&taken);
    }

    /// RFC 5802 §3, from the server's side and with the password itself.
    async fn answer_scram(&mut self, password: &str) {
        let mac =
            |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        let first = self.received.lines().last().unwrap().rsplit(' ').next().unwrap();
        let first = String::from_utf8(BASE64.decode(first).unwrap()).unwrap();
        let bare = first.strip_prefix("n,,").unwrap();
        let (_, nonce) = bare.split_once(",r=").unwrap();
        let question = format!("r={nonce}more,s={},i=4096", BASE64.encode("salt"));
        self.stream.write_all(format!("334 {}\r\n", BASE64.encode(&question)).as_bytes()).await.unwrap();
        self.line("").await;
        let last = self.received.lines().last().unwrap();
        let last = String::from_utf8(BASE64.decode(last).unwrap()).unwrap();
        let (without_proof, _) = last.rsplit_once(",p=").unwrap();
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(4096).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, b"salt", password.as_bytes(), &mut salted);
        let signature =
            mac(mac(&salted, "Server Key").as_ref(), &format!("{bare},{question},{without_proof}"));
        let proof = BASE64.encode(format!("v={}", BASE64.encode(signature)));
        self.stream.write_all(format!("334 {proof}\r\n").as_bytes()).await.unwrap();
    }

    async fn rest(&mut self) {
        // A reset is one way to hang up.
        while self.stream.read_buf(&mut self.waiting).await.is_ok_and(|read| read > 0) {}
        self.received += &String::from_utf8_lossy(&std::mem::take(&mut self.waiting));
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
