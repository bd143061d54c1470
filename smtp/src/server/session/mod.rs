//! One SMTP session as a state machine: octets in, replies and questions out.
//!
//! ```text
//! loop {
//!     let progress = session.step(&input);      // looks at the octets, says how many it is done with
//!     input.advance(progress.consumed);
//!     match progress.step {
//!         Step::Read                => write session.take_output(), read more into input
//!         Step::Mail | Recipient    => session.answer(the house's answer)
//!         Step::Message             => session.settle(the house's reply)
//!         Step::Authenticate        => session.authenticated(the house's answer)
//!         Step::Scram               => session.scram(the house's answer, random octets)
//!         Step::StartTls            => write, drop all input, handshake, session.secured(facts)
//!         Step::Close               => write, hang up
//!     }
//! }
//! ```
//!
//! Invariants: the replies and questions depend on the octets and the answers, never on how the octets were
//! cut into pieces; only CRLF ends a command, and only CRLF.CRLF a message that is not counted; at most one line, or
//! two octets of a message, are left unconsumed when the session asks to [`Step::Read`].

mod auth;
mod chunks;
mod command;
mod content;
mod input;
mod keep;
mod line;
mod messages;
mod order;
pub(super) mod replies;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use self::chunks::Chunks;
use self::content::Content;
use self::messages::Chunk;
use super::{Budget, Client, Closed, Config, Credentials, Event, Grant, MailFrom, RcptTo, Role, TlsFacts};
use crate::reply::Reply;
use crate::sasl::Exchange;

/// One session, from the greeting to the end.
pub struct Session {
    config: Arc<Config>,
    budget: Budget,
    client: Client,
    state: State,
    envelope: Option<Envelope>,
    output: Vec<u8>,
    events: Vec<Event>,
    lines: u64,
    commands: u32,
    errors: u32,
    auth_failures: u32,
    stopping: bool,
}

/// What the octets that come next are.
#[derive(Debug)]
enum State {
    /// A command line.
    Command,
    /// The rest of an overlong line, of which so many octets are gone; and what to say at its end.
    Overlong { skipped: usize, reply: Reply },
    /// The client's response in an authentication.
    Auth(Box<Exchange>),
    /// Nothing to look at before the house has answered in an authentication.
    AuthAsked(Box<Exchange>),
    /// Nothing to look at before the house has answered.
    Asked,
    /// A message, up to its final dot.
    Content(Box<Content>),
    /// So many octets of a message.
    Chunk(Box<Chunk>),
    /// Of no interest.
    Over(Closed),
}

/// A transaction the house has begun (RFC 5321 §3.3), as far as the session must know it.
#[derive(Debug)]
struct Envelope {
    size: Option<u64>,
    smtputf8: bool,
    asked: usize,
    accepted: usize,
    /// What came by BDAT so far.
    chunks: Option<Box<Chunks>>,
}

/// How far [`Session::step`] came.
#[derive(Debug)]
pub struct Progress {
    /// So many octets at the start of the input are done with.
    pub consumed: usize,
    /// What the session needs now.
    pub step: Step,
}

/// What the session needs to go on.
#[derive(Debug)]
pub enum Step {
    /// Write the output, then read more octets behind the unconsumed ones.
    Read,
    /// Ask the house for a transaction, then [`Session::answer`].
    Mail(MailFrom),
    /// Ask the house for a recipient, then [`Session::answer`].
    Recipient(RcptTo),
    /// Hand the message to the house, then [`Session::settle`].
    Message(Body),
    /// Ask the house who shows these credentials, then [`Session::authenticated`].
    Authenticate(Credentials),
    /// Ask the house for the keys of this user, then [`Session::scram`].
    Scram(String),
    /// Write the output, drop input that was read but not consumed, shake hands, then [`Session::secured`].
    StartTls,
    /// Write the output and hang up.
    Close,
}

/// A complete message and the memory it holds.
#[derive(Debug)]
pub struct Body {
    /// What the client sent, dot-unstuffed, to the octet, unless [`Event::LineEndsMended`] says otherwise.
    pub octets: Bytes,
    /// To be dropped when the house has answered.
    pub grant: Grant,
}

/// What a session that asked to [`Step::Read`] is waiting for; time limits depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// A command line; `seen` counts those before it.
    Command {
        /// Lines so far.
        seen: u64,
    },
    /// More of a message, of which so many octets are here; also the next chunk of one that has begun.
    Content {
        /// Octets so far, after unstuffing.
        octets: u64,
    },
}

impl Session {
    /// Begins with the greeting in the output. `proxy` is who brought the client that comes from `address`.
    #[must_use]
    pub fn new(config: Arc<Config>, budget: Budget, address: SocketAddr, proxy: Option<IpAddr>) -> Self {
        let trusted = config.trusts(address.ip(), proxy);
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let client = Client {
            role: config.role,
            address,
            proxy,
            hello: String::new(),
            tls: None,
            certificate: None,
            user: None,
            trusted,
            esmtp: false,
        };
        let mut session = Self {
            config,
            budget,
            client,
            state: State::Command,
            envelope: None,
            output: Vec::new(),
            events: Vec::new(),
            lines: 0,
            commands: 0,
            errors: 0,
            auth_failures: 0,
            stopping: false,
        };
        session.say(&replies::greeting(&session.config.hostname));
        session
    }

