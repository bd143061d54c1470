//! An organisation whose private keys are known to everybody, and what it takes to sign and seal any octets with them.
//!
//! All of it comes from fixed seeds, so that a corpus stays valid: its DID, its key ids and the head of its log are
//! the same in every run.

use std::sync::LazyLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use bytes::Bytes;
use dccp::did::{Commitment, Device, Devices, DidDocument, Founding, HeldBy, Log, Manifest, found};
use dccp::kem::{DecapsulationKey, EncapsulationKey};
use dccp::keys::{DeviceSigner, Domain, SigningKey, falcon};
use dccp::message::{Class, FsClass, Message};
use dccp::seal::{RecipientKey, SealedMessage, seal};
use dccp::suite::{AeadAlgorithm, KemAlgorithm};
use dccp::{Suite, UnixMillis};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

/// The time at which everything here counts.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// A day.
pub const DAY_MS: u64 = 24 * 3600 * 1000;
/// The most octets that [`Envelope::sealed`] takes: the plaintext that is replaced, without its length.
pub const SIGNED_BYTES_MAX: usize = 12 * 1024 - 4;

/// The organisation acme.example.
pub struct Acme {
    /// L1.
    pub operator: SigningKey,
    /// L0, committed to in the genesis.
    pub recovery: SigningKey,
    /// The next L0.
    pub next_recovery: SigningKey,
    /// Its gateway.
    pub device: DeviceSigner,
    /// Opens X-Wing and ML-KEM-768 ciphertexts; the first is in the manifest.
    pub kems: [DecapsulationKey; 2],
    /// A log of one operation.
    pub log: Log,
    /// What the log says.
    pub document: DidDocument,
    /// Its devices.
    pub devices: Devices,
    /// L1 of the organisation that acme.example goes over to.
    pub heir_operator: SigningKey,
    /// That organisation.
    pub heir: DidDocument,
    /// One for each suite.
    pub envelopes: Vec<Envelope>,
}

/// The organisation. There is only one.
pub fn acme() -> &'static Acme {
    static ACME: LazyLock<Acme> = LazyLock::new(Acme::new);
    &ACME
}

impl Acme {
    fn new() -> Self {
        let operator = SigningKey::from_seed(&[1; 64]);
        let recovery = SigningKey::from_seed(&[2; 64]);
        let log = founded(&operator, &recovery);
        let document = log.verify().expect("our own log");
        let falcon = falcon::SigningKey::generate(&mut StdRng::seed_from_u64(4));
        let device = DeviceSigner::new(SigningKey::from_seed(&[5; 64]), Some(falcon));
        let kem = |algorithm: KemAlgorithm, seed: u8| {
            DecapsulationKey::from_seed(algorithm, &vec![seed; algorithm.seed_bytes()]).expect("a seed")
        };
        let kems = [kem(KemAlgorithm::XWing, 6), kem(KemAlgorithm::MlKem768, 7)];
        let manifest =
            Manifest::sign(document.did(), 1, &[device_of(&device, &kems[0])], &Suite::ALL, &[&operator]);
        let devices = manifest.expect("a manifest").verify(&document, NOW).expect("our own manifest");
        let heir_operator = SigningKey::from_seed(&[9; 64]);
        let mut acme = Self {
            heir: founded(&heir_operator, &recovery).verify().expect("our own log"),
            heir_operator,
            next_recovery: SigningKey::from_seed(&[3; 64]),
            operator,
            recovery,
            device,
            kems,
            log,
            document,
            devices,
            envelopes: Vec::new(),
        };
        acme.envelopes = Suite::ALL.into_iter().map(|suite| Envelope::new(suite, &acme)).collect();
        acme
    }

    /// A signed record around any octets: `{b: body, s: [{k: key id, s: signature}, …]}`.
    pub fn record(domain: Domain, body: &[u8], signers: &[&SigningKey]) -> Vec<u8> {
        let mut signers = signers.to_vec();
        signers.sort_by_key(|key| key.verifying_key().key_id());
        let mut record = vec![0xa2, 0x61, b'b'];
        push_bytes(&mut record, body);
        record.extend([0x61, b's', 0x80 | signers.len() as u8]);
        for signer in signers {
            record.extend([0xa2, 0x61, b'k']);
            push_bytes(&mut record, signer.verifying_key().key_id().as_bytes());
            record.extend([0x61, b's']);
            push_bytes(&mut record, &signer.sign(domain, body).to_bytes());
        }
        record
    }

    /// The private half of the key that a suite seals to.
    pub fn kem_of(&self, suite: Suite) -> &DecapsulationKey {
        match suite.choices().kem {
            KemAlgorithm::XWing => &self.kems[0],
            KemAlgorithm::MlKem768 => &self.kems[1],
        }
    }

    /// The public half, as a sender knows it.
    pub fn recipient_key(&self, suite: Suite) -> RecipientKey {
        let kem = self.kem_of(suite).encapsulation_key().clone();
        let did = self.document.did().clone();
        RecipientKey { did, suite, key_id: kem.key_id(), kem, fs_class: FsClass::Static }
    }

    /// A message to itself.
    pub fn message(&self, suite: Suite, content_type: &str, payload: impl Into<Bytes>) -> Message {
        Message {
            sender: self.document.did().clone(),
            message_id: Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001),
            payload: payload.into(),
            recipients: vec![self.document.did().clone()],
            content_type: content_type.into(),
            timestamp: NOW,
            expires: NOW.saturating_add_ms(DAY_MS),
            class: Class::Normal,
            fs_class: FsClass::Static,
            suite,
            own_tree: None,
            your_tree: None,
        }
    }
}

