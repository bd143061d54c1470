//! What the writer counts, for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the batch-size buckets; the last is [`BATCH_JOBS_MAX`](super::config::BATCH_JOBS_MAX).
pub const BATCH_BUCKETS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Live counters. One writer, many readers, no locks on the way of a mail.
#[derive(Debug, Default)]
pub(super) struct Stats {
    commits: AtomicU64,
    commit_us: AtomicU64,
    jobs: AtomicU64,
    jobs_failed: AtomicU64,
    refused_full: AtomicU64,
    bytes: AtomicU64,
    batches: [AtomicU64; BATCH_BUCKETS.len()],
    last_error: Mutex<Option<String>>,
}

/// The counters at one moment, since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Transactions made durable: each is one sync of the log.
    pub commits: u64,
    /// Time spent in `COMMIT`, nearly all of it the sync.
    pub commit_us: u64,
    /// Jobs that became durable.
    pub jobs: u64,
    /// Jobs that were answered with an error.
    pub jobs_failed: u64,
    /// Of those, refused because the disk is (nearly) full.
    pub refused_full: u64,
    /// Bytes of the jobs that became durable.
    pub bytes: u64,
    /// How many batches had at most so many jobs (and more than the bucket before).
    pub batches: [u64; BATCH_BUCKETS.len()],
    /// What last went wrong with the disk, if anything ever did.
    pub last_error: Option<String>,
}

impl Stats {
    pub(super) fn committed(&self, jobs: usize, bytes: usize, took: Duration) {
        self.commits.fetch_add(1, Relaxed);
        self.commit_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.jobs.fetch_add(jobs as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        let bucket = BATCH_BUCKETS.partition_point(|bound| *bound < jobs as u64);
        if let Some(counter) = self.batches.get(bucket) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn failed(&self, full: bool) {
        self.jobs_failed.fetch_add(1, Relaxed);
        if full {
            self.refused_full.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn disk_error(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            commits: self.commits.load(Relaxed),
            commit_us: self.commit_us.load(Relaxed),
            jobs: self.jobs.load(Relaxed),
            jobs_failed: self.jobs_failed.load(Relaxed),
            refused_full: self.refused_full.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            batches: std::array::from_fn(|i| self.batches.get(i).map_or(0, |it| it.load(Relaxed))),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
