//! What the HTTPS door shows: the same records that the overlay serves.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use dccp::partner::PartnerFile;
use dccp::{Did, UnixMillis};
use finding::WellKnown;

use super::{Introductions, Own};
use crate::clock::Clock;
use crate::publication::{Entry, Published, Unavailable};

/// How long our own pages are served as they are: prekeys change once a day, and tomorrow's stand there today.
const PREPARED_FOR_MS: u64 = 60_000;

/// Our records for everybody who has a web client.
pub struct Publishing {
    introductions: Arc<Introductions>,
    own: Arc<Own>,
    domains: Vec<String>,
    succession: Option<Vec<u8>>,
    clock: Clock,
    prepared: RwLock<Option<(UnixMillis, Arc<Entry>)>>,
}

impl Publishing {
    /// `succession` is the notice that accompanies a change of our DID, while there is one.
    pub fn new(
        introductions: Arc<Introductions>,
        own: Arc<Own>,
        domains: Vec<String>,
        succession: Option<Vec<u8>>,
        clock: Clock,
    ) -> Publishing {
        Publishing { introductions, own, domains, succession, clock, prepared: RwLock::default() }
    }

    fn ours(&self) -> Result<Arc<Entry>, Unavailable> {
        let now = (self.clock)();
        let prepared = self.prepared.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, entry)) = prepared
            && now < at.saturating_add_ms(PREPARED_FOR_MS)
        {
            return Ok(entry);
        }
        let entry = Arc::new(prepare(&self.own.bundle(), now)?);
        *self.prepared.write().unwrap_or_else(PoisonError::into_inner) = Some((now, entry.clone()));
        Ok(entry)
    }
}

#[async_trait]
impl Published for Publishing {
    async fn page(&self, domain: &str) -> Result<Option<WellKnown>, Unavailable> {
        let is_ours = self.domains.iter().any(|ours| ours == domain);
        Ok(is_ours.then(|| WellKnown {
            did: self.own.did().clone(),
            nodes: self.own.node_addresses(),
            mirror: None,
            succession: self.succession.clone(),
        }))
    }

    async fn entry(&self, did: &Did) -> Result<Option<Arc<Entry>>, Unavailable> {
        if did == self.own.did() {
            return self.ours().map(Some);
        }
        let Some(bundle) = self.introductions.person(did).await? else { return Ok(None) };
        let bundle = PartnerFile::from_bytes(&bundle).map_err(|_| Unavailable)?;
        prepare(&bundle, (self.clock)()).map(|entry| Some(Arc::new(entry)))
    }
}

fn prepare(bundle: &PartnerFile, now: UnixMillis) -> Result<Entry, Unavailable> {
    Entry::new(bundle, now).map_err(|error| {
        tracing::error!(%error, did = %bundle.log.did(), "records that we publish do not verify");
        Unavailable
    })
}
