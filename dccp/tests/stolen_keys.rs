//! What a thief can do with each key, and how its owner gets the DID back.

mod common;

use common::{NOW, Organisation};
use dccp::did::{
    Aka, Change, Commitment, Comparison, Custody, Founding, Head, Log, LogError, Manifest, Quorum, Rotation,
    found,
};
use dccp::keys::{SigningKey, VerifyingKey};
use dccp::node::NodeRecord;
use dccp::partner::PartnerFile;
use dccp::tree::TreeHead;
use dccp::{RecordError, Suite};

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 64])
}

fn public(number: u8) -> VerifyingKey {
    key(number).verifying_key().clone()
}

fn committed(numbers: &[u8], threshold: u64) -> Quorum<Commitment> {
    let members = numbers.iter().map(|number| Commitment::of(&public(*number))).collect();
    Quorum { members, threshold }
}

fn shown(numbers: &[u8], threshold: u64) -> Quorum<VerifyingKey> {
    Quorum { members: numbers.iter().map(|number| public(*number)).collect(), threshold }
}

/// Operator 1, recovery key 2.
fn acme() -> Log {
    let recovery = Commitment::of(&public(2));
    let founding = Founding::organisation(vec!["acme.example".into()], public(1), recovery, NOW);
    found(&founding, &[&key(1)]).unwrap()
}

fn change(log: &Log) -> Change {
    log.verify().unwrap().change().clone()
}

fn with_epoch(log: &Log, epoch: u64) -> Change {
    Change { manifest_epoch_min: epoch, ..change(log) }
}

fn update(log: &Log, epoch: u64, operator: u8) -> Log {
    log.update(&with_epoch(log, epoch), &[&key(operator)]).unwrap()
}

fn rotation(log: &Log, next: &[u8], operators: &[u8]) -> Rotation {
    Rotation {
        recovery_next: committed(next, 1),
        operators: shown(operators, 1),
        org: log.verify().unwrap().org().cloned(),
        change: change(log),
    }
}

fn rotate(log: &Log, revealed: u8, next: u8, operator: u8) -> Log {
    log.rotate(&rotation(log, &[next], &[operator]), &[&key(revealed)], &[&key(operator)]).unwrap()
}

#[test]
fn a_stolen_operator_key_loses_its_branch_to_the_owners_rotation_at_the_fork() {
    let genesis = acme();
    let thief = update(&update(&genesis, 5, 1), u64::MAX, 1);
    let owner = rotate(&genesis, 2, 3, 4);
    assert_eq!(thief.compare(&owner), Comparison::Superseded { at_seq: 1 });
    assert_eq!(owner.compare(&thief), Comparison::Supersedes { at_seq: 1 });

    let document = owner.verify().unwrap();
    assert_eq!(document.operator(), &public(4));
    assert!(document.is_committed_recovery(&public(3)) && !document.is_committed_recovery(&public(2)));
}

#[test]
fn an_operator_key_that_was_rotated_away_cannot_freeze_the_did_from_further_back() {
    let genesis = acme();
    let owner = rotate(&update(&genesis, 5, 1), 2, 3, 4);
    let thief = update(&genesis, 6, 1);
    assert_eq!(owner.compare(&thief), Comparison::Supersedes { at_seq: 1 });
    assert_eq!(thief.compare(&owner), Comparison::Superseded { at_seq: 1 });
}

#[test]
fn the_owner_recovers_by_going_back_to_the_last_good_operation() {
    let good = update(&acme(), 2, 1);
    let stolen = update(&good, 3, 1);
    let recovered = rotate(&stolen.beginning(2).unwrap(), 2, 3, 4);
    assert_eq!(stolen.compare(&recovered), Comparison::Superseded { at_seq: 2 });
    assert!(stolen.beginning(0).is_none() && stolen.beginning(4).is_none());
}

