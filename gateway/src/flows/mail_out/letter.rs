//! What all destinations of one mail share.

use bytes::{Bytes, BytesMut};
use dccp::UnixMillis;
use dccp::mail::{Content, Mail};
use smtp::message::MessageFacts;
use smtp::server::{MailFrom, RcptTo};

use super::transaction::Transaction;
use crate::clock::system_time;
use crate::flows::envelope;
use crate::flows::records::Slip;

/// What all destinations of one mail share.
pub(super) struct Letter {
    pub(super) queue_id: String,
    pub(super) arrived: UnixMillis,
    /// When it is given up.
    pub(super) expires: UnixMillis,
    /// Our trace header and the octets as they came: one buffer, however many organisations it goes to.
    octets: Bytes,
    /// Octets of our trace header.
    trace_bytes: usize,
    /// Octets as they came.
    pub(super) size: u64,
    pub(super) slip_headers: String,
    pub(super) message_id: Option<String>,
    pub(super) content_type: String,
}

impl Letter {
    /// Reads what is shared, and prepends our trace header (RFC 5321 §4.4).
    pub(super) fn new(
        tx: &Transaction,
        octets: &[u8],
        facts: MessageFacts,
        hostname: &str,
        queue_id: String,
        (arrived, expires): (UnixMillis, UnixMillis),
    ) -> Self {
        let received = received(tx, hostname, &queue_id, arrived);
        let mut whole = BytesMut::with_capacity(received.len() + octets.len());
        whole.extend_from_slice(received.as_bytes());
        whole.extend_from_slice(octets);
        Self {
            queue_id,
            arrived,
            expires,
            octets: whole.freeze(),
            trace_bytes: received.len(),
            size: octets.len() as u64,
            slip_headers: Slip::headers_of(octets, facts.header_len),
            message_id: facts.message_id,
            content_type: facts.content_type,
        }
    }

    /// As it came, without our trace header.
    pub(super) fn verbatim(&self) -> &[u8] {
        self.octets.get(self.trace_bytes..).unwrap_or_default()
    }

    /// The mail for one group of recipients; the octets are shared, not copied.
    pub(super) fn mail(&self, from: &MailFrom, to: &[RcptTo]) -> Mail {
        Mail { envelope: envelope::taken(from, to), content: Content::Inline(self.octets.clone()) }
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
