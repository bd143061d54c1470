//! `sealed.json`. Valid messages come from the crate and are opened by it and by the second reader; invalid ones come
//! from the second writer ([`super::spoiled`]).

use std::collections::BTreeSet;

use dccp::batch;
use dccp::seal::{Draft, SealedMessage, seal};
use dccp::session::Session;
use dccp::{Suite, UnixMillis};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::envelope::{decode, decrypt, encode, get, get_number, key_and_nonce, pad, session_id, with};
use super::scene::Scene;
use super::{base64, items, octets, read, spoiled, suite, text, write};
use crate::common::NOW;

fn rng() -> StdRng {
    StdRng::seed_from_u64(8)
}

/// For each suite: by itself, second of a batch of three, second of a session. And one whose octets are a body.
fn valid(scene: &Scene) -> Vec<(String, SealedMessage)> {
    let mut messages = Vec::new();
    for suite in Suite::ALL {
        let (message, to) = (scene.message(suite), scene.recipient_key(suite));
        let draft = || Draft::prepare(&message, &to).unwrap();
        let single = seal(&message, &to, &scene.device, NOW, &mut rng()).unwrap();
        messages.push((format!("{suite} by itself"), single));

        let leaves = [[1; 32], draft().leaf(), [2; 32]];
        let evidence = batch::sign(&leaves, suite, &scene.device).unwrap();
        messages.push((
            format!("{suite} in a batch of three"),
            draft().finish(&evidence[1], NOW, &mut rng(), None).unwrap(),
        ));

        let mut session = Session::start(&to, NOW, &mut rng()).unwrap();
        let mut next = || {
            let evidence = draft().sign(&scene.device).unwrap();
            draft().finish(&evidence, NOW, &mut rng(), Some(&mut session)).unwrap()
        };
        let _first = next();
        messages.push((format!("{suite} second in a session"), next()));
    }
    let (mail, to) = (scene.large_mail(), scene.recipient_key(Suite::X0001));
    let beside = seal(&mail, &to, &scene.device, NOW, &mut rng()).unwrap();
    messages.push(("a mail whose octets travel beside it".to_owned(), beside));
    messages
}

/// What the second reader finds inside: the secret, key and nonce, and the octets of `Signed`.
fn dissect(scene: &Scene, sealed: &[u8]) -> Value {
    let fields = decode(sealed);
    let suite = Suite::try_from(get_number(&fields, 2).unwrap() as u32).unwrap();
    let (kem_ct, seq) = (get(&fields, 5).unwrap(), get_number(&fields, 7));
    assert_eq!(get(&fields, 6), seq.map(|_| session_id(&kem_ct)));
    let ciphertext = get(&fields, 10).unwrap();
    let aad = encode(&with(&fields, 10, None));

    let secret = scene.key_of(suite).decapsulate(&kem_ct).unwrap();
    let okm = key_and_nonce(secret.as_bytes(), suite, seq);
    let plain = decrypt(suite, &okm, &aad, ciphertext);
    let length = u32::from_be_bytes(plain[..4].try_into().unwrap()) as usize;
    assert_eq!(pad(&plain[4..4 + length]), plain);
    json!({
        "suite": suite.id(),
        "seq": seq,
        "body": get(&fields, 11).map(|outline| {
            let outline = decode(&outline);
            json!({
                "digest": base64(&get(&outline, 1).unwrap()),
                "sealed_bytes": get_number(&outline, 2),
            })
        }),
        "secret": base64(secret.as_bytes()),
        "key": base64(&okm[..32]),
        "nonce": base64(&okm[32..]),
        "signed": base64(&plain[4..4 + length]),
    })
}

#[test]
fn every_valid_vector_opens_here_and_in_the_second_reader() {
    let file = read("sealed");
    let scene = Scene::from_json(&file["keys"]);
    assert_eq!(file["now"].as_u64(), Some(NOW.as_u64()));
    assert_eq!(items(&file, "valid").len(), 13);
    for vector in items(&file, "valid") {
        let sealed = octets(&vector["sealed"]);
        let opened = scene.judge(sealed.clone()).unwrap();
        let expected = match vector["inside"]["body"].is_null() {
            true => scene.message(suite(&vector["inside"]["suite"])),
            false => scene.large_mail(),
        };
        assert_eq!(opened.message, expected, "{}", vector["name"]);
        assert_eq!(opened.evidence, octets(&vector["inside"]["signed"]));
        assert_eq!(dissect(&scene, &sealed), vector["inside"], "{}", vector["name"]);
    }
}

#[test]
fn every_invalid_vector_is_refused_for_the_reason_that_it_gives() {
    let file = read("sealed");
    let scene = Scene::from_json(&file["keys"]);
    assert!(items(&file, "invalid").len() >= 45);
    let mut names = BTreeSet::new();
    for vector in items(&file, "invalid") {
        let refused = scene.judge(octets(&vector["sealed"])).expect_err(text(&vector["name"]));
        assert_eq!(refused, text(&vector["error"]), "{}", vector["name"]);
        assert!(names.insert(text(&vector["name"])), "{} twice", vector["name"]);
    }
}

#[test]
fn the_recorded_vectors_are_those_that_are_made() {
    let made: Vec<_> = spoiled::all(&Scene::new()).into_iter().map(|made| (made.name, made.error)).collect();
    let file = read("sealed");
    let recorded: Vec<_> = items(&file, "invalid")
        .iter()
        .map(|vector| (text(&vector["name"]), text(&vector["error"])))
        .collect();
    assert_eq!(recorded, made);
}

#[test]
fn mailbox_tags_are_those_of_the_vectors() {
    for vector in items(&read("sealed"), "mailboxes") {
        let now = UnixMillis(vector["now"].as_u64().unwrap());
        let tag = dccp::seal::mailbox(&text(&vector["did"]).parse().unwrap(), now);
        assert_eq!(tag[..], octets(&vector["tag"]));
    }
}

#[test]
#[ignore = "writes the vectors anew"]
fn record_the_vectors() {
    let scene = Scene::new();
    let valid = valid(&scene).into_iter().map(|(name, sealed)| {
        json!({ "name": name, "inside": dissect(&scene, sealed.bytes()), "sealed": base64(sealed.bytes()) })
    });
    let invalid = spoiled::all(&scene).into_iter().map(|made| {
        assert_eq!(scene.judge(made.sealed.clone()).expect_err(made.name), made.error, "{}", made.name);
        json!({ "name": made.name, "why": made.why, "error": made.error, "sealed": base64(&made.sealed) })
    });
    let mailbox = |now: u64| {
        let tag = dccp::seal::mailbox(&scene.globex, UnixMillis(now));
        json!({ "did": scene.globex.as_str(), "now": now, "tag": base64(&tag) })
    };
    let [valid, invalid] = [valid.collect::<Vec<_>>(), invalid.collect::<Vec<_>>()];
    let mailboxes = [0, 86_399_999, 86_400_000, NOW.as_u64()].map(mailbox);
    write(
        "sealed",
        &json!({
            "now": NOW.as_u64(),
            "keys": scene.to_json(),
            "valid": valid,
            "invalid": invalid,
            "mailboxes": mailboxes,
        }),
    );
}
