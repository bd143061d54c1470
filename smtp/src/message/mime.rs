//! The MIME structure (RFC 2046 §5.1), walked once from top to bottom, without recursion and without decoding.
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

/// Walks the message whose header section is `top`.
pub(super) fn walk(octets: &[u8], top: &Top<'_>, limits: &Limits) -> Result<Structure, MessageError> {
    // What cannot be read is plain text (RFC 2045 §5.2).
    let content_type = media_type(&top.entity).map_or_else(|| "text/plain".to_owned(), |media| media.name);
    let structure = Structure { content_type, parts: 0, depth: 0 };
    let mut walk = Walk { octets, limits, open: Vec::new(), structure, dashes: Finder::new(b"\n--") };
    let mut at = walk.enter(top.entity, top.body, Context { depth: 0, enclosed: false, digest: false })?;
    while let Some(delimiter) = walk.next_delimiter(at)? {
        at = delimiter.behind;
        if let Some(context) = delimiter.begins {
            let (entity, body) = walk.part_header(at)?;
            at = walk.enter(entity, body, context)?;
        }
    }
    walk.close_to(0)?;
    Ok(walk.structure)
}

struct Walk<'a> {
    octets: &'a [u8],
    limits: &'a Limits,
    open: Vec<Multipart>,
    structure: Structure,
    dashes: Finder<'static>,
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
    /// Counts an entity and what is encapsulated in it; returns where to scan on for delimiters.
    fn enter(&mut self, entity: Entity<'a>, body: usize, context: Context) -> Result<usize, MessageError> {
        let (mut entity, mut body, mut context) = (entity, body, context);
        loop {
            self.count(context)?;
            let inner = Context { depth: context.depth + 1, ..context };
            let encapsulates = match media_type(&entity) {
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
        self.structure.parts += 1;
        self.structure.depth = self.structure.depth.max(context.depth);
        if self.structure.parts > parts_max {
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
                match self.dashes.find(rest) {
                    Some(lf) => at += lf + 1,
                    None => return Ok(None),
                }
            }
            let line = self.octets.get(at..).unwrap_or_default();
            let length = memchr(b'\n', line).map_or(line.len(), |lf| lf + 1);
            let text = line.get(2..length).unwrap_or_default().trim_ascii_end();
            at += length;
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
    fn part_header(&self, at: usize) -> Result<(Entity<'a>, usize), MessageError> {
        let max = self.limits.header_octets_max;
        let mut entity = Entity::default();
        let mut fields = Fields::new(self.octets.get(at..).unwrap_or_default());
        loop {
            let start = fields.position();
            match fields.next() {
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
}

fn media_type(entity: &Entity<'_>) -> Option<MediaType> {
    entity.content_type.and_then(header::media_type)
}

fn is_message(media: &MediaType) -> bool {
    matches!(media.name.as_str(), "message/rfc822" | "message/global")
}

/// An encoded message (RFC 6532 §3.7 allows it) is opaque here.
fn is_identity(entity: &Entity<'_>) -> bool {
    let encoding = entity.encoding.unwrap_or(b"7bit").trim_ascii();
    ["7bit", "8bit", "binary"].iter().any(|known| encoding.eq_ignore_ascii_case(known.as_bytes()))
}
