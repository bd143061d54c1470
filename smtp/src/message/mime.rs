//! The MIME structure (RFC 2046 §5.1), walked once from top to bottom, without recursion and without decoding.
//!
//! No input costs more than a few looks at each of its octets, and one for each multipart that is open where it stands.
//!
//! ```text
//! enter(entity) ── multipart ──► push its boundary ──┐
//!      ▲        ── message/rfc822 ─► enter what is in it
//!      │        ── anything else ────────────────────┤
//!      └── part header ◄── delimiter line of any open multipart ◄── scan
//! ```

use memchr::memchr;
use memchr::memmem::Finder;

use super::header::{self, End, Entity, Fields, MediaType, Top};
use super::{Limits, MessageError};

/// What the walk saw.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) content_type: String,
    pub(super) parts: usize,
    pub(super) depth: usize,
}

/// How often the walk looks at an octet besides the comparisons with open boundaries: as a header or when a part turns out
/// to have none, while it looks for dashes, and as the rest of a line that begins with them.
const LOOKS_PER_OCTET_MAX: usize = 4;

/// Walks the message whose header section is `top`.
pub(super) fn walk(octets: &[u8], top: &Top<'_>, limits: &Limits) -> Result<Structure, MessageError> {
    let mut walk = Walk::new(octets, limits);
    let result = walk.run(top);
    debug_assert!(walk.looks <= octets.len().saturating_mul(LOOKS_PER_OCTET_MAX + limits.depth_max));
    result.map(|content_type| Structure { content_type, parts: walk.parts, depth: walk.depth })
}

struct Walk<'a> {
    octets: &'a [u8],
    limits: &'a Limits,
    open: Vec<Multipart>,
    dashes: Finder<'static>,
    parts: usize,
    depth: usize,
    /// Octets looked at, each as often as it was: what the walk has cost.
    looks: usize,
}

/// A multipart whose closing delimiter has not come.
struct Multipart {
    boundary: Vec<u8>,
    seen: bool,
    parts: Context,
}

/// Where an entity stands.
#[derive(Clone, Copy)]
struct Context {
    depth: usize,
    /// Inside an encapsulated message. Reports cut those off, so an unfinished structure there is normal.
    enclosed: bool,
    /// In a multipart/digest the default type is message/rfc822 (RFC 2046 §5.1.5).
    digest: bool,
}

/// A delimiter line of an open multipart.
struct Delimiter {
    behind: usize,
    /// The context of the part that begins here, `None` for a closing delimiter.
    begins: Option<Context>,
}

impl<'a> Walk<'a> {
    fn new(octets: &'a [u8], limits: &'a Limits) -> Self {
        let dashes = Finder::new(b"\n--");
        Self { octets, limits, open: Vec::new(), dashes, parts: 0, depth: 0, looks: 0 }
    }

    /// From the top to the bottom; gives the type of the whole.
    fn run(&mut self, top: &Top<'a>) -> Result<String, MessageError> {
        // What cannot be read is plain text (RFC 2045 §5.2).
        let media = self.media_type(&top.entity)?;
        let content_type = media.map_or_else(|| "text/plain".to_owned(), |media| media.name);
        let mut at =
            self.enter(top.entity, top.body, Context { depth: 0, enclosed: false, digest: false })?;
        while let Some(delimiter) = self.next_delimiter(at)? {
            at = delimiter.behind;
            if let Some(context) = delimiter.begins {
                let (entity, body) = self.part_header(at)?;
                at = self.enter(entity, body, context)?;
            }
        }
        self.close_to(0)?;
        Ok(content_type)
    }

    /// Counts an entity and what is encapsulated in it; returns where to scan on for delimiters.
    fn enter(&mut self, entity: Entity<'a>, body: usize, context: Context) -> Result<usize, MessageError> {
        let (mut entity, mut body, mut context) = (entity, body, context);
        loop {
            self.count(context)?;
            let inner = Context { depth: context.depth + 1, ..context };
            let encapsulates = match self.media_type(&entity)? {
                None => context.digest,
                Some(media) if media.name.starts_with("multipart/") => {
                    self.open_multipart(media, inner)?;
                    return Ok(body);
                }
                Some(media) => is_message(&media) && is_identity(&entity),
            };
            if !encapsulates {
                return Ok(body);
            }
            context = Context { digest: false, enclosed: true, ..inner };
            (entity, body) = self.part_header(body)?;
        }
    }

    fn count(&mut self, context: Context) -> Result<(), MessageError> {
        let (parts_max, depth_max) = (self.limits.parts_max, self.limits.depth_max);
        self.parts += 1;
        self.depth = self.depth.max(context.depth);
        if self.parts > parts_max {
            return Err(MessageError::TooManyParts { max: parts_max });
        }
        if context.depth > depth_max { Err(MessageError::TooDeep { max: depth_max }) } else { Ok(()) }
    }

