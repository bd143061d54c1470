//! The keys that come and go: what custody does with them by the clock, and for each message that arrives.
//!
//! | every | what |
//! |---|---|
//! | day | a new day key; storage keys and epoch prekeys made ahead, those that are overdue destroyed |
//! | minute | one-time keys made where the stock is low |
//! | message | the key that opens it: claimed, of its epoch, or of the device |

use std::collections::BTreeSet;
use std::sync::Arc;

use dccp::kem::DecapsulationKey;
use dccp::keys::KeyId;
use dccp::limits::STOCK_KEYS_MAX;
use dccp::message::FsClass;
use dccp::prekey::{Stock, epoch_of};
use dccp::session::OpenCache;
use dccp::stock::Question;
use dccp::suite::KemAlgorithm;
use dccp::{Did, UnixMillis};

use super::prekeys::Ring;
use super::storage::{StorageKeys, Use};
use super::{Custody, CustodyError, Identity, prekeys, stock, storage};
use crate::spool::{ClaimedKey, Spool, SpoolError};

/// The keys of these days and the records that publish them.
#[derive(Default)]
pub(super) struct Epochs {
    storage: Arc<StorageKeys>,
    ring: Ring,
    published: Vec<(KeyId, Vec<u8>)>,
}

impl Custody {
    /// The key that opens messages sealed to `key_id`: the manifest's or an epoch's. `None` once it is destroyed.
    pub fn device_kem(&self, key_id: &KeyId) -> Option<Arc<DecapsulationKey>> {
        if self.device_kem.encapsulation_key().key_id() == *key_id {
            return Some(self.device_kem.clone());
        }
        self.read_epochs(|epochs| epochs.ring.key(key_id))
    }

    /// The kind of the key that [`device_kem`](Self::device_kem) gives for `key_id`.
    pub fn fs_class_of(&self, key_id: &KeyId) -> FsClass {
        match self.device_kem.encapsulation_key().key_id() == *key_id {
            true => FsClass::Static,
            false => FsClass::Epoch,
        }
    }

    /// The key that opens an arrived message, and its kind: the one-time key that the message claimed, else one of
    /// [`device_kem`](Self::device_kem). `None` once it is destroyed, and for a one-time key that another message has.
    ///
    /// # Errors
    /// The spool's, when the one-time key was made beside us and its storage key has to be looked up.
    pub async fn opening_key(
        &self,
        key_id: &KeyId,
        claimed: Option<&ClaimedKey>,
        spool: &Spool,
    ) -> Result<Option<(Arc<DecapsulationKey>, FsClass)>, CustodyError> {
        let Some(claimed) = claimed else {
            return Ok(self.device_kem(key_id).map(|key| (key, self.fs_class_of(key_id))));
        };
        let mut storage = self.storage();
        if storage.vault(Use::OneTime, claimed.epoch).is_none() {
            storage = Arc::new(storage::look(&self.day, spool).await?);
        }
        let key = storage
            .vault(Use::OneTime, claimed.epoch)
            .and_then(|vault| stock::open(vault, key_id, &claimed.sealed));
        Ok(key.map(|key| (Arc::new(key), FsClass::OneTime)))
    }

    /// The secrets of partners' live sessions, as long as the key is there that they were made with.
    pub fn sessions(&self) -> &OpenCache {
        &self.sessions
    }

    /// Makes one-time keys where the stock is low, and forgets those that nobody may use any more. Says how many were
    /// made. Cheap when there is nothing to do; call it every minute, after [`rotate`](Self::rotate).
    ///
    /// # Errors
    /// The spool's.
    pub async fn restock(self: &Arc<Self>, now: UnixMillis, spool: &Spool) -> Result<usize, CustodyError> {
        storage::note_uses(&self.day, spool).await?;
        if spool.read(move |database| stock::has_expired(database, now)).await? {
            spool.destroy(move |database| stock::forget_expired(database, now)).await?;
        }
        let mut made = 0;
        for kem in self.kems.iter().copied() {
            let mut in_stock = spool.read(move |database| stock::in_stock(database, kem, now)).await?;
            while in_stock < stock::STOCK_KEYS_MIN {
                let Some(vault) = self.storage().vault(Use::OneTime, epoch_of(now)).cloned() else {
                    return Ok(made); // it is made with the next rotation
                };
                let custody = self.clone();
                let work = move || stock::make(custody.document(), &custody.operator, &vault, kem, now);
                let batch = tokio::task::spawn_blocking(work).await.map_err(|_| SpoolError::Closed)?;
                let batch =
                    batch.map_err(|error| CustodyError::Identity(format!("one-time keys: {error}")))?;
                spool.write(move |database| stock::put(database, &batch)).await?;
                in_stock += STOCK_KEYS_MAX;
                made += STOCK_KEYS_MAX;
            }
        }
        Ok(made)
    }