#[test]
fn a_stolen_operator_key_cannot_rotate_or_deactivate() {
    let log = acme();
    let rotate = |revealed: &[&SigningKey], operators: &[&SigningKey]| {
        log.rotate(&rotation(&log, &[3], &[9]), revealed, operators).unwrap_err()
    };
    assert_eq!(rotate(&[&key(1)], &[&key(9)]), LogError::NotCommitted);
    assert_eq!(rotate(&[], &[&key(9)]), LogError::ThresholdNotMet);
    assert_eq!(rotate(&[&key(2)], &[&key(1)]), LogError::UnknownSigner, "the old operator has no say");
    assert_eq!(rotate(&[&key(2)], &[]), LogError::ThresholdNotMet, "the new operator must take over");
    assert_eq!(log.deactivate(&[&key(1)]).unwrap_err(), LogError::NotCommitted);
    assert_eq!(log.deactivate(&[]).unwrap_err(), LogError::ThresholdNotMet);
}

#[test]
fn what_a_thief_signed_dies_with_the_rotation() {
    let genesis = acme();
    let (before, after) = (genesis.verify().unwrap(), rotate(&genesis, 2, 3, 4).verify().unwrap());
    let node = NodeRecord { did: genesis.did(), ..Organisation::acme().node(30) };
    let (stolen, own) = (node.sign(&key(1)).unwrap(), node.sign(&key(4)).unwrap());
    assert!(NodeRecord::verify(&stolen, &before, NOW).is_ok());
    assert!(matches!(NodeRecord::verify(&stolen, &after, NOW), Err(RecordError::BadSignature(_))));
    assert!(NodeRecord::verify(&own, &after, NOW).is_ok());
    assert_ne!(before.era(), after.era(), "epochs that the thief used up do not count any more");
}

#[test]
fn a_replayed_old_log_is_older_and_the_new_one_newer() {
    let old = acme();
    let new = update(&old, 2, 1);
    assert_eq!(new.compare(&old), Comparison::Older);
    assert_eq!(old.compare(&new), Comparison::Newer);
    assert_eq!(new.compare(&update(&old, 2, 1)), Comparison::Same, "signatures do not count");
    assert_eq!(new.compare(&Organisation::globex().log), Comparison::Unrelated);
}

#[test]
fn a_fork_of_equal_rank_is_duplicity() {
    let genesis = acme();
    let duplicity = Comparison::Duplicity { at_seq: 1 };
    assert_eq!(update(&genesis, 2, 1).compare(&update(&genesis, 3, 1)), duplicity);
    assert_eq!(rotate(&genesis, 2, 3, 4).compare(&rotate(&genesis, 2, 5, 6)), duplicity);
    assert_eq!(rotate(&genesis, 2, 3, 4).compare(&genesis.deactivate(&[&key(2)]).unwrap()), duplicity);
}

#[test]
fn the_owner_thaws_a_frozen_did_by_rotating_at_the_fork() {
    let genesis = acme();
    let (one, other) = (update(&genesis, 2, 1), update(&genesis, 3, 1));
    let owner = rotate(&genesis, 2, 3, 4);
    for frozen in [one, other] {
        assert_eq!(frozen.compare(&owner), Comparison::Superseded { at_seq: 1 });
    }
}

#[test]
fn a_revealed_recovery_key_never_counts_again() {
    let rotated = rotate(&acme(), 2, 3, 4);
    let again = |next, operators, revealed| {
        rotated.rotate(&rotation(&rotated, next, &[operators]), &[&key(revealed)], &[&key(operators)])
    };
    assert_eq!(again(&[5], 6, 2).unwrap_err(), LogError::NotCommitted);
    assert_eq!(again(&[2], 6, 3).unwrap_err(), LogError::RevealedAgain, "revealed by an earlier rotation");
    assert_eq!(again(&[3], 6, 3).unwrap_err(), LogError::RevealedAgain, "revealed by this one");
    assert_eq!(again(&[5], 2, 3).unwrap_err(), LogError::KeyInTwoRanks);
    assert_eq!(again(&[5], 5, 3).unwrap_err(), LogError::KeyInTwoRanks);
    assert!(again(&[5], 6, 3).is_ok());
}

