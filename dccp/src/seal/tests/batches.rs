//! One signature for many messages.

use super::suites::Duo;
use super::*;
use crate::batch::{self, BatchError, RootCache};
use crate::limits::BATCH_MESSAGES_MAX;
use crate::tree::{Tree, node_hash};
use crate::wire::Malformed;

const BAD_SIGNATURE: OpenError = OpenError::BadSignature(BadSignature);

fn drafts(duo: &Duo, count: usize) -> Vec<Draft> {
    (0..count).map(|number| duo.draft(format!("message {number}").as_bytes())).collect()
}

fn sign(duo: &Duo, drafts: &[Draft]) -> Vec<Evidence> {
    let leaves: Vec<_> = drafts.iter().map(Draft::leaf).collect();
    batch::sign(&leaves, duo.suite, &duo.acme).unwrap()
}

/// The `Signed` of one message of a batch, to be spoiled.
fn signed(draft: &Draft, evidence: &Evidence) -> wire::Signed {
    let (signature, batch) = evidence.to_wire();
    wire::Signed { body: Bytes::copy_from_slice(&draft.body), signatures: vec![signature], batch }
}

#[test]
fn every_message_of_a_batch_stands_alone() {
    for suite in Suite::ALL {
        let duo = Duo::of(suite);
        for count in [1, 2, 5, BATCH_MESSAGES_MAX] {
            let drafts = drafts(&duo, count);
            let evidence = sign(&duo, &drafts);
            for (number, (draft, evidence)) in drafts.into_iter().zip(evidence).enumerate() {
                let sealed = draft.finish(&evidence, NOW, &mut rng(), None).unwrap();
                let unverified = unseal(&sealed, &duo.globex).unwrap();
                let opened = unverified.verify(duo.acme.verifying_key(), &did("globex"), NOW).unwrap();
                assert_eq!(opened.message.payload, format!("message {number}"), "of {count}");
            }
        }
    }
}

#[test]
fn a_batch_has_1_to_64_messages() {
    let duo = Duo::of(Suite::X0001);
    let sign = |count| batch::sign(&vec![[0; 32]; count], duo.suite, &duo.acme).map(|_| ()).unwrap_err();
    assert_eq!(sign(0), BatchError::Size(0));
    assert_eq!(sign(BATCH_MESSAGES_MAX + 1), BatchError::Size(BATCH_MESSAGES_MAX + 1));
    let without = batch::sign(&[[0; 32]], Suite::X0102, &device(1)).map(|_| ()).unwrap_err();
    assert_eq!(without, BatchError::NoSigningKey(NoSigningKey(Suite::X0102)));
}

#[test]
fn the_evidence_of_one_message_does_not_finish_another() {
    let duo = Duo::of(Suite::X0001);
    let mut drafts = drafts(&duo, 2);
    let evidence = sign(&duo, &drafts);
    let refused = drafts.remove(0).finish(&evidence[1], NOW, &mut rng(), None).unwrap_err();
    assert_eq!(refused, SealError::Mismatch("evidence"));
    let other = Duo::of(Suite::X0002);
    let refused = other.draft(b"message 1").finish(&evidence[1], NOW, &mut rng(), None).unwrap_err();
    assert_eq!(refused, SealError::Mismatch("evidence"));
}

#[test]
fn a_body_that_is_not_under_the_root_is_refused() {
    let duo = Duo::of(Suite::X0001);
    let drafts = drafts(&duo, 5);
    let evidence = sign(&duo, &drafts);
    let good = signed(&drafts[1], &evidence[1]);
    assert!(duo.receive_signed(&good).is_ok());

    let forged = wire::Signed { body: Bytes::copy_from_slice(&duo.draft(b"forged").body), ..good.clone() };
    assert_eq!(duo.receive_signed(&forged), Err(BAD_SIGNATURE));
    let spoiled = |change: fn(&mut wire::BatchProof)| {
        let mut signed = good.clone();
        change(signed.batch.as_mut().unwrap());
        duo.receive_signed(&signed).unwrap_err()
    };
    assert_eq!(spoiled(|proof| proof.index = 2), BAD_SIGNATURE);
    assert_eq!(spoiled(|proof| proof.size = 6), BAD_SIGNATURE);
    assert_eq!(spoiled(|proof| proof.path[0] = vec![0; 32].into()), BAD_SIGNATURE);
    assert_eq!(spoiled(|proof| drop(proof.path.pop())), BAD_SIGNATURE);
    assert_eq!(spoiled(|proof| proof.path.push(vec![0; 32].into())), BAD_SIGNATURE);
    let malformed = OpenError::Malformed(Malformed);
    assert_eq!(spoiled(|proof| proof.index = 5), malformed);
    assert_eq!(spoiled(|proof| (proof.size, proof.index) = (0, 0)), malformed);
    assert_eq!(spoiled(|proof| proof.size = 65), malformed);
    assert_eq!(spoiled(|proof| proof.path[0] = vec![0; 31].into()), malformed);
    assert_eq!(spoiled(|proof| proof.path = vec![vec![0; 32].into(); 7]), malformed);
}

