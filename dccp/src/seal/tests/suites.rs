//! All suites, and what an attacker gains by moving things between them: nothing.

use super::*;
use crate::keys::falcon;
use crate::suite::KemAlgorithm;
use crate::wire::Malformed;

/// A device of Acme that signs for every suite, and a key of Globex for each mechanism.
pub(super) struct Duo {
    pub(super) suite: Suite,
    pub(super) acme: DeviceSigner,
    pub(super) globex: DecapsulationKey,
}

impl Duo {
    pub(super) fn of(suite: Suite) -> Self {
        let falcon = falcon::SigningKey::generate(&mut rng());
        let algorithm = suite.choices().kem;
        let seed = vec![2; algorithm.seed_bytes()];
        Self {
            suite,
            acme: DeviceSigner::new(SigningKey::from_seed(&[1; 64]), Some(falcon)),
            globex: DecapsulationKey::from_seed(algorithm, &seed).unwrap(),
        }
    }

    pub(super) fn key(&self) -> RecipientKey {
        let kem = self.globex.encapsulation_key().clone();
        RecipientKey {
            did: did("globex"),
            suite: self.suite,
            key_id: kem.key_id(),
            kem,
            fs_class: FsClass::Epoch,
        }
    }

    pub(super) fn message(&self, payload: &[u8]) -> Message {
        Message { suite: self.suite, ..message(payload) }
    }

    pub(super) fn draft(&self, payload: &[u8]) -> Draft {
        Draft::prepare(&self.message(payload), &self.key()).unwrap()
    }

    fn body(&self) -> Vec<u8> {
        self.message(b"hello").to_wire().encode_to_vec()
    }

    fn sign(&self, suite: Suite, body: &[u8]) -> Vec<u8> {
        self.acme.sign(suite, Domain::Message, body).unwrap()
    }

    /// What a receiver makes of a body with this signature, encrypted as it should be.
    pub(super) fn receive(&self, body: &[u8], signature: &[u8]) -> Result<Opened, OpenError> {
        self.receive_signed(&wire::Signed {
            body: Bytes::copy_from_slice(body),
            signatures: vec![self.named(signature)],
            batch: None,
        })
    }

    /// A signature under the name of Acme's device.
    pub(super) fn named(&self, signature: &[u8]) -> wire::Signature {
        wire::Signature {
            key_id: Bytes::copy_from_slice(self.acme.verifying_key().key_id().as_bytes()),
            signature: Bytes::copy_from_slice(signature),
        }
    }

    pub(super) fn receive_signed(&self, signed: &wire::Signed) -> Result<Opened, OpenError> {
        let unverified = unseal(&self.seal_signed(signed), &self.globex)?;
        unverified.verify(self.acme.verifying_key(), &did("globex"), NOW)
    }

    /// A message with this inside, encrypted as it should be.
    pub(super) fn seal_signed(&self, signed: &wire::Signed) -> SealedMessage {
        let signed = signed.encode_to_vec();
        let mut plain = u32::try_from(signed.len()).unwrap().to_be_bytes().to_vec();
        plain.extend_from_slice(&signed);
        plain.resize(padded_len(plain.len()), 0);
        let (kem_ct, secret) = self.globex.encapsulation_key().encapsulate(&mut rng()).unwrap();
        let mut header = self.draft(b"hello").header(NOW, kem_ct.into());
        let (key, nonce) = key_and_nonce(&secret, self.suite, None).unwrap();
        key.seal_in_place_append_tag(nonce, Aad::from(header.encode_to_vec()), &mut plain).unwrap();
        header.ciphertext = plain.into();
        SealedMessage::parse(header.encode_to_vec().into()).unwrap()
    }
}

const BAD_SIGNATURE: OpenError = OpenError::BadSignature(BadSignature);

#[test]
fn every_suite_opens_what_it_sealed() {
    for duo in Suite::ALL.map(Duo::of) {
        let sealed = seal(&duo.message(b"hello"), &duo.key(), &duo.acme, NOW, &mut rng()).unwrap();
        assert_eq!(sealed.suite(), duo.suite);
        assert_eq!(SealedMessage::parse(sealed.bytes().clone()), Ok(sealed.clone()));
        let unverified = unseal(&sealed, &duo.globex).unwrap();
        let opened = unverified.verify(duo.acme.verifying_key(), &did("globex"), NOW).unwrap();
        assert_eq!(opened.message, duo.message(b"hello"), "{}", duo.suite);
    }
}

