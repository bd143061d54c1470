//! The road: a libp2p node that carries sealed messages between partner gateways.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod acceptor;
mod config;
mod end;
mod error;
mod flight;
mod frames;
mod greeting;
mod ground;
mod house;
mod link;
mod metrics;
mod node;
mod opener;
mod redial;
mod road;
mod streams;
mod transport;
mod window;
mod words;

pub use config::{Config, Limits, PeerIdBytes, check_multiaddr, peer_id_of};
pub use dccp::frame::RefusalCode;
pub use error::{SendError, StartError};
pub use greeting::Hello;
pub use house::{House, Kept};
pub use link::LinkState;
pub use node::{Overlay, Partner, start};
pub use opener::HopAck;
