//! Promises of custody about keys that are gone: what a thief finds later, and what a restart or a restore brings back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use dccp::Suite;
use dccp::keys::KeyId;
use dccp::message::FsClass;
use dccp::prekey::{OneTimePrekey, epoch_of};
use dccp::suite::KemAlgorithm;
use tempfile::TempDir;

use super::day::{DayKey, Days};
use super::tests::{HOUR_MS, NOON, configured, house, published, spool};
use super::*;
use crate::flows::records::sha256;
use crate::spool::{
    Arrival, ClaimedKey, Direction, Kind, NewRow, RowId, Settlement, SpoolConfig, State, Turn,
};

const DAY_MS: u64 = 24 * HOUR_MS;
const GLOBEX: &str = "did:dccp:1globex";

/// A founded gateway with a stock of one-time keys.
struct Gateway {
    folder: TempDir,
    config: Config,
    custody: Arc<Custody>,
    spool: Spool,
    guard: crate::spool::SpoolGuard,
}

impl Gateway {
    async fn start() -> Gateway {
        let (folder, config) = house();
        Gateway::at(folder, config, NOON).await
    }

    async fn at(folder: TempDir, config: Config, now: UnixMillis) -> Gateway {
        let (spool, guard) = spool(&config);
        let custody = Arc::new(Custody::load(&config, &spool, now).await.unwrap());
        custody.restock(now, &spool).await.unwrap();
        Gateway { folder, config, custody, spool, guard }
    }

    async fn serve(&self, partner: &str, count: usize, now: UnixMillis) -> Vec<OneTimePrekey> {
        let (partner, kem) = (partner.to_owned(), KemAlgorithm::XWing);
        let stock = self.spool.write(move |db| stock::serve(db, &partner, kem, count, now)).await.unwrap();
        stock.map_or(Vec::new(), |stock| stock.verify(self.custody.document(), now).unwrap())
    }

    /// A row that is sealed to this key arrives from globex; the key it claimed, if there was one.
    async fn arrive(&self, key_id: &KeyId) -> (RowId, Option<ClaimedKey>) {
        let row = arrival(key_id);
        let id = row.id;
        match self.spool.arrive(row, vec![]).await.unwrap() {
            Arrival::Fresh { claimed } => (id, claimed),
            Arrival::Duplicate => panic!("a duplicate"),
        }
    }

    async fn opens(&self, key_id: &KeyId, claimed: Option<&ClaimedKey>) -> Option<FsClass> {
        let opening = self.custody.opening_key(key_id, claimed, &self.spool).await.unwrap();
        opening.map(|(_, fs_class)| fs_class)
    }

    /// The gateway stops; what `with` says of its folder; it starts again.
    async fn restart(self, now: UnixMillis, with: impl FnOnce(&Path)) -> Gateway {
        let Gateway { folder, config, guard, .. } = self;
        guard.close().await;
        with(folder.path());
        Gateway::at(folder, config, now).await
    }
}

fn arrival(key_id: &KeyId) -> NewRow {
    let id = RowId::fresh();
    NewRow {
        id,
        queue_id: format!("q{}", id.0.simple()),
        direction: Direction::In,
        kind: Kind::Unopened,
        partner: Some(GLOBEX.to_owned()),
        partner_domain: "globex.test".to_owned(),
        body: Bytes::from_static(b"sealed"),
        large: None,
        slip: None,
        summary: Vec::new(),
        message_id_tag: None,
        digest: sha256(&[id.0.as_bytes()]),
        sealed_to: Some(*key_id.as_bytes()),
        size: 6,
        now: NOON,
        next_at: NOON,
        expires_at: NOON.saturating_add_ms(DAY_MS),
        state: State::Queued,
        held_by: None,
        turn: Turn::default(),
        leased: false,
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let there = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &there),
            false => drop(fs::copy(entry.path(), there).unwrap()),
        }
    }
}

