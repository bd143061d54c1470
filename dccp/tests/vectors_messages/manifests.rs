//! `manifests.json`: device manifests, epoch prekeys and stocks of one-time prekeys, beside the log that they are
//! judged with. Written by the second writer of records ([`crate::forge`]).

use std::collections::BTreeSet;

use dcbor::CBOR;
use dccp::did::{Devices, Log, Manifest};
use dccp::keys::{Domain, falcon};
use dccp::prekey::{Prekey, Stock, epoch_of};
use dccp::tree::{Hash, Tree, leaf_hash};
use dccp::{RecordError, UnixMillis, mlkem, xwing};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{base64, items, octets, read, text, write};
use crate::common::{DAY_MS, NOW};
use crate::forge::{
    Fields, Operation, array, auth, bytes, did, genesis, genesis_fields, log, map, public, rank, text as word,
};

/// A record, the name of the log beside it, and what to say about it.
struct Judged {
    name: &'static str,
    kind: &'static str,
    log: &'static str,
    record: Vec<u8>,
    now: UnixMillis,
    verdict: &'static str,
}

const ACCEPTED: &str = "accepted";
const BAD_SIGNATURE: &str = "BadSignature(BadSignature)";

fn all() -> Vec<Judged> {
    [manifests(), lists(), times(), prekeys(), stocks()].into_iter().flatten().collect()
}

fn number(number: u64) -> CBOR {
    CBOR::from(number)
}

fn x_wing(seed: u8) -> Vec<u8> {
    xwing::DecapsulationKey::from_seed(&[seed; 32]).encapsulation_key().to_bytes()
}

fn device() -> Fields {
    Fields::from([
        ("id", word("gw-1")),
        ("sig", public(5)),
        ("kem", bytes(&x_wing(6))),
        ("by", word("gateway")),
        ("nb", number(NOW.as_u64())),
        ("exp", number(NOW.as_u64() + 400 * DAY_MS)),
    ])
}

fn fn_dsa(algorithm: u8) -> CBOR {
    let key = falcon::SigningKey::generate(&mut StdRng::seed_from_u64(6));
    bytes(&[&[0, algorithm], key.verifying_key().as_bytes().as_slice()].concat())
}

