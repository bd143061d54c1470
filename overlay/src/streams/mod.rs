//! The libp2p side of `/dccp/msg/1` and of questions: who may be connected, and negotiated streams
//! for the node.
//!
//! [`Streams`] is the behaviour of the swarm, [`handler::Handler`] stands on each connection. Both
//! only open and limit; what is said on a stream is in `opener`, `acceptor` and `questions`.

mod handler;
mod pledge;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::OwnedSemaphorePermit;

use crate::config::Limits;

pub(crate) use handler::{FromHandler, OpenStream, Wanted};
pub(crate) use pledge::{Asked, Pledge, Turn};

/// Protocol of the message streams; its version is repeated in the Hello frame.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/dccp/msg/1");

/// Opens streams on request and takes the ones that peers open.
pub(crate) struct Streams {
    inbound_streams_max: usize,
    inbound_questions_max: usize,
    strangers_max: usize,
    known: HashSet<PeerId>,
    strangers: HashSet<ConnectionId>,
    out: VecDeque<ToSwarm<StreamEvent, Wanted>>,
    waker: Option<Waker>,
}

/// What happened on a connection.
#[derive(Debug)]
pub(crate) struct StreamEvent {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) what: FromHandler,
}

/// The place that an inbound stream takes on its connection; given back when its task ends.
pub(crate) type Place = OwnedSemaphorePermit;

/// Why a connection was refused before a word was said.
#[derive(Debug)]
pub(crate) struct TooManyStrangers;

impl Streams {
    pub(crate) fn new(limits: &Limits) -> Self {
        Streams {
            inbound_streams_max: limits.inbound_streams_max,
            inbound_questions_max: limits.asks.per_connection_max,
            strangers_max: limits.strangers_max,
            known: HashSet::new(),
            strangers: HashSet::new(),
            out: VecDeque::new(),
            waker: None,
        }
    }

    /// Asks for a stream on this connection. One for messages is answered by `Opened` or
    /// `OpenFailed`, one for a question by its pledge; both by the end of the connection.
    pub(crate) fn open(&mut self, peer: PeerId, connection: ConnectionId, wanted: Wanted) {
        self.out.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: wanted,
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The nodes of partners: they do not count as strangers.
    pub(crate) fn set_known(&mut self, known: HashSet<PeerId>) {
        self.known = known;
    }

    /// This connection turned out to be a partner's.
    pub(crate) fn recognised(&mut self, connection: ConnectionId) {
        self.strangers.remove(&connection);
    }

    fn handler(&self) -> handler::Handler {
        handler::Handler::new(self.inbound_streams_max, self.inbound_questions_max)
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = handler::Handler;
    type ToSwarm = StreamEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.known.contains(&peer) {
            if self.strangers.len() >= self.strangers_max {
                return Err(ConnectionDenied::new(TooManyStrangers));
            }
            self.strangers.insert(connection);
        }
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.strangers.remove(&connection_id);
            }
            // Another behaviour may have denied what we had already counted.
            FromSwarm::ListenFailure(failure) => {
                self.strangers.remove(&failure.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        what: THandlerOutEvent<Self>,
    ) {
        // Bounded: the swarm takes from its bounded per-connection channel only after `poll`
        // has emptied this queue.
        self.out.push_back(ToSwarm::GenerateEvent(StreamEvent { peer, connection, what }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.out.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl fmt::Display for TooManyStrangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many connections of nodes that are not partners")
    }
}

impl std::error::Error for TooManyStrangers {}

/// A place per inbound stream of one connection.
pub(crate) fn places(max: usize) -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(max.max(1)))
}