#[test]
fn a_swarm_of_empty_hashes_is_counted_before_it_is_read() {
    let duo = Duo::of(Suite::X0001);
    let drafts = drafts(&duo, 2);
    let good = signed(&drafts[0], &sign(&duo, &drafts)[0]);
    let swarm = vec![Bytes::new(); 500_000];
    let proof = wire::BatchProof { size: 2, index: 0, path: swarm };
    let hostile = wire::Signed { batch: Some(proof), ..good };
    assert_eq!(duo.receive_signed(&hostile), Err(OpenError::Malformed(Malformed)));
}

#[test]
fn the_signature_of_a_root_is_not_the_signature_of_a_message_nor_the_reverse() {
    let duo = Duo::of(Suite::X0001);
    let drafts = drafts(&duo, 2);
    let evidence = sign(&duo, &drafts);
    let stripped = wire::Signed { batch: None, ..signed(&drafts[0], &evidence[0]) };
    assert_eq!(duo.receive_signed(&stripped), Err(BAD_SIGNATURE));
    let single = drafts[0].sign(&duo.acme).unwrap();
    let (signature, _) = single.to_wire();
    let dressed = wire::Signed { signatures: vec![signature], ..signed(&drafts[0], &evidence[0]) };
    assert_eq!(duo.receive_signed(&dressed), Err(BAD_SIGNATURE));
}

#[test]
fn an_inner_node_does_not_pass_for_a_message() {
    // The children of a node as a body: leaf and node are hashed with different octets in front.
    let duo = Duo::of(Suite::X0001);
    let drafts = drafts(&duo, 4);
    let leaves: Vec<_> = drafts.iter().map(Draft::leaf).collect();
    let evidence = sign(&duo, &drafts);
    let right = node_hash(&leaves[2], &leaves[3]);
    let forged = wire::Signed {
        body: [leaves[0], leaves[1]].concat().into(),
        batch: Some(wire::BatchProof { size: 2, index: 0, path: vec![right.to_vec().into()] }),
        ..signed(&drafts[0], &evidence[0])
    };
    assert!(duo.receive_signed(&forged).is_err());
    assert_eq!(leaves.iter().copied().collect::<Tree>().head().size, 4, "the size is signed as well");
}

#[test]
fn a_verified_root_vouches_for_its_batch_its_device_and_its_signature_only() {
    let duo = Duo::of(Suite::X0001);
    let roots = RootCache::new(16);
    let batch = drafts(&duo, 3);
    let evidence = sign(&duo, &batch);
    let open = |signed: &wire::Signed, signer: &DeviceSigner, roots: &RootCache| {
        let sealed = duo.seal_signed(signed);
        let unverified = unseal(&sealed, &duo.globex).unwrap();
        unverified.verify_with(roots, signer.verifying_key(), &did("globex"), NOW).map(|_| ())
    };
    assert_eq!(open(&signed(&batch[0], &evidence[0]), &duo.acme, &roots), Ok(()));
    assert_eq!(roots.len(), 1);
    assert_eq!(open(&signed(&batch[1], &evidence[1]), &duo.acme, &roots), Ok(()));
    assert_eq!(roots.len(), 1, "the second message of a batch needs no signature check");

    let mut unsigned = signed(&batch[2], &evidence[2]);
    unsigned.signatures = vec![duo.named(&[7; 3373])];
    assert_eq!(open(&unsigned, &duo.acme, &roots), Err(BAD_SIGNATURE), "its evidence would convince nobody");
    let same_name = DeviceSigner::from(SigningKey::from_seed(&[1; 64]));
    assert_eq!(open(&signed(&batch[2], &evidence[2]), &same_name, &roots), Ok(()));
    assert_eq!(roots.len(), 2, "other keys of a device, another entry");
    assert_eq!(open(&signed(&batch[2], &evidence[2]), &device(9), &roots), Err(BAD_SIGNATURE));

    let tiny = RootCache::new(1);
    for _ in 0..3 {
        let next = drafts(&duo, 1);
        assert_eq!(open(&signed(&next[0], &sign(&duo, &next)[0]), &duo.acme, &tiny), Ok(()));
        assert_eq!(tiny.len(), 1, "bounded");
    }
}