    /// Looks at the unconsumed input and goes on until it needs something.
    pub fn step(&mut self, input: &[u8]) -> Progress {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            let leaving = self.stopping && !self.in_chunks();
            let (used, step) = match &mut self.state {
                State::Command | State::Auth(_) if leaving => self.end(Closed::Stopped),
                State::Command => self.command_line(rest),
                State::Overlong { .. } => self.overlong_line(rest),
                State::Auth(_) => self.auth_line(rest),
                State::Content(content) => {
                    let (used, ended) = content.feed(rest);
                    (used, if ended { self.message_ended() } else { Some(Step::Read) })
                }
                State::Chunk(_) => self.chunk_octets(rest),
                State::Asked | State::AuthAsked(_) => (0, Some(Step::Read)), // not called before the answer
                State::Over(_) => (rest.len(), Some(Step::Close)),
            };
            consumed += used;
            if let Some(step) = step {
                return Progress { consumed, step };
            }
        }
    }

    /// The house's answer to [`Step::Mail`] or [`Step::Recipient`].
    pub fn answer(&mut self, answer: Result<(), Reply>) {
        self.state = State::Command;
        let Some(envelope) = &mut self.envelope else { return };
        let about_mail = envelope.asked == 0;
        match answer {
            Ok(()) if about_mail => self.say(&replies::sender_ok()),
            Ok(()) => {
                envelope.accepted += 1;
                self.say(&replies::recipient_ok());
            }
            Err(reply) => {
                if about_mail {
                    self.envelope = None;
                }
                let honest = reply.is_temporary() || reply.is_permanent();
                self.relay(if honest { reply } else { replies::house_confused() });
            }
        }
    }

    /// The house's reply to [`Step::Message`].
    pub fn settle(&mut self, reply: Reply) {
        self.state = State::Command;
        self.envelope = None;
        if reply.is_positive() {
            (self.commands, self.errors) = (0, 0); // a client that brings mail may stay
        }
        let final_reply = reply.is_positive() || reply.is_temporary() || reply.is_permanent();
        self.relay(if final_reply { reply } else { replies::house_confused() });
    }

    /// Passes the house's words on; after 421 nothing more may be said (RFC 5321 §3.8).
    fn relay(&mut self, reply: Reply) {
        self.say(&reply);
        if reply.code == 421 {
            let _ = self.over(Closed::Stopped);
        }
    }

    /// TLS is up: everything said in clear text is forgotten (RFC 3207 §4.2). `certificate` is whom the client's
    /// certificate names, if it showed one that was verified; where our own servers come in it makes it one of them.
    pub fn secured(&mut self, facts: TlsFacts, certificate: Option<String>) {
        self.events.push(Event::TlsStarted(facts.clone()));
        self.client.tls = Some(facts);
        self.client.trusted |= self.client.role == Role::Relay && certificate.is_some();
        self.client.certificate = certificate;
        self.client.user = None;
        self.client.hello.clear();
        self.client.esmtp = false;
        self.envelope = None;
        self.state = State::Command;
    }

    /// Says goodbye at the next command, or now when none is running.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Patience is over: says why and ends, wherever the session stands. Nothing half-received is kept.
    pub fn give_up(&mut self, why: Closed) {
        let _ = self.end(why);
    }

    /// What is to be written to the client; replies to pipelined commands gather here.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.events.drain(..)
    }

    /// The client as known now.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the house's transaction is still alive; after RSET, EHLO or an error it is not.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.envelope.is_some()
    }

    /// What the session waits for.
    #[must_use]
    pub fn awaits(&self) -> Awaits {
        match &self.state {
            State::Content(content) => Awaits::Content { octets: content.length() },
            State::Chunk(chunk) if !self.in_chunks() => Awaits::Content { octets: chunk.length() },
            _ => match self.chunks() {
                Some(chunks) => Awaits::Content { octets: chunks.length() },
                None => Awaits::Command { seen: self.lines },
            },
        }
    }

    /// How it ended, once it asked to [`Step::Close`].
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        match self.state {
            State::Over(closed) => Some(closed),
            _ => None,
        }
    }

    /// Answers a wrong command and counts it.
    fn refuse(&mut self, reply: &Reply) -> Option<Step> {
        self.errors += 1;
        self.events.push(Event::CommandRefused { code: reply.code });
        self.say(reply);
        if self.errors > self.config.limits.errors_max { self.unwelcome() } else { None }
    }

    fn unwelcome(&mut self) -> Option<Step> {
        self.say(&replies::too_many_errors(&self.config.hostname));
        self.over(Closed::Unwelcome)
    }

    fn end(&mut self, why: Closed) -> (usize, Option<Step>) {
        let hostname = &self.config.hostname;
        let reply = match why {
            Closed::Stopped => Some(replies::shutting_down(hostname)),
            Closed::Idle => Some(replies::timed_out(hostname)),
            Closed::TooSlow => Some(replies::too_slow(hostname)),
            Closed::Banned => Some(replies::banned(hostname)),
            Closed::Quit | Closed::Lost | Closed::Unwelcome | Closed::TlsFailed => None,
        };
        if let Some(reply) = reply {
            self.say(&reply);
        }
        (0, self.over(why))
    }

    fn over(&mut self, why: Closed) -> Option<Step> {
        self.envelope = None;
        self.state = State::Over(why);
        Some(Step::Close)
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }
}

#[cfg(test)]
mod tests;
