//! A bare SMTP client for tests: says what it is told, exactly, and shows what came back.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::site::PATIENCE;

/// One SMTP connection.
pub struct Talk {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Talk {
    /// Connects, reads the greeting and says EHLO.
    pub fn to(server: SocketAddr) -> Self {
        let mut talk = Self::unannounced(server);
        talk.say("EHLO client.test");
        talk
    }

    /// Connects and reads the greeting.
    pub fn unannounced(server: SocketAddr) -> Self {
        Self::connect(server).expect("the SMTP port")
    }

    /// As [`Talk::to`], or `None` if nobody listens or greets.
    pub fn try_to(server: SocketAddr) -> Option<Self> {
        let mut talk = Self::connect(server).ok()?;
        talk.try_say("EHLO client.test").map(|_| talk)
    }

    fn connect(server: SocketAddr) -> std::io::Result<Self> {
        let writer = TcpStream::connect(server)?;
        writer.set_read_timeout(Some(PATIENCE))?;
        writer.set_nodelay(true)?;
        let mut talk = Self { reader: BufReader::new(writer.try_clone()?), writer };
        talk.reply();
        Ok(talk)
    }

    /// One command and its reply.
    pub fn say(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// One command and its reply; `None` if the server is gone.
    pub fn try_say(&mut self, command: &str) -> Option<String> {
        self.try_send(format!("{command}\r\n").as_bytes()).ok()?;
        Some(self.reply()).filter(|reply| !reply.is_empty())
    }

    /// A whole transaction with one recipient; `None` if the server is gone before its final word.
    pub fn try_mail(&mut self, from: &str, to: &str, octets: &[u8]) -> Option<String> {
        for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()] {
            let reply = self.try_say(&command)?;
            if !reply.starts_with(['2', '3']) {
                return Some(reply);
            }
        }
        self.try_send(&stuffed(octets)).ok()?;
        Some(self.reply()).filter(|reply| !reply.is_empty())
    }

    /// Octets as they are.
    pub fn send(&mut self, octets: &[u8]) {
        self.writer.write_all(octets).expect("the server reads");
    }

    /// Octets as they are; an error means that the server is gone, which some tests expect.
    pub fn try_send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(octets)
    }

    /// One reply, its lines joined by `\n`; empty when the server has closed.
    pub fn reply(&mut self) -> String {
        let mut whole = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap_or(0) == 0 {
                return whole;
            }
            whole.push_str(line.trim_end());
            if line.as_bytes().get(3) != Some(&b'-') {
                return whole;
            }
            whole.push('\n');
        }
    }

    /// A whole transaction; the reply is the first refusal or the answer to the final dot.
    pub fn mail(&mut self, from: &str, to: &[&str], octets: &[u8]) -> String {
        let reply = self.say(&format!("MAIL FROM:<{from}> BODY=8BITMIME"));
        if !reply.starts_with("250") {
            return reply;
        }
        for recipient in to {
            let reply = self.say(&format!("RCPT TO:<{recipient}>"));
            if !reply.starts_with("250") {
                self.say("RSET");
                return reply;
            }
        }
        let reply = self.say("DATA");
        if !reply.starts_with("354") {
            return reply;
        }
        self.send(&stuffed(octets));
        self.reply()
    }
}

/// Sends one mail in a connection of its own.
pub fn submit(server: SocketAddr, from: &str, to: &[&str], octets: &[u8]) -> String {
    let mut talk = Talk::to(server);
    let reply = talk.mail(from, to, octets);
    talk.say("QUIT");
    reply
}

/// Sends one mail, which must be accepted; gives its queue id.
pub fn submitted(server: SocketAddr, from: &str, to: &[&str], octets: &[u8]) -> String {
    let reply = submit(server, from, to, octets);
    assert!(reply.starts_with("250 "), "not accepted: {reply}");
    reply.rsplit(' ').next().expect("a queue id").to_owned()
}

/// Sends one mail with parameters of `MAIL FROM` and `RCPT TO` (RFC 3461), which must be accepted; gives its queue id.
pub fn submitted_asking(
    server: SocketAddr,
    (from, asked): (&str, &str),
    to: &[(&str, &str)],
    octets: &[u8],
) -> String {
    let mut talk = Talk::to(server);
    let mut say = |command: String| {
        let reply = talk.say(&command);
        assert!(reply.starts_with(['2', '3']), "{command}: {reply}");
    };
    say(format!("MAIL FROM:<{from}> {asked}").trim_end().to_owned());
    to.iter().for_each(|(to, asked)| say(format!("RCPT TO:<{to}> {asked}").trim_end().to_owned()));
    say("DATA".to_owned());
    talk.send(&stuffed(octets));
    let reply = talk.reply();
    assert!(reply.starts_with("250 "), "not accepted: {reply}");
    reply.rsplit(' ').next().expect("a queue id").to_owned()
}

/// A plain mail from alice to bob with a Message-ID of its own.
pub fn letter(message_id: &str, text: &str) -> Vec<u8> {
    format!(
        "From: Alice <alice@acme.test>\r\nTo: Bob <bob@globex.test>\r\nSubject: A letter\r\n\
         Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <{message_id}>\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

/// What was delivered, without the trace headers that the gateways and the mail server prepended (RFC 5321 §4.4).
pub fn without_trace(delivered: &[u8]) -> &[u8] {
    let mut rest = delivered;
    loop {
        let traced = [
            "X-DCCP-Status:",
            "Authentication-Results: gateway.",
            // RFC 8617 §4.1: the seal of a gateway that took the mail from outside.
            "ARC-Seal:",
            "ARC-Message-Signature:",
            "ARC-Authentication-Results:",
            "Received:",
            "Return-Path:",
            "Delivered-To:",
            "X-Original-To:",
        ];
        if !traced.iter().any(|name| rest.starts_with(name.as_bytes())) {
            return rest;
        }
        let mut end = 0;
        loop {
            let line =
                rest[end..].iter().position(|&octet| octet == b'\n').map_or(rest.len(), |at| end + at + 1);
            end = line;
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        rest = &rest[end..];
    }
}

/// RFC 5321 §4.5.2, with the final dot.
fn stuffed(octets: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(octets.len() + 64);
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !octets.is_empty() && !octets.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}
