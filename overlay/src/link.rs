//! One partner as seen by the dialler: where it may be, what we are doing about it. Pure.

use std::time::{Duration, Instant};

use dccp::UnixMillis;
use dccp::node::NodeRecord;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use rand::Rng;

use crate::config::{Limits, parse_multiaddr, transport_of};
use crate::redial::Backoff;

/// Addresses of one node that came by multicast DNS: a neighbour may announce thousands.
const HEARD_ADDRESSES_MAX: usize = 8;

/// Nodes of one partner that we remember beyond those it was configured with.
const NODES_MAX: usize = dccp::limits::PARTNER_NODES_MAX * 2;

/// The state of the road to one partner, for people and decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Whether a message could be sent now.
    pub up: bool,
    /// Since when it is so.
    pub since: UnixMillis,
    /// The address of the partner's node, while up.
    pub address: Option<String>,
    /// `tcp` or `quic`, while up.
    pub transport: Option<String>,
    /// Why it is down, or why it was down last, in words.
    pub last_error: Option<String>,
}

/// What the dialler should do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Dial { peer: PeerId, addresses: Vec<Multiaddr> },
    Open { peer: PeerId, connection: ConnectionId },
}

/// Names one attempt to reach the partner, so that late news of an older one is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    link: u64,
    number: u64,
}

pub(crate) struct Link {
    nodes: Vec<Node>,
    /// Which node is tried next: the record names them in order, each failure moves on.
    turn: usize,
    phase: Phase,
    attempt: Attempt,
    backoff: Backoff,
    state: LinkState,
}

/// One node and where it may be: in order of trust, and all of them are tried at once.
struct Node {
    peer: PeerId,
    /// By the record we were configured with.
    listed: Vec<Multiaddr>,
    /// By the record it presented itself.
    presented: Vec<Multiaddr>,
    /// By an announcement on the local network.
    heard: Vec<Multiaddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until then; for ever when no address is known.
    Waiting {
        until: Option<Instant>,
    },
    Dialling {
        peer: PeerId,
    },
    /// A stream was asked for, or the Hellos are being exchanged on it.
    Opening {
        connection: ConnectionId,
    },
    Up {
        since: Instant,
        connection: ConnectionId,
    },
}

impl Node {
    /// `None` when the record's PeerId is none. Addresses that we cannot use may be good for
    /// others: they are skipped.
    fn of(record: &NodeRecord) -> Option<Node> {
        let peer = PeerId::from_bytes(&record.peer_id).ok()?;
        let listed = record.addresses.iter().filter_map(|text| parse_multiaddr(text).ok()).collect();
        Some(Node { peer, listed, presented: Vec::new(), heard: Vec::new() })
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        let all = self.listed.iter().chain(&self.presented).chain(&self.heard);
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for address in all {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }
}

impl Link {
    /// `link`: a number that no other link of this node has or had.
    pub(crate) fn new(
        link: u64,
        records: &[NodeRecord],
        limits: &Limits,
        now: Instant,
        clock: UnixMillis,
    ) -> Link {
        let mut link = Link {
            nodes: Vec::new(),
            turn: 0,
            phase: Phase::Waiting { until: Some(now) },
            attempt: Attempt { link, number: 0 },
            backoff: Backoff::new(limits.redial_delay_min, limits.redial_delay_max),
            state: LinkState { up: false, since: clock, address: None, transport: None, last_error: None },
        };
        link.set_nodes(records, now);
        link
    }

    pub(crate) fn state(&self) -> &LinkState {
        &self.state
    }

    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.nodes.iter().map(|node| node.peer)
    }

    /// Replaces the configured nodes; the link itself is not touched. Fresh addresses are tried at once.
    pub(crate) fn set_nodes(&mut self, records: &[NodeRecord], now: Instant) {
        let mut nodes: Vec<Node> = records.iter().take(NODES_MAX).filter_map(Node::of).collect();
        let mut news = nodes.len() != self.nodes.len();
        for node in &mut nodes {
            match self.nodes.iter_mut().find(|old| old.peer == node.peer) {
                Some(old) => {
                    news |= old.listed != node.listed;
                    node.presented = std::mem::take(&mut old.presented);
                    node.heard = std::mem::take(&mut old.heard);
                }
                None => news = true,
            }
        }
        self.nodes = nodes;
        if news {
            self.try_now(now);
        }
    }

    /// A verified record that a node of this partner presented itself.
    pub(crate) fn learn(&mut self, record: &NodeRecord, now: Instant) {
        let Some(mut fresh) = Node::of(record) else { return };
        fresh.presented = std::mem::take(&mut fresh.listed);
        let full = self.nodes.len() >= NODES_MAX;
        match self.nodes.iter_mut().find(|node| node.peer == fresh.peer) {
            Some(node) if node.presented == fresh.presented => return,
            Some(node) => node.presented = fresh.presented,
            None if full => return,
            None => self.nodes.push(fresh),
        }
        self.try_now(now);
    }

    /// An address of this node was announced on the local network.
    pub(crate) fn heard(&mut self, peer: &PeerId, address: &Multiaddr, now: Instant) {
        let Some(node) = self.nodes.iter_mut().find(|node| node.peer == *peer) else { return };
        if node.heard.len() < HEARD_ADDRESSES_MAX && !node.heard.contains(address) {
            node.heard.push(address.clone());
            self.try_now(now);
        }
    }

