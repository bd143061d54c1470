//! Sealed messages that are right but for one thing.

use dccp::Suite;
use dccp::keys::Domain;
use dccp::tree::{leaf_hash, node_hash};

use super::beside::beside;
use super::envelope::{Field, Fields, encode, encrypt, get, key_and_nonce, octets, pad, session_id, with};
use super::scene::Scene;
use crate::common::NOW;

/// A message that must be refused.
pub(crate) struct Spoiled {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    pub(crate) error: &'static str,
    pub(crate) sealed: Vec<u8>,
}

pub(crate) fn spoiled(
    name: &'static str,
    why: &'static str,
    error: &'static str,
    sealed: Vec<u8>,
) -> Spoiled {
    Spoiled { name, why, error, sealed }
}

/// All of them.
pub(crate) fn all(scene: &Scene) -> Vec<Spoiled> {
    let writer = |suite| Writer { scene, suite };
    [
        headers(&writer(Suite::X0001)),
        wrapping(&writer(Suite::X0001)),
        signatures(scene),
        bodies(scene),
        beside(&writer(Suite::X0001)),
        batches(scene),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(crate) const DECRYPTION: &str = "Decryption";
const MALFORMED: &str = "Malformed(Malformed)";
const BAD_SIGNATURE: &str = "BadSignature(BadSignature)";

/// Writes messages of Acme to Globex in one suite.
pub(crate) struct Writer<'a> {
    pub(crate) scene: &'a Scene,
    suite: Suite,
}

impl Writer<'_> {
    /// Fields of the `AgentMessage`.
    pub(crate) fn body(&self) -> Fields {
        let now = NOW.as_u64();
        vec![
            (1, octets(self.scene.acme.as_str())),
            (2, octets("0190c0de-0000-7000-8000-000000000001")),
            (3, octets("Hello, Globex.")),
            (5, Field::Number(now)),
            (6, octets(self.scene.globex.as_str())),
            (8, octets("text/plain")),
            (11, Field::Number(now + 3_600_000)),
            (12, Field::Number(4)),
            (15, Field::Number(2)),
            (21, Field::Number(self.suite.id().into())),
        ]
    }

    fn sign(&self, suite: Suite, domain: Domain, message: &[u8]) -> Vec<u8> {
        self.scene.device.sign(suite, domain, message).unwrap()
    }

    /// Fields of `Signed` with this signature.
    fn signed_with(&self, body: &[u8], signature: &[u8]) -> Fields {
        let key_id = self.scene.device.verifying_key().key_id();
        let signature = encode(&vec![(1, octets(key_id.as_bytes())), (2, octets(signature))]);
        vec![(1, octets(body)), (2, octets(signature))]
    }

    pub(crate) fn signed(&self, body: &Fields) -> Fields {
        let body = encode(body);
        let signature = self.sign(self.suite, Domain::Message, &body);
        self.signed_with(&body, &signature)
    }

    /// Fields 1 to 9 of `SealedMessage`, and the secret.
    fn header(&self) -> (Fields, [u8; 32]) {
        let key = self.scene.key_of(self.suite).encapsulation_key();
        let (kem_ct, secret) = key.encapsulate(&mut rand::rng()).unwrap();
        let header = vec![
            (1, Field::Number(1)),
            (2, Field::Number(self.suite.id().into())),
            (3, octets(dccp::seal::mailbox(&self.scene.globex, NOW))),
            (4, octets(key.key_id().as_bytes())),
            (5, octets(kem_ct)),
            (8, Field::Number(4)),
            (9, Field::Number(3600)),
        ];
        (header, *secret.as_bytes())
    }

    fn seal_plain(&self, plain: Vec<u8>) -> Fields {
        self.seal_beside(None, plain)
    }

    /// With a field 11.
    pub(crate) fn seal_beside(&self, outline: Option<Field>, plain: Vec<u8>) -> Fields {
        let (header, secret) = self.header();
        let header = with(&header, 11, outline);
        let okm = key_and_nonce(&secret, self.suite, None);
        let ciphertext = encrypt(self.suite, &okm, &encode(&header), plain);
        with(&header, 10, Some(octets(ciphertext)))
    }

    fn seal(&self, signed: &Fields) -> Fields {
        self.seal_plain(pad(&encode(signed)))
    }

    fn seal_body(&self, body: &Fields) -> Vec<u8> {
        encode(&self.seal(&self.signed(body)))
    }

    fn seal_signature(&self, signature: &[u8]) -> Vec<u8> {
        encode(&self.seal(&self.signed_with(&encode(&self.body()), signature)))
    }

    pub(crate) fn good(&self) -> Fields {
        self.seal(&self.signed(&self.body()))
    }
}

