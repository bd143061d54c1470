//! Header sections: fields as they stand, and the few values that are of interest.

use std::borrow::Cow;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use memchr::memchr;

use super::{Limits, MessageError};

/// A field: name, and value with its folds and line ends.
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl Field<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Goes over the fields at the start of `octets`, until an empty line, the end, or a line that is no field.
pub(crate) struct Fields<'a> {
    octets: &'a [u8],
    at: usize,
}

/// Why the fields ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At the end of the octets, or an empty line; the body begins behind it.
    Regular { body: usize },
    /// A line that is neither a field nor empty.
    Garbage,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    /// Where the next line begins.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// To be asked after the last field.
    pub(crate) fn end(&self) -> End {
        match self.octets.get(self.at..).unwrap_or_default() {
            [] => End::Regular { body: self.at },
            [b'\r', b'\n', ..] => End::Regular { body: self.at + 2 },
            [b'\n', ..] => End::Regular { body: self.at + 1 },
            _ => End::Garbage,
        }
    }

    /// Goes on behind a line that is no field.
    pub(crate) fn skip_line(&mut self) {
        self.at = self.line_end(self.at);
    }

    /// Where the line that begins at `from` ends, behind its LF.
    fn line_end(&self, from: usize) -> usize {
        let rest = self.octets.get(from..).unwrap_or_default();
        memchr(b'\n', rest).map_or(self.octets.len(), |lf| from + lf + 1)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let mut end = self.line_end(self.at);
        let line = self.octets.get(self.at..end)?;
        let colon = memchr(b':', line)?;
        let (name, _) = line.split_at_checked(colon)?;
        let name = name.trim_ascii_end(); // obs-optional: "Subject : x" (RFC 5322 §4.5)
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        while matches!(self.octets.get(end), Some(b' ' | b'\t')) {
            end = self.line_end(end); // folded (RFC 5322 §2.2.3)
        }
        let value = self.octets.get(self.at + colon + 1..end)?;
        self.at = end;
        Some(Field { name, value })
    }
}

/// The header section of a message: values still raw.
#[derive(Debug, Default)]
pub(super) struct Top<'a> {
    pub(super) message_id: Option<&'a [u8]>,
    pub(super) from: Option<&'a [u8]>,
    pub(super) subject: Option<&'a [u8]>,
    pub(super) entity: Entity<'a>,
    pub(super) received_count: usize,
    pub(super) len: usize,
    pub(super) body: usize,
}

/// What the header section of any MIME entity says about its body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entity<'a> {
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) encoding: Option<&'a [u8]>,
}

impl<'a> Entity<'a> {
    /// Of repeated fields the first counts.
    pub(super) fn note(&mut self, field: &Field<'a>) {
        if field.is("Content-Type") {
            self.content_type.get_or_insert(field.value);
        } else if field.is("Content-Transfer-Encoding") {
            self.encoding.get_or_insert(field.value);
        }
    }
}

/// Reads the header section of the message itself, strictly.
pub(super) fn read_top<'a>(octets: &'a [u8], limits: &Limits) -> Result<Top<'a>, MessageError> {
    let mut top = Top::default();
    let mut fields = Fields::new(octets);
    for field in fields.by_ref() {
        top.entity.note(&field);
        if field.is("Received") {
            top.received_count += 1;
        } else if field.is("Message-ID") {
            top.message_id.get_or_insert(field.value);
        } else if field.is("From") {
            top.from.get_or_insert(field.value);
        } else if field.is("Subject") {
            top.subject.get_or_insert(field.value);
        }
    }
    top.len = fields.position();
    match fields.end() {
        _ if top.len > limits.header_octets_max => {
            Err(MessageError::HeaderTooLong { max: limits.header_octets_max })
        }
        End::Garbage => {
            let before = octets.get(..top.len).unwrap_or_default();
            Err(MessageError::GarbageInHeader { line: memchr::memchr_iter(b'\n', before).count() + 1 })
        }
        End::Regular { .. } if top.len == 0 => Err(MessageError::NoHeader),
        End::Regular { .. } if top.received_count > limits.received_max => {
            Err(MessageError::Loop { max: limits.received_max })
        }
        End::Regular { body } => {
            top.body = body;
            Ok(top)
        }
    }
}

/// `msg-id` without its angle brackets (RFC 5322 §3.6.4).
pub(super) fn message_id(value: &[u8]) -> Option<String> {
    first_text(MessageStream::new(&terminated(value)).parse_id())
}

/// The address of the first mailbox, also out of a group.
pub(super) fn first_address(value: &[u8]) -> Option<String> {
    match MessageStream::new(&terminated(value)).parse_address() {
        HeaderValue::Address(addresses) => {
            addresses.first().and_then(|first| first.address()).map(str::to_owned)
        }
        _ => None,
    }
}

/// The address of every mailbox, also out of groups; `None` if there is none, or one without an address.
pub(super) fn addresses(value: &[u8]) -> Option<Vec<String>> {
    let value = terminated(value);
    let HeaderValue::Address(addresses) = MessageStream::new(&value).parse_address() else {
        return None;
    };
    let all: Option<Vec<String>> = addresses.iter().map(|one| one.address().map(str::to_owned)).collect();
    all.filter(|all| !all.is_empty())
}

/// Unstructured text, decoded (RFC 2047).
pub(super) fn text(value: &[u8]) -> Option<String> {
    first_text(MessageStream::new(&terminated(value)).parse_unstructured())
}

/// What a `Content-Type` says, as far as the structure depends on it.
#[derive(Debug)]
pub(super) struct MediaType {
    /// `type/subtype`, lower-case.
    pub(super) name: String,
    pub(super) boundary: Option<String>,
}

/// Type, subtype and boundary (RFC 2045 §5.1, RFC 2231).
pub(super) fn media_type(value: &[u8]) -> Option<MediaType> {
    let value = terminated(value);
    let HeaderValue::ContentType(content_type) = MessageStream::new(&value).parse_content_type() else {
        return None;
    };
    let subtype = content_type.subtype()?;
    let name = format!("{}/{subtype}", content_type.ctype()).to_ascii_lowercase();
    let boundary = content_type.attribute("boundary").map(|boundary| boundary.trim_ascii_end().to_owned());
    Some(MediaType { name, boundary: boundary.filter(|boundary| !boundary.is_empty()) })
}

fn first_text(value: HeaderValue<'_>) -> Option<String> {
    match value {
        HeaderValue::Text(text) => Some(text.into_owned()),
        HeaderValue::TextList(texts) => texts.into_iter().next().map(Cow::into_owned),
        _ => None,
    }
}

/// The parsers of mail-parser stop at a line end, and want one.
fn terminated(value: &[u8]) -> Cow<'_, [u8]> {
    if value.ends_with(b"\n") { Cow::Borrowed(value) } else { Cow::Owned([value, b"\n"].concat()) }
}
