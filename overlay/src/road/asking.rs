//! Questions at the node task: ours find a connection, theirs find the desk.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use dccp::Did;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::Road;
use crate::desk::Source;
use crate::error::AskError;
use crate::house::House;
use crate::questions::{self, Visit};
use crate::streams::{Asked, Place, Pledge, Turn, Wanted};
use crate::topic::{Asker, Topic};
use crate::words;

/// A question that looks for a stream. The asker puts it itself, once it has one.
pub(crate) struct Asking {
    pub(crate) topic: Topic,
    pub(crate) whom: Goal,
    pub(crate) ready: oneshot::Sender<Result<Asked, AskError>>,
}

/// Where a question may go.
pub(crate) enum Goal {
    Partner(Did),
    /// A node, on a connection that there is.
    Connected(PeerId),
    /// Nodes and their addresses, in the order to try them.
    Nodes(VecDeque<(PeerId, Vec<Multiaddr>)>),
}

/// Questions of ours that do not have a connection yet.
pub(super) struct Pending {
    /// They wait for a connection with this node.
    dialling: HashMap<PeerId, Vec<Pursuit>>,
    /// They wait until the link to this partner is up.
    introductions: HashMap<Did, Vec<Pursuit>>,
    turns: mpsc::UnboundedSender<ConnectionId>,
}

/// A question on its way from node to node.
pub(super) struct Pursuit {
    topic: Topic,
    /// Goes on when a partner is asked for what only partners may ask.
    introduction: Option<Did>,
    left: VecDeque<(PeerId, Vec<Multiaddr>)>,
    ready: oneshot::Sender<Result<Asked, AskError>>,
    failures: Vec<String>,
}

/// What a connection carries for us.
#[derive(Default)]
pub(super) struct Counter {
    /// Questions that are under way.
    open: usize,
    /// Questions that wait for their turn.
    line: VecDeque<Pursuit>,
    /// It was made to ask, and ends with the last answer unless it is a partner's.
    made_to_ask: bool,
}

impl Pending {
    pub(super) fn new(turns: mpsc::UnboundedSender<ConnectionId>) -> Pending {
        Pending { dialling: HashMap::new(), introductions: HashMap::new(), turns }
    }
}

impl Pursuit {
    fn fail(self, error: AskError) {
        let _ = self.ready.send(Err(error)); // The asker may have gone.
    }

    fn give_up(mut self) {
        if self.failures.is_empty() {
            self.failures.push("no address of a node is known".to_owned());
        }
        let words = self.failures.join("; ");
        self.fail(AskError::Unreachable(words));
    }
}

impl<H: House> Road<H> {
    /// A question of ours sets out.
    pub(super) fn ask(&mut self, asking: Asking) {
        let Asking { topic, whom, ready } = asking;
        let mut pursuit =
            Pursuit { topic, introduction: None, left: VecDeque::new(), ready, failures: Vec::new() };
        match whom {
            Goal::Nodes(nodes) => pursuit.left = nodes,
            Goal::Connected(peer) => match self.newest_connection(|node| *node == peer) {
                Some(connection) => return self.stand_in_line(connection, pursuit),
                None => pursuit.failures.push("the node is not connected any more".to_owned()),
            },
            Goal::Partner(did) => {
                let Some(link) = self.links.get_mut(&did) else {
                    return pursuit.fail(AskError::UnknownPartner);
                };
                if !topic.is_open_to_strangers() {
                    pursuit.introduction = Some(did);
                } else if let Some(connection) = link.connection() {
                    return self.stand_in_line(connection, pursuit);
                } else {
                    pursuit.left = link.nodes().collect();
                }
            }
        }
        self.pursue(pursuit);
    }

    fn pursue(&mut self, pursuit: Pursuit) {
        if self.ground.draining.is_cancelled() {
            return pursuit.fail(AskError::Closed);
        }
        match pursuit.introduction.clone() {
            Some(did) => self.await_introduction(&did, pursuit),
            None => self.reach(pursuit),
        }
    }

    /// Prekeys are for partners: our own stream must be up, because then we are known over there.
    fn await_introduction(&mut self, did: &Did, pursuit: Pursuit) {
        let Some(link) = self.links.get_mut(did) else {
            return pursuit.fail(AskError::UnknownPartner);
        };
        if let Some(connection) = link.connection() {
            return self.stand_in_line(connection, pursuit);
        }
        link.try_now(Instant::now());
        let waiting = self.pending.introductions.entry(did.clone()).or_default();
        waiting.retain(|waiting| !waiting.ready.is_closed());
        waiting.push(pursuit);
    }

