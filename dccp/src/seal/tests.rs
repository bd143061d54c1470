use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use prost::Message as _;

use super::draft::write_signed;
use super::schedule::key_and_nonce;
use super::*;
use crate::batch::Evidence;
use crate::kem::{DecapsulationKey, SharedSecret};
use crate::keys::{BadSignature, Domain, SigningKey};
use crate::limits::{CLOCK_SKEW_MS_MAX, LIFETIME_MS_MAX, PAYLOAD_BYTES_MAX};
use crate::message::Class;
use crate::padding::padded_len;
use crate::{wire, xwing};

mod batches;
mod beside;
mod sessions;
mod suites;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR_MS: u64 = 3_600_000;

fn did(name: &str) -> Did {
    Did::of_genesis(name.as_bytes())
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(3)
}

/// Acme's signing key and Globex's opening key.
struct Pair {
    acme: DeviceSigner,
    globex: DecapsulationKey,
}

impl Pair {
    fn new() -> Self {
        Self { acme: device(1), globex: xwing::DecapsulationKey::from_seed(&[2; 32]).into() }
    }

    fn globex_key(&self) -> RecipientKey {
        let kem = self.globex.encapsulation_key().clone();
        RecipientKey {
            did: did("globex"),
            suite: Suite::X0001,
            key_id: kem.key_id(),
            kem,
            fs_class: FsClass::Epoch,
        }
    }

    fn seal(&self, message: &Message) -> Result<SealedMessage, SealError> {
        seal(message, &self.globex_key(), &self.acme, NOW, &mut rng())
    }

    /// The whole path of a receiver.
    fn receive(&self, bytes: Bytes) -> Result<Opened, String> {
        let sealed = SealedMessage::parse(bytes).map_err(|error| error.to_string())?;
        let unverified = unseal(&sealed, &self.globex).map_err(|error| error.to_string())?;
        unverified.verify(self.acme.verifying_key(), &did("globex"), NOW).map_err(|error| error.to_string())
    }

    /// Seals a body that `seal` would not make: signed and encrypted properly, wrong inside.
    fn seal_body(&self, change: impl FnOnce(&mut wire::AgentMessage)) -> Unverified {
        self.try_seal_body(change).unwrap()
    }

    fn try_seal_body(&self, change: impl FnOnce(&mut wire::AgentMessage)) -> Result<Unverified, OpenError> {
        let mut body = message(b"hello").to_wire();
        change(&mut body);
        self.open_signed(signed(&body, &self.acme))
    }

    /// Pads, encrypts and opens a length and a `Signed`.
    fn open_signed(&self, mut plain: Vec<u8>) -> Result<Unverified, OpenError> {
        plain.resize(padded_len(plain.len()), 0);
        unseal(&self.encrypt(plain), &self.globex)
    }

    fn encrypt(&self, mut plain: Vec<u8>) -> SealedMessage {
        let draft = Draft::prepare(&message(b"hello"), &self.globex_key()).unwrap();
        let (kem_ct, secret) = draft.to().kem.encapsulate(&mut rng()).unwrap();
        let mut header = draft.header(NOW, kem_ct.into());
        let (key, nonce) = key_and_nonce(&secret, draft.to().suite, None).unwrap();
        key.seal_in_place_append_tag(nonce, Aad::from(header.encode_to_vec()), &mut plain).unwrap();
        header.ciphertext = plain.into();
        SealedMessage::parse(header.encode_to_vec().into()).unwrap()
    }
}