/// What a thief makes of a data directory and key files that he took: whether any of these keys opens anything.
async fn thief_opens(data: &Path, keys: &Path, epoch_key: &KeyId, one_time: &KeyId) -> [bool; 2] {
    let lair = tempfile::tempdir().unwrap();
    copy(data, &lair.path().join("data"));
    copy(keys, &lair.path().join("keys"));
    let config = configured(&lair, "also: [acme.example]");
    let (spool, guard) = spool(&config);
    let custody = Custody::open(&config, NOON).unwrap();
    custody.take_stored_prekeys(NOON, &spool).await.unwrap();
    let query = "SELECT one_time_batches.epoch, one_time_keys.sealed FROM one_time_keys
                 JOIN one_time_batches ON one_time_batches.id = batch WHERE key_id = ?1";
    let name = *one_time.as_bytes();
    let row = move |row: &rusqlite::Row<'_>| {
        Ok(ClaimedKey { epoch: row.get::<_, i64>(0)?.unsigned_abs(), sealed: row.get(1)? })
    };
    let found = spool.read(move |db| db.query_row(query, [name], row)).await.ok();
    let one_time_opens = match found {
        Some(claimed) => custody.opening_key(one_time, Some(&claimed), &spool).await.unwrap().is_some(),
        None => false,
    };
    let opens = [custody.device_kem(epoch_key).is_some(), one_time_opens];
    guard.close().await;
    opens
}

#[tokio::test]
async fn yesterdays_data_directory_is_closed_to_all_of_todays_keys() {
    let gateway = Gateway::start().await;
    let epoch_key = published(&gateway.custody, NOON).remove(0).key_id;
    let one_time = gateway.serve(GLOBEX, 1, NOON).await.remove(0).key_id;
    let yesterday = tempfile::tempdir().unwrap();
    for part in ["data", "keys"] {
        copy(&gateway.folder.path().join(part), &yesterday.path().join(part));
    }
    let (data, keys) = (yesterday.path().join("data"), yesterday.path().join("keys"));
    assert_eq!(thief_opens(&data, &keys, &epoch_key, &one_time).await, [true, true], "the test can see");

    gateway.custody.rotate(NOON.saturating_add_ms(DAY_MS), &gateway.spool).await.unwrap();
    let today = gateway.folder.path().join("keys");
    assert_eq!(thief_opens(&data, &today, &epoch_key, &one_time).await, [false, false]);
    assert!(
        gateway.custody.device_kem(&epoch_key).is_some(),
        "the gateway itself can still open what is late"
    );
    gateway.guard.close().await;
}

#[tokio::test]
async fn after_its_time_a_days_key_is_in_no_file_and_opens_for_nobody() {
    let gateway = Gateway::start().await;
    let prekey = published(&gateway.custody, NOON).remove(0);
    let one_time = gateway.serve(GLOBEX, 1, NOON).await.remove(0).key_id;
    let secrets = sealed_bytes(&gateway.spool, prekey.epoch).await;
    let octets = || {
        let log = gateway.config.database_path().with_extension("db-wal");
        [fs::read(gateway.config.database_path()).unwrap(), fs::read(log).unwrap_or_default()].concat()
    };
    let found = |octets: &[u8]| {
        secrets.iter().filter(|secret| octets.windows(secret.len()).any(|window| window == **secret)).count()
    };
    assert_eq!(found(&octets()), secrets.len(), "the test can see");

    let end = prekeys::destroyed_at(prekey.epoch);
    gateway.custody.rotate(end, &gateway.spool).await.unwrap();
    assert_eq!(found(&octets()), 0, "a sealed key of the day is left in the file or its log");
    assert!(gateway.opens(&prekey.key_id, None).await.is_none());
    let folder = gateway.folder.path();
    let all = thief_opens(&folder.join("data"), &folder.join("keys"), &prekey.key_id, &one_time).await;
    assert_eq!(all, [false, true], "one-time keys that nobody used live longer");

    let end = stock::destroyed_at(prekey.epoch);
    gateway.custody.rotate(end, &gateway.spool).await.unwrap();
    let all = thief_opens(&folder.join("data"), &folder.join("keys"), &prekey.key_id, &one_time).await;
    assert_eq!(all, [false, false]);
    gateway.guard.close().await;
}

/// Everything that is sealed for the epoch: its storage key and its prekeys.
async fn sealed_bytes(spool: &Spool, epoch: u64) -> Vec<Vec<u8>> {
    let query = "SELECT sealed FROM storage_keys WHERE use = 0 AND epoch = ?1
                 UNION ALL SELECT sealed FROM prekeys WHERE epoch = ?1";
    let look = move |db: &rusqlite::Connection| {
        db.prepare(query)?.query_map([storage::number(epoch)], |row| row.get(0))?.collect()
    };
    spool.read(look).await.unwrap()
}

