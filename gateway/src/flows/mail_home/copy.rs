//! The copy of a mail from outside that must be archived.

use policies::Way;
use smtp::message::MessageFacts;
use smtp::reply::Reply;

use super::{MailHome, Transaction};
use crate::archive::{Archived, Candidate, Facts, Leg, client_words};
use crate::flows::replies;
use crate::spool::NewRow;

impl MailHome {
    /// What the archive must keep of this mail. Without it nothing is accepted.
    pub(super) fn copy(
        &self,
        tx: &Transaction,
        octets: &[u8],
        facts: &MessageFacts,
        leg: Leg,
        row: &NewRow,
    ) -> Result<Option<Archived>, Reply> {
        let to: Vec<String> = tx.recipients.iter().map(|to| to.address.to_string()).collect();
        let ways = vec![Way::In; to.len()];
        let facts = Facts {
            queue_id: row.queue_id.clone(),
            at_ms: row.now.0,
            from: tx.from.reverse_path.to_string(),
            to,
            message_id: facts.message_id.clone(),
            client: client_words(&tx.client),
            legs: vec![leg],
            ..Facts::default()
        };
        self.archivist.copy(Candidate { id: row.id, facts, ways, octets }).map_err(|error| {
            tracing::error!(%error, "a mail that must be archived could not be; the client was told to try again");
            self.turn_away("archive", replies::not_ready())
        })
    }
}
