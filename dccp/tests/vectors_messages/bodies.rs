//! `bodies.json`: sealing a body is deterministic once its key is drawn, so a second writer makes every chunk anew.

use std::collections::BTreeSet;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use bytes::Bytes;
use dccp::body::{BodyOpener, BodySealer, Tally};
use dccp::mail::{Content, Mail, MailEnvelope};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::envelope::{Field, Fields, decode, encode, get, get_number, with};
use super::{array, base64, items, octets, read, text, write};

/// One of each kind: padded within its chunk, exactly one chunk, an octet more, several with a shorter end.
const SIZES: [usize; 4] = [1000, 262_144, 262_145, 700_000];

fn clear(size: usize) -> Bytes {
    (0..size).map(|at| (at % 251) as u8).collect()
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest(&SHA256, octets).as_ref().to_vec()
}

/// A mail that refers to a body of so many octets, and the sealed chunks.
fn large(size: usize) -> (Bytes, Vec<Bytes>) {
    let mut sealer = BodySealer::new(size as u64, &mut StdRng::seed_from_u64(size as u64)).unwrap();
    let (mut octets, mut chunks) = (clear(size), Vec::new());
    while let Some(chunk) = sealer.chunk(&mut octets).unwrap() {
        chunks.push(chunk);
    }
    let forward_paths = vec!["bob@globex.example".to_owned()];
    let envelope = MailEnvelope { forward_paths, ..MailEnvelope::default() };
    (Mail { envelope, content: Content::Body(sealer.finish().unwrap()) }.encode(), chunks)
}

/// The mail that `sealed.json` seals.
pub(crate) fn first_mail() -> Bytes {
    octets(&items(&read("bodies"), "valid")[0]["mail"]).into()
}

/// §8.4, written from the document: key of the cipher (32) ‖ prefix (7).
fn cipher_key_and_prefix(key: &[u8]) -> [u8; 39] {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            39
        }
    }
    let mut okm = [0; 39];
    Salt::none(HKDF_SHA256)
        .extract(key)
        .expand(&[b"DCCP-BODY-v1\0"], Length)
        .unwrap()
        .fill(&mut okm)
        .unwrap();
    okm
}

/// §6 and §8.4, written from the document.
fn sealed_by_hand(okm: &[u8; 39], size: usize) -> Vec<Vec<u8>> {
    let padded = match size {
        1000 => 1024,
        262_144 => 262_144,
        262_145 => 262_144 + 8192,
        700_000 => 704_512,
        _ => panic!("no padding worked out for {size}"),
    };
    let mut whole = clear(size).to_vec();
    whole.resize(padded, 0);
    let count = padded.div_ceil(262_144);
    let seal = |(index, chunk): (usize, &[u8])| {
        chunk_by_hand(okm, index as u32, u8::from(index + 1 == count), chunk)
    };
    whole.chunks(262_144).enumerate().map(seal).collect()
}

/// §8.4: `last` is 1 for the last chunk, else 0.
fn chunk_by_hand(okm: &[u8; 39], index: u32, last: u8, clear: &[u8]) -> Vec<u8> {
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &okm[..32]).unwrap());
    let nonce = [&okm[32..], &index.to_be_bytes(), &[last]].concat();
    let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
    let mut chunk = clear.to_vec();
    cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk).unwrap();
    chunk
}

fn digest_by_hand(chunks: &[Vec<u8>]) -> Vec<u8> {
    let hashes: Vec<u8> = chunks.iter().flat_map(|chunk| sha256(chunk)).collect();
    let bytes: usize = chunks.iter().map(Vec::len).sum();
    let label = b"DCCP-BODY-DIGEST-v1\0".as_slice();
    sha256(&[label, &hashes, &(chunks.len() as u32).to_be_bytes(), &(bytes as u64).to_be_bytes()].concat())
}