fn founded(operator: &SigningKey, recovery: &SigningKey) -> Log {
    let recovery = Commitment::of(recovery.verifying_key());
    let domains = vec!["acme.example".into()];
    let founding = Founding::organisation(domains, operator.verifying_key().clone(), recovery, NOW);
    found(&founding, &[operator]).expect("a founding")
}

/// The gateway as the manifest lists it.
fn device_of(signer: &DeviceSigner, kem: &DecapsulationKey) -> Device {
    let EncapsulationKey::XWing(kem) = kem.encapsulation_key() else { unreachable!("the first is X-Wing") };
    Device {
        id: "gw-1".into(),
        signing: signer.verifying_key().clone(),
        kem: kem.clone(),
        held_by: HeldBy::Gateway,
        not_before: NOW,
        expires: NOW.saturating_add_ms(400 * DAY_MS),
        revoked: None,
    }
}

/// The header of a sealed message, its key, and room for another plaintext: an implementation of `docs/PROTOCOL.md`
/// §7 beside the one that is tested.
pub struct Envelope {
    /// The suite it is sealed with.
    pub suite: Suite,
    header: Vec<u8>,
    key: LessSafeKey,
    nonce: [u8; 12],
    plain_bytes: usize,
}

impl Envelope {
    fn new(suite: Suite, acme: &Acme) -> Self {
        let message = acme.message(suite, "text/plain", vec![b'x'; SIGNED_BYTES_MAX - 4096]);
        let mut rng = StdRng::seed_from_u64(8);
        let sealed = seal(&message, &acme.recipient_key(suite), &acme.device, NOW, &mut rng).expect("sealed");
        let (header_bytes, kem_ct, ciphertext) = parts(sealed.bytes());
        let secret = acme.kem_of(suite).decapsulate(kem_ct).expect("our own ciphertext");
        let info = [b"DCCP-SEAL-v1\0".as_slice(), &suite.id().to_be_bytes()];
        let mut okm = [0; 44];
        let prk = Salt::none(HKDF_SHA256).extract(secret.as_bytes());
        prk.expand(&info, Length(44)).and_then(|okm_of| okm_of.fill(&mut okm)).expect("44 octets");
        let aead = match suite.choices().aead {
            AeadAlgorithm::Aes256Gcm => &AES_256_GCM,
            AeadAlgorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let (key, nonce) = okm.split_at(32);
        let plain_bytes = ciphertext.len() - aead.tag_len();
        assert_eq!(plain_bytes, SIGNED_BYTES_MAX + 4);
        Self {
            suite,
            header: sealed.bytes()[..header_bytes].to_vec(),
            key: LessSafeKey::new(UnboundKey::new(aead, key).expect("32 octets")),
            nonce: nonce.try_into().expect("12 octets"),
            plain_bytes,
        }
    }

    /// A sealed message that hides `signed`, whatever that is; at most [`SIGNED_BYTES_MAX`] octets of it.
    pub fn sealed(&self, signed: &[u8]) -> SealedMessage {
        let signed = &signed[..signed.len().min(SIGNED_BYTES_MAX)];
        let mut plain = (signed.len() as u32).to_be_bytes().to_vec();
        plain.extend(signed);
        plain.resize(self.plain_bytes, 0);
        self.sealed_plain(plain)
    }

    /// A sealed message with this plaintext: length, `Signed` and padding, cut or filled to its size.
    pub fn sealed_plain(&self, mut plain: Vec<u8>) -> SealedMessage {
        plain.resize(self.plain_bytes, 0);
        // One nonce for many plaintexts: there is nothing to protect here.
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(&self.header), &mut plain).expect("sealed");
        let mut sealed = self.header.clone();
        push_field(&mut sealed, 10, &plain);
        SealedMessage::parse(sealed.into()).expect("a header that was made by seal()")
    }
}

/// Of a sealed message: the octets in front of field 10, field 5 and field 10.
fn parts(sealed: &[u8]) -> (usize, &[u8], &[u8]) {
    let (mut kem_ct, mut rest) = (sealed, sealed);
    loop {
        let header_bytes = sealed.len() - rest.len();
        let (key, after) = rest.split_first().expect("field 10 is the last");
        let (number, after) = read_varint(after);
        let length = if key & 7 == 2 { number } else { 0 };
        let (contents, after) = after.split_at(length);
        match key >> 3 {
            10 => return (header_bytes, kem_ct, contents),
            5 => kem_ct = contents,
            _ => {}
        }
        rest = after;
    }
}

fn read_varint(octets: &[u8]) -> (usize, &[u8]) {
    let last = octets.iter().position(|octet| octet & 0x80 == 0).expect("a varint has an end");
    let number =
        octets[..=last].iter().rev().fold(0, |number, octet| number << 7 | usize::from(octet & 0x7f));
    (number, &octets[last + 1..])
}

/// So many octets of key material.
pub struct Length(pub usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A CBOR byte string with its shortest head (RFC 8949 §3.1).
fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..24 => out.push(0x40 | length as u8),
        length @ 24..256 => out.extend([0x58, length as u8]),
        length @ 256..65536 => {
            out.push(0x59);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x5a);
            out.extend((length as u32).to_be_bytes());
        }
    }
    out.extend(bytes);
}

/// A length-delimited protobuf field with a number below 16.
pub fn push_field(out: &mut Vec<u8>, number: u8, contents: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = contents.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(contents);
}
