//! The copy of an arrived mail that must be archived. It is durable before the mail is handed over: the hand-over cannot be
//! taken back, and a mail that must be archived must not be delivered without a copy.

use policies::Way;

use super::MailIn;
use super::attempt::Attempt;
use crate::archive::{Candidate, Facts, Leg};
use crate::flows::bodies::Edit;
use crate::flows::records::queue_id_of;
use crate::partners::Partner;
use crate::spool::Stage;

impl MailIn {
    /// Whether the mail may be handed over: what the archive must keep of it is kept. Each further attempt finds the copy of
    /// the first by the name of the row.
    pub(super) async fn archived(&self, work: &mut Attempt, partner: &Partner) -> bool {
        if !self.archivist.is_on() {
            return true;
        }
        let envelope = &work.mail.envelope;
        let leg = Leg {
            domain: partner.domain().to_owned(),
            partner: Some(partner.did().to_string()),
            steps: work.notes.iter().map(|note| note.reason.clone()).collect(),
        };
        let facts = Facts {
            queue_id: queue_id_of(work.leg.id),
            at_ms: work.leg.arrived.0,
            from: envelope.reverse_path.clone(),
            to: envelope.forward_paths.clone(),
            named: work.progress.expanded.iter().map(|expanded| expanded.alias.clone()).collect(),
            message_id: work.name(),
            legs: vec![leg],
            ..Facts::default()
        };
        let ways = vec![Way::In; facts.to.len()];
        // A partner's mail is kept as it came: with its trace, without ours.
        let octets = Edit::none(&work.octets).undone(&work.octets, &work.mail.content, work.octets.large());
        let candidate = Candidate { id: work.leg.id, facts, ways, octets };
        let kept = match self.archivist.copy(candidate) {
            Ok(None) => return true,
            Ok(Some(archived)) => {
                work.notes.push(archived.note);
                self.spool.archive(archived.copy).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = &kept {
            tracing::warn!(%error, queue_id = queue_id_of(work.leg.id), "an arrived mail waits because it cannot be archived");
            work.note((self.clock)(), Stage::Deferred, format!("its copy is not in the archive: {error}"));
        }
        kept.is_ok()
    }
}
