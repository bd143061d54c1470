//! The workers that are there for as long as the gateway runs, and who notices when one of them falls.
//!
//! A worker that panics takes nothing else with it: mail goes on, while keys are destroyed or receipts sent no more. Nobody would
//! see that, so the log says it, and the overview raises an alarm until the gateway is started anew.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The workers that ended before they were told to. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Fallen(Arc<Mutex<BTreeSet<&'static str>>>);

/// The place of a worker; who leaves it before `stop` has fallen.
struct Post {
    worker: &'static str,
    fallen: Fallen,
    stop: CancellationToken,
}

impl Fallen {
    /// Their names.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.lock().iter().copied().collect()
    }

    /// The work of a worker that ends at `stop` and never before.
    pub(super) fn watched(
        &self,
        worker: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let post = Post { worker, fallen: self.clone(), stop: stop.clone() };
        async move {
            let _left_by_a_panic_too = post;
            work.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        let worker = self.worker;
        tracing::error!(
            worker,
            "a worker has fallen; what it does is not done until the gateway is started anew"
        );
        self.fallen.lock().insert(worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_is_missed_and_one_that_was_told_to_stop_is_not() {
        let (fallen, stop) = (Fallen::default(), CancellationToken::new());
        let panics = async { panic!("a row that nobody thought of") };
        let told = stop.clone();
        let works = fallen.watched("receipts", async move { told.cancelled().await }, &stop);
        let works = tokio::spawn(works);
        assert!(tokio::spawn(fallen.watched("housekeeping", panics, &stop)).await.is_err());
        assert_eq!(fallen.names(), ["housekeeping"]);
        stop.cancel();
        works.await.unwrap();
        assert_eq!(fallen.names(), ["housekeeping"]);
    }
}
