//! Recognise and decide for mail that comes in: whose sender, whose recipients, and what the judge says.

use dccp::mail::Mail;
use federation::Recognition;
use policies::{
    Client, Decision, Destination, Direction as Way, MailFacts, Marks, Permit, RecipientFacts, SenderStanding,
};

use crate::flows::Snapshot;
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

pub(super) fn decide_recipient(
    snapshot: &Snapshot,
    partner: &Partner,
    mail: &Mail,
    recipient: &str,
) -> Decision<()> {
    let destination = match snapshot.directory.recognise(recipient) {
        Recognition::Ours(_) => Destination::Ours,
        _ => Destination::Unknown,
    };
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
            size: mail.octets.len() as u64,
            size_max,
            content_type: "",
        },
    )
}