    /// Gives `partner` one-time keys that nobody else has. `None`: there are none, or it has had enough for now.
    ///
    /// # Errors
    /// The spool's.
    pub async fn serve(
        &self,
        partner: &Did,
        question: Question,
        now: UnixMillis,
        spool: &Spool,
    ) -> Result<Option<Stock>, SpoolError> {
        let (partner, kem) = (partner.to_string(), question.suite.choices().kem);
        spool.write(move |database| stock::serve(database, &partner, kem, question.count, now)).await
    }

    /// Makes the prekeys that are missing at `now`, destroys those that are overdue. Says whether what we publish
    /// changed. Cheap when there is nothing to do; call it at least hourly.
    ///
    /// # Errors
    /// [`CustodyError::Spool`] or [`CustodyError::Prekeys`]; the keys in memory stay as they were.
    pub async fn rotate(&self, now: UnixMillis, spool: &Spool) -> Result<bool, CustodyError> {
        if !self.storage().is_right_at(now) {
            let storage = Arc::new(storage::renew(&self.day, now, spool).await?);
            self.write_epochs(|epochs| epochs.storage = storage);
        }
        if !self.read_epochs(|epochs| epochs.ring.is_right_at(now, &self.kems)) {
            let ring = prekeys::renew(&self.storage(), now, &self.kems, spool).await?;
            let before = self.write_epochs(|epochs| std::mem::replace(&mut epochs.ring, ring));
            // What a destroyed key has opened must not outlive it in memory.
            let destroyed = before.key_ids().filter(|key_id| self.device_kem(key_id).is_none());
            destroyed.for_each(|key_id| self.sessions.forget(key_id));
        }
        Ok(self.publish(now))
    }

    /// Takes the prekeys that the database has, without making any: for `partner export` beside a running gateway.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate).
    pub async fn take_stored_prekeys(&self, now: UnixMillis, spool: &Spool) -> Result<(), CustodyError> {
        let storage = storage::look(&self.day, spool).await?;
        let ring = prekeys::look(&storage, spool).await?;
        self.write_epochs(|epochs| (epochs.storage, epochs.ring) = (Arc::new(storage), ring));
        self.publish(now);
        Ok(())
    }

    /// The signed records of today's and tomorrow's prekey, for the Hello of each stream and for partner files.
    pub fn current_prekey_records(&self) -> Vec<Vec<u8>> {
        self.read_epochs(|epochs| epochs.published.iter().map(|(_, record)| record.clone()).collect())
    }

    /// Signs the records of `now` unless they are already there. Says whether they changed.
    fn publish(&self, now: UnixMillis) -> bool {
        let records = self.read_epochs(|epochs| epochs.ring.records(self.did(), now, &self.kems));
        let same = self.read_epochs(|epochs| {
            epochs.published.iter().map(|(key_id, _)| key_id).eq(records.iter().map(|record| &record.key_id))
        });
        if !same {
            let signed = records.iter().map(|record| (record.key_id, record.sign(&self.operator))).collect();
            self.write_epochs(|epochs| epochs.published = signed);
        }
        !same
    }

    fn storage(&self) -> Arc<StorageKeys> {
        self.read_epochs(|epochs| epochs.storage.clone())
    }

    /// A panic elsewhere cannot leave the epochs half changed: each change is one assignment.
    fn read_epochs<T>(&self, look: impl FnOnce(&Epochs) -> T) -> T {
        look(&self.epochs.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn write_epochs<T>(&self, change: impl FnOnce(&mut Epochs) -> T) -> T {
        change(&mut self.epochs.write().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// The mechanisms of the suites that our manifest offers.
pub(super) fn kems_of(identity: &Identity) -> Vec<KemAlgorithm> {
    let kems: BTreeSet<_> = identity.devices.suites().iter().map(|suite| suite.choices().kem).collect();
    kems.into_iter().collect()
}
