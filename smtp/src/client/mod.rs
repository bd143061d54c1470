//! Handing a message over to a mail server, by SMTP (RFC 5321) or LMTP (RFC 2033).
//!
//! ```text
//! Pool::hand_over(envelope, segments)
//!   │ Content::check     bare CR or LF anywhere? then nothing is sent            content
//!   │ a connection       an idle one that is still alive, or a fresh one         pool, connection
//!   │                    with the TLS and the login that the target demands      opening, tls, login
//!   │ MAIL, RCPT…, DATA  in one go when PIPELINING is offered (RFC 2920)         transaction
//!   │ segments           dot-stuffed while written, never concatenated           content, connection
//!   ▼ replies            strict and bounded; each becomes part of an Outcome     replies
//! HandedOver             an Outcome for each forward path, in the order given, and what TLS was used
//! ```
//!
//! Every recipient ends up with exactly one [`Outcome`], or the whole attempt with one [`HandOverError`].
//! An error is temporary unless [`HandOverError::is_permanent`] says otherwise; after a connection that was
//! lost between the final dot and its reply, [`HandOverError::may_be_delivered`] warns of a duplicate.
//!
//! What the server cannot carry is not converted, because the octets of a message are not ours to change:
//!
//! | the message needs | the server lacks | what happens |
//! |---|---|---|
//! | a non-ASCII address | SMTPUTF8 | that recipient (or all, for the reverse path) fails with 5.6.7 |
//! | a non-ASCII header, declared SMTPUTF8 | SMTPUTF8 | all fail with 5.6.9 |
//! | 8-bit octets | 8BITMIME, over SMTP | all fail with 5.6.3 (RFC 6152 §3) |
//! | 8-bit octets | 8BITMIME, over LMTP | sent as they are: an LMTP server stores and never relays, so no later hop can be 7-bit |
//! | more octets | SIZE allows | all fail with 5.3.4 (RFC 1870 §6.1) |
//! | REQUIRETLS | a proof of who it is | all fail with 5.7.10 (RFC 8689 §4.2.1) |
//! | REQUIRETLS | REQUIRETLS | all fail with 5.7.30 (RFC 8689 §4.2.1) |
//! | reports about delivery | DSN | sent without; [`Outcome::dsn_passed_on`] tells whose duty they are now (RFC 3461 §5.2) |
//!
//! How much TLS there must be, and what a certificate has to prove, is in [`TlsPolicy`]; where it is required nothing
//! can bring the client to go on without.
//!
//! Deliberately absent: MX look-up ([`route`](crate::route) plans the way), CHUNKING (DATA serves everywhere).

mod capabilities;
mod connection;
mod content;
mod error;
mod inquiry;
mod login;
mod opening;
mod parameters;
mod pool;
mod replies;
mod tls;
mod transaction;

use std::time::Duration;

pub use error::{HandOverError, Stage};
pub use login::LoginError;
pub use pool::Pool;
pub use replies::{ReplyError, replies_in};
pub use tls::{TlsFailure, TlsFailureKind, TlsPolicy, Verification};

pub use crate::sasl::Credentials as Login;

use crate::dsn::{Notify, OriginalRecipient, Ret};
use crate::reply::Reply;
use crate::tls::TlsFacts;

/// How one mail server is reached.
#[derive(Debug, Clone)]
pub struct Target {
    /// The protocol spoken at `address`.
    pub protocol: Protocol,
    /// `host:port`; a name is resolved for each new connection.
    pub address: String,
    /// The name of the server, where `address` is only a number. It is asked for in the TLS handshake unless the
    /// verification has a name.
    pub name: Option<String>,
    /// Our name in EHLO or LHLO.
    pub hello: String,
    /// How much TLS there must be.
    pub tls: TlsPolicy,
    /// TLS begins with the connection (RFC 8314 §3.3) instead of by STARTTLS, and there is no clear text to go back to.
    /// Without meaning for [`TlsPolicy::Never`].
    pub implicit_tls: bool,
    /// Who we are there, if the server wants to know. Told only under TLS or to this machine.
    pub login: Option<Login>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Connections at one time, busy and idle together; at least one.
    pub connections_max: usize,
    /// Messages on one connection, which is closed after them; at least one.
    pub messages_max: usize,
}

/// Messages on one connection: opening it is paid for many times over, and most servers do not allow many more.
const MESSAGES_MAX_DEFAULT: usize = 100;

/// Connections to one server at one time: enough to keep a server busy, too few to look like an attack.
const CONNECTIONS_MAX_DEFAULT: usize = 4;

