//! Report: a final failure is told to the sender exactly once, as an RFC 3464 report handed to our own mail server.
//!
//! The report is composed from the return slip, so it can name the mail without its content; it is kept (sealed to
//! ourselves) in the same durable commit that settles the failed row.

use std::sync::Arc;

use dccp::UnixMillis;
use dccp::mail::{Mail, MailEnvelope};
use dccp::receipt::{Action, Outcome};
use smtp::address::Address;
use smtp::dsn::{Diagnostic, RecipientReport};
use smtp::reply::Enhanced;

use crate::clock::system_time;
use crate::custody::Custody;
use crate::flows::records::{Slip, Summary, purpose, queue_id_of, sha256};
use crate::metrics::Metrics;
use crate::spool::{
    Direction, Kind, Lane, NewRow, Note, RowId, Settlement, Spool, SpoolError, Stage, State, Turn, Waiting,
};

/// Composes reports in the name of this gateway.
#[derive(Clone)]
pub struct Reporter {
    /// Seals the report while it waits.
    pub custody: Arc<Custody>,
    /// Where failed rows are settled.
    pub spool: Spool,
    /// Counters.
    pub metrics: Metrics,
    /// `Reporting-MTA`.
    pub hostname: String,
    /// Milliseconds a report waits for our mail server.
    pub lifetime_ms: u64,
}

impl Reporter {
    /// Ends the outgoing row `id` without success, for the reason in `outcome`, and reports to its sender in the same
    /// durable step. A row that ended before stays as it is.
    ///
    /// # Errors
    /// The spool's.
    pub async fn end(
        &self,
        id: RowId,
        state: State,
        outcome: Outcome,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let Some(waiting) = self.spool.waiting(id).await? else { return Ok(()) };
        let stage = if state == State::Expired { Stage::Expired } else { Stage::Failed };
        let detail = self.custody.vault().seal(purpose::NOTE, outcome.diagnostic.as_bytes());
        let note = Note::new(now, stage, format!("status {}", outcome.status)).with_sealed(detail);
        self.metrics.failed.inc();
        self.spool.settle(self.settlement(&waiting, state, &[outcome], vec![note], now)).await?;
        Ok(())
    }

    /// The end of `waiting`, with a report about the failed ones among `outcomes` if anybody wants one.
    pub fn settlement(
        &self,
        waiting: &Waiting,
        state: State,
        outcomes: &[Outcome],
        mut notes: Vec<Note>,
        now: UnixMillis,
    ) -> Settlement {
        let report = self.report(waiting, outcomes, now);
        if report.is_some() {
            notes.push(Note::new(now, Stage::Reported, "failure report to the sender"));
        }
        let mut settlement = Settlement::plain(waiting.row.id, state, notes);
        settlement.new_rows = report.into_iter().collect();
        settlement
    }

    /// `None` when nobody wants a report: nothing failed, no mail (receipts have no slip), or the null sender
    /// (RFC 5321 §4.5.5: never report on a report).
    fn report(&self, waiting: &Waiting, outcomes: &[Outcome], now: UnixMillis) -> Option<NewRow> {
        let slip = Slip::open(self.custody.vault(), waiting.slip.as_ref()?)
            .inspect_err(
                |error| tracing::error!(%error, row = %waiting.row.id, "a failed mail cannot be reported"),
            )
            .ok()?;
        let sender: Address = slip.reverse_path.parse().ok()?;
        let failed = outcomes.iter().filter(|outcome| outcome.action == Action::Failed);
        let recipients: Vec<RecipientReport> =
            failed.flat_map(|outcome| about(outcome, &slip, &waiting.row.partner_domain)).collect();
        if recipients.is_empty() {
            return None;
        }
        let id = RowId::fresh();
        let octets = smtp::dsn::failure(&smtp::dsn::Report {
            reporting_mta: &self.hostname,
            report_id: &queue_id_of(id),
            arrival: system_time(UnixMillis(slip.arrived_ms)),
            now: system_time(now),
            original_sender: &sender,
            original_envelope_id: None,
            recipients: &recipients,
            original_headers: &slip.header_octets(),
        });
        let envelope = MailEnvelope {
            reverse_path: String::new(),
            forward_paths: vec![slip.reverse_path.clone()],
            body_8bit: !octets.is_ascii(),
            smtputf8: !sender.is_ascii(),
            ..MailEnvelope::default()
        };
        Some(self.row(id, &Mail { envelope, octets }, now))
    }

    fn row(&self, id: RowId, mail: &Mail, now: UnixMillis) -> NewRow {
        let vault = self.custody.vault();
        let to = mail.envelope.forward_paths.clone();
        NewRow {
            id,
            queue_id: queue_id_of(id),
            direction: Direction::In,
            kind: Kind::Report,
            partner: None,
            partner_domain: String::new(),
            body: vault.seal(purpose::MAIL, &mail.encode()).into(),
            slip: None,
            summary: Summary { from: String::new(), to, message_id: None }.seal(vault),
            message_id_tag: None,
            digest: sha256(&[b"DCCP-report-v1\0", id.0.as_bytes()]),
            sealed_to: None,
            size: mail.octets.len() as u64,
            now,
            next_at: now,
            expires_at: now.saturating_add_ms(self.lifetime_ms),
            state: State::Queued,
            held_by: None,
            turn: Turn { lane: Lane::Reports, ..Turn::default() },
            leased: false,
        }
    }
}

/// What the report says of one outcome; an outcome without a recipient speaks of the whole message.
fn about(outcome: &Outcome, slip: &Slip, partner_domain: &str) -> Vec<RecipientReport> {
    let one = |recipient: &String| RecipientReport {
        recipient: recipient.clone(),
        action: smtp::dsn::Action::Failed,
        status: outcome.status.parse().unwrap_or(Enhanced(5, 0, 0)),
        remote_mta: (!partner_domain.is_empty()).then(|| partner_domain.to_owned()),
        diagnostic: Some(Diagnostic::Local(outcome.diagnostic.clone())),
        last_attempt: None,
    };
    if outcome.recipient.is_empty() {
        slip.recipients.iter().map(one).collect()
    } else {
        vec![one(&outcome.recipient)]
    }
}
