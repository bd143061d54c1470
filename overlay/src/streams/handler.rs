//! One connection: opens our stream when told, limits theirs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dccp::Did;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
};
use tokio::sync::Semaphore;

use super::{PROTOCOL, Place};
use crate::link::Attempt;

/// Tells the handler to open a stream of ours, and for which attempt at which partner.
#[derive(Debug)]
pub(crate) struct OpenStream {
    pub(crate) did: Did,
    pub(crate) attempt: Attempt,
}

/// What a connection has to say.
#[derive(Debug)]
pub(crate) enum FromHandler {
    /// The stream we asked for.
    Opened(OpenStream, Stream),
    /// The stream we asked for will not come, in words.
    OpenFailed(OpenStream, String),
    /// The peer opened a stream.
    Accepted(Stream, Place),
    /// The peer opened one stream too many; it was dropped.
    TooMany,
}

/// Stands on each connection. Opens what it is told to and hands each stream up.
pub(crate) struct Handler {
    places: Arc<Semaphore>,
    wanted: VecDeque<OpenStream>,
    events: VecDeque<FromHandler>,
    waker: Option<Waker>,
}

impl Handler {
    pub(super) fn new(inbound_streams_max: usize) -> Self {
        Handler {
            places: super::places(inbound_streams_max),
            wanted: VecDeque::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    fn accepted(&mut self, stream: Stream) {
        self.events.push_back(match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => FromHandler::Accepted(stream, place),
            Err(_) => FromHandler::TooMany,
        });
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenStream;
    type ToBehaviour = FromHandler;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenStream;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, wanted: OpenStream) {
        self.wanted.push_back(wanted);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), OpenStream>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(inbound) => self.accepted(inbound.protocol),
            ConnectionEvent::FullyNegotiatedOutbound(outbound) => {
                self.events.push_back(FromHandler::Opened(outbound.info, outbound.protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.events.push_back(FromHandler::OpenFailed(info, in_words(error)));
            }
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, OpenStream, Self::ToBehaviour>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(wanted) = self.wanted.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), wanted);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn in_words(error: StreamUpgradeError<Infallible>) -> String {
    match error {
        StreamUpgradeError::Timeout => format!("the peer did not answer the opening of {PROTOCOL} in time"),
        StreamUpgradeError::NegotiationFailed => format!("the peer does not speak {PROTOCOL}"),
        StreamUpgradeError::Io(error) => format!("the connection failed while opening {PROTOCOL}: {error}"),
        StreamUpgradeError::Apply(never) => match never {},
    }
}
