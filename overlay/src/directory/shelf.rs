//! Where records are kept for others: in memory, bounded, nothing but head records.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Values;
use std::iter::{Empty, Map, empty};
use std::time::Instant;

use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{KBucketDistance, KBucketKey, ProviderRecord, Record, RecordKey};

use super::HEAD_BYTES_MAX;

/// When it is full, the records nearest to this node stay: those it is responsible for. A flood of
/// valid records pushes out far ones only.
pub(crate) struct Shelf {
    local: PeerId,
    here: KBucketKey<PeerId>,
    records_max: usize,
    records: HashMap<RecordKey, Kept>,
}

pub(crate) struct Kept {
    distance: KBucketDistance,
    record: Record,
}

impl Shelf {
    pub(super) fn new(local: PeerId, records_max: usize) -> Self {
        Shelf { local, here: local.into(), records_max, records: HashMap::new() }
    }

    /// Whether this node published the record itself.
    pub(crate) fn is_ours(&self, record: &Record) -> bool {
        record.publisher == Some(self.local)
    }

    /// Makes room for a record at this distance, if it deserves it.
    fn make_room(&mut self, distance: KBucketDistance) -> Result<()> {
        let now = Instant::now();
        self.records.retain(|_, kept| !kept.record.is_expired(now));
        if self.records.len() < self.records_max {
            return Ok(());
        }
        let others = self.records.iter().filter(|(_, kept)| !self.is_ours(&kept.record));
        let farthest = others.max_by_key(|(_, kept)| kept.distance);
        match farthest.map(|(key, kept)| (key.clone(), kept.distance)) {
            Some((key, farther)) if farther > distance => {
                self.records.remove(&key);
                Ok(())
            }
            _ => Err(Error::MaxRecords),
        }
    }
}

impl RecordStore for Shelf {
    type RecordsIter<'a> = Map<Values<'a, RecordKey, Kept>, fn(&'a Kept) -> Cow<'a, Record>>;
    type ProvidedIter<'a> = Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let kept = self.records.get(key)?;
        (!kept.record.is_expired(Instant::now())).then_some(Cow::Borrowed(&kept.record))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        if record.value.len() > HEAD_BYTES_MAX {
            return Err(Error::ValueTooLarge);
        }
        let distance = self.here.distance(&KBucketKey::new(record.key.clone()));
        let known = self.records.contains_key(&record.key);
        if !known && !self.is_ours(&record) && self.records.len() >= self.records_max {
            self.make_room(distance)?;
        }
        self.records.insert(record.key.clone(), Kept { distance, record });
        Ok(())
    }

    fn remove(&mut self, key: &RecordKey) {
        self.records.remove(key);
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        self.records.values().map(|kept| Cow::Borrowed(&kept.record))
    }

    fn add_provider(&mut self, _: ProviderRecord) -> Result<()> {
        Err(Error::MaxProvidedKeys)
    }

    fn providers(&self, _: &RecordKey) -> Vec<ProviderRecord> {
        Vec::new()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        empty()
    }

    fn remove_provider(&mut self, _: &RecordKey, _: &PeerId) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libp2p::identity::Keypair;

    use super::*;

    fn shelf(records_max: usize) -> Shelf {
        Shelf::new(Keypair::ed25519_from_bytes([1; 32]).unwrap().public().to_peer_id(), records_max)
    }

    fn record(number: u8) -> Record {
        Record::new(RecordKey::new(&[number; 32]), vec![number])
    }

    #[test]
    fn a_full_shelf_keeps_the_nearest_records() {
        let mut shelf = shelf(8);
        for number in 0..=255 {
            let _ = shelf.put(record(number));
            assert!(shelf.records.len() <= 8);
        }
        let mut nearest: Vec<u8> = (0..=255).collect();
        nearest.sort_by_key(|number| shelf.here.distance(&KBucketKey::new(record(*number).key)));
        for number in &nearest[..8] {
            assert!(shelf.get(&record(*number).key).is_some(), "{number}");
        }
    }

    #[test]
    fn what_we_publish_ourselves_always_has_room_and_is_never_pushed_out() {
        let mut shelf = shelf(1);
        let mut ours = record(7);
        ours.publisher = Some(shelf.local);
        shelf.put(record(1)).unwrap();
        shelf.put(ours).unwrap();
        for number in 8..=255 {
            let _ = shelf.put(record(number));
        }
        assert!(shelf.get(&record(7).key).is_some());
        assert!(shelf.records.len() <= 2);
    }

    #[test]
    fn expired_records_are_not_given_out_and_make_room() {
        let mut shelf = shelf(1);
        let mut old = record(1);
        old.expires = Some(Instant::now() - Duration::from_secs(1));
        shelf.put(old).unwrap();
        assert!(shelf.get(&record(1).key).is_none());
        shelf.put(record(2)).unwrap();
        assert_eq!(shelf.records.len(), 1);
    }

    #[test]
    fn large_records_and_providers_find_no_place() {
        let mut shelf = shelf(8);
        let large = Record::new(RecordKey::new(&[1; 32]), vec![0; HEAD_BYTES_MAX + 1]);
        assert!(matches!(shelf.put(large), Err(Error::ValueTooLarge)));
        let provider = ProviderRecord::new(RecordKey::new(&[1; 32]), shelf.local, vec![]);
        assert!(shelf.add_provider(provider).is_err());
        assert!(shelf.providers(&RecordKey::new(&[1; 32])).is_empty());
    }
}
