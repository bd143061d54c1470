//! What the judge is asked before an attempt.

use policies::{Client, Decision, Destination, Direction, MailFacts, Permit};

use super::Relay;
use super::work::Work;
use crate::flows::Snapshot;
use crate::flows::mail_out::sender_standing;
use crate::flows::marks::both;

impl Relay {
    /// May this mail leave now? Its client was believed when it was accepted; everything else is asked anew.
    pub(super) fn decide(&self, snapshot: &Snapshot, work: &Work) -> Decision<Permit> {
        let domain = &work.due.row.partner_domain;
        let sender = &work.mail.envelope.reverse_path;
        let sender_domain = sender.rsplit_once('@').map_or("", |(_, domain)| domain);
        let marks =
            both(self.marking.of_domains(sender_domain, domain), self.marking.of_message(&work.octets));
        let partner = snapshot.partners.by_domain(domain);
        policies::decide_mail(
            &snapshot.rules,
            &MailFacts {
                direction: Direction::Outbound,
                sender,
                sender_standing: sender_standing(snapshot, sender),
                destination: partner.map_or(Destination::Outside { domain }, |partner| partner.destination()),
                client: Client::BELIEVED,
                marks,
                // A report is not lost for want of it (RFC 8689 §5).
                require_tls: work.mail.envelope.require_tls && !sender.is_empty(),
                outside: self.outside,
                authenticity: None,
                recipients: work.progress.pending.len(),
                size: work.mail.content.size(),
                size_max: self.size_max,
                content_type: "",
                owns_from: true,
                approved: work.due.row.approved_by.is_some(),
            },
        )
    }
}
