//! One mail in the hands of one attempt: whom it still has to reach, what became of the others, and what the journal
//! will say. Pure: the mail server's answers and the time are arguments.

use dccp::UnixMillis;
use dccp::mail::Mail;
use dccp::receipt;
use smtp::client::Outcome;

use crate::custody::Vault;
use crate::flows::bodies::Octets;
use crate::flows::records::{Done, Progress, Summary, purpose};
use crate::spool::{Kind, Learned, Note, Partly, RowId, Stage};

/// One mail in the hands of one attempt.
pub(super) struct Attempt {
    pub(super) leg: Leg,
    pub(super) mail: Mail,
    pub(super) octets: Octets,
    pub(super) notes: Vec<Note>,
    pub(super) progress: Progress,
    /// Why those who were still to be served never will be.
    pub(super) given_up: Option<String>,
}

/// The row that the mail waits in, whoever brought it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leg {
    pub(super) id: RowId,
    /// Failed attempts so far.
    pub(super) attempts: u32,
    /// When we took it.
    pub(super) arrived: UnixMillis,
    /// When it is given up.
    pub(super) expires: UnixMillis,
    /// A person released it: the judge holds it no more.
    pub(super) approved: bool,
}

impl Attempt {
    pub(super) fn new(leg: Leg, mail: Mail, octets: Octets) -> Self {
        Self { leg, mail, octets, notes: Vec::new(), progress: Progress::default(), given_up: None }
    }

    pub(super) fn note(&mut self, at: UnixMillis, stage: Stage, reason: String) {
        self.notes.push(Note::new(at, stage, reason));
    }

    /// Sorts the mail server's answers: final ones are done, temporary ones stay pending.
    pub(super) fn apply(&mut self, outcomes: Vec<Outcome>, vault: &Vault, at: UnixMillis) {
        self.progress.pending.clear();
        for outcome in outcomes {
            let words = outcome.reply.to_string();
            let accepted = outcome.is_delivered();
            let (stage, reason) = match (accepted, outcome.is_temporary()) {
                (true, _) => (Stage::HandedOver, "taken by our mail server"),
                (false, true) => (Stage::Deferred, "our mail server says: not now"),
                (false, false) => (Stage::Failed, "our mail server says: never"),
            };
            let detail = format!("{}: {words}", outcome.recipient);
            self.notes
                .push(Note::new(at, stage, reason).with_sealed(vault.seal(purpose::NOTE, detail.as_bytes())));
            if outcome.is_temporary() {
                self.progress.pending.push(outcome.recipient);
            } else {
                let status = outcome.reply.status().to_string();
                self.progress.done.push(Done {
                    recipient: outcome.recipient,
                    delivered: accepted,
                    status,
                    diagnostic: words,
                    server: None,
                    told: false,
                });
            }
        }
    }

    pub(super) fn put_off(&mut self, why: &str, vault: &Vault, at: UnixMillis) {
        let detail = vault.seal(purpose::NOTE, why.as_bytes());
        self.notes
            .push(Note::new(at, Stage::Deferred, "our mail server cannot be reached").with_sealed(detail));
    }

    /// `why` goes into the journal too: no addresses, no content.
    pub(super) fn fail_pending(&mut self, status: &str, why: &str) {
        if !self.progress.pending.is_empty() {
            self.given_up = Some(why.to_owned());
        }
        for recipient in std::mem::take(&mut self.progress.pending) {
            self.progress.done.push(Done::failed(recipient, status, why));
        }
    }

    /// Whether somebody is still to be served, and there is time.
    pub(super) fn goes_on(&self, now: UnixMillis) -> bool {
        !self.progress.pending.is_empty() && now < self.leg.expires
    }

    /// Whether somebody was refused whom the sender's gateway does not know of yet.
    pub(super) fn has_news_of_failure(&self) -> bool {
        self.progress.done.iter().any(|done| !done.delivered && !done.told)
    }

    /// What a receipt says of a mail that goes on: of everybody, as every receipt does.
    pub(super) fn outcomes_so_far(&self) -> Vec<receipt::Outcome> {
        let waits = |recipient: &String| receipt::Outcome {
            recipient: recipient.clone(),
            action: receipt::Action::Delayed,
            status: "4.0.0".to_owned(),
            diagnostic: "our mail server has not taken it yet".to_owned(),
        };
        self.progress.outcomes_with(self.progress.pending.iter().map(waits).collect())
    }

    pub(super) fn partly(&self, vault: &Vault) -> Partly {
        Partly::of(self.progress.seal(vault))
    }

    pub(super) fn notes_for_hold(mut self, at: UnixMillis) -> Vec<Note> {
        self.note(at, Stage::Held, "waits for an administrator".to_owned());
        self.notes
    }

    pub(super) fn counts(&self) -> String {
        let delivered = self.progress.done.iter().filter(|done| done.delivered).count();
        let counts = format!("{delivered} of {} recipients", self.progress.done.len());
        self.given_up.as_ref().map_or(counts.clone(), |why| format!("{counts}: {why}"))
    }

    /// Its Message-ID.
    pub(super) fn name(&self) -> Option<String> {
        smtp::message::read(&self.octets, &smtp::message::Limits::default()).ok()?.message_id
    }

    /// What the trace finds this row by, now that it is open.
    pub(super) fn learned(&self, message_id: uuid::Uuid, vault: &Vault) -> Learned {
        let name = self.name();
        Learned {
            kind: Kind::Mail,
            message_id,
            message_id_tag: name.as_ref().map(|name| vault.tag(purpose::MESSAGE_ID, name.as_bytes())),
            summary: Summary {
                from: self.mail.envelope.reverse_path.clone(),
                to: self.mail.envelope.forward_paths.clone(),
                message_id: name,
            }
            .seal(vault),
            size: self.mail.content.size(),
        }
    }
}
