//! The writer: one thread, one connection, many jobs per sync.
//!
//! ```text
//! callers ──jobs──► bounded channel ──► take what waits ─► BEGIN ─► job in savepoint ─► … ─► COMMIT (one sync) ─► answers
//!                                         ≤ 256 jobs, ≤ 16 MiB        a failing job rolls back alone
//! ```
//!
//! Nobody waits for a timer: while one batch is being synced the next one gathers by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::SpoolError;
use super::bell::Bells;
use super::claim::Wipe;
use super::config::{BATCH_BYTES_MAX, BATCH_JOBS_MAX, BUSY_TIMEOUT, PAGE_BYTES, WIPE_DELAY, WIPE_PATIENCE};
use super::desk::{Desk, Effects, Tallies};
use super::disk;
use super::large::forget_pages;
use super::lease::Leases;
use super::stats::Stats;

/// What reaches the writer.
pub(super) enum Command {
    Do(Box<dyn Job>),
    /// Finish what waits, fold the log back, end.
    Stop,
}

/// One caller's request. All of it becomes durable, or nothing of it.
pub(super) trait Job: Send {
    /// How much it adds to the log, for the size of a batch.
    fn bytes(&self) -> usize;
    /// Whether it brings in new mail, which a nearly full disk refuses.
    fn demand(&self) -> Demand;
    /// Does the work, once.
    fn perform(&mut self, desk: &mut Desk<'_>) -> Result<(), SpoolError>;
    /// Tells the caller. Returns whether the caller was still there.
    fn answer(self: Box<Self>, outcome: Result<(), SpoolError>) -> bool;
}

/// Bytes that can still be written.
struct Room {
    /// On the file system; `u64::MAX` from one that cannot tell.
    on_disk: u64,
    /// In free pages of the database file; counted only when the disk has little.
    in_file: u64,
}

/// What a job wants the last free bytes of the disk for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Takes in new mail: refused below the floor, so that mail already accepted can still be finished.
    Mail,
    /// Takes in what ends mail (receipts): refused only when there is hardly room to end anything.
    Control,
    /// Moves or ends what is there.
    Housework,
}

/// A job made of a closure and the channel its answer goes to.
pub(super) struct Errand<W, T> {
    pub(super) bytes: usize,
    pub(super) demand: Demand,
    pub(super) work: Option<W>,
    pub(super) done: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, SpoolError>>,
    /// What it holds of the bytes that may wait.
    pub(super) _room: OwnedSemaphorePermit,
}

impl<W, T> Job for Errand<W, T>
where
    W: FnOnce(&mut Desk<'_>) -> Result<T, SpoolError> + Send,
    T: Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn demand(&self) -> Demand {
        self.demand
    }

    fn perform(&mut self, desk: &mut Desk<'_>) -> Result<(), SpoolError> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(desk)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), SpoolError>) -> bool {
        let Self { done, reply, .. } = *self;
        reply.send(outcome.and_then(|()| done.ok_or(SpoolError::Closed))).is_ok()
    }
}

/// Owns the write connection. Lives on its own thread until it is told to stop or every door is gone.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) inbox: mpsc::Receiver<Command>,
    pub(super) leases: Arc<Leases>,
    pub(super) bells: Arc<Bells>,
    pub(super) stats: Arc<Stats>,
    pub(super) directory: PathBuf,
    pub(super) free_bytes_min: u64,
    /// Since when the log has what was deleted for ever.
    pub(super) unwiped_since: Option<Instant>,
}

/// A job of the running batch, with what it did or why it did not.
type Performed = (Box<dyn Job>, Result<Effects, SpoolError>);

/// Whose fault it is that a job failed, and so who has to bear it.
enum Failure {
    /// Rolled back alone; the jobs beside it go on.
    OfTheJob(SpoolError),
    /// The whole batch is lost.
    OfTheDisk(SpoolError),
}

