//! One message: its line in the journal, its trace, and the words both are written in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Rows of a page when the caller does not say: a screenful.
pub const RECENT_LIMIT_DEFAULT: u32 = 50;

/// Rows of a page at most: bounds the work and memory of one request.
pub const RECENT_LIMIT_MAX: u32 = 500;

/// Which way a message travels, seen from this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From our people to a partner.
    Outbound,
    /// From a partner to our people.
    Inbound,
}

/// What a journal row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A mail of a person.
    Mail,
    /// Signed receipts travelling between two gateways.
    Receipts,
    /// A delivery status notification (RFC 3464) this gateway wrote to one of our people.
    Report,
    /// Arrived, kept durably, not opened yet: what it is will be known once it is decrypted.
    Unopened,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Kept durably, waiting for its next attempt.
    Queued,
    /// The partner's gateway has kept it durably; its signed receipt is awaited.
    Sent,
    /// Stopped by a rule until a person decides.
    Held,
    /// Final: outbound, the partner's receipt says so; inbound, the internal mail server took it.
    Delivered,
    /// Final: refused for good by a rule, a partner or a mail server. The sender was told.
    Failed,
    /// Final: the deadline passed first. The sender was told.
    Expired,
}

impl Direction {
    /// Every direction, in the order pages show them.
    pub const ALL: [Self; 2] = [Self::Outbound, Self::Inbound];

    /// The word used in JSON, queries and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

impl Kind {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Receipts => "receipts",
            Self::Report => "report",
            Self::Unopened => "unopened",
        }
    }
}

impl State {
    /// Every state, in the order a message passes them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Sent, Self::Held, Self::Delivered, Self::Failed, Self::Expired];

    /// The word used in JSON, queries and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// True when nothing more will happen to the message.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::Expired)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state; known are: queued, sent, held, delivered, failed, expired")]
pub struct UnknownWord;

impl FromStr for State {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(UnknownWord)
    }
}

/// Which part of the journal to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)] // a misspelt filter must not silently show everything
pub struct RecentQuery {
    /// Rows wanted, 1 to [`RECENT_LIMIT_MAX`].
    pub limit: u32,
    /// Only rows older than this cursor, taken from [`RecentPage::next`]. Opaque to the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Only rows to or from this partner: its domain, lower-case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// Only rows in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

impl Default for RecentQuery {
    fn default() -> Self {
        Self { limit: RECENT_LIMIT_DEFAULT, before: None, partner: None, state: None }
    }
}

/// One page of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentPage {
    /// Newest first.
    pub messages: Vec<MessageSummary>,
    /// Give this as [`RecentQuery::before`] to read on; absent when the journal ends here. A page that a filter
    /// left short, or even empty, may still lead on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One line of the journal: a message on its way to one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSummary {
    /// The id in the SMTP reply and in our `Received:` header. One mail to several partners shares it.
    pub queue_id: String,
    /// DCCP message id (UUID, lower-case with hyphens), the same on both ends; absent for an arrival before it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// What the row is about.
    pub kind: Kind,
    /// Which way.
    pub direction: Direction,
    /// Where it stands.
    pub state: State,
    /// The organisation at the other end; empty when the mail never leaves ours (a report).
    pub partner_domain: String,
    /// Envelope sender (RFC 5321 reverse-path without brackets); empty is the null sender.
    pub sender: String,
    /// Envelope recipients at this destination.
    pub recipients: Vec<String>,
    /// Octets of the mail as it was accepted, before sealing.
    pub size: u64,
    /// When this gateway took responsibility for it.
    pub accepted_at_ms: u64,
    /// From acceptance to the final state; absent while it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
}

/// All destinations of one message. Never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// One trace per destination, oldest first.
    pub messages: Vec<MessageTrace>,
}

/// One message on its way to one destination, with every stage it passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTrace {
    /// As in [`MessageSummary::queue_id`].
    pub queue_id: String,
    /// As in [`MessageSummary::message_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// `Message-ID` header of the mail without angle brackets; absent when it has none or is unopened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internet_message_id: Option<String>,
    /// What the row is about.
    pub kind: Kind,
    /// Which way.
    pub direction: Direction,
    /// Where it stands.
    pub state: State,
    /// As in [`MessageSummary::partner_domain`].
    pub partner_domain: String,
    /// As in [`MessageSummary::sender`].
    pub sender: String,
    /// As in [`MessageSummary::recipients`].
    pub recipients: Vec<String>,
    /// As in [`MessageSummary::size`].
    pub size: u64,
    /// As in [`MessageSummary::accepted_at_ms`].
    pub accepted_at_ms: u64,
    /// As in [`MessageSummary::total_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// When the next attempt is due; absent when none is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at_ms: Option<u64>,
    /// When the gateway gives up and tells the sender; absent once the state is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// What happened, in order.
    pub stages: Vec<StageView>,
}

/// One thing that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageView {
    /// When.
    pub at_ms: u64,
    /// The stage in one word: `accepted`, `sealed`, `committed`, `sent`, `delivered`, …
    pub stage: String,
    /// Why, in words without content or addresses; names the rule when one decided. May be empty.
    pub reason: String,
    /// What is kept sealed in the journal and opened for the administrator (a reply naming an address).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Since the stage before; 0 for the first.
    pub elapsed_ms: u64,
}

/// The form in which an id is looked up: outer blanks and one pair of angle brackets removed.
///
/// Administrators paste `<1@acme.example>` from a header and `1@acme.example` from a log; both are one id.
pub fn normal_id(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(id).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_with_and_without_angle_brackets() {
        assert_eq!(normal_id(" <1@acme.example> "), "1@acme.example");
        assert_eq!(normal_id("1@acme.example"), "1@acme.example");
        assert_eq!(normal_id("<unbalanced"), "<unbalanced");
        assert_eq!(normal_id(""), "");
    }

    #[test]
    fn the_word_of_a_state_is_its_json_and_reads_back() {
        for state in State::ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
            assert_eq!(state.as_str().parse::<State>(), Ok(state));
        }
        assert_eq!("Delivered".parse::<State>(), Err(UnknownWord));
    }

    #[test]
    fn the_word_of_a_direction_and_of_a_kind_is_its_json() {
        for direction in Direction::ALL {
            assert_eq!(serde_json::to_string(&direction).unwrap(), format!("\"{direction}\""));
        }
        for kind in [Kind::Mail, Kind::Receipts, Kind::Report, Kind::Unopened] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }

    #[test]
    fn a_query_with_an_unknown_filter_is_refused_instead_of_showing_everything() {
        let refused = serde_json::from_str::<RecentQuery>(r#"{"limit":5,"partnr":"globex.example"}"#);
        assert!(refused.is_err());
        let empty = serde_json::from_str::<RecentQuery>("{}").unwrap();
        assert_eq!(empty, RecentQuery::default());
    }

    #[test]
    fn what_is_not_known_is_left_out_of_the_json() {
        let page = RecentPage::default();
        assert_eq!(serde_json::to_string(&page).unwrap(), r#"{"messages":[]}"#);
    }
}