#[test]
fn a_device_without_an_fn_dsa_key_neither_signs_nor_verifies_for_suite_0102() {
    let duo = Duo::of(Suite::X0102);
    let plain = device(1);
    let refused = seal(&duo.message(b""), &duo.key(), &plain, NOW, &mut rng()).unwrap_err();
    assert_eq!(refused, SealError::NoSigningKey(NoSigningKey(Suite::X0102)));
    let sealed = seal(&duo.message(b""), &duo.key(), &duo.acme, NOW, &mut rng()).unwrap();
    let unverified = unseal(&sealed, &duo.globex).unwrap();
    assert_eq!(unverified.verify(plain.verifying_key(), &did("globex"), NOW), Err(BAD_SIGNATURE));
}

#[test]
fn a_stripped_signature_is_refused() {
    for duo in Suite::ALL.map(Duo::of) {
        let (body, signature) = (duo.body(), duo.sign(duo.suite, &duo.body()));
        assert!(duo.receive(&body, &signature).is_ok());
        let none = wire::Signed { body: body.clone().into(), signatures: vec![], batch: None };
        assert_eq!(duo.receive_signed(&none), Err(OpenError::Malformed(Malformed)));
        let twice = wire::Signed { signatures: vec![duo.named(&signature); 2], ..none };
        assert_eq!(duo.receive_signed(&twice), Err(OpenError::Malformed(Malformed)));
        for stripped in [&[][..], &signature[..64], &signature[64..], &signature[..signature.len() - 1]] {
            assert_eq!(duo.receive(&body, stripped), Err(BAD_SIGNATURE), "{}", duo.suite);
        }
    }
}

#[test]
fn of_two_algorithms_both_must_verify() {
    for suite in [Suite::X0001, Suite::X0002, Suite::X0102] {
        let duo = Duo::of(suite);
        let signature = duo.sign(suite, &duo.body());
        let mut only_ed25519 = signature.clone();
        only_ed25519[64..].iter_mut().enumerate().for_each(|(at, octet)| *octet = at as u8);
        assert_eq!(duo.receive(&duo.body(), &only_ed25519), Err(BAD_SIGNATURE), "{suite}");
        let mut only_lattice = signature.clone();
        only_lattice[..64].fill(7);
        assert_eq!(duo.receive(&duo.body(), &only_lattice), Err(BAD_SIGNATURE), "{suite}");

        // The more cunning mixtures: each half is genuine, of another message.
        let other = duo.sign(suite, b"another body");
        let mixed = [&signature[..64], &other[64..]].concat();
        assert_eq!(duo.receive(&duo.body(), &mixed), Err(BAD_SIGNATURE), "{suite}");
        let mixed = [&other[..64], &signature[64..]].concat();
        assert_eq!(duo.receive(&duo.body(), &mixed), Err(BAD_SIGNATURE), "{suite}");
    }
}

#[test]
fn half_a_signature_of_one_suite_does_not_pass_for_one_of_another() {
    let weak = Duo::of(Suite::X0101);
    let hybrid = weak.sign(Suite::X0001, &weak.body());
    assert_eq!(weak.receive(&weak.body(), &hybrid[64..]), Err(BAD_SIGNATURE), "the ML-DSA half as 0x0101");

    let experimental = Duo::of(Suite::X0102);
    let hybrid = experimental.sign(Suite::X0001, &experimental.body());
    let genuine = experimental.sign(Suite::X0102, &experimental.body());
    let mixed = [&hybrid[..64], &genuine[64..]].concat();
    assert_eq!(experimental.receive(&experimental.body(), &mixed), Err(BAD_SIGNATURE), "the Ed25519 half");
}

#[test]
fn a_body_that_was_signed_for_one_suite_is_refused_in_the_wrapping_of_another() {
    // 0x0001 and 0x0002 sign with the same algorithms: only the suite in the body tells them apart.
    let (one, two) = (Duo::of(Suite::X0001), Duo::of(Suite::X0002));
    let body = two.body();
    assert_eq!(one.receive(&body, &two.sign(two.suite, &body)), Err(OpenError::Contradiction("suite")));
    // Between the others the length of the signature already does.
    let weak = Duo::of(Suite::X0101);
    assert_eq!(weak.receive(&body, &two.sign(two.suite, &body)), Err(BAD_SIGNATURE));
}

