//! `primitives.json`: the two KEMs, the signatures of every suite, and the Merkle tree.

use dccp::Suite;
use dccp::kem::{DecapsulationKey, EncapsulationKey};
use dccp::keys::{DeviceVerifier, Domain, VerifyingKey, falcon};
use dccp::suite::KemAlgorithm;
use dccp::tree::{self, Hash, Tree, TreeHead};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::scene::Scene;
use super::{array, base64, items, octets, read, suite, text, write};

const MECHANISMS: [(&str, KemAlgorithm); 2] =
    [("x_wing", KemAlgorithm::XWing), ("ml_kem_768", KemAlgorithm::MlKem768)];

fn kem(algorithm: KemAlgorithm) -> Value {
    let mut rng = StdRng::seed_from_u64(1);
    let key = DecapsulationKey::from_seed(algorithm, &vec![77; algorithm.seed_bytes()]).unwrap();
    let vector = |name: &str, ciphertext: &[u8]| {
        let secret = key.decapsulate(ciphertext).unwrap();
        json!({ "name": name, "ciphertext": base64(ciphertext), "secret": base64(secret.as_bytes()) })
    };
    let (good, _) = key.encapsulation_key().encapsulate(&mut rng).unwrap();
    let mut altered = good.clone();
    altered[100] ^= 1;
    let public = key.encapsulation_key().to_bytes();
    let mut bad_ciphertexts =
        vec![("an octet too few", good[1..].to_vec()), ("an octet too many", [&good[..], &[0]].concat())];
    let unreduced = [&[0xff; 1184][..], &public[1184..]].concat();
    let mut bad_keys = vec![
        ("an octet too few", public[1..].to_vec()),
        ("coefficients not reduced (FIPS 203 §7.2)", unreduced),
    ];
    if algorithm == KemAlgorithm::XWing {
        bad_ciphertexts.push(("X25519 half of zeros", [&good[..1088], &[0; 32]].concat()));
        bad_keys.push(("X25519 half of zeros", [&public[..1184], &[0; 32]].concat()));
    }
    let named = |(why, bytes): (&str, Vec<u8>)| json!({ "why": why, "bytes": base64(&bytes) });
    json!({
        "seed": base64(&key.seed()),
        "encapsulation_key": base64(&public),
        "key_id": key.encapsulation_key().key_id().to_string(),
        "decapsulations": [vector("ours", &good), vector("altered: implicit rejection", &altered)],
        "refused_ciphertexts": bad_ciphertexts.into_iter().map(named).collect::<Vec<_>>(),
        "refused_keys": bad_keys.into_iter().map(named).collect::<Vec<_>>(),
    })
}

fn signatures(scene: &Scene) -> Vec<Value> {
    let message = b"what is signed";
    let vector = |suite: Suite, domain: Domain, valid: bool, why: &str, signature: &[u8]| {
        json!({
            "suite": suite.id(),
            "label": std::str::from_utf8(domain.label()).unwrap(),
            "message": base64(message),
            "valid": valid,
            "why": why,
            "signature": base64(signature),
        })
    };
    let mut vectors = Vec::new();
    for suite in Suite::ALL {
        let sign = |domain| scene.device.sign(suite, domain, message).unwrap();
        let (good, batch) = (sign(Domain::Message), sign(Domain::Batch));
        let mut altered = good.clone();
        *altered.last_mut().unwrap() ^= 1;
        altered[70] ^= 1;
        vectors.push(vector(suite, Domain::Message, true, "as it should be", &good));
        vectors.push(vector(suite, Domain::Batch, true, "as it should be", &batch));
        vectors.push(vector(suite, Domain::Message, false, "another label", &batch));
        vectors.push(vector(suite, Domain::Message, false, "the second algorithm altered", &altered));
        vectors.push(vector(suite, Domain::Message, false, "cut short", &good[..good.len() - 1]));
        if suite != Suite::X0101 {
            let mut altered = good.clone();
            altered[3] ^= 1;
            vectors.push(vector(suite, Domain::Message, false, "Ed25519 altered", &altered));
        }
    }
    let hybrid = scene.device.sign(Suite::X0001, Domain::Message, message).unwrap();
    vectors.push(vector(
        Suite::X0101,
        Domain::Message,
        false,
        "half of a signature of 0x0001",
        &hybrid[64..],
    ));
    vectors
}

