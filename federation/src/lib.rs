//! People: an address of ours becomes a person with an identity.
//!
//! ```text
//!   configuration: organisation DID + domains ─► Directory (immutable, one generation)
//!                                                    │
//!                       "Alice@ACME.example" ─► recognise ─► Ours(Person) | NotOurs | Null
//! ```
//!
//! # Words
//! *Directory*: what we know of our own people at one moment. *Person*: somebody of ours. *Recognition*: the answer to
//! "is this address ours?".
//!
//! # Invariants
//! - A [`Directory`] never changes; a flow takes one snapshot and notes its [`generation`](Directory::generation).
//! - Domains compare without regard to case (RFC 5321 §2.4); a sub-domain is ours only if it is listed itself.
//! - The local part belongs to the mail server behind us and is never changed or interpreted (RFC 5321 §2.3.11).
//!
//! # Deliberately absent
//! LDAP, SAML, OIDC and SCIM. Until they come, every address of our domains is a person whose DID is the
//! organisation's, and whether the mailbox exists is the business of the mail server behind us.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use dccp::Did;

/// Our own people at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    organisation: Did,
    domains: BTreeSet<String>,
    generation: u64,
}

/// Somebody of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The identity that signs for this person. Today it is the organisation's.
    pub did: Did,
    /// The address, its domain in lower case, its local part as it came.
    pub address: String,
}

/// Is this address ours?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// Yes, and this is who.
    Ours(Person),
    /// No, or it is no address at all.
    NotOurs,
    /// The empty reverse-path of reports (RFC 5321 §4.5.5).
    Null,
}

impl Directory {
    /// A directory that knows an organisation by its domains alone.
    pub fn of_domains(organisation: Did, domains: &[String]) -> Self {
        let domains: BTreeSet<String> =
            domains.iter().filter(|domain| !domain.is_empty()).map(|domain| domain.to_lowercase()).collect();
        let generation =
            fingerprint([organisation.as_str()].into_iter().chain(domains.iter().map(String::as_str)));
        Self { organisation, domains, generation }
    }

    /// Recognises an address without angle brackets, as it stood in `MAIL FROM` or `RCPT TO`.
    pub fn recognise(&self, address: &str) -> Recognition {
        if address.is_empty() {
            return Recognition::Null;
        }
        // A quoted local part may hold an "@" (RFC 5321 §4.1.2), a domain never does.
        match address.rsplit_once('@') {
            Some((local, domain)) if !local.is_empty() => self.recognise_parts(local, &domain.to_lowercase()),
            _ => Recognition::NotOurs,
        }
    }

    /// Equal contents have equal generations, also after a restart. For the journal; not a cryptographic hash.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn recognise_parts(&self, local: &str, domain: &str) -> Recognition {
        if !self.domains.contains(domain) {
            return Recognition::NotOurs;
        }
        Recognition::Ours(Person { did: self.organisation.clone(), address: format!("{local}@{domain}") })
    }
}

/// FNV-1a, 64 bits: the standard library promises no stable hash, and a stable one is all that is needed.
fn fingerprint<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    // 0xff occurs in no UTF-8 text and so keeps neighbours apart.
    texts
        .flat_map(|text| text.bytes().chain([0xff]))
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}
