//! `bodies.json`: sealing a body is deterministic once its key is drawn, so a second writer makes every chunk anew.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use bytes::Bytes;
use dccp::body::{BodyOpener, BodySealer, Tally};
use dccp::mail::{Content, Mail, MailEnvelope};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::envelope::{decode, get, get_number};
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
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &okm[..32]).unwrap());
    let seal = |(index, chunk): (usize, &[u8])| {
        let nonce = [&okm[32..], &(index as u32).to_be_bytes(), &[u8::from(index + 1 == count)]].concat();
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        let mut chunk = chunk.to_vec();
        cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk).unwrap();
        chunk
    };
    whole.chunks(262_144).enumerate().map(seal).collect()
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
    write("bodies", &json!({ "clear": "octet i is i mod 251", "valid": valid }));
}
