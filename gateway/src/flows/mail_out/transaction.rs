//! One mail between `MAIL FROM` and the final `250`, and what the judge is asked about it.

use std::collections::BTreeSet;

use dccp::address::canonical;
use policies::{Client, Decision, Demand, MailFacts, Marks, Permit, RecipientFacts, Role};
use smtp::address::Address;
use smtp::server::{self, MailFrom, RcptTo};

use super::place::{Group, Place, Recipient};
use super::sender_standing;
use crate::flows::Snapshot;
use crate::flows::marks::{Marking, both};

/// One mail between `MAIL FROM` and the final `250`.
pub struct Transaction {
    pub(super) snapshot: Snapshot,
    pub(super) client: server::Client,
    pub(super) from: MailFrom,
    /// What carried the mail to us, for the trace.
    pub(super) carrier: &'static str,
    /// The reverse-path is one of the user's own addresses.
    pub(super) owns_sender: bool,
    /// The From field names the user alone, or nobody asks.
    pub(super) owns_from: bool,
    /// As the client named them: what a trace field may tell.
    pub(super) named: Vec<Address>,
    /// Aliases for several, whose sender wants to hear of success.
    pub(super) expanded: Vec<RcptTo>,
    /// Whom they come to, each once.
    pub(super) recipients: Vec<Recipient>,
    /// In one spelling, to know whom the mail goes to already.
    pub(super) seen: BTreeSet<String>,
}

/// What the configuration says about clear text.
#[derive(Clone, Copy)]
pub(super) struct Law<'a> {
    pub(super) marking: &'a Marking,
    pub(super) outside: Option<Demand>,
    pub(super) size_max: u64,
}

impl Transaction {
    pub(super) fn new(snapshot: Snapshot, client: server::Client, from: MailFrom, owns_sender: bool) -> Self {
        let (named, expanded) = (Vec::new(), Vec::new());
        let (recipients, seen) = (Vec::new(), BTreeSet::new());
        let carrier = smtp::trace::protocol(&client, from.smtputf8);
        Self {
            snapshot,
            client,
            from,
            carrier,
            owns_sender,
            owns_from: true,
            named,
            expanded,
            recipients,
            seen,
        }
    }

    /// Of a mail whose From field was looked at.
    pub(in crate::flows) fn authored(self, owns_from: bool) -> Self {
        Self { owns_from, ..self }
    }

    /// Of a mail that came by something else than SMTP.
    pub(in crate::flows) fn carried_by(self, carrier: &'static str) -> Self {
        Self { carrier, ..self }
    }

    /// Takes a recipient in, unless it is there already.
    pub(super) fn add(&mut self, recipient: Recipient) {
        if self.seen.insert(canonical(recipient.to.address.as_str())) {
            self.recipients.push(recipient);
        }
    }

    pub(super) fn decide_recipient(&self, to: &Address, place: &Place, law: Law<'_>) -> Decision<()> {
        let sender = self.from.reverse_path.as_str();
        policies::decide_recipient(
            &self.snapshot.rules,
            &RecipientFacts {
                direction: place.direction(),
                sender,
                sender_standing: sender_standing(&self.snapshot, sender),
                recipient: to.as_str(),
                recipient_domain: to.domain(),
                destination: place.destination(&self.snapshot),
                client: self.client(),
                marks: self.marks(law, to.domain()),
                outside: law.outside,
            },
        )
    }

    /// `asked` is what the message itself asks for.
    pub(super) fn decide_mail(
        &self,
        (size, content_type): (u64, &str),
        group: &Group,
        asked: Marks,
        law: Law<'_>,
    ) -> Decision<Permit> {
        let sender = self.from.reverse_path.as_str();
        let of_domains = group.recipients.iter().map(|to| self.marks(law, to.address.domain()));
        policies::decide_mail(
            &self.snapshot.rules,
            &MailFacts {
                direction: group.place.direction(),
                sender,
                sender_standing: sender_standing(&self.snapshot, sender),
                destination: group.place.destination(&self.snapshot),
                client: self.client(),
                marks: of_domains.fold(asked, both),
                // A report is not lost for want of it (RFC 8689 §5).
                require_tls: self.from.require_tls && !sender.is_empty(),
                outside: law.outside,
                authenticity: None,
                recipients: group.recipients.len(),
                size,
                size_max: law.size_max,
                content_type,
                owns_from: self.owns_from,
                approved: false,
            },
        )
    }

    fn marks(&self, law: Law<'_>, recipient_domain: &str) -> Marks {
        let sender = self.from.reverse_path.as_str();
        law.marking.of_domains(sender.rsplit_once('@').map_or("", |(_, domain)| domain), recipient_domain)
    }

    fn client(&self) -> Client<'_> {
        let role = match self.client.role {
            server::Role::Relay => Role::Relay,
            server::Role::Submission => Role::Submission,
            server::Role::Mx => Role::Mx,
        };
        Client {
            role,
            trusted: self.client.trusted || self.client.certificate.is_some(),
            user: self.client.user.as_deref(),
            owns_sender: self.owns_sender,
            tls: self.client.tls.is_some(),
        }
    }
}