#[test]
fn thresholds_count_different_members() {
    let founding = Founding {
        operators: shown(&[1, 2, 3], 2),
        recovery: committed(&[4, 5, 6], 2),
        ..Founding::organisation(vec!["acme.example".into()], public(1), Commitment::of(&public(4)), NOW)
    };
    assert_eq!(found(&founding, &[&key(1)]).unwrap_err(), LogError::ThresholdNotMet);
    assert_eq!(found(&founding, &[&key(1), &key(1)]).unwrap_err(), LogError::ThresholdNotMet);
    let log = found(&founding, &[&key(1), &key(3)]).unwrap();
    let later = with_epoch(&log, 2);
    assert_eq!(log.update(&later, &[&key(2)]).unwrap_err(), LogError::ThresholdNotMet);
    let log = log.update(&later, &[&key(3), &key(2), &key(1)]).unwrap();

    let rotation = Rotation {
        recovery_next: committed(&[6, 14, 15], 2),
        operators: shown(&[11, 12], 2),
        org: None,
        change: change(&log),
    };
    let rotate = |recovery: &[u8], operators: &[u8]| {
        let [recovery, operators] = [recovery, operators]
            .map(|numbers| numbers.iter().map(|number| key(*number)).collect::<Vec<_>>());
        log.rotate(&rotation, &recovery.iter().collect::<Vec<_>>(), &operators.iter().collect::<Vec<_>>())
    };
    assert_eq!(rotate(&[4], &[11, 12]).unwrap_err(), LogError::ThresholdNotMet);
    assert_eq!(rotate(&[4, 4], &[11, 12]).unwrap_err(), LogError::RevealedAgain);
    assert_eq!(rotate(&[4, 5], &[11]).unwrap_err(), LogError::ThresholdNotMet);
    let rotated = rotate(&[4, 5], &[11, 12]).unwrap();
    assert_eq!(rotated.deactivate(&[&key(6)]).unwrap_err(), LogError::ThresholdNotMet);
    assert!(rotated.deactivate(&[&key(6), &key(15)]).unwrap().verify().unwrap().is_deactivated());
}

#[test]
fn deactivation_is_final_and_nothing_verifies_after_it() {
    let acme = Organisation::acme();
    let recovery = SigningKey::from_seed(&[11; 64]);
    let ended = acme.log.deactivate(&[&recovery]).unwrap();
    let document = ended.verify().unwrap();
    assert!(document.is_deactivated() && document.operators().members.is_empty());

    let node = acme.node(30).sign(&acme.operator).unwrap();
    assert!(matches!(NodeRecord::verify(&node, &document, NOW), Err(RecordError::BadSignature(_))));
    assert!(acme.manifest().verify(&document, NOW).is_err());
    let update = ended.update(document.change(), &[&acme.operator]).unwrap_err();
    assert_eq!(update, LogError::AfterDeactivation);
    let bundle = PartnerFile { log: ended, ..acme.partner_file() };
    let partner = PartnerFile::from_bytes(&bundle.to_bytes()).unwrap().verify(NOW).unwrap();
    assert!(partner.document.is_deactivated());
    assert!(partner.devices.iter().next().is_none() && partner.nodes.is_empty());
}

#[test]
fn an_employee_in_joint_custody_leaves_with_the_did_but_in_org_custody_without() {
    let person = |custody| {
        let aka = Aka::of(&[9; 16], "ann@acme.example");
        let recovery = committed(&[2, 3], 1);
        let founding = Founding::person(acme().did(), custody, public(1), recovery, vec![aka], NOW);
        found(&founding, &[&key(1)]).unwrap()
    };
    let leave = |log: &Log| {
        let change = Change { aka: Vec::new(), ..change(log) };
        let rotation = Rotation { org: None, change, ..rotation(log, &[5], &[6]) };
        log.rotate(&rotation, &[&key(3)], &[&key(6)])
    };
    let left = leave(&person(Custody::Joint)).unwrap();
    assert_eq!(left.did(), person(Custody::Joint).did());
    let document = left.verify().unwrap();
    assert_eq!((document.org(), document.aka().len(), document.custody()), (None, 0, Custody::Joint));
    assert_eq!(leave(&person(Custody::Org)).unwrap_err(), LogError::Org);
    assert!(leave(&person(Custody::Own)).is_ok());
}

