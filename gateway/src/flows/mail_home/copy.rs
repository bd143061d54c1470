//! The copy of a mail from outside that must be archived.

use policies::Way;
use smtp::reply::Reply;

use super::commit::Letter;
use super::{MailHome, Transaction};
use crate::archive::{Archived, Candidate, Facts, Leg, client_words};
use crate::flows::bodies::Stored;
use crate::flows::replies;
use crate::spool::RowId;

impl MailHome {
    /// What the archive must keep of this mail. Without it nothing is accepted.
    pub(super) fn copy(
        &self,
        tx: &Transaction,
        letter: &Letter<'_>,
        octets: Stored<'_>,
        queue_id: &str,
        leg: Leg,
    ) -> Result<Option<Archived>, Reply> {
        let to: Vec<String> = tx.recipients.iter().map(|to| to.address.to_string()).collect();
        let ways = vec![Way::In; to.len()];
        let facts = Facts {
            queue_id: queue_id.to_owned(),
            at_ms: letter.arrived.0,
            from: tx.from.reverse_path.to_string(),
            to,
            message_id: letter.facts.message_id.clone(),
            client: client_words(&tx.client),
            legs: vec![leg],
            ..Facts::default()
        };
        let candidate = Candidate { id: RowId::fresh(), facts, ways, octets };
        self.archivist.copy(candidate).map_err(|error| {
            tracing::error!(%error, "a mail that must be archived could not be; the client was told to try again");
            self.turn_away("archive", replies::not_ready())
        })
    }
}
