//! The queue: what waits, and what a person may do about it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Direction, State};

/// Rows of a page of the queue, and rows that one order moves, at most: bounds one request.
pub const QUEUE_LIMIT_MAX: u32 = 500;

/// Which waiting messages are meant. What is absent does not narrow; what is there must all fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)] // a misspelt filter must not silently mean everything
pub struct QueueQuery {
    /// A queue id (all destinations of a mail), or the id of one row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which way it travels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The kind of row, by its word: `mail`, `receipts`, `report`, `unopened`, `draft`, `relay`, `foreign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The domain at the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The sender: an address or a domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// One of the recipients: an address or a domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// `queued`, `sent` or `held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The person or the standing rule that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// Accepted at least so many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than_s: Option<u64>,
    /// At least so many bytes long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub larger_than_bytes: Option<u64>,
    /// Rows behind this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Rows wanted, 1 to [`QUEUE_LIMIT_MAX`]; absent: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl QueueQuery {
    /// The rows of one mail, or one row.
    #[must_use]
    pub fn of_id(id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..Self::default() }
    }

    /// Whether it means everything that waits.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        Self { after: None, limit: None, ..self.clone() } == Self::default()
    }
}

/// One page of the queue, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePage {
    /// The rows.
    pub rows: Vec<QueueRow>,
    /// Where to read on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One message to one destination that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    /// The id of this row alone.
    pub id: String,
    /// The id that all destinations of the mail share.
    pub queue_id: String,
    /// Which way it travels.
    pub direction: Direction,
    /// The kind of row, by its word.
    pub kind: String,
    /// Where it stands.
    pub state: State,
    /// `people`, `reports` or `bulk`.
    pub lane: String,
    /// The domain at the other end; empty for our own people.
    pub destination: String,
    /// Reverse-path; empty for the null sender, and while nobody has looked inside.
    pub sender: String,
    /// Forward-paths.
    pub recipients: Vec<String>,
    /// Bytes of the message.
    pub size: u64,
    /// How often it was put off.
    pub attempts: u32,
    /// When it was accepted.
    pub accepted_at_ms: u64,
    /// The next attempt; absent unless it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at_ms: Option<u64>,
    /// When it is given up.
    pub expires_at_ms: u64,
    /// Who or what holds it; absent for the judge's hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// The way that was chosen for it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<String>,
    /// What was noted last, in words.
    pub last: String,
}

/// What a person may do to waiting messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueAct {
    /// Nobody works on it until it is released.
    Hold,
    /// It goes on.
    Release,
    /// The next attempt is now.
    Retry,
    /// To another next hop (what leaves by SMTP), or decided anew (what was held before it was sealed).
    Reroute,
    /// Given up now and reported to its sender.
    Expire,
    /// Given up without a report. Needs a reason.
    Drop,
}

impl QueueAct {
    /// Every act.
    pub const ALL: [Self; 6] =
        [Self::Hold, Self::Release, Self::Retry, Self::Reroute, Self::Expire, Self::Drop];

    /// The word used in JSON, forms and the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Retry => "retry",
            Self::Reroute => "reroute",
            Self::Expire => "expire",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for QueueAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for QueueAct {
    type Err = UnknownAct;

    fn from_str(word: &str) -> Result<Self, UnknownAct> {
        Self::ALL.into_iter().find(|act| act.as_str() == word).ok_or(UnknownAct)
    }
}

/// A word that names no act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an act; known are: hold, release, retry, reroute, expire, drop")]
pub struct UnknownAct;

/// What to do, to what, who wants it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueOrder {
    /// What to do.
    pub act: QueueAct,
    /// To which messages; it must narrow.
    pub which: QueueQuery,
    /// Who wants it: a name for the journal and the audit.
    pub by: String,
    /// Why; may be empty except for `drop`.
    #[serde(default)]
    pub why: String,
    /// For `reroute` of what leaves by SMTP: `host:port`; absent: the way of its domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<String>,
}

/// What became of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderOutcome {
    /// Rows that were moved.
    pub done: u64,
    /// Rows that were not, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declined: Vec<DeclinedRow>,
    /// More rows may be meant: give the order again from here (`which.after`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A row that an order did not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclinedRow {
    /// Its queue id.
    pub queue_id: String,
    /// Where it leads.
    pub destination: String,
    /// Why not, in words.
    pub why: String,
}

/// Where messages wait for, and how it is with that place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationList {
    /// In order of name; our own mail server has the empty name.
    pub destinations: Vec<DestinationView>,
}

/// One place where messages wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationView {
    /// The domain; empty for our own mail server.
    pub name: String,
    /// `partner`, `outside` or `home`.
    pub kind: String,
    /// `up`, `down`, `backing-off`, or `quiet` when nothing is known against it.
    pub state: String,
    /// The next attempt, while backing off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whose words these are: `connection` or `last attempt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_from: Option<String>,
    /// Messages that wait for an attempt.
    pub queued: u64,
    /// Messages that wait for a signed receipt.
    pub sent: u64,
    /// Messages that wait for a person.
    pub held: u64,
    /// When the oldest of them was accepted; absent when nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at_ms: Option<u64>,
}

/// The standing rules of holding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRules {
    /// In order of name.
    pub rules: Vec<HoldRule>,
}

/// "Hold everything to or from X until I say so": all that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRule {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// The sender: an address or a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// One of the recipients: an address or a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// At least so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub larger_than_bytes: Option<u64>,
    /// Who added it.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub why: String,
}

/// Takes a standing rule back. What it holds stays held: release that by `held_by`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleRemoval {
    /// Who wants it.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub why: String,
}

/// The newest entries of the audit, and whether the whole chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditView {
    /// How many there are.
    pub count: u64,
    /// The hash of the newest, in hex: noted elsewhere, it shows later whether entries were cut off.
    pub head: String,
    /// Where the chain is broken; absent when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The newest, newest first.
    pub entries: Vec<AuditEntryView>,
}

/// One thing that a person did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntryView {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at_ms: u64,
    /// Who.
    pub by: String,
    /// What.
    pub act: String,
    /// To what: a queue id, or the name of a rule.
    pub subject: String,
    /// Why.
    pub why: String,
}
