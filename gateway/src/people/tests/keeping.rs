//! Adding, ending, leaving; records, devices; the tree in the database.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dccp::did::{Custody, Quorum, Rotation};
use dccp::partner::{PartnerFile, VerifiedPartner};
use dccp::tree::{Subtrees, Tree, leaf_hash};

use super::super::tree::{self, Kept};
use super::*;

fn commitment(key: &SigningKey) -> Commitment {
    Commitment::of(key.verifying_key())
}

async fn bundle(desk: &Desk, did: &Did, now: UnixMillis) -> (PartnerFile, VerifiedPartner) {
    let bytes = desk.registrar.bundle(did, now).await.unwrap().unwrap();
    let file = PartnerFile::from_bytes(&bytes).unwrap();
    let verified = file.verify(now).unwrap();
    assert_eq!(verified.document.did(), did);
    (file, verified)
}

#[tokio::test]
async fn a_person_is_founded_by_the_organisation_and_answers_for_the_address() {
    let desk = Desk::open().await;
    let did = desk.add("Bob@Globex.TEST", Holding::Org).await;
    let (_, verified) = bundle(&desk, &did, NOW).await;
    assert_eq!(verified.document.custody(), Custody::Org);
    assert_eq!(verified.document.org(), Some(&desk.did()));
    assert_eq!(verified.devices.iter().collect::<Vec<_>>(), [&desk.office.device]);

    desk.registrar.publish(BOB).await.unwrap();
    let Mode::User(person) = desk.told(BOB).await.mode else { panic!("bob is published") };
    assert_eq!(person.did, did);
    assert!(
        verified.document.aka().iter().any(|aka| aka.matches(&person.salt, BOB)),
        "the log names the address"
    );
    desk.close().await;
}

#[tokio::test]
async fn the_same_records_are_served_to_everybody_and_after_a_restart() {
    let desk = Desk::open().await;
    let did = desk.add(BOB, Holding::Org).await;
    let first = desk.registrar.bundle(&did, NOW).await.unwrap();
    assert_eq!(desk.registrar.bundle(&did, NOW).await.unwrap(), first);
    let again = Registrar::open(desk.spool.clone(), desk.office.clone()).await.unwrap();
    assert_eq!(again.bundle(&did, NOW).await.unwrap(), first);
    assert_eq!(desk.registrar.bundle(&desk.did(), NOW).await.unwrap(), None, "the organisation is no person");
    desk.close().await;
}

