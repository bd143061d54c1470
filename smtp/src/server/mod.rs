//! The receiving side: RFC 5321 over TCP, with STARTTLS, asking the house before it promises anything.
//!
//! ```text
//! socket ──► net ──bytes──► session ──questions──► Reception (the house)
//!            │  ◄──replies──   │    ◄──answers──
//!            │                 └ pure: no socket, no clock, no task
//!            └ time limits, admission, TLS, memory given back after the answer
//! ```
//!
//! [`session`] is the protocol and can be read, tested and fuzzed without a network; [`serve`] puts it on a
//! listener.

mod budget;
mod net;
mod network;
pub mod session;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

pub use self::budget::{Budget, Grant};
pub use self::net::serve;
pub use self::network::{Network, NetworkError};
use crate::address::{Address, ReversePath};
use crate::reply::Reply;
pub use crate::tls::TlsFacts;

/// The house as the session sees it: whom to accept from, whom for, and where a message is kept.
///
/// A [`Reply`] is sent as it is, and 421 also ends the session; one that makes no sense at its place (a
/// positive one in `Err`) is sent as `451 4.3.0`. The session never cancels a question because a client went away.
pub trait Reception: Send + Sync + 'static {
    /// What the house remembers between `MAIL FROM` and the end of the message.
    type Transaction: Send + 'static;

    /// `MAIL FROM` with valid syntax, a size below the limit and known parameters: begin a transaction?
    fn mail(
        &self,
        client: &Client,
        mail: MailFrom,
    ) -> impl Future<Output = Result<Self::Transaction, Reply>> + Send;

    /// `RCPT TO` with valid syntax: accept mail for this recipient?
    fn recipient(
        &self,
        transaction: &mut Self::Transaction,
        to: Address,
    ) -> impl Future<Output = Result<(), Reply>> + Send;

    /// The message itself, complete, dot-unstuffed, every line ending in CRLF. A positive reply is the
    /// promise that it is kept, so it may only be given after the durable write (RFC 5321 §6.1).
    fn message(&self, transaction: Self::Transaction, octets: Bytes) -> impl Future<Output = Reply> + Send;

    /// Something worth counting happened. Must not block.
    fn event(&self, event: Event) {
        let _ = event;
    }
}

/// The client at the other end, as far as it is known when a question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The argument of `EHLO` or `HELO`: printable ASCII without spaces, unproven.
    pub hello: String,
    /// What TLS negotiated, `None` in clear text.
    pub tls: Option<TlsFacts>,
    /// The address is inside one of the trusted networks.
    pub trusted: bool,
    /// It said `EHLO`, not `HELO`.
    pub esmtp: bool,
}

/// The `MAIL FROM` command (RFC 5321 §4.1.1.2) with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom {
    /// The sender, or the null path.
    pub reverse_path: ReversePath,
    /// `SIZE=` in octets (RFC 1870), an estimate by the client.
    pub size: Option<u64>,
    /// `BODY=8BITMIME` (RFC 6152).
    pub body_8bit: bool,
    /// `SMTPUTF8` (RFC 6531): addresses and header may be UTF-8.
    pub smtputf8: bool,
}

/// How a server behaves. One value serves any number of listeners, but each has its own limits.
#[derive(Clone)]
pub struct Config {
    /// The name in greeting and replies; a domain (RFC 5321 §4.2).
    pub hostname: String,
    /// Octets of the largest message (RFC 1870).
    pub size_max: u64,
    /// Clients from here are marked [`Client::trusted`].
    pub trusted_networks: Vec<Network>,
    /// Offers STARTTLS where present.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Everything has an end.
    pub limits: Limits,
}

/// Where patience ends. [`Limits::default`] suits an internal relay of a few thousand people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; each may hold a read buffer of 64 KiB.
    pub sessions_max: usize,
    /// Connections at the same time from one IPv4 address or one IPv6 /64, the smallest unit one host holds.
    pub per_source_max: usize,
    /// Commands without an accepted message in between (recipients do not count); stops idle chatter.
    pub commands_max: u32,
    /// Protocol errors without an accepted message in between; stops guessing and lost machines.
    pub errors_max: u32,
    /// Recipients of one message; RFC 5321 §4.5.3.1.8 wants at least 100.
    pub recipients_max: usize,
    /// Seconds to wait for one command or for the next octets of a message (RFC 5321 §4.5.3.2.7).
    pub idle_s_max: u64,
    /// Octets per second a message must arrive with on average, so that a drip cannot hold memory.
    pub data_rate_floor: u64,
    /// Seconds from the start of a message until the floor counts, for slow starts.
    pub data_grace_s: u64,
    /// Octets of message bodies in memory at the same time, over all sessions; not below `size_max`.
    pub memory_bytes_max: usize,
    /// Seconds a shutdown waits for messages that are being sent.
    pub drain_s_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 1_000,
            per_source_max: 100,
            commands_max: 500,
            errors_max: 20,
            recipients_max: 1_000,
            idle_s_max: 300,
            data_rate_floor: 1_000,
            data_grace_s: 30,
            memory_bytes_max: 256 * 1024 * 1024,
            drain_s_max: 30,
        }
    }
}

/// What happened at the edge, for counters and logs. Holds no addresses and no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was let in.
    SessionOpened {
        /// From a trusted network.
        trusted: bool,
    },
    /// A connection was turned away with 421 before the greeting.
    SessionRefused(Refused),
    /// A connection ended.
    SessionClosed(Closed),
    /// A handshake succeeded.
    TlsStarted(TlsFacts),
    /// A handshake failed; the text is rustls' reason.
    TlsFailed(String),
    /// A command was answered by the session itself with an error (not by the house).
    CommandRefused {
        /// The reply code.
        code: u16,
    },
    /// A bare CR or LF was met: a broken sender or a smuggling attempt.
    BareLineEnd {
        /// Inside a message, otherwise inside a command.
        in_message: bool,
    },
    /// A message was larger than allowed.
    MessageTooLarge,
    /// A message could not be taken because the memory budget was used up.
    MemoryExhausted,
}

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// All places are taken.
    Full,
    /// This source has all the places it may have.
    SourceFull,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// `QUIT`.
    Quit,
    /// The client hung up, the network failed, or the house panicked.
    Lost,
    /// No command and no octet for too long.
    Idle,
    /// The message came slower than the floor.
    TooSlow,
    /// Too many errors or too many commands.
    Unwelcome,
    /// Shutdown, or the house said 421.
    Stopped,
    /// The TLS handshake failed.
    TlsFailed,
}
