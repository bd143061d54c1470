use ml_dsa::signature::{Signer as _, Verifier as _};
use ml_dsa::{KeyInit as _, MlDsa65};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

fn key() -> SigningKey {
    SigningKey::generate(&mut StdRng::seed_from_u64(1))
}

#[test]
fn a_signature_holds_for_its_key_purpose_and_message_only() {
    let (key, other) = (key(), SigningKey::from_seed(&[2; 64]));
    let signature = key.sign(Domain::Message, b"hello");
    let verify =
        |key: &SigningKey, domain, message: &[u8]| key.verifying_key().verify(domain, message, &signature);

    assert_eq!(verify(&key, Domain::Message, b"hello"), Ok(()));
    assert_eq!(verify(&key, Domain::Message, b"hellO"), Err(BadSignature));
    assert_eq!(verify(&key, Domain::Prekey, b"hello"), Err(BadSignature));
    assert_eq!(verify(&other, Domain::Message, b"hello"), Err(BadSignature));
}

#[test]
fn both_halves_must_verify() {
    let key = key();
    let good = key.sign(Domain::Message, b"hello").to_bytes();
    let other = key.sign(Domain::Message, b"other").to_bytes();
    for half in [0..ED25519_SIGNATURE_BYTES, ED25519_SIGNATURE_BYTES..SIGNATURE_BYTES] {
        let mut mixed = good.clone();
        mixed[half.clone()].copy_from_slice(&other[half]);
        let mixed = Signature::from_bytes(&mixed).unwrap();
        assert_eq!(key.verifying_key().verify(Domain::Message, b"hello", &mixed), Err(BadSignature));
    }
}

#[test]
fn every_domain_has_its_own_label_that_no_other_begins_with() {
    let domains =
        [Domain::DidOperation, Domain::Manifest, Domain::NodeRecord, Domain::Prekey, Domain::Message];
    for (at, one) in domains.iter().enumerate() {
        for (other_at, other) in domains.iter().enumerate() {
            assert!(at == other_at || !one.label().starts_with(other.label()));
        }
        assert_eq!(one.label().last(), Some(&0));
    }
}

#[test]
fn keys_and_signatures_keep_their_bytes_and_refuse_other_lengths() {
    let key = key();
    let public = key.verifying_key();
    assert_eq!(&VerifyingKey::from_bytes(&public.to_bytes()).unwrap(), public);
    assert_eq!(SigningKey::from_seed(&key.seed()).verifying_key(), public);
    let signature = key.sign(Domain::Manifest, b"");
    assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
    for length in [0, 31, 32, VERIFYING_KEY_BYTES - 1, VERIFYING_KEY_BYTES + 1, SIGNATURE_BYTES - 1] {
        assert_eq!(VerifyingKey::from_bytes(&vec![1; length]), Err(BadKey));
        assert_eq!(Signature::from_bytes(&vec![1; length]), Err(BadSignature));
    }
}

#[test]
fn a_private_key_is_not_printed() {
    let key = SigningKey::from_seed(&[0xab; 64]);
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.verifying_key().key_id()));
}

#[test]
fn key_ids_are_the_documented_hash() {
    // PROTOCOL.md: SHA-256(u16 algorithm ‖ key), first 16 octets.
    let key = key();
    let bytes = [&[0, 1], key.verifying_key().as_bytes()].concat();
    let hash = aws_lc_rs::digest::digest(&SHA256, &bytes);
    assert_eq!(key.verifying_key().key_id().as_bytes(), &hash.as_ref()[..16]);
}

/// RustCrypto's ML-DSA-65 derives the same key, accepts our half and makes one we accept.
#[test]
fn the_ml_dsa_half_agrees_with_rustcrypto_both_ways() {
    let ours = key();
    let seed: [u8; 32] = ours.seed()[32..].try_into().unwrap();
    let theirs = ml_dsa::SigningKey::<MlDsa65>::new(&seed.into());
    let their_public = ml_dsa::Keypair::verifying_key(&theirs);
    assert_eq!(ours.verifying_key().as_bytes()[32..], their_public.encode()[..]);

    let signed = Domain::Message.signed_bytes(b"hello");
    let signature = ours.sign(Domain::Message, b"hello").to_bytes();
    let half = ml_dsa::Signature::<MlDsa65>::try_from(&signature[ED25519_SIGNATURE_BYTES..]).unwrap();
    their_public.verify(&signed, &half).unwrap();

    let their_half = theirs.sign(&signed).encode();
    let mixed = [&signature[..ED25519_SIGNATURE_BYTES], &their_half[..]].concat();
    let mixed = Signature::from_bytes(&mixed).unwrap();
    assert_eq!(ours.verifying_key().verify(Domain::Message, b"hello", &mixed), Ok(()));
}