#[test]
fn people_speak_for_no_domain_and_joint_custody_names_an_organisation() {
    let person =
        |custody| Founding::person(acme().did(), custody, public(1), committed(&[2], 1), Vec::new(), NOW);
    let own = Founding { org: None, ..person(Custody::Own) };
    assert!(!found(&own, &[&key(1)]).unwrap().verify().unwrap().is_organisation());
    let with_domain = Founding { domains: vec!["ann.example".into()], ..person(Custody::Own) };
    assert_eq!(found(&with_domain, &[&key(1)]).unwrap_err(), LogError::Domains);
    let alone = Founding { org: None, ..person(Custody::Joint) };
    assert_eq!(found(&alone, &[&key(1)]).unwrap_err(), LogError::Org);
}

#[test]
fn a_bundle_of_a_person_needs_no_nodes() {
    let acme = Organisation::acme();
    let founding = Founding::person(acme.did(), Custody::Org, public(1), committed(&[2], 1), Vec::new(), NOW);
    let log = found(&founding, &[&key(1)]).unwrap();
    let device = acme.manifest().verify(&acme.log.verify().unwrap(), NOW).unwrap();
    let devices: Vec<_> = device.iter().cloned().collect();
    let manifest = sign_manifest(&log, &devices, &key(1));
    let bundle = PartnerFile { log, manifest, nodes: Vec::new(), prekeys: Vec::new() };
    let person = PartnerFile::from_bytes(&bundle.to_bytes()).unwrap().verify(NOW).unwrap();
    assert_eq!(person.document.org(), Some(&acme.did()));
}

#[test]
fn a_head_names_exactly_the_end_of_the_log_beside_it() {
    let old = acme();
    let new = update(&old, 2, 1);
    let times = (NOW, NOW.saturating_add_ms(common::DAY_MS));
    let head = |log: &Log| Head::of(&log.verify().unwrap(), 1, TreeHead::EMPTY, Vec::new(), times);
    let signed = |log: &Log, operator| head(log).sign(&key(operator)).unwrap();
    let verify = |bytes: &[u8], log: &Log| Head::verify(bytes, &log.verify().unwrap(), NOW);

    assert_eq!(verify(&signed(&new, 1), &new), Ok(head(&new)));
    assert_eq!(Head::claimed(&signed(&new, 1)), Ok(head(&new)));
    assert_eq!(verify(&signed(&new, 1), &old), Err(RecordError::Ahead));
    assert_eq!(verify(&signed(&old, 1), &new), Err(RecordError::Behind));
    assert_eq!(verify(&signed(&update(&old, 3, 1), 1), &new), Err(RecordError::Ahead), "another branch");
    assert!(matches!(verify(&signed(&new, 7), &new), Err(RecordError::BadSignature(_))));
    let other = Organisation::globex();
    assert_eq!(verify(&signed(&new, 1), &other.log), Err(RecordError::OtherDid));
    let late = Head::verify(&signed(&new, 1), &new.verify().unwrap(), times.1.saturating_add_ms(300_000));
    assert_eq!(late, Err(RecordError::Expired));

    let rotated = rotate(&old, 2, 3, 4);
    assert!(head(&new).newer_than(&head(&old)) && !head(&old).newer_than(&head(&new)));
    assert!(head(&rotated).newer_than(&head(&update(&new, 3, 1))), "a rotation outweighs operations");
}

fn sign_manifest(log: &Log, devices: &[dccp::did::Device], operator: &SigningKey) -> Manifest {
    Manifest::sign(&log.did(), 1, devices, &[Suite::X0001], &[operator]).unwrap()
}
