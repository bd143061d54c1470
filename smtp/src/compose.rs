//! A message composed from what a program gives: sender, recipients, subject, content (RFC 5322, RFC 2045, RFC 2047).
//!
//! Invariants: CRLF line ends only, and no line beyond 998 octets, whatever is given; nothing given begins another field;
//! what is printable ASCII reads as it was given, and everything else is encoded so that every mail program reads back the
//! same characters. Only an [`Address`] that is itself beyond ASCII makes a header that is (then the mail needs SMTPUTF8).
//!
//! Deliberately absent: attachments and alternatives; a program that wants them hands in a whole message of its own.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::address::Address;
use crate::trace::date;

/// Characters of a subject or a name: RFC 5322 has no limit, people and mail programs do.
pub const TEXT_CHARACTERS_MAX: usize = 500;

/// Octets of a message identifier: with brackets and fold it stays far below one line.
pub const MESSAGE_ID_OCTETS_MAX: usize = 250;

/// RFC 5322 §2.1.1: octets of a line without its CRLF that every server takes.
const LINE_OCTETS_MAX: usize = 998;

/// RFC 2047 §2: a line of a field with encoded words has at most 76 characters; other fields are folded there too.
const COLUMN_MAX: usize = 76;

/// RFC 2047 §2: `=?utf-8?B?` and `?=` around the Base64 of an encoded word.
const WORD_FRAME: usize = 12;

/// RFC 2045 §6.8.
const BASE64_LINE_OCTETS: usize = 76;

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Who writes.
    pub from: &'a Address,
    /// What the writer is called; empty: nothing but the address.
    pub name: &'a str,
    /// To whom, in this order.
    pub to: &'a [Address],
    /// What it is about; empty: no such field.
    pub subject: &'a str,
    /// When.
    pub date: SystemTime,
    /// The message's own name.
    pub message_id: &'a MessageId,
    /// The message that this one answers.
    pub in_reply_to: Option<&'a MessageId>,
    /// The conversation before it, the beginning first (RFC 5322 §3.6.4).
    pub references: &'a [MessageId],
    /// What the content is.
    pub media: Media,
    /// The content. Of text the lines may end as they like: they leave with CRLF (RFC 2046 §4.1.1).
    pub content: &'a str,
}

/// What a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `text/plain`.
    Plain,
    /// `text/markdown` (RFC 7763).
    Markdown,
    /// `application/json` (RFC 8259): kept octet for octet.
    Json,
}

impl Media {
    /// By its media type, without parameters.
    #[must_use]
    pub fn of_type(name: &str) -> Option<Self> {
        [Self::Plain, Self::Markdown, Self::Json].into_iter().find(|media| media.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Json => "application/json",
        }
    }

    /// The whole field value. JSON is UTF-8 and has no parameter for it (RFC 8259 §11).
    fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    fn is_text(self) -> bool {
        self != Self::Json
    }
}

/// The name of a message, without angle brackets: `left@right` in printable ASCII (RFC 5322 §3.6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId(String);

impl MessageId {
    /// The name as text, without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for MessageId {
    type Err = ComposeError;

    /// Takes it with or without angle brackets.
    ///
    /// # Errors
    /// [`ComposeError::MessageId`].
    fn from_str(text: &str) -> Result<Self, ComposeError> {
        let bare = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
        let is_printable = bare.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>()".contains(&octet));
        let has_sides =
            bare.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
        match is_printable && has_sides && bare.len() <= MESSAGE_ID_OCTETS_MAX {
            true => Ok(Self(bare.to_owned())),
            false => Err(ComposeError::MessageId),
        }
    }
}

