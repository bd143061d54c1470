//! The node task: owns the swarm and the links, spawns a task per stream, sends nobody's messages.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::{Future, pending};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use dccp::Did;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::metrics::{Metrics as SwarmMetrics, Recorder};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, mdns, ping};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::end::End;
use crate::greeting::{Book, Known};
use crate::ground::{Ground, Lanes, Report};
use crate::house::House;
use crate::link::{Attempt, Link, LinkState, Step};
use crate::node::{CLOSE_TIMEOUT, Partner};
use crate::opener::Errand;
use crate::streams::{FromHandler, OpenStream, StreamEvent};
use crate::transport::{Behaviour, BehaviourEvent};
use crate::window::{Budget, Window};
use crate::words;
use crate::{acceptor, opener};

/// See the module.
pub(crate) struct Road<H> {
    swarm: Swarm<Behaviour>,
    ground: Arc<Ground<H>>,
    links: HashMap<Did, Link>,
    links_made: u64,
    connections: HashMap<ConnectionId, Connection>,
    /// What all partners together may have us hold.
    inbound: Budget,
    lanes: Arc<Lanes>,
    states: watch::Sender<BTreeMap<Did, LinkState>>,
    listening: Arc<RwLock<Vec<Multiaddr>>>,
    listeners: Vec<ListenerId>,
    streams: TaskTracker,
    stop: CancellationToken,
}

struct Connection {
    peer: PeerId,
    address: Multiaddr,
}

