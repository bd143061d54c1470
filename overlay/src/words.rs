//! Errors of the swarm in words for people and in labels for counters.

use std::error::Error;
use std::fmt::Display;

use libp2p::core::transport::TransportError;
use libp2p::swarm::{ConnectionDenied, DialError, ListenError};
use libp2p::{connection_limits, memory_connection_limits};

use crate::streams::TooManyStrangers;

/// Why a partner could not be dialled.
pub(crate) fn of_dial_error(error: &DialError) -> String {
    match error {
        DialError::LocalPeerId { .. } => "its address leads to this node itself".to_owned(),
        DialError::NoAddresses => "none of its addresses can be dialled from here".to_owned(),
        DialError::DialPeerConditionFalse(_) => "it is being dialled already".to_owned(),
        DialError::Aborted => "the dialling was aborted".to_owned(),
        DialError::WrongPeerId { obtained, address } => {
            format!("another node ({obtained}) answers on {address}")
        }
        DialError::Denied { cause } => of_denied(cause),
        DialError::Transport(tried) => {
            let each =
                tried.iter().map(|(address, error)| format!("{address}: {}", of_transport_error(error)));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

/// Why an inbound connection came to nothing.
pub(crate) fn of_listen_error(error: &ListenError) -> String {
    match error {
        ListenError::Denied { cause } => of_denied(cause),
        ListenError::Transport(error) => of_transport_error(error),
        other => chain(other),
    }
}

/// The same as one word.
pub(crate) fn label_of_listen_error(error: &ListenError) -> &'static str {
    match error {
        ListenError::Denied { cause } if cause.downcast_ref::<TooManyStrangers>().is_some() => {
            "too_many_strangers"
        }
        ListenError::Denied { cause } if cause.downcast_ref::<connection_limits::Exceeded>().is_some() => {
            "too_many_connections"
        }
        ListenError::Denied { .. } => "memory",
        ListenError::Transport(_) | ListenError::Aborted => "handshake",
        ListenError::WrongPeerId { .. } | ListenError::LocalPeerId { .. } => "wrong_peer_id",
    }
}

fn of_denied(cause: &ConnectionDenied) -> String {
    if let Some(exceeded) = cause.downcast_ref::<connection_limits::Exceeded>() {
        return format!("this node has enough connections: {exceeded}");
    }
    if let Some(exceeded) = cause.downcast_ref::<memory_connection_limits::MemoryUsageLimitExceeded>() {
        return format!("this node is short of memory: {exceeded}");
    }
    chain(cause)
}

fn of_transport_error<E: Error + 'static>(error: &TransportError<E>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "this node has no transport for it".to_owned(),
        TransportError::Other(error) => chain(error),
    }
}

/// An error and its causes, without the repetitions that wrappers are fond of.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = first_line(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = first_line(error);
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}

fn first_line(error: &dyn Display) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_refused_dial_names_the_address_and_the_cause() {
        let address: libp2p::Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let cause = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = DialError::Transport(vec![(address, TransportError::Other(cause))]);
        assert_eq!(of_dial_error(&error), "/ip4/127.0.0.1/tcp/1: connection refused");
    }
}
