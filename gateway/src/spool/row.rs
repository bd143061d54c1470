//! The words of the spool: a row, its kind, its state, and how a row enters and leaves.

use bytes::Bytes;
use uuid::Uuid;

use super::stored::{stored_as, uuid_name};
use super::{ClaimedKey, Large, LargeBody, Note, Order, UnixMillis};

uuid_name! {
    /// Names one row: a UUIDv7, which for outgoing mail is also the DCCP message id.
    RowId
}

stored_as! {
    /// Which way a row travels.
    Direction {
        /// From our people to a partner or to the outside world.
        Out = 0 "out",
        /// From a partner, from the outside world (or from ourselves: a report) to our people.
        In = 1 "in",
    }
}

stored_as! {
    /// What a row carries.
    Kind {
        /// A mail.
        Mail = 0 "mail",
        /// A batch of receipts.
        Receipts = 1 "receipts",
        /// A delivery status notification of ours, for local delivery.
        Report = 2 "report",
        /// A sealed message that has arrived and was not opened yet: nobody knows what is in it.
        Unopened = 3 "unopened",
        /// An outgoing mail that is held before it could be sealed to its partner; sealed to ourselves.
        Draft = 4 "draft",
        /// An outgoing mail to a domain that has no gateway: the relay courier takes it; sealed to ourselves.
        Relay = 5 "relay",
        /// A mail that came by SMTP for our people, from the outside world or from one of themselves; sealed to
        /// ourselves.
        Foreign = 6 "foreign",
    }
}

stored_as! {
    /// What a row is to those who wait: nobody's mail waits behind a newsletter.
    Lane {
        /// A person wrote to a few others.
        People = 0 "people",
        /// What machines owe to people: receipts, reports, anything with the null sender.
        Reports = 1 "reports",
        /// To many, or by a machine: lists, newsletters.
        Bulk = 2 "bulk",
    }
}

/// Whose turn it is: due rows are handed out by turns between lanes, and within a lane between sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Which lane the row stands in.
    pub lane: Lane,
    /// Who sent it.
    pub source: Source,
}

impl Default for Turn {
    fn default() -> Self {
        Self { lane: Lane::People, source: Source(0) }
    }
}

/// Which of [`Source::HEAPS`] heaps the sender's domain falls into (stochastic fair queueing): enough to share fairly, too
/// little to tell who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(u8);

impl Source {
    /// How many heaps there are. Two domains that share one share its turns.
    pub const HEAPS: u8 = 64;

    /// By a keyed tag of the sender's domain.
    #[must_use]
    pub fn of_tag(tag: [u8; 16]) -> Self {
        let [first, ..] = tag;
        Self(first % Self::HEAPS)
    }

    /// The number in the database.
    pub(in crate::spool) fn number(self) -> i64 {
        i64::from(self.0)
    }
}

stored_as! {
    /// Where a row stands. The last three are final: they have no body and no way out (docs/SPOOL.md).
    State {
        /// Waits for the courier or for delivery, not before its `next_at`.
        Queued = 0 "queued",
        /// Durable at the next hop; waits for the signed receipt.
        Sent = 1 "sent",
        /// Waits for a person.
        Held = 2 "held",
        /// The end: every recipient has it.
        Delivered = 3 "delivered",
        /// The end: refused for good.
        Failed = 4 "failed",
        /// The end: its time ran out.
        Expired = 5 "expired",
    }
}

impl State {
    /// Whether the row has reached its end.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::Expired)
    }
}

/// A row on its way into the spool.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// Its name. A [`RowId`] is used once, ever.
    pub id: RowId,
    /// The name in SMTP replies and logs; all rows of one mail share it.
    pub queue_id: String,
    /// Which way it travels.
    pub direction: Direction,
    /// What it carries.
    pub kind: Kind,
    /// The DID of the organisation at the other end, once known; `None` for relay and foreign rows.
    pub partner: Option<String>,
    /// The mail domain at the other end, lower case: the recipient's of what goes out, the sender's of what comes in.
    pub partner_domain: String,
    /// The sealed octets.
    pub body: Bytes,
    /// The large body that it names.
    pub large: Option<Large>,
    /// The return slip, sealed to ourselves: what a failure report needs. Dropped with the body.
    pub slip: Option<Vec<u8>>,
    /// What a trace shows, sealed to ourselves. Kept after the end.
    pub summary: Vec<u8>,
    /// Keyed tag of the RFC 5322 Message-ID.
    pub message_id_tag: Option<[u8; 16]>,
    /// SHA-256 of the sealed message: duplicates and receipts are recognised by it.
    pub digest: [u8; 32],
    /// Of an arriving row: the key that its body is sealed to. If it is a one-time key, it is claimed for this row.
    pub sealed_to: Option<[u8; 16]>,
    /// Bytes of the message as people count them (not of the sealed form).
    pub size: u64,
    /// The time of acceptance.
    pub now: UnixMillis,
    /// Not handed out before.
    pub next_at: UnixMillis,
    /// The end of its time to live.
    pub expires_at: UnixMillis,
    /// [`State::Queued`] or [`State::Held`].
    pub state: State,
    /// The standing rule that holds it; `None` while it is not held, or held by the judge.
    pub held_by: Option<String>,
    /// When its turn comes among what is due.
    pub turn: Turn,
    /// Handed to the caller at once, as if by `due`: the caller has the bytes and goes on with them. In memory only,
    /// so after a crash the row is simply due.
    pub leased: bool,
}

