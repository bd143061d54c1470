//! Addresses as the envelope knows them: `Mailbox` of RFC 5321 §4.1.2, widened to UTF-8 by RFC 6531 §3.3.
//!
//! An [`Address`] cannot be wrong: it exists only as the result of a strict parse, so it can be written into
//! a command or a header without further checks.

mod domain;
mod local;

use std::fmt;
use std::str::FromStr;

/// RFC 5321 §4.5.3.1.1: octets before the `@`.
const LOCAL_OCTETS_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.2: octets after the `@`.
const DOMAIN_OCTETS_MAX: usize = 255;
/// RFC 5321 §4.5.3.1.3: a path has at most 256 octets, two of them are `<` and `>`.
const ADDRESS_OCTETS_MAX: usize = 254;

/// One mailbox: `local-part@domain`.
///
/// The local part keeps its case (RFC 5321 §2.4) and is quoted only where it must be (`"john"@x` and `john@x`
/// name the same mailbox, §4.1.2); the domain is lower-case, an address literal is `[192.0.2.1]` or
/// `[IPv6:2001:db8::1]`. Two addresses are equal when these forms are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// The part before the `@`, quoted where the grammar needs it.
    #[must_use]
    pub fn local(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The part after the `@`, lower-case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }

    /// `local@domain`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it can travel without SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Parses `local@domain` without angle brackets, spaces or comments, the whole text.
    ///
    /// # Errors
    /// Says which part broke which clause.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > ADDRESS_OCTETS_MAX + 2 * LOCAL_OCTETS_MAX {
            return Err(AddressError::TooLong); // before any work; quoting pairs may still shrink below
        }
        let (local, rest) = local::parse(text)?;
        let domain = rest.strip_prefix('@').ok_or(AddressError::NoDomain)?;
        let domain = domain::parse(domain)?;
        if local.len() > LOCAL_OCTETS_MAX {
            return Err(AddressError::LocalTooLong);
        }
        let at = local.len();
        let text = format!("{local}@{domain}");
        if text.len() > ADDRESS_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Self { text, at })
    }
}

/// Whether the text is a domain or an address literal as it may stand behind an `@`.
pub(crate) fn is_domain(text: &str) -> bool {
    domain::parse(text).is_ok()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

/// Where failures are reported to: the argument of `MAIL FROM`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a report; nothing may ever be sent back for it (RFC 5321 §4.5.5).
    Null,
    /// `<local@domain>`.
    Address(Address),
}

impl ReversePath {
    /// The address, or the empty string for the null path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Address(address) => address.as_str(),
        }
    }

    /// The address, if it is not the null path.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// Without angle brackets; the null path is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;

    /// The empty string is the null path, anything else must be an [`Address`].
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() { Ok(Self::Null) } else { text.parse().map(Self::Address) }
    }
}

/// Why a text is not a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@` after the local part.
    #[error("the address has no domain")]
    NoDomain,
    /// The part before the `@` is neither a dot-string nor a quoted string (RFC 5321 §4.1.2).
    #[error("the local part of the address is malformed")]
    Local,
    /// More than 64 octets before the `@` (RFC 5321 §4.5.3.1.1).
    #[error("the local part of the address has more than 64 octets")]
    LocalTooLong,
    /// The part after the `@` is neither a domain nor an IPv4 or IPv6 address literal.
    #[error("the domain of the address is malformed")]
    Domain,
    /// More than 254 octets in all (RFC 5321 §4.5.3.1.3).
    #[error("the address has more than 254 octets")]
    TooLong,
}

#[cfg(test)]
mod tests;