/// The parts of a node that its door keeps too.
pub(crate) struct Shared {
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) states: watch::Sender<BTreeMap<Did, LinkState>>,
    pub(crate) listening: Arc<RwLock<Vec<Multiaddr>>>,
    pub(crate) listeners: Vec<ListenerId>,
    pub(crate) streams: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl<H: House> Road<H> {
    pub(crate) fn new(swarm: Swarm<Behaviour>, ground: Arc<Ground<H>>, shared: Shared) -> Self {
        let Shared { lanes, states, listening, listeners, streams, stop } = shared;
        let inbound = Budget::new(ground.limits.inbound_bytes_max);
        Road {
            swarm,
            ground,
            links: HashMap::new(),
            links_made: 0,
            connections: HashMap::new(),
            inbound,
            lanes,
            states,
            listening,
            listeners,
            streams,
            stop,
        }
    }

    /// Runs until the node is stopped or nobody holds its door any more.
    pub(crate) async fn run(
        mut self,
        mut reports: mpsc::Receiver<Report>,
        mut partners: watch::Receiver<Vec<Partner>>,
        metrics: SwarmMetrics,
    ) {
        let stop = self.stop.clone();
        let draining = self.ground.draining.clone();
        let mut open = true;
        loop {
            let due = self.links.values().filter_map(Link::due).min().filter(|_| open);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = draining.cancelled(), if open => {
                    open = false;
                    self.stop_listening();
                }
                Some(report) = reports.recv() => self.on_report(report),
                changed = partners.changed() => match changed {
                    Ok(()) => {
                        let list = partners.borrow_and_update().clone();
                        self.set_partners(&list);
                    }
                    Err(_) => break,
                },
                () = sleep_until(due) => self.try_due(),
                event = self.swarm.select_next_some() => {
                    record(&metrics, &event);
                    self.on_swarm(event);
                }
            }
        }
        self.close().await;
    }

    /// Takes over a new list of partners.
    pub(crate) fn set_partners(&mut self, partners: &[Partner]) {
        let old = self.ground.book();
        let mut book = Book::new();
        for partner in partners {
            book.insert(partner.did.clone(), Arc::new(self.known(partner, &old)));
        }
        for (did, known) in old.iter().filter(|(did, _)| !book.contains_key(*did)) {
            tracing::info!(partner = %did, "partner removed");
            known.removed.cancel();
            self.forget(did);
        }
        *self.ground.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);

        let (now, clock) = (Instant::now(), (self.ground.clock)());
        for partner in partners {
            match self.links.get_mut(&partner.did) {
                Some(link) => link.set_nodes(&partner.nodes, now),
                None => {
                    self.links_made += 1;
                    let link = Link::new(self.links_made, &partner.nodes, &self.ground.limits, now, clock);
                    self.links.insert(partner.did.clone(), link);
                    self.lanes.set(&partner.did, Err("not connected yet".to_owned()));
                }
            }
            self.publish(&partner.did);
        }
        self.refresh_known();
    }

    fn known(&self, partner: &Partner, old: &Book) -> Known {
        let limits = &self.ground.limits;
        let (window, removed) = match old.get(&partner.did) {
            Some(known) => (known.window.clone(), known.removed.clone()),
            None => {
                let total = Some(self.inbound.clone());
                let window = Window::new(limits.in_flight_messages_max, limits.in_flight_bytes_max, total);
                (window, CancellationToken::new())
            }
        };
        Known { did: partner.did.clone(), document: partner.document.clone(), window, removed }
    }

    fn forget(&mut self, did: &Did) {
        let was_up = self.links.remove(did).is_some_and(|link| link.state().up);
        self.note_down(was_up);
        self.lanes.remove(did);
        self.states.send_modify(|states| {
            states.remove(did);
        });
    }

    fn refresh_known(&mut self) {
        let known: HashSet<PeerId> = self.links.values().flat_map(Link::peers).collect();
        self.swarm.behaviour_mut().streams.set_known(known);
    }

    fn publish(&self, did: &Did) {
        let Some(link) = self.links.get(did) else { return };
        self.states.send_if_modified(|states| match states.get(did) {
            Some(known) if known == link.state() => false,
            _ => {
                states.insert(did.clone(), link.state().clone());
                true
            }
        });
    }

    fn note_down(&self, was_up: bool) {
        if was_up {
            self.ground.metrics.links_up.dec();
            self.ground.metrics.link_downs.inc();
        }
    }

    fn try_due(&mut self) {
        let now = Instant::now();
        let due: Vec<Did> = self
            .links
            .iter()
            .filter(|(_, link)| link.due().is_some_and(|due| due <= now))
            .map(|(did, _)| did.clone())
            .collect();
        for did in due {
            let connections = &self.connections;
            // The newest connection: an older one may be dead and not know it yet.
            let newest =
                |peer: &PeerId| connections.iter().filter(|(_, c)| c.peer == *peer).map(|(id, _)| *id).max();
            let step = self.links.get_mut(&did).map_or(Step::Nothing, |link| link.next(now, newest));
            self.take(&did, step);
            self.publish(&did);
        }
    }

    fn take(&mut self, did: &Did, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Open { peer, connection } => {
                let Some(attempt) = self.links.get(did).map(Link::attempt) else { return };
                let wanted = OpenStream { did: did.clone(), attempt };
                self.swarm.behaviour_mut().streams.open(peer, connection, wanted);
            }
            Step::Dial { peer, addresses } => {
                tracing::debug!(partner = %did, %peer, ?addresses, "dialling");
                let dial = DialOpts::peer_id(peer)
                    .addresses(addresses)
                    .condition(PeerCondition::NotDialing)
                    .allocate_new_port()
                    .build();
                if let Err(error) = self.swarm.dial(dial) {
                    self.dial_failed(&peer, &words::of_dial_error(&error));
                }
            }
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(event)) => self.on_stream(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(event)) => self.on_mdns(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let address = endpoint.get_remote_address().clone();
                self.connections.insert(connection_id, Connection { peer: peer_id, address });
                self.connected(peer_id, connection_id);
            }
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                self.connections.remove(&connection_id);
                let cause = cause.map_or("it was closed".to_owned(), |cause| cause.to_string());
                self.connection_ended(connection_id, &format!("the connection ended: {cause}"));
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.dial_failed(&peer, &words::of_dial_error(&error));
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::info!(from = %send_back_addr, reason = %words::of_listen_error(&error), "connection refused");
                self.ground.metrics.peer_refused(words::label_of_listen_error(&error));
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.listening.write().unwrap_or_else(PoisonError::into_inner).push(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                let mut listening = self.listening.write().unwrap_or_else(PoisonError::into_inner);
                listening.retain(|known| *known != address);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener had an error"),
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::error!(?addresses, %error, "a listener closed");
            }
            _ => {}
        }
    }

    /// A connection with this node exists; every partner that lists the node may use it. Which one
    /// it really is, its Hello will prove.
    fn connected(&mut self, peer: PeerId, connection: ConnectionId) {
        let mut steps = Vec::new();
        for (did, link) in &mut self.links {
            if link.peers().any(|node| node == peer) {
                steps.push((did.clone(), link.connected(peer, connection)));
            }
        }
        for (did, step) in steps {
            self.take(&did, step);
        }
    }

    fn dial_failed(&mut self, peer: &PeerId, words: &str) {
        let now = Instant::now();
        self.failed(|link, rng| link.dial_failed(peer, words.to_owned(), now, rng));
    }

    fn connection_ended(&mut self, connection: ConnectionId, words: &str) {
        let now = Instant::now();
        self.failed(|link, rng| link.connection_ended(connection, words.to_owned(), now, rng));
    }

    fn failed(&mut self, mut fail: impl FnMut(&mut Link, &mut rand::rngs::ThreadRng) -> bool) {
        let mut failed = Vec::new();
        for (did, link) in &mut self.links {
            if fail(link, &mut rand::rng()) {
                failed.push(did.clone());
            }
        }
        for did in failed {
            self.ground.metrics.dials_failed.inc();
            self.unreachable(&did);
        }
    }

    /// Tells `send` and `links` why.
    fn unreachable(&mut self, did: &Did) {
        let Some(link) = self.links.get(did) else { return };
        let words = link.state().last_error.clone().unwrap_or_default();
        tracing::debug!(partner = %did, reason = %words, "not reachable");
        self.lanes.set(did, Err(words));
        self.publish(did);
    }

    fn on_stream(&mut self, StreamEvent { peer, connection, what }: StreamEvent) {
        if self.ground.draining.is_cancelled() {
            return; // Dropping the stream resets it.
        }
        match what {
            FromHandler::Opened(OpenStream { did, attempt }, stream) => {
                let errand = Errand { did, peer, connection, attempt };
                let task = opener::run(stream, errand, Arc::clone(&self.ground));
                self.streams.spawn(self.until_stopped(task));
            }
            FromHandler::OpenFailed(OpenStream { did, attempt }, words) => {
                self.link_down(&did, attempt, &words)
            }
            FromHandler::Accepted(stream, place) => {
                let task = acceptor::run(stream, peer, connection, place, Arc::clone(&self.ground));
                self.streams.spawn(self.until_stopped(task));
            }
            FromHandler::TooMany => {
                tracing::info!(%peer, "too many streams on one connection");
                self.ground.metrics.peer_refused("too_many_streams");
            }
        }
    }

    fn until_stopped<F: Future<Output = ()> + Send + 'static>(
        &self,
        task: F,
    ) -> impl Future<Output = ()> + Send + 'static {
        let stop = self.stop.clone();
        async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(_) | Err(ping::Failure::Unsupported) => {}
            Err(failure) => {
                tracing::info!(peer = %event.peer, %failure, "dead connection");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_mdns(&mut self, event: mdns::Event) {
        let now = Instant::now();
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    self.links.values_mut().for_each(|link| link.heard(&peer, &address, now));
                }
            }
            mdns::Event::Expired(gone) => {
                for (peer, address) in gone {
                    self.links.values_mut().for_each(|link| link.forgotten(&peer, &address));
                }
            }
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Up { did, connection, attempt, lane, record } => {
                let Some(link) = self.links.get_mut(&did) else { return };
                let Some(Connection { address, .. }) = self.connections.get(&connection) else { return };
                let now = Instant::now();
                link.learn(&record, now);
                if link.up(attempt, address, now, (self.ground.clock)()) {
                    tracing::info!(partner = %did, %address, "link up");
                    self.lanes.set(&did, Ok(lane));
                    self.ground.metrics.links_up.inc();
                    self.ground.metrics.link_ups.inc();
                    self.publish(&did);
                }
            }
            Report::Down { did, peer, connection, attempt, end } => {
                self.stream_ended(&peer, connection, &end);
                self.link_down(&did, attempt, &end.to_string());
            }
            Report::Recognised { did, peer, connection, record } => {
                self.swarm.behaviour_mut().streams.recognised(connection);
                let Some(link) = self.links.get_mut(&did) else { return };
                link.learn(&record, Instant::now());
                let step = link.connected(peer, connection);
                self.take(&did, step);
                self.refresh_known();
            }
            Report::Left { peer, connection, end } => self.stream_ended(&peer, connection, &end),
        }
    }

    fn link_down(&mut self, did: &Did, attempt: Attempt, reason: &str) {
        let Some(link) = self.links.get_mut(did) else { return };
        let was_up = link.state().up;
        let clock = (self.ground.clock)();
        if link.ended(attempt, reason.to_owned(), Instant::now(), clock, &mut rand::rng()) {
            tracing::info!(partner = %did, reason, "link down");
            self.note_down(was_up);
            self.unreachable(did);
        }
    }

    fn stream_ended(&mut self, peer: &PeerId, connection: ConnectionId, end: &End) {
        self.ground.metrics.stream_ended(end.label());
        match end {
            End::Fault(fault) if fault.is_of_a_stranger() => {
                tracing::info!(%peer, reason = %fault, "peer refused");
                self.ground.metrics.peer_refused(end.label());
            }
            End::Fault(fault) => {
                tracing::warn!(%peer, reason = %fault, "a partner's node broke the protocol")
            }
            _ => tracing::debug!(%peer, reason = %end, "stream ended"),
        }
        if end.disconnects() {
            self.swarm.close_connection(connection);
        }
    }

    fn stop_listening(&mut self) {
        let listening = std::mem::take(&mut *self.listening.write().unwrap_or_else(PoisonError::into_inner));
        tracing::info!(addresses = ?listening, "shutting down");
        for id in self.listeners.drain(..) {
            self.swarm.remove_listener(id);
        }
        for did in self.links.keys() {
            self.lanes.set(did, Err("this node is shutting down".to_owned()));
        }
    }

    /// Closes every connection and waits a moment until they are closed.
    async fn close(mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, closed).await;
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => pending().await,
    }
}

fn record(metrics: &SwarmMetrics, event: &SwarmEvent<BehaviourEvent>) {
    metrics.record(event);
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => metrics.record(event),
        SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => metrics.record(event),
        _ => {}
    }
}
