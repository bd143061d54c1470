//! The libp2p node: QUIC and TCP with TLS 1.3, our streams, and the behaviours that keep order.
//!
//! No Noise: it is X25519 only. `libp2p-tls` and `libp2p-quic` both take rustls with the aws-lc-rs
//! provider, TLS 1.3 only, and X25519MLKEM768 first (feature `prefer-post-quantum`);
//! `tests/post_quantum.rs` proves it on the wire.

use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Swarm, SwarmBuilder, identify, kad, mdns, memory_connection_limits, ping, tcp, tls, yamux};
use prometheus_client::registry::Registry;

use crate::config::{Kad, Limits};
use crate::directory::{self, Shelf};
use crate::error::StartError;
use crate::streams::Streams;

/// Streams of one connection: two for messages in each direction, identify, ping, and their successors,
/// a dozen questions, and Kademlia. yamux grants each 256 KiB before anyone has read a byte.
const STREAMS_PER_CONNECTION_MAX: usize = 48;

/// Inbound streams of one connection that still negotiate their protocol.
const NEGOTIATING_STREAMS_MAX: usize = 8;

/// QUIC flow control windows: 4 MiB carry 80 MB/s at 50 ms, and a stranger cannot have us hold more.
const QUIC_STREAM_WINDOW_BYTES: u32 = 4 << 20;
const QUIC_CONNECTION_WINDOW_BYTES: u32 = 6 << 20;

/// A dead link is noticed after two pings that were not answered.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(8);

/// What `identify` calls us. Strangers can read it: no version of the product.
const IDENTIFY_PROTOCOL: &str = "/dccp/1.0.0";

/// All behaviours of the node. The limits stand first: they refuse before anything else is asked.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(crate) streams: Streams,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) kad: Toggle<kad::Behaviour<Shelf>>,
}

pub(crate) fn swarm(
    key: Keypair,
    mdns: bool,
    kad: Kad,
    limits: &Limits,
    registry: &mut Registry,
) -> Result<Swarm<Behaviour>, StartError> {
    let mdns = mdns_behaviour(&key, mdns)?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), tls::Config::new, || {
            let mut yamux = yamux::Config::default();
            yamux.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
            yamux
        })
        .map_err(|error| StartError::Transport(error.to_string()))?
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = limits.handshake_timeout;
            quic.max_concurrent_stream_limit = STREAMS_PER_CONNECTION_MAX as u32;
            quic.max_stream_data = QUIC_STREAM_WINDOW_BYTES;
            quic.max_connection_data = QUIC_CONNECTION_WINDOW_BYTES;
            quic
        })
        .with_dns()
        .map_err(|error| StartError::Transport(error.to_string()))?
        .with_bandwidth_metrics(registry)
        .with_behaviour(|key| behaviour(key, mdns, kad, limits))
        .map_err(|never| match never {})?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(limits.idle_timeout)
                .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS_MAX)
        })
        .with_connection_timeout(limits.handshake_timeout)
        .build();
    Ok(swarm)
}

fn behaviour(key: &Keypair, mdns: Toggle<mdns::tokio::Behaviour>, kad: Kad, limits: &Limits) -> Behaviour {
    let counts = ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending_incoming_max))
        .with_max_pending_outgoing(Some(limits.pending_outgoing_max))
        .with_max_established_per_peer(Some(limits.connections_per_peer_max))
        .with_max_established(Some(limits.connections_max));
    let identify = identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), key.public())
        .with_agent_version(IDENTIFY_PROTOCOL.to_owned())
        // Where we listen is in the node record, for partners.
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    Behaviour {
        limits: connection_limits::Behaviour::new(counts),
        memory: memory_connection_limits::Behaviour::with_max_bytes(limits.memory_bytes_max),
        streams: Streams::new(limits),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
        ),
        mdns,
        kad: directory::behaviour(key.public().to_peer_id(), kad, limits.heads_max),
    }
}

fn mdns_behaviour(key: &Keypair, wanted: bool) -> Result<Toggle<mdns::tokio::Behaviour>, StartError> {
    if !wanted {
        return Ok(None.into());
    }
    mdns::tokio::Behaviour::new(mdns::Config::default(), key.public().to_peer_id())
        .map(|behaviour| Some(behaviour).into())
        .map_err(StartError::Mdns)
}