#[test]
fn a_second_writer_makes_the_chunks_of_every_vector_and_they_open() {
    let file = read("bodies");
    assert_eq!(items(&file, "valid").len(), SIZES.len());
    for vector in items(&file, "valid") {
        let mail = octets(&vector["mail"]);
        let reference = decode(&get(&decode(&mail), 16).unwrap());
        let size = get_number(&reference, 3).unwrap() as usize;
        let okm = cipher_key_and_prefix(&get(&reference, 1).unwrap());
        assert_eq!(okm[..32], array::<32>(&vector["cipher_key"]));
        assert_eq!(okm[32..], array::<7>(&vector["nonce_prefix"]));
        let chunks = sealed_by_hand(&okm, size);
        let hashes: Vec<_> = chunks.iter().map(|chunk| hex::encode(sha256(chunk))).collect();
        assert_eq!(hashes, items(vector, "chunks").iter().map(text).collect::<Vec<_>>());
        assert_eq!(digest_by_hand(&chunks), get(&reference, 2).unwrap());

        let Content::Body(body) = Mail::decode(mail.into()).unwrap().content else { panic!("no body") };
        let (mut opener, mut tally) = (BodyOpener::new(&body).unwrap(), Tally::default());
        let mut opened = Vec::new();
        for chunk in &chunks {
            opener.chunk(chunk, &mut opened).unwrap();
            tally.add(chunk).unwrap();
        }
        assert_eq!(opener.finish(), Ok(()));
        assert!(opened == clear(size), "{size}");
        assert_eq!(tally.finish(), body.outline());
        assert_eq!(vector["sealed_bytes"].as_u64(), Some(body.outline().sealed_bytes));
        assert_eq!(text(&vector["digest"]), body.digest().to_string());
    }
}

/// A mail and chunks that do not belong together, and why. Everything is right but for one thing.
struct Spoiled {
    name: &'static str,
    why: &'static str,
    error: &'static str,
    mail: Vec<u8>,
    chunks: Vec<Vec<u8>>,
}

/// The first body of the valid ones, of one chunk, spoiled in every way that has an error.
fn spoiled() -> Vec<Spoiled> {
    const SIZE: usize = SIZES[0];
    let mail = decode(&large(SIZE).0);
    let reference = decode(&get(&mail, 16).unwrap());
    let key = get(&reference, 1).unwrap();
    let okm = cipher_key_and_prefix(&key);
    let good = sealed_by_hand(&okm, SIZE).remove(0);
    let mut padded = clear(SIZE).to_vec();
    padded.resize(1024, 0);
    let mut covert = padded.clone();
    covert[1023] = 1;
    let mut other = padded.clone();
    other[0] = 1;
    let mut altered = good.clone();
    altered[500] ^= 1;

    let with_reference = |field: u64, value: Field| {
        encode(&with(&mail, 16, Some(field_of(&with(&reference, field, Some(value))))))
    };
    let of_size = |size: u64| with_reference(3, Field::Number(size));
    let chunks = |name, why, error, chunks| Spoiled { name, why, error, mail: encode(&mail), chunks };
    let mails = |name, why, error, mail| Spoiled { name, why, error, mail, chunks: vec![good.clone()] };
    vec![
        chunks("no chunk", "there is one", "Missing(0)", vec![]),
        chunks("a chunk behind the last", "there is one", "Surplus(1)", vec![good.clone(), good.clone()]),
        chunks("an octet less", "1024 + 16", "Length(0)", vec![good[1..].to_vec()]),
        chunks("an octet more", "1024 + 16", "Length(0)", vec![[good.as_slice(), &[0]].concat()]),
        chunks("an altered chunk", "one bit of it", "NotAuthentic(0)", vec![altered]),
        chunks(
            "not the last",
            "its nonce says that more follow",
            "NotAuthentic(0)",
            vec![chunk_by_hand(&okm, 0, 0, &padded)],
        ),
        chunks(
            "in another place",
            "its nonce says that it is chunk 1",
            "NotAuthentic(0)",
            vec![chunk_by_hand(&okm, 1, 1, &padded)],
        ),
        chunks("a covert octet", "padding is zeros", "Padding", vec![chunk_by_hand(&okm, 0, 1, &covert)]),
        chunks(
            "other octets under the key",
            "the digest is another one",
            "Digest",
            vec![chunk_by_hand(&okm, 0, 1, &other)],
        ),
        mails(
            "another key",
            "one bit of it",
            "NotAuthentic(0)",
            with_reference(
                1,
                octets_of({
                    let mut key = key.clone();
                    key[0] ^= 1;
                    key
                }),
            ),
        ),
        mails(
            "another digest",
            "one that was not computed",
            "Digest",
            with_reference(2, octets_of(vec![9; 32])),
        ),
        mails(
            "an octet less in the reference",
            "what is left of it is no padding",
            "Padding",
            of_size(SIZE as u64 - 1),
        ),
        mails("a larger class in the reference", "2048 + 16", "Length(0)", of_size(1025)),
        mails(
            "no size",
            "1 octet at least",
            "Body",
            encode(&with(&mail, 16, Some(field_of(&with(&reference, 3, None))))),
        ),
        mails("96 MiB and an octet", "96 MiB at most", "Body", of_size(100_663_297)),
        mails("a key of 31 octets", "32", "Body", with_reference(1, octets_of(vec![1; 31]))),
        mails("a digest of 33 octets", "32", "Body", with_reference(2, octets_of(vec![1; 33]))),
        mails(
            "octets beside the body",
            "either or",
            "Body",
            encode(&with(&mail, 15, Some(octets_of(b"x".to_vec())))),
        ),
    ]
}

