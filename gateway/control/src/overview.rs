//! The gateway at a glance: who we are, what waits, who our partners are.

use serde::{Deserialize, Serialize};

use crate::{Direction, State};

/// The gateway at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// The domain this organisation is known by.
    pub domain: String,
    /// `did:dccp:1…` of this organisation.
    pub did: String,
    /// The DID in groups for reading aloud on the telephone.
    pub fingerprint: String,
    /// Version of the running program.
    pub version: String,
    /// When this process started.
    pub started_at_ms: u64,
    /// The clock of the gateway when it answered; ages are measured against this, not the reader's clock.
    pub now_ms: u64,
    /// What has happened since `started_at_ms`.
    pub totals: Totals,
    /// What the spool holds now: one entry for every direction and state, zeros included.
    pub queue: Vec<QueueDepth>,
    /// How long the most neglected message has seen no progress; absent when nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_without_progress_ms: Option<u64>,
    /// Messages that have long been due and that nobody takes up: a worker does not do its work.
    #[serde(default)]
    pub stuck: u64,
    /// Copies that rest in the archive.
    #[serde(default)]
    pub archive_copies: u64,
    /// Their bytes.
    #[serde(default)]
    pub archive_bytes: u64,
    /// Octets of large mails, which rest once however many messages and copies have them: one entry for every standing.
    #[serde(default)]
    pub large_bodies: Vec<LargeDepth>,
    /// Every organisation we know, in order of domain.
    pub partners: Vec<PartnerView>,
    /// What needs a person, newest first: contradictions in somebody's identity or key log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<Alarm>,
}

/// Large bodies of one standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeDepth {
    /// Where they stand.
    pub standing: LargeStanding,
    /// How many.
    pub bodies: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Where a large body stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LargeStanding {
    /// On its way in: no message has it yet.
    Coming,
    /// A message, a copy in the archive or an agent's inbox has it.
    Kept,
    /// Nobody has it any more; it is being freed.
    Over,
}

impl LargeStanding {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coming => "coming",
            Self::Kept => "kept",
            Self::Over => "over",
        }
    }
}

/// Something that only an attack or a grave fault explains. It stays until an administrator has looked at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// When it was noticed.
    pub at_ms: u64,
    /// Whom it is about: a domain or a DID.
    pub about: String,
    /// What happened and what to do, in words.
    pub words: String,
}

impl Overview {
    /// Messages that still need work: queued, sent or held, in both directions.
    pub fn waiting(&self) -> u64 {
        self.queue.iter().filter(|depth| !depth.state.is_final()).map(|depth| depth.messages).sum()
    }

    /// Messages in one state, in both directions.
    pub fn in_state(&self, state: State) -> u64 {
        self.queue.iter().filter(|depth| depth.state == state).map(|depth| depth.messages).sum()
    }
}

/// Counts since the process started. They fall back to zero with a restart; the journal does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Mails taken from our people with a `250`.
    pub accepted: u64,
    /// Sealed messages made, one per destination.
    pub sealed: u64,
    /// Messages a partner's gateway acknowledged as durably kept.
    pub acknowledged: u64,
    /// Deliveries that ended well, in both directions.
    pub delivered: u64,
    /// Attempts put off to a later time.
    pub deferred: u64,
    /// Messages given up.
    pub failed: u64,
    /// Messages stopped by a rule until a person decides.
    pub held: u64,
    /// Recipients or mails refused.
    pub refused: u64,
}

/// How many messages are in one state, going one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDepth {
    /// Which way.
    pub direction: Direction,
    /// Where they stand.
    pub state: State,
    /// How many.
    pub messages: u64,
}

/// Every organisation this gateway knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerList {
    /// In order of domain.
    pub partners: Vec<PartnerView>,
}

/// One organisation this gateway knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerView {
    /// The domain mail is addressed to.
    pub domain: String,
    /// `did:dccp:1…` pinned for that domain.
    pub did: String,
    /// The DID in groups for reading aloud on the telephone.
    pub fingerprint: String,
    /// Whether mail flows.
    pub standing: Standing,
    /// How we came to believe that this DID is this domain's.
    #[serde(default)]
    pub trust: Trust,
    /// The sequence number of the newest operation in its DID log that we know.
    #[serde(default)]
    pub version: u64,
    /// What the last look at its domain found, when it is more than “the same”.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The connection to its gateway.
    pub link: LinkState,
    /// Multiaddress of the live connection; absent when the link is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Transport of the live connection (`quic`, `tcp`); absent when the link is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// When the link last changed; absent when it never came up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Why the last attempt to connect failed, in words; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How we came to believe that a DID belongs to a domain (docs/PROTOCOL.md, trust levels).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Level 1: the domain's HTTPS server named it when we first asked.
    FirstUse,
    /// Level 2: DNS with DNSSEC and HTTPS both named it.
    Dnssec,
    /// Level 3: an administrator imported its partner file or compared its fingerprint.
    #[default]
    Manual,
}

impl Trust {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::Dnssec => "dnssec",
            Self::Manual => "manual",
        }
    }
}

/// Whether mail to and from a partner flows, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Its identity is pinned; mail flows.
    Pinned,
    /// Two different identities claim the domain; mail waits until a person decides.
    Conflict,
    /// None of its devices counts any more; mail waits until newer records of it are found or imported.
    Lapsed,
    /// Its operator key signed two histories of its identity; mail waits until its recovery key has settled which
    /// one counts.
    Frozen,
    /// It has ended its identity for ever; mail waits until an administrator pins another or removes it.
    Deactivated,
}

/// The connection to a partner's gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Connected: mail crosses at once.
    Up,
    /// Not connected: mail waits in the spool and is sent when the link is back.
    Down,
}

impl Standing {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Conflict => "conflict",
            Self::Lapsed => "lapsed",
            Self::Frozen => "frozen",
            Self::Deactivated => "deactivated",
        }
    }
}

impl LinkState {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_that_need_work_are_waiting() {
        let queue = State::ALL
            .into_iter()
            .flat_map(|state| Direction::ALL.map(|direction| QueueDepth { direction, state, messages: 1 }))
            .collect();
        let overview = Overview { queue, ..sample() };
        assert_eq!(overview.waiting(), 6);
        assert_eq!(overview.in_state(State::Delivered), 2);
    }

    #[test]
    fn an_overview_survives_its_json() {
        let json = serde_json::to_string(&sample()).unwrap();
        assert_eq!(serde_json::from_str::<Overview>(&json).unwrap(), sample());
    }

    fn sample() -> Overview {
        Overview {
            domain: "acme.example".into(),
            did: "did:dccp:1abc".into(),
            fingerprint: "1abc".into(),
            version: "0.1.0".into(),
            started_at_ms: 1,
            now_ms: 2,
            totals: Totals::default(),
            queue: Vec::new(),
            oldest_without_progress_ms: None,
            archive_copies: 0,
            archive_bytes: 0,
            large_bodies: vec![LargeDepth { standing: LargeStanding::Kept, bodies: 1, bytes: 2 }],
            stuck: 0,
            partners: vec![PartnerView {
                domain: "globex.example".into(),
                did: "did:dccp:1def".into(),
                fingerprint: "1def".into(),
                standing: Standing::Pinned,
                trust: Trust::Dnssec,
                version: 3,
                notice: None,
                link: LinkState::Down,
                address: None,
                transport: None,
                since_ms: None,
                last_error: Some("connection refused".into()),
            }],
            alarms: vec![Alarm { at_ms: 1, about: "globex.example".into(), words: "two histories".into() }],
        }
    }
}
