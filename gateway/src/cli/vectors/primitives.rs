//! Key encapsulation, signatures, key agreement and authenticated encryption by themselves, as the suites use them.

use aws_lc_rs::aead::{self, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, ML_DSA_65, ML_DSA_65_SIGNING, ParsedPublicKey, PqdsaKeyPair,
    VerificationAlgorithm,
};
use data_encoding::HEXLOWER;
use dccp::kem::{DecapsulationKey, EncapsulationKey};
use dccp::suite::KemAlgorithm;
use fn_dsa::{
    CryptoRng, DOMAIN_NONE, FN_DSA_LOGN_512, HASH_ID_RAW, KeyPairGenerator as _, KeyPairGenerator512,
    RngCore, RngError, SigningKey as _, SigningKey512, VerifyingKey as _, VerifyingKey512,
};
use serde_json::{Value, json};

use super::fields::{BadRequest, Fields};
use super::{Operation, Outcome};

/// Every operation of this module.
pub(super) const OPERATIONS: [Operation; 21] = [
    ("x-wing.keygen", |fields| kem_keygen(KemAlgorithm::XWing, fields)),
    ("x-wing.encapsulate", |fields| kem_encapsulate(KemAlgorithm::XWing, fields)),
    ("x-wing.decapsulate", |fields| kem_decapsulate(KemAlgorithm::XWing, fields)),
    ("ml-kem-768.keygen", |fields| kem_keygen(KemAlgorithm::MlKem768, fields)),
    ("ml-kem-768.encapsulate", |fields| kem_encapsulate(KemAlgorithm::MlKem768, fields)),
    ("ml-kem-768.decapsulate", |fields| kem_decapsulate(KemAlgorithm::MlKem768, fields)),
    ("ml-dsa-65.keygen", |fields| Ok(json!({"public": hex(ml_dsa(fields)?.public_key())}))),
    ("ml-dsa-65.sign", ml_dsa_sign),
    ("ml-dsa-65.verify", |fields| verify(&ML_DSA_65, fields)),
    ("ed25519.keygen", |fields| Ok(json!({"public": hex(ed25519(fields)?.public_key())}))),
    ("ed25519.sign", |fields| {
        Ok(json!({"signature": hex(ed25519(fields)?.sign(&fields.octets("message")?))}))
    }),
    ("ed25519.verify", |fields| verify(&ED25519, fields)),
    ("fn-dsa-512.keygen", |_| Ok(fn_dsa_keygen())),
    ("fn-dsa-512.sign", fn_dsa_sign),
    ("fn-dsa-512.verify", fn_dsa_verify),
    ("x25519.public", x25519_public),
    ("x25519.agree", x25519_agree),
    ("aes-256-gcm.seal", |fields| aead_seal(&AES_256_GCM, fields)),
    ("aes-256-gcm.open", |fields| aead_open(&AES_256_GCM, fields)),
    ("chacha20-poly1305.seal", |fields| aead_seal(&CHACHA20_POLY1305, fields)),
    ("chacha20-poly1305.open", |fields| aead_open(&CHACHA20_POLY1305, fields)),
];

/// What a primitive refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("these octets are not a key of this algorithm")]
    BadKey,
    #[error("the shared secret is zero: the public key is a point of low order")]
    LowOrder,
    #[error("the ciphertext is not authentic under this key, nonce and associated data")]
    NotAuthentic,
    #[error("the library failed")]
    Library,
}

pub(super) fn hex(octets: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(octets.as_ref())
}

fn kem_keygen(algorithm: KemAlgorithm, fields: &Fields) -> Outcome {
    let key = DecapsulationKey::from_seed(algorithm, &fields.octets("seed")?)?;
    let public = key.encapsulation_key();
    Ok(json!({"public": hex(public.to_bytes()), "key_id": public.key_id().to_string()}))
}

/// With fresh randomness: the library takes none from outside.
fn kem_encapsulate(algorithm: KemAlgorithm, fields: &Fields) -> Outcome {
    let key = EncapsulationKey::from_bytes(algorithm, &fields.octets("public")?)?;
    let (ciphertext, secret) = key.encapsulate(&mut rand::rng())?;
    Ok(json!({"ciphertext": hex(ciphertext), "shared": hex(secret.as_bytes())}))
}

fn kem_decapsulate(algorithm: KemAlgorithm, fields: &Fields) -> Outcome {
    let key = DecapsulationKey::from_seed(algorithm, &fields.octets("seed")?)?;
    let secret = key.decapsulate(&fields.octets("ciphertext")?)?;
    Ok(json!({"shared": hex(secret.as_bytes())}))
}

fn ml_dsa(fields: &Fields) -> Result<PqdsaKeyPair, super::Refusal> {
    let seed = fields.array::<32>("seed")?;
    Ok(PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed.as_slice()).map_err(|_| Refused::BadKey)?)
}

