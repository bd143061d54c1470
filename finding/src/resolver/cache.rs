//! What was found before, kept by somebody else: the gateway's database.

use async_trait::async_trait;
use dccp::{Did, UnixMillis};

/// Keeps bundles across restarts. A cache that fails says so: forgetting would let logs and epochs go back.
#[async_trait]
pub trait Cache: Send + Sync {
    /// What is kept of a DID.
    async fn load(&self, did: &Did) -> Result<Option<Cached>, CacheError>;

    /// Keeps this in place of what was kept before; durable when it returns.
    async fn store(&self, did: &Did, cached: &Cached) -> Result<(), CacheError>;
}

/// What is kept of a DID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The best bundle we have seen, verified when it came.
    pub bundle: Vec<u8>,
    /// The epoch of its device manifest: what expired since still counts here.
    pub manifest_epoch: u64,
    /// When a source offered it last.
    pub fetched_at: UnixMillis,
    /// Set while two logs of the DID contradict each other.
    pub frozen: Option<Frozen>,
}

/// Why a DID is frozen, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The first operation in which the logs differ.
    pub at_seq: u64,
    /// The bundle that contradicts ours.
    pub rival: Vec<u8>,
}

/// The cache cannot be read or written: ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache of identities fails: {0}")]
pub struct CacheError(pub String);
