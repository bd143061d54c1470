//! The door: start a node, send, watch, shut down.

mod asking;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dccp::did::DidDocument;
use dccp::node::NodeRecord;
use dccp::seal::SealedMessage;
use dccp::{Did, UnixMillis};
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm};
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{AskLimits, Config, keypair_of, parse_multiaddr, parse_node_address};
use crate::desk::Desk;
use crate::error::{SendError, StartError};
use crate::greeting::Hello;
use crate::ground::{Ground, Lanes};
use crate::haul::Chunks;
use crate::house::House;
use crate::link::LinkState;
use crate::metrics::Metrics;
use crate::opener::{HopAck, Lane, Outgoing};
use crate::road::{Inbox, Order, Road, Shared};
use crate::transport::{self, Behaviour};

/// Reports of stream tasks that may wait for the node task.
const REPORTS_MAX: usize = 256;

/// Questions and searches that may wait for the node task.
const ORDERS_MAX: usize = 64;

/// How long the operating system may take to open a listening socket.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long closing connections may take once everything was said.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An organisation that we exchange messages with: whom we dial and whom we recognise.
#[derive(Clone)]
pub struct Partner {
    /// Who it is.
    pub did: Did,
    /// Its verified document: node records are verified with its operator key.
    pub document: DidDocument,
    /// Its verified node records, in the order in which to try them.
    pub nodes: Vec<NodeRecord>,
}

/// A running node. Clones share it; when the last one is dropped the node stops at once.
#[derive(Clone)]
pub struct Overlay {
    inner: Arc<Inner>,
}

struct Inner {
    lanes: Arc<Lanes>,
    partners: watch::Sender<Vec<Partner>>,
    hello: watch::Sender<Arc<Hello>>,
    links: watch::Receiver<BTreeMap<Did, LinkState>>,
    listening: Arc<RwLock<Vec<Multiaddr>>>,
    peer_id: String,
    orders: mpsc::Sender<Order>,
    /// Places for our own questions.
    asking: Semaphore,
    metrics: Metrics,
    draining: CancellationToken,
    stop: CancellationToken,
    streams: TaskTracker,
    node: TaskTracker,
}

/// Starts a node: opens its sockets, then dials its partners in the background.
///
/// # Errors
/// When TLS keys would be logged, an address cannot be listened on, or the network cannot be set up.
pub async fn start<H: House>(
    config: Config,
    hello: Hello,
    partners: Vec<Partner>,
    house: Arc<H>,
    registry: &mut Registry,
    clock: fn() -> UnixMillis,
) -> Result<Overlay, StartError> {
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        return Err(StartError::KeyLogRequested);
    }
    let key = keypair_of(&config.node_key_seed);
    let bootstrap: Result<Vec<_>, _> = config.bootstrap.iter().map(|text| parse_node_address(text)).collect();
    let bootstrap = bootstrap.map_err(StartError::Bootstrap)?;
    let mut swarm = transport::swarm(key, config.mdns, config.kad, &config.limits, registry)?;
    let (listeners, listening) = listen(&mut swarm, &config.listen).await?;

    let (reports, news) = mpsc::channel(REPORTS_MAX);
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let (turns, turns_over) = mpsc::unbounded_channel();
    let asking = Semaphore::new(config.limits.asks.asking_max.clamp(1, Semaphore::MAX_PERMITS));
    let ground = Arc::new(Ground {
        house,
        limits: config.limits,
        metrics: Metrics::register(registry),
        clock,
        hello: watch::Sender::new(Arc::new(hello)),
        draining: CancellationToken::new(),
        reports,
        book: RwLock::default(),
        unproven: Desk::new(AskLimits::unproven(), Instant::now()),
        recognised: Mutex::default(),
    });
    let (states, links) = watch::channel(BTreeMap::new());
    let inner = Inner {
        lanes: Arc::default(),
        partners: watch::Sender::new(partners),
        hello: ground.hello.clone(),
        links,
        listening: Arc::new(RwLock::new(listening)),
        peer_id: swarm.local_peer_id().to_string(),
        orders,
        asking,
        metrics: ground.metrics.clone(),
        draining: ground.draining.clone(),
        stop: CancellationToken::new(),
        streams: TaskTracker::new(),
        node: TaskTracker::new(),
    };
    let shared = Shared {
        lanes: Arc::clone(&inner.lanes),
        states,
        listening: Arc::clone(&inner.listening),
        listeners,
        streams: inner.streams.clone(),
        stop: inner.stop.clone(),
        turns,
        bootstrap,
    };
    let mut road = Road::new(swarm, ground, shared);
    // Known before the first await of the caller: `send` answers Unreachable, not UnknownPartner.
    let mut partners = inner.partners.subscribe();
    road.set_partners(&partners.borrow_and_update().clone());
    let inbox = Inbox { reports: news, orders: ordered, turns: turns_over, partners };
    inner.node.spawn(road.run(inbox, libp2p::metrics::Metrics::new(registry)));
    inner.node.close();
    Ok(Overlay { inner: Arc::new(inner) })
}

impl Overlay {
    /// Sends one message and waits for the acknowledgement of the next hop. Many may be under way;
    /// waits while the window of the stream is full. When the future is dropped, the message may
    /// be sent all the same. A message that names a body goes alone: the partner may have the body.
    ///
    /// # Errors
    /// See [`SendError`]; all but `Refused` are worth another try.
    pub async fn send(&self, to: &Did, sealed: SealedMessage) -> Result<HopAck, SendError> {
        self.put(to, sealed, None).await
    }