const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The tree that Certificate Transparency implementations test with.
fn merkle() -> Value {
    let entries: Vec<_> = ENTRIES.iter().map(|entry| hex::decode(entry).unwrap()).collect();
    let tree: Tree = entries.iter().map(|entry| tree::leaf_hash(entry)).collect();
    let size = tree.size();
    let path = |hashes: Vec<Hash>| hashes.iter().map(|hash| base64(hash)).collect::<Vec<_>>();
    let inclusion = |size: u64| (0..size).map(move |index| (index, size));
    let inclusions = (1..=size).flat_map(inclusion).map(|(index, size)| {
        json!({ "index": index, "size": size, "path": path(tree.inclusion_proof(index, size).unwrap()) })
    });
    let consistencies = (1..=size).flat_map(|new| (1..=new).map(move |old| (old, new))).map(|(old, new)| {
        json!({ "old": old, "new": new, "path": path(tree.consistency_proof(old, new).unwrap()) })
    });
    json!({
        "entries": entries.iter().map(|entry| base64(entry)).collect::<Vec<_>>(),
        "roots": (0..=size).map(|size| base64(&tree.head_at(size).unwrap().root)).collect::<Vec<_>>(),
        "inclusions": inclusions.collect::<Vec<_>>(),
        "consistencies": consistencies.collect::<Vec<_>>(),
    })
}

fn hashes(json: &Value, list: &str) -> Vec<Hash> {
    items(json, list).iter().map(array).collect()
}

#[test]
fn every_kem_vector_holds() {
    let file = read("primitives");
    for (name, algorithm) in MECHANISMS {
        let vectors = &file[name];
        let key = DecapsulationKey::from_seed(algorithm, &octets(&vectors["seed"])).unwrap();
        assert_eq!(key.encapsulation_key().to_bytes(), octets(&vectors["encapsulation_key"]));
        assert_eq!(key.encapsulation_key().key_id().to_string(), text(&vectors["key_id"]));
        for vector in items(vectors, "decapsulations") {
            let secret = key.decapsulate(&octets(&vector["ciphertext"])).unwrap();
            assert_eq!(secret.as_bytes()[..], octets(&vector["secret"]), "{name} {}", vector["name"]);
        }
        for vector in items(vectors, "refused_ciphertexts") {
            assert!(key.decapsulate(&octets(&vector["bytes"])).is_err(), "{name} {}", vector["why"]);
        }
        for vector in items(vectors, "refused_keys") {
            let public = EncapsulationKey::from_bytes(algorithm, &octets(&vector["bytes"]));
            let refused = public.is_ok_and(|key| key.encapsulate(&mut rand::rng()).is_ok());
            assert!(!refused, "{name} {}", vector["why"]);
        }
    }
}

#[test]
fn every_signature_vector_holds() {
    let file = read("primitives");
    let hybrid = VerifyingKey::from_bytes(&octets(&file["verifying_key"])).unwrap();
    let fn_dsa = falcon::VerifyingKey::from_bytes(&octets(&file["fn_dsa_verifying_key"])).unwrap();
    let keys = DeviceVerifier::new(hybrid, Some(fn_dsa));
    assert_eq!(keys.key_id().to_string(), text(&file["key_id"]));
    for vector in items(&file, "signatures") {
        let domain = [Domain::Message, Domain::Batch]
            .into_iter()
            .find(|domain| domain.label() == text(&vector["label"]).as_bytes())
            .unwrap();
        let (message, signature) = (octets(&vector["message"]), octets(&vector["signature"]));
        let verdict = keys.verify(suite(&vector["suite"]), domain, &message, &signature);
        assert_eq!(
            verdict.is_ok(),
            vector["valid"].as_bool().unwrap(),
            "{} {}",
            vector["suite"],
            vector["why"]
        );
    }
}

#[test]
fn every_tree_vector_holds() {
    let file = &read("primitives")["merkle"];
    let leaves: Vec<_> = items(file, "entries").iter().map(|entry| tree::leaf_hash(&octets(entry))).collect();
    let roots = hashes(file, "roots");
    for (size, expected) in roots.iter().enumerate() {
        assert_eq!(tree::root(&leaves[..size]), *expected);
    }
    let head = |size: &Value| {
        let size = size.as_u64().unwrap();
        TreeHead { size, root: roots[size as usize] }
    };
    assert_eq!(items(file, "inclusions").len(), 36);
    for vector in items(file, "inclusions") {
        let index = vector["index"].as_u64().unwrap();
        let proof = hashes(vector, "path");
        assert!(
            tree::verify_inclusion(&leaves[index as usize], index, &head(&vector["size"]), &proof).is_ok()
        );
    }
    assert_eq!(items(file, "consistencies").len(), 36);
    for vector in items(file, "consistencies") {
        let (old, new) = (head(&vector["old"]), head(&vector["new"]));
        assert!(tree::verify_consistency(&old, &new, &hashes(vector, "path")).is_ok());
    }
}

#[test]
#[ignore = "writes the vectors anew"]
fn record_the_vectors() {
    let scene = Scene::new();
    let keys = scene.device.verifying_key();
    let [x_wing, ml_kem] = MECHANISMS.map(|(_, algorithm)| kem(algorithm));
    write(
        "primitives",
        &json!({
            "x_wing": x_wing,
            "ml_kem_768": ml_kem,
            "verifying_key": base64(&keys.hybrid().to_bytes()),
            "fn_dsa_verifying_key": base64(keys.falcon().unwrap().as_bytes()),
            "key_id": keys.key_id().to_string(),
            "signatures": signatures(&scene),
            "merkle": merkle(),
        }),
    );
}