    fn open_multipart(&mut self, media: MediaType, inner: Context) -> Result<(), MessageError> {
        let parts = Context { digest: media.name == "multipart/digest", ..inner };
        match media.boundary {
            Some(boundary) => {
                self.open.push(Multipart { boundary: boundary.into_bytes(), seen: false, parts });
                Ok(())
            }
            None if inner.enclosed => Ok(()),
            None => Err(MessageError::NoBoundary),
        }
    }

    /// The next line at or behind `from`, which is the start of a line, that is a delimiter of an open
    /// multipart. Those nested inside it end there too, however unfinished (RFC 2046 §5.1.2).
    fn next_delimiter(&mut self, from: usize) -> Result<Option<Delimiter>, MessageError> {
        let mut at = from;
        while !self.open.is_empty() {
            let rest = self.octets.get(at..).unwrap_or_default();
            if !rest.starts_with(b"--") {
                let found = self.dashes.find(rest);
                self.looks += found.unwrap_or(rest.len());
                match found {
                    Some(lf) => at += lf + 1,
                    None => return Ok(None),
                }
            }
            let line = self.octets.get(at..).unwrap_or_default();
            let length = memchr(b'\n', line).map_or(line.len(), |lf| lf + 1);
            let text = line.get(2..length).unwrap_or_default().trim_ascii_end();
            at += length;
            self.looks += length + text.len() * self.open.len();
            if let Some((level, closes)) = self.match_boundary(text) {
                return self.reach(level, closes, at).map(Some);
            }
        }
        Ok(None)
    }

    /// The innermost open multipart that `text` (without the leading dashes) delimits, and whether it closes it.
    fn match_boundary(&self, text: &[u8]) -> Option<(usize, bool)> {
        self.open.iter().enumerate().rev().find_map(|(level, multipart)| {
            match text.strip_prefix(multipart.boundary.as_slice()) {
                Some(b"") => Some((level, false)),
                Some(b"--") => Some((level, true)),
                _ => None,
            }
        })
    }

    fn reach(&mut self, level: usize, closes: bool, behind: usize) -> Result<Delimiter, MessageError> {
        self.close_to(level + 1)?;
        let Some(multipart) = self.open.last_mut() else {
            return Ok(Delimiter { behind, begins: None });
        };
        multipart.seen = true;
        let begins = (!closes).then_some(multipart.parts);
        if closes {
            self.open.pop();
        }
        Ok(Delimiter { behind, begins })
    }

    /// Ends all multiparts from `level` inwards.
    fn close_to(&mut self, level: usize) -> Result<(), MessageError> {
        let unseen =
            self.open.iter().skip(level).any(|multipart| !multipart.seen && !multipart.parts.enclosed);
        self.open.truncate(level);
        if unseen { Err(MessageError::BoundaryMissing) } else { Ok(()) }
    }

    /// Reads the header section of a part, forgiving: it ends where no field stands.
    fn part_header(&mut self, at: usize) -> Result<(Entity<'a>, usize), MessageError> {
        let max = self.limits.header_octets_max;
        let mut entity = Entity::default();
        let mut fields = Fields::new(self.octets.get(at..).unwrap_or_default());
        loop {
            let start = fields.position();
            let field = fields.next();
            self.looks += fields.position() - start;
            match field {
                Some(field) if field.name.starts_with(b"--") => return Ok((entity, at + start)), // a delimiter
                Some(field) => entity.note(&field),
                None => break,
            }
            if fields.position() > max {
                return Err(MessageError::HeaderTooLong { max });
            }
        }
        match fields.end() {
            End::Regular { body } => Ok((entity, at + body)),
            End::Garbage => Ok((entity, at + fields.position())),
        }
    }

    /// `None` where nothing is said, or nothing that could be read.
    fn media_type(&self, entity: &Entity<'_>) -> Result<Option<MediaType>, MessageError> {
        let max = self.limits.content_type_octets_max;
        match entity.content_type {
            Some(value) if value.len() > max => Err(MessageError::ContentTypeTooLong { max }),
            value => Ok(value.and_then(header::media_type)),
        }
    }
}

fn is_message(media: &MediaType) -> bool {
    matches!(media.name.as_str(), "message/rfc822" | "message/global")
}

/// An encoded message (RFC 6532 §3.7 allows it) is opaque here.
fn is_identity(entity: &Entity<'_>) -> bool {
    let encoding = entity.encoding.unwrap_or(b"7bit").trim_ascii();
    ["7bit", "8bit", "binary"].iter().any(|known| encoding.eq_ignore_ascii_case(known.as_bytes()))
}