#[tokio::test]
async fn a_message_has_its_one_time_key_for_itself_until_it_has_ended() {
    let gateway = Gateway::start().await;
    let key_id = gateway.serve(GLOBEX, 1, NOON).await.remove(0).key_id;
    assert_eq!(gateway.opens(&key_id, None).await, None, "nobody opens with a key that he did not claim");
    let (row, claimed) = gateway.arrive(&key_id).await;
    assert_eq!(gateway.opens(&key_id, claimed.as_ref()).await, Some(FsClass::OneTime));
    let (_, second) = gateway.arrive(&key_id).await;
    assert_eq!(gateway.opens(&key_id, second.as_ref()).await, None, "a second message for the same key");

    gateway.spool.settle(Settlement::plain(row, State::Delivered, vec![])).await.unwrap();
    let gateway = gateway.restart(NOON, |_| {}).await;
    let (_, third) = gateway.arrive(&key_id).await;
    assert_eq!(gateway.opens(&key_id, third.as_ref()).await, None, "a replay after a restart");
    gateway.guard.close().await;
}

#[tokio::test]
async fn a_restored_database_does_not_bring_used_keys_back() {
    let gateway = Gateway::start().await;
    let key_id = gateway.serve(GLOBEX, 1, NOON).await.remove(0).key_id;
    let epoch_key = published(&gateway.custody, NOON).remove(0).key_id;
    let backup = tempfile::tempdir().unwrap();
    copy(&gateway.folder.path().join("data"), backup.path());
    let (row, claimed) = gateway.arrive(&key_id).await;
    assert!(claimed.is_some());
    gateway.spool.settle(Settlement::plain(row, State::Delivered, vec![])).await.unwrap();
    gateway.custody.restock(NOON, &gateway.spool).await.unwrap(); // as every minute

    let restore = |folder: &Path| {
        fs::remove_dir_all(folder.join("data")).unwrap();
        copy(backup.path(), &folder.join("data"));
    };
    let gateway = gateway.restart(NOON, restore).await;
    let (_, replayed) = gateway.arrive(&key_id).await;
    assert_eq!(replayed, None, "the key of a message that was delivered is back");
    assert!(gateway.custody.device_kem(&epoch_key).is_some(), "epoch keys are none that are used up");
    assert_eq!(gateway.serve(GLOBEX, 1, NOON).await.len(), 1, "and there is a new stock");
    gateway.guard.close().await;
}

#[tokio::test]
async fn a_database_older_than_the_day_key_starts_with_new_keys() {
    let gateway = Gateway::start().await;
    let before = published(&gateway.custody, NOON).remove(0).key_id;
    let backup = tempfile::tempdir().unwrap();
    copy(&gateway.folder.path().join("data"), backup.path());
    let tomorrow = NOON.saturating_add_ms(DAY_MS);
    let gateway = gateway.restart(tomorrow, |_| {}).await;
    let restore = |folder: &Path| {
        fs::remove_dir_all(folder.join("data")).unwrap();
        copy(backup.path(), &folder.join("data"));
    };
    let gateway = gateway.restart(tomorrow, restore).await;
    assert!(gateway.custody.device_kem(&before).is_none());
    assert_eq!(published(&gateway.custody, tomorrow).len(), 2);
    gateway.guard.close().await;
}

#[tokio::test]
async fn a_crash_between_the_steps_of_a_new_day_key_loses_no_key() {
    let mut gateway = Gateway::start().await;
    let epoch_key = published(&gateway.custody, NOON).remove(0).key_id;
    // Before the transaction: the file has the next key, the database does not know it. After it: the other way round.
    for committed in [false, true] {
        let file = gateway.custody.day.clone();
        let in_use = file.read().unwrap().unwrap().current;
        let (current, next) = match committed {
            false => (in_use, DayKey::fresh()),
            true => (DayKey::fresh(), in_use),
        };
        file.write(&Days { epoch: epoch_of(NOON), uses: 0, current, next: Some(next) }).unwrap();
        gateway = gateway.restart(NOON, |_| {}).await;
        assert!(gateway.custody.device_kem(&epoch_key).is_some(), "committed: {committed}");
        assert!(gateway.custody.day.read().unwrap().unwrap().next.is_none(), "the old day key is gone");
    }
    gateway.guard.close().await;
}

#[tokio::test]
async fn a_clock_that_is_put_back_brings_no_destroyed_key_back() {
    let gateway = Gateway::start().await;
    let prekey = published(&gateway.custody, NOON).remove(0);
    let one_time = gateway.serve(GLOBEX, 1, NOON).await.remove(0).key_id;
    let much_later = NOON.saturating_add_ms(30 * DAY_MS);
    gateway.custody.rotate(much_later, &gateway.spool).await.unwrap();
    gateway.custody.restock(much_later, &gateway.spool).await.unwrap();
    gateway.custody.rotate(NOON, &gateway.spool).await.unwrap();
    assert!(gateway.custody.device_kem(&prekey.key_id).is_none());
    assert_eq!(gateway.arrive(&one_time).await.1, None);
    let again = published(&gateway.custody, NOON).remove(0);
    assert_eq!(again.epoch, prekey.epoch);
    assert_ne!(again.key_id, prekey.key_id, "the day has a new key");
    gateway.guard.close().await;
}

