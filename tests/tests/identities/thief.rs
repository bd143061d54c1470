//! Somebody who copied the operator key of an organisation, and its public records: enough to speak in its name, with
//! a node and a device of the thief's own.

use std::fs;
use std::path::Path;

use dccp::Suite;
use dccp::did::{Log, Manifest};
use dccp::keys::SigningKey;
use gateway::custody::{Identity, IdentityPaths};
use keystore::keyfile::{self, Kind};
use keystore::{MasterKey, MasterSource};
use tests::mallory::now;
use tests::site::Site;

/// An epoch that the owner will not reach by counting on.
const EPOCH: u64 = 900;

/// A gateway that is the victim to everybody who believes its operator key: it continues the victim's log by
/// `operations`, which say nothing that a glance would notice. Its mail server is at `deliver`.
pub(crate) fn thief_of(victim: &Site, operations: u64, deliver: &str) -> Site {
    let thief = Site::found(victim.domain, deliver);
    let seed = keyfile::read(&operator_key(victim), Kind::Operator, Some(&master_of(victim))).expect("a key");
    let operator = SigningKey::from_seed(seed.as_slice().try_into().expect("a seed"));
    fs::remove_file(operator_key(&thief)).expect("its own key");
    keyfile::write(&operator_key(&thief), Kind::Operator, &seed, Some(&master_of(&thief))).expect("a key");

    let log = (1..=operations).fold(victim.log_of_identity(), |log, epoch| continued(&log, epoch, &operator));
    let identity = thief.data().join("identity");
    let paths = IdentityPaths { log: identity.join("organisation.did"), manifest: identity.join("manifest") };
    let own = Identity::load(&paths, now()).expect("its own identity");
    let devices: Vec<_> = own.devices.iter().cloned().collect();
    let manifest = Manifest::sign(&log.did(), EPOCH, &devices, &[Suite::X0001], &[&operator]);
    Identity::replace(&paths, &log, &manifest.expect("a manifest")).expect("files");
    thief
}

fn continued(log: &Log, least_epoch: u64, operator: &SigningKey) -> Log {
    let mut change = log.verify().expect("a log").change().clone();
    change.manifest_epoch_min = least_epoch + 1;
    log.update(&change, &[operator]).expect("an update")
}

fn operator_key(site: &Site) -> std::path::PathBuf {
    site.folder().join("keys/operator.key")
}

fn master_of(site: &Site) -> MasterKey {
    let file: &Path = &site.folder().join("master.key");
    MasterKey::open(&MasterSource::File(file.to_owned())).expect("a master key")
}