/// A length and a `Signed`, not yet padded.
fn signed(body: &wire::AgentMessage, signer: &DeviceSigner) -> Vec<u8> {
    let body = body.encode_to_vec();
    let (signature, _) = Evidence::of_body(&body, Suite::X0001, signer).unwrap().to_wire();
    let mut plain = vec![0; LENGTH_BYTES];
    write_signed(&mut plain, &body, &signature, None);
    let length = (plain.len() - LENGTH_BYTES) as u32;
    plain[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    plain
}

fn device(seed: u8) -> DeviceSigner {
    SigningKey::from_seed(&[seed; 64]).into()
}

fn message(payload: &[u8]) -> Message {
    Message {
        sender: did("acme"),
        message_id: Uuid::from_u128(0x0190_c0de_0000_7000_8000_0000_0000_0001),
        payload: Bytes::copy_from_slice(payload),
        recipients: vec![did("globex"), did("initech")],
        content_type: crate::mail::CONTENT_TYPE.into(),
        timestamp: NOW,
        expires: NOW.saturating_add_ms(HOUR_MS),
        class: Class::Normal,
        fs_class: FsClass::Epoch,
        suite: Suite::X0001,
        own_tree: None,
        your_tree: None,
    }
}

#[test]
fn a_sealed_message_opens_to_what_was_sealed() {
    let pair = Pair::new();
    let sealed = pair.seal(&message(b"hello")).unwrap();

    assert_eq!(sealed.key_id(), pair.globex.encapsulation_key().key_id());
    assert_eq!((sealed.suite(), sealed.class(), sealed.ttl_s()), (Suite::X0001, Class::Normal, 3600));
    assert_eq!(sealed.mailbox(), mailbox(&did("globex"), NOW));
    assert_eq!(SealedMessage::parse(sealed.bytes().clone()), Ok(sealed.clone()));

    let unverified = unseal(&sealed, &pair.globex).unwrap();
    assert_eq!(unverified.sender(), &did("acme"));
    assert_eq!(unverified.signer(), pair.acme.verifying_key().key_id());
    let opened = unverified.verify(pair.acme.verifying_key(), &did("globex"), NOW).unwrap();
    assert_eq!(opened.message, message(b"hello"));
}

#[test]
fn the_evidence_convinces_a_third_party() {
    let pair = Pair::new();
    let opened = pair.receive(pair.seal(&message(b"hello")).unwrap().bytes().clone()).unwrap();
    let signed = wire::Signed::decode(opened.evidence).unwrap();
    let verify =
        |signature| pair.acme.verifying_key().verify(Suite::X0001, Domain::Message, &signed.body, signature);
    assert_eq!(verify(&signed.signatures[0].signature), Ok(()));
}

#[test]
fn neither_sender_nor_content_shows_outside() {
    let pair = Pair::new();
    let sealed = pair.seal(&message(b"the secret recipe")).unwrap();
    let shows = |needle: &[u8]| sealed.bytes().windows(needle.len()).any(|window| window == needle);
    for hidden in [b"the secret recipe".as_slice(), did("acme").as_str().as_bytes(), b"message/rfc822"] {
        assert!(!shows(hidden));
    }
}

#[test]
fn messages_of_similar_length_have_the_same_length_outside() {
    let pair = Pair::new();
    let length = |payload: usize| pair.seal(&message(&vec![1; payload])).unwrap().bytes().len();
    assert_eq!(length(0), length(400));
    assert_eq!(length(5_000), length(8_000));
    assert_ne!(length(5_000), length(9_000));
}

#[test]
fn every_size_from_empty_to_beyond_the_classes_round_trips() {
    let pair = Pair::new();
    for size in [0, 1, 127, 128, 500, 4_000, 16_383, 16_384, 61_000, 65_536, 70_000, 2_100_000] {
        let message = message(&vec![7; size]);
        let sealed = pair.seal(&message).unwrap();
        assert_eq!(SealedMessage::parse(sealed.bytes().clone()).unwrap(), sealed);
        assert_eq!(pair.receive(sealed.bytes().clone()).unwrap().message, message, "{size}");
    }
}

#[test]
fn another_key_does_not_open_it() {
    let pair = Pair::new();
    let sealed = pair.seal(&message(b"hello")).unwrap();
    let other = xwing::DecapsulationKey::from_seed(&[4; 32]).into();
    assert_eq!(unseal(&sealed, &other).unwrap_err(), OpenError::Decryption);
}

#[test]
fn a_message_signed_by_someone_else_is_not_believed() {
    let pair = Pair::new();
    let mallory = device(66);
    let sealed = seal(&message(b"hello"), &pair.globex_key(), &mallory, NOW, &mut rng()).unwrap();
    let verify = |key: &DeviceSigner| {
        let unverified = unseal(&sealed, &pair.globex).unwrap();
        unverified.verify(key.verifying_key(), &did("globex"), NOW).map(|_| ())
    };
    assert_eq!(verify(&pair.acme), Err(OpenError::BadSignature(BadSignature)));
    assert_eq!(verify(&mallory), Ok(()), "the caller looks the key up in the sender's manifest");
}

#[test]
fn a_forged_signature_under_an_honest_key_id_is_not_believed() {
    let pair = Pair::new();
    let mallory = device(66);
    let id = |key: &DeviceSigner| *key.verifying_key().key_id().as_bytes();
    let mut plain = signed(&message(b"hello").to_wire(), &mallory);
    let at = plain.windows(16).position(|window| window == id(&mallory)).unwrap();
    plain[at..at + 16].copy_from_slice(&id(&pair.acme));

    let unverified = pair.open_signed(plain).unwrap();
    assert_eq!(unverified.signer(), pair.acme.verifying_key().key_id());
    let refused = unverified.verify(pair.acme.verifying_key(), &did("globex"), NOW).unwrap_err();
    assert_eq!(refused, OpenError::BadSignature(BadSignature));
}

#[test]
fn a_recipient_cannot_forward_a_message_as_if_it_were_for_a_third_party() {
    // Globex re-seals what Acme signed for Globex and Initech to Hooli: Hooli sees that it is not addressed.
    let pair = Pair::new();
    let unverified = pair.seal_body(|_| {});
    let refused = unverified.verify(pair.acme.verifying_key(), &did("hooli"), NOW).unwrap_err();
    assert_eq!(refused, OpenError::NotForUs);
    let second = pair.seal_body(|_| {});
    assert!(second.verify(pair.acme.verifying_key(), &did("initech"), NOW).is_ok());
}

#[test]
fn the_signed_class_must_be_the_one_outside() {
    let pair = Pair::new();
    let unverified = pair.seal_body(|body| body.class = Class::Control.number());
    let refused = unverified.verify(pair.acme.verifying_key(), &did("globex"), NOW).unwrap_err();
    assert_eq!(refused, OpenError::Contradiction("class"));
}

#[test]
fn a_signed_suite_that_we_do_not_speak_is_refused_by_id() {
    let refused = Pair::new().try_seal_body(|body| body.suite = 0x0103).unwrap_err();
    assert_eq!(refused, OpenError::Message(MessageError::UnsupportedSuite(crate::UnsupportedSuite(0x0103))));
}

#[test]
fn time_is_judged_with_the_skew_of_honest_clocks_and_no_more() {
    let pair = Pair::new();
    let at = |now| {
        let unverified = pair.seal_body(|_| {});
        unverified.verify(pair.acme.verifying_key(), &did("globex"), now).map(|_| ())
    };
    let expires = NOW.saturating_add_ms(HOUR_MS);
    assert_eq!(at(NOW.saturating_sub_ms(CLOCK_SKEW_MS_MAX)), Ok(()));
    assert_eq!(at(NOW.saturating_sub_ms(CLOCK_SKEW_MS_MAX + 1)), Err(OpenError::FromTheFuture));
    assert_eq!(at(expires.saturating_add_ms(CLOCK_SKEW_MS_MAX - 1)), Ok(()));
    assert_eq!(at(expires.saturating_add_ms(CLOCK_SKEW_MS_MAX)), Err(OpenError::Expired));
}

#[test]
fn clear_forms_out_of_bounds_are_refused_even_when_signed() {
    type Change = fn(&mut wire::AgentMessage);
    let pair = Pair::new();
    let changes: [(&str, Change); 12] = [
        ("sender_did", |body| body.sender_did = "did:dccp:1".into()),
        ("message_id", |body| body.message_id = Uuid::nil().to_string()),
        ("message_id", |body| body.message_id = body.message_id.to_uppercase()),
        ("recipient_did", |body| body.recipient_did.clear()),
        ("recipient_did", |body| body.recipient_did.push("x".into())),
        ("content_type", |body| body.content_type = "a\r\nb".into()),
        ("content_type", |body| body.content_type = "a".repeat(256)),
        ("timestamp", |body| body.timestamp = -1),
        ("expires", |body| body.expires = body.timestamp),
        ("expires", |body| body.expires = body.timestamp + LIFETIME_MS_MAX as i64 + 1),
        ("class", |body| body.class = 6),
        ("fs_class", |body| body.fs_class = 0),
    ];
    for (field, change) in changes {
        let refused = pair.try_seal_body(change).unwrap_err();
        assert_eq!(refused, OpenError::Message(MessageError::OutOfBounds(field)), "{field}");
    }
    let crowd = pair.try_seal_body(|body| body.recipient_did = vec![did("x").to_string(); 65]).unwrap_err();
    assert!(matches!(crowd, OpenError::Message(_)));
}

#[test]
fn padding_that_is_not_zeros_behind_a_length_that_fits_is_refused() {
    let pair = Pair::new();
    let open = |plain: Vec<u8>| unseal(&pair.encrypt(plain), &pair.globex).unwrap_err();
    let mut overlong = vec![0; 1024];
    overlong[..4].copy_from_slice(&1021_u32.to_be_bytes());
    assert_eq!(open(overlong), OpenError::Padding);
    let mut covert = vec![0; 1024];
    covert[1023] = 1;
    assert_eq!(open(covert), OpenError::Padding);
    assert!(matches!(open(vec![0; 1024]), OpenError::Malformed(_)), "an empty Signed has no signature");
}

#[test]
fn sealing_refuses_what_the_receiver_would() {
    let pair = Pair::new();
    let refused = |change: fn(&mut Message)| {
        let mut message = message(b"hello");
        change(&mut message);
        pair.seal(&message).unwrap_err()
    };
    assert_eq!(refused(|m| m.recipients = vec![did("initech")]), SealError::Mismatch("recipient"));
    assert_eq!(refused(|m| m.fs_class = FsClass::Static), SealError::Mismatch("fs_class"));
    assert_eq!(
        refused(|m| m.message_id = Uuid::nil()),
        SealError::Message(MessageError::OutOfBounds("message_id"))
    );
    let expired =
        |m: &mut Message| (m.timestamp, m.expires) = (UnixMillis(1), NOW.saturating_sub_ms(NOW.0 - 9));
    assert_eq!(refused(expired), SealError::Expired);
    let huge = |m: &mut Message| m.payload = vec![0; PAYLOAD_BYTES_MAX + 1].into();
    assert_eq!(refused(huge), SealError::Message(MessageError::OutOfBounds("payload")));

    let wrong_id = RecipientKey { key_id: KeyId([0; 16]), ..pair.globex_key() };
    let refused = seal(&message(b""), &wrong_id, &pair.acme, NOW, &mut rng()).unwrap_err();
    assert_eq!(refused, SealError::Mismatch("key_id"));
}

#[test]
fn other_versions_and_suites_are_refused_by_number() {
    let pair = Pair::new();
    let header = |change: fn(&mut wire::SealedMessage)| {
        let sealed = pair.seal(&message(b"hello")).unwrap();
        let mut header = wire::SealedMessage::decode(sealed.bytes().clone()).unwrap();
        change(&mut header);
        SealedMessage::parse(header.encode_to_vec().into()).unwrap_err()
    };
    assert_eq!(header(|h| h.version = 2), SealedMessageError::UnsupportedVersion(2));
    assert_eq!(header(|h| h.suite = 3), SealedMessageError::UnsupportedSuite(crate::UnsupportedSuite(3)));
    let out_of_bounds = SealedMessageError::OutOfBounds;
    assert_eq!(header(|h| h.class = 0), out_of_bounds("class"));
    assert_eq!(header(|h| h.mailbox.truncate(15)), out_of_bounds("mailbox"));
    assert_eq!(header(|h| h.key_id.clear()), out_of_bounds("key_id"));
    assert_eq!(header(|h| h.kem_ct.truncate(1119)), out_of_bounds("kem_ct"));
    assert_eq!(header(|h| h.ttl_s = u32::MAX), out_of_bounds("ttl_s"));
    assert_eq!(header(|h| h.ciphertext.truncate(1024)), out_of_bounds("ciphertext"), "not a padded length");
    assert_eq!(header(|h| h.ciphertext.truncate(16)), out_of_bounds("ciphertext"));
}

#[test]
fn a_message_has_one_encoding() {
    let pair = Pair::new();
    let sealed = pair.seal(&message(b"hello")).unwrap();
    let refused = |bytes: Vec<u8>| SealedMessage::parse(bytes.into()).unwrap_err();
    let bytes = sealed.bytes().to_vec();

    // A session number (7) out of order, an unknown field (12), the version twice, the version (two octets) moved to the end.
    let malformed = SealedMessageError::Malformed(crate::Malformed);
    assert_eq!(
        refused([bytes.clone(), vec![0x38, 0x01]].concat()),
        SealedMessageError::OutOfBounds("session")
    );
    assert_eq!(refused([bytes.clone(), vec![0x60, 0x01]].concat()), malformed);
    assert_eq!(refused([vec![0x08, 0x01], bytes.clone()].concat()), malformed);
    assert_eq!(refused([&bytes[2..], &bytes[..2]].concat()), SealedMessageError::NotCanonical);
    // The version as a number of two octets.
    assert_eq!(refused([&[0x08, 0x81, 0x00], &bytes[2..]].concat()), malformed);
}

#[test]
fn a_digest_names_the_sealed_bytes() {
    let pair = Pair::new();
    let (one, two) = (pair.seal(&message(b"hello")).unwrap(), pair.seal(&message(b"hello")).unwrap());
    assert_ne!(one.digest(), two.digest());
    assert_eq!(one.digest(), SealedMessage::parse(one.bytes().clone()).unwrap().digest());
}

/// The key and nonce were computed with Python's `hmac` (RFC 5869, salt of 32 zeros, info `DCCP-SEAL-v1\0` ‖ 00000001).
#[test]
fn the_key_schedule_is_the_documented_one() {
    let key = hex::decode("fad01f393b0a3252979a1e951d252b2fc1ff98912442a5cccc83220489fa83c4").unwrap();
    let nonce = hex::decode("7b2663503183d63e2e9274bc").unwrap();
    let expected = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let expected_nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
    let (key, nonce) = key_and_nonce(&SharedSecret::copied(&[1; 32]), Suite::X0001, None).unwrap();
    let encrypt = |key: LessSafeKey, nonce| {
        let mut text = b"the same text".to_vec();
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).unwrap();
        text
    };
    assert_eq!(encrypt(key, nonce), encrypt(expected, expected_nonce));
}

