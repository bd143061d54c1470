//! Reports of our own on their way to our own mail server, or to the agent whose mail failed.

use bytes::Bytes;
use smtp::client::{HandedOver, Outcome};

use super::MailIn;
use super::attempt::{Attempt, Leg};
use crate::flows::envelope;
use crate::flows::records::purpose;
use crate::spool::{DueRow, Note, Settlement, SpoolError, Stage, State};

impl MailIn {
    /// A report of ours (vault-sealed) goes to our mail server like any mail; if that fails for good there is nobody
    /// left to tell (RFC 5321 §6.1), and the journal keeps the reason.
    pub async fn deliver_own(&self, due: DueRow) -> Result<(), SpoolError> {
        let vault = self.custody.vault();
        let now = (self.clock)();
        let Some((mail, octets)) = self.bodies.fetch_own(vault, &due).await? else {
            return self.drop_unreadable(due).await;
        };
        if mail.envelope.forward_paths.iter().any(|to| self.agents.own(to)) {
            let mut work = Attempt::new(Leg::of(&due), mail, octets);
            work.progress.pending = work.mail.envelope.forward_paths.clone();
            return self.report_to_agent(due, work).await;
        }
        let envelope = envelope::handed_over(&mail.envelope, &mail.envelope.forward_paths);
        let given_up = now >= due.row.expires_at;
        let (state, words) = match self.pool.hand_over(&envelope, &[Bytes::clone(&octets)]).await {
            Ok(HandedOver { outcomes, .. }) if !given_up && outcomes.iter().any(Outcome::is_temporary) => {
                (None, words_of(&outcomes))
            }
            Ok(HandedOver { outcomes, .. }) if outcomes.iter().all(Outcome::is_delivered) => {
                (Some(State::Delivered), words_of(&outcomes))
            }
            Ok(HandedOver { outcomes, .. }) => (Some(State::Failed), words_of(&outcomes)),
            Err(error) if given_up || error.is_permanent() => (Some(State::Failed), error.to_string()),
            Err(error) => (None, error.to_string()),
        };
        let detail = vault.seal(purpose::NOTE, words.as_bytes());
        match state {
            Some(state) => {
                let stage = if state == State::Delivered { Stage::Delivered } else { Stage::Failed };
                let note = Note::new(now, stage, "report to our mail server").with_sealed(detail);
                self.spool.settle(Settlement::plain(due.row.id, state, vec![note])).await?;
            }
            None => {
                let note = Note::new(now, Stage::Deferred, "our mail server did not take the report")
                    .with_sealed(detail);
                let next = self.schedule.next(due.row.attempts + 1, now, due.row.expires_at, rand::random());
                self.spool.defer(due.row.id, next, vec![note]).await?;
            }
        }
        Ok(())
    }

    /// A row of ours that the disk gave back changed: nothing can be delivered from it. The journal says so, loudly.
    pub async fn drop_unreadable(&self, due: DueRow) -> Result<(), SpoolError> {
        tracing::error!(row = %due.row.id, "a stored message is not readable any more; it cannot be delivered");
        let note = Note::new((self.clock)(), Stage::Failed, "the stored form is not readable".to_owned());
        self.spool.settle(Settlement::plain(due.row.id, State::Failed, vec![note])).await?;
        Ok(())
    }
}

/// What a mail server said, for the journal.
fn words_of(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(|o| format!("{}: {}", o.recipient, o.reply)).collect::<Vec<_>>().join("; ")
}
