//! The tables `partners` (one row per domain) and `partner_prekeys`.

use dccp::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};

/// A pinned domain.
pub(super) struct Row {
    /// Lower-case.
    pub(super) domain: String,
    /// The pinned DID.
    pub(super) did: String,
    /// The partner file of that DID, as text.
    pub(super) file: Vec<u8>,
    /// The partner file of another DID that came for this domain.
    pub(super) candidate: Option<Vec<u8>>,
    /// When the domain was first pinned.
    pub(super) added_at: UnixMillis,
    /// When the file was stored; it was verified then. A candidate that comes or goes leaves it.
    pub(super) changed_at: UnixMillis,
}

/// A verified prekey of a partner.
pub(super) struct PrekeyRow {
    pub(super) did: String,
    pub(super) key_id: [u8; 16],
    pub(super) epoch: u64,
    pub(super) record: Vec<u8>,
    pub(super) expires: UnixMillis,
}

const PINNED: &str = "pinned";
const CONFLICT: &str = "conflict";
const COLUMNS: &str = "SELECT domain, did, file, candidate, added_at, changed_at FROM partners";

pub(super) fn all(database: &Connection) -> rusqlite::Result<Vec<Row>> {
    database.prepare_cached(&format!("{COLUMNS} ORDER BY domain"))?.query_map([], read)?.collect()
}

pub(super) fn of_domain(database: &Connection, domain: &str) -> rusqlite::Result<Option<Row>> {
    database.prepare_cached(&format!("{COLUMNS} WHERE domain = ?1"))?.query_row([domain], read).optional()
}

pub(super) fn of_did(database: &Connection, did: &str) -> rusqlite::Result<Vec<Row>> {
    database
        .prepare_cached(&format!("{COLUMNS} WHERE did = ?1 ORDER BY domain"))?
        .query_map([did], read)?
        .collect()
}

/// Writes the row whole; whether the domain is in conflict follows from its candidate.
pub(super) fn put(database: &Connection, row: &Row) -> rusqlite::Result<()> {
    let standing = if row.candidate.is_some() { CONFLICT } else { PINNED };
    let (added, changed) = (number(row.added_at.as_u64()), number(row.changed_at.as_u64()));
    database.execute(
        "INSERT OR REPLACE INTO partners (domain, did, file, standing, candidate, added_at, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![row.domain, row.did, row.file, standing, row.candidate, added, changed],
    )?;
    Ok(())
}

/// Forgets a partner: all its domains and prekeys.
pub(super) fn delete(database: &Connection, did: &str) -> rusqlite::Result<()> {
    database.execute("DELETE FROM partners WHERE did = ?1", [did])?;
    delete_stray_prekeys(database)
}

/// Prekeys of organisations that have no domain (any more).
pub(super) fn delete_stray_prekeys(database: &Connection) -> rusqlite::Result<()> {
    database.execute("DELETE FROM partner_prekeys WHERE did NOT IN (SELECT did FROM partners)", [])?;
    Ok(())
}

/// Adds prekeys that are new and drops those of the past. Gives the number of new ones.
pub(super) fn add_prekeys(
    database: &Connection,
    rows: &[PrekeyRow],
    now: UnixMillis,
) -> rusqlite::Result<usize> {
    database.execute("DELETE FROM partner_prekeys WHERE expires <= ?1", [number(now.as_u64())])?;
    let mut added = 0;
    for row in rows {
        added += database.execute(
            "INSERT INTO partner_prekeys (did, key_id, epoch, record, expires)
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM partners WHERE did = ?1)
             ON CONFLICT DO NOTHING",
            params![row.did, row.key_id, number(row.epoch), row.record, number(row.expires.as_u64())],
        )?;
    }
    Ok(added)
}

/// Every stored prekey record with its DID, in the order they were learned.
pub(super) fn prekeys(database: &Connection) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    let mut query = database.prepare_cached("SELECT did, record FROM partner_prekeys ORDER BY rowid")?;
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let time = |column| row.get(column).map(|at: i64| UnixMillis(u64::try_from(at).unwrap_or_default()));
    Ok(Row {
        domain: row.get(0)?,
        did: row.get(1)?,
        file: row.get(2)?,
        candidate: row.get(3)?,
        added_at: time(4)?,
        changed_at: time(5)?,
    })
}

/// SQLite's integers are signed; our times and days stay far below the sign bit.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
