//! One connection: opens our streams when told, limits theirs.

use std::array;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dccp::Did;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundUpgrade, ReadyUpgrade};
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
};
use tokio::sync::Semaphore;

use super::{PROTOCOL, Place, Pledge};
use crate::link::Attempt;
use crate::topic::Topic;

/// Tells the handler to open a stream of ours.
#[derive(Debug)]
pub(crate) enum Wanted {
    Messages(OpenStream),
    /// Goes to whoever waits for it.
    Question(Topic, Pledge),
}

/// A stream for messages, and for which attempt at which partner.
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
    /// The peer opened a stream for messages.
    Accepted(Stream, Place),
    /// The peer opened a stream for a question.
    Asked(Topic, Stream, Place),
    /// The peer opened one stream too many, of messages or of questions; it was dropped.
    TooMany(Option<Topic>),
}

/// The protocols that a peer may open streams of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered;

impl UpgradeInfo for Offered {
    type Info = StreamProtocol;
    type InfoIter = array::IntoIter<StreamProtocol, 4>;

    fn protocol_info(&self) -> Self::InfoIter {
        let [did, prekey, find] = Topic::ALL.map(Topic::protocol);
        [PROTOCOL, did, prekey, find].into_iter()
    }
}

impl<S: Send> InboundUpgrade<S> for Offered {
    /// `None`: messages.
    type Output = (Option<Topic>, S);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: S, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((Topic::ALL.into_iter().find(|topic| topic.protocol() == protocol), stream)))
    }
}

/// Stands on each connection. Opens what it is told to and hands each stream up.
pub(crate) struct Handler {
    places: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    wanted: VecDeque<Wanted>,
    events: VecDeque<FromHandler>,
    waker: Option<Waker>,
}

impl Handler {
    pub(super) fn new(inbound_streams_max: usize, inbound_questions_max: usize) -> Self {
        Handler {
            places: super::places(inbound_streams_max),
            questions: super::places(inbound_questions_max),
            wanted: VecDeque::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    fn accepted(&mut self, topic: Option<Topic>, stream: Stream) {
        let places = if topic.is_some() { &self.questions } else { &self.places };
        self.events.push_back(match (Arc::clone(places).try_acquire_owned(), topic) {
            (Ok(place), None) => FromHandler::Accepted(stream, place),
            (Ok(place), Some(topic)) => FromHandler::Asked(topic, stream, place),
            (Err(_), topic) => FromHandler::TooMany(topic),
        });
    }

    fn opened(&mut self, wanted: Wanted, stream: Stream) {
        match wanted {
            Wanted::Messages(wanted) => self.events.push_back(FromHandler::Opened(wanted, stream)),
            Wanted::Question(_, pledge) => pledge.keep(stream),
        }
    }

    fn open_failed(&mut self, wanted: Wanted, error: StreamUpgradeError<Infallible>) {
        match wanted {
            Wanted::Messages(wanted) => {
                let words = in_words(error, PROTOCOL);
                self.events.push_back(FromHandler::OpenFailed(wanted, words));
            }
            Wanted::Question(topic, pledge) => pledge.fail(in_words(error, topic.protocol())),
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Wanted;
    type ToBehaviour = FromHandler;
    type InboundProtocol = Offered;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Wanted;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(Offered, ())
    }

    fn on_behaviour_event(&mut self, wanted: Wanted) {
        self.wanted.push_back(wanted);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Wanted>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(inbound) => {
                let (topic, stream) = inbound.protocol;
                self.accepted(topic, stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(outbound) => {
                self.opened(outbound.info, outbound.protocol);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.open_failed(info, error);
            }
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Wanted, Self::ToBehaviour>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(wanted) = self.wanted.pop_front() {
            let name = match &wanted {
                Wanted::Messages(_) => PROTOCOL,
                Wanted::Question(topic, _) => topic.protocol(),
            };
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(name), wanted);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn in_words(error: StreamUpgradeError<Infallible>, protocol: StreamProtocol) -> String {
    match error {
        StreamUpgradeError::Timeout => format!("the peer did not answer the opening of {protocol} in time"),
        StreamUpgradeError::NegotiationFailed => format!("the peer does not speak {protocol}"),
        StreamUpgradeError::Io(error) => format!("the connection failed while opening {protocol}: {error}"),
        StreamUpgradeError::Apply(never) => match never {},
    }
}