/// What shows without a key.
fn headers(writer: &Writer<'_>) -> Vec<Spoiled> {
    let good = writer.good();
    let bytes = encode(&good);
    let changed = |number, field| encode(&with(&good, number, Some(field)));
    let kem_ct = get(&good, 5).unwrap();
    let session =
        |id: &[u8], seq| encode(&with(&with(&good, 6, Some(octets(id))), 7, Some(Field::Number(seq))));
    let mut reordered = good.clone();
    reordered.swap(5, 6);
    let cut = get(&good, 10).unwrap()[..1024].to_vec();
    let number = Field::Number;
    vec![
        spoiled("nothing", "no octets at all", "UnsupportedVersion(0)", vec![]),
        spoiled("cut short", "an octet is missing", MALFORMED, bytes[..bytes.len() - 1].to_vec()),
        spoiled("an octet more", "octets after the end", MALFORMED, [&bytes[..], &[0]].concat()),
        spoiled("an unknown field", "field 12", MALFORMED, changed(12, number(1))),
        spoiled("fields out of order", "class after ttl_s", "NotCanonical", encode(&reordered)),
        spoiled("version 2", "a later version", "UnsupportedVersion(2)", changed(1, number(2))),
        spoiled(
            "suite 0x0003",
            "an unknown suite",
            "UnsupportedSuite(UnsupportedSuite(3))",
            changed(2, number(3)),
        ),
        spoiled("a short mailbox tag", "15 octets", "OutOfBounds(\"mailbox\")", changed(3, octets([1; 15]))),
        spoiled("a long key id", "17 octets", "OutOfBounds(\"key_id\")", changed(4, octets([1; 17]))),
        spoiled(
            "a short KEM ciphertext",
            "1119 octets",
            "OutOfBounds(\"kem_ct\")",
            changed(5, octets(&kem_ct[1..])),
        ),
        spoiled(
            "an X-Wing ciphertext in suite 0x0101",
            "its ciphertexts have 1088 octets",
            "OutOfBounds(\"kem_ct\")",
            changed(2, number(0x0101)),
        ),
        spoiled(
            "a session without number",
            "seq is missing",
            "OutOfBounds(\"session\")",
            changed(6, octets(session_id(&kem_ct))),
        ),
        spoiled(
            "a number without session",
            "session is missing",
            "OutOfBounds(\"session\")",
            changed(7, number(1)),
        ),
        spoiled(
            "a session id of another ciphertext",
            "it is not the hash of kem_ct",
            "OutOfBounds(\"session\")",
            session(&[7; 16], 1),
        ),
        spoiled(
            "message 1001 of a session",
            "a session has 1000",
            "OutOfBounds(\"seq\")",
            session(&session_id(&kem_ct), 1001),
        ),
        spoiled("class 0", "classes are 1 to 5", "OutOfBounds(\"class\")", encode(&with(&good, 8, None))),
        spoiled("31 days to live", "30 at most", "OutOfBounds(\"ttl_s\")", changed(9, number(31 * 86_400))),
        spoiled(
            "not a padded length",
            "1024 + 16 is one",
            "OutOfBounds(\"ciphertext\")",
            changed(10, octets(cut)),
        ),
    ]
}

/// What shows to whoever has the key but not the sender's.
fn wrapping(writer: &Writer<'_>) -> Vec<Spoiled> {
    let good = writer.good();
    let changed = |number, field| encode(&with(&good, number, Some(field)));
    let altered = |number: u64| {
        let mut octets_of = get(&good, number).unwrap();
        octets_of[9] ^= 1;
        changed(number, octets(octets_of))
    };
    let kem_ct = get(&good, 5).unwrap();
    let low_order = [&kem_ct[..1088], &[0; 32]].concat();
    let mut covert = pad(&encode(&writer.signed(&writer.body())));
    *covert.last_mut().unwrap() = 1;
    let mut overlong = covert.clone();
    let too_long = (covert.len() as u32 - 3).to_be_bytes();
    overlong[..4].copy_from_slice(&too_long);
    let as_session = with(&with(&good, 6, Some(octets(session_id(&kem_ct)))), 7, Some(Field::Number(1)));
    vec![
        spoiled("a key that nobody has", "key_id names no key", "UnknownKey", changed(4, octets([0; 16]))),
        spoiled("an altered ciphertext", "one bit of it", DECRYPTION, altered(10)),
        spoiled("an altered KEM ciphertext", "one bit of it: another secret", DECRYPTION, altered(5)),
        spoiled("an altered header", "ttl_s is authenticated", DECRYPTION, changed(9, Field::Number(3601))),
        spoiled("an altered mailbox tag", "it is authenticated", DECRYPTION, altered(3)),
        spoiled("another AEAD", "0x0001 relabelled as 0x0002", DECRYPTION, changed(2, Field::Number(2))),
        spoiled(
            "a single message as one of a session",
            "another key schedule",
            DECRYPTION,
            encode(&as_session),
        ),
        spoiled(
            "a low-order point",
            "the X25519 half is all zeros",
            "Kem(KemError)",
            changed(5, octets(low_order)),
        ),
        spoiled("a covert octet", "padding is zeros", "Padding", encode(&writer.seal_plain(covert))),
        spoiled("an overlong length", "more than there is", "Padding", encode(&writer.seal_plain(overlong))),
    ]
}

