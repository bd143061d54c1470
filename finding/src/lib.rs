//! Finding people: from a mail domain to the identity of an organisation, and from an identity to its records.
//!
//! # Words
//! [`Finder`]: asks DNS and HTTPS what a domain says of itself. [`Discovered`]: what was found, with its [`Trust`].
//! [`WellKnown`]: the page `/.well-known/dccp.json`. [`Mirror`]: an HTTPS server that keeps records.
//! [`Source`]: anything that can be asked for the records of a DID. [`Resolver`]: asks several, believes none.
//! [`recheck`]: what a later look means for a DID that was pinned. [`MailFinder`]: what a mail domain says of its
//! servers, for mail that leaves the overlay.
//!
//! # Flow
//! ```text
//! domain ─► TXT _dccp.<domain> (DNSSEC) ──┐ same DID?
//!        ─► https://<domain>/.well-known/dccp.json ─ else https://dccp.<domain>/… ─┐
//!                                         └──► DID ─► bundle (mirror ∥ overlay) ─► verified log ─ names the domain back? ─► Discovered
//! DID    ─► memory ─► cache ─► sources in parallel ─► compare logs, epochs ─► Resolution | typed error
//! ```
//!
//! # Invariants
//! * **Nothing is believed because of where it came from**: DNS and HTTPS only suggest a DID; its own log must verify
//!   and name the domain back, or nothing is found at all.
//! * **No answer is not an answer**: a server that fails, is slow or silent gives a temporary error, never "there is
//!   nothing"; and nothing in this crate means that plaintext may be sent.
//! * **Every conversation ends**: total deadlines, sizes, counts; no redirects; no address inside anybody's network.
//! * **Nothing goes back**: a shorter log or a smaller manifest epoch never replaces what was seen; two logs of one DID
//!   that contradict each other freeze it.
//!
//! # Deliberately absent
//! Pinning, quarantine and who decides about them (the gateway); the overlay as a source (the gateway brings it as a
//! [`Source`]); serving our own pages (`gateway::publication`).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod address;
mod domain;
mod error;
mod finder;
#[cfg(test)]
mod fixture;
mod https;
mod mail;
mod mirror;
mod names;
mod recheck;
pub mod resolver;
mod settings;
mod trust;
mod txt;
mod well_known;

pub use address::is_public;
pub use domain::{BadDomain, DomainName};
pub use error::{DiscoverError, PageError};
pub use finder::{Discovered, Finder, FoundSuccession, HttpsFinding, is_inside};
pub use https::{FetchError, Given, Https};
pub use mail::{DnsMx, DnsTlsa, Looked, MailFinder, in_a_labels, trusted_roots};
pub use mirror::{BadMirror, Mirror};
pub use names::{DnsFinding, NameError};
pub use recheck::{Recheck, recheck};
pub use resolver::{
    Cache, CacheError, Cached, Frozen, HttpsMirror, Refusal, Resolution, ResolveError, Resolver, Source,
    SourceError, Standing,
};
pub use settings::{Settings, SetupError};
pub use trust::{Dnssec, Evidence, Trust, trust};
pub use txt::{BadTxt, claim};
pub use well_known::{BadWellKnown, WELL_KNOWN_BYTES_MAX, WELL_KNOWN_PATH, WellKnown};
