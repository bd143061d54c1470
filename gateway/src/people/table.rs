//! The tables `people` and `people_records`.

use dccp::did::{Commitment, Custody};
use dccp::{Did, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use super::keys::PersonId;

/// A person as an administrator sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The address that is or was theirs.
    pub address: String,
    /// Who.
    pub did: Did,
    /// Who holds L0.
    pub custody: Custody,
    /// Where they stand.
    pub standing: Standing,
    /// Since when they are known here.
    pub added_at: UnixMillis,
}

/// What others may learn of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Mail is sealed to the organisation; nobody is told the DID.
    Unlisted,
    /// Whoever asks is told the DID.
    Published,
    /// The address is theirs no more; the DID lives on.
    Left,
    /// The DID has ended.
    Deactivated,
}

impl Standing {
    /// The word for administrators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Published => "published",
            Self::Left => "left",
            Self::Deactivated => "deactivated",
        }
    }

    const ALL: [Self; 4] = [Self::Unlisted, Self::Published, Self::Left, Self::Deactivated];

    pub(super) fn number(self) -> i64 {
        Self::ALL.iter().zip(0..).find(|(standing, _)| **standing == self).map_or(0, |(_, number)| number)
    }
}

const CUSTODIES: [Custody; 3] = [Custody::Org, Custody::Joint, Custody::Own];

/// A row of `people`.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: PersonId,
    pub(super) did: Did,
    pub(super) tag: [u8; 16],
    /// Sealed.
    pub(super) address: Vec<u8>,
    pub(super) custody: Custody,
    /// The person's own commitment; none with custody `org`.
    pub(super) recovery: Option<Commitment>,
    pub(super) standing: Standing,
    pub(super) generation: u64,
    pub(super) leaf: u64,
    pub(super) added_at: UnixMillis,
}

/// A row of `people_records`.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) log: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

const COLUMNS: &str =
    "SELECT id, did, tag, address, custody, recovery, state, generation, leaf, added_at FROM people";

/// Whose address has this tag now.
pub(super) fn bound(database: &Connection, tag: &[u8; 16]) -> rusqlite::Result<Option<Row>> {
    one(database, "WHERE tag = ?1 AND state < 2", params![tag])
}

/// Who had this address last, be it theirs or not.
pub(super) fn latest(database: &Connection, tag: &[u8; 16]) -> rusqlite::Result<Option<Row>> {
    one(database, "WHERE tag = ?1 ORDER BY generation DESC LIMIT 1", params![tag])
}

pub(super) fn of_did(database: &Connection, did: &str) -> rusqlite::Result<Option<Row>> {
    one(database, "WHERE did = ?1", params![did])
}

/// At most `limit` people that were added after the row `after`, with the row to go on after.
pub(super) fn page(database: &Connection, after: i64, limit: u32) -> rusqlite::Result<Vec<(i64, Row)>> {
    let columns = COLUMNS.replace("SELECT ", "SELECT seq, ");
    let query = format!("{columns} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, read(row, 1)?));
    database.prepare_cached(&query)?.query_map(params![after, limit], row)?.collect()
}

/// How many changes an address had.
pub(super) fn generations(database: &Connection, tag: &[u8; 16]) -> rusqlite::Result<u64> {
    Ok(latest(database, tag)?.map_or(0, |row| row.generation + 1))
}

pub(super) fn insert(database: &Connection, row: &Row) -> rusqlite::Result<()> {
    let insert =
        "INSERT INTO people (id, did, tag, address, custody, recovery, state, generation, leaf, added_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    database.prepare_cached(insert)?.execute(params![
        row.id,
        row.did.as_str(),
        row.tag,
        row.address,
        custody_number(row.custody),
        row.recovery.as_ref().map(Commitment::as_bytes),
        row.standing.number(),
        number(row.generation),
        number(row.leaf),
        number(row.added_at.as_u64()),
    ])?;
    Ok(())
}

/// Changes where a person stands, if they stand where they stood when the change was decided.
pub(super) fn move_on(
    database: &Connection,
    before: &Row,
    standing: Standing,
    generation: u64,
    leaf: u64,
) -> rusqlite::Result<bool> {
    let update = "UPDATE people SET state = ?3, generation = ?4, leaf = ?5 WHERE id = ?1 AND state = ?2";
    let changed = database.execute(
        update,
        params![before.id, before.standing.number(), standing.number(), number(generation), number(leaf)],
    )?;
    Ok(changed == 1)
}

pub(super) fn records(database: &Connection, id: &PersonId) -> rusqlite::Result<Option<Records>> {
    let read = |row: &rusqlite::Row<'_>| Ok(Records { log: row.get(0)?, manifest: row.get(1)? });
    let query = "SELECT log, manifest FROM people_records WHERE person = ?1";
    database.prepare_cached(query)?.query_row([id], read).optional()
}

/// Keeps records, if those kept are the ones that the change was made from.
pub(super) fn put_records(
    database: &Connection,
    id: &PersonId,
    before: Option<&Records>,
    after: &Records,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let kept = records(database, id)?;
    let is = |kept: &Records, before: &Records| kept.log == before.log && kept.manifest == before.manifest;
    let unchanged = match (&kept, before) {
        (None, None) => true,
        (Some(kept), Some(before)) => is(kept, before),
        _ => false,
    };
    if unchanged {
        database.execute(
            "INSERT OR REPLACE INTO people_records (person, log, manifest, changed_at) VALUES (?1, ?2, ?3, ?4)",
            params![id, after.log, after.manifest, number(now.as_u64())],
        )?;
    }
    Ok(unchanged)
}

fn one(
    database: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Option<Row>> {
    let query = format!("{COLUMNS} {condition}");
    database.prepare_cached(&query)?.query_row(values, |row| read(row, 0)).optional()
}

fn read(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Row> {
    let of = |all: usize, column: usize, number: i64| match usize::try_from(number).ok().filter(|n| *n < all)
    {
        Some(number) => Ok(number),
        None => Err(rusqlite::Error::IntegralValueOutOfRange(column, number)),
    };
    let custody = of(CUSTODIES.len(), at + 4, row.get(at + 4)?)?;
    let standing = of(Standing::ALL.len(), at + 6, row.get(at + 6)?)?;
    let recovery: Option<[u8; 32]> = row.get(at + 5)?;
    Ok(Row {
        id: blob(row, at)?,
        did: did(row, at + 1)?,
        tag: blob(row, at + 2)?,
        address: row.get(at + 3)?,
        custody: CUSTODIES[custody],
        recovery: recovery.map(Commitment::from_bytes),
        standing: Standing::ALL[standing],
        generation: unsigned(row, at + 7)?,
        leaf: unsigned(row, at + 8)?,
        added_at: UnixMillis(unsigned(row, at + 9)?),
    })
}

fn custody_number(custody: Custody) -> i64 {
    CUSTODIES.iter().zip(0..).find(|(one, _)| **one == custody).map_or(0, |(_, number)| number)
}

/// A DID that was stored by us.
pub(super) fn did(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Did> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: dccp::BadDid| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// A blob of fixed length.
pub(super) fn blob<const N: usize>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<[u8; N]> {
    row.get(column)
}

/// A number that is never negative.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// SQLite's integers are signed; our times and sizes stay far below the sign bit.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
