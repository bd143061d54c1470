//! The tables `partners` (one row per domain), `partner_prekeys`, `identities` and `footings` (one row per DID).

use dccp::UnixMillis;
use finding::{Cached, Frozen};
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

/// On what footing a partner is known, beside its records.
#[derive(Clone)]
pub(super) struct Footing {
    /// 1 to 3.
    pub(super) trust: u8,
    /// When its domain was last looked at.
    pub(super) checked_at: Option<UnixMillis>,
    /// What that look found, when it was not the same.
    pub(super) notice: Option<String>,
}

impl Default for Footing {
    /// Introduced by an administrator.
    fn default() -> Footing {
        Footing { trust: TRUST_MANUAL, checked_at: None, notice: None }
    }
}

/// The trust level of what an administrator introduced (docs/PROTOCOL.md).
pub(super) const TRUST_MANUAL: u8 = 3;

/// The best records of a DID, partner's or stranger's.
pub(super) struct IdentityRow {
    pub(super) did: String,
    pub(super) kept: Cached,
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

/// Forgets a partner: all its domains, its prekeys and its footing.
pub(super) fn delete(database: &Connection, did: &str) -> rusqlite::Result<()> {
    database.execute("DELETE FROM partners WHERE did = ?1", [did])?;
    delete_strays(database)
}

/// Prekeys and footings of organisations that have no domain (any more).
pub(super) fn delete_strays(database: &Connection) -> rusqlite::Result<()> {
    database.execute("DELETE FROM partner_prekeys WHERE did NOT IN (SELECT did FROM partners)", [])?;
    database.execute("DELETE FROM footings WHERE did NOT IN (SELECT did FROM partners)", [])?;
    Ok(())
}

/// What is kept of a DID.
pub(super) fn identity(database: &Connection, did: &str) -> rusqlite::Result<Option<IdentityRow>> {
    let mut query = database.prepare_cached(
        "SELECT did, bundle, manifest_epoch, fetched_at, at_seq, rival FROM identities WHERE did = ?1",
    )?;
    query.query_row([did], read_identity).optional()
}

/// Writes it whole.
pub(super) fn put_identity(database: &Connection, row: &IdentityRow) -> rusqlite::Result<()> {
    let kept = &row.kept;
    let (at_seq, rival) = match &kept.frozen {
        Some(frozen) => (Some(number(frozen.at_seq)), Some(&frozen.rival)),
        None => (None, None),
    };
    database.execute(
        "INSERT OR REPLACE INTO identities (did, bundle, manifest_epoch, fetched_at, at_seq, rival)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            row.did,
            kept.bundle,
            number(kept.manifest_epoch),
            number(kept.fetched_at.as_u64()),
            at_seq,
            rival
        ],
    )?;
    Ok(())
}

/// Keeps the `strangers_max` strangers whose records are youngest.
pub(super) fn forget_strangers(database: &Connection, strangers_max: usize) -> rusqlite::Result<()> {
    database.execute(
        "DELETE FROM identities WHERE did IN (
             SELECT did FROM identities WHERE did NOT IN (SELECT did FROM partners)
             ORDER BY fetched_at DESC LIMIT -1 OFFSET ?1)",
        [number(strangers_max as u64)],
    )?;
    Ok(())
}

/// The DIDs of partners whose operators signed two histories.
pub(super) fn frozen(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = database.prepare_cached(
        "SELECT did FROM identities WHERE rival IS NOT NULL AND did IN (SELECT did FROM partners) ORDER BY did",
    )?;
    query.query_map([], |row| row.get(0))?.collect()
}

fn read_identity(row: &rusqlite::Row<'_>) -> rusqlite::Result<IdentityRow> {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    let (at_seq, rival): (Option<i64>, Option<Vec<u8>>) = (row.get(4)?, row.get(5)?);
    Ok(IdentityRow {
        did: row.get(0)?,
        kept: Cached {
            bundle: row.get(1)?,
            manifest_epoch: unsigned(row.get(2)?),
            fetched_at: UnixMillis(unsigned(row.get(3)?)),
            frozen: at_seq.zip(rival).map(|(at_seq, rival)| Frozen { at_seq: unsigned(at_seq), rival }),
        },
    })
}

/// The footing of a partner; the default one until something is known.
pub(super) fn footing(database: &Connection, did: &str) -> rusqlite::Result<Footing> {
    let mut query =
        database.prepare_cached("SELECT trust, checked_at, notice FROM footings WHERE did = ?1")?;
    let found = query.query_row([did], |row| read_footing(row, 0)).optional()?;
    Ok(found.unwrap_or_default())
}

/// Every footing with its DID.
pub(super) fn footings(database: &Connection) -> rusqlite::Result<Vec<(String, Footing)>> {
    let mut query = database.prepare_cached("SELECT did, trust, checked_at, notice FROM footings")?;
    query.query_map([], |row| Ok((row.get(0)?, read_footing(row, 1)?)))?.collect()
}

/// Writes a footing whole.
pub(super) fn put_footing(database: &Connection, did: &str, footing: &Footing) -> rusqlite::Result<()> {
    let checked_at = footing.checked_at.map(|at| number(at.as_u64()));
    database.execute(
        "INSERT OR REPLACE INTO footings (did, trust, checked_at, notice) VALUES (?1, ?2, ?3, ?4)",
        params![did, footing.trust, checked_at, footing.notice],
    )?;
    Ok(())
}

fn read_footing(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Footing> {
    let checked_at: Option<i64> = row.get(first + 1)?;
    Ok(Footing {
        trust: row.get(first)?,
        checked_at: checked_at.map(|at| UnixMillis(u64::try_from(at).unwrap_or_default())),
        notice: row.get(first + 2)?,
    })
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
