//! The queue as its administrator sees and moves it.
//!
//! ```text
//! console, command line ─► http ─► dyn control::Queue ◄─ Administration
//!     which?   filter    rows that have not ended, summaries opened in the house    ─┐
//!     what?    orders    hold, release, retry, reroute │ expire, drop (settlements)  ├─► spool: move + journal + audit
//!     always?  standing  "hold everything to or from X", asked by the flows         ─┘
//!     where?   destinations   what waits for whom, and why
//! lane       whose turn a row has, decided at acceptance
//! ```
//!
//! Invariants: an act and its traces (journal, audit) are one durable step; a row in somebody's hands is not moved; what is
//! sealed to a partner goes to that partner or nowhere; nothing that names people rests in clear.

mod destinations;
mod filter;
pub mod lane;
mod orders;
mod rules;
pub mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use control::{
    AuditEntryView, AuditView, ControlError, DestinationList, HoldRule, HoldRules, OrderOutcome, Queue,
    QueueOrder, QueuePage, QueueQuery, QueueRow, RuleRemoval,
};
use dccp::Did;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::custody::Vault;
use crate::exchange::Exchange;
use crate::flows::records::{Summary, purpose};
use crate::flows::report::Reporter;
use crate::http::words;
use crate::partners::Partners;
use crate::spool::{Row, Spool, SpoolError, State};
use filter::Filter;
use standing::Standing;

/// Entries of the audit that one answer shows.
const AUDIT_SHOWN: usize = 100;

/// Characters of a name that stands in journal and audit.
const NAME_CHARS_MAX: usize = 64;

/// Characters of a reason.
const WHY_CHARS_MAX: usize = 500;

/// [`control::Queue`] over the living parts.
pub struct Administration {
    /// Where messages wait.
    pub spool: Spool,
    /// Opens summaries, seals reasons.
    pub vault: Arc<Vault>,
    /// Tells senders what was given up.
    pub reporter: Reporter,
    /// Who is known.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Who is connected.
    pub links: watch::Receiver<BTreeMap<Did, overlay::LinkState>>,
    /// Who outside of the overlay was reached.
    pub exchange: Arc<Exchange>,
    /// The standing rules, as flows see them.
    pub standing: watch::Sender<Arc<Standing>>,
    /// Time.
    pub clock: Clock,
}

#[async_trait]
impl Queue for Administration {
    async fn list(&self, query: QueueQuery) -> Result<QueuePage, ControlError> {
        let filter = Filter::of(&query, (self.clock)())?;
        let (found, next) = self.scan(&filter).await?;
        let mut rows = Vec::with_capacity(found.len());
        for (row, summary) in found {
            let last = self.spool.last_note(row.id).await.map_err(silent)?;
            let last = last.map_or_else(String::new, |note| format!("{}: {}", note.stage, note.reason));
            rows.push(view(&row, summary, last));
        }
        Ok(QueuePage { rows, next })
    }

    async fn order(&self, order: QueueOrder) -> Result<OrderOutcome, ControlError> {
        self.obey(order).await
    }

    async fn destinations(&self) -> Result<DestinationList, ControlError> {
        self.places().await
    }

    async fn rules(&self) -> Result<HoldRules, ControlError> {
        Ok(self.rules_now())
    }

    async fn add_rule(&self, rule: HoldRule) -> Result<HoldRules, ControlError> {
        self.add(rule).await
    }

    async fn remove_rule(&self, name: &str, removal: RuleRemoval) -> Result<HoldRules, ControlError> {
        self.remove(name, removal).await
    }

    async fn audit(&self) -> Result<AuditView, ControlError> {
        let found = self.spool.verify_audit().await.map_err(silent)?;
        let newest = self.spool.audit(AUDIT_SHOWN).await.map_err(silent)?;
        let entries = newest.into_iter().map(|entry| AuditEntryView {
            seq: entry.seq,
            at_ms: entry.at.0,
            by: entry.who,
            act: entry.act,
            subject: entry.subject,
            why: match self.vault.open(purpose::NOTE, &entry.sealed) {
                Ok(clear) => String::from_utf8_lossy(&clear).into_owned(),
                Err(_) => "(sealed with another storage key)".to_owned(),
            },
        });
        Ok(AuditView {
            count: found.entries,
            head: data_encoding::HEXLOWER.encode(&found.head),
            fault: found.fault.map(|fault| fault.to_string()),
            entries: entries.collect(),
        })
    }
}

fn view(row: &Row, summary: Summary, last: String) -> QueueRow {
    QueueRow {
        id: row.id.to_string(),
        queue_id: row.queue_id.clone(),
        direction: words::direction(row.direction),
        kind: row.kind.to_string(),
        state: words::state(row.state),
        lane: row.lane.to_string(),
        destination: row.partner_domain.clone(),
        sender: summary.from,
        recipients: summary.to,
        size: row.size,
        attempts: row.attempts,
        accepted_at_ms: row.accepted_at.0,
        next_attempt_at_ms: (row.state == State::Queued).then_some(row.next_at.0),
        expires_at_ms: row.expires_at.0,
        held_by: row.held_by.clone().filter(|_| row.state == State::Held),
        next_hop: row.next_hop.clone(),
        last,
    }
}

/// A name for journal and audit: something, short, and nothing that could pass for something else.
pub(crate) fn name_of(by: &str) -> Result<String, ControlError> {
    let by = by.trim();
    let fits = !by.is_empty() && by.chars().count() <= NAME_CHARS_MAX && !by.chars().any(char::is_control);
    match fits {
        true => Ok(by.to_owned()),
        false => Err(ControlError::Bad(format!("“by” is your name, 1 to {NAME_CHARS_MAX} characters."))),
    }
}

/// A reason, as it is sealed.
pub(crate) fn reason_of(why: &str) -> Result<&str, ControlError> {
    match why.chars().count() <= WHY_CHARS_MAX {
        true => Ok(why.trim()),
        false => Err(ControlError::Bad(format!("“why” has at most {WHY_CHARS_MAX} characters."))),
    }
}

/// The spool does not answer: temporary, and nothing the caller could do about it.
pub(crate) fn silent(error: SpoolError) -> ControlError {
    ControlError::Unavailable(format!("The queue does not answer: {error}."))
}