/// Why nothing can be composed. All of it is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// A line end or another control character where one line is wanted: in the header it would begin another field.
    #[error("the {0} contains control characters")]
    Control(&'static str),
    /// A subject or a name that nobody reads.
    #[error("the {0} has more than {TEXT_CHARACTERS_MAX} characters")]
    TooLong(&'static str),
    /// Not a name of a message.
    #[error("a Message-ID is left@right in printable ASCII, with at most {MESSAGE_ID_OCTETS_MAX} octets")]
    MessageId,
    /// Nobody to send it to.
    #[error("there is no recipient")]
    NoRecipient,
}

/// Composes the message.
///
/// # Errors
/// See [`ComposeError`].
pub fn compose(draft: &Draft<'_>) -> Result<Bytes, ComposeError> {
    let (name, subject) = (one_line("name", draft.name)?, one_line("subject", draft.subject)?);
    let mut message = format!("From: {}<{}>\r\n", phrase(name), draft.from);
    message += &recipients(draft.to)?;
    if !subject.is_empty() {
        message += &unstructured("Subject", subject);
    }
    message += &format!("Date: {}\r\nMessage-ID: <{}>\r\n", date(draft.date), draft.message_id.as_str());
    if let Some(answered) = draft.in_reply_to {
        message += &format!("In-Reply-To: <{}>\r\n", answered.as_str());
    }
    if !draft.references.is_empty() {
        let named: Vec<_> = draft.references.iter().map(|id| format!("<{}>", id.as_str())).collect();
        message += &format!("References: {}\r\n", named.join("\r\n "));
    }
    message += &format!("MIME-Version: 1.0\r\nContent-Type: {}\r\n", draft.media.content_type());
    message += &body(draft.media, draft.content);
    Ok(message.into())
}

/// Whether a name can stand in a message.
///
/// # Errors
/// [`ComposeError::Control`] and [`ComposeError::TooLong`].
pub fn name_fits(name: &str) -> Result<(), ComposeError> {
    one_line("name", name).map(|_| ())
}

fn one_line<'a>(what: &'static str, text: &'a str) -> Result<&'a str, ComposeError> {
    match () {
        () if text.chars().any(char::is_control) => Err(ComposeError::Control(what)),
        () if text.chars().count() > TEXT_CHARACTERS_MAX => Err(ComposeError::TooLong(what)),
        () => Ok(text),
    }
}

/// One address on each line.
fn recipients(to: &[Address]) -> Result<String, ComposeError> {
    let named: Vec<_> = to.iter().map(|to| format!("<{to}>")).collect();
    match named.is_empty() {
        true => Err(ComposeError::NoRecipient),
        false => Ok(format!("To: {}\r\n", named.join(",\r\n "))),
    }
}

/// A field whose value is a line of text.
fn unstructured(name: &str, value: &str) -> String {
    let column = name.len() + 2;
    match reads_as_it_stands(value) {
        true => format!("{name}: {}\r\n", folded(value, column)),
        false => format!("{name}: {}\r\n", encoded_words(value, column)),
    }
}

/// Printable ASCII whose every space stands alone between words short enough to be folded, and that nobody takes for an
/// encoded word.
fn reads_as_it_stands(value: &str) -> bool {
    let printable = value.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
    printable
        && !value.contains("=?")
        && value.split(' ').all(|word| (1..COLUMN_MAX - 12).contains(&word.len()))
}

fn folded(value: &str, mut column: usize) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    for (index, word) in value.split(' ').enumerate() {
        if index > 0 && column + 1 + word.len() > COLUMN_MAX {
            out.push_str("\r\n ");
            column = 1;
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}

/// RFC 2047 §2 and §5 (3): whole characters in each word, and a fold between words, which readers take out.
fn encoded_words(value: &str, mut column: usize) -> String {
    let mut out = String::new();
    let mut rest = value;
    while !rest.is_empty() {
        let octets = (COLUMN_MAX - WORD_FRAME).saturating_sub(column) / 4 * 3;
        let end = rest.floor_char_boundary(octets.max(4));
        let (word, after) = rest.split_at(end);
        out.push_str(&format!("=?utf-8?B?{}?=", BASE64.encode(word)));
        if !after.is_empty() {
            out.push_str("\r\n ");
        }
        (rest, column) = (after, 1);
    }
    out
}

/// The display name in front of an address (RFC 5322 §3.4), with what separates the two.
fn phrase(name: &str) -> String {
    const COLUMN: usize = "From: ".len();
    let is_ascii = name.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
    match () {
        () if name.is_empty() => String::new(),
        () if is_ascii && name.len() < COLUMN_MAX - COLUMN - 4 && !name.contains("=?") => {
            format!("\"{}\"\r\n ", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
        () => format!("{}\r\n ", encoded_words(name, COLUMN)),
    }
}

/// `Content-Transfer-Encoding`, the empty line and the content.
fn body(media: Media, content: &str) -> String {
    let content = if media.is_text() { with_crlf(content) } else { content.to_owned() };
    if is_7bit(&content) {
        return format!("Content-Transfer-Encoding: 7bit\r\n\r\n{content}");
    }
    let encoded = BASE64.encode(&content);
    let mut out = String::with_capacity(encoded.len() + encoded.len() / BASE64_LINE_OCTETS * 2 + 64);
    out.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(BASE64_LINE_OCTETS));
        out.push_str(line);
        out.push_str("\r\n");
        rest = after;
    }
    out
}

/// Every line end, be it CRLF, LF or CR, as CRLF.
#[must_use]
pub fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

/// Whether every server passes it on as it is: short lines of printable ASCII, the last one ended, and no space at an
/// end of line that could get lost.
fn is_7bit(content: &str) -> bool {
    let Some(lines) = content.strip_suffix("\r\n") else { return false };
    let passes = |line: &str| {
        line.len() <= LINE_OCTETS_MAX
            && line.bytes().all(|octet| matches!(octet, b'\t' | b' '..=b'~'))
            && !line.ends_with([' ', '\t'])
    };
    lines.split("\r\n").all(passes)
}

#[cfg(test)]
mod tests;
