//! The spool keeps every message from the moment we answer for it until its end: *keep, then answer*.
//!
//! One SQLite database, written by one thread. Whoever wants something kept gives the writer a job and waits; the
//! writer puts all jobs that wait into one transaction, syncs once, and answers them all.
//!
//! ```text
//!  accept / arrive / sent / defer / settle            due / seen / by_queue_id / counts
//!        │ jobs (bounded)                                    │
//!        ▼                                                   ▼
//!  writer thread: BEGIN · savepoint per job · COMMIT   readers: own connections, never wait
//!        │ one sync per batch                                ▲
//!        ├──────────────► gateway.db + log ──────────────────┘
//!        └─► answers, then bells: "there is work"
//! ```
//!
//! Its words: a [`Row`] is one message for one destination, a [`State`] says where it stands, a [`Note`] in the journal
//! says what happened, a *lease* says who works on it just now, a [`Settlement`] is its end.
//!
//! Invariants:
//! - An `Ok` is durable: after it, no crash loses or undoes what was asked.
//! - All of a job is kept, or nothing of it. A failing job does not touch the jobs beside it.
//! - A row that has not ended has a body; a row that has ended has none, and never moves again.
//! - A row that names a large body is kept only with all of it; the body stays until the last row has ended, the last copy in the
//!   archive is over and the last agent has it.
//! - A row is in at most one worker's hands. Leases live in memory: after a crash every row is simply due again.
//! - Nothing clear rests: the spool stores what others sealed, private keys among them, and opens none of it.
//! - A copy in the archive is durable with what promises it, never changes, and goes when its time is over and no legal
//!   hold keeps it; there is no other way out.
//!
//! Deliberately absent: cryptography, retry times, routing, knowledge of what a body means.
//! `docs/SPOOL.md` has the table of moves and what a crash leaves at each point.

mod archive;
mod audit;
mod bell;
mod claim;
pub mod config;
mod database;
mod desk;
mod disk;
mod due;
mod entry;
mod error;
mod journal;
mod large;
mod late;
mod lease;
mod look;
mod moves;
mod orders;
mod purge;
mod queues;
mod readers;
mod release;
mod row;
mod settle;
mod stats;
mod stored;
mod time;
mod turns;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub use archive::{ArchiveTally, Copy, CopyQuery, CopyWay, KeptHold, NewCopy};
pub use audit::{AuditEntry, AuditFault, Audited};
pub use bell::Work;
pub use claim::ClaimedKey;
pub use config::SpoolConfig;
pub use database::Lock;
pub use dccp::UnixMillis;
pub use error::SpoolError;
pub use journal::{Note, Stage};
pub use large::{Draft, Large, LargeBody, LargeCounts};
pub use look::{Backlog, Count, Counts, Trouble};
pub use orders::{Act, Declined, Order};
pub use purge::Purged;
pub use row::{
    Arrival, Direction, DueRow, Kind, Lane, Learned, Moved, NewRow, Partly, PendingReceipt, Row, RowId,
    Settlement, Source, State, Turn, Waiting,
};
pub use stats::{BATCH_BUCKETS, StatsSnapshot};

use bell::Bells;
use config::{JOBS_BYTES_MAX, JOBS_WAITING_MAX};
use desk::Desk;
use large::Drafts;
use lease::Leases;
use readers::Readers;
use stats::Stats;
use turns::Turns;
use writer::{Command, Demand, Errand, Writer};

/// The door to the spool. Clones share everything.
#[derive(Clone)]
pub struct Spool(Arc<Shared>);

struct Shared {
    jobs: mpsc::Sender<Command>,
    /// Bytes that jobs may hold.
    room: Arc<Semaphore>,
    readers: Arc<Readers>,
    leases: Arc<Leases>,
    bells: Arc<Bells>,
    stats: Arc<Stats>,
    turns: Arc<Turns>,
    drafts: Drafts,
    config: SpoolConfig,
}

/// Ends the spool: when it goes, the writer finishes what waits, folds the log back and closes the file.
#[must_use = "dropping the guard closes the spool"]
pub struct SpoolGuard {
    readers: Arc<Readers>,
    stop: Option<mpsc::OwnedPermit<Command>>,
    thread: Option<JoinHandle<()>>,
    _lock: Option<Lock>,
}

impl Spool {
    /// Opens the spool for the gateway itself: makes what is missing, climbs the schema ladder, and makes sure that no
    /// other gateway works on it.
    ///
    /// # Errors
    /// The misconfigured ones of [`SpoolError`]; each says what to do.
    pub fn open(path: impl AsRef<Path>, config: SpoolConfig) -> Result<(Self, SpoolGuard), SpoolError> {
        let path = path.as_ref();
        let lock = database::lock(path)?;
        Self::start(path, config, Some(lock))
    }

    /// Keeps every gateway from working on this spool for as long as the lock is kept, without looking at it:
    /// for a command that changes what a running gateway holds in memory.
    ///
    /// # Errors
    /// [`SpoolError::InUse`] when one works on it now.
    pub fn keep_closed(path: impl AsRef<Path>) -> Result<Lock, SpoolError> {
        database::lock(path.as_ref())
    }

