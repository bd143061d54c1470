//! The node task: owns the swarm and the links, spawns a task per stream, carries no message itself.

pub(crate) mod asking;
mod heads;
mod news;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::pending;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dccp::Did;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::metrics::Metrics as SwarmMetrics;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::asking::{Asking, Counter, Pending};
use self::heads::Heads;
use crate::desk::Desk;
use crate::directory::{Publication, Search};
use crate::gate::Gate;
use crate::greeting::{Book, Known};
use crate::ground::{Ground, Lanes, Report};
use crate::house::House;
use crate::link::{Link, LinkState, Step};
use crate::node::{CLOSE_TIMEOUT, Partner};
use crate::streams::{OpenStream, Wanted};
use crate::transport::Behaviour;
use crate::window::{Budget, Window};
use crate::words;

/// Refusals of strangers that are logged at once, and one more per [`REFUSAL_LOG_INTERVAL`]: all are
/// counted, but strangers must not fill our disk.
const REFUSAL_LOG_BURST: u32 = 20;
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(6);

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
    refusal_log: Gate,
    /// Who may ask us now.
    desk: Arc<Desk>,
    /// What we ask.
    pending: Pending,
    heads: Heads,
}

struct Connection {
    peer: PeerId,
    address: Multiaddr,
    /// By us.
    dialled: bool,
    speaks_kad: bool,
    counter: Counter,
}

/// What the door asks of the node task.
pub(crate) enum Order {
    Ask(Asking),
    Publish(Publication),
    Search(Search),
}

/// Where the node task hears from the rest of the node.
pub(crate) struct Inbox {
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Questions of ours that are over, by the connection that carried them.
    pub(crate) turns: mpsc::UnboundedReceiver<ConnectionId>,
    pub(crate) partners: watch::Receiver<Vec<Partner>>,
}

/// The parts of a node that its door keeps too.
pub(crate) struct Shared {
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) states: watch::Sender<BTreeMap<Did, LinkState>>,
    pub(crate) listening: Arc<RwLock<Vec<Multiaddr>>>,
    pub(crate) listeners: Vec<ListenerId>,
    pub(crate) streams: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) turns: mpsc::UnboundedSender<ConnectionId>,
    pub(crate) bootstrap: Vec<(PeerId, Multiaddr)>,
}

impl<H: House> Road<H> {
    pub(crate) fn new(swarm: Swarm<Behaviour>, ground: Arc<Ground<H>>, shared: Shared) -> Self {
        let Shared { lanes, states, listening, listeners, streams, stop, turns, bootstrap } = shared;
        let inbound = Budget::new(ground.limits.inbound_bytes_max);
        Road {
            desk: Desk::new(ground.limits.asks.clone(), Instant::now()),
            pending: Pending::new(turns),
            heads: Heads::new(bootstrap),
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
            refusal_log: Gate::new(REFUSAL_LOG_BURST, REFUSAL_LOG_INTERVAL, Instant::now()),
        }
    }

    /// Runs until the node is stopped or nobody holds its door any more.
    pub(crate) async fn run(mut self, inbox: Inbox, metrics: SwarmMetrics) {
        let Inbox { mut reports, mut orders, mut turns, mut partners } = inbox;
        self.remember_bootstrap();
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
                Some(connection) = turns.recv() => self.turn_over(connection),
                Some(order) = orders.recv() => match order {
                    Order::Ask(asking) => self.ask(asking),
                    Order::Publish(publication) => self.publish_head(publication),
                    Order::Search(search) => self.search(search),
                },
                event = self.swarm.select_next_some() => {
                    news::record(&metrics, &event);
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
        let rotated: Vec<Arc<Known>> = old
            .iter()
            .filter(|(did, known)| book.get(*did).is_some_and(|new| !known.trusts_like(new)))
            .map(|(_, known)| Arc::clone(known))
            .collect();
        *self.ground.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
        for known in rotated {
            tracing::info!(partner = %known.did, "operator keys replaced: its nodes prove themselves anew");
            self.ground.forget_partner(&known.did);
            known.superseded.cancel();
        }

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
        let (window, removed, superseded) = match old.get(&partner.did) {
            Some(known) => {
                let same = known.document.operators() == partner.document.operators();
                let superseded = if same { known.superseded.clone() } else { CancellationToken::new() };
                (known.window.clone(), known.removed.clone(), superseded)
            }
            None => {
                let total = Some(self.inbound.clone());
                let window = Window::new(limits.in_flight_messages_max, limits.in_flight_bytes_max, total);
                (window, CancellationToken::new(), CancellationToken::new())
            }
        };
        let (did, document) = (partner.did.clone(), partner.document.clone());
        Known { did, document, window, removed, superseded }
    }

    fn forget(&mut self, did: &Did) {
        let was_up = self.links.remove(did).is_some_and(|link| link.state().up);
        self.note_down(was_up);
        self.lanes.remove(did);
        self.introduced(did, Err("not a partner any more"));
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
                let wanted = Wanted::Messages(OpenStream { did: did.clone(), attempt });
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
        self.introduced(did, Err(&words));
        self.lanes.set(did, Err(words));
        self.publish(did);
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
