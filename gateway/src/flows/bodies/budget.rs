//! How many octets of large bodies may be open at one time, and who waits for them.
//!
//! Whoever waits works on nothing meanwhile: it *stands aside*, and its place among those that work at a time is somebody else's. Or
//! small mail would wait behind large mail that waits itself.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Octets that are open at one time, for all workers together: more than the largest mail has. Twenty mails that come at once
/// wait for each other, in the spool, where they cost nothing.
pub(super) const OPEN_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Tasks of one worker that stand aside at most: each has some kilobytes of its mail in memory.
const ASIDE_MAX: usize = 1_000;

/// The budget, as one worker has it. Clones are the same worker.
#[derive(Clone)]
pub(super) struct Budget {
    open: Arc<Semaphore>,
    aside: watch::Sender<usize>,
}

/// How many tasks of one worker stand aside.
pub struct Aside(watch::Receiver<usize>);

impl Budget {
    pub(super) fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(OPEN_BYTES_MAX)), aside: watch::Sender::new(0) }
    }

    /// The same octets for another worker.
    pub(super) fn apart(&self) -> Self {
        Self { open: Arc::clone(&self.open), aside: watch::Sender::new(0) }
    }

    pub(super) fn aside(&self) -> Aside {
        Aside(self.aside.subscribe())
    }

    /// A share of the octets, first come, first served. The semaphore is never closed; without a share no harm would come of it.
    pub(super) async fn share(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        let share = u32::try_from(octets.min(OPEN_BYTES_MAX)).unwrap_or(u32::MAX);
        if let Ok(share) = Arc::clone(&self.open).try_acquire_many_owned(share) {
            return Some(share);
        }
        let _aside = StandsAside::new(&self.aside);
        Arc::clone(&self.open).acquire_many_owned(share).await.ok()
    }
}

impl Aside {
    /// How many may join `tasks`, of which at most `working_max` may work.
    pub fn room(&self, tasks: usize, working_max: usize) -> usize {
        let working = tasks.saturating_sub(*self.0.borrow());
        working_max.saturating_sub(working).min((working_max + ASIDE_MAX).saturating_sub(tasks))
    }

    /// Returns when somebody stepped aside, or came back.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Counted for as long as it lives.
struct StandsAside<'a>(&'a watch::Sender<usize>);

impl<'a> StandsAside<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|aside| *aside += 1);
        Self(count)
    }
}

impl Drop for StandsAside<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|aside| *aside -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_octets_that_others_have_open_gives_its_place_to_small_mail() {
        let relaying = Budget::new();
        let delivering = relaying.apart();
        let (mut aside, of_the_relay) = (delivering.aside(), relaying.aside());
        let all = relaying.share(usize::MAX).await;
        assert_eq!(aside.room(4, 4), 0, "four work, and no more may");
        let waits = tokio::spawn(async move { delivering.share(1).await });
        aside.changed().await;
        assert_eq!((aside.room(4, 4), of_the_relay.room(4, 4)), (1, 0), "each worker counts its own");
        assert_eq!(aside.room(4 + ASIDE_MAX, 4), 0, "but not without end");
        drop(all);
        assert!(waits.await.unwrap().is_some());
        aside.changed().await;
        assert_eq!(aside.room(4, 4), 0, "it works again");
    }
}
