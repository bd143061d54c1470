//! The original as far as a report shows it: its header, bounded, and nothing of its body.

use mail_parser::MessageParser;

use super::{
    Part,
    text::{encode, one_line},
};

/// Octets of the original's header in a report: enough for a long trail of Received fields, and a report
/// stays a small message whatever was sent.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Characters of the subject in the part for people.
const SUBJECT_CHARS_MAX: usize = 120;

/// Characters of a Message-ID that is quoted back; longer ones are not worth a broken line.
const MESSAGE_ID_CHARS_MAX: usize = 250;

pub(super) struct Original {
    /// Whole fields with CRLF line ends; those that would pass the bound are left out.
    header: Vec<u8>,
    /// Decoded, on one line.
    pub(super) subject: Option<String>,
    /// Without angle brackets; printable ASCII without any that could end it.
    pub(super) message_id: Option<String>,
}

impl Original {
    pub(super) fn read(octets: &[u8]) -> Self {
        let header = header_of(octets);
        let parsed = MessageParser::default().parse_headers(&header);
        let subject = parsed.as_ref().and_then(|message| message.subject());
        let message_id = parsed.as_ref().and_then(|message| message.message_id());
        Self {
            subject: subject.map(|subject| one_line(subject, SUBJECT_CHARS_MAX)),
            message_id: message_id.filter(|id| is_quotable(id)).map(str::to_owned),
            header,
        }
    }

    /// RFC 6522 §4: 7-bit if the header is clean, quoted-printable if it is "broken or extended".
    pub(super) fn part(&self) -> Part {
        let (encoding, content) = encode(&self.header);
        Part { content_type: "Content-Type: text/rfc822-headers", encoding, content }
    }
}

fn is_quotable(id: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"<>".contains(&octet);
    !id.is_empty() && id.len() <= MESSAGE_ID_CHARS_MAX && id.bytes().all(plain)
}

/// Field by field up to the first line that is not part of a header: an empty one, or one without a field
/// name, where a body must have begun.
fn header_of(octets: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    let mut field: Vec<u8> = Vec::new();
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let line = without_line_end(line);
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        if !continues {
            push_field(&mut header, &mut field);
            if !starts_field(line) {
                return header;
            }
        } else if field.is_empty() {
            return header;
        }
        // What cannot be pushed need not be collected either.
        if field.len() <= HEADER_BYTES_MAX {
            field.extend_from_slice(line);
            field.extend_from_slice(b"\r\n");
        }
    }
    push_field(&mut header, &mut field);
    header
}

fn push_field(header: &mut Vec<u8>, field: &mut Vec<u8>) {
    if header.len() + field.len() <= HEADER_BYTES_MAX {
        header.append(field);
    }
    field.clear();
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `field-name ":"`, RFC 5322 §3.6.8.
fn starts_field(line: &[u8]) -> bool {
    let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
    !name.is_empty() && name.len() < line.len() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_where_the_body_begins_however_that_is_written() {
        for body in
            ["\r\nsecret: x\r\n", "\nsecret: x\n", "secret text: x\r\n", "secret\r\n", "\r\n\r\nsecret: x"]
        {
            let octets = format!("Subject: a\r\n\tb\r\nTo: c\r\n{body}");
            assert_eq!(header_of(octets.as_bytes()), b"Subject: a\r\n\tb\r\nTo: c\r\n", "{body:?}");
        }
        assert_eq!(header_of(b" secret: x\r\nTo: c\r\n"), b"");
        assert_eq!(header_of(b""), b"");
    }

    #[test]
    fn a_field_that_does_not_fit_is_left_out_whole_and_the_rest_stays() {
        let long = format!("X-Long:{}", " a\r\n".repeat(HEADER_BYTES_MAX));
        let octets = format!("From: a\r\n{long}Subject: b\r\n\r\nbody\r\n");
        assert_eq!(header_of(octets.as_bytes()), b"From: a\r\nSubject: b\r\n");

        let many = "Received: from somewhere\r\n".repeat(HEADER_BYTES_MAX);
        assert!(header_of(many.as_bytes()).len() <= HEADER_BYTES_MAX);
    }

    #[test]
    fn only_a_clean_message_id_is_quoted_back() {
        let id = |text: &str| Original::read(format!("Message-ID: {text}\r\n").as_bytes()).message_id;
        assert_eq!(id("<a.b@c>").as_deref(), Some("a.b@c"));
        assert_eq!(id("<a b@ü>"), None);
        assert_eq!(id(&format!("<{}@c>", "a".repeat(300))), None);
    }
}