#[tokio::test]
async fn people_are_added_in_batches_once_each() {
    let desk = Desk::open().await;
    let bob = desk.add(BOB, Holding::Org).await;
    let mut addresses: Vec<String> = (0..600).map(|number| format!("person{number}@globex.test")).collect();
    addresses.push(BOB.into());
    addresses.push("PERSON0@globex.test".into());
    let people =
        addresses.iter().map(|address| NewPerson { address: address.clone(), holding: Holding::Org });
    let added = desk.registrar.add(people.collect(), NOW).await.unwrap();
    assert_eq!(added.len(), 602);
    assert_eq!(added.iter().filter(|added| added.fresh).count(), 600);
    assert_eq!(added[600], Added { address: BOB.into(), did: bob, fresh: false });
    assert_eq!(added[601].did, added[0].did);
    assert_eq!(desk.told("nobody@globex.test").await.tree.size, 601);

    let mut listed = Vec::new();
    let mut after = 0;
    loop {
        let page = desk.registrar.list(after, 250).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        listed.extend(page.into_iter().map(|(_, person)| person.address));
    }
    assert_eq!(listed.len(), 601);
    assert_eq!(listed[1], "person0@globex.test");
    desk.close().await;
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_refused_before_anything_is_done() {
    let desk = Desk::open().await;
    for wrong in ["bob@acme.test", "bob", "@globex.test", "b ob@globex.test", "bob@globex.test\n", ""] {
        let people = [BOB, wrong].map(|address| NewPerson { address: address.into(), holding: Holding::Org });
        let refused = desk.registrar.add(people.to_vec(), NOW).await;
        assert!(matches!(refused, Err(PeopleError::NotOurs(_))), "{wrong:?}");
    }
    assert!(matches!(desk.registrar.person(BOB).await, Err(PeopleError::Unknown(_))));
    desk.close().await;
}

#[tokio::test]
async fn a_deactivated_person_is_gone_for_ever_and_the_address_is_free() {
    let desk = Desk::open().await;
    let did = desk.publish(BOB).await;
    desk.registrar.deactivate(BOB, NOW).await.unwrap();
    assert_eq!(desk.told_did(BOB).await, None);
    assert!(bundle(&desk, &did, NOW).await.1.document.is_deactivated());
    assert_eq!(desk.registrar.person(BOB).await.unwrap().standing, Standing::Deactivated);
    assert!(matches!(desk.registrar.publish(BOB).await, Err(PeopleError::Unknown(_))));
    assert!(matches!(desk.registrar.deactivate(BOB, NOW).await, Err(PeopleError::Unknown(_))));
    assert!(desk.registrar.revoke_device(BOB, "phone", NOW).await.is_err());

    let next = desk.publish(BOB).await;
    assert_ne!(next, did);
    let Mode::User(person) = desk.told(BOB).await.mode else { panic!("the next bob is published") };
    assert_eq!((person.did, person.generation, person.index), (next, 2, 2), "bound, unbound, bound");
    desk.close().await;
}

#[tokio::test]
async fn who_leaves_with_joint_custody_takes_the_did_and_only_they_decide_about_it() {
    let desk = Desk::open().await;
    let (theirs, next) = (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
    let did = desk.add(BOB, Holding::Joint(commitment(&theirs))).await;
    desk.registrar.publish(BOB).await.unwrap();
    let (_, before) = bundle(&desk, &did, NOW).await;
    assert_eq!(before.document.recovery_commitments().members.len(), 2);
    let ended = desk.registrar.deactivate(BOB, NOW).await;
    assert!(matches!(ended, Err(PeopleError::WrongEnd(_))), "not ours to end");

    desk.registrar.leave(BOB, NOW).await.unwrap();
    assert_eq!(desk.told_did(BOB).await, None);
    let (file, after) = bundle(&desk, &did, NOW).await;
    assert!(!after.document.is_deactivated());
    assert_eq!(after.document.recovery_commitments(), &Quorum::one(commitment(&theirs)));

    // The person takes another operator; the old one has no say in it.
    let operator = SigningKey::generate(&mut rand::rng());
    let rotation = Rotation {
        recovery_next: Quorum::one(commitment(&next)),
        operators: Quorum::one(operator.verifying_key().clone()),
        org: None,
        change: after.document.change().clone(),
    };
    let moved = file.log.rotate(&rotation, &[&theirs], &[&operator]).unwrap().verify().unwrap();
    assert_eq!((moved.did(), moved.operator()), (&did, operator.verifying_key()));
    desk.close().await;
}

#[tokio::test]
async fn who_leaves_with_own_custody_was_never_in_our_hands() {
    let desk = Desk::open().await;
    let theirs = SigningKey::generate(&mut rand::rng());
    let did = desk.add(BOB, Holding::Own(commitment(&theirs))).await;
    let (_, verified) = bundle(&desk, &did, NOW).await;
    assert_eq!(verified.document.custody(), Custody::Own);
    assert_eq!(verified.document.recovery_commitments(), &Quorum::one(commitment(&theirs)));
    desk.registrar.leave(BOB, NOW).await.unwrap();
    assert_eq!(bundle(&desk, &did, NOW).await.1.document.seq(), 0, "nothing was to be given up");
    let left = desk.registrar.add(vec![NewPerson { address: EVE.into(), holding: Holding::Org }], NOW).await;
    left.unwrap();
    assert!(matches!(desk.registrar.leave(EVE, NOW).await, Err(PeopleError::WrongEnd(_))), "custody org");
    desk.close().await;
}

fn device_file(id: &str) -> DeviceFile {
    let (signing, kem) =
        (SigningKey::generate(&mut rand::rng()), DecapsulationKey::generate(&mut rand::rng()));
    let (signing, kem) = (signing.verifying_key().to_bytes(), kem.encapsulation_key().to_bytes());
    let json = serde_json::json!({ "id": id, "signing": BASE64.encode(signing), "kem": BASE64.encode(kem) });
    DeviceFile::from_json(&json.to_string()).unwrap()
}

#[tokio::test]
async fn a_device_counts_from_the_epoch_it_was_added_to_the_moment_it_was_revoked() {
    let desk = Desk::open().await;
    let did = desk.add(BOB, Holding::Org).await;
    assert_eq!(desk.registrar.add_device(BOB, &device_file("phone"), NOW).await.unwrap(), 2);
    let (_, verified) = bundle(&desk, &did, NOW).await;
    let held = verified.devices.valid_at(NOW).map(|device| (device.id.as_str(), device.held_by));
    assert_eq!(held.collect::<Vec<_>>(), [("gateway-1", HeldBy::Gateway), ("phone", HeldBy::Device)]);
    let twice = desk.registrar.add_device(BOB, &device_file("phone"), NOW).await;
    assert!(matches!(twice, Err(PeopleError::Device(_))));

    assert_eq!(desk.registrar.revoke_device(BOB, "phone", NOW).await.unwrap(), 3);
    let (_, verified) = bundle(&desk, &did, NOW).await;
    assert_eq!(verified.devices.epoch(), 3);
    let valid = verified.devices.valid_at(NOW).map(|device| device.id.as_str());
    assert_eq!(valid.collect::<Vec<_>>(), ["gateway-1"]);
    for id in ["phone", "tablet", "gateway-1"] {
        let refused = desk.registrar.revoke_device(BOB, id, NOW).await;
        assert!(matches!(refused, Err(PeopleError::Device(_))), "{id}");
    }
    desk.close().await;
}

#[test]
fn a_device_file_that_is_none_is_refused_by_name() {
    for text in [
        "",
        "{}",
        "[]",
        r#"{"id":"a","signing":"!","kem":""}"#,
        r#"{"id":"a","signing":"AAAA","kem":"AAAA"}"#,
    ] {
        assert!(DeviceFile::from_json(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_gateway_with_another_device_key_replaces_itself_in_peoples_manifests() {
    let desk = Desk::open().await;
    let did = desk.add(BOB, Holding::Org).await;
    bundle(&desk, &did, NOW).await;
    desk.registrar.add_device(BOB, &device_file("phone"), NOW).await.unwrap();
    let key = SigningKey::generate(&mut rand::rng());
    let new = Office {
        did: desk.did(),
        devices: desk.office.devices.clone(),
        device: device("gateway-1", &key, HeldBy::Gateway),
        device_key: key,
        vault: desk.office.vault.clone(),
        domains: desk.office.domains.clone(),
    };
    let expected = new.device.clone();
    let registrar = Registrar::open(desk.spool.clone(), Arc::new(new)).await.unwrap();
    let devices = registrar.devices(BOB, NOW).await.unwrap();
    assert_eq!(devices.epoch(), 3);
    assert_eq!(devices.iter().map(|device| device.id.as_str()).collect::<Vec<_>>(), ["gateway-1", "phone"]);
    assert_eq!(devices.iter().next(), Some(&expected));
    desk.close().await;
}

#[tokio::test]
async fn proofs_from_the_database_are_those_of_the_tree_in_memory() {
    let desk = Desk::open().await;
    let mut memory = Tree::default();
    let office = desk.office.clone();
    for batch in [1_u64, 1, 2, 3, 5, 8, 13, 31] {
        let leaves: Vec<_> = (0..batch).map(|at| leaf_hash(&(memory.size() + at).to_be_bytes())).collect();
        leaves.iter().for_each(|leaf| memory.push(*leaf));
        let office = office.clone();
        desk.spool
            .write(move |database| tree::append(database, &leaves, office.as_ref(), NOW))
            .await
            .unwrap();
    }
    desk.spool
        .read(move |database| {
            assert_eq!(tree::head(database)?, memory.head());
            assert_eq!(tree::head_at(database, memory.size() + 1)?, None);
            for size in 1..=memory.size() {
                assert_eq!(tree::head_at(database, size)?, memory.head_at(size));
                let index = size * 7 % size;
                assert_eq!(Kept(database).prove_inclusion(index, size), memory.inclusion_proof(index, size));
                let grown = Kept(database).prove_consistency(size, memory.size());
                assert_eq!(grown, memory.consistency_proof(size, memory.size()));
            }
            Ok(())
        })
        .await
        .unwrap();
    desk.close().await;
}

#[tokio::test]
async fn every_head_that_was_public_is_kept_with_its_signature() {
    let desk = Desk::open().await;
    for address in [BOB, EVE] {
        desk.add(address, Holding::Org).await;
    }
    let heads = desk.spool.read(|database| {
        let mut query = database.prepare("SELECT signed FROM tree_heads ORDER BY size")?;
        query.query_map([], |row| row.get::<_, Vec<u8>>(0))?.collect::<rusqlite::Result<Vec<_>>>()
    });
    let heads = heads.await.unwrap();
    let verify = |bytes: &Vec<u8>| {
        dccp::transparency::SignedTreeHead::verify(bytes, &desk.did(), &desk.office.devices).unwrap()
    };
    let sizes: Vec<u64> = heads.iter().map(|bytes| verify(bytes).tree.size).collect();
    assert_eq!(sizes, [1, 2]);
    assert_eq!(verify(&heads[1]).tree, desk.registry.own_tree().await.unwrap());
    desk.close().await;
}

#[tokio::test]
async fn no_address_and_no_key_rests_in_clear() {
    let desk = Desk::open().await;
    desk.publish(BOB).await;
    desk.registrar.deactivate(BOB, NOW).await.unwrap();
    let folder = desk.close().await;
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        let found = octets.windows(BOB.len()).any(|window| window == BOB.as_bytes());
        assert!(!found, "the address rests in clear");
    }
}

#[tokio::test]
async fn the_secret_opens_only_under_the_storage_key_that_sealed_it() {
    let desk = Desk::open().await;
    let mut other = Office::of("globex.test");
    other.vault = Arc::new(Vault::new(Zeroizing::new([1; 32])));
    let refused = Registrar::open(desk.spool.clone(), Arc::new(other)).await;
    assert!(matches!(refused, Err(PeopleError::Secret)));
    desk.close().await;
}
