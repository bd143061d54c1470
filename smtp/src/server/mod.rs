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
mod premises;
pub mod session;
mod sources;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::budget::{Budget, Grant};
pub use self::net::serve;
pub use self::network::{Network, NetworkError};
pub use self::premises::Premises;
pub use self::sources::Offence;
use crate::address::{Address, ReversePath};
pub use crate::dsn::{Notify, OriginalRecipient, Ret};
use crate::reply::Reply;
pub use crate::sasl::{AuthRefusal, Credentials, Mechanism, Mechanisms, ScramKeys, Secret};
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
        to: RcptTo,
    ) -> impl Future<Output = Result<(), Reply>> + Send;

    /// The message itself, complete, dot-unstuffed, every line ending in CRLF. A positive reply is the
    /// promise that it is kept, so it may only be given after the durable write (RFC 5321 §6.1).
    fn message(&self, transaction: Self::Transaction, octets: Bytes) -> impl Future<Output = Reply> + Send;

    /// Who is it that shows these credentials? The answer is the user's name as the house spells it.
    ///
    /// # Errors
    /// Whatever the reason, the client hears no more than [`AuthRefusal`] says. A house without users refuses.
    fn authenticate(
        &self,
        client: &Client,
        credentials: Credentials,
    ) -> impl Future<Output = Result<String, AuthRefusal>> + Send {
        let _ = (client, credentials);
        std::future::ready(Err(AuthRefusal::NotHere))
    }

    /// What SCRAM-SHA-256 needs of a user (RFC 5802 §5.1). For a name it does not know the house makes keys up,
    /// the same each time, so that nobody learns which names exist.
    ///
    /// # Errors
    /// As for [`Reception::authenticate`].
    fn scram(
        &self,
        client: &Client,
        user: &str,
    ) -> impl Future<Output = Result<ScramKeys, AuthRefusal>> + Send {
        let _ = (client, user);
        std::future::ready(Err(AuthRefusal::NotHere))
    }

    /// Something worth counting happened. Must not block.
    fn event(&self, event: Event) {
        let _ = event;
    }
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The organisation's own mail servers, known by network or certificate.
    Relay,
    /// People: nothing before they have authenticated (RFC 6409 §4.3).
    Submission,
    /// The mail exchanger for the outside world.
    Mx,
}

/// The client at the other end, as far as it is known when a question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What the listener it came to is for.
    pub role: Role,
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The proxy that brought it and says so.
    pub proxy: Option<IpAddr>,
    /// The argument of `EHLO` or `HELO`: printable ASCII without spaces, unproven.
    pub hello: String,
    /// What TLS negotiated, `None` in clear text.
    pub tls: Option<TlsFacts>,
    /// Whom the verified client certificate names.
    pub certificate: Option<String>,
    /// Who has authenticated, as the house spells the name.
    pub user: Option<String>,
    /// It is one of ours: its address is inside a trusted network, or it showed a certificate to a [`Role::Relay`].
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
    /// `RET=` (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// `ENVID=`, decoded: printable ASCII of at most 100 octets (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// `REQUIRETLS` (RFC 8689): only over authenticated TLS from hop to hop.
    pub require_tls: bool,
}

/// The `RCPT TO` command (RFC 5321 §4.1.1.3) with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptTo {
    /// The recipient.
    pub address: Address,
    /// `NOTIFY=` (RFC 3461 §4.1).
    pub notify: Notify,
    /// `ORCPT=` (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
}

/// How a listener behaves. What all of them share is in [`Premises`].
#[derive(Clone)]
pub struct Config {
    /// What the listener is for.
    pub role: Role,
    /// The name in greeting and replies; a domain (RFC 5321 §4.2).
    pub hostname: String,
    /// Octets of the largest message (RFC 1870).
    pub size_max: u64,
    /// Clients from here are marked [`Client::trusted`].
    pub trusted_networks: Vec<Network>,
    /// Connections from here begin with a PROXY header that says where they really come from.
    pub proxy_networks: Vec<Network>,
    /// Clients from here may end lines of a message with a bare CR or LF; see [`Event::LineEndsMended`].
    pub bare_line_ends_from: Vec<Network>,
    /// Offers STARTTLS where present.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// TLS begins with the first octet, not with STARTTLS (RFC 8314 §3.3).
    pub implicit_tls: bool,
    /// How clients may authenticate, under TLS; none means not at all.
    pub auth: Mechanisms,
    /// Everything has an end.
    pub limits: Limits,
}

impl Config {
    /// Whether a client from `address` is one of ours. Where `proxy` did not say whom it brought, the address is its
    /// own, and a balancer inside does not make its clients ours.
    #[must_use]
    pub(crate) fn trusts(&self, address: IpAddr, proxy: Option<IpAddr>) -> bool {
        let address = address.to_canonical();
        proxy != Some(address) && self.trusted_networks.iter().any(|network| network.contains(address))
    }
}

/// Where patience ends. [`Limits::default`] suits an internal relay of a few thousand people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; an idle one holds some kilobytes, one that sends a message up to 64 KiB more.
    pub sessions_max: usize,
    /// Connections at the same time from one IPv4 address or one IPv6 /64, the smallest unit one host holds.
    pub per_source_max: usize,
    /// New connections within a minute from one source that is not trusted.
    pub connections_per_minute_max: u32,
    /// Protocol errors and failed handshakes within a minute from one source that is not trusted, before it is banned.
    pub errors_per_minute_max: u32,
    /// Senders, recipients and messages within a minute that the house refuses to one source that is not trusted, before
    /// it is banned: who tries so many addresses is collecting them.
    pub refusals_per_minute_max: u32,
    /// Wrong passwords within a quarter of an hour from one source, before it is banned.
    pub auth_failures_max: u32,
    /// Seconds a ban lasts.
    pub ban_s: u64,
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
    /// Seconds a shutdown waits for messages that are being sent.
    pub drain_s_max: u64,
}

impl Limits {
    /// Octets of messages in memory, over all listeners, of [`Premises::default`].
    pub const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
    /// Sources remembered by [`Premises::default`]; each costs about 200 octets.
    pub const SOURCES_MAX: usize = 50_000;

    fn ban(&self) -> Duration {
        Duration::from_secs(self.ban_s)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 1_000,
            per_source_max: 250,
            connections_per_minute_max: 300,
            errors_per_minute_max: 100,
            refusals_per_minute_max: 100,
            auth_failures_max: 10,
            ban_s: 600,
            commands_max: 500,
            errors_max: 20,
            recipients_max: 1_000,
            idle_s_max: 300,
            data_rate_floor: 1_000,
            data_grace_s: 30,
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
    /// Bare CRs and LFs of a message became CRLF, as its sender's network is allowed to hope.
    LineEndsMended {
        /// How many.
        count: u64,
    },
    /// A client proved who it is.
    Authenticated {
        /// How.
        mechanism: Mechanism,
    },
    /// A client tried to prove who it is, and the house did not believe it.
    AuthenticationFailed {
        /// How.
        mechanism: Mechanism,
    },
    /// A source did something wrong once too often and is banned.
    SourceBanned(Offence),
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
    /// This source comes too often.
    TooOften,
    /// This source is banned for what it did.
    Banned,
    /// The memory for messages is nearly used up.
    MemoryShort,
    /// A connection from a proxy network began without a PROXY header; it is not told anything.
    NoHeader,
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
    /// Its source was banned meanwhile.
    Banned,
    /// Shutdown, or the house said 421.
    Stopped,
    /// The TLS handshake failed.
    TlsFailed,
}
