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
