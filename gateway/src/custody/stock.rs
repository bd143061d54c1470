//! One-time keys: made ahead, given to one partner each, destroyed with the one message that each of them opens.
//!
//! ```text
//! made (256 at once, one signature) ─► in stock ─► served to a partner ─► claimed by an arriving row ─► destroyed
//!                                        └─ nobody asked within a week ─────────────────────────────────► destroyed
//! ```
//!
//! Every step is a transaction of the one database, so two processes never give or use one key twice. What nobody
//! destroyed in time goes with the storage key of the day on which it was made.

use std::sync::Arc;

use dccp::did::DidDocument;
use dccp::kem::DecapsulationKey;
use dccp::keys::{KeyId, SigningKey};
use dccp::limits::{STOCK_KEYS_MAX, STOCK_SERVED_MAX};
use dccp::prekey::{OneTimeBatch, Stock, epoch_of};
use dccp::suite::KemAlgorithm;
use dccp::{RecordError, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use super::Vault;
use super::prekeys::{KEPT_AFTER_EPOCH_MS, number_of};
use super::storage::{end_of, number};

/// How long a partner may use a key after it was made: a partner's holiday, not more, because what is never used lies
/// here until then.
pub(super) const USABLE_MS: u64 = 7 * 24 * 3_600_000;

/// A key that is served can be used for at least so long: nobody fetches keys that die in his hands.
const SERVED_AHEAD_MS: u64 = 24 * 3_600_000;

/// Clocks of partners may be behind ours by this.
const BACKDATED_MS: u64 = 5 * 60_000;

/// Fewer keys than this in stock and more are made: half a minute of one busy partner, or many quiet ones.
pub(super) const STOCK_KEYS_MIN: usize = 512;

/// Keys that one partner may have and not have used: 16 answers. An honest one has two of them in memory, and may lose
/// them a few times by restarting; a greedy one gets no more, and seals to the epoch prekey like everybody.
pub(super) const OUTSTANDING_KEYS_MAX: usize = 512;

/// Keys that one partner is given on one day, used or not: what it costs to make them stays below half a second.
pub(super) const KEYS_PER_DAY_MAX: usize = 4096;

const PURPOSE: &str = "one-time-key";

/// When the one-time keys that were made on this day are destroyed, all together.
pub(super) fn destroyed_at(epoch: u64) -> UnixMillis {
    end_of(epoch).saturating_add_ms(USABLE_MS + KEPT_AFTER_EPOCH_MS)
}

/// Fresh keys, sealed, and what is served of them.
pub(super) struct Batch {
    kem: KemAlgorithm,
    epoch: u64,
    expires: UnixMillis,
    root: Vec<u8>,
    keys: Vec<Fresh>,
}

struct Fresh {
    key_id: KeyId,
    sealed: Vec<u8>,
    offer: Vec<u8>,
}

/// Makes one batch: some milliseconds of work.
///
/// # Errors
/// None that can happen with the limits of the language.
pub(super) fn make(
    document: &DidDocument,
    operator: &SigningKey,
    vault: &Arc<Vault>,
    kem: KemAlgorithm,
    now: UnixMillis,
) -> Result<Batch, RecordError> {
    let rng = &mut rand::rng();
    let keys: Vec<_> = (0..STOCK_KEYS_MAX).map(|_| DecapsulationKey::generate(kem, rng)).collect();
    let public: Vec<_> = keys.iter().map(|key| key.encapsulation_key().clone()).collect();
    let expires = now.saturating_add_ms(USABLE_MS);
    let from = now.saturating_sub_ms(BACKDATED_MS);
    let OneTimeBatch { root_record, keys: offers } =
        OneTimeBatch::sign(document.did(), &public, from, expires, operator)?;
    let fresh = |(key, offer): (&DecapsulationKey, Vec<u8>)| Fresh {
        key_id: key.encapsulation_key().key_id(),
        sealed: vault.seal(PURPOSE, &key.seed()),
        offer,
    };
    let keys = keys.iter().zip(offers).map(fresh).collect();
    Ok(Batch { kem, epoch: epoch_of(now), expires, root: root_record, keys })
}

/// The key that rests sealed, if it is the one that is asked for: a row cannot be passed off as another.
pub(super) fn open(vault: &Vault, key_id: &KeyId, sealed: &[u8]) -> Option<DecapsulationKey> {
    let clear = vault.open(PURPOSE, sealed).ok()?;
    let kems = [KemAlgorithm::XWing, KemAlgorithm::MlKem768];
    let kem = kems.into_iter().find(|kem| kem.seed_bytes() == clear.len())?;
    let key = DecapsulationKey::from_seed(kem, &clear).ok()?;
    (key.encapsulation_key().key_id() == *key_id).then_some(key)
}

/// How many keys of this mechanism are in stock.
pub(super) fn in_stock(database: &Connection, kem: KemAlgorithm, now: UnixMillis) -> rusqlite::Result<usize> {
    let ahead = number(now.saturating_add_ms(SERVED_AHEAD_MS).as_u64());
    let count: i64 = database.query_row(
        "SELECT count(*) FROM one_time_batches JOIN one_time_keys ON batch = one_time_batches.id
         WHERE served_to IS NULL AND kem = ?1 AND expires > ?2",
        params![number_of(kem), ahead],
        |row| row.get(0),
    )?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Puts a batch in stock.
pub(super) fn put(database: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    database.execute(
        "INSERT INTO one_time_batches (kem, epoch, expires, root) VALUES (?1, ?2, ?3, ?4)",
        params![number_of(batch.kem), number(batch.epoch), number(batch.expires.as_u64()), batch.root],
    )?;
    let id = database.last_insert_rowid();
    let mut add = database
        .prepare_cached("INSERT INTO one_time_keys (key_id, batch, sealed, offer) VALUES (?1, ?2, ?3, ?4)")?;
    for key in &batch.keys {
        add.execute(params![key.key_id.as_bytes(), id, key.sealed, key.offer])?;
    }
    Ok(())
}

/// Whether something has to be forgotten: keys that nobody may use any more.
pub(super) fn has_expired(database: &Connection, now: UnixMillis) -> rusqlite::Result<bool> {
    database.query_row(
        "SELECT EXISTS (SELECT 1 FROM one_time_batches JOIN one_time_keys ON batch = one_time_batches.id
                        WHERE served_to IS NULL AND expires <= ?1)
             OR EXISTS (SELECT 1 FROM one_time_batches WHERE expires + ?2 <= ?1)",
        params![number(now.as_u64()), number(KEPT_AFTER_EPOCH_MS)],
        |row| row.get(0),
    )
}

/// Forgets keys that were never served and may not be used any more, and whole batches whose messages cannot be on their
/// way any more.
pub(super) fn forget_expired(database: &Connection, now: UnixMillis) -> rusqlite::Result<()> {
    let (now, kept) = (number(now.as_u64()), number(KEPT_AFTER_EPOCH_MS));
    database.execute("DELETE FROM one_time_batches WHERE expires + ?2 <= ?1", params![now, kept])?;
    database.execute(
        "DELETE FROM one_time_keys
         WHERE served_to IS NULL AND batch IN (SELECT id FROM one_time_batches WHERE expires <= ?1)",
        [now],
    )?;
    Ok(())
}

/// Takes up to `count` keys out of the stock, for `partner` alone. `None`: it has had enough, or there is none.
pub(super) fn serve(
    database: &Connection,
    partner: &str,
    kem: KemAlgorithm,
    count: usize,
    now: UnixMillis,
) -> rusqlite::Result<Option<Stock>> {
    let count = count.min(STOCK_SERVED_MAX).min(allowance(database, partner, now)?);
    let ahead = number(now.saturating_add_ms(SERVED_AHEAD_MS).as_u64());
    let batch: Option<(i64, Vec<u8>)> = database
        .query_row(
            "SELECT id, root FROM one_time_batches WHERE kem = ?1 AND expires > ?2
             AND EXISTS (SELECT 1 FROM one_time_keys WHERE batch = one_time_batches.id AND served_to IS NULL)
             ORDER BY id LIMIT 1",
            params![number_of(kem), ahead],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((batch, root_record)) = batch.filter(|_| count > 0) else { return Ok(None) };
    let keys = take(database, batch, partner, count)?;
    database.execute(
        "INSERT INTO one_time_given (partner, day, keys) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET keys = keys + excluded.keys",
        params![partner, number(epoch_of(now)), number(keys.len() as u64)],
    )?;
    Ok(Some(Stock { root_record, keys }))
}

fn take(database: &Connection, batch: i64, partner: &str, count: usize) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut look = database.prepare_cached(
        "SELECT seq, offer FROM one_time_keys WHERE batch = ?1 AND served_to IS NULL AND offer IS NOT NULL
         ORDER BY seq LIMIT ?2",
    )?;
    let mut give =
        database.prepare_cached("UPDATE one_time_keys SET served_to = ?2, offer = NULL WHERE seq = ?1")?;
    let found = look.query_map(params![batch, number(count as u64)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = found.collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()?;
    for (seq, _) in &found {
        give.execute(params![seq, partner])?;
    }
    Ok(found.into_iter().map(|(_, offer)| offer).collect())
}

/// How many keys the partner may still be given. Days before today do not count any more, and are forgotten.
fn allowance(database: &Connection, partner: &str, now: UnixMillis) -> rusqlite::Result<usize> {
    let day = number(epoch_of(now));
    database.execute("DELETE FROM one_time_given WHERE partner = ?1 AND day <> ?2", params![partner, day])?;
    let given: Option<i64> = database
        .query_row(
            "SELECT keys FROM one_time_given WHERE partner = ?1 AND day = ?2",
            params![partner, day],
            |row| row.get(0),
        )
        .optional()?;
    let outstanding: i64 = database.query_row(
        "SELECT count(*) FROM one_time_keys WHERE served_to = ?1 AND claimed_by IS NULL",
        [partner],
        |row| row.get(0),
    )?;
    let left = |max: usize, had: i64| max.saturating_sub(usize::try_from(had).unwrap_or(usize::MAX));
    Ok(left(KEYS_PER_DAY_MAX, given.unwrap_or_default()).min(left(OUTSTANDING_KEYS_MAX, outstanding)))
}
