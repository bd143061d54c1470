//! Takes pairs into use when the world can see them.

use std::sync::Arc;
use std::time::Duration;

use smtp::authenticity::{KeyPair, Signer, Verifier, Visibility};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::folder::{DkimError, KeyFolder};
use crate::clock::Clock;

/// Looks at the folder and at DNS from time to time, and gives out who signs.
pub struct Rotation {
    keys: KeyFolder,
    verifier: Arc<Verifier>,
    signer: watch::Sender<Arc<Signer>>,
    every: Duration,
    clock: Clock,
}

impl Rotation {
    /// What signs already signs at once, without asking DNS.
    ///
    /// # Errors
    /// [`DkimError`] when a pair cannot be read.
    pub fn new(
        keys: KeyFolder,
        verifier: Arc<Verifier>,
        every: Duration,
        clock: Clock,
    ) -> Result<Rotation, DkimError> {
        let signer = watch::Sender::new(Arc::new(signing(&keys)?));
        Ok(Rotation { keys, verifier, signer, every, clock })
    }

    /// The pairs that sign, always the newest snapshot.
    pub fn signer(&self) -> watch::Receiver<Arc<Signer>> {
        self.signer.subscribe()
    }

    /// Looks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let looking = async {
            loop {
                if let Err(error) = self.look().await {
                    tracing::warn!(%error, "DKIM keys cannot be looked after; those in use go on signing");
                }
                tokio::time::sleep(self.every).await;
            }
        };
        stop.run_until_cancelled(looking).await;
    }

    /// One look: every waiting pair that is visible signs from now on.
    ///
    /// # Errors
    /// [`DkimError`]; what signed before goes on signing.
    pub async fn look(&self) -> Result<(), DkimError> {
        for domain in self.keys.domains()? {
            let pairs = self.keys.pairs(&domain)?;
            let mut chosen = pairs.signing;
            for waiting in pairs.waiting.into_iter().rev() {
                if self.is_visible(&waiting).await? {
                    tracing::info!(domain, selector = waiting.selector(), "a new DKIM key signs from now on");
                    chosen = Some(waiting);
                    break;
                }
            }
            if let Some(pair) = chosen {
                self.keys.sign_with(&domain, pair.selector(), (self.clock)())?;
            }
        }
        let signer = Arc::new(signing(&self.keys)?);
        self.signer.send_replace(signer);
        Ok(())
    }

    /// Whether both public keys stand in DNS: who looks only for one of them finds it.
    async fn is_visible(&self, pair: &KeyPair) -> Result<bool, DkimError> {
        for record in pair.published()? {
            if self.verifier.visibility(&record).await != Visibility::Visible {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn signing(keys: &KeyFolder) -> Result<Signer, DkimError> {
    let mut signing = Vec::new();
    for domain in keys.domains()? {
        signing.extend(keys.pairs(&domain)?.signing);
    }
    Ok(Signer::new(signing))
}
