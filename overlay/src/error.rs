//! What can go wrong at the door of the overlay.

use dccp::frame::RefusalCode;
use thiserror::Error;

/// Why a node does not start: always ours to fix.
#[derive(Debug, Error)]
pub enum StartError {
    /// The environment asks the TLS library to write session keys to a file. `libp2p-tls` obeys
    /// unconditionally, so the only safe answer is not to open a connection at all.
    #[error(
        "SSLKEYLOGFILE is set: TLS would write the keys of every connection to that file. \
         Unset it (systemd: UnsetEnvironment=SSLKEYLOGFILE) and start again"
    )]
    KeyLogRequested,
    /// A listening address cannot be used.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// As configured.
        address: String,
        /// In words.
        reason: String,
    },
    /// A node to enter the network of head records by cannot be reached by this address.
    #[error("cannot use a bootstrap address: {0}")]
    Bootstrap(String),
    /// The transports could not be set up.
    #[error("cannot set up the transports: {0}")]
    Transport(String),
    /// The local network cannot be watched.
    #[error("cannot start multicast DNS: {0}")]
    Mdns(std::io::Error),
}

/// Why a message was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The partner refuses this message for good: do not send it again.
    #[error("the partner refused the message: {reason} ({code:?})")]
    Refused {
        /// For machines.
        code: RefusalCode,
        /// For people; text of the partner.
        reason: String,
    },
    /// The partner has not all of the message's body, and why, if it says so: send both again later.
    #[error("the partner has not all of the body: {0}")]
    BodyMissing(String),
    /// The chunks of the body could not be read on our side: the message was not sent.
    #[error("the body cannot be sent: {0}")]
    Body(String),
    /// There is no link to the partner now, and why. Nothing was sent: try again later.
    #[error("the partner cannot be reached: {0}")]
    Unreachable(String),
    /// The link was lost before the acknowledgement came. The partner may have the message or not:
    /// send it again, it will say `duplicate`.
    #[error("the connection was lost before the acknowledgement")]
    Interrupted,
    /// Not on the list of partners.
    #[error("not a partner")]
    UnknownPartner,
    /// This node is shutting down or gone.
    #[error("this node is shut down")]
    Closed,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// The question is too long to be asked.
    #[error("a question of {0} bytes is too long")]
    TooLong(usize),
    /// An address of the stranger is none that can be dialled.
    #[error("{0}")]
    Address(String),
    /// The topic is for partners only.
    #[error("strangers do not answer questions of this kind")]
    PartnersOnly,
    /// Not on the list of partners.
    #[error("not a partner")]
    UnknownPartner,
    /// This node is shutting down or gone.
    #[error("this node is shut down")]
    Closed,
    /// No node of theirs can be asked now, and why.
    #[error("nobody can be asked: {0}")]
    Unreachable(String),
    /// The asked node closed the stream without an answer: it does not know, does not want to, or
    /// not now.
    #[error("the node refused to answer")]
    Refused,
    /// The answer is longer than the topic allows.
    #[error("the answer is {0} bytes long, which is too long")]
    Oversize(usize),
    /// The answer broke off.
    #[error("the connection was lost in the middle of the answer")]
    Interrupted,
    /// The time for an answer is over.
    #[error("no answer came in time")]
    TimedOut,
}

impl AskError {
    /// One word for counters.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            AskError::TooLong(_) => "question_too_long",
            AskError::Address(_) => "address",
            AskError::PartnersOnly => "partners_only",
            AskError::UnknownPartner => "unknown_partner",
            AskError::Closed => "closed",
            AskError::Unreachable(_) => "unreachable",
            AskError::Refused => "refused",
            AskError::Oversize(_) => "answer_too_long",
            AskError::Interrupted => "interrupted",
            AskError::TimedOut => "timeout",
        }
    }
}

/// Why a head record was not published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// This node takes no part in the network of head records.
    #[error("the network of head records is switched off")]
    Off,
    /// The record is too large to be kept by others.
    #[error("a head record of {0} bytes is too large")]
    TooLarge(usize),
    /// No other node has taken it; it will be offered again.
    #[error("no other node keeps the record yet: {0}")]
    NobodyKept(String),
    /// This node is shutting down or gone.
    #[error("this node is shut down")]
    Closed,
}