    /// As [`send`](Self::send), and the chunks of the body that the message names go before it.
    /// They are read one at a time, and only when they can be written.
    ///
    /// # Errors
    /// See [`SendError`]; all but `Refused` are worth another try.
    pub async fn send_with_body(
        &self,
        to: &Did,
        sealed: SealedMessage,
        chunks: Chunks,
    ) -> Result<HopAck, SendError> {
        self.put(to, sealed, Some(chunks)).await
    }

    async fn put(
        &self,
        to: &Did,
        sealed: SealedMessage,
        chunks: Option<Chunks>,
    ) -> Result<HopAck, SendError> {
        if self.inner.draining.is_cancelled() {
            return Err(SendError::Closed);
        }
        let Lane { window, queue } = self.inner.lanes.find(to)?;
        let room = window.reserve(sealed.bytes().len()).await;
        let room = room.map_err(|_| self.lost_before_sending())?;
        let (answer, answered) = oneshot::channel();
        let queued = queue.send(Outgoing { sealed, chunks, room, answer }).await;
        queued.map_err(|_| self.lost_before_sending())?;
        answered.await.unwrap_or(Err(SendError::Interrupted))
    }

    fn lost_before_sending(&self) -> SendError {
        match self.inner.draining.is_cancelled() {
            true => SendError::Closed,
            false => {
                SendError::Unreachable("the link went down while the message waited for room".to_owned())
            }
        }
    }

    /// Replaces the list of partners: dials the new, says goodbye to the removed, leaves the rest alone.
    pub fn set_partners(&self, partners: Vec<Partner>) {
        self.inner.partners.send_replace(partners);
    }

    /// Replaces what this node presents; live streams are told.
    pub fn set_hello(&self, hello: Hello) {
        self.inner.hello.send_if_modified(|current| {
            let changed = **current != hello;
            if changed {
                *current = Arc::new(hello);
            }
            changed
        });
    }

    /// The state of the road to each partner.
    pub fn links(&self) -> watch::Receiver<BTreeMap<Did, LinkState>> {
        self.inner.links.clone()
    }

    /// The multiaddrs this node listens on, with the ports the system chose.
    pub fn listen_addresses(&self) -> Vec<String> {
        let listening = self.inner.listening.read().unwrap_or_else(PoisonError::into_inner);
        listening.iter().map(Multiaddr::to_string).collect()
    }

    /// The PeerId of this node in base58.
    pub fn peer_id(&self) -> String {
        self.inner.peer_id.clone()
    }

    /// Stops listening, dialling and reading, lets what has arrived be kept and acknowledged and
    /// what is in flight be answered, for at most `grace`, says goodbye and closes. Every clone
    /// answers [`SendError::Closed`] from the first moment.
    pub async fn shutdown(self, grace: Duration) {
        let Inner { draining, stop, streams, node, .. } = &*self.inner;
        draining.cancel();
        streams.close();
        if timeout(grace, streams.wait()).await.is_err() {
            tracing::warn!(streams = streams.len(), "streams had to be cut at shutdown");
        }
        stop.cancel();
        let _ = timeout(CLOSE_TIMEOUT + CLOSE_TIMEOUT, node.wait()).await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.draining.cancel();
        self.stop.cancel();
    }
}

/// Opens all listening sockets and waits until the system has named their addresses.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    addresses: &[String],
) -> Result<(Vec<ListenerId>, Vec<Multiaddr>), StartError> {
    let failed = |address: &String, reason: String| StartError::Listen { address: address.clone(), reason };
    let mut free = Vec::new();
    for address in addresses {
        let multiaddr = parse_multiaddr(address).map_err(|reason| failed(address, reason))?;
        probe(&multiaddr).map_err(|error| failed(address, error.to_string()))?;
        free.push((multiaddr, address));
    }
    let mut waiting: Vec<(ListenerId, &String)> = Vec::new();
    for (multiaddr, address) in free {
        let id = swarm.listen_on(multiaddr).map_err(|error| failed(address, error.to_string()))?;
        waiting.push((id, address));
    }
    let listeners = waiting.iter().map(|(id, _)| *id).collect();
    let mut listening = Vec::new();
    while let Some((_, first)) = waiting.first() {
        let event =
            timeout(LISTEN_TIMEOUT, swarm.select_next_some()).await.map_err(|_| StartError::Listen {
                address: (*first).clone(),
                reason: "the system did not answer in time".to_owned(),
            })?;
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                waiting.retain(|(id, _)| *id != listener_id);
                listening.push(address);
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if let Some((_, address)) = waiting.iter().find(|(id, _)| *id == listener_id) {
                    let reason = reason.err().map_or("closed".to_owned(), |error| error.to_string());
                    return Err(StartError::Listen { address: (*address).clone(), reason });
                }
            }
            _ => {}
        }
    }
    Ok((listeners, listening))
}

/// Whether another process listens on this TCP address. libp2p listens with SO_REUSEPORT, so the
/// system would let a second gateway share the port and take every other connection.
fn probe(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        // A plain bind of [::] would claim the IPv4 port as well; libp2p's does not.
        Some(Protocol::Ip6(ip)) if !ip.is_unspecified() => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => std::net::TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}
