//! Whom a rule of the archive is about: an address, a domain, or either with `*` for any letters.

use std::fmt;
use std::str::FromStr;

/// The longest address there can be (RFC 5321 §4.5.3.1.3), and so the longest pattern that could fit one.
const PATTERN_BYTES_MAX: usize = 256;

/// `alice@acme.test`, `acme.test`, `*.acme.test`, `board-*@acme.test`. Without an `@` it is about the domain alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// The text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern is an address or a domain of 1 to {PATTERN_BYTES_MAX} octets without blanks; * stands for any letters"
)]
pub struct BadPattern;

impl Pattern {
    /// As it is compared: in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is about this address; no null sender is anybody's.
    pub fn fits(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        let Some((_, domain)) = address.rsplit_once('@') else { return false };
        stands_for(&self.0, if self.0.contains('@') { &address } else { domain })
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let is_letter = |c: char| !c.is_whitespace() && !c.is_control();
        match (1..=PATTERN_BYTES_MAX).contains(&text.len()) && text.chars().all(is_letter) {
            true => Ok(Self(text.to_lowercase())),
            false => Err(BadPattern),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The pieces between the stars, in their order: the first at the start, the last at the end, each other one at the
/// earliest place after the one before. Never goes back, so no pattern takes long.
fn stands_for(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in between.split('*').filter(|piece| !piece.is_empty()) {
        let Some((_, behind)) = left.split_once(piece) else { return false };
        left = behind;
    }
    left.ends_with(last)
}
