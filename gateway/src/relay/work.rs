//! One mail in the hands of one attempt: whom it still has to reach, what became of the others, and what the journal
//! will say. Pure: the servers' answers and the time are arguments.

use dccp::UnixMillis;
use dccp::mail::Mail;
use smtp::client::SaidBy;

use crate::custody::Vault;
use crate::exchange::{Relayed, Via};
use crate::flows::bodies::Octets;
use crate::flows::records::{Done, Progress, Slip, Summary, purpose, sha256};
use crate::partners::Partner;
use crate::spool::{Direction, DueRow, Kind, Large, NewRow, Note, RowId, Stage, State, Turn, Waiting};

/// One mail in the hands of one attempt.
pub(super) struct Work {
    pub(super) due: DueRow,
    pub(super) mail: Mail,
    pub(super) octets: Octets,
    pub(super) notes: Vec<Note>,
    pub(super) progress: Progress,
    /// What the last failure said.
    last: Option<String>,
}

impl Work {
    pub(super) fn new(due: DueRow, mail: Mail, octets: Octets, earlier: Option<Progress>) -> Self {
        let all = || Progress { pending: mail.envelope.forward_paths.clone(), ..Progress::default() };
        let progress = earlier.unwrap_or_else(all);
        Self { due, mail, octets, notes: Vec::new(), progress, last: None }
    }

    /// The row as those see it who report about it.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting { row: self.due.row.clone(), slip: self.due.slip.clone() }
    }

    pub(super) fn note(&mut self, at: UnixMillis, stage: Stage, reason: String) {
        self.notes.push(Note::new(at, stage, reason));
    }

    /// Sorts the answers: final ones are done, temporary ones stay pending.
    pub(super) fn apply(&mut self, relayed: Relayed, vault: &Vault, at: UnixMillis) {
        for tried in &relayed.trail {
            self.notes.push(Note::new(at, Stage::Sent, tried.clone()));
        }
        let via = relayed.via.as_ref().map_or_else(|| "no server answered".to_owned(), words_of);
        self.progress.pending.clear();
        for outcome in relayed.outcomes {
            let server = relayed.via.as_ref().map(|via| via.host.clone());
            let words = outcome.reply.to_string();
            let (stage, what) = match (outcome.is_delivered(), outcome.is_temporary()) {
                (true, _) => (Stage::HandedOver, "taken"),
                (false, true) => (Stage::Deferred, "not now"),
                (false, false) => (Stage::Failed, "refused"),
            };
            let duty = if outcome.dsn_passed_on { "; it reports what becomes of it" } else { "" };
            let doubt = if outcome.said_by == SaidBy::Silence { "; it may have been delivered" } else { "" };
            // What a server says may name people; the code alone does not.
            let reason =
                format!("{what} ({} {}): {via}{duty}{doubt}", outcome.reply.code, outcome.reply.status());
            let detail = format!("{}: {words}", outcome.recipient);
            self.notes
                .push(Note::new(at, stage, reason).with_sealed(vault.seal(purpose::NOTE, detail.as_bytes())));
            if outcome.is_temporary() {
                self.last = Some(words);
                self.progress.pending.push(outcome.recipient);
            } else {
                self.progress.done.push(Done {
                    delivered: outcome.is_delivered(),
                    status: outcome.reply.status().to_string(),
                    diagnostic: words,
                    server: server.filter(|_| outcome.said_by == SaidBy::Server),
                    told: outcome.dsn_passed_on,
                    recipient: outcome.recipient,
                });
            }
        }
    }

    /// Nothing was tried, for a reason that may pass.
    pub(super) fn put_off(&mut self, why: &str) {
        self.last = Some(why.to_owned());
    }

    /// The journal of a mail that is put off says why, once.
    pub(super) fn note_if_untold(&mut self, at: UnixMillis) {
        if !self.notes.iter().any(|note| note.stage == Stage::Deferred) {
            self.note(at, Stage::Deferred, self.last_words());
        }
    }

    pub(super) fn last_words(&self) -> String {
        self.last.clone().unwrap_or_else(|| "no reason was given".to_owned())
    }

    pub(super) fn fail_pending(&mut self, status: &str, why: &str) {
        for recipient in std::mem::take(&mut self.progress.pending) {
            self.progress.done.push(Done::failed(recipient, status, why));
        }
    }

    pub(super) fn counts(&self) -> String {
        let delivered = self.progress.done.iter().filter(|done| done.delivered).count();
        format!("{delivered} of {} recipients", self.progress.done.len())
    }

    /// The same mail for those who are pending, to be decided anew and sealed to `partner`.
    pub(super) fn draft(&self, partner: &Partner, vault: &Vault, now: UnixMillis) -> NewRow {
        let pending = self.progress.pending.clone();
        let envelope = self.mail.envelope.narrowed(&pending);
        let from = envelope.reverse_path.clone();
        let body = vault.seal(purpose::MAIL, &Mail { envelope, content: self.mail.content.clone() }.encode());
        let slip = self.due.slip.as_ref().and_then(|slip| Slip::open(vault, slip).ok());
        let slip = slip.map(|slip| slip.narrowed(&pending).seal(vault));
        let message_id =
            Summary::open(vault, &self.due.row.summary).ok().and_then(|summary| summary.message_id);
        let id = RowId::fresh();
        NewRow {
            id,
            queue_id: self.due.row.queue_id.clone(),
            direction: Direction::Out,
            kind: Kind::Draft,
            partner: Some(partner.did().to_string()),
            partner_domain: partner.domain().to_owned(),
            body: body.into(),
            large: self.due.row.large.map(Large::Kept),
            slip,
            summary: Summary { from, to: pending, message_id }.seal(vault),
            message_id_tag: self.due.row.message_id_tag,
            digest: sha256(&[b"DCCP-draft-v1\0", id.0.as_bytes()]),
            sealed_to: None,
            size: self.due.row.size,
            now,
            next_at: now,
            expires_at: self.due.row.expires_at,
            state: State::Queued,
            held_by: None,
            turn: Turn { lane: self.due.row.lane, ..Turn::default() },
            leased: false,
        }
    }
}

/// The server, how the session was protected, and how the server was verified.
fn words_of(via: &Via) -> String {
    let Via { host, address, tls, verified } = via;
    let tls = match tls {
        None => "no TLS".to_owned(),
        Some(tls) => {
            let group = tls.group.as_deref().map_or(String::new(), |group| format!(" {group}"));
            format!("{}{group} {}", tls.version, tls.cipher)
        }
    };
    format!("{host} [{address}], {tls}, verified {verified}")
}
