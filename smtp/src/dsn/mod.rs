//! Delivery status notifications: what a sender reads when a message could not be delivered, or not yet, or when it
//! was and the sender asked to know.
//!
//! A report is `multipart/report` (RFC 6522) of three parts: words for the person (`human`), fields for the
//! mail client (`message/delivery-status`, RFC 3464; `status`), and the header of the original
//! (`text/rfc822-headers`; `original`), never its body.
//!
//! Invariants: CRLF line ends only; printable ASCII, except in `To` when the sender's own address is not
//! ASCII (then the report itself needs SMTPUTF8); no value given from outside starts a new field, line or
//! part. The envelope is the caller's, and its reverse path is null (RFC 5321 §4.5.5); that there is someone
//! to report to is why the sender is an [`Address`] and not a reverse path.

mod human;
mod original;
mod request;
mod status;
mod text;
mod xtext;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::SystemTime,
};

use bytes::Bytes;

pub use self::request::{
    ADDRESS_TYPE_CHARS_MAX, ENVID_CHARACTERS_MAX, NotARequest, Notify, ORCPT_OCTETS_MAX, OriginalRecipient,
    Ret, envid, envid_value,
};
pub(crate) use self::xtext::decode as decode_xtext;
use crate::{address::Address, reply::Enhanced};
use original::Original;
use text::{Encoding, date, one_ascii_line};

pub(crate) use text::quoted_printable;

/// Our own host name is from the configuration; this bounds it in the report all the same.
const HOST_CHARS_MAX: usize = 255;

/// What a report is about.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Host name of the reporting gateway.
    pub reporting_mta: &'a str,
    /// Unique on this host, for example a queue id; becomes the left side of the report's Message-ID.
    pub report_id: &'a str,
    /// When the original was accepted from its sender.
    pub arrival: SystemTime,
    /// When the report is written.
    pub now: SystemTime,
    /// To whom it goes.
    pub original_sender: &'a Address,
    /// ENVID of the original, if it had one (RFC 3461 §4.4).
    pub original_envelope_id: Option<&'a str>,
    /// The recipients reported about, in the order they should be read.
    pub recipients: &'a [RecipientReport],
    /// The original from its first octet, with or without what follows the header.
    pub original_headers: &'a [u8],
}

/// What happened for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientReport {
    /// The forward path. May come from the other organisation, so nothing about it is taken for granted.
    pub recipient: String,
    /// Given up, or still trying.
    pub action: Action,
    /// RFC 3463.
    pub status: Enhanced,
    /// The mail server that said `diagnostic`, if one did.
    pub remote_mta: Option<String>,
    /// Why, in the words of whoever decided.
    pub diagnostic: Option<Diagnostic>,
    /// When delivery was last tried.
    pub last_attempt: Option<SystemTime>,
    /// The recipient as the sender first wrote it (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
}

/// RFC 3464 §2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not delivered yet.
    Delayed {
        /// When it will be given up.
        will_retry_until: SystemTime,
    },
    /// In the recipient's mail system.
    Delivered,
    /// Handed on to a mail system that makes no reports of its own: no more will be heard of it.
    Relayed,
    /// An alias that stands for several: sent to each of them, about whose success nobody will be told.
    Expanded,
}

/// Whose words a diagnostic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnostic {
    /// The reply of a mail server, on one line.
    Smtp(String),
    /// Our own finding, for people who run the gateway.
    Local(String),
}

/// Composes the report: a complete RFC 5322 message.
#[must_use]
pub fn compose(report: &Report<'_>) -> Bytes {
    let original = Original::read(report.original_headers);
    let parts = [human::part(report, &original), status::part(report), original.part()];
    let boundary = boundary(&parts);
    let mut message = header(report, &original, &boundary);
    message.push_str("This is a message in MIME format: a report about the delivery of a message.\r\n");
    for part in &parts {
        message.push_str(&format!("\r\n--{boundary}\r\n"));
        message.push_str(part.content_type);
        message.push_str("\r\n");
        message.push_str(part.encoding.header());
        message.push_str("\r\n");
        message.push_str(&part.content);
    }
    message.push_str(&format!("\r\n--{boundary}--\r\n"));
    message.into()
}

/// One body part: fixed content type, encoded content ending in CRLF.
struct Part {
    content_type: &'static str,
    encoding: Encoding,
    content: String,
}

fn header(report: &Report<'_>, original: &Original, boundary: &str) -> String {
    let host = one_ascii_line(report.reporting_mta, HOST_CHARS_MAX);
    let any =
        |wanted: fn(&Action) -> bool| report.recipients.iter().any(|recipient| wanted(&recipient.action));
    let subject = match () {
        () if any(|action| *action == Action::Failed) => "Your message could not be delivered",
        () if any(|action| matches!(action, Action::Delayed { .. })) => "Your message is delayed",
        () if any(|action| *action == Action::Delivered) => "Your message was delivered",
        () => "Your message was handed on",
    };
    let mut header = format!("From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n");
    header += &format!("To: <{}>\r\n", report.original_sender);
    header += &format!("Subject: {subject}\r\n");
    header += &format!("Date: {}\r\n", date(report.now));
    header += &format!("Message-ID: <{}@{host}>\r\n", token(report.report_id));
    // RFC 3834 §3.1.5: mail clients show the report beside the message that it is about.
    if let Some(id) = &original.message_id {
        header += &format!("In-Reply-To: <{id}>\r\nReferences: <{id}>\r\n");
    }
    // RFC 3834 §5: no automatic answer to an automatic answer.
    header += "Auto-Submitted: auto-replied\r\n";
    header += "MIME-Version: 1.0\r\n";
    header += &format!(
        "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n"
    );
    header + "\r\n"
}

/// The characters that may stand in the left side of a Message-ID without quotes (a conservative subset).
fn token(id: &str) -> String {
    id.chars()
        .filter(|character| character.is_ascii_alphanumeric() || "-_.".contains(*character))
        .take(64)
        .collect()
}

/// A boundary that depends on all parts, so that no part can be written to contain it.
fn boundary(parts: &[Part]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.iter().for_each(|part| part.content.hash(&mut hasher));
    boundary_from(hasher.finish(), parts)
}

/// The first candidate that occurs in none of the parts, should one do so by chance.
fn boundary_from(mut candidate: u64, parts: &[Part]) -> String {
    loop {
        // "=_" never occurs in quoted-printable (RFC 2045 §6.7).
        let boundary = format!("=_report_{candidate:016x}");
        if parts.iter().all(|part| !part.content.contains(&boundary)) {
            return boundary;
        }
        candidate = candidate.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(content: &str) -> Part {
        Part {
            content_type: "Content-Type: text/plain",
            encoding: Encoding::SevenBit,
            content: content.into(),
        }
    }

    #[test]
    fn a_boundary_occurs_in_no_part() {
        let parts = [part("a\r\n"), part("--=_report_0000000000000007\r\n=_report_0000000000000008")];
        assert_eq!(boundary_from(7, &parts), "=_report_0000000000000009");
    }

    #[test]
    fn a_boundary_cannot_be_known_before_the_parts_are() {
        assert_ne!(boundary(&[part("a")]), boundary(&[part("b")]));
    }
}
