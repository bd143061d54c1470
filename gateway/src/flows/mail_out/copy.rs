//! The copy of a mail that must be archived: one, with every recipient, whatever rows it becomes.

use policies::Way;
use smtp::reply::Reply;

use super::MailOut;
use super::letter::Letter;
use super::place::Place;
use super::rows::Kept;
use super::transaction::Transaction;
use crate::archive::{Archived, Candidate, Facts, Leg, client_words};
use crate::flows::bodies::PutAway;
use crate::flows::replies;
use crate::spool::RowId;

impl MailOut {
    /// What the archive must keep of this mail. Without it nothing is accepted.
    pub(super) fn copy(
        &self,
        tx: &Transaction,
        letter: &Letter,
        kept: &[Kept],
    ) -> Result<Option<Archived>, Reply> {
        let leg = |kept: &Kept| Leg {
            domain: kept.row.partner_domain.clone(),
            partner: kept.row.partner.clone(),
            steps: kept.notes.iter().map(|note| note.reason.clone()).collect(),
        };
        let way = |place: &Place| if *place == Place::Ours { Way::Inside } else { Way::Out };
        let facts = Facts {
            queue_id: letter.queue_id.clone(),
            at_ms: letter.arrived.0,
            from: tx.from.reverse_path.to_string(),
            to: tx.recipients.iter().map(|recipient| recipient.to.address.to_string()).collect(),
            named: tx.named.iter().map(ToString::to_string).collect(),
            message_id: letter.message_id.clone(),
            client: client_words(&tx.client),
            legs: kept.iter().map(leg).collect(),
            ..Facts::default()
        };
        let PutAway { content, large, .. } = &letter.octets;
        let octets = letter.edit.undone(&letter.verbatim, content, *large);
        let ways = tx.recipients.iter().map(|recipient| way(&recipient.place)).collect();
        let candidate = Candidate { id: RowId::fresh(), facts, ways, octets };
        self.archivist.copy(candidate).map_err(|error| {
            tracing::error!(%error, "a mail that must be archived could not be; the client was told to try again");
            self.turn_away("archive", replies::not_ready())
        })
    }
}