#[tokio::test]
async fn two_processes_on_one_database_never_serve_one_key_twice() {
    let gateway = Gateway::start().await;
    let (beside, guard) =
        Spool::open_offline(gateway.config.database_path(), SpoolConfig::default()).unwrap();
    let serve = |spool: &Spool, partner: usize| {
        let (spool, custody) = (spool.clone(), gateway.custody.clone());
        let work = move |db: &rusqlite::Connection| {
            stock::serve(db, &format!("partner {partner}"), KemAlgorithm::XWing, 8, NOON)
        };
        async move {
            let stock = spool.write(work).await.unwrap().unwrap();
            stock.verify(custody.document(), NOON).unwrap()
        }
    };
    let mut served = Vec::new();
    for round in 0..8 {
        let (here, there) = tokio::join!(serve(&gateway.spool, 2 * round), serve(&beside, 2 * round + 1));
        served.extend(here.into_iter().chain(there).map(|key| key.key_id));
    }
    let different: BTreeSet<_> = served.iter().map(|key_id| *key_id.as_bytes()).collect();
    assert_eq!((served.len(), different.len()), (128, 128));
    guard.close().await;
    gateway.guard.close().await;
}

#[tokio::test]
async fn a_greedy_partner_empties_its_own_share_and_not_the_stock() {
    let gateway = Gateway::start().await;
    let mut got = 0;
    loop {
        let keys = gateway.serve("greedy", 1_000, NOON).await.len();
        got += keys;
        assert!(got <= stock::OUTSTANDING_KEYS_MAX, "it is never satisfied");
        if keys == 0 {
            break;
        }
        gateway.custody.restock(NOON, &gateway.spool).await.unwrap();
    }
    assert_eq!(got, stock::OUTSTANDING_KEYS_MAX);
    assert_eq!(gateway.serve(GLOBEX, 4, NOON).await.len(), 4, "others get theirs");

    // It uses them all, and asks again: the day has an end, too.
    let use_up = "DELETE FROM one_time_keys WHERE served_to = 'greedy'";
    let count = "UPDATE one_time_given SET keys = ?1 WHERE partner = 'greedy'";
    let given = storage::number(stock::KEYS_PER_DAY_MAX as u64) - 3;
    let used =
        move |db: &rusqlite::Connection| db.execute(use_up, []).and_then(|_| db.execute(count, [given]));
    gateway.spool.write(used).await.unwrap();
    assert_eq!(gateway.serve("greedy", 32, NOON).await.len(), 3);
    assert_eq!(gateway.serve("greedy", 32, NOON).await.len(), 0);
    assert_eq!(gateway.serve("greedy", 32, NOON.saturating_add_ms(DAY_MS)).await.len(), 32, "a new day");
    gateway.guard.close().await;
}

#[tokio::test]
async fn keys_that_nobody_asked_for_are_made_anew_before_they_expire() {
    let gateway = Gateway::start().await;
    let count = "SELECT count(*) FROM one_time_keys";
    let kept = || gateway.spool.read(move |db| db.query_row(count, [], |row| row.get::<_, i64>(0)));
    let first = kept().await.unwrap();
    assert_eq!(gateway.custody.restock(NOON, &gateway.spool).await.unwrap(), 0, "the stock is full");

    let expired = NOON.saturating_add_ms(stock::USABLE_MS);
    gateway.custody.rotate(expired, &gateway.spool).await.unwrap();
    assert!(gateway.serve(GLOBEX, 1, expired).await.is_empty(), "nobody is given a key that is dead");
    assert!(gateway.custody.restock(expired, &gateway.spool).await.unwrap() > 0);
    assert_eq!(gateway.serve(GLOBEX, 1, expired).await.len(), 1);
    assert_eq!(kept().await.unwrap(), first, "the old ones are forgotten");
    gateway.guard.close().await;
}

#[test]
fn a_question_for_a_suite_gets_keys_of_its_mechanism() {
    let kems = Suite::ALL.map(|suite| prekeys::number_of(suite.choices().kem));
    assert_eq!(kems, [0x0001, 0x0001, 0x0101, 0x0001]);
}