fn changed(fields: &Fields, change: impl IntoIterator<Item = (&'static str, CBOR)>) -> Fields {
    let mut fields = fields.clone();
    fields.extend(change);
    fields
}

fn manifest(devices: &[Fields]) -> Fields {
    Fields::from([
        ("v", number(1)),
        ("did", word(&did(&genesis()))),
        ("epoch", number(1)),
        ("su", array([number(1)])),
        ("dev", array(devices.iter().cloned().map(map))),
    ])
}

fn signed(fields: &Fields, domain: Domain, signers: &[u8]) -> Vec<u8> {
    Operation::of_bytes(map(fields.clone()).to_cbor_data(), domain, signers).to_cbor().to_cbor_data()
}

/// A record of the organisation that the vectors share, signed by its operator.
fn of(
    name: &'static str,
    kind: &'static str,
    domain: Domain,
    fields: &Fields,
    verdict: &'static str,
) -> Judged {
    Judged { name, kind, log: "one operator", record: signed(fields, domain, &[1]), now: NOW, verdict }
}

fn devices(name: &'static str, devices: &[Fields], verdict: &'static str) -> Judged {
    of(name, "manifest", Domain::Manifest, &manifest(devices), verdict)
}

/// Two of the operators 1, 3 and 4 sign for it.
fn quorum() -> Operation {
    let three = auth(rank(&[], &[2], 1), rank(&[1, 3, 4], &[], 2));
    Operation::of(&changed(&genesis_fields(), [("auth", three)]), &[1, 3])
}

/// The manifest as a whole, and who signs it.
fn manifests() -> Vec<Judged> {
    let good = manifest(&[device()]);
    let of = |name, fields: Fields, verdict| of(name, "manifest", Domain::Manifest, &fields, verdict);
    let suites = |name, suites: &[u64], verdict| {
        of(name, changed(&good, [("su", array(suites.iter().copied().map(number)))]), verdict)
    };
    let by = |name, signers: &[u8], verdict| Judged {
        record: signed(&good, Domain::Manifest, signers),
        ..of(name, good.clone(), verdict)
    };
    let quorum = quorum();
    let in_quorum = changed(&good, [("did", word(&did(&quorum)))]);
    let by_quorum = |name, signers: &[u8], verdict| Judged {
        log: "two of three operators",
        record: signed(&in_quorum, Domain::Manifest, signers),
        ..of(name, good.clone(), verdict)
    };
    let mut without = good.clone();
    without.remove("epoch");
    let mut cut = of("a manifest cut short", good.clone(), "Malformed(Truncated)");
    cut.record.pop();
    let mut purpose = of("a manifest signed as a node record", good.clone(), BAD_SIGNATURE);
    purpose.record = signed(&good, Domain::NodeRecord, &[1]);
    vec![
        of("a manifest", good.clone(), ACCEPTED),
        suites("all suites", &[0x0001, 0x0002, 0x0101, 0x0102], ACCEPTED),
        suites("a suite of a later version beside ours", &[0x0001, 0x7777], ACCEPTED),
        suites("only suites of later versions", &[0x7777], "UnsupportedSuite(UnsupportedSuite(30583))"),
        suites("no suite", &[], "UnsupportedSuite(UnsupportedSuite(0))"),
        suites("suites out of order", &[2, 1], "OutOfBounds(\"su\")"),
        suites("a suite twice", &[1, 1], "OutOfBounds(\"su\")"),
        suites("17 suites", &(1..=17).collect::<Vec<_>>(), "Malformed(Wrong(\"su\"))"),
        by("signed by a stranger", &[9], BAD_SIGNATURE),
        by("signed by the operator and a stranger", &[1, 9], BAD_SIGNATURE),
        by("signed by nobody", &[], "Malformed(Wrong(\"s\"))"),
        by_quorum("signed by two of three operators", &[1, 4], ACCEPTED),
        by_quorum("signed by all three operators", &[1, 3, 4], ACCEPTED),
        by_quorum("signed by one operator of the two needed", &[3], "TooFewSignatures { needed: 2 }"),
        by_quorum("signed by the recovery key", &[1, 2], BAD_SIGNATURE),
        of("a manifest of another DID", changed(&good, [("did", word(&did(&quorum)))]), "OtherDid"),
        of("epoch 0", changed(&good, [("epoch", number(0))]), "OutOfBounds(\"epoch\")"),
        of("version 2", changed(&good, [("v", number(2))]), "UnsupportedVersion(2)"),
        of("without epoch", without, "Malformed(Missing(\"epoch\"))"),
        of("an unknown field", changed(&good, [("x", number(1))]), "Malformed(Unknown(\"x\"))"),
        cut,
        purpose,
    ]
}

/// Devices and their fields.
fn lists() -> Vec<Judged> {
    let good = device();
    let one =
        |name, change: (&'static str, CBOR), verdict| devices(name, &[changed(&good, [change])], verdict);
    let numbered = |n: usize| changed(&good, [("id", word(&format!("gw-{n}")))]);
    let many = |count| (0..count).map(numbered).collect::<Vec<_>>();
    let mut without = good.clone();
    without.remove("kem");
    vec![
        devices("32 devices", &many(32), ACCEPTED),
        devices("33 devices", &many(33), "Malformed(Wrong(\"dev\"))"),
        devices("no device", &[], "OutOfBounds(\"dev\")"),
        devices("two devices of one id", &[good.clone(), good.clone()], "OutOfBounds(\"id\")"),
        one("a device with an FN-DSA key", ("fn", fn_dsa(2)), ACCEPTED),
        one("an FN-DSA key under another algorithm id", ("fn", fn_dsa(1)), "BadKey(BadKey)"),
        one("an FN-DSA key of two octets", ("fn", bytes(&[0, 2])), "BadKey(BadKey)"),
        one("a person's own device", ("by", word("device")), ACCEPTED),
        one("a hardware module", ("by", word("hsm")), ACCEPTED),
        one("a keeper of another kind", ("by", word("cloud")), "Malformed(Wrong(\"by\"))"),
        one("an id with a blank", ("id", word("gw 1")), "OutOfBounds(\"id\")"),
        one("an id of 65 characters", ("id", word(&"x".repeat(65))), "OutOfBounds(\"id\")"),
        one("a short signing key", ("sig", bytes(&[0, 1, 2])), "BadKey(BadKey)"),
        one("a short KEM key", ("kem", bytes(&[1; 1215])), "BadKey(BadKey)"),
        one("an unknown field of a device", ("x", number(1)), "Malformed(Unknown(\"x\"))"),
        devices("a device without KEM key", &[without], "Malformed(Missing(\"kem\"))"),
    ]
}

/// When a device counts.
fn times() -> Vec<Judged> {
    let now = NOW.as_u64();
    let with = |change: [(&'static str, u64); 1]| {
        changed(&device(), change.map(|(name, time)| (name, number(time))))
    };
    let lost = with([("rev", now)]);
    let second = changed(&device(), [("id", word("gw-2")), ("sig", public(7))]);
    let at = |now, judged: Judged| Judged { now: UnixMillis(now), ..judged };
    let good = |name, verdict| devices(name, &[device()], verdict);
    let end = now + 400 * DAY_MS;
    vec![
        at(now - 300_000, good("before it begins, within the skew", ACCEPTED)),
        at(now - 300_001, good("before it begins", "NotYetValid")),
        at(end + 299_999, good("after it ended, within the skew", ACCEPTED)),
        at(end + 300_000, good("after it ended", "Expired")),
        devices("a device that ends when it begins", &[with([("exp", now)])], "OutOfBounds(\"exp\")"),
        devices("a device to be revoked later", &[with([("rev", now + 1)])], ACCEPTED),
        devices("the only device is revoked", std::slice::from_ref(&lost), "Expired"),
        devices("one of two devices is revoked", &[lost, second], ACCEPTED),
        devices("revoked before it began", &[with([("rev", now - 1)])], "OutOfBounds(\"rev\")"),
    ]
}

fn prekeys() -> Vec<Judged> {
    let good = Fields::from([
        ("v", number(1)),
        ("did", word(&did(&genesis()))),
        ("su", number(1)),
        ("ep", number(epoch_of(NOW))),
        ("key", bytes(&x_wing(8))),
    ]);
    let of = |name, change: Vec<(&'static str, CBOR)>, verdict| {
        of(name, "prekey", Domain::Prekey, &changed(&good, change), verdict)
    };
    let ml_kem = mlkem::DecapsulationKey::from_seed(&[8; 64]).encapsulation_key().to_bytes();
    let today = epoch_of(NOW);
    let mut forged = of("a prekey signed by a stranger", vec![], BAD_SIGNATURE);
    forged.record = signed(&good, Domain::Prekey, &[9]);
    vec![
        of("a prekey of today", vec![], ACCEPTED),
        of("a prekey of tomorrow", vec![("ep", number(today + 1))], ACCEPTED),
        of("a prekey of yesterday", vec![("ep", number(today - 1))], "Expired"),
        of("a prekey of the day after tomorrow", vec![("ep", number(today + 2))], "NotYetValid"),
        of("an ML-KEM-768 prekey", vec![("su", number(0x0101)), ("key", bytes(&ml_kem))], ACCEPTED),
        of("an ML-KEM-768 prekey that says X-Wing", vec![("key", bytes(&ml_kem))], "BadKey(BadKey)"),
        of("an X-Wing prekey that says ML-KEM-768", vec![("su", number(0x0101))], "BadKey(BadKey)"),
        of(
            "a mechanism by its second suite",
            vec![("su", number(2))],
            "UnsupportedSuite(UnsupportedSuite(2))",
        ),
        of("an unknown field in a prekey", vec![("x", number(1))], "Malformed(Unknown(\"x\"))"),
        forged,
    ]
}

/// §4.7: index (u64) ‖ su (u64) ‖ key.
fn leaf(index: u64, key: &[u8]) -> Hash {
    leaf_hash(&[&index.to_be_bytes()[..], &1_u64.to_be_bytes(), key].concat())
}

fn stocks() -> Vec<Judged> {
    let keys: Vec<_> = (0..5).map(|number| x_wing(100 + number)).collect();
    let tree: Tree = (0..).zip(&keys).map(|(index, key)| leaf(index, key)).collect();
    let good = Fields::from([
        ("v", number(1)),
        ("did", word(&did(&genesis()))),
        ("su", number(1)),
        ("n", number(5)),
        ("root", bytes(&tree.head().root)),
        ("nb", number(NOW.as_u64())),
        ("exp", number(NOW.as_u64() + 7 * DAY_MS)),
    ]);
    let served = |index: u64, key: &[u8]| {
        let proof = tree.inclusion_proof(index, 5).unwrap();
        let proof = array(proof.iter().map(|hash| bytes(hash)));
        map([("i", number(index)), ("k", bytes(key)), ("p", proof)]).to_cbor_data()
    };
    let answer = |root: &Fields, signer: u8, keys: &[Vec<u8>]| {
        let root = signed(root, Domain::PrekeyStock, &[signer]);
        map([("r", bytes(&root)), ("k", array(keys.iter().map(|key| bytes(key))))]).to_cbor_data()
    };
    let of =
        |name, record, verdict| Judged { record, ..of(name, "stock", Domain::PrekeyStock, &good, verdict) };
    let two = [served(0, &keys[0]), served(4, &keys[4])];
    let with = |change| answer(&changed(&good, [change]), 1, &two);
    let late = Judged {
        now: NOW.saturating_add_ms(8 * DAY_MS),
        ..of("an old stock", answer(&good, 1, &two), "Expired")
    };
    vec![
        of("two keys of a stock of five", answer(&good, 1, &two), ACCEPTED),
        of("a stock that is sold out", answer(&good, 1, &[]), ACCEPTED),
        of("a stock signed by a stranger", answer(&good, 9, &two), BAD_SIGNATURE),
        of("a planted key", answer(&good, 1, &[served(2, &keys[3])]), "OutOfBounds(\"p\")"),
        of("one key twice", answer(&good, 1, &[two[0].clone(), two[0].clone()]), "OutOfBounds(\"k\")"),
        of("33 keys", answer(&good, 1, &vec![two[0].clone(); 33]), "Malformed(Wrong(\"k\"))"),
        of("another size of the stock", with(("n", number(6))), "OutOfBounds(\"p\")"),
        of("a stock of 257", with(("n", number(257))), "OutOfBounds(\"n\")"),
        of("a stock of none", with(("n", number(0))), "OutOfBounds(\"n\")"),
        of("a root of 31 octets", with(("root", bytes(&[1; 31]))), "Malformed(Wrong(\"root\"))"),
        late,
    ]
}

/// What a verified manifest says at `now`, as the vectors write it.
fn resolved(devices: &Devices, now: UnixMillis) -> Value {
    let device = |device: &dccp::did::Device| {
        json!({
            "id": device.id,
            "key_id": device.signing.key_id().to_string(),
            "fn_dsa": device.signing.falcon().is_some(),
            "kem_key_id": device.kem.key_id().to_string(),
            "held_by": device.held_by.as_str(),
            "counts": device.is_valid_at(now),
        })
    };
    json!({
        "epoch": devices.epoch(),
        "suites": devices.suites().iter().map(|suite| suite.id()).collect::<Vec<_>>(),
        "devices": devices.iter().map(device).collect::<Vec<_>>(),
    })
}

/// The verdict on a record beside a log, and what it says if it is accepted.
fn verdict(kind: &str, log: &[u8], record: &[u8], now: UnixMillis) -> (String, Value) {
    let document = Log::from_bytes(log).unwrap().verify().unwrap();
    let verified: Result<Value, RecordError> = match kind {
        "manifest" => Manifest::from_bytes(record)
            .and_then(|manifest| manifest.verify(&document, now))
            .map(|devices| resolved(&devices, now)),
        "prekey" => Prekey::verify(record, &document, now)
            .map(|prekey| json!({ "epoch": prekey.epoch, "key_id": prekey.key_id.to_string() })),
        "stock" => Stock::from_bytes(record)
            .and_then(|stock| stock.verify(&document, now))
            .map(|keys| json!(keys.iter().map(|key| key.key_id.to_string()).collect::<Vec<_>>())),
        kind => panic!("{kind}"),
    };
    match verified {
        Ok(says) => (ACCEPTED.to_owned(), says),
        Err(error) => (format!("{error:?}"), Value::Null),
    }
}

#[test]
fn every_record_is_judged_as_its_vector_says() {
    let file = read("manifests");
    let mut names = BTreeSet::new();
    for vector in items(&file, "records") {
        let (kind, now) = (text(&vector["kind"]), UnixMillis(vector["now"].as_u64().unwrap()));
        let judged =
            verdict(kind, &octets(&file["logs"][text(&vector["log"])]), &octets(&vector["record"]), now);
        assert_eq!(judged.0, text(&vector["verdict"]), "{}", vector["name"]);
        assert_eq!(judged.1, vector["says"], "{}", vector["name"]);
        assert!(names.insert(text(&vector["name"])), "{} twice", vector["name"]);
    }
}

#[test]
fn the_recorded_vectors_are_those_that_are_made() {
    let file = read("manifests");
    let recorded: Vec<_> = items(&file, "records")
        .iter()
        .map(|vector| (text(&vector["name"]), text(&vector["verdict"])))
        .collect();
    let made = all();
    assert_eq!(recorded, made.iter().map(|made| (made.name, made.verdict)).collect::<Vec<_>>());
}

#[test]
#[ignore = "writes the vectors anew"]
fn record_the_vectors() {
    let logs = json!({
        "one operator": base64(&log(&[genesis()])),
        "two of three operators": base64(&log(&[quorum()])),
    });
    let records = all().into_iter().map(|made| {
        let (judged, says) = verdict(made.kind, &octets(&logs[made.log]), &made.record, made.now);
        assert_eq!(judged, made.verdict, "{}", made.name);
        json!({
            "name": made.name,
            "kind": made.kind,
            "now": made.now.as_u64(),
            "verdict": made.verdict,
            "says": says,
            "log": made.log,
            "record": base64(&made.record),
        })
    });
    let records: Vec<_> = records.collect();
    write("manifests", &json!({ "logs": logs, "records": records }));
}
