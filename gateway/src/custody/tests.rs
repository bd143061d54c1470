//! Promises of custody: keys that agree, prekeys that come and go with the days.

use std::fs;

use dccp::did::Commitment;
use dccp::prekey::{EPOCH_MS, Prekey, epoch_of};
use tempfile::TempDir;

use super::*;
use crate::spool::{SpoolConfig, SpoolGuard};

/// Noon of a day long ago, so that hours can be added and subtracted.
pub(super) const NOON: UnixMillis = UnixMillis(20_000 * EPOCH_MS + EPOCH_MS / 2);
pub(super) const HOUR_MS: u64 = 3_600_000;

/// A founded gateway in a folder of its own.
pub(super) fn house() -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["keys", "data"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let config = configured(&folder, "also: [acme.example]");
    let keys = KeySet::generate(&mut rand::rng());
    let recovery = SigningKey::generate(&mut rand::rng());
    let device = (&keys.device, keys.device_kem.encapsulation_key());
    let (log, manifest) = Identity::found(
        config.domains(),
        Commitment::of(recovery.verifying_key()),
        &keys.operator,
        device,
        &config.suites.accepted(),
        NOON,
    )
    .unwrap();
    keys.write(&config, None).unwrap();
    Identity::write(&identity_paths(&config), &log, &manifest).unwrap();
    (folder, config)
}

pub(super) fn configured(folder: &TempDir, also: &str) -> Config {
    let text = format!(
        "organisation: {{ domain: acme.test, {also} }}\nsmtp: {{ hostname: mx.acme.test }}\ndelivery: {{ address: \"127.0.0.1:24\" }}\n"
    );
    Config::of_text(&text, &folder.path().join("dccp-config.yaml")).unwrap()
}

pub(super) fn spool(config: &Config) -> (Spool, SpoolGuard) {
    Spool::open_offline(config.database_path(), SpoolConfig::default()).unwrap()
}

pub(super) fn published(custody: &Custody, now: UnixMillis) -> Vec<Prekey> {
    let records = custody.current_prekey_records();
    records.iter().map(|record| Prekey::verify(record, custody.document(), now).unwrap()).collect()
}

#[tokio::test]
async fn todays_and_tomorrows_prekeys_are_published_and_can_be_opened() {
    let (_folder, config) = house();
    let (spool, guard) = spool(&config);
    let custody = Custody::load(&config, &spool, NOON).await.unwrap();
    let prekeys = published(&custody, NOON);
    assert_eq!(prekeys.iter().map(|prekey| prekey.epoch).collect::<Vec<_>>(), [20_000, 20_001]);
    for prekey in &prekeys {
        let (ciphertext, shared) = prekey.kem.encapsulate(&mut rand::rng()).unwrap();
        let key = custody.device_kem(&prekey.key_id).unwrap();
        assert_eq!(key.decapsulate(&ciphertext).unwrap().as_bytes(), shared.as_bytes());
    }
    guard.close().await;
}

#[tokio::test]
async fn prekeys_survive_a_restart_and_rest_sealed() {
    let (_folder, config) = house();
    let (spool, guard) = spool(&config);
    let before = Custody::load(&config, &spool, NOON).await.unwrap();
    let after = Custody::load(&config, &spool, NOON).await.unwrap();
    let key_ids = |custody| published(custody, NOON).iter().map(|prekey| prekey.key_id).collect::<Vec<_>>();
    assert_eq!(key_ids(&before), key_ids(&after));

    let seeds: Vec<_> = key_ids(&before).iter().map(|id| before.device_kem(id).unwrap().seed()).collect();
    guard.close().await;
    let stored = fs::read(config.database_path()).unwrap();
    for seed in seeds {
        assert!(!stored.windows(32).any(|window| window == seed.as_slice()), "a seed rests in the clear");
    }
}

#[tokio::test]
async fn a_new_day_is_published_once_and_the_old_key_still_opens() {
    let (_folder, config) = house();
    let (spool, guard) = spool(&config);
    let custody = Custody::load(&config, &spool, NOON).await.unwrap();
    let [today, tomorrow] = published(&custody, NOON).try_into().unwrap();
    assert!(!custody.rotate(NOON.saturating_add_ms(HOUR_MS), &spool).await.unwrap());

    let next_day = NOON.saturating_add_ms(EPOCH_MS);
    assert!(custody.rotate(next_day, &spool).await.unwrap());
    assert!(!custody.rotate(next_day, &spool).await.unwrap());
    let now_published = published(&custody, next_day);
    assert_eq!(now_published.iter().map(|prekey| prekey.epoch).collect::<Vec<_>>(), [20_001, 20_002]);
    assert_eq!(now_published[0].key_id, tomorrow.key_id, "the key announced yesterday is used today");
    assert!(custody.device_kem(&today.key_id).is_some());
    guard.close().await;
}

#[tokio::test]
async fn a_prekey_is_destroyed_72_hours_after_its_day_and_not_before() {
    let (_folder, config) = house();
    let (spool, guard) = spool(&config);
    let custody = Custody::load(&config, &spool, NOON).await.unwrap();
    let today = published(&custody, NOON).remove(0);
    assert_eq!(today.epoch, epoch_of(NOON));

    let end = prekeys::destroyed_at(today.epoch);
    assert_eq!(end.as_u64(), 20_001 * EPOCH_MS + 72 * HOUR_MS);
    custody.rotate(end.saturating_sub_ms(1), &spool).await.unwrap();
    assert!(custody.device_kem(&today.key_id).is_some());

    custody.rotate(end, &spool).await.unwrap();
    assert!(custody.device_kem(&today.key_id).is_none());
    let key_id = today.key_id.as_bytes().to_vec();
    let query = "SELECT count(*) FROM prekeys WHERE key_id = ?1";
    let left: i64 = spool.read(move |db| db.query_row(query, [key_id], |row| row.get(0))).await.unwrap();
    assert_eq!(left, 0);
    guard.close().await;
}

