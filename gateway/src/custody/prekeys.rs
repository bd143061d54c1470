//! Epoch prekeys: made a day ahead, published for two days, destroyed when no message sealed to them can arrive: with the
//! storage key of their day (`storage.rs`).
//!
//! The database is the truth: whichever process first needs an epoch's key makes it, in a transaction that makes none
//! if there is one, and every process then reads what stands there.

use std::collections::HashMap;
use std::sync::Arc;

use dccp::kem::DecapsulationKey;
use dccp::keys::KeyId;
use dccp::prekey::{EPOCH_MS, Prekey, epoch_of};
use dccp::suite::KemAlgorithm;
use dccp::{Did, Suite, UnixMillis};
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
    kem: KemAlgorithm,
    sealed: Vec<u8>,
}

impl Ring {
    /// A row whose storage key is destroyed is as good as gone.
    fn of_rows(rows: &[Row], storage: &StorageKeys) -> Result<Ring, CustodyError> {
        let mut keys = HashMap::new();
        for row in rows {
            let Some(vault) = storage.vault(Use::Epoch, row.epoch) else { continue };
            let (key_id, key) = open(vault, row).ok_or(CustodyError::Prekeys)?;
            keys.insert(key_id, Held { epoch: row.epoch, key: Arc::new(key) });
        }
        Ok(Ring { keys })
    }

    /// Whether every published epoch has its keys and no key is overdue: then nothing is to be done.
    pub(super) fn is_right_at(&self, now: UnixMillis, kems: &[KemAlgorithm]) -> bool {
        let has = |epoch: &u64| kems.iter().all(|kem| self.of(*epoch, *kem).is_some());
        published_epochs(now).iter().all(has) && self.keys.values().all(|held| now < destroyed_at(held.epoch))
    }

    fn of(&self, epoch: u64, kem: KemAlgorithm) -> Option<&Held> {
        self.keys.values().find(|held| held.epoch == epoch && held.key.algorithm() == kem)
    }

    /// The names of all keys.
    pub(super) fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.keys()
    }

    pub(super) fn key(&self, key_id: &KeyId) -> Option<Arc<DecapsulationKey>> {
        self.keys.get(key_id).map(|held| held.key.clone())
    }

    /// The unsigned records to publish at `now`, today's first.
    pub(super) fn records(&self, did: &Did, now: UnixMillis, kems: &[KemAlgorithm]) -> Vec<Prekey> {
        let of = |epoch| kems.iter().filter_map(move |kem| self.of(epoch, *kem));
        let record = |held: &Held| Prekey::new(did.clone(), held.epoch, held.key.encapsulation_key().clone());
        published_epochs(now).into_iter().flat_map(of).map(record).collect()
    }
}

/// Makes what is missing and gives the ring that is then right. What is overdue went with its storage key.
pub(super) async fn renew(
    storage: &StorageKeys,
    now: UnixMillis,
    kems: &[KemAlgorithm],
    spool: &Spool,
) -> Result<Ring, CustodyError> {
    let mut fresh = Vec::new();
    for epoch in published_epochs(now) {
        let Some(vault) = storage.vault(Use::Epoch, epoch) else { continue };
        fresh.extend(kems.iter().map(|kem| make(vault, epoch, *kem)));
    }
    let rows = spool.write(move |database| exchange(database, &fresh)).await?;
    Ring::of_rows(&rows, storage)
}

/// Keys that are published, as far as the database has them. Makes none.
pub(super) async fn look(storage: &StorageKeys, spool: &Spool) -> Result<Ring, CustodyError> {
    Ring::of_rows(&spool.read(stored).await?, storage)
}

fn make(vault: &Vault, epoch: u64, kem: KemAlgorithm) -> Row {
    let key = DecapsulationKey::generate(kem, &mut rand::rng());
    let key_id = key.encapsulation_key().key_id();
    Row { key_id: key_id.as_bytes().to_vec(), epoch, kem, sealed: vault.seal(PURPOSE, key.seed().as_ref()) }
}

/// The seed must give the key that the row says: a row cannot be passed off as another.
fn open(vault: &Vault, row: &Row) -> Option<(KeyId, DecapsulationKey)> {
    let clear = vault.open(PURPOSE, &row.sealed).ok()?;
    let key = DecapsulationKey::from_seed(row.kem, &clear).ok()?;
    let key_id = key.encapsulation_key().key_id();
    (key_id.as_bytes().as_slice() == row.key_id).then_some((key_id, key))
}

fn exchange(database: &Connection, fresh: &[Row]) -> rusqlite::Result<Vec<Row>> {
    for row in fresh {
        let (start, end) = (row.epoch.saturating_mul(EPOCH_MS), end_of(row.epoch).as_u64());
        database.execute(
            "INSERT INTO prekeys (key_id, epoch, kem, not_before, expires, sealed)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM prekeys WHERE epoch = ?2 AND kem = ?3)",
            params![row.key_id, number(row.epoch), number_of(row.kem), number(start), number(end), row.sealed],
        )?;
    }
    stored(database)
}

fn stored(database: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut query = database.prepare_cached("SELECT key_id, epoch, kem, sealed FROM prekeys")?;
    let row = |row: &rusqlite::Row<'_>| {
        let (epoch, kem): (i64, i64) = (row.get(1)?, row.get(2)?);
        let epoch = u64::try_from(epoch).unwrap_or_default();
        Ok(Row { key_id: row.get(0)?, epoch, kem: kem_of(kem)?, sealed: row.get(3)? })
    };
    query.query_map([], row)?.collect()
}

/// How the database names a mechanism: by the first suite that chooses it.
pub(super) fn number_of(kem: KemAlgorithm) -> u32 {
    match kem {
        KemAlgorithm::XWing => Suite::X0001.id(),
        KemAlgorithm::MlKem768 => Suite::X0101.id(),
    }
}

fn kem_of(number: i64) -> rusqlite::Result<KemAlgorithm> {
    [KemAlgorithm::XWing, KemAlgorithm::MlKem768]
        .into_iter()
        .find(|kem| i64::from(number_of(*kem)) == number)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}
