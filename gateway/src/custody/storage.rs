//! Storage keys: what the private keys of one day rest under, so that a whole day's keys are destroyed by destroying one.
//!
//! ```text
//! keys.storage ─ seals ─► keys/day.key (replaced daily) ─ seals ─► storage key of a day ─ seals ─► its private keys
//! ```
//!
//! | use | storage key of | destroyed |
//! |---|---|---|
//! | epoch | the epoch prekey of that day | 72 h after the day |
//! | one-time | the one-time keys that were made on that day | 72 h after the last of them may be used |
//!
//! Destroyed means: the row is zeroed in its page, the log is folded back, and the day key that it was sealed under is
//! replaced within a day. Whoever then copies everything, keys and database, opens nothing of that day.

use std::collections::HashMap;
use std::sync::Arc;

use dccp::UnixMillis;
use dccp::prekey::{EPOCH_MS, epoch_of};
use rand::Rng;
use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use super::day::{DayFile, DayKey, Days};
use super::prekeys::{destroyed_at, published_epochs};
use super::stock;
use super::{CustodyError, Vault};
use crate::spool::Spool;

const PURPOSE: &str = "storage-key";

/// How often a look is repeated when the day key was replaced in the middle of it.
const LOOKS_MAX: usize = 3;

/// What a storage key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Use {
    /// Epoch prekeys.
    Epoch = 0,
    /// One-time keys.
    OneTime = 1,
}

impl Use {
    fn of_number(number: i64) -> Option<Use> {
        [Use::Epoch, Use::OneTime].into_iter().find(|it| *it as i64 == number)
    }

    /// When a storage key of this day has done its work.
    fn destroy_at(self, epoch: u64) -> UnixMillis {
        match self {
            Use::Epoch => destroyed_at(epoch),
            Use::OneTime => stock::destroyed_at(epoch),
        }
    }
}

/// The storage keys in memory.
#[derive(Default)]
pub(super) struct StorageKeys {
    /// When the day key was last replaced.
    day: u64,
    vaults: HashMap<(Use, u64), Arc<Vault>>,
}

/// A storage key as it stands in the database.
struct Row {
    purpose: Use,
    epoch: u64,
    sealed: Vec<u8>,
}

/// A storage key in the clear.
struct Opened {
    purpose: Use,
    epoch: u64,
    key: Zeroizing<[u8; 32]>,
}

impl StorageKeys {
    /// What keys of this day rest under; `None` once it is destroyed.
    pub(super) fn vault(&self, purpose: Use, epoch: u64) -> Option<&Arc<Vault>> {
        self.vaults.get(&(purpose, epoch))
    }

    /// Whether the day key is of today, everything needed is there and nothing is overdue.
    pub(super) fn is_right_at(&self, now: UnixMillis) -> bool {
        let due = |(purpose, epoch): &(Use, u64)| now < purpose.destroy_at(*epoch);
        self.day == epoch_of(now)
            && needed(now).iter().all(|need| self.vaults.contains_key(need))
            && self.vaults.keys().all(due)
    }

    fn of(day: u64, opened: Vec<Opened>) -> StorageKeys {
        let vault = |it: Opened| ((it.purpose, it.epoch), Arc::new(Vault::new(it.key)));
        StorageKeys { day, vaults: opened.into_iter().map(vault).collect() }
    }
}

/// The days whose private keys are made at `now`.
fn needed(now: UnixMillis) -> [(Use, u64); 3] {
    let [today, tomorrow] = published_epochs(now);
    [(Use::Epoch, today), (Use::Epoch, tomorrow), (Use::OneTime, today)]
}

/// Replaces the day key, makes what is missing, destroys what is overdue.
///
/// # Errors
/// [`CustodyError`]; file and database then still belong together.
pub(super) async fn renew(
    file: &DayFile,
    now: UnixMillis,
    spool: &Spool,
) -> Result<StorageKeys, CustodyError> {
    let begun = file.clone();
    let opened = spool.destroy(move |database| renew_in(database, &begun, now)).await??;
    let done = file.clone();
    spool.write(move |database| confirm(database, &done)).await??;
    Ok(StorageKeys::of(epoch_of(now), opened))
}

/// Writes into the file how many one-time keys were used up. Cheap when it knows.
///
/// # Errors
/// [`CustodyError`].
pub(super) async fn note_uses(file: &DayFile, spool: &Spool) -> Result<(), CustodyError> {
    let file = file.clone();
    spool.write(move |database| remember_uses(database, &file)).await?
}

/// The storage keys as the database has them. Makes and destroys none.
///
/// # Errors
/// [`CustodyError`].
pub(super) async fn look(file: &DayFile, spool: &Spool) -> Result<StorageKeys, CustodyError> {
    let mut looks = 0;
    loop {
        let rows = spool.read(stored).await?;
        let Some(days) = file.read()? else { return Ok(StorageKeys::default()) };
        let opened: Vec<Opened> = rows.iter().filter_map(|row| open(row, &days)).collect();
        looks += 1;
        if opened.len() == rows.len() || looks == LOOKS_MAX {
            return Ok(StorageKeys::of(days.epoch, opened));
        }
    }
}

