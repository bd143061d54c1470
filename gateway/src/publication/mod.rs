//! The HTTPS door where strangers find our identity: four kinds of pages, nothing else, for anybody.
//!
//! ```text
//! /.well-known/dccp.json              who this domain is            (finding::WellKnown)
//! /.well-known/dccp/did/<id>.cbor     the records, as bytes          (dccp::partner::PartnerFile)
//! /.well-known/dccp/did/<id>.json     the same for W3C software      (dccp::did::w3c)
//! /.well-known/did.json               the same as did:web:<domain>
//! ```
//!
//! `<id>` is what follows `did:dccp:`. What is served is prepared when it changes ([`Entry`]), so that a request costs
//! a look-up and no signature. Deliberately absent: request bodies, cookies, redirects, listings, the console.

mod answers;
mod entry;
mod guests;
mod server;

use std::sync::Arc;

use async_trait::async_trait;
use dccp::Did;
use finding::WellKnown;

pub use entry::Entry;
pub use server::serve;

/// What the house publishes. Asked for every request: look it up in a snapshot.
#[async_trait]
pub trait Published: Send + Sync + 'static {
    /// What `/.well-known/dccp.json` says under a domain; none: not a domain of ours.
    async fn page(&self, domain: &str) -> Result<Option<WellKnown>, Unavailable>;

    /// The records of a DID that we publish: our organisation, a predecessor during its succession, people who are
    /// listed; none: not ours, or not published.
    async fn entry(&self, did: &Did) -> Result<Option<Arc<Entry>>, Unavailable>;
}

/// The house cannot look it up now: the stranger is told to come back, never that there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is published cannot be read now")]
pub struct Unavailable;

#[cfg(test)]
mod tests;
