//! What an administrator may set, and the limits that are ours.

use std::time::Duration;

/// Settings of the spool. `Default` suits a gateway on its own disk.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// How long a message that has ended stays traceable. Never shorter in effect than its time to live plus
    /// [`replay_skew_ms`](Self::replay_skew_ms): the row is also the memory that recognises a duplicate.
    pub journal_retention_ms: u64,
    /// How far a partner's clock may be behind ours: duplicates are recognised for the time to live plus this.
    pub replay_skew_ms: u64,
    /// New mail is refused while the disk has less free than this, so that mail already accepted can still be finished.
    pub free_bytes_min: u64,
    /// After this long a row that was handed out and neither moved nor released is handed out again. It heals a task
    /// that died; it must be longer than any hand-over can take (RFC 5321 §4.5.3.2.6 alone allows ten minutes).
    pub lease: Duration,
    /// What copies in the archive may take at most. A mail that must be archived and does not fit is refused for now.
    pub archive_bytes_max: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            journal_retention_ms: 30 * 24 * 3_600_000,
            replay_skew_ms: 3_600_000,
            free_bytes_min: 256 << 20,
            lease: Duration::from_secs(3_600),
            archive_bytes_max: u64::MAX,
        }
    }
}

/// Jobs that share one transaction and one sync at most. More would only lengthen the wait of the first one.
pub const BATCH_JOBS_MAX: usize = 256;

/// Bytes that share one transaction at most: about a tenth of a second of a plain disk, and well inside the page cache.
pub const BATCH_BYTES_MAX: usize = 16 << 20;

/// Jobs that may wait for the writer. Four full batches: enough to never leave the disk idle, and callers beyond wait
/// in their own tasks, where SMTP and overlay limits see them.
pub const JOBS_WAITING_MAX: usize = 4 * BATCH_JOBS_MAX;

/// Bytes of jobs that may wait for the writer or be in its hands: two full batches, so that one gathers while the other is
/// synced. Whoever brings more waits with it, and does not make more.
pub const JOBS_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// Chunks of one large body that wait for the writer: 2 MiB share a sync, and no mail waits long behind one.
pub const CHUNKS_UNANSWERED_MAX: usize = 8;

/// Bytes of large bodies that came from one partner before their message: four of the largest mails.
pub const STAGED_BYTES_PER_PARTNER_MAX: u64 = 256 << 20;

/// Bodies of one partner that are not whole; with the chunks of one body bounded this bounds rows too, however small they are.
pub const STAGED_BODIES_PER_PARTNER_MAX: u64 = 64;

/// Bytes of large bodies that came from all partners before their messages.
pub const STAGED_BYTES_MAX: u64 = 1 << 30;

/// How long a body that stopped arriving is kept (one hour): four times the longest pause between two attempts of a sender.
pub const STAGED_MS_MAX: u64 = 3_600_000;

/// Chunks that are deleted in one step: freeing their pages reads 4 MiB.
pub const SWEEP_CHUNKS_MAX: usize = 16;

/// Connections for look-ups. Readers never wait for the writer; this only bounds threads and page caches.
pub const READERS_MAX: usize = 4;

/// How long a write waits for a writer in another process (a partner import takes milliseconds).
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a database page. A sealed mail of 12 KB then takes four pages, of which three are its own; larger pages
/// make each touched index leaf a larger write to the log, smaller ones lengthen overflow chains.
pub const PAGE_BYTES: u32 = 4096;

/// Pages in the write-ahead log before the writer folds them back (32 MiB). A body that lives for seconds is then
/// mostly overwritten in the log's own page run before it is ever copied to the database.
pub const LOG_PAGES: u32 = 8192;

/// A log that a burst made longer than this is cut back (256 MiB).
pub const LOG_BYTES_KEPT_MAX: u64 = 256 << 20;

/// How long the log may keep what was deleted from it: folding it back costs about as much as ten mails, so that up to a
/// second of them share it.
pub const WIPE_DELAY: Duration = Duration::from_secs(1);

/// How long folding the log back for that waits for look-ups that still need it: they take milliseconds, and mail waits
/// meanwhile.
pub const WIPE_PATIENCE: Duration = Duration::from_millis(100);

/// Page cache of the writer (64 MiB): holds a full batch and the hot index pages without spilling.
pub const WRITER_CACHE_KIB: u32 = 64 << 10;

/// Page cache of each reader.
pub const READER_CACHE_KIB: u32 = 8 << 10;

/// Prepared statements that a connection keeps; above the number of distinct statements in this module.
pub const STATEMENTS_KEPT: usize = 128;

/// Rows that one purge or release moves in one job, so that mail never waits long behind housekeeping.
pub const SWEEP_ROWS_MAX: usize = 500;

/// What a move weighs in a batch besides bodies: its row and its notes.
pub(super) const MOVE_BYTES: usize = 512;

/// Characters of a note's reason that are kept: reasons explain, they do not quote.
pub const REASON_CHARS_MAX: usize = 500;
