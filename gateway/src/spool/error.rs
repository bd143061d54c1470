//! What can go wrong at the spool's door, sorted by whose fault it is.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::{Declined, RowId, State};

/// Why the spool did not do what it was asked. Nothing of a refused request is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    // --- We are not ready: the same request may succeed later. ---------------------------------------------------
    /// The disk is full, or so nearly full that new mail is refused to leave room for finishing the old.
    #[error("the spool has no room for more mail")]
    Full,
    /// The archive may take no more bytes, and this mail must not go on without a copy.
    #[error("the archive is full, and the mail must be archived")]
    ArchiveFull,
    /// The disk answered with an error. The batch was rolled back; the writer goes on.
    #[error("the spool's disk failed: {0}")]
    Io(String),
    /// Too much of what a partner's gateway sends, or all of them send, is not whole yet.
    #[error("too many large bodies have begun to arrive and are not whole")]
    StagedEnough,
    /// The large body that a row names is not here, or not all of it.
    #[error("the large body is not here as a whole")]
    BodyMissing,
    /// Another process (the command line) kept the database locked for longer than we wait.
    #[error("the spool is locked by another process")]
    Busy,
    /// The gateway is shutting down.
    #[error("the spool is closed")]
    Closed,

    // --- We are misconfigured: an administrator has to act. ------------------------------------------------------
    /// The linked SQLite is older than the first release without the WAL-reset bug.
    #[error(
        "SQLite {found} is linked, but the spool needs 3.51.3 or newer (older releases can lose committed mail)"
    )]
    SqliteTooOld {
        /// The version that is linked.
        found: String,
    },
    /// Another gateway process works on this spool.
    #[error("another gateway is running on {}; two would send every message twice", .path.display())]
    InUse {
        /// The lock file that the other process holds.
        path: PathBuf,
    },
    /// The directory is shared with other users of the machine.
    #[error("{} is a shared directory; the spool needs one of its own (mode 0700)", .path.display())]
    SharedDirectory {
        /// The directory that was given.
        path: PathBuf,
    },
    /// The directory or the file could not be prepared.
    #[error("cannot open the spool at {}: {reason}", .path.display())]
    Open {
        /// The file or directory that failed.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file belongs to a newer gateway.
    #[error(
        "the spool has schema version {found}, but this gateway knows only up to {known}: use the newer gateway"
    )]
    SchemaNewer {
        /// The version in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file is a SQLite database of some other program.
    #[error("{} is not a spool", .path.display())]
    NotASpool {
        /// The file that was given.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("the spool is damaged: {0}")]
    Corrupt(String),

    // --- The caller asked for something impossible. --------------------------------------------------------------
    /// No row has this id (perhaps it was purged).
    #[error("no row {0}")]
    UnknownRow(RowId),
    /// A row with this id, or an arrival with this digest, is already kept.
    #[error("a row {0} is already kept")]
    RowExists(RowId),
    /// The move is not in the table of moves (docs/SPOOL.md).
    #[error("a row cannot go from {from} to {to}")]
    ImpossibleMove {
        /// The state the row is in, or `None` for a row that is new.
        from: &'static str,
        /// The state that was asked for.
        to: State,
    },
    /// Somebody else already put (some of) these receipts into a message.
    #[error("some of these receipts were already sent")]
    ReceiptsGone,
    /// A person's order does not fit the row.
    #[error(transparent)]
    Declined(#[from] Declined),
    /// The statement itself is wrong or breaks a constraint.
    #[error("the database refused: {0}")]
    Refused(String),
    /// The job panicked. Its own work was rolled back; the jobs beside it were not touched.
    #[error("a job of the spool panicked")]
    Panicked,
}

impl SpoolError {
    /// Whether the same request may succeed later: SMTP answers `4xx`, the overlay "not now".
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Full
                | Self::ArchiveFull
                | Self::Io(_)
                | Self::StagedEnough
                | Self::BodyMissing
                | Self::Busy
                | Self::Closed
        )
    }

    /// Whether the whole batch is lost with the job that met this error, because the disk and not the job is at fault.
    pub(super) fn sinks_the_batch(&self) -> bool {
        matches!(self, Self::Full | Self::Io(_) | Self::Busy | Self::Corrupt(_))
    }
}

impl From<rusqlite::Error> for SpoolError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::OperationInterrupted,
            ) => Self::Io(text),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            _ => Self::Refused(text),
        }
    }
}