    /// An announcement ran out.
    pub(crate) fn forgotten(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.peer == *peer) {
            node.heard.retain(|heard| heard != address);
        }
    }

    /// The connection that carries our stream, while it is up: both sides have proved themselves on it.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self.phase {
            Phase::Up { connection, .. } => Some(connection),
            _ => None,
        }
    }

    /// Where this node of the partner may be.
    pub(crate) fn addresses_of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.nodes.iter().find(|node| node.peer == *peer).map(Node::addresses).unwrap_or_default()
    }

    /// All nodes of the partner and where they may be, the one whose turn it is first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (PeerId, Vec<Multiaddr>)> {
        let count = self.nodes.len();
        let turn = self.turn.checked_rem(count).unwrap_or_default();
        self.nodes.iter().cycle().skip(turn).take(count).map(|node| (node.peer, node.addresses()))
    }

    /// Somebody waits for this link: the delay is over.
    pub(crate) fn try_now(&mut self, now: Instant) {
        if let Phase::Waiting { until } = &mut self.phase {
            *until = Some(now);
        }
    }

    /// When [`Link::next`] wants to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until } => until,
            _ => None,
        }
    }

    /// The waiting is over: open a stream on a connection that exists, or dial.
    pub(crate) fn next(&mut self, now: Instant, open: impl Fn(&PeerId) -> Option<ConnectionId>) -> Step {
        if self.due().is_none_or(|due| due > now) {
            return Step::Nothing;
        }
        if let Some((peer, connection)) = self.nodes.iter().find_map(|n| Some((n.peer, open(&n.peer)?))) {
            return self.open(peer, connection);
        }
        let count = self.nodes.len().max(1);
        let in_turn = (0..count).filter_map(|i| self.nodes.get((self.turn + i) % count));
        let candidate =
            in_turn.map(|node| (node.peer, node.addresses())).find(|(_, addresses)| !addresses.is_empty());
        let Some((peer, addresses)) = candidate else {
            self.phase = Phase::Waiting { until: None };
            self.state.last_error = Some("no address of a node of this partner is known".to_owned());
            return Step::Nothing;
        };
        self.phase = Phase::Dialling { peer };
        Step::Dial { peer, addresses }
    }

    fn open(&mut self, peer: PeerId, connection: ConnectionId) -> Step {
        self.attempt.number += 1;
        self.phase = Phase::Opening { connection };
        Step::Open { peer, connection }
    }

    /// A connection with a node of this partner exists, whoever dialled.
    pub(crate) fn connected(&mut self, peer: PeerId, connection: ConnectionId) -> Step {
        match self.phase {
            Phase::Waiting { .. } | Phase::Dialling { .. } => self.open(peer, connection),
            Phase::Opening { .. } | Phase::Up { .. } => Step::Nothing,
        }
    }

    /// Dialling this node failed.
    pub(crate) fn dial_failed(
        &mut self,
        peer: &PeerId,
        words: String,
        now: Instant,
        rng: &mut impl Rng,
    ) -> bool {
        let ours = matches!(self.phase, Phase::Dialling { peer: dialled } if dialled == *peer);
        if ours {
            self.wait(words, now, rng);
        }
        ours
    }

    /// This connection ended, perhaps before our stream was opened on it. A stream that was opened
    /// reports its end itself.
    pub(crate) fn connection_ended(
        &mut self,
        on: ConnectionId,
        words: String,
        now: Instant,
        rng: &mut impl Rng,
    ) -> bool {
        let ours = matches!(self.phase, Phase::Opening { connection } if connection == on);
        if ours {
            self.wait(words, now, rng);
        }
        ours
    }

    /// The Hellos are exchanged: messages may flow. `false` when this is news of an older attempt.
    pub(crate) fn up(
        &mut self,
        attempt: Attempt,
        address: &Multiaddr,
        now: Instant,
        clock: UnixMillis,
    ) -> bool {
        let Phase::Opening { connection } = self.phase else { return false };
        if attempt != self.attempt {
            return false;
        }
        self.phase = Phase::Up { since: now, connection };
        self.state = LinkState {
            up: true,
            since: clock,
            address: Some(address.to_string()),
            transport: Some(transport_of(address).to_owned()),
            last_error: self.state.last_error.take(),
        };
        true
    }

    /// Our stream ended, or was never opened. `false` when this is news of an older attempt.
    pub(crate) fn ended(
        &mut self,
        attempt: Attempt,
        words: String,
        now: Instant,
        clock: UnixMillis,
        rng: &mut impl Rng,
    ) -> bool {
        if attempt != self.attempt {
            return false;
        }
        match self.phase {
            Phase::Up { since, .. } => {
                self.backoff.ended_after(now.saturating_duration_since(since));
                self.state.since = clock;
            }
            Phase::Opening { .. } => {}
            Phase::Waiting { .. } | Phase::Dialling { .. } => return false,
        }
        self.wait(words, now, rng);
        true
    }

    fn wait(&mut self, words: String, now: Instant, rng: &mut impl Rng) {
        let delay: Duration = self.backoff.failed(rng);
        self.turn = self.turn.wrapping_add(1) % self.nodes.len().max(1);
        self.phase = Phase::Waiting { until: Some(now + delay) };
        self.state.up = false;
        self.state.address = None;
        self.state.transport = None;
        self.state.last_error = Some(words);
    }
}

#[cfg(test)]
mod tests;