/// Who signed, and with what.
fn signatures(scene: &Scene) -> Vec<Spoiled> {
    let writer = Writer { scene, suite: Suite::X0001 };
    let body = encode(&writer.body());
    let good = writer.sign(Suite::X0001, Domain::Message, &body);
    let mixed = |classical: &[u8], rest: &[u8]| writer.seal_signature(&[classical, rest].concat());
    let rubbish: Vec<u8> = (0..3309).map(|at| at as u8).collect();
    let twice: Fields = {
        let signed = writer.signed(&writer.body());
        vec![signed[0].clone(), signed[1].clone(), signed[1].clone()]
    };
    let purpose = writer.sign(Suite::X0001, Domain::Manifest, &body);
    let mut stranger = writer.signed(&writer.body());
    let named = encode(&vec![(1, octets([9; 16])), (2, octets(&good))]);
    stranger[1].1 = octets(named);

    let weak = Writer { scene, suite: Suite::X0101 };
    let half_of_hybrid = weak.sign(Suite::X0001, Domain::Message, &encode(&weak.body()));
    let experimental = Writer { scene, suite: Suite::X0102 };
    let falcon = experimental.sign(Suite::X0102, Domain::Message, &encode(&experimental.body()));
    let of_another = experimental.sign(Suite::X0102, Domain::Message, b"another body");
    vec![
        spoiled("no signature", "stripped", MALFORMED, encode(&writer.seal(&vec![(1, octets(&body))]))),
        spoiled("two signatures", "exactly one is needed", MALFORMED, encode(&writer.seal(&twice))),
        spoiled(
            "the Ed25519 half alone",
            "both are needed",
            BAD_SIGNATURE,
            writer.seal_signature(&good[..64]),
        ),
        spoiled(
            "the ML-DSA half alone",
            "both are needed",
            BAD_SIGNATURE,
            writer.seal_signature(&good[64..]),
        ),
        spoiled(
            "Ed25519 and rubbish",
            "ML-DSA-65 must verify too",
            BAD_SIGNATURE,
            mixed(&good[..64], &rubbish),
        ),
        spoiled(
            "rubbish and ML-DSA-65",
            "Ed25519 must verify too",
            BAD_SIGNATURE,
            mixed(&[7; 64], &good[64..]),
        ),
        spoiled("signed as a manifest", "another label", BAD_SIGNATURE, writer.seal_signature(&purpose)),
        spoiled("signed by a stranger", "another key id", BAD_SIGNATURE, encode(&writer.seal(&stranger))),
        spoiled(
            "half of suite 0x0001 in suite 0x0101",
            "the suite is part of what is signed",
            BAD_SIGNATURE,
            weak.seal_signature(&half_of_hybrid[64..]),
        ),
        spoiled(
            "Ed25519 and the FN-DSA-512 of another body",
            "both must verify",
            BAD_SIGNATURE,
            experimental.seal_signature(&[&falcon[..64], &of_another[64..]].concat()),
        ),
        spoiled(
            "FN-DSA-512 and the Ed25519 of another body",
            "both must verify",
            BAD_SIGNATURE,
            experimental.seal_signature(&[&of_another[..64], &falcon[64..]].concat()),
        ),
    ]
}

