//! What a node is started with: its key, its listening addresses and its limits.

use std::fmt;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use zeroize::Zeroizing;

/// What a node is started with. Has no `Debug`: it holds the node's private key.
pub struct Config {
    /// Seed of the Ed25519 node key. It proves the PeerId on the wire and nothing else: the DID
    /// is bound to it by the operator's post-quantum signature in the node record.
    pub node_key_seed: Zeroizing<[u8; 32]>,
    /// Multiaddrs to listen on, for example `/ip4/0.0.0.0/udp/4001/quic-v1`.
    pub listen: Vec<String>,
    /// Whether to look for partner nodes on the local network by multicast DNS. Anyone on that
    /// network may announce anything: an announcement only adds an address to try for a node
    /// that is already known.
    pub mdns: bool,
    /// Whether head records can be published and found, and whether others' are kept.
    pub kad: Kad,
    /// Multiaddrs with `/p2p/<peer id>` of nodes by which to enter the network of head records.
    pub bootstrap: Vec<String>,
    /// Where everything ends.
    pub limits: Limits,
}

/// What this node does in the network of head records (`/dccp/kad/1.0.0`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kad {
    /// Nothing.
    #[default]
    Off,
    /// Publishes and finds; keeps nothing for others. For a node that strangers cannot dial.
    Client,
    /// Keeps others' records too, and tells who else does.
    Server,
}

/// The ends of everything: how many, how large, how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Inbound connections whose handshake is not finished; each costs a key exchange.
    pub pending_incoming_max: u32,
    /// Outbound connections whose handshake is not finished; spreads a cold start with many partners.
    pub pending_outgoing_max: u32,
    /// Connections with one node: a simultaneous dial makes two, a restart may leave one behind.
    pub connections_per_peer_max: u32,
    /// Connections in total, so that file descriptors and memory stay bounded.
    pub connections_max: u32,
    /// Connections of nodes that we do not know (yet), so that strangers cannot keep partners out.
    pub strangers_max: usize,
    /// Resident memory of the process above which no new connection is made or taken.
    pub memory_bytes_max: usize,
    /// Message streams that one connection may have open towards us: the live one and its successor.
    pub inbound_streams_max: usize,
    /// Messages of one stream that may wait for their acknowledgement, on both sides.
    pub in_flight_messages_max: usize,
    /// Bytes of one stream that may wait for their acknowledgement, on both sides. One message
    /// larger than this travels alone.
    pub in_flight_bytes_max: u32,
    /// Bytes of all inbound streams together that may be held before the house has kept them.
    pub inbound_bytes_max: u32,
    /// Time for dialling, TLS and multiplexer of a connection.
    pub handshake_timeout: Duration,
    /// Time for the exchange of Hello frames on a fresh stream.
    pub hello_timeout: Duration,
    /// How long a peer may stall in the middle of a frame, reading ours or writing its own.
    pub stall_timeout: Duration,
    /// How long the oldest message in flight may wait for its acknowledgement.
    pub ack_timeout: Duration,
    /// How long a connection without message streams is kept.
    pub idle_timeout: Duration,
    /// First delay before a partner is tried again.
    pub redial_delay_min: Duration,
    /// Longest delay before a partner is tried again.
    pub redial_delay_max: Duration,
    /// Where questions end, theirs and ours.
    pub asks: AskLimits,
    /// Head records of others that are kept, each at most 12 KiB.
    pub heads_max: usize,
}

/// Claims to be a partner that are looked into at one time: each holds an answer of up to 3 MiB.
const UNPROVEN_MAX: usize = 16;

/// Claims that one network may make: a partner's nodes that come back, and then one in a while.
const UNPROVEN_RATE: Rate = Rate { burst: 4, interval: Duration::from_secs(10) };

/// Claims of all networks together: each costs the verification of a log, some 60 ms at the longest.
const UNPROVEN_RATE_OF_ALL: Rate = Rate { burst: 32, interval: Duration::from_secs(1) };

/// The ends of questions and answers. Strangers and partners have separate means, so that
/// strangers cannot keep partners from being answered.
#[derive(Clone, Debug)]
pub struct AskLimits {
    /// Questions that one connection may have open towards us.
    pub per_connection_max: usize,
    /// Questions that one asker (a partner, or a network of a stranger) may have open towards us.
    pub per_asker_max: usize,
    /// Questions of all strangers together that are being answered.
    pub strangers_max: usize,
    /// Questions of all partners together that are being answered.
    pub partners_max: usize,
    /// Octets of answers to strangers that may be held at one time.
    pub strangers_bytes_max: u32,
    /// Octets of answers to partners that may be held at one time.
    pub partners_bytes_max: u32,
    /// How fast one network of strangers may ask.
    pub stranger_rate: Rate,
    /// How fast all strangers together may ask.
    pub strangers_rate: Rate,
    /// How fast one partner may ask.
    pub partner_rate: Rate,
    /// Time for a question to arrive once its stream is open.
    pub question_timeout: Duration,
    /// Time for an answer to be found and taken in by the asker.
    pub answer_timeout: Duration,
    /// Questions of our own that may be under way.
    pub asking_max: usize,
    /// Questions of our own that one connection carries at a time; below what we allow others, so
    /// that two nodes with the same limits never refuse each other.
    pub asking_per_connection_max: usize,
}

/// A number of things at once, and one more per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many at once, after a silence.
    pub burst: u32,
    /// How long it takes to earn one more.
    pub interval: Duration,
}

impl AskLimits {
    /// For callers who say that they are partners, and do not prove it by the keys that we know.
    pub(crate) fn unproven() -> Self {
        AskLimits {
            per_asker_max: 1,
            strangers_max: UNPROVEN_MAX,
            stranger_rate: UNPROVEN_RATE,
            strangers_rate: UNPROVEN_RATE_OF_ALL,
            ..AskLimits::default()
        }
    }
}

