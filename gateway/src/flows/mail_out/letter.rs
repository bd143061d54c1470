//! What all destinations of one mail share.

use bytes::Bytes;
use dccp::UnixMillis;
use dccp::mail::Mail;
use smtp::message::MessageFacts;
use smtp::server::{MailFrom, RcptTo, Role};

use super::MailOut;
use super::transaction::Transaction;
use crate::clock::system_time;
use crate::flows::bodies::{Edit, PutAway, PutAwayError};
use crate::flows::records::{Slip, queue_id_of};
use crate::flows::{envelope, forgeries};
use crate::spool::RowId;

/// What all destinations of one mail share.
pub(super) struct Letter {
    pub(super) queue_id: String,
    pub(super) arrived: UnixMillis,
    /// When it is given up.
    pub(super) expires: UnixMillis,
    /// As they came, without our trace header.
    pub(super) verbatim: Bytes,
    /// Our trace header in front, and what the client may not say left out.
    pub(super) edit: Edit,
    /// Our trace header and the octets: put away once, however many organisations it goes to.
    pub(super) octets: PutAway,
    /// Octets as they came.
    pub(super) size: u64,
    pub(super) slip_headers: String,
    pub(super) message_id: Option<String>,
}

impl Letter {
    /// Reads what is shared, and puts the octets away behind our trace header (RFC 5321 §4.4). What people and agents hand in
    /// goes on without fields that speak in our name.
    ///
    /// # Errors
    /// [`PutAwayError`].
    pub(super) async fn new(
        tx: &Transaction,
        octets: Bytes,
        facts: MessageFacts,
        house: &MailOut,
        (arrived, expires): (UnixMillis, UnixMillis),
    ) -> Result<Self, PutAwayError> {
        let queue_id = queue_id_of(RowId::fresh());
        let received = received(tx, &house.hostname, &queue_id, arrived);
        let (size, slip_headers) = (octets.len() as u64, Slip::headers_of(&octets, facts.header_len));
        let edit = match tx.client.role {
            // Our own people can write to each other: what only we may say must not be theirs to say either.
            Role::Submission => forgeries::left_out(&octets, &house.authserv_id),
            // Our mail server may pass on what we found out when the mail came.
            _ => Edit::none(&octets),
        };
        let edit = edit.behind(received);
        let put_away = house.bodies.put_away(edit.pieces(&octets)).await?;
        Ok(Self {
            queue_id,
            arrived,
            expires,
            verbatim: octets,
            edit,
            octets: put_away,
            size,
            slip_headers,
            message_id: facts.message_id,
        })
    }

    /// The mail for one group of recipients; the octets are shared, not copied.
    pub(super) fn mail(&self, from: &MailFrom, to: &[RcptTo]) -> Mail {
        Mail { envelope: envelope::taken(from, to), content: self.octets.content.clone() }
    }
}

/// Of a message that came for an alias the field tells the alias, never whom it comes to.
fn received(tx: &Transaction, hostname: &str, queue_id: &str, at: UnixMillis) -> String {
    let facts = smtp::trace::Received {
        from: &tx.client.hello,
        address: Some(tx.client.address.ip()),
        tls: tx.client.tls.as_ref(),
        by: hostname,
        with: tx.carrier,
        id: queue_id,
        recipients: &tx.named,
    };
    smtp::trace::received(&facts, system_time(at))
}
