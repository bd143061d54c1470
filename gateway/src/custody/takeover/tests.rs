use std::fs;

use dccp::Suite;
use dccp::did::{Change, Comparison};
use tempfile::TempDir;

use super::*;
use crate::custody::{Custody, KeySet};

const NOON: UnixMillis = UnixMillis(20_000 * 86_400_000);

/// A founded organisation and the recovery key that its officers keep.
struct House {
    _folder: TempDir,
    config: Config,
    recovery: SigningKey,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    for name in ["keys", "data"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let text = "organisation: { domain: acme.test }\nsmtp: { hostname: mx.acme.test }\ndelivery: { address: \"127.0.0.1:24\" }\n";
    let config = Config::of_text(text, &folder.path().join("dccp-config.yaml")).unwrap();
    let keys = KeySet::generate(&mut rand::rng());
    let recovery = SigningKey::generate(&mut rand::rng());
    let device = (&keys.device, keys.device_kem.encapsulation_key());
    let commitment = Commitment::of(recovery.verifying_key());
    let (log, manifest) =
        Identity::found(config.domains(), commitment, &keys.operator, device, &Suite::ALL, NOON).unwrap();
    keys.write(&config, None).unwrap();
    Identity::write(&identity_paths(&config), &log, &manifest).unwrap();
    House { _folder: folder, config, recovery }
}

impl House {
    fn identity(&self) -> Identity {
        Identity::load(&identity_paths(&self.config), NOON).unwrap()
    }

    fn prepare(&self, recovery: &SigningKey, next: &SigningKey) -> Result<Takeover, CustodyError> {
        let decision = decision(next);
        Takeover::prepare(&self.identity(), recovery, &decision, NOON, &mut rand::rng())
    }