/// What the spool knows of a row, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Order of acceptance; a cursor for `recent`.
    pub seq: i64,
    /// Its name.
    pub id: RowId,
    /// The name that all rows of one mail share.
    pub queue_id: String,
    /// Which way it travels.
    pub direction: Direction,
    /// What it carries.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// The DID of the organisation at the other end, if known.
    pub partner: Option<String>,
    /// The mail domain at the other end.
    pub partner_domain: String,
    /// The lane it stands in.
    pub lane: Lane,
    /// Of a relay row: the way (`host:port`) that an administrator chose for it.
    pub next_hop: Option<String>,
    /// The person or the standing rule that holds it; `None` for the judge's hold, which ends with its reason.
    pub held_by: Option<String>,
    /// The person who released it last: the judge's holds count no more for it.
    pub approved_by: Option<String>,
    /// The DCCP message id: for outgoing rows the row's own, for arrived ones the sender's, once it was opened.
    pub message_id: Option<Uuid>,
    /// Keyed tag of the RFC 5322 Message-ID.
    pub message_id_tag: Option<[u8; 16]>,
    /// SHA-256 of the sealed message.
    pub digest: [u8; 32],
    /// Bytes of the message as people count them.
    pub size: u64,
    /// Bytes that rest on disk for it alone; 0 after the end.
    pub body_bytes: u64,
    /// The large body that it names, until the end.
    pub large: Option<LargeBody>,
    /// How often it was put off.
    pub attempts: u32,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// When it last took a step forward; for an ended row the time of its end.
    pub progress_at: UnixMillis,
    /// Not handed out before.
    pub next_at: UnixMillis,
    /// The end of its time to live.
    pub expires_at: UnixMillis,
    /// What a trace shows, sealed to ourselves.
    pub summary: Vec<u8>,
    /// Recipients that are still to be served, sealed to ourselves; `None` while none was.
    pub remaining: Option<Vec<u8>>,
}

/// A row handed out for work. The one who got it is the only one until it is moved or released.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// The facts.
    pub row: Row,
    /// The sealed octets.
    pub body: Bytes,
    /// The return slip, sealed to ourselves.
    pub slip: Option<Vec<u8>>,
    /// The one-time key that it claimed when it arrived.
    pub claimed: Option<ClaimedKey>,
}

/// A row that has not ended, without its body: what it takes to settle its end and report it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The facts.
    pub row: Row,
    /// The return slip, sealed to ourselves.
    pub slip: Option<Vec<u8>>,
}

/// Whether an arriving message was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Kept now.
    Fresh {
        /// The one-time key that it is sealed to, which is now its own.
        claimed: Option<ClaimedKey>,
    },
    /// Kept before; nothing was written.
    Duplicate,
}

/// What a move found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The row moved, durably.
    Done,
    /// The row had ended before (a receipt overtook an acknowledgement, or came twice): nothing was written.
    AlreadyFinal(State),
}

/// The end of a row, and everything that must become durable with it or not at all.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which row ends.
    pub id: RowId,
    /// How: one of the final states.
    pub state: State,
    /// For the journal. The last one gives the time.
    pub notes: Vec<Note>,
    /// Hash of (sender, message id): recognised by `seen` from now on.
    pub replay_key: Option<[u8; 32]>,
    /// The receipt that the sender is owed.
    pub receipt: Option<PendingReceipt>,
    /// Rows that this end begets: a failure report, a forwarded copy.
    pub new_rows: Vec<NewRow>,
    /// What opening the message taught us.
    pub learned: Option<Learned>,
    /// The partner's signed words, sealed to ourselves: kept with the journal.
    pub evidence: Option<Vec<u8>>,
    /// The person who wants this end, if one does.
    pub order: Option<Order>,
}

impl Settlement {
    /// An end that owes nobody anything.
    #[must_use]
    pub fn plain(id: RowId, state: State, notes: Vec<Note>) -> Self {
        Self {
            id,
            state,
            notes,
            replay_key: None,
            receipt: None,
            new_rows: Vec::new(),
            learned: None,
            evidence: None,
            order: None,
        }
    }
}

/// A step forward of a row that goes on, and everything that must become durable with it or not at all.
#[derive(Debug, Clone)]
pub struct Partly {
    /// Recipients that are still to be served, and what became of the others; sealed to ourselves.
    pub remaining: Vec<u8>,
    /// What opening the message taught us.
    pub learned: Option<Learned>,
    /// What the sender's gateway is told meanwhile.
    pub receipt: Option<PendingReceipt>,
    /// What the sender is told meanwhile.
    pub report: Option<NewRow>,
}

impl Partly {
    /// A step of which nobody is told.
    #[must_use]
    pub fn of(remaining: Vec<u8>) -> Self {
        Self { remaining, learned: None, receipt: None, report: None }
    }
}

/// What only opening a message tells: fills in the row that was kept before anybody could look inside.
#[derive(Debug, Clone)]
pub struct Learned {
    /// What it carries ([`Kind::Report`] and others that are sealed to ourselves are refused: they do not arrive).
    pub kind: Kind,
    /// Its DCCP message id, given by the sender.
    pub message_id: Uuid,
    /// Keyed tag of its Message-ID.
    pub message_id_tag: Option<[u8; 16]>,
    /// What a trace shows, sealed to ourselves.
    pub summary: Vec<u8>,
    /// Bytes of the message as people count them.
    pub size: u64,
}

/// A receipt that waits to travel with others.
#[derive(Debug, Clone)]
pub struct PendingReceipt {
    /// The DID of the organisation that is owed it.
    pub partner: String,
    /// The receipt, sealed to ourselves.
    pub sealed_receipt: Vec<u8>,
}
