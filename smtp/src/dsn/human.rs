//! The part for people: which message, which recipient, why, and what to do now.

use super::{
    Action, Diagnostic, HOST_CHARS_MAX, Part, RecipientReport, Report,
    original::Original,
    status::{DIAGNOSTIC_CHARS_MAX, RECIPIENT_CHARS_MAX},
    text::{date, encode, one_line},
};
use crate::reply::Enhanced;

/// Column at which paragraphs are wrapped.
const WRAP_COLUMN: usize = 72;

pub(super) fn part(report: &Report<'_>, original: &Original) -> Part {
    let (encoding, content) = encode(letter(report, original).as_bytes());
    Part { content_type: "Content-Type: text/plain; charset=utf-8", encoding, content }
}

/// Words over a list of recipients, and which of them stand in it.
type Section = (&'static str, fn(&Action) -> bool);

/// What happened, the gravest first, and to whom.
const SECTIONS: [Section; 5] = [
    ("could not be delivered to", |action| *action == Action::Failed),
    ("has not been delivered yet to", |action| matches!(action, Action::Delayed { .. })),
    ("was delivered to", |action| *action == Action::Delivered),
    ("was handed on to a mail system that sends no reports, for", |action| *action == Action::Relayed),
    ("was sent to everybody who is meant by", |action| *action == Action::Expanded),
];

fn letter(report: &Report<'_>, original: &Original) -> String {
    let host = one_line(report.reporting_mta, HOST_CHARS_MAX);
    let mut letter = paragraph("", &format!("This is the mail system of {host}."));
    letter += "\r\nYour message\r\n\r\n";
    letter += &entry("Subject", original.subject.as_deref().unwrap_or("(none)"));
    letter += &entry("Accepted", &date(report.arrival));
    if let Some(id) = &original.message_id {
        letter += &entry("Message-ID", &format!("<{id}>"));
    }
    for (what, is_meant) in SECTIONS {
        let mut meant = report.recipients.iter().filter(|recipient| is_meant(&recipient.action)).peekable();
        if meant.peek().is_some() {
            letter += &format!("\r\n{what}:\r\n");
            meant.for_each(|recipient| letter += &about(recipient));
        }
    }
    letter += "\r\n";
    letter += &paragraph(
        "",
        "Recipients that are not listed here are not affected. Details for your mail administrator and the \
         header of your message are attached; its text is not.",
    );
    letter
}

fn entry(name: &str, value: &str) -> String {
    format!("    {:<12}{value}\r\n", format!("{name}:"))
}

fn about(recipient: &RecipientReport) -> String {
    let mut text = format!("\r\n  <{}>\r\n", one_line(&recipient.recipient, RECIPIENT_CHARS_MAX));
    if matches!(recipient.action, Action::Delivered | Action::Relayed | Action::Expanded) {
        return text;
    }
    let advice = Advice::on(recipient.status);
    text += &paragraph("    ", advice.why);
    match &recipient.diagnostic {
        // Foreign words never begin a line of their own: the sentence says first whose they are.
        Some(Diagnostic::Smtp(reply)) => {
            let server = recipient.remote_mta.as_deref().map(|name| one_line(name, HOST_CHARS_MAX) + " ");
            let server = server.unwrap_or_default();
            let reply = one_line(reply, DIAGNOSTIC_CHARS_MAX);
            text += &paragraph("    ", &format!("The mail server {server}said: {reply}"));
        }
        Some(Diagnostic::Local(reason)) => {
            text += &paragraph("    ", &format!("Details: {}", one_line(reason, DIAGNOSTIC_CHARS_MAX)));
        }
        None => {}
    }
    text += &match recipient.action {
        Action::Failed => paragraph("    ", &format!("What to do: {}", advice.what_to_do)),
        Action::Delayed { will_retry_until } => {
            let until = date(will_retry_until);
            paragraph("    ", &format!("There is nothing to do: delivery will be tried again until {until}."))
        }
        Action::Delivered | Action::Relayed | Action::Expanded => String::new(),
    };
    text
}

/// A status code in plain words. Both sentences hold for a refusal and for a time-out alike.
struct Advice {
    why: &'static str,
    what_to_do: &'static str,
}

impl Advice {
    /// By subject and detail of RFC 3463 §3; the class is told by the action.
    fn on(status: Enhanced) -> Self {
        let (why, what_to_do) = match (status.1, status.2) {
            (1, 1 | 0 | 6) => (
                "There is no such mailbox at the destination.",
                "check the address for typing mistakes and send the message again.",
            ),
            (1, 2 | 10) => (
                "The part of the address after the @ is not known as a destination.",
                "check it for typing mistakes; if it is right, ask your mail administrator whether that \
                 organisation can be reached.",
            ),
            (1, 3) => ("This is not a mail address.", "correct the address and send the message again."),
            (1, 7 | 8) => (
                "The destination does not accept your own address as a sender.",
                "ask your mail administrator, and quote this report.",
            ),
            (2, 2) => ("The mailbox is full.", "try again later, or reach the recipient in another way."),
            (2, 3) | (3, 4) => (
                "The message is too large for the destination.",
                "send a smaller message, or share large files in another way.",
            ),
            (2, _) => (
                "The mailbox does not accept this message.",
                "reach the recipient in another way, or try again later.",
            ),
            (4, 7) => (
                "The message could not be delivered within the time allowed.",
                "send it again later; if it is urgent, reach the recipient in another way.",
            ),
            (4, 6) => (
                "The message passed too many mail systems; it seems to go round in a circle.",
                "ask your mail administrator, and quote this report.",
            ),
            (3 | 4, _) => (
                "The mail system of the destination cannot be reached or does not take messages now.",
                "send it again later; if it is urgent, reach the recipient in another way.",
            ),
            (6, 7) => (
                "The address has characters that the mail system of the destination does not support.",
                "ask the recipient for an address in plain Latin letters.",
            ),
            (6, _) => (
                "The mail system of the destination does not support the form of this message.",
                "send it again as plain text, or with its attachments in another format.",
            ),
            (7, _) => (
                "A security rule does not allow this message.",
                "if you think it should be allowed, ask your mail administrator, and quote this report.",
            ),
            _ => (
                "The mail system of the destination did not accept the message.",
                "try again later; if this happens again, ask your mail administrator, and quote this report.",
            ),
        };
        Self { why, what_to_do }
    }
}

/// Words wrapped at [`WRAP_COLUMN`], each line indented.
fn paragraph(indent: &str, text: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.len() + line.len() + 1 + word.len() > WRAP_COLUMN {
            out += &format!("{indent}{line}\r\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out + &format!("{indent}{line}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_wrapped_and_keep_every_word() {
        let text = "some words that go on ".repeat(20);
        let wrapped = paragraph("    ", &text);
        assert!(wrapped.split("\r\n").all(|line| line.len() <= WRAP_COLUMN));
        assert_eq!(
            wrapped.split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
    }
}
