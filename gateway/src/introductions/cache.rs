//! The database as the resolver's memory: what was verified once is not forgotten by a restart.

use async_trait::async_trait;
use dccp::Did;
use finding::{Cache, CacheError, Cached};

use crate::partners;
use crate::spool::{Spool, SpoolError};

/// See [`partners::recall`] and [`partners::keep`].
pub struct Identities(pub Spool);

#[async_trait]
impl Cache for Identities {
    async fn load(&self, did: &Did) -> Result<Option<Cached>, CacheError> {
        partners::recall(&self.0, did).await.map_err(failed)
    }

    async fn store(&self, did: &Did, cached: &Cached) -> Result<(), CacheError> {
        partners::keep(&self.0, did, cached).await.map_err(failed)
    }
}

fn failed(error: SpoolError) -> CacheError {
    CacheError(error.to_string())
}
