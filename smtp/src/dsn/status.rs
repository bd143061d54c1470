//! The part for mail clients: `message/delivery-status` (RFC 3464), always in ASCII.

use super::{
    ADDRESS_TYPE_CHARS_MAX, Action, Diagnostic, HOST_CHARS_MAX, OriginalRecipient, Part, RecipientReport,
    Report,
    text::{Encoding, date, field, one_ascii_line, one_line},
    xtext,
};

/// A forward path has at most 254 octets (RFC 5321 §4.5.3.1.3); what the other organisation claims may not.
pub(super) const RECIPIENT_CHARS_MAX: usize = 320;

/// Characters of a diagnostic: several reply lines. Keeps every field below the 998 octets of a line.
pub(super) const DIAGNOSTIC_CHARS_MAX: usize = 600;

/// Characters of an envelope id (RFC 3461 §4.4 allows 100).
const ENVELOPE_ID_CHARS_MAX: usize = 100;

pub(super) fn part(report: &Report<'_>) -> Part {
    let mut content = field("Reporting-MTA", &format!("dns; {}", host(report.reporting_mta)));
    if let Some(id) = report.original_envelope_id {
        content += &field("Original-Envelope-Id", &one_ascii_line(id, ENVELOPE_ID_CHARS_MAX));
    }
    content += &field("Arrival-Date", &date(report.arrival));
    for recipient in report.recipients {
        content += "\r\n";
        content += &group(recipient);
    }
    Part { content_type: "Content-Type: message/delivery-status", encoding: Encoding::SevenBit, content }
}

/// The per-recipient fields, RFC 3464 §2.3.
fn group(recipient: &RecipientReport) -> String {
    let mut fields = String::new();
    if let Some(original) = &recipient.original {
        fields += &field("Original-Recipient", &original_recipient(original));
    }
    fields += &field("Final-Recipient", &typed_address(&recipient.recipient));
    let (action, retry_until) = match recipient.action {
        Action::Failed => ("failed", None),
        Action::Delayed { will_retry_until } => ("delayed", Some(will_retry_until)),
        Action::Delivered => ("delivered", None),
        Action::Relayed => ("relayed", None),
        Action::Expanded => ("expanded", None),
    };
    fields += &field("Action", action);
    fields += &field("Status", &recipient.status.to_string());
    if let Some(remote) = &recipient.remote_mta {
        fields += &field("Remote-MTA", &format!("dns; {}", host(remote)));
    }
    if let Some(diagnostic) = &recipient.diagnostic {
        let (kind, text) = match diagnostic {
            Diagnostic::Smtp(reply) => ("smtp", reply),
            Diagnostic::Local(text) => ("x-local", text),
        };
        let text = one_ascii_line(text, DIAGNOSTIC_CHARS_MAX);
        fields += &field("Diagnostic-Code", &format!("{kind}; {text}"));
    }
    if let Some(time) = recipient.last_attempt {
        fields += &field("Last-Attempt-Date", &date(time));
    }
    if let Some(time) = retry_until {
        fields += &field("Will-Retry-Until", &date(time));
    }
    fields
}

fn host(name: &str) -> String {
    one_ascii_line(name, HOST_CHARS_MAX)
}

/// `rfc822; a@b`, or `utf-8; …` with every character that is not allowed there as `\x{…}`, the form of
/// RFC 6533 §3 that fits a 7-bit report (`utf-8-addr-xtext`).
fn typed_address(address: &str) -> String {
    let address = one_line(address, RECIPIENT_CHARS_MAX);
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    format!("utf-8; {}", xtext::encode_utf8(&address))
}

/// RFC 3464 §2.3.1: in the type that the sender gave it.
fn original_recipient(original: &OriginalRecipient) -> String {
    if original.kind.eq_ignore_ascii_case("rfc822") || original.kind.eq_ignore_ascii_case("utf-8") {
        return typed_address(&original.address);
    }
    let kind = one_ascii_line(&original.kind, ADDRESS_TYPE_CHARS_MAX);
    format!("{kind}; {}", one_ascii_line(&original.address, RECIPIENT_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internationalized_recipient_is_written_in_the_7_bit_form_of_rfc_6533() {
        assert_eq!(typed_address("bob@globex.test"), "rfc822; bob@globex.test");
        assert_eq!(typed_address("müller+x@globex.test"), "utf-8; m\\x{FC}ller\\x{2B}x@globex.test");
        assert_eq!(typed_address("用户@例.test"), "utf-8; \\x{7528}\\x{6237}@\\x{4F8B}.test");
    }
}
