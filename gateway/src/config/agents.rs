//! Agents: their domains, their door, and what they may take of this machine.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::text;

/// Software of ours that has an address. `dccp-gateway agent` gives it one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agents {
    /// Domains of `organisation.also` in which every address is an agent's or nobody's. Mail for them goes into the agents'
    /// inboxes, never to our mail server.
    #[schemars(with = "Vec<text::Domain>")]
    pub domains: Vec<String>,
    /// Address of the door where agents take and send mail over HTTP; without it there is none. Only this machine: the port
    /// speaks plain HTTP.
    #[schemars(with = "Option<text::LoopbackListen>")]
    pub listen: Option<SocketAddr>,
    /// The largest mail that an agent takes or sends, in bytes.
    #[schemars(range(min = 65_536, max = 94_371_840))]
    pub message_bytes_max: u64,
    /// Mails that may wait for one agent; what comes then is tried again later, as for a full mailbox.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub inbox_messages_max: u64,
    /// Bytes of the mails that may wait for one agent.
    #[schemars(range(min = 26_214_400))]
    pub inbox_bytes_max: u64,
    /// Messages that one agent may send in a minute.
    #[schemars(range(min = 1, max = 100_000))]
    pub sends_per_minute: u32,
    /// Messages that one agent may send to the same recipient in a minute: what ends two machines that answer each other.
    #[schemars(range(min = 1, max = 100_000))]
    pub sends_per_recipient_per_minute: u32,
}

impl Agents {
    /// Every key has a value here.
    pub(super) fn example() -> Agents {
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 8490)));
        Agents { domains: vec!["agents.acme.test".into()], listen, ..Agents::default() }
    }
}

impl Default for Agents {
    fn default() -> Agents {
        Agents {
            domains: vec![],
            listen: None,
            message_bytes_max: 10 * 1024 * 1024,
            inbox_messages_max: 10_000,
            inbox_bytes_max: 256 * 1024 * 1024,
            sends_per_minute: 300,
            sends_per_recipient_per_minute: 30,
        }
    }
}
