//! The road: a libp2p node that carries sealed messages between partner gateways.
//!
//! It owns these words. A *node* is a running libp2p peer with an Ed25519 PeerId. A *partner* is an
//! organisation (DID) with one or more nodes; every other node is a *stranger*. A *link* is our own
//! live stream to a partner. The *house* is whoever lives at the end of the road, keeps messages and
//! answers questions ([`House`]). A *Hello* is what both sides present on a message stream before
//! anything else. A *question* has a [`Topic`] and a stream of its own. A *head record* says what the
//! newest state of a DID is.
//!
//! ```text
//!  Overlay::send ─► lane ─► opener ═══ /dccp/msg/1 ═══► acceptor ─► House::keep ─► durable
//!  (body: Chunks) ──────────►  │        Chunk …        ►       │      ─► House::chunk ─► durable
//!       ▲            (window)  ▲        Message(seq) ►       │ (window)                │
//!       └──────── HopAck ──────┘        ◄ Ack(upto, refused) └◄────────────────────────┘
//!
//!  Overlay::ask ─► connection (found or dialled) ═══ /dccp/did|prekey|find/1 ═══► desk ─► House::answer
//!  Overlay::publish_head, find_heads ═══ /dccp/kad/1.0.0 ═══► House::accept_head ─► shelf
//!
//!  node task (road) ─ owns the swarm: QUIC │ TCP, TLS 1.3 with X25519MLKEM768, limits, ping
//!                   ─ owns the links: where each partner is, when it is tried again
//! ```
//!
//! # Invariants
//! - An acknowledgement leaves only after [`House::keep`] has resolved for everything it covers.
//! - On a message stream nothing is read from a peer, and nothing of ours is shown to it, before its
//!   node record (signed by the operator key of a known partner) binds the PeerId of this very
//!   connection to its DID.
//! - A question is admitted or dropped before a word of it is read. One-time prekeys are given only on
//!   a connection on which a node record held, and only until that record expires. Strangers and
//!   partners have separate means, so that strangers cannot keep partners from being answered.
//! - No head record is stored before the house has verified it, none under another name than its own,
//!   and nobody replaces the one that we publish. What is found is a candidate and nothing more.
//! - Of a body one chunk is in memory at a time, on either side. The chunks of one body follow each other; messages
//!   without a body pass between them.
//! - What a peer can have us hold is bounded: connections, streams, frames, messages and bytes in
//!   flight, questions and answers, records, per peer and in total ([`Limits`]). A full window is
//!   back-pressure, not an error.
//! - No Noise, no TLS 1.2, and no start while `SSLKEYLOGFILE` asks for the session keys.
//! - Nothing a peer sends ends the node: each fault has a name, a counter and a Goodbye.
//!
//! # Deliberately absent
//! Retrying and keeping of messages (the house's spool), opening of messages (`dccp::seal`), reading of
//! questions, answers and records (the house's), relay, mailbox nodes and streams per class. One class
//! of traffic has one stream. A question is put once, to one node: whether to ask another is for the
//! asker to decide.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod acceptor;
mod arriving;
mod config;
mod desk;
mod directory;
mod end;
mod error;
mod flight;
mod frames;
mod gate;
mod greeting;
mod ground;
mod haul;
mod house;
mod link;
mod metrics;
mod node;
mod opener;
mod questions;
mod redial;
mod road;
mod streams;
mod topic;
mod transport;
mod window;
mod words;

pub use config::{
    AskLimits, Config, Kad, Limits, PeerIdBytes, Rate, address_of_peer, check_multiaddr, peer_id_of,
};
pub use dccp::frame::RefusalCode;
pub use error::{AskError, PublishError, SendError, StartError};
pub use greeting::Hello;
pub use haul::Chunks;
pub use house::{ChunkKept, House, Kept};
pub use link::LinkState;
pub use node::{Overlay, Partner, start};
pub use opener::HopAck;
pub use topic::{Asker, HeadVerdict, QUESTION_BYTES_MAX, Topic, Whom};