#[test]
fn mailbox_tags_change_daily_and_per_organisation() {
    let tomorrow = NOW.saturating_add_ms(24 * HOUR_MS);
    assert_eq!(mailbox(&did("acme"), NOW), mailbox(&did("acme"), NOW.saturating_add_ms(1)));
    assert_ne!(mailbox(&did("acme"), NOW), mailbox(&did("acme"), tomorrow));
    assert_ne!(mailbox(&did("acme"), NOW), mailbox(&did("globex"), NOW));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_is_noticed(at: prop::sample::Index, bit in 0..8_u32) {
        let pair = Pair::new();
        let mut bytes = pair.seal(&message(b"hello")).unwrap().bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(pair.receive(bytes.into()).is_err(), "bit {bit} of octet {at}");
    }

    #[test]
    fn any_truncation_or_extension_is_noticed(keep: prop::sample::Index, more in 1..40_usize) {
        let pair = Pair::new();
        let bytes = pair.seal(&message(b"hello")).unwrap().bytes().clone();
        prop_assert!(pair.receive(bytes.slice(..keep.index(bytes.len()))).is_err());
        prop_assert!(pair.receive([&bytes[..], &vec![0; more]].concat().into()).is_err());
    }

    #[test]
    fn every_payload_round_trips(payload in prop::collection::vec(any::<u8>(), 0..20_000)) {
        let pair = Pair::new();
        let opened = pair.receive(pair.seal(&message(&payload)).unwrap().bytes().clone()).unwrap();
        prop_assert_eq!(&opened.message.payload[..], &payload[..]);
    }

    #[test]
    fn hostile_clear_forms_never_panic(plain in prop::collection::vec(any::<u8>(), 0..1000)) {
        let pair = Pair::new();
        let mut padded = u32::try_from(plain.len()).unwrap().to_be_bytes().to_vec();
        padded.extend(&plain);
        padded.resize(1024, 0);
        let _ = unseal(&pair.encrypt(padded), &pair.globex);
    }
}