#[test]
fn a_header_that_names_another_suite_is_refused() {
    let duo = Duo::of(Suite::X0001);
    let sealed = seal(&duo.message(b"hello"), &duo.key(), &duo.acme, NOW, &mut rng()).unwrap();
    let rewritten = |change: &dyn Fn(&mut wire::SealedMessage)| {
        let mut header = wire::SealedMessage::decode(sealed.bytes().clone()).unwrap();
        change(&mut header);
        SealedMessage::parse(header.encode_to_vec().into())
    };
    for suite in [Suite::X0002, Suite::X0102] {
        let downgraded = rewritten(&|header| header.suite = suite.id()).unwrap();
        assert_eq!(unseal(&downgraded, &duo.globex).unwrap_err(), OpenError::Decryption);
    }
    let shorter = rewritten(&|header| header.suite = Suite::X0101.id());
    assert_eq!(shorter, Err(SealedMessageError::OutOfBounds("kem_ct")));
    let cut = rewritten(&|header| {
        header.suite = Suite::X0101.id();
        header.kem_ct.truncate(KemAlgorithm::MlKem768.ciphertext_bytes());
    });
    let refused = unseal(&cut.unwrap(), &duo.globex).unwrap_err();
    assert_eq!(refused, OpenError::KeyOfAnotherSuite(Suite::X0101));
}

#[test]
fn ciphertexts_and_keys_of_the_other_mechanism_do_not_fit() {
    for duo in Suite::ALL.map(Duo::of) {
        let other = if duo.suite == Suite::X0101 { Suite::X0001 } else { Suite::X0101 };
        let kem = Duo::of(other).globex.encapsulation_key().clone();
        let swapped = RecipientKey { key_id: kem.key_id(), kem, ..duo.key() };
        let refused = Draft::prepare(&duo.message(b""), &swapped).unwrap_err();
        assert_eq!(refused, SealError::Mismatch("kem"));

        let sealed = seal(&duo.message(b""), &duo.key(), &duo.acme, NOW, &mut rng()).unwrap();
        let refused = unseal(&sealed, &Duo::of(other).globex).unwrap_err();
        assert_eq!(refused, OpenError::KeyOfAnotherSuite(duo.suite));
        for length in [0, sealed.kem_ct().len() - 1, sealed.kem_ct().len() + 1] {
            let mut header = wire::SealedMessage::decode(sealed.bytes().clone()).unwrap();
            header.kem_ct = vec![1; length].into();
            let refused = SealedMessage::parse(header.encode_to_vec().into()).unwrap_err();
            assert_eq!(refused, SealedMessageError::OutOfBounds("kem_ct"));
        }
    }
}

#[test]
fn low_order_points_are_refused_on_both_sides() {
    for suite in [Suite::X0001, Suite::X0002, Suite::X0102] {
        let duo = Duo::of(suite);
        for point in [[0; 32], std::array::from_fn(|at| u8::from(at == 0))] {
            let mut public = duo.globex.encapsulation_key().to_bytes();
            public[1184..].copy_from_slice(&point);
            let kem = EncapsulationKey::from_bytes(KemAlgorithm::XWing, &public).unwrap();
            let degenerate = RecipientKey { key_id: kem.key_id(), kem, ..duo.key() };
            let refused = seal(&duo.message(b""), &degenerate, &duo.acme, NOW, &mut rng()).unwrap_err();
            assert_eq!(refused, SealError::RecipientKey(KemError));

            let sealed = seal(&duo.message(b""), &duo.key(), &duo.acme, NOW, &mut rng()).unwrap();
            let mut header = wire::SealedMessage::decode(sealed.bytes().clone()).unwrap();
            header.kem_ct = [&header.kem_ct[..1088], &point[..]].concat().into();
            let sealed = SealedMessage::parse(header.encode_to_vec().into()).unwrap();
            assert_eq!(unseal(&sealed, &duo.globex).unwrap_err(), OpenError::Kem(KemError));
        }
    }
}

#[test]
fn tree_heads_travel_under_the_signature() {
    let duo = Duo::of(Suite::X0001);
    let head = |size| Some(crate::tree::TreeHead { size, root: [size as u8; 32] });
    let gossip = Message { own_tree: head(7), your_tree: head(0), ..duo.message(b"hello") };
    let sealed = seal(&gossip, &duo.key(), &duo.acme, NOW, &mut rng()).unwrap();
    let unverified = unseal(&sealed, &duo.globex).unwrap();
    let opened = unverified.verify(duo.acme.verifying_key(), &did("globex"), NOW).unwrap();
    assert_eq!(opened.message, gossip);

    let mut short = gossip.to_wire();
    short.your_tree.as_mut().unwrap().root.truncate(31);
    let short = short.encode_to_vec();
    let refused = duo.receive(&short, &duo.sign(duo.suite, &short)).unwrap_err();
    assert_eq!(refused, OpenError::Message(MessageError::OutOfBounds("your_tree")));
}
