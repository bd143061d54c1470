//! Recognise and decide for mail that comes in: whose sender, whose recipients, and what the judge says.

use dccp::mail::Mail;
use federation::Recognition;
use policies::{
    Client, Decision, Destination, Direction as Way, MailFacts, Marks, Permit, RecipientFacts, Role,
    SenderStanding,
};

use crate::flows::Snapshot;
use crate::flows::mail_home::foreign_standing;
use crate::partners::Partner;

fn sender_standing(snapshot: &Snapshot, partner: &Partner, reverse_path: &str) -> SenderStanding {
    match snapshot.directory.recognise(reverse_path) {
        Recognition::Null => SenderStanding::Null,
        Recognition::Ours(_) => SenderStanding::Ours,
        Recognition::NotOurs => {
            let domain = reverse_path.rsplit_once('@').map_or("", |(_, domain)| domain);
            if partner.owns(domain) { SenderStanding::ThePartner } else { SenderStanding::Foreign }
        }
    }
}

/// Asks again about a recipient of a mail that came by SMTP for our own people.
pub(super) fn decide_foreign_recipient(snapshot: &Snapshot, mail: &Mail, recipient: &str) -> Decision<()> {
    let sender = &mail.envelope.reverse_path;
    policies::decide_recipient(
        &snapshot.rules,
        &RecipientFacts {
            direction: Way::FromOutside,
            sender,
            sender_standing: foreign_standing(snapshot, sender),
            recipient,
            recipient_domain: recipient.rsplit_once('@').map_or("", |(_, domain)| domain),
            destination: destination(snapshot, recipient),
            client: BELIEVED,
            marks: Marks::default(),
            outside: None,
        },
    )
}

/// Asks again about such a mail as a whole.
pub(super) fn decide_foreign_mail(
    snapshot: &Snapshot,
    mail: &Mail,
    recipients: usize,
    size_max: u64,
    approved: bool,
) -> Decision<Permit> {
    let sender = &mail.envelope.reverse_path;
    policies::decide_mail(
        &snapshot.rules,
        &MailFacts {
            direction: Way::FromOutside,
            sender,
            sender_standing: foreign_standing(snapshot, sender),
            destination: Destination::Ours,
            client: BELIEVED,
            marks: Marks::default(),
            require_tls: false,
            outside: None,
            authenticity: None,
            recipients,
            size: mail.content.size(),
            size_max,
            content_type: "",
            owns_from: true,
            approved,
        },
    )
}

/// Whoever brought the mail was believed then; here it counts as the one of whom least is expected.
const BELIEVED: Client<'static> = Client { role: Role::Mx, ..Client::NOBODY };

fn destination(snapshot: &Snapshot, recipient: &str) -> Destination<'static> {
    match snapshot.directory.recognise(recipient) {
        Recognition::Ours(_) => Destination::Ours,
        _ => Destination::Unknown,
    }
}

pub(super) fn decide_recipient(
    snapshot: &Snapshot,
    partner: &Partner,
    mail: &Mail,
    recipient: &str,
) -> Decision<()> {
    let destination = destination(snapshot, recipient);
    policies::decide_recipient(
        &snapshot.rules,
        &RecipientFacts {
            direction: Way::Inbound,
            sender: &mail.envelope.reverse_path,
            sender_standing: sender_standing(snapshot, partner, &mail.envelope.reverse_path),
            recipient,
            recipient_domain: recipient.rsplit_once('@').map_or("", |(_, domain)| domain),
            destination,
            client: Client::NOBODY,
            marks: Marks::default(),
            outside: None,
        },
    )
}

pub(super) fn decide_mail(
    snapshot: &Snapshot,
    partner: &Partner,
    mail: &Mail,
    recipients: usize,
    size_max: u64,
    approved: bool,
) -> Decision<Permit> {
    policies::decide_mail(
        &snapshot.rules,
        &MailFacts {
            direction: Way::Inbound,
            sender: &mail.envelope.reverse_path,
            sender_standing: sender_standing(snapshot, partner, &mail.envelope.reverse_path),
            destination: Destination::Ours,
            client: Client::NOBODY,
            marks: Marks::default(),
            require_tls: false,
            outside: None,
            authenticity: None,
            recipients,
            size: mail.content.size(),
            size_max,
            content_type: "",
            owns_from: true,
            approved,
        },
    )
}
