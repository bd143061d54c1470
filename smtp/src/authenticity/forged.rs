//! Claims in our name: what arrives from outside and pretends that we had written it (RFC 8601 §5).

use std::ops::Range;

use crate::message::{End, Field, Fields};

/// The fields that this house writes for its own use begin with this.
const OWN_PREFIX: &[u8] = b"X-DCCP-";

/// Comments may be nested (RFC 5322 §3.2.2); a field with more than this is nobody's honest work.
const COMMENT_DEPTH_MAX: usize = 16;

/// Forged fields that are told one by one. A header section of nothing else would cost more memory than the mail.
const FORGED_MAX: usize = 1_000;

/// What to leave out of a message from outside: `Authentication-Results` fields that bear our authserv-id, or one that
/// cannot be read, and every `X-DCCP-*` field. Whole fields with their line ends, in order, none touching another's octets.
///
/// The rest stays as it is, octet for octet, so that signatures hold. A line that is no field hides nothing: some readers end
/// the header section there, others go on to the empty line.
#[must_use]
pub fn forged_results(octets: &[u8], authserv_id: &str) -> Vec<Range<usize>> {
    let mut fields = Fields::new(octets);
    let mut forged: Vec<Range<usize>> = Vec::new();
    loop {
        let start = fields.position();
        match fields.next() {
            Some(field) if is_forged(&field, authserv_id) => {
                let is_full = forged.len() >= FORGED_MAX;
                match forged.last_mut() {
                    // Nobody's honest work: what stands between goes too.
                    Some(last) if is_full => last.end = fields.position(),
                    _ => forged.push(start..fields.position()),
                }
            }
            Some(_) => {}
            None if fields.end() == End::Garbage => fields.skip_line(),
            None => return forged,
        }
    }
}

fn is_forged(field: &Field<'_>, authserv_id: &str) -> bool {
    let is_own = |name: &[u8]| {
        name.get(..OWN_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX))
    };
    if is_own(field.name) {
        return true;
    }
    field.is("Authentication-Results")
        && claimed_id(field.value).is_none_or(|claimed| same_name(&claimed, authserv_id))
}

fn same_name(claimed: &[u8], ours: &str) -> bool {
    let claimed = claimed.strip_suffix(b".").unwrap_or(claimed);
    claimed.eq_ignore_ascii_case(ours.trim_end_matches('.').as_bytes())
}

/// The authserv-id: a token or a quoted string, after comments and folds. `None`: it cannot be read.
fn claimed_id(value: &[u8]) -> Option<Vec<u8>> {
    let rest = behind_comments(value)?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        return unquoted(quoted);
    }
    let end = rest.iter().position(|octet| octet.is_ascii_whitespace() || b";(\"".contains(octet));
    let (id, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
    // A quote in the middle: some readers would join it, others stop.
    let is_clear = !id.is_empty() && id.iter().all(u8::is_ascii_graphic) && behind.first() != Some(&b'"');
    is_clear.then(|| id.to_vec())
}

/// What follows white space and comments.
fn behind_comments(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b"(") {
        rest = behind_comment(comment)?.trim_ascii_start();
    }
    Some(rest)
}

fn behind_comment(inside: &[u8]) -> Option<&[u8]> {
    let mut depth = 1;
    let mut octets = inside.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'\\' => _ = octets.next(),
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth > COMMENT_DEPTH_MAX {
            return None;
        }
        if depth == 0 {
            return inside.get(at + 1..);
        }
    }
    None
}

/// The content of a quoted string that was opened before `rest`.
fn unquoted(rest: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let mut octets = rest.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => return Some(content),
            b'\\' => content.push(*octets.next()?),
            b'\r' | b'\n' => {} // a fold
            octet => content.push(*octet),
        }
    }
    None
}

#[cfg(test)]
mod tests;
