//! DKIM signatures of what leaves (RFC 6376 §5, RFC 8463).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::dkim::Canonicalization::Relaxed;

use super::body::relaxed_hash;
use super::keys::{Algorithm, KeyPair};
use crate::message::{End, Field, Fields};

/// Fields that are signed once more often than they are there, so that nobody can add one (RFC 6376 §8.15).
const OVERSIGNED: [&str; 12] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Fields that are signed where they are there, but that a mailing list may add.
const SIGNED: [&str; 4] = ["Sender", "List-ID", "List-Unsubscribe", "List-Unsubscribe-Post"];

/// How often one field is signed at most: more are left alone rather than filling the signature.
const REPEATED_MAX: usize = 16;

/// Characters of a line of ours.
const LINE_CHARACTERS: usize = 76;

/// Why a message is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The sender's: a message that nobody wrote has nothing to sign (RFC 6376 §5.4: `From` must be signed).
    #[error("the message has no From field")]
    NoFrom,
    /// The sender's: where the header section ends is unclear.
    #[error("a line of the header section is not a header field")]
    GarbageInHeader,
    /// The machine's: the library refused.
    #[error("the signature could not be made")]
    Refused,
}

/// The key pairs that sign, one for each domain that has one.
#[derive(Default)]
pub struct Signer {
    keys: Vec<KeyPair>,
}

impl Signer {
    /// Of several pairs for one domain the last one signs.
    #[must_use]
    pub fn new(keys: Vec<KeyPair>) -> Self {
        Self { keys }
    }

    /// The pair that signs for a domain.
    #[must_use]
    pub fn key(&self, domain: &str) -> Option<&KeyPair> {
        self.keys.iter().rev().find(|pair| pair.domain().eq_ignore_ascii_case(domain))
    }

    /// Two `DKIM-Signature` fields, Ed25519 and RSA, each with its CRLF, to be prepended; `None`: no key for this domain.
    ///
    /// `octets` is the message exactly as it goes out; what is added in front of it later stays unsigned. `domain` is the
    /// one in `From`, so that the signature is aligned.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(&self, domain: &str, octets: &[u8], now: SystemTime) -> Result<Option<String>, SignError> {
        let Some(pair) = self.key(domain) else { return Ok(None) };
        let message = Message::read(octets)?;
        let mut fields = String::new();
        for algorithm in [Algorithm::Ed25519, Algorithm::Rsa] {
            let head = format!("v=1; a={}; {}", algorithm.as_str(), message.tags(pair, algorithm, now));
            fields += &signature_field("DKIM-Signature", &head, message.signed(), pair, algorithm)
                .ok_or(SignError::Refused)?;
        }
        Ok(Some(fields))
    }
}

/// A message as both kinds of signature see it.
pub(super) struct Message<'a> {
    /// In the order of `h=`.
    signed: Vec<(&'a [u8], &'a [u8])>,
    /// The value of `h=`, folded.
    names: String,
    body_hash: String,
}

impl<'a> Message<'a> {
    pub(super) fn read(octets: &'a [u8]) -> Result<Self, SignError> {
        let mut fields = Fields::new(octets);
        let all: Vec<Field<'a>> = fields.by_ref().collect();
        let End::Regular { body } = fields.end() else { return Err(SignError::GarbageInHeader) };
        if !all.iter().any(|field| field.is("From")) {
            return Err(SignError::NoFrom);
        }
        let body_hash = BASE64.encode(relaxed_hash(octets.get(body..).unwrap_or_default()));
        let mut message = Self { signed: Vec::new(), names: String::new(), body_hash };
        OVERSIGNED.iter().for_each(|name| message.choose(&all, name, true));
        SIGNED.iter().for_each(|name| message.choose(&all, name, false));
        Ok(message)
    }

    /// Repeated fields are taken from the bottom to the top (RFC 6376 §5.4.2).
    fn choose(&mut self, all: &[Field<'a>], name: &'static str, oversigned: bool) {
        let found = || all.iter().rev().filter(|field| field.is(name)).take(REPEATED_MAX);
        self.signed.extend(found().map(|field| (field.name, field.value)));
        for _ in 0..found().count() + usize::from(oversigned) {
            let column = self.names.len() - self.names.rfind('\n').unwrap_or(0);
            match self.names.is_empty() {
                true => {}
                false if column + 1 + name.len() > LINE_CHARACTERS => self.names.push_str(":\r\n\t "),
                false => self.names.push(':'),
            }
            self.names.push_str(name);
        }
    }

    /// The signed fields in the order of `h=`.
    pub(super) fn signed(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.signed.iter().copied()
    }

    /// What `DKIM-Signature` and `ARC-Message-Signature` have in common, up to the signature itself.
    pub(super) fn tags(&self, pair: &KeyPair, algorithm: Algorithm, now: SystemTime) -> String {
        format!(
            "c=relaxed/relaxed;\r\n\td={};\r\n\ts={}; t={};\r\n\th={};\r\n\tbh={};\r\n\tb=",
            pair.domain(),
            pair.selector_of(algorithm),
            seconds(now),
            self.names,
            self.body_hash,
        )
    }
}

/// One field with its signature: over the canonical `fields`, then over itself with an empty `b=` (RFC 6376 §3.7).
pub(super) fn signature_field<'a>(
    name: &str,
    tags: &str,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    pair: &KeyPair,
    algorithm: Algorithm,
) -> Option<String> {
    let value = format!(" {tags}");
    let mut canonical = Vec::new();
    Relaxed.canonicalize_headers(fields, &mut canonical);
    Relaxed.canonicalize_headers([(name.as_bytes(), value.as_bytes())].into_iter(), &mut canonical);
    let signature = BASE64.encode(pair.sign(algorithm, &canonical)?);
    Some(format!("{name}:{value}{}\r\n", folded(&signature)))
}

/// Base64 in lines; white space inside `b=` does not count.
fn folded(base64: &str) -> String {
    let mut lines = String::new();
    let mut rest = base64;
    while let Some((line, behind)) = rest.split_at_checked(LINE_CHARACTERS - 4) {
        lines.push_str(line);
        lines.push_str("\r\n\t ");
        rest = behind;
    }
    lines + rest
}

/// Seconds since 1970, as `t=` counts.
pub(super) fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