fn field_of(fields: &Fields) -> Field {
    octets_of(encode(fields))
}

fn octets_of(octets: Vec<u8>) -> Field {
    Field::Octets(octets)
}

/// What opening gives; the name of the error otherwise.
fn opened(mail: Vec<u8>, chunks: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let content = Mail::decode(mail.into()).map_err(|error| format!("{error:?}"))?.content;
    let Content::Body(body) = content else { panic!("no body") };
    let (mut opener, mut clear) = (BodyOpener::new(&body).unwrap(), Vec::new());
    let done =
        chunks.iter().try_for_each(|chunk| opener.chunk(chunk, &mut clear)).and_then(|()| opener.finish());
    done.map(|()| clear).map_err(|error| format!("{error:?}"))
}

#[test]
fn every_invalid_body_is_refused_for_the_reason_that_its_vector_gives() {
    let file = read("bodies");
    let mut reasons = BTreeSet::new();
    for vector in items(&file, "invalid") {
        let chunks: Vec<_> = items(vector, "chunks").iter().map(octets).collect();
        let error = opened(octets(&vector["mail"]), &chunks).unwrap_err();
        assert_eq!(error, text(&vector["error"]), "{}", vector["name"]);
        reasons.insert(error.split('(').next().unwrap().to_owned());
    }
    // Each reason that a receiver can have.
    let all = ["Body", "Digest", "Length", "Missing", "NotAuthentic", "Padding", "Surplus"];
    assert_eq!(reasons.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn the_recorded_vectors_are_those_that_are_made() {
    let file = read("bodies");
    let names: Vec<_> = items(&file, "invalid").iter().map(|vector| text(&vector["name"])).collect();
    assert_eq!(names, spoiled().iter().map(|spoiled| spoiled.name).collect::<Vec<_>>());
}

#[test]
#[ignore = "writes the vectors anew"]
fn record_the_vectors() {
    let vector = |size| {
        let (mail, chunks) = large(size);
        let reference = decode(&get(&decode(&mail), 16).unwrap());
        let okm = cipher_key_and_prefix(&get(&reference, 1).unwrap());
        json!({
            "size": size,
            "mail": base64(&mail),
            "cipher_key": base64(&okm[..32]),
            "nonce_prefix": base64(&okm[32..]),
            "chunks": chunks.iter().map(|chunk| hex::encode(sha256(chunk))).collect::<Vec<_>>(),
            "sealed_bytes": chunks.iter().map(Bytes::len).sum::<usize>(),
            "digest": hex::encode(get(&reference, 2).unwrap()),
        })
    };
    let valid: Vec<Value> = SIZES.map(vector).into();
    let invalid = spoiled().into_iter().map(|Spoiled { name, why, error, mail, chunks }| {
        let chunks: Vec<_> = chunks.iter().map(|chunk| base64(chunk)).collect();
        json!({ "name": name, "why": why, "error": error, "mail": base64(&mail), "chunks": chunks })
    });
    let invalid: Vec<Value> = invalid.collect();
    write("bodies", &json!({ "clear": "octet i is i mod 251", "valid": valid, "invalid": invalid }));
}
