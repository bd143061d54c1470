//! The control API: what an administrator may ask a running gateway, and what it answers.
//!
//! Words of this room: an [`Overview`] is the gateway at a glance; a [`MessageSummary`] is one line of
//! the journal; a [`MessageTrace`] is one message on its way to one destination with every stage it
//! passed; [`Readiness`] says whether the gateway can do its work now and, if not, what is missing.
//!
//! ```text
//!   browser ─► admin-ui ─┐
//!                        ├─► dyn Control ◄─ implemented by the gateway (spool, vault, partners, links)
//!   curl, cli ─► /api/v1 ┘
//! ```
//!
//! Invariants:
//! - Nothing here carries message content: no subject, no body, no attachment name. Addresses and
//!   Message-IDs are shown, because an administrator asks about exactly those.
//! - Every time is Unix time in milliseconds (UTC), named `…_at_ms`; every duration is `…_ms`.
//! - The JSON form of each type *is* the HTTP API (`docs/API.md`): renaming a field is a breaking change.
//!   Optional fields are left out when there is nothing to say; readers ignore fields they do not know.
//! - [`Control`] only reads. What changes the gateway stands in [`Queue`] and [`Archive`], and each change names who wants it and why; a
//!   [`RenewalOrder`] changes nothing that would not change by itself in time.
//!
//! Deliberately absent: authentication (the HTTP server's business), transport, storage, any dependency
//! on the rest of the house. The console can therefore never reach past this trait.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod archive;
mod certificate;
mod identity;
mod message;
mod overview;
mod queue;
mod readiness;

pub use archive::{
    ARCHIVE_LIMIT_MAX, ArchiveCopyView, ArchivePage, ArchiveQuery, ArchiveRuleView, ArchiveView, HoldLift,
    LegalHold, LegalHoldView, day_begins, day_ends,
};
pub use certificate::{CertificateList, CertificateView, RenewalBegun, RenewalOrder, RenewalView};
pub use identity::{AddressView, IdentityQuery, IdentityView};
pub use message::{
    Direction, Kind, MessageSummary, MessageTrace, RECENT_LIMIT_DEFAULT, RECENT_LIMIT_MAX, RecentPage,
    RecentQuery, StageView, State, Traces, UnknownWord, normal_id,
};
pub use overview::{
    Alarm, LargeDepth, LargeStanding, LinkState, Overview, PartnerList, PartnerView, QueueDepth, Standing,
    Totals, Trust,
};
pub use queue::{
    AuditEntryView, AuditView, DeclinedRow, DestinationList, DestinationView, HoldRule, HoldRules,
    OrderOutcome, QUEUE_LIMIT_MAX, QueueAct, QueueOrder, QueuePage, QueueQuery, QueueRow, RuleRemoval,
    UnknownAct,
};
pub use readiness::{Check, Readiness};

use async_trait::async_trait;

/// What a running gateway answers to its administrator. Implemented by the gateway; faked in tests.
#[async_trait]
pub trait Control: Send + Sync {
    /// Follows one message. `id` is a queue id, a DCCP message id (UUID) or an internet Message-ID,
    /// with or without angle brackets. The answer holds one trace per destination, oldest first, and is
    /// never empty: an id nobody knows is [`ControlError::NotFound`].
    async fn message(&self, id: &str) -> Result<Traces, ControlError>;

    /// One page of the journal, newest first.
    async fn recent(&self, query: RecentQuery) -> Result<RecentPage, ControlError>;

    /// Can the gateway do its work now? Never fails: a broken part is a failed check.
    async fn readiness(&self) -> Readiness;

    /// The gateway at a glance.
    async fn overview(&self) -> Result<Overview, ControlError>;

    /// Resolves a DID: ours, a person's of ours, a partner's or a stranger's. Asks the network when what is known is
    /// old, so it may take some seconds. A DID that nobody knows is [`ControlError::NotFound`]; sources that do not
    /// answer are [`ControlError::Unavailable`].
    async fn identity(&self, did: &str, query: IdentityQuery) -> Result<IdentityView, ControlError>;

    /// Whom an address of a partner leads to, as the partner itself says. An address of nobody we know is
    /// [`ControlError::NotFound`]; a partner that does not answer is [`ControlError::Unavailable`].
    async fn address(&self, address: &str) -> Result<AddressView, ControlError>;

    /// Every organisation this gateway knows, in order of domain.
    async fn partners(&self) -> Result<PartnerList, ControlError>;
}

/// The queue, and what its administrator may do to it. Implemented by the gateway; faked in tests.
#[async_trait]
pub trait Queue: Send + Sync {
    /// One page of what waits, oldest first. A page may be short, or empty, and still say where to read on: one request
    /// looks at a bounded number of rows.
    async fn list(&self, query: QueueQuery) -> Result<QueuePage, ControlError>;

    /// Does what is ordered to the messages that are meant, at most [`QUEUE_LIMIT_MAX`] at once.
    async fn order(&self, order: QueueOrder) -> Result<OrderOutcome, ControlError>;

    /// Where messages wait for, and why.
    async fn destinations(&self) -> Result<DestinationList, ControlError>;

    /// The standing rules.
    async fn rules(&self) -> Result<HoldRules, ControlError>;

    /// Adds a standing rule. A name that is taken is [`ControlError::Bad`].
    async fn add_rule(&self, rule: HoldRule) -> Result<HoldRules, ControlError>;

    /// Takes a standing rule back.
    async fn remove_rule(&self, name: &str, removal: RuleRemoval) -> Result<HoldRules, ControlError>;

    /// The newest entries of the audit, after a look through all of it.
    async fn audit(&self) -> Result<AuditView, ControlError>;
}

/// The archive, and the legal holds on it. Implemented by the gateway; faked in tests.
#[async_trait]
pub trait Archive: Send + Sync {
    /// The archive at a glance.
    async fn view(&self) -> Result<ArchiveView, ControlError>;

    /// One page of copies, oldest first, as far as a gateway can tell that cannot open them.
    async fn list(&self, query: ArchiveQuery) -> Result<ArchivePage, ControlError>;

    /// Adds a legal hold. A name that is taken, or no reason, is [`ControlError::Bad`].
    async fn add_hold(&self, hold: LegalHold) -> Result<ArchiveView, ControlError>;

    /// Lifts a legal hold: from then on retention takes its course.
    async fn lift_hold(&self, name: &str, lift: HoldLift) -> Result<ArchiveView, ControlError>;
}

/// Who asks, as the browser was told by the person: the HTTP server hands it to the pages along with the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub String);

/// Why the gateway did not answer, by whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The question makes no sense (the caller's fault). Says which part and why.
    #[error("{0}")]
    Bad(String),
    /// Nothing is known under this name (nobody's fault). Says what was looked for.
    #[error("{0}")]
    NotFound(String),
    /// The gateway cannot answer now, ask again (our fault). Says which part does not answer; never a path or secret.
    #[error("{0}")]
    Unavailable(String),
}
