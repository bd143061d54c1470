//! Release: a mail that was held before it was sealed (its partner's identity was in doubt) is decided anew and sealed.
//!
//! The clear mail existed on disk only sealed to ourselves; here it is opened, and goes the way of `mail_out` from
//! *decide* on. While the doubt lasts the answer is *hold* again, and nothing moves; what a rule held and a person released goes.

use dccp::limits::INLINE_BYTES_MAX;
use dccp::mail::{Content, Mail};
use dccp::receipt::{Action, Outcome};
use policies::Verdict;

use crate::clock::Clock;
use crate::courier;
use crate::flows::bodies::{self, Bodies, PutAway, PutAwayError};
use crate::flows::mail_out::decide_held;
use crate::flows::report::Reporter;
use crate::flows::sealing::Sealer;
use crate::flows::{Knowledge, words};
use crate::spool::{DueRow, Kind, Note, Spool, SpoolError, Stage, State};

/// Seals what was held.
#[derive(Clone)]
pub struct Release {
    /// Partners and rules of now.
    pub knowledge: Knowledge,
    /// Opens and signs.
    pub sealer: Sealer,
    /// Tells the sender when the answer became no.
    pub reporter: Reporter,
    /// Where it waits.
    pub spool: Spool,
    /// Puts octets away.
    pub bodies: Bodies,
    /// Largest mail in octets.
    pub size_max: u64,
    /// Time.
    pub clock: Clock,
}

impl Release {
    /// The sealed form of a released mail, kept durably in place of the held one; `None` when it is held again,
    /// refused (and reported), or not readable.
    ///
    /// # Errors
    /// The spool's; the row then waits for the next attempt.
    pub async fn seal(&self, due: DueRow) -> Result<Option<courier::Item>, SpoolError> {
        let id = due.row.id;
        let Some(mut mail) = bodies::own(self.sealer.custody.vault(), &due) else {
            return self.refuse(due, "5.3.0", "the held mail is not readable any more").await;
        };
        let snapshot = self.knowledge.snapshot();
        let did = due.row.partner.as_deref().and_then(|did| did.parse().ok());
        let Some(partner) = did.and_then(|did| snapshot.partners.by_did(&did)) else {
            return self.refuse(due, "5.7.1", "the organisation is not a partner any more").await;
        };
        let decision = decide_held(&snapshot, partner, &mail, self.size_max, due.row.approved_by.is_some());
        let decided = Note::new((self.clock)(), Stage::Decided, words(&decision));
        match decision.verdict {
            Verdict::Hold => {
                self.spool.hold(id, None, vec![decided]).await?;
                Ok(None)
            }
            Verdict::Refuse(refusal) => self.refuse(due, &refusal.enhanced, &refusal.text).await,
            Verdict::Allow(permit) => {
                let beside = match self.beside(&mut mail).await {
                    Err(PutAwayError::Spool(error)) => return Err(error),
                    Err(PutAwayError::Body(error)) => {
                        return self.refuse(due, "5.3.4", &error.to_string()).await;
                    }
                    Ok(beside) => beside,
                };
                let fresh = beside.as_ref().and_then(|beside| beside.large);
                match self.sealer.mail(permit, id, &mail, partner, due.row.expires_at).await {
                    Ok((sealed, note)) => {
                        self.spool
                            .reseal(id, sealed.bytes().clone(), sealed.digest(), fresh, vec![decided, note])
                            .await?;
                        let to = partner.did().clone();
                        let (accepted, expires) = (due.row.accepted_at, due.row.expires_at);
                        Ok(Some(courier::Item {
                            id,
                            to,
                            kind: Kind::Mail,
                            accepted,
                            expires,
                            attempts: 0,
                            sealed,
                            large: fresh.or(due.row.large),
                        }))
                    }
                    Err(error) => self.refuse(due, "5.3.0", &error.to_string()).await,
                }
            }
        }
    }

    /// A mail that an older gateway held has all its octets in its row. Many are put beside it, because they travel so.
    async fn beside(&self, mail: &mut Mail) -> Result<Option<PutAway>, PutAwayError> {
        let Content::Inline(octets) = &mail.content else { return Ok(None) };
        if octets.len() <= INLINE_BYTES_MAX {
            return Ok(None);
        }
        let put_away = self.bodies.put_away(vec![octets.clone()]).await?;
        mail.content = put_away.content.clone();
        Ok(Some(put_away))
    }

    async fn refuse(
        &self,
        due: DueRow,
        status: &str,
        why: &str,
    ) -> Result<Option<courier::Item>, SpoolError> {
        let outcome = Outcome {
            recipient: String::new(),
            action: Action::Failed,
            status: status.to_owned(),
            diagnostic: why.to_owned(),
        };
        self.reporter.end(due.row.id, State::Failed, outcome, (self.clock)()).await?;
        Ok(None)
    }
}