/// What is said under a good signature.
fn bodies(scene: &Scene) -> Vec<Spoiled> {
    let writer = Writer { scene, suite: Suite::X0001 };
    let body = writer.body();
    let said = |number, field| writer.seal_body(&with(&body, number, Some(field)));
    let number = Field::Number;
    let now = NOW.as_u64();
    let earlier = with(&body, 5, Some(number(now - 7_200_000)));
    let expired = with(&earlier, 11, Some(number(now - 300_000)));
    let short_tree = encode(&vec![(1, number(7)), (2, octets([1; 31]))]);
    vec![
        spoiled("another suite inside", "0x0002 in 0x0001", "Contradiction(\"suite\")", said(21, number(2))),
        spoiled("another class inside", "control in normal", "Contradiction(\"class\")", said(12, number(1))),
        spoiled("not for us", "recipients do not name us", "NotForUs", said(6, octets(scene.acme.as_str()))),
        spoiled(
            "from the future",
            "more than the skew of clocks",
            "FromTheFuture",
            said(5, number(now + 300_001)),
        ),
        spoiled("expired", "longer ago than the skew of clocks", "Expired", writer.seal_body(&expired)),
        spoiled(
            "an unknown suite inside",
            "0x0003",
            "Message(UnsupportedSuite(UnsupportedSuite(3)))",
            said(21, number(3)),
        ),
        spoiled(
            "a nil message id",
            "version 7 is needed",
            "Message(OutOfBounds(\"message_id\"))",
            said(2, octets("00000000-0000-0000-0000-000000000000")),
        ),
        spoiled(
            "a message id in upper case",
            "one spelling",
            "Message(OutOfBounds(\"message_id\"))",
            said(2, octets("0190C0DE-0000-7000-8000-000000000001")),
        ),
        spoiled(
            "a content type of two lines",
            "printable ASCII",
            "Message(OutOfBounds(\"content_type\"))",
            said(8, octets("text/plain\r\n")),
        ),
        spoiled(
            "31 days of life",
            "30 at most",
            "Message(OutOfBounds(\"expires\"))",
            said(11, number(now + 31 * 86_400_000)),
        ),
        spoiled("nobody to read it", "1 to 64 recipients", "Message(OutOfBounds(\"recipient_did\"))", {
            writer.seal_body(&with(&body, 6, None))
        }),
        spoiled(
            "protection 4",
            "fs_class is 1, 2 or 3",
            "Message(OutOfBounds(\"fs_class\"))",
            said(15, number(4)),
        ),
        spoiled(
            "a short tree root",
            "31 octets",
            "Message(OutOfBounds(\"own_tree\"))",
            said(23, octets(short_tree)),
        ),
        spoiled(
            "a reserved field",
            "depends_on is not spoken",
            "Message(Malformed(Malformed))",
            said(4, octets("x")),
        ),
        spoiled("a one-time key in a session", "it opens one message", "Contradiction(\"session\")", {
            let (header, secret) = writer.header();
            let id = session_id(&get(&header, 5).unwrap());
            let header = with(&with(&header, 6, Some(octets(id))), 7, Some(number(1)));
            let okm = key_and_nonce(&secret, writer.suite, Some(1));
            let signed = writer.signed(&with(&body, 15, Some(number(3))));
            let ciphertext = encrypt(writer.suite, &okm, &encode(&header), pad(&encode(&signed)));
            encode(&with(&header, 10, Some(octets(ciphertext))))
        }),
    ]
}

/// One signature for many.
fn batches(scene: &Scene) -> Vec<Spoiled> {
    let writer = Writer { scene, suite: Suite::X0001 };
    let body = encode(&writer.body());
    let sibling = leaf_hash(b"sibling");
    let root = node_hash(&leaf_hash(&body), &sibling);
    let to_sign = [&1_u32.to_be_bytes()[..], &2_u64.to_be_bytes(), &root].concat();
    let signature = writer.sign(Suite::X0001, Domain::Batch, &to_sign);
    let proof = |size: u64, index: u64, path: &[&[u8]]| {
        let mut fields = vec![(1, Field::Number(size))];
        if index > 0 {
            fields.push((2, Field::Number(index)));
        }
        fields.extend(path.iter().map(|hash| (3, octets(hash))));
        octets(encode(&fields))
    };
    let sealed = |body: &[u8], proof: Option<Field>| {
        encode(&writer.seal(&with(&writer.signed_with(body, &signature), 3, proof)))
    };
    let other = encode(&with(&writer.body(), 3, Some(octets("Goodbye, Globex."))));
    assert!(scene.judge(sealed(&body, Some(proof(2, 0, &[&sibling])))).is_ok(), "the writer writes batches");
    vec![
        spoiled(
            "a body that is not in the batch",
            "its leaf is not under the root",
            BAD_SIGNATURE,
            sealed(&other, Some(proof(2, 0, &[&sibling]))),
        ),
        spoiled(
            "another place in the batch",
            "index 1 of 2",
            BAD_SIGNATURE,
            sealed(&body, Some(proof(2, 1, &[&sibling]))),
        ),
        spoiled(
            "another size of the batch",
            "the size is signed",
            BAD_SIGNATURE,
            sealed(&body, Some(proof(3, 0, &[&sibling]))),
        ),
        spoiled(
            "a place outside the batch",
            "index 2 of 2",
            MALFORMED,
            sealed(&body, Some(proof(2, 2, &[&sibling]))),
        ),
        spoiled("a batch of 65", "64 at most", MALFORMED, sealed(&body, Some(proof(65, 0, &[&sibling])))),
        spoiled("a path of 7 hashes", "6 at most", MALFORMED, {
            sealed(&body, Some(proof(2, 0, &[sibling.as_slice(); 7])))
        }),
        spoiled("a batch without its proof", "a root is not a body", BAD_SIGNATURE, sealed(&body, None)),
    ]
}
