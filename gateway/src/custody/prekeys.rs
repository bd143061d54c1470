//! Epoch prekeys: made a day ahead, published for two days, destroyed when no message sealed to them can arrive: with the
//! [storage key](super::storage) of their day.
//!
//! The database is the truth: whichever process first needs an epoch's key makes it, in a transaction that makes none
//! if there is one, and every process then reads what stands there.

use std::collections::HashMap;
use std::sync::Arc;

use dccp::keys::KeyId;
use dccp::prekey::{EPOCH_MS, Prekey, epoch_of};
use dccp::kem::DecapsulationKey;
use dccp::suite::KemAlgorithm;
use dccp::{Did, UnixMillis};
use rusqlite::{Connection, params};

use super::storage::{StorageKeys, Use, end_of, number};
use super::{CustodyError, Vault};
use crate::spool::Spool;

/// How long after its epoch a key is kept: the longest a message may wait on its way (protocol §6).
pub const KEPT_AFTER_EPOCH_MS: u64 = 72 * 3_600_000;

const PURPOSE: &str = "prekey";

/// The epochs whose public keys partners are told at `now`: today's and tomorrow's.
pub fn published_epochs(now: UnixMillis) -> [u64; 2] {
    let today = epoch_of(now);
    [today, today.saturating_add(1)]
}

/// When the private key of an epoch is destroyed.
pub fn destroyed_at(epoch: u64) -> UnixMillis {
    end_of(epoch).saturating_add_ms(KEPT_AFTER_EPOCH_MS)
}

/// The private epoch keys in memory.
#[derive(Default)]
pub(super) struct Ring {
    keys: HashMap<KeyId, Held>,
}

/// One of them.
#[derive(Clone)]
struct Held {
    epoch: u64,
    key: Arc<DecapsulationKey>,
}

/// A key as it stands in the database.
struct Row {
    key_id: Vec<u8>,
    epoch: u64,
    sealed: Vec<u8>,
}

impl Ring {
    /// A row whose storage key is destroyed is as good as gone.
    fn of(rows: &[Row], storage: &StorageKeys) -> Result<Ring, CustodyError> {
        let mut keys = HashMap::new();
        for row in rows {
            let Some(vault) = storage.vault(Use::Epoch, row.epoch) else { continue };
            let (key_id, key) = open(vault, row).ok_or(CustodyError::Prekeys)?;
            keys.insert(key_id, Held { epoch: row.epoch, key: Arc::new(key) });
        }
        Ok(Ring { keys })
    }

    /// Whether every published epoch has its key and no key is overdue: then nothing is to be done.
    pub(super) fn is_right_at(&self, now: UnixMillis) -> bool {
        let has = |epoch: &u64| self.keys.values().any(|held| held.epoch == *epoch);
        published_epochs(now).iter().all(has) && self.keys.values().all(|held| now < destroyed_at(held.epoch))
    }

    pub(super) fn key(&self, key_id: &KeyId) -> Option<Arc<DecapsulationKey>> {
        self.keys.get(key_id).map(|held| held.key.clone())
    }

    /// The unsigned records to publish at `now`, today's first.
    pub(super) fn records(&self, did: &Did, now: UnixMillis) -> Vec<Prekey> {
        let of = |epoch| self.keys.values().find(move |held| held.epoch == epoch);
        let record = |held: &Held| Prekey::new(did.clone(), held.epoch, held.key.encapsulation_key().clone());
        published_epochs(now).into_iter().filter_map(of).map(record).collect()
    }
}

/// Makes what is missing and gives the ring that is then right. What is overdue went with its storage key.
pub(super) async fn renew(
    storage: &StorageKeys,
    now: UnixMillis,
    spool: &Spool,
) -> Result<Ring, CustodyError> {
    let epochs = published_epochs(now).into_iter();
    let fresh: Vec<Row> = epochs.filter_map(|epoch| Some(make(storage.vault(Use::Epoch, epoch)?, epoch))).collect();
    let rows = spool.write(move |database| exchange(database, &fresh)).await?;
    Ring::of(&rows, storage)
}

/// Keys that are published, as far as the database has them. Makes none.
pub(super) async fn look(storage: &StorageKeys, spool: &Spool) -> Result<Ring, CustodyError> {
    Ring::of(&spool.read(stored).await?, storage)
}

fn make(vault: &Vault, epoch: u64) -> Row {
    let key = DecapsulationKey::generate(KemAlgorithm::XWing, &mut rand::rng());
    let key_id = key.encapsulation_key().key_id();
    Row { key_id: key_id.as_bytes().to_vec(), epoch, sealed: vault.seal(PURPOSE, key.seed().as_ref()) }
}

/// The seed must give the key that the row says: a row cannot be passed off as another.
fn open(vault: &Vault, row: &Row) -> Option<(KeyId, DecapsulationKey)> {
    let clear = vault.open(PURPOSE, &row.sealed).ok()?;
    let key = DecapsulationKey::from_seed(KemAlgorithm::XWing, &clear).ok()?;
    let key_id = key.encapsulation_key().key_id();
    (key_id.as_bytes().as_slice() == row.key_id).then_some((key_id, key))
}

fn exchange(database: &Connection, fresh: &[Row]) -> rusqlite::Result<Vec<Row>> {
    for row in fresh {
        let (start, end) = (row.epoch.saturating_mul(EPOCH_MS), end_of(row.epoch).as_u64());
        database.execute(
            "INSERT INTO prekeys (key_id, epoch, not_before, expires, sealed)
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM prekeys WHERE epoch = ?2)",
            params![row.key_id, number(row.epoch), number(start), number(end), row.sealed],
        )?;
    }
    stored(database)
}

fn stored(database: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut query = database.prepare_cached("SELECT key_id, epoch, sealed FROM prekeys")?;
    let row = |row: &rusqlite::Row<'_>| {
        let epoch: i64 = row.get(1)?;
        Ok(Row { key_id: row.get(0)?, epoch: u64::try_from(epoch).unwrap_or_default(), sealed: row.get(2)? })
    };
    query.query_map([], row)?.collect()
}
