//! Why nothing can be said about single recipients, sorted by whose fault it is.

use std::{fmt, io};

use super::{LoginError, TlsFailure, replies::ReplyError};
use crate::{message::BareLineEnd, reply::Reply};

/// The attempt as a whole failed.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// The message must not be sent by SMTP at all. Nothing was sent. Permanent.
    #[error("the message cannot travel by SMTP: {0}")]
    BareLineEnd(#[from] BareLineEnd),
    /// The reverse path is not an address. Nothing was sent. Permanent.
    #[error("the reverse path is not a mail address")]
    ReversePath,

    /// The server's answer is not SMTP, or makes no sense at this point.
    #[error("the mail server answered {stage} with {source}")]
    Reply {
        /// What was answered.
        stage: Stage,
        /// What is wrong with it.
        source: ReplyError,
    },

    /// The server closes the session (421), or greets with a refusal.
    #[error("the mail server refused {stage}: {reply}")]
    Refused {
        /// What was refused.
        stage: Stage,
        /// In its words.
        reply: Reply,
    },
    /// Nobody listens, the name does not resolve, or the network is down.
    #[error("no connection to the mail server at {address}: {source}")]
    Connect {
        /// `host:port` as configured.
        address: String,
        /// From the operating system.
        source: io::Error,
    },
    /// TLS is required, or was begun, and the server could not be had with the proof that the target asks for. Nothing
    /// was sent, unless TLS broke later.
    #[error("no TLS with the mail server: {0}")]
    Tls(#[from] TlsFailure),
    /// The server does not let us in. Nothing was sent.
    #[error("no login at the mail server: {0}")]
    Login(#[from] LoginError),
    /// The server said nothing in the time that RFC 5321 §4.5.3.2 gives it.
    #[error("the mail server did not answer {stage} in time")]
    Timeout {
        /// What was waited for.
        stage: Stage,
    },
    /// The connection ended before the message was complete, so the server cannot have delivered it.
    #[error("the connection to the mail server was lost at {stage}: {source}")]
    Lost {
        /// What was waited for.
        stage: Stage,
        /// From the operating system.
        source: io::Error,
    },
    /// The message was sent whole and no understandable reply came: it may have been delivered, and the
    /// next attempt may deliver it again (RFC 5321 §4.5.3.2.6, RFC 1047).
    #[error("the mail server may have delivered the message without saying so: {cause}")]
    Unconfirmed {
        /// `Reply`, `Timeout`, `Tls` or `Lost`.
        cause: Box<HandOverError>,
    },
}

impl HandOverError {
    /// Another attempt would fail in the same way.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::BareLineEnd(_) | Self::ReversePath)
    }

    /// The server had the whole message when the attempt failed.
    pub fn may_be_delivered(&self) -> bool {
        matches!(self, Self::Unconfirmed { .. })
    }
}

/// A step of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The server speaks first.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// AUTH and what belongs to it.
    Auth,
    /// RSET on a reused connection.
    Reset,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Recipient,
    /// DATA, up to 354.
    Data,
    /// The octets of the message.
    Content,
    /// The reply, or one of the replies, to the final dot.
    EndOfData,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the connection",
            Self::Hello => "the greeting",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Reset => "RSET",
            Self::Mail => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the message",
            Self::EndOfData => "the end of the message",
        })
    }
}