/// Hedged: another signature each time.
fn ml_dsa_sign(fields: &Fields) -> Outcome {
    let mut signature = vec![0; ML_DSA_65_SIGNING.signature_len()];
    ml_dsa(fields)?.sign(&fields.octets("message")?, &mut signature).map_err(|_| Refused::Library)?;
    Ok(json!({"signature": hex(signature)}))
}

fn ed25519(fields: &Fields) -> Result<Ed25519KeyPair, super::Refusal> {
    let seed = fields.array::<32>("seed")?;
    Ok(Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| Refused::BadKey)?)
}

fn verify(algorithm: &'static dyn VerificationAlgorithm, fields: &Fields) -> Outcome {
    let key = ParsedPublicKey::new(algorithm, fields.octets("public")?.as_slice());
    let key = key.map_err(|_| Refused::BadKey)?;
    let valid = key.verify_sig(&fields.octets("message")?, &fields.octets("signature")?).is_ok();
    Ok(json!({"valid": valid}))
}

fn fn_dsa_keygen() -> Value {
    let mut private = vec![0; fn_dsa::sign_key_size(FN_DSA_LOGN_512)];
    let mut public = vec![0; fn_dsa::vrfy_key_size(FN_DSA_LOGN_512)];
    KeyPairGenerator512::default().keygen(FN_DSA_LOGN_512, &mut System, &mut private, &mut public);
    json!({"private": hex(private), "public": hex(public)})
}

fn fn_dsa_sign(fields: &Fields) -> Outcome {
    let key = SigningKey512::decode(&fields.octets("private")?).map(Box::new).ok_or(Refused::BadKey);
    let mut signature = vec![0; fn_dsa::signature_size(FN_DSA_LOGN_512)];
    let message = fields.octets("message")?;
    let signed = key?.sign(&mut System, &DOMAIN_NONE, &HASH_ID_RAW, &message, &mut signature);
    signed.ok_or(Refused::Library)?;
    Ok(json!({"signature": hex(signature)}))
}

fn fn_dsa_verify(fields: &Fields) -> Outcome {
    let key = VerifyingKey512::decode(&fields.octets("public")?).ok_or(Refused::BadKey)?;
    let (message, signature) = (fields.octets("message")?, fields.octets("signature")?);
    Ok(json!({"valid": key.verify(&signature, &DOMAIN_NONE, &HASH_ID_RAW, &message)}))
}

fn x25519_private(fields: &Fields) -> Result<PrivateKey, super::Refusal> {
    let private = fields.array::<32>("private")?;
    Ok(PrivateKey::from_private_key(&X25519, private.as_slice()).map_err(|_| Refused::BadKey)?)
}

fn x25519_public(fields: &Fields) -> Outcome {
    let public = x25519_private(fields)?.compute_public_key().map_err(|_| Refused::Library)?;
    Ok(json!({"public": hex(public)}))
}

fn x25519_agree(fields: &Fields) -> Outcome {
    let (private, public) = (x25519_private(fields)?, fields.array::<32>("public")?);
    let public = UnparsedPublicKey::new(&X25519, public.as_slice());
    Ok(agree(&private, public, Refused::LowOrder, |shared| Ok(json!({"shared": hex(shared)})))?)
}

fn aead_of(
    algorithm: &'static aead::Algorithm,
    fields: &Fields,
) -> Result<(LessSafeKey, Nonce), super::Refusal> {
    let key = fields.array::<32>("key")?;
    let key = UnboundKey::new(algorithm, key.as_slice()).map_err(|_| Refused::BadKey)?;
    let nonce = fields.array::<12>("nonce")?;
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_slice()).map_err(|_| BadRequest::Wrong("nonce"))?;
    Ok((LessSafeKey::new(key), nonce))
}

/// The tag stands behind the ciphertext.
fn aead_seal(algorithm: &'static aead::Algorithm, fields: &Fields) -> Outcome {
    let (key, nonce) = aead_of(algorithm, fields)?;
    let mut octets = fields.octets("plaintext")?.to_vec();
    let aad = fields.octets("aad")?;
    key.seal_in_place_append_tag(nonce, Aad::from(aad.as_slice()), &mut octets)
        .map_err(|_| Refused::Library)?;
    Ok(json!({"ciphertext": hex(octets)}))
}

fn aead_open(algorithm: &'static aead::Algorithm, fields: &Fields) -> Outcome {
    let (key, nonce) = aead_of(algorithm, fields)?;
    let mut octets = fields.octets("ciphertext")?;
    let aad = fields.octets("aad")?;
    let opened = key.open_in_place(nonce, Aad::from(aad.as_slice()), &mut octets);
    Ok(json!({"plaintext": hex(opened.map_err(|_| Refused::NotAuthentic)?)}))
}

/// The system's generator as one of rand_core 0.6, which the library asks for.
struct System;

impl RngCore for System {
    fn next_u32(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.fill_bytes(&mut octets);
        u32::from_le_bytes(octets)
    }

    fn next_u64(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.fill_bytes(&mut octets);
        u64::from_le_bytes(octets)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        SystemRandom::new()
            .fill(dest)
            .expect("randomness of the system: without it there is no honest way on");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), RngError> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for System {}
