//! Mail that came by SMTP for our own people, on the rest of its way to our mail server: the same steps as for a partner's,
//! without a seal of somebody else's and without a receipt.

use dccp::UnixMillis;
use policies::Verdict;

use super::MailIn;
use super::agents::Origin;
use super::ask::{decide_foreign_mail, decide_foreign_recipient};
use super::attempt::{Attempt, Leg};
use crate::flows::bodies::Edit;
use crate::flows::words;
use crate::spool::{DueRow, Note, Partly, SpoolError, Stage, State, Waiting};

impl MailIn {
    /// One attempt at handing over a mail that waits sealed to ourselves.
    ///
    /// Who sent it was judged at the door, while there was somebody to say no to. What is asked again is what may have changed
    /// since: whether the recipients are still ours, and the rules.
    ///
    /// # Errors
    /// The spool's only.
    pub async fn deliver_foreign(&self, due: DueRow) -> Result<(), SpoolError> {
        let Some((mail, octets)) = self.bodies.fetch_own(self.custody.vault(), &due).await? else {
            return self.drop_unreadable(due).await;
        };
        let snapshot = self.knowledge.snapshot();
        let mut work = Attempt::new(Leg::of(&due), mail, octets);
        self.recall(&mut work, due.row.remaining.as_deref(), |mail, recipient| {
            decide_foreign_recipient(&snapshot, mail, recipient)
        });
        if !work.progress.pending.is_empty() {
            let recipients = work.progress.pending.len();
            let decision =
                decide_foreign_mail(&snapshot, &work.mail, recipients, self.size_max, work.leg.approved);
            work.note((self.clock)(), Stage::Decided, words(&decision));
            match decision.verdict {
                // The trace was prepended when it came in, while it was known where from.
                Verdict::Allow(permit) => {
                    let edit = Edit::none(&work.octets);
                    let origin = Origin::clear(work.leg.id.0);
                    self.hand_over(permit, origin, &edit, &mut work).await;
                }
                Verdict::Hold => return self.hold(work, None).await,
                Verdict::Refuse(refusal) => work.fail_pending(&refusal.enhanced, &refusal.text),
            }
        }
        let now = (self.clock)();
        if !work.goes_on(now) {
            let state = self.finish(&mut work, now);
            return self.settle_foreign(work, state, now).await;
        }
        let waiting = Waiting { row: due.row, slip: due.slip };
        let untold = work.progress.untold();
        let report = self.receipts.reporter.told(&waiting, &untold, &mut work.notes, now);
        work.progress.tell();
        let partly = Partly { report, ..work.partly(self.custody.vault()) };
        self.try_again(work, partly, now).await
    }

    /// The end, with a report to the sender if something failed and it is certain enough who that is.
    ///
    /// A report to a forged sender is spam that we send in somebody else's name (RFC 3834 §2, RFC 5321 §6.2): where neither SPF
    /// nor DKIM stood for the sender, the row has no slip, and the journal alone keeps what became of the mail. Most of what
    /// can fail was refused at the door, where the client at the other end learned of it.
    async fn settle_foreign(
        &self,
        mut work: Attempt,
        state: State,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let Some(waiting) = self.spool.waiting(work.leg.id).await? else { return Ok(()) };
        if state != State::Delivered && waiting.slip.is_none() {
            let why = "told nobody: there is no sender, or it is not certain that the mail is the sender's";
            work.notes.push(Note::new(now, Stage::Failed, why));
        }
        let outcomes = work.progress.untold();
        let settlement = self.receipts.reporter.settlement(&waiting, state, &outcomes, work.notes, now);
        self.spool.settle(settlement).await?;
        Ok(())
    }
}

impl Leg {
    pub(super) fn of(due: &DueRow) -> Self {
        let row = &due.row;
        Self {
            id: row.id,
            attempts: row.attempts,
            arrived: row.accepted_at,
            expires: row.expires_at,
            approved: row.approved_by.is_some(),
        }
    }
}
