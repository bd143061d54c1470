//! The file: its directory, its permissions, its lock, its pragmas and the ladder of its schema.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::SpoolError;
use super::config::{
    BUSY_TIMEOUT, LOG_BYTES_KEPT_MAX, LOG_PAGES, PAGE_BYTES, READER_CACHE_KIB, STATEMENTS_KEPT,
    WRITER_CACHE_KIB,
};

/// The first SQLite without the WAL-reset bug, which could lose a committed transaction (sqlite.org/wal.html).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Marks the file as ours (`PRAGMA application_id`): "DCCP".
const APPLICATION_ID: i64 = 0x4443_4350;

/// The ladder: step *n* takes the schema from version *n* to *n + 1*. Steps are only ever added.
pub(super) const LADDER: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_keys.sql"),
    include_str!("schema_people.sql"),
    include_str!("schema_queue.sql"),
    include_str!("schema_exchange.sql"),
    include_str!("schema_large.sql"),
    include_str!("schema_agents.sql"),
    include_str!("schema_approval.sql"),
    include_str!("schema_archive.sql"),
    include_str!("schema_shared.sql"),
];

/// Opens (and if needed creates and upgrades) the database for the writer.
pub(super) fn open_writer(path: &Path) -> Result<Connection, SpoolError> {
    check_version(rusqlite::version_number(), rusqlite::version())?;
    prepare_directory(path)?;
    prepare_file(path)?;
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| cannot_open(path, &error))?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    check_owner(&conn, path)?;
    set_for_writing(&conn, path)?;
    climb(&mut conn, path)?;
    Ok(conn)
}

/// Opens the database for look-ups. The writer has prepared everything before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SpoolError> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "cache_size", -i64::from(READER_CACHE_KIB))?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(conn)
}

/// Says "a gateway works here" until it is dropped. Unlocked by name, not by closing: a process that was just begun by
/// another thread holds a copy of every open file for a moment, and with it the lock.
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by the end of this process.
        _ = self.0.unlock();
    }
}

/// Takes the lock that says "a gateway works here", for as long as it is kept. The command line does
/// not take it: it may write beside a running gateway, it just never hands out rows.
pub(super) fn lock(path: &Path) -> Result<Lock, SpoolError> {
    prepare_directory(path)?;
    let path = path.with_extension("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| cannot_open(&path, &error))?;
    file.try_lock().map_err(|_held| SpoolError::InUse { path })?;
    Ok(Lock(file))
}

fn check_version(found: i32, name: &str) -> Result<(), SpoolError> {
    if found < SQLITE_VERSION_MIN {
        return Err(SpoolError::SqliteTooOld { found: name.to_owned() });
    }
    Ok(())
}

/// The directory holds sealed mail: only the gateway's user may enter. One that we make is 0700; one of ours that is
/// open to others is closed; one that is shared on purpose (sticky, like /tmp) is refused.
fn prepare_directory(path: &Path) -> Result<(), SpoolError> {
    let dir = directory_of(path);
    let prepare = || -> std::io::Result<u32> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(fs::metadata(dir)?.mode())
    };
    let mode = prepare().map_err(|error| cannot_open(dir, &error))?;
    if mode & 0o1000 != 0 {
        return Err(SpoolError::SharedDirectory { path: dir.to_path_buf() });
    }
    if mode & 0o077 != 0 {
        tracing::warn!(directory = %dir.display(), "the data directory was open to other users; closed it (0700)");
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(|error| cannot_open(dir, &error))?;
    }
    Ok(())
}

/// SQLite gives its log the permissions of the database, so the file has to be 0600 before SQLite sees it. A new
/// file's name is made durable with its directory: SQLite syncs contents, not the entry of a file it did not create.
fn prepare_file(path: &Path) -> Result<(), SpoolError> {
    let prepare = || -> std::io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        if file.metadata()?.len() == 0 {
            file.sync_all()?;
            File::open(directory_of(path))?.sync_all()?;
        }
        Ok(())
    };
    prepare().map_err(|error| cannot_open(path, &error))
}

/// The directory of the database; a bare file name means the current one.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file with anything in it must be ours.
fn check_owner(conn: &Connection, path: &Path) -> Result<(), SpoolError> {
    let not_ours = |_| SpoolError::NotASpool { path: path.to_path_buf() };
    let id: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(not_ours)?;
    let tables: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(not_ours)?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    Err(SpoolError::NotASpool { path: path.to_path_buf() })
}

/// Durability first, then speed; each line with its reason.
fn set_for_writing(conn: &Connection, path: &Path) -> Result<(), SpoolError> {
    // Only of effect before the first table exists.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let reason = format!("the file system does not carry a write-ahead log (journal mode is {mode})");
        return Err(SpoolError::Open { path: path.to_path_buf(), reason });
    }
    // FULL: the log is synced at every commit, before anybody is answered. NORMAL would sync only at checkpoints.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", i64::try_from(LOG_BYTES_KEPT_MAX).unwrap_or(i64::MAX))?;
    conn.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
    // Savepoints and sorts never spill to a file in /tmp.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // Deleted private keys are wiped with ON (`claim.rs`); sealed bodies need no wiping.
    conn.pragma_update(None, "secure_delete", "FAST")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(())
}

/// Climbs from the file's version to ours, one transaction for the whole ladder. Foreign keys rest meanwhile, because a
/// step may make a table anew that others name; what they promise is looked at before the end.
fn climb(conn: &mut Connection, path: &Path) -> Result<(), SpoolError> {
    conn.pragma_update(None, "foreign_keys", false)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(LADDER.len()).unwrap_or(i64::MAX);
    let at =
        usize::try_from(found).map_err(|_negative| SpoolError::NotASpool { path: path.to_path_buf() })?;
    let steps = LADDER.get(at..).ok_or(SpoolError::SchemaNewer { found, known })?;
    for step in steps {
        tx.execute_batch(step)?;
    }
    if !steps.is_empty() {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", known)?;
        if tx.prepare("PRAGMA foreign_key_check")?.exists([])? {
            return Err(SpoolError::Corrupt("a record names a row that is not there".to_owned()));
        }
    }
    tx.commit()?;
    conn.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

fn cannot_open(path: &Path, error: &dyn std::error::Error) -> SpoolError {
    SpoolError::Open { path: path.to_path_buf(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_sqlite_is_refused_by_name() {
        let refused = check_version(3_050_002, "3.50.2").unwrap_err();
        assert!(refused.to_string().contains("SQLite 3.50.2 is linked"), "{refused}");
        assert_eq!(check_version(rusqlite::version_number(), rusqlite::version()), Ok(()));
    }
}