impl Default for AskLimits {
    fn default() -> Self {
        AskLimits {
            per_connection_max: 8,
            per_asker_max: 16,
            strangers_max: 16,
            partners_max: 64,
            strangers_bytes_max: 24 << 20,
            partners_bytes_max: 96 << 20,
            stranger_rate: Rate { burst: 32, interval: Duration::from_millis(500) },
            strangers_rate: Rate { burst: 256, interval: Duration::from_millis(20) },
            partner_rate: Rate { burst: 256, interval: Duration::from_millis(10) },
            question_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(20),
            asking_max: 32,
            asking_per_connection_max: 4,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pending_incoming_max: 64,
            pending_outgoing_max: 64,
            connections_per_peer_max: 4,
            connections_max: 4096,
            strangers_max: 256,
            memory_bytes_max: 2 << 30,
            inbound_streams_max: 2,
            in_flight_messages_max: 512,
            in_flight_bytes_max: 32 << 20,
            inbound_bytes_max: 256 << 20,
            handshake_timeout: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            ack_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(60),
            redial_delay_min: Duration::from_millis(250),
            redial_delay_max: Duration::from_secs(60),
            asks: AskLimits::default(),
            heads_max: 4096,
        }
    }
}

/// The public name of a node key: a libp2p PeerId (multihash of the Ed25519 public key).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdBytes(PeerId);

impl PeerIdBytes {
    /// The multihash bytes, as they stand in a node record.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}

impl fmt::Display for PeerIdBytes {
    /// Base58, as it stands after `/p2p/` in a multiaddr.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The PeerId that a node started with this seed will have.
pub fn peer_id_of(seed: &[u8; 32]) -> PeerIdBytes {
    PeerIdBytes(keypair_of(seed).public().to_peer_id())
}

/// Says in words what is wrong with a listening or node-record address, if anything is.
pub fn check_multiaddr(text: &str) -> Result<(), String> {
    parse_multiaddr(text).map(|_| ())
}

/// An address of a node record together with the node's PeerId: enough for a stranger to dial. `None` when either is
/// not what it should be.
pub fn address_of_peer(address: &str, peer_id: &[u8]) -> Option<String> {
    let peer = PeerId::from_bytes(peer_id).ok()?;
    let address = parse_multiaddr(address).ok()?;
    address.with_p2p(peer).ok().map(|address| address.to_string())
}

/// Parses an address that our transports can use: `…/tcp/<port>` or `…/udp/<port>/quic-v1`,
/// optionally followed by `/p2p/<peer id>`.
pub(crate) fn parse_multiaddr(text: &str) -> Result<Multiaddr, String> {
    let address: Multiaddr = text.parse().map_err(|e| format!("{text:?} is not a multiaddr: {e}"))?;
    let mut parts = address.iter();
    let host = parts.next();
    if !matches!(
        host,
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    ) {
        return Err(format!("{text:?} must begin with /ip4, /ip6, /dns, /dns4 or /dns6"));
    }
    let road = (parts.next(), parts.next());
    let rest = match road {
        (Some(Protocol::Tcp(_)), rest) => rest,
        (Some(Protocol::Udp(_)), Some(Protocol::QuicV1)) => parts.next(),
        _ => return Err(format!("{text:?} must go on with /tcp/<port> or /udp/<port>/quic-v1")),
    };
    match (rest, parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Ok(address),
        _ => Err(format!("{text:?} has parts that this node cannot use")),
    }
}

/// Parses an address that says which node is there.
pub(crate) fn parse_node_address(text: &str) -> Result<(PeerId, Multiaddr), String> {
    let address = parse_multiaddr(text)?;
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Ok((peer, address)),
        _ => Err(format!("{text:?} must end with /p2p/<peer id>")),
    }
}

/// `tcp` or `quic`, for people.
pub(crate) fn transport_of(address: &Multiaddr) -> &'static str {
    if address.iter().any(|part| matches!(part, Protocol::QuicV1)) { "quic" } else { "tcp" }
}

#[expect(clippy::expect_used, reason = "any 32 octets are an Ed25519 seed (RFC 8032 §5.1.5)")]
pub(crate) fn keypair_of(seed: &[u8; 32]) -> Keypair {
    let mut copy = Zeroizing::new(*seed); // The callee overwrites what it is given.
    Keypair::ed25519_from_bytes(copy.as_mut_slice()).expect("32 octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_and_quic_addresses_are_accepted() {
        for text in [
            "/ip4/127.0.0.1/tcp/4001",
            "/ip6/::1/udp/4001/quic-v1",
            "/dns/gw.acme.example/udp/4001/quic-v1",
            "/dns4/gw.acme.example/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
        ] {
            assert_eq!(check_multiaddr(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn addresses_that_we_cannot_use_are_refused_in_words() {
        for text in [
            "",
            "gw.acme.example:4001",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/4001",
            "/ip4/127.0.0.1/tcp/4001/ws",
            "/unix/tmp",
            "/ip4/127.0.0.1/tcp/70000",
        ] {
            assert!(check_multiaddr(text).is_err_and(|words| words.contains(text)), "{text}");
        }
    }

    #[test]
    fn a_seed_has_one_peer_id() {
        assert_eq!(peer_id_of(&[7; 32]), peer_id_of(&[7; 32]));
        assert_ne!(peer_id_of(&[7; 32]), peer_id_of(&[8; 32]));
        assert!(peer_id_of(&[7; 32]).to_string().starts_with("12D3KooW"));
    }
}