#[tokio::test]
async fn a_command_beside_the_gateway_gives_out_the_gateways_prekeys() {
    let (_folder, config) = house();
    let (spool, guard) = self::spool(&config);
    let gateway = Custody::load(&config, &spool, NOON).await.unwrap();
    let command = Custody::load(&config, &spool, NOON).await.unwrap();
    for prekey in published(&command, NOON) {
        assert!(gateway.device_kem(&prekey.key_id).is_some());
    }
    let count = "SELECT count(*) FROM prekeys";
    let kept: i64 = spool.read(|db| db.query_row(count, [], |row| row.get(0))).await.unwrap();
    assert_eq!(kept, 2, "one key for each of the two published days");
    guard.close().await;
}

#[tokio::test]
async fn the_storage_key_of_another_gateway_is_noticed() {
    let (_folder, config) = house();
    let (spool, guard) = spool(&config);
    Custody::load(&config, &spool, NOON).await.unwrap();
    fs::remove_file(&config.keys.storage).unwrap();
    keyfile::write(&config.keys.storage, Kind::Storage, &[9; 32], None).unwrap();
    assert!(matches!(Custody::load(&config, &spool, NOON).await, Err(CustodyError::Prekeys)));
    guard.close().await;
}

#[test]
fn keys_of_another_organisation_are_refused_by_name() {
    let ((_folder, config), (_other_folder, other)) = (house(), house());
    for (ours, theirs, name) in [
        (&config.keys.operator, &other.keys.operator, "keys.operator"),
        (&config.keys.device, &other.keys.device, "keys.device"),
    ] {
        let kept = fs::read(ours).unwrap();
        fs::copy(theirs, ours).unwrap();
        let Err(error) = Custody::open(&config, NOON) else { panic!("{name} was taken") };
        assert!(error.to_string().contains(name), "{error}");
        fs::write(ours, kept).unwrap();
    }
    assert!(Custody::open(&config, NOON).is_ok());
}

#[test]
fn a_device_has_an_fn_dsa_key_where_its_suites_ask_for_one_and_only_there() {
    for (suites, signs) in [(&Suite::ALL[..], true), (&[Suite::X0001, Suite::X0002][..], false)] {
        let (_folder, config) = house();
        let custody = Custody::open(&config, NOON).unwrap();
        let ours = Device { signing: custody.public_keys_for(suites), ..custody.own_device().clone() };
        let manifest = Manifest::sign(custody.did(), 2, &[ours], suites, &[custody.operator()]).unwrap();
        Identity::replace(&identity_paths(&config), custody.log(), &manifest).unwrap();

        let custody = Custody::open(&config, NOON).unwrap();
        assert_eq!(custody.device().signs_for(Suite::X0102), signs);
        assert_eq!(custody.own_device().signing, *custody.device().verifying_key());
        assert!(custody.takes_part_in(suites) && !custody.takes_part_in(&[Suite::X0101]));
    }
}

#[test]
fn an_fn_dsa_key_that_is_listed_and_not_ours_signs_nothing() {
    let (_folder, config) = house();
    let custody = Custody::open(&config, NOON).unwrap();
    let of_another_version = falcon::SigningKey::generate(&mut rand::rng()).verifying_key().clone();
    let hybrid = custody.device().hybrid().verifying_key().clone();
    let signing = DeviceVerifier::new(hybrid, Some(of_another_version));
    let listed = Device { signing, ..custody.own_device().clone() };
    let manifest = Manifest::sign(custody.did(), 2, &[listed], &Suite::ALL, &[custody.operator()]).unwrap();
    Identity::replace(&identity_paths(&config), custody.log(), &manifest).unwrap();

    let custody = Custody::open(&config, NOON).unwrap();
    assert!(!custody.device().signs_for(Suite::X0102) && !custody.takes_part_in(&Suite::ALL));
    assert!(custody.own_device().signing.signs_for(Suite::X0102), "it is still in the manifest");
}

#[test]
fn a_domain_that_the_did_does_not_name_is_refused() {
    let (folder, _) = house();
    let Err(error) = Custody::open(&configured(&folder, "also: [globex.test]"), NOON) else {
        panic!("taken")
    };
    assert!(error.to_string().contains("globex.test"), "{error}");
}

#[test]
fn an_altered_identity_is_refused() {
    let (_folder, config) = house();
    for path in [config.identity_log_path(), config.manifest_path()] {
        let kept = fs::read(&path).unwrap();
        let mut altered = kept.clone();
        *altered.last_mut().unwrap() ^= 1;
        fs::write(&path, altered).unwrap();
        assert!(matches!(Custody::open(&config, NOON), Err(CustodyError::Identity(_))), "{}", path.display());
        fs::write(&path, kept).unwrap();
    }
}

#[test]
fn the_node_record_says_where_we_are_and_is_ours() {
    let (_folder, config) = house();
    let custody = Custody::open(&config, NOON).unwrap();
    let record = custody.node_record(config.announced_addresses(), NOON).unwrap();
    let record = NodeRecord::verify(&record, custody.document(), NOON).unwrap();
    assert_eq!(record.addresses, config.overlay.listen);
    assert_eq!(record.peer_id, overlay::peer_id_of(&custody.node_seed()).to_bytes());
}