impl Writer {
    /// The loop of the thread.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.gather() {
            self.commit(batch);
        }
        self.fold_back();
    }

    /// Waits for a job, then takes what else is already waiting. `None`: all is done.
    fn gather(&mut self) -> Option<Vec<Box<dyn Job>>> {
        let first = self.first()?;
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_JOBS_MAX && bytes < BATCH_BYTES_MAX {
            match self.inbox.try_recv() {
                Ok(Command::Do(job)) => {
                    bytes += job.bytes();
                    batch.push(job);
                }
                Ok(Command::Stop) => self.inbox.close(),
                Err(_nothing_waits) => break,
            }
        }
        Some(batch)
    }

    /// Waits for a job. After `Stop` the channel is closed, and what still waits in it is done before the end.
    fn first(&mut self) -> Option<Box<dyn Job>> {
        loop {
            match self.inbox.blocking_recv()? {
                Command::Do(job) => return Some(job),
                Command::Stop => self.inbox.close(),
            }
        }
    }

    /// One transaction, one sync, then every answer.
    fn commit(&mut self, batch: Vec<Box<dyn Job>>) {
        let mut performed = Vec::with_capacity(batch.len());
        match self.transact(batch, &mut performed) {
            Ok(()) => {
                self.wipe(&performed);
                self.forget(&performed);
                self.answer_durable(performed);
            }
            Err(error) => self.answer_lost(performed, &error),
        }
    }

    /// Folds the log back when it has kept what was deleted for long enough. Asked after every batch: the gateway's
    /// housekeeping sends one each second, so that nothing waits for the next mail.
    fn wipe(&mut self, performed: &[Performed]) {
        let durable = performed.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
        let wipe = durable.filter_map(Effects::wipe).max();
        if wipe.is_some() {
            self.unwiped_since.get_or_insert_with(Instant::now);
        }
        let overdue = self.unwiped_since.is_some_and(|since| since.elapsed() >= WIPE_DELAY);
        if (overdue || wipe == Some(Wipe::Now)) && self.fold_back_within(WIPE_PATIENCE) {
            self.unwiped_since = None;
        }
    }

    /// Lets go of the pages of large bodies: they passed through, and the page cache is for the indexes.
    fn forget(&self, performed: &[Performed]) {
        let mut durable = performed.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
        if durable.any(Effects::passes_through) {
            // Nothing but memory depends on it.
            _ = forget_pages(&self.conn);
        }
    }

    /// Performs the batch. On error nothing of it is kept, and `performed` has every job.
    fn transact(&self, batch: Vec<Box<dyn Job>>, performed: &mut Vec<Performed>) -> Result<(), SpoolError> {
        let room = self.room();
        let mut lost = self.execute("BEGIN IMMEDIATE").err();
        let mut tallies = Tallies::default();
        for mut job in batch {
            let outcome = match &lost {
                Some(error) => Err(error.clone()),
                None if !self.has_room(&room, job.demand()) => Err(SpoolError::Full),
                None => self.perform(job.as_mut()).map_err(|failure| match failure {
                    Failure::OfTheJob(error) => error,
                    Failure::OfTheDisk(error) => lost.insert(error).clone(),
                }),
            };
            if let Ok(effects) = &outcome {
                tallies.merge(effects.tallies());
            }
            performed.push((job, outcome));
        }
        let committed = match lost {
            Some(error) => Err(error),
            None => tallies.write(&self.conn).and_then(|()| self.sync(performed)),
        };
        if committed.is_err() && !self.conn.is_autocommit() {
            // The error that matters is the first one.
            let _rolled_back = self.execute("ROLLBACK");
        }
        committed
    }

    /// One job in its own savepoint.
    fn perform(&self, job: &mut dyn Job) -> Result<Effects, Failure> {
        self.execute("SAVEPOINT job").map_err(Failure::OfTheDisk)?;
        let mut desk = Desk { conn: &self.conn, leases: &self.leases, effects: Effects::default() };
        let done =
            catch_unwind(AssertUnwindSafe(|| job.perform(&mut desk))).unwrap_or(Err(SpoolError::Panicked));
        let effects = desk.effects;
        let kept = match done {
            Ok(()) => self.execute("RELEASE job").map_err(Failure::OfTheDisk),
            // Disk full or an I/O error: SQLite may already have rolled back the whole transaction.
            Err(error) if error.sinks_the_batch() || self.conn.is_autocommit() => {
                Err(Failure::OfTheDisk(error))
            }
            Err(error) => match self.execute("ROLLBACK TO job").and_then(|()| self.execute("RELEASE job")) {
                Ok(()) => Err(Failure::OfTheJob(error)),
                Err(worse) => Err(Failure::OfTheDisk(worse)),
            },
        };
        match kept {
            Ok(()) => Ok(effects),
            Err(failure) => {
                effects.undo(&self.leases);
                Err(failure)
            }
        }
    }

    /// Makes the batch durable.
    fn sync(&self, performed: &[Performed]) -> Result<(), SpoolError> {
        let start = Instant::now();
        self.execute("COMMIT")?;
        let durable = performed.iter().filter(|(_, outcome)| outcome.is_ok());
        let (jobs, bytes) = durable.fold((0, 0), |(jobs, bytes), (job, _)| (jobs + 1, bytes + job.bytes()));
        self.stats.committed(jobs, bytes, start.elapsed());
        Ok(())
    }

    fn answer_durable(&self, performed: Vec<Performed>) {
        for (job, outcome) in performed {
            match outcome {
                Ok(effects) => {
                    effects.happen(&self.leases, &self.bells);
                    if !job.answer(Ok(())) {
                        effects.unclaimed(&self.leases, &self.bells);
                    }
                }
                Err(error) => {
                    self.stats.failed(error == SpoolError::Full);
                    job.answer(Err(error));
                }
            }
        }
    }

    /// Nothing of the batch was kept: each gets the reason, and the writer goes on with the next batch.
    fn answer_lost(&self, performed: Vec<Performed>, reason: &SpoolError) {
        tracing::error!(%reason, jobs = performed.len(), "the spool could not commit");
        self.stats.disk_error(reason.to_string());
        for (job, outcome) in performed {
            self.stats.failed(*reason == SpoolError::Full);
            match outcome {
                Ok(effects) => {
                    effects.undo(&self.leases);
                    job.answer(Err(reason.clone()));
                }
                Err(error) => {
                    job.answer(Err(error));
                }
            }
        }
    }

    /// How much room there is. Once the disk has little, the log is folded back first: its bytes return to the disk,
    /// and pages that ended mail left free in it can be counted.
    fn room(&self) -> Room {
        let free = |writer: &Self| disk::free_bytes(&writer.directory).unwrap_or(u64::MAX);
        let on_disk = free(self);
        if on_disk >= self.free_bytes_min {
            return Room { on_disk, in_file: 0 };
        }
        self.fold_back();
        let pages: i64 = self.conn.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap_or(0);
        let in_file = u64::try_from(pages).unwrap_or(0).saturating_mul(u64::from(PAGE_BYTES));
        Room { on_disk: free(self), in_file }
    }

    /// Whether that is enough for such a job. Even what fits into free pages of the file goes through the log first,
    /// so mail always leaves half the floor on the disk, and receipts a quarter.
    fn has_room(&self, room: &Room, demand: Demand) -> bool {
        let floor = self.free_bytes_min;
        match demand {
            Demand::Mail => room.on_disk >= floor / 2 && room.on_disk.saturating_add(room.in_file) >= floor,
            Demand::Control => room.on_disk >= floor / 4,
            Demand::Housework => true,
        }
    }

    /// A clean end leaves one file and an empty log. Not needed for durability: opening folds back just as well. Says
    /// whether the log is empty now; look-ups that began before can keep it.
    fn fold_back(&self) -> bool {
        let folded: rusqlite::Result<bool> =
            self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        match folded {
            Ok(busy) => !busy,
            Err(error) => {
                tracing::warn!(%error, "the spool's log was not folded back; it is tried again");
                false
            }
        }
    }

    fn fold_back_within(&self, patience: Duration) -> bool {
        let patient = self.conn.busy_timeout(patience);
        let folded = patient.is_ok() && self.fold_back();
        // Cannot fail: it sets a number.
        _ = self.conn.busy_timeout(BUSY_TIMEOUT);
        folded
    }

    fn execute(&self, statement: &str) -> Result<(), SpoolError> {
        self.conn.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
}