impl Target {
    /// In clear, with the waits of the RFC.
    pub fn new(protocol: Protocol, address: impl Into<String>, hello: impl Into<String>) -> Self {
        Self {
            protocol,
            address: address.into(),
            name: None,
            hello: hello.into(),
            tls: TlsPolicy::Never,
            implicit_tls: false,
            login: None,
            timeouts: Timeouts::default(),
            connections_max: CONNECTIONS_MAX_DEFAULT,
            messages_max: MESSAGES_MAX_DEFAULT,
        }
    }

    /// The server's name, or its number.
    fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _port)| host);
        self.name.as_deref().unwrap_or(host.trim_start_matches('[').trim_end_matches(']'))
    }
}

/// The two protocols differ in the greeting and in who answers the final dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One reply to the final dot, for all recipients (RFC 5321).
    Smtp,
    /// One reply for each accepted recipient (RFC 2033 §4.2).
    Lmtp,
}

/// The waits of RFC 5321 §4.5.3.2, each for a whole reply: a server that trickles octets gains nothing.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Name resolution and the TCP handshake; and as long again for the TLS handshake.
    pub connect: Duration,
    /// The greeting of the server (§4.5.3.2.1).
    pub greeting: Duration,
    /// EHLO, LHLO, RSET, MAIL and RCPT (§4.5.3.2.2 and .3).
    pub command: Duration,
    /// The reply to DATA (§4.5.3.2.4).
    pub data_start: Duration,
    /// Progress of one write of mail data (§4.5.3.2.5).
    pub data_block: Duration,
    /// All of a transaction before its final dot, however steadily it goes: each wait above begins anew with each reply and each
    /// write, and a server that takes an octet a minute would hold a mail, and the memory that it takes, for days.
    pub transaction: Duration,
    /// A reply to the final dot (§4.5.3.2.6).
    pub data_end: Duration,
    /// How long an unused connection is kept. Shorter than servers wait, so that reuse rarely fails.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_secs(5 * 60),
            command: Duration::from_secs(5 * 60),
            data_start: Duration::from_secs(2 * 60),
            data_block: Duration::from_secs(3 * 60),
            transaction: Duration::from_secs(30 * 60),
            data_end: Duration::from_secs(10 * 60),
            idle: Duration::from_secs(30),
        }
    }
}

/// RFC 5321's envelope: for whom, and what the message was declared to need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Without angle brackets; empty for the null reverse path of reports.
    pub reverse_path: String,
    /// Without angle brackets.
    pub forward_paths: Vec<String>,
    /// The sender declared BODY=8BITMIME.
    pub body_8bit: bool,
    /// The sender declared SMTPUTF8.
    pub smtputf8: bool,
    /// The sender declared REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// How much of the message a report of failure should return (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// The sender's own name for this mail, decoded (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// What the sender wants to be told of each forward path, in their order; empty when nothing was said.
    pub wishes: Vec<Wish>,
}

impl Envelope {
    /// Whether REQUIRETLS is a condition. Of a report it is not: it asks for it where it is offered, and is not lost for want
    /// of it (RFC 8689 §4.2.1, §5).
    #[must_use]
    pub fn insists_on_tls(&self) -> bool {
        self.require_tls && !self.reverse_path.is_empty()
    }
}

/// What the sender wants to be told of one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// When (RFC 3461 §4.1).
    pub notify: Notify,
    /// The recipient as the sender first wrote it (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
}

/// What became of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// One for each forward path, in the order given.
    pub outcomes: Vec<Outcome>,
    /// What protected it on the way.
    pub tls: Option<TlsFacts>,
    /// Why nothing did, where [`TlsPolicy::Opportunistic`] had it tried.
    pub tls_failure: Option<TlsFailure>,
}

/// What became of the message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The forward path as given.
    pub recipient: String,
    /// The reply that decided.
    pub reply: Reply,
    /// Whose words `reply` is.
    pub said_by: SaidBy,
    /// The server offers DSN and took the message: it reports to the sender what becomes of it (RFC 3461 §5.2.2).
    /// Otherwise the reports that were asked for are still ours to give.
    pub dsn_passed_on: bool,
}

/// A report may quote the server (`Diagnostic-Code: smtp`) only for what the server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidBy {
    /// The mail server.
    Server,
    /// This client, for something it did not even try.
    Client,
    /// This client, because the server took the message and then fell silent: it may or may not have
    /// delivered it to this recipient.
    Silence,
}

impl Outcome {
    /// 2xx: the server has taken over the responsibility.
    pub fn is_delivered(&self) -> bool {
        self.reply.is_positive()
    }

    /// 4xx: worth another try.
    pub fn is_temporary(&self) -> bool {
        self.reply.is_temporary()
    }

    /// 5xx: final.
    pub fn is_permanent(&self) -> bool {
        self.reply.is_permanent()
    }
}
