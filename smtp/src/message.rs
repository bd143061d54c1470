//! What a message says about itself: facts read from its octets, which stay untouched (RFC 5322, RFC 2045).
//!
//! [`read`] looks at the header section and walks the MIME structure without decoding bodies. It refuses only
//! what different readers would read differently, or what costs without measure; odd but harmless mail passes.

mod completion;
mod header;
mod mime;

use crate::reply::{Enhanced, Reply};

pub use completion::completion;
pub(crate) use header::{End, Field, Fields};

/// A fact longer than this is cut: it is for rules, logs and reports, not for delivery.
const FACT_OCTETS_MAX: usize = 998;

/// Octets of one `From` field: a few hundred authors.
const FROM_OCTETS_MAX: usize = 32 * 1024;

/// Where reading ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one header section; the largest honest ones (many Received and ARC fields) have about 100 KiB.
    pub header_octets_max: usize,
    /// Octets of one `Content-Type` value. A file name of 255 characters in percent signs has one thousand, and it takes the
    /// square of the length to put the pieces of its parameters together (RFC 2231 §3).
    pub content_type_octets_max: usize,
    /// MIME nesting; forwarded as attachment a dozen times is already rare.
    pub depth_max: usize,
    /// MIME parts; a photo album has hundreds.
    pub parts_max: usize,
    /// `Received:` fields before a loop is assumed (RFC 5321 §6.3: "normally at least 100").
    pub received_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_octets_max: 256 * 1024,
            content_type_octets_max: 4 * 1024,
            depth_max: 32,
            parts_max: 1_000,
            received_max: 100,
        }
    }
}

/// What a message says about itself. All texts are unproven and at most 998 octets long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFacts {
    /// The first `Message-ID`, without angle brackets.
    pub message_id: Option<String>,
    /// The address of the first mailbox in the first `From`.
    pub from: Option<String>,
    /// The first `Subject`, decoded (RFC 2047).
    pub subject: Option<String>,
    /// `type/subtype` of the whole message, lower-case; `text/plain` where nothing is said.
    pub content_type: String,
    /// Octets of the header section, with the CRLF of its last field, without the empty line.
    pub header_len: usize,
    /// MIME entities: 1 for a plain message, containers and encapsulated messages count too.
    pub parts: usize,
    /// How deep they are nested: 0 for a plain message.
    pub depth: usize,
    /// `Received:` fields.
    pub received_count: usize,
}

/// Reads the facts of a message.
///
/// # Errors
/// See [`MessageError`]; [`MessageError::reply`] tells the sender.
pub fn read(octets: &[u8], limits: &Limits) -> Result<MessageFacts, MessageError> {
    if memchr::memchr(0, octets).is_some() {
        return Err(MessageError::Nul);
    }
    let top = header::read_top(octets, limits)?;
    let structure = mime::walk(octets, &top, limits)?;
    Ok(MessageFacts {
        message_id: top.message_id.and_then(header::message_id).map(cut),
        from: top.from.and_then(header::first_address).map(cut),
        subject: top.subject.and_then(header::text).map(cut),
        content_type: cut(structure.content_type),
        header_len: top.len,
        parts: structure.parts,
        depth: structure.depth,
        received_count: top.received_count,
    })
}

/// Every value of the field `name` in the header section, in its order: unfolded, decoded (RFC 2047), whole.
///
/// [`MessageFacts`] tell of the first field and cut it, for people and logs; who must not overlook anything asks here.
pub fn values<'a>(octets: &'a [u8], name: &'a str) -> impl Iterator<Item = String> + 'a {
    header::Fields::new(octets)
        .filter(move |field| field.is(name))
        .map(|field| header::text(field.value).unwrap_or_default())
}

/// Everybody whom the `From` fields name, also out of groups; nobody where there is no such field. `None`: one of them names
/// nobody, or cannot be read, or is longer than any honest one, so different readers may show different authors.
pub fn authors(octets: &[u8]) -> Option<Vec<String>> {
    let fields = header::Fields::new(octets).filter(|field| field.is("From"));
    let read = |field: Field<'_>| {
        (field.value.len() <= FROM_OCTETS_MAX).then_some(field.value).and_then(header::addresses)
    };
    let authors: Option<Vec<Vec<String>>> = fields.map(read).collect();
    authors.map(|authors| authors.into_iter().flatten().collect())
}

/// Checks that every CR and LF is part of a CRLF.
///
/// To be asked before octets from elsewhere are sent over SMTP: another server may take a bare LF or CR for
/// a line end, and a `\n.\n` for the end of the message.
///
/// # Errors
/// The place of the first bare one.
pub fn crlf_strict(octets: &[u8]) -> Result<(), BareLineEnd> {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'\r', b'\n', octets.get(at..).unwrap_or_default()) {
        at += found;
        if octets.get(at..at + 2) != Some(b"\r\n") {
            return Err(BareLineEnd { offset: at });
        }
        at += 2;
    }
    Ok(())
}

/// A CR or LF that is not part of a CRLF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bare CR or LF at octet {offset}")]
pub struct BareLineEnd {
    /// Its place, counted from 0.
    pub offset: usize,
}

/// Why a message is refused. All of them are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A NUL octet (RFC 5322 §4: obsolete and never to be generated).
    #[error("the message contains NUL octets")]
    Nul,
    /// No header field at all.
    #[error("the message has no header section")]
    NoHeader,
    /// A line of the header section is neither a field nor its continuation: some readers would begin the
    /// body here, others skip it.
    #[error("line {line} of the header section is not a header field")]
    GarbageInHeader {
        /// Counted from 1.
        line: usize,
    },
    /// The header section of the message or of a part is too long.
    #[error("a header section has more than {max} octets")]
    HeaderTooLong {
        /// The limit.
        max: usize,
    },
    /// The `Content-Type` of the message or of a part is too long.
    #[error("a Content-Type has more than {max} octets")]
    ContentTypeTooLong {
        /// The limit.
        max: usize,
    },
    /// A multipart without a `boundary` parameter.
    #[error("a multipart content type has no boundary parameter")]
    NoBoundary,
    /// A multipart whose boundary never stands on a line.
    #[error("the boundary of a multipart never appears")]
    BoundaryMissing,
    /// Nested too deep.
    #[error("MIME parts are nested more than {max} deep")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// Too many parts.
    #[error("the message has more than {max} MIME parts")]
    TooManyParts {
        /// The limit.
        max: usize,
    },
    /// It has been through too many servers.
    #[error("mail loop: more than {max} Received fields")]
    Loop {
        /// The limit.
        max: usize,
    },
}

impl MessageError {
    /// Whether it goes in circles.
    #[must_use]
    pub fn is_loop(&self) -> bool {
        matches!(self, Self::Loop { .. })
    }

    /// The refusal as SMTP says it: `554 5.6.0`, for a loop `554 5.4.6` (RFC 3463 X.6.0, X.4.6).
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::Loop { .. } => Reply::new(554, Enhanced(5, 4, 6), self.to_string()),
            _ => Reply::new(554, Enhanced(5, 6, 0), format!("message refused: {self}")),
        }
    }
}

/// At most [`FACT_OCTETS_MAX`] octets, whole characters.
fn cut(mut fact: String) -> String {
    fact.truncate(fact.floor_char_boundary(FACT_OCTETS_MAX));
    fact
}

#[cfg(test)]
mod tests;