/// Inside the transaction, whose lock also guards the file. The next day key is in the file before the database depends
/// on it, and the last one is there as long as the transaction may still fail.
fn renew_in(
    database: &Connection,
    file: &DayFile,
    now: UnixMillis,
) -> rusqlite::Result<Result<Vec<Opened>, CustodyError>> {
    let days = match file.read() {
        Ok(days) => days,
        Err(error) => return Ok(Err(error)),
    };
    let rows = stored(database)?;
    let mut opened: Vec<Opened> = match &days {
        Some(days) => rows.iter().filter_map(|row| open(row, days)).collect(),
        None => Vec::new(),
    };
    if opened.len() < rows.len() {
        tracing::warn!(
            lost = rows.len() - opened.len(),
            "the day key does not open these storage keys: the database is older than the key files, or day.key is gone; \
             messages on their way that were sealed to the prekeys under them cannot be opened, and their senders are told"
        );
    }
    let uses = uses(database)?;
    if days.as_ref().is_some_and(|days| uses < days.uses) {
        tracing::warn!(
            "the database was restored: its one-time keys may have been used since, so they are destroyed; \
             messages on their way that were sealed to them cannot be opened, and their senders are told"
        );
        opened.retain(|it| it.purpose != Use::OneTime);
        database.execute("DELETE FROM one_time_batches", [])?;
    }
    opened.retain(|it: &Opened| now < it.purpose.destroy_at(it.epoch));
    let is_missing = |need: &(Use, u64)| !opened.iter().any(|it| (it.purpose, it.epoch) == *need);
    let missing = needed(now).into_iter().filter(is_missing);
    let made: Vec<_> = missing.map(|(purpose, epoch)| Opened { purpose, epoch, key: fresh() }).collect();
    let next = DayKey::fresh();
    let current = days.map_or_else(|| next.clone(), |days| in_use(&rows, &days));
    if let Err(error) = file.write(&Days { epoch: epoch_of(now), uses, current, next: Some(next.clone()) }) {
        return Ok(Err(error));
    }
    replace(database, &opened, &next)?;
    put(database, &made, &next)?;
    opened.extend(made);
    Ok(Ok(opened))
}

/// The transaction is durable: the day key before it goes. Whoever came in between did it already.
fn confirm(database: &Connection, file: &DayFile) -> rusqlite::Result<Result<(), CustodyError>> {
    let rows = stored(database)?;
    let confirmed = file.read().and_then(|days| match days {
        Some(days) if days.next.is_some() => {
            let current = in_use(&rows, &days);
            file.write(&Days { current, next: None, ..days })
        }
        _ => Ok(()),
    });
    Ok(confirmed)
}

/// Lets the file know how many one-time keys were used up, if it does not. Inside a transaction, for its lock.
fn remember_uses(database: &Connection, file: &DayFile) -> rusqlite::Result<Result<(), CustodyError>> {
    let uses = uses(database)?;
    Ok(file.read().and_then(|days| match days {
        Some(days) if days.uses < uses => file.write(&Days { uses, ..days }),
        _ => Ok(()),
    }))
}

fn uses(database: &Connection) -> rusqlite::Result<u64> {
    let uses: i64 = database.query_row("SELECT uses FROM one_time_uses", [], |row| row.get(0))?;
    Ok(u64::try_from(uses).unwrap_or_default())
}

/// The day key under which the rows rest.
fn in_use(rows: &[Row], days: &Days) -> DayKey {
    let opens = |key: &&DayKey| {
        let vault = key.vault();
        rows.iter().any(|row| vault.open(PURPOSE, &row.sealed).is_ok())
    };
    days.keys().find(opens).unwrap_or(&days.current).clone()
}

/// Every storage key that is kept is sealed anew; what rests under none of them goes.
fn replace(database: &Connection, opened: &[Opened], under: &DayKey) -> rusqlite::Result<()> {
    database.execute("DELETE FROM storage_keys", [])?;
    put(database, opened, under)?;
    database.execute(
        "DELETE FROM prekeys WHERE epoch NOT IN (SELECT epoch FROM storage_keys WHERE use = 0)",
        [],
    )?;
    database.execute(
        "DELETE FROM one_time_batches WHERE epoch NOT IN (SELECT epoch FROM storage_keys WHERE use = 1)",
        [],
    )?;
    Ok(())
}

fn put(database: &Connection, keys: &[Opened], under: &DayKey) -> rusqlite::Result<()> {
    let vault = under.vault();
    for it in keys {
        let clear = Zeroizing::new([it.key.as_slice(), &tag(it.purpose, it.epoch)].concat());
        database.execute(
            "INSERT INTO storage_keys (use, epoch, sealed) VALUES (?1, ?2, ?3)",
            params![it.purpose as i64, number(it.epoch), vault.seal(PURPOSE, &clear)],
        )?;
    }
    Ok(())
}

fn stored(database: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut query = database.prepare_cached("SELECT use, epoch, sealed FROM storage_keys")?;
    let row = |row: &rusqlite::Row<'_>| {
        let (purpose, epoch): (i64, i64) = (row.get(0)?, row.get(1)?);
        let purpose = Use::of_number(purpose).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, purpose))?;
        Ok(Row { purpose, epoch: u64::try_from(epoch).unwrap_or_default(), sealed: row.get(2)? })
    };
    query.query_map([], row)?.collect()
}

/// Use and day are sealed in: a storage key cannot be passed off as another one, to live longer.
fn open(row: &Row, days: &Days) -> Option<Opened> {
    let clear = days.keys().find_map(|key| key.vault().open(PURPOSE, &row.sealed).ok())?;
    let (key, tagged) = clear.split_first_chunk::<32>()?;
    (tagged == tag(row.purpose, row.epoch)).then(|| Opened {
        purpose: row.purpose,
        epoch: row.epoch,
        key: Zeroizing::new(*key),
    })
}

fn tag(purpose: Use, epoch: u64) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = epoch.to_be_bytes();
    [purpose as u8, a, b, c, d, e, f, g, h]
}

fn fresh() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(key.as_mut());
    key
}

/// The start of the day after `epoch`.
pub(super) fn end_of(epoch: u64) -> UnixMillis {
    UnixMillis(epoch.saturating_add(1).saturating_mul(EPOCH_MS))
}

/// SQLite's integers are signed; our times and days stay far below the sign bit.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