    /// Takes a connection with any of the nodes, or dials one after the other.
    fn reach(&mut self, mut pursuit: Pursuit) {
        if let Some(connection) = self.newest_connection(|node| pursuit.left.iter().any(|(p, _)| p == node)) {
            return self.stand_in_line(connection, pursuit);
        }
        while let Some((peer, addresses)) = pursuit.left.pop_front() {
            if pursuit.ready.is_closed() {
                return;
            }
            let dial = DialOpts::peer_id(peer)
                .addresses(addresses)
                .condition(PeerCondition::NotDialing)
                .allocate_new_port()
                .build();
            match self.swarm.dial(dial) {
                // Somebody else's dialling serves as well.
                Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {
                    return self.pending.dialling.entry(peer).or_default().push(pursuit);
                }
                Err(error) => pursuit.failures.push(words::of_dial_error(&error)),
            }
        }
        pursuit.give_up();
    }

    fn newest_connection(&self, with: impl Fn(&PeerId) -> bool) -> Option<ConnectionId> {
        self.connections.iter().filter(|(_, connection)| with(&connection.peer)).map(|(id, _)| *id).max()
    }

    /// The dialling is over, one way or the other.
    pub(super) fn dialled(&mut self, peer: &PeerId, reached: Result<ConnectionId, &str>) {
        for mut pursuit in self.pending.dialling.remove(peer).unwrap_or_default() {
            match reached {
                Ok(id) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.counter.made_to_ask = connection.dialled;
                    }
                    self.stand_in_line(id, pursuit);
                }
                Err(words) => {
                    pursuit.failures.push(words.to_owned());
                    self.pursue(pursuit);
                }
            }
        }
    }

    /// The link to this partner came up, or will not for now.
    pub(super) fn introduced(&mut self, did: &Did, reached: Result<ConnectionId, &str>) {
        for mut pursuit in self.pending.introductions.remove(did).unwrap_or_default() {
            match reached {
                Ok(connection) => self.stand_in_line(connection, pursuit),
                Err(words) => {
                    pursuit.failures.push(words.to_owned());
                    pursuit.give_up();
                }
            }
        }
    }

    fn stand_in_line(&mut self, id: ConnectionId, pursuit: Pursuit) {
        match self.connections.get_mut(&id) {
            Some(connection) => connection.counter.line.push_back(pursuit),
            None => return pursuit.fail(AskError::Interrupted),
        }
        self.serve(id);
    }

    /// One of our questions on this connection is over.
    pub(super) fn turn_over(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.counter.open = connection.counter.open.saturating_sub(1);
            self.serve(id);
        }
    }

    /// Opens streams for those whose turn it is. A connection that was made to ask ends with them.
    fn serve(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (peer, counter) = (connection.peer, &mut connection.counter);
        while counter.open < self.ground.limits.asks.asking_per_connection_max.max(1) {
            let Some(Pursuit { topic, ready, .. }) = counter.line.pop_front() else { break };
            if ready.is_closed() {
                continue;
            }
            counter.open += 1;
            let turn = Turn { connection: id, over: self.pending.turns.clone() };
            let wanted = Wanted::Question(topic, Pledge { ready, turn });
            self.swarm.behaviour_mut().streams.open(peer, id, wanted);
        }
        let over = counter.made_to_ask && counter.open == 0 && counter.line.is_empty();
        if over && !self.links.values().any(|link| link.peers().any(|node| node == peer)) {
            self.swarm.close_connection(id);
        }
    }

    /// The connection is gone. What was not asked yet may be asked on another.
    pub(super) fn rescue(&mut self, counter: Counter) {
        for mut pursuit in counter.line {
            pursuit.failures.push("the connection ended".to_owned());
            self.pursue(pursuit);
        }
    }

    /// A question of theirs, on a fresh stream: admitted or dropped before a word is read.
    pub(super) fn asked(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        topic: Topic,
        stream: libp2p::Stream,
        place: Place,
    ) {
        let did = self.ground.recognised(id);
        let source = match (&did, self.connections.get(&id)) {
            (Some(did), _) => Source::Partner(did.clone()),
            (None, _) if !topic.is_open_to_strangers() => {
                return self.ground.metrics.question_refused(topic, "stranger");
            }
            (None, Some(connection)) => Source::stranger(&connection.address),
            (None, None) => return,
        };
        match self.desk.admit(source, Instant::now()) {
            Ok(seat) => {
                let asker = Asker { peer_id: peer.to_bytes(), did };
                let visit = Visit { asker, topic, place, seat };
                let task = questions::answer(stream, visit, Arc::clone(&self.ground));
                self.streams.spawn(self.until_stopped(task));
            }
            Err(away) => self.ground.metrics.question_refused(topic, away.label()),
        }
    }
}