    /// Every file that a takeover touches, with what is staged beside it.
    fn files(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let all = places(&self.config).into_iter().flat_map(|place| [next_of(&place), place]);
        all.map(|path| (path.clone(), fs::read(path).ok())).collect()
    }
}

fn decision(next: &SigningKey) -> Decision {
    Decision {
        recovery_next: Commitment::of(next.verifying_key()),
        renew_device: false,
        operations_kept: None,
    }
}

fn key() -> SigningKey {
    SigningKey::generate(&mut rand::rng())
}

#[test]
fn after_a_takeover_the_gateway_works_under_a_new_operator_and_the_same_did() {
    let (house, next) = (house(), key());
    let before = house.identity();
    house.prepare(&house.recovery, &next).unwrap().stage(&house.config, None).unwrap();
    assert!(finish(&house.config).unwrap());

    let custody = Custody::open(&house.config, NOON).unwrap();
    assert_eq!(custody.did(), before.document.did());
    assert_ne!(custody.operator().verifying_key(), before.document.operator());
    assert!(custody.document().is_committed_recovery(next.verifying_key()));
    assert!(!custody.document().is_committed_recovery(house.recovery.verifying_key()));
    let after = house.identity();
    assert_eq!(after.devices.epoch(), before.devices.epoch() + 1);
    assert!(
        before.manifest.verify(&after.document, NOON).is_err(),
        "the old operator signs for nobody any more"
    );
}

#[test]
fn a_takeover_beats_everything_the_thief_signed_after_it() {
    let house = house();
    let ours = house.identity();
    let operator = KeySet::read(&house.config).unwrap().operator;
    let stolen = Change { manifest_epoch_min: 1_000, ..ours.document.change().clone() };
    let thief = ours.log.update(&stolen, &[&operator]).unwrap();
    let taken = house.prepare(&house.recovery, &key()).unwrap();
    assert!(matches!(thief.compare(&taken.log), Comparison::Superseded { .. }));
}

#[test]
fn operations_of_a_thief_in_our_own_log_are_left_behind() {
    let house = house();
    let ours = house.identity();
    let operator = KeySet::read(&house.config).unwrap().operator;
    let stolen = Change { manifest_epoch_min: 7, ..ours.document.change().clone() };
    let log = ours.log.update(&stolen, &[&operator]).unwrap();
    let document = log.verify().unwrap();
    let identity = Identity { log, document, ..ours };
    let decision = Decision { operations_kept: Some(1), ..decision(&key()) };
    let taken = Takeover::prepare(&identity, &house.recovery, &decision, NOON, &mut rand::rng()).unwrap();
    assert_eq!(taken.document().unwrap().manifest_epoch_min(), 1);
    assert_eq!(taken.document().unwrap().seq(), 1);
    let none = Decision { operations_kept: Some(9), ..decision };
    assert!(Takeover::prepare(&identity, &house.recovery, &none, NOON, &mut rand::rng()).is_err());
}

#[test]
fn another_key_than_the_committed_one_is_refused_and_nothing_is_written() {
    let house = house();
    let before = house.files();
    let Err(refused) = house.prepare(&key(), &key()) else { panic!("taken over") };
    assert!(refused.to_string().contains("not the recovery key"), "{refused}");
    assert_eq!(house.files(), before);
}

#[test]
fn a_recovery_key_is_spent_by_its_use() {
    let (house, next) = (house(), key());
    house.prepare(&house.recovery, &next).unwrap().stage(&house.config, None).unwrap();
    finish(&house.config).unwrap();
    assert!(house.prepare(&house.recovery, &key()).is_err());
    assert!(house.prepare(&next, &house.recovery).is_err(), "a revealed key cannot be committed to again");
    assert!(house.prepare(&next, &key()).is_ok());
}

#[test]
fn a_new_device_replaces_the_old_one_in_the_manifest() {
    let (house, next) = (house(), key());
    let before = house.identity();
    let decision = Decision { renew_device: true, ..decision(&next) };
    let taken = Takeover::prepare(&before, &house.recovery, &decision, NOON, &mut rand::rng()).unwrap();
    taken.stage(&house.config, None).unwrap();
    finish(&house.config).unwrap();
    let custody = Custody::open(&house.config, NOON).unwrap();
    assert!(before.device(custody.device().hybrid().verifying_key()).is_none());
    assert_eq!(house.identity().devices.iter().count(), before.devices.iter().count());
}

#[test]
fn a_takeover_that_is_cut_short_at_any_rename_is_finished_by_the_next_call() {
    for at in 0..places(&house().config).len() {
        let (house, next) = (house(), key());
        let decision = Decision { renew_device: true, ..decision(&next) };
        let taken = Takeover::prepare(&house.identity(), &house.recovery, &decision, NOON, &mut rand::rng());
        taken.unwrap().stage(&house.config, None).unwrap();
        // A file does not take the place of a folder: here the first call ends.
        let place = &places(&house.config)[at];
        fs::remove_file(place).unwrap();
        fs::create_dir(place).unwrap();
        assert!(finish(&house.config).is_err(), "{at}");
        assert!(matches!(Custody::open(&house.config, NOON), Err(CustodyError::Unfinished)), "{at}");

        fs::remove_dir(place).unwrap();
        assert!(finish(&house.config).unwrap(), "{at}");
        let custody = Custody::open(&house.config, NOON).unwrap();
        assert!(custody.document().is_committed_recovery(next.verifying_key()), "{at}");
        assert!(!finish(&house.config).unwrap(), "nothing is left to do");
    }
}

#[test]
fn what_was_staged_before_the_log_never_happened() {
    let (house, next) = (house(), key());
    let decision = Decision { renew_device: true, ..decision(&key()) };
    let first = Takeover::prepare(&house.identity(), &house.recovery, &decision, NOON, &mut rand::rng());
    first.unwrap().stage(&house.config, None).unwrap();
    let [.., log] = places(&house.config);
    fs::remove_file(next_of(&log)).unwrap();

    assert!(!finish(&house.config).unwrap());
    Custody::open(&house.config, NOON).unwrap();
    house.prepare(&house.recovery, &next).unwrap().stage(&house.config, None).unwrap();
    finish(&house.config).unwrap();
    let custody = Custody::open(&house.config, NOON).unwrap();
    assert!(custody.document().is_committed_recovery(next.verifying_key()), "the second attempt counts");
    assert!(places(&house.config).iter().all(|place| !next_of(place).exists()));
}