    /// Opens the spool beside a running gateway, for the command line. Everything works as with
    /// [`open`](Self::open), but rows must not be handed out (`due`, `expired`): leases do not reach across processes.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_offline(
        path: impl AsRef<Path>,
        config: SpoolConfig,
    ) -> Result<(Self, SpoolGuard), SpoolError> {
        Self::start(path.as_ref(), config, None)
    }

    /// Writes with the same group commit as mail, for rooms that keep their own tables here. All of the closure is
    /// durable on return, or nothing of it; it must not begin or end transactions itself.
    ///
    /// # Errors
    /// Temporary ones, or [`SpoolError::Refused`] with what the closure met.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.submit(0, Demand::Housework, move |desk| Ok(work(desk.conn)?)).await
    }

    /// Looks something up on a read-only connection, on a blocking thread.
    ///
    /// # Errors
    /// Temporary ones, or [`SpoolError::Refused`] with what the closure met.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.look_up(move |conn| Ok(look(conn)?)).await
    }

    /// A number that changes when *another process* has written (and only then: our own commits leave it alone).
    /// Costs one empty transaction, so ask every few seconds.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn data_version(&self) -> Result<i64, SpoolError> {
        // Asked on the write connection: any other one would also see our own commits.
        self.write(|conn| conn.pragma_query_value(None, "data_version", |row| row.get(0))).await
    }

    /// Hears when there may be new work of this kind. Mark the value seen, then look; a ring in between is not lost.
    #[must_use]
    pub fn listen(&self, work: Work) -> watch::Receiver<u64> {
        self.0.bells.listen(work)
    }

    /// Rings every bell: another process changed something, or time has come.
    pub fn ring_all(&self) {
        self.0.bells.ring_all();
    }

    /// What the writer counted since the start.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        self.0.stats.snapshot()
    }

    /// How many rows are in somebody's hands.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.0.leases.count()
    }

    /// How many jobs wait for the writer, beside those in the batch it works on.
    #[must_use]
    pub fn jobs_waiting(&self) -> usize {
        // One place is kept for the order to stop.
        JOBS_WAITING_MAX.saturating_sub(self.0.jobs.capacity())
    }

    fn start(path: &Path, config: SpoolConfig, lock: Option<Lock>) -> Result<(Self, SpoolGuard), SpoolError> {
        let conn = database::open_writer(path)?;
        let (jobs, inbox) = mpsc::channel(JOBS_WAITING_MAX + 1);
        let stop = jobs.clone().try_reserve_owned().ok();
        let shared = Shared {
            jobs,
            room: Arc::new(Semaphore::new(JOBS_BYTES_MAX)),
            readers: Arc::new(Readers::new(path.to_path_buf())),
            leases: Arc::new(Leases::new(config.lease)),
            bells: Arc::new(Bells::new()),
            stats: Arc::new(Stats::default()),
            turns: Arc::new(Turns::default()),
            drafts: Drafts::default(),
            config,
        };
        let writer = Writer {
            conn,
            inbox,
            leases: Arc::clone(&shared.leases),
            bells: Arc::clone(&shared.bells),
            stats: Arc::clone(&shared.stats),
            directory: database::directory_of(path).to_path_buf(),
            free_bytes_min: shared.config.free_bytes_min,
            unwiped_since: None,
        };
        let thread = std::thread::Builder::new()
            .name("spool-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| SpoolError::Open { path: path.to_path_buf(), reason: error.to_string() })?;
        let guard =
            SpoolGuard { readers: Arc::clone(&shared.readers), stop, thread: Some(thread), _lock: lock };
        Ok((Self(Arc::new(shared)), guard))
    }

    /// Gives the writer a job and waits until it is durable.
    async fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        demand: Demand,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let answer = self.hand_in(bytes, demand, work).await?;
        answer.await.unwrap_or(Err(SpoolError::Closed))
    }

    /// Gives the writer a job; the answer comes when it is durable.
    async fn hand_in<T: Send + 'static>(
        &self,
        bytes: usize,
        demand: Demand,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, SpoolError>>, SpoolError> {
        let share = u32::try_from(bytes.min(JOBS_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.0.room).acquire_many_owned(share).await;
        let room = room.map_err(|_closed| SpoolError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let job = Errand { bytes, demand, work: Some(work), done: None, reply, _room: room };
        self.0.jobs.send(Command::Do(Box::new(job))).await.map_err(|_closed| SpoolError::Closed)?;
        Ok(answer)
    }

    async fn look_up<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.0.readers.read(look).await
    }

    fn leases(&self) -> &Arc<Leases> {
        &self.0.leases
    }

    fn bells(&self) -> &Bells {
        &self.0.bells
    }

    fn drafts(&self) -> &Drafts {
        &self.0.drafts
    }

    fn config(&self) -> &SpoolConfig {
        &self.0.config
    }
}

impl SpoolGuard {
    /// Closes the spool and waits for the writer, without blocking the runtime.
    pub async fn close(self) {
        // A panic of the writer was reported by its thread; there is nothing left to save here.
        let _joined = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for SpoolGuard {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(Command::Stop);
        }
        self.readers.close();
        if let Some(thread) = self.thread.take() {
            // As in `close`.
            let _joined = thread.join();
        }
    }
}
