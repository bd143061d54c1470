//! What all destinations of one mail share.

use bytes::{Bytes, BytesMut};
use dccp::UnixMillis;
use dccp::mail::{self, Mail, MailEnvelope, Return, Wish};
use smtp::dsn::{Notify, Ret};
use smtp::message::MessageFacts;
use smtp::server::{MailFrom, RcptTo};

use super::transaction::Transaction;
use crate::clock::system_time;
use crate::flows::records::Slip;

/// What all destinations of one mail share.
pub(super) struct Letter {
    pub(super) queue_id: String,
    pub(super) arrived: UnixMillis,
    /// When it is given up.
    pub(super) expires: UnixMillis,
    /// Our trace header and the octets as they came: one buffer, however many organisations it goes to.
    octets: Bytes,
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
            size: octets.len() as u64,
            slip_headers: Slip::headers_of(octets, facts.header_len),
            message_id: facts.message_id,
            content_type: facts.content_type,
        }
    }

    /// The mail for one group of recipients; the octets are shared, not copied.
    pub(super) fn mail(&self, from: &MailFrom, to: &[RcptTo]) -> Mail {
        let wishes: Vec<Wish> = to.iter().map(wish).collect();
        let said = wishes.iter().any(|wish| *wish != Wish::default());
        Mail {
            envelope: MailEnvelope {
                reverse_path: from.reverse_path.to_string(),
                forward_paths: to.iter().map(|to| to.address.to_string()).collect(),
                body_8bit: from.body_8bit,
                smtputf8: from.smtputf8,
                require_tls: from.require_tls,
                returns: from.ret.map(returns),
                envelope_id: from.envid.clone().filter(|id| !id.is_empty()),
                wishes: if said { wishes } else { Vec::new() },
            },
            octets: self.octets.clone(),
        }
    }
}

/// Of a message that came for an alias the field tells the alias, never whom it comes to.
fn received(tx: &Transaction, hostname: &str, queue_id: &str, at: UnixMillis) -> String {
    let facts = smtp::trace::Received {
        from: &tx.client.hello,
        address: Some(tx.client.address.ip()),
        tls: tx.client.tls.as_ref(),
        by: hostname,
        with: smtp::trace::protocol(&tx.client, tx.from.smtputf8),
        id: queue_id,
        recipients: &tx.named,
    };
    smtp::trace::received(&facts, system_time(at))
}

fn returns(ret: Ret) -> Return {
    match ret {
        Ret::Full => Return::Full,
        Ret::Headers => Return::Headers,
    }
}

/// What the client asked to be told, as it travels (RFC 3461).
fn wish(to: &RcptTo) -> Wish {
    let notify = match to.notify {
        Notify::Unspecified => mail::Notify::Unspecified,
        Notify::Never => mail::Notify::Never,
        Notify::On { success, failure, delay } => mail::Notify::On { success, failure, delay },
    };
    let original = to.orcpt.as_ref().map(|original| mail::OriginalRecipient {
        kind: original.kind.clone(),
        address: original.address.clone(),
    });
    Wish { notify, original }
}
