//! Agents: software of our organisation that has an address, and that takes and sends mail over HTTP.
//!
//! ```text
//! administrator ─► register ── add, renew, remove ───────────────────────► agents
//! flows::mail_in ─ a permit, and a recipient of an agents' domain ─► inbox ─► agent_messages (sealed)
//!                                                                      ▲
//! agent ── Bearer token ──► door ── GET, DELETE /agent/v1/messages ────┘
//!                             └──── POST ─► flows::agent_out ─► mail_out, like a person's mail
//! ```
//!
//! Words: an *agents' domain* is a domain of ours in which every address is an agent's or nobody's; the *inbox* of an agent
//! is the mail that waits for it; to *acknowledge* is to say that a mail is in the agent's own hands; a *token* names an
//! agent and proves that it is the one.
//!
//! Invariants:
//! - A mail is in the inbox durably before it counts as delivered, and once however often its delivery is tried.
//! - What waits is sealed to ourselves; an acknowledged mail is gone.
//! - A token is shown once and rests as its hash.
//! - Machines that answer each other come to an end: by the count of answers, and by the rate of each pair.
//!
//! Deliberately absent: agents that have a node of their own on the overlay (the gateway is the host of each agent here, and
//! opens and seals for it), and mailboxes in an agents' domain.

pub mod door;
mod inbox;
mod register;
mod token;

use std::sync::Arc;

use dccp::UnixMillis;
use dccp::address::canonical;
use smtp::address::Address;
use tokio::sync::watch;

use crate::config;
use crate::custody::Vault;
use crate::spool::Spool;

pub use inbox::{Facts, Incoming, Protection, Put};
pub use register::{AgentError, Registered};
pub use token::Token;

/// Names an agent in this database and nowhere else.
pub type AgentId = [u8; 16];

/// The vault's purpose and the tag's.
const ADDRESS: &str = "agent-address";

/// The agents of the organisation and their inboxes. Clones share everything.
#[derive(Clone)]
pub struct Agents(Arc<Shared>);

struct Shared {
    spool: Spool,
    vault: Arc<Vault>,
    /// In lower case.
    domains: Vec<String>,
    bounds: Bounds,
    /// Changes when something came into an inbox.
    bell: watch::Sender<u64>,
}

/// What may wait for one agent.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Octets of one mail.
    pub message_bytes_max: u64,
    /// Mails.
    pub messages_max: u64,
    /// Octets of them all.
    pub bytes_max: u64,
}

impl Bounds {
    /// As the configuration has them.
    pub fn of(configured: &config::Agents) -> Self {
        Self {
            message_bytes_max: configured.message_bytes_max,
            messages_max: configured.inbox_messages_max,
            bytes_max: configured.inbox_bytes_max,
        }
    }
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its name in the database.
    pub id: AgentId,
    /// Its address.
    pub address: Address,
    /// What it is called in mails; may be empty.
    pub name: String,
    /// Since when it is one.
    pub added_at: UnixMillis,
}

impl Agents {
    /// The agents in `spool`, of these domains.
    pub fn new(spool: Spool, vault: Arc<Vault>, domains: &[String], bounds: Bounds) -> Self {
        let domains = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        Self(Arc::new(Shared { spool, vault, domains, bounds, bell: watch::Sender::new(0) }))
    }

    /// Whether an address, as it stands in an envelope, is an agent's or nobody's.
    pub fn own(&self, address: &str) -> bool {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain).to_ascii_lowercase();
        self.0.domains.contains(&domain)
    }

    /// Hears when something came into some inbox. Mark the value seen, then look: no ring in between is lost.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.bell.subscribe()
    }

    fn tag(&self, address: &str) -> [u8; 16] {
        self.0.vault.tag(ADDRESS, canonical(address).as_bytes())
    }
}

#[cfg(test)]
mod tests;
