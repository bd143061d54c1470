//! `vectors/identifiers.json`, `vectors/logs.json` and `vectors/records.json`: what another implementation must
//! accept, and what it must refuse and why.
//!
//! The files are recorded: ML-DSA signatures are hedged, so the generator never writes the same bytes twice. After
//! a change of bytes: `cargo test -p dccp --test vectors_identities -- --ignored`.

mod common;
mod forge;
mod making;

use std::collections::BTreeSet;

use data_encoding::BASE64;
use dccp::did::{DidDocument, Head, Log, LogError};
use dccp::node::NodeRecord;
use dccp::partner::PartnerFile;
use dccp::{Did, UnixMillis};
use serde_json::{Value, json};

fn decoded(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn read(file: &str) -> Value {
    let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn write(file: &str, value: &Value) {
    let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}

fn items<'a>(file: &'a Value, list: &str) -> &'a [Value] {
    file[list].as_array().unwrap()
}

fn verified(log: &[u8]) -> Result<DidDocument, LogError> {
    Log::from_bytes(log)?.verify()
}

/// What a verified log resolves to, as the vectors write it.
fn resolved(document: &DidDocument) -> Value {
    let key_ids = document.operators().members.iter().map(|key| key.key_id().to_string());
    let commitments = document.recovery_commitments().members.iter().map(ToString::to_string);
    json!({
        "did": document.did().as_str(),
        "seq": document.seq(),
        "head": hex::encode(document.head_hash()),
        "era": hex::encode(document.era()),
        "rotations": document.rotations(),
        "deactivated": document.is_deactivated(),
        "custody": document.custody().as_str(),
        "org": document.org().map(Did::as_str),
        "domains": document.domains(),
        "aka": document.aka().iter().map(|aka| hex::encode(aka.as_bytes())).collect::<Vec<_>>(),
        "witnesses": document.witnesses().iter().map(Did::as_str).collect::<Vec<_>>(),
        "manifest_epoch_min": document.manifest_epoch_min(),
        "operators": { "key_ids": key_ids.collect::<Vec<_>>(), "threshold": document.operators().threshold },
        "recovery": {
            "commitments": commitments.collect::<Vec<_>>(),
            "threshold": document.recovery_commitments().threshold,
        },
    })
}

/// The verdict on a record beside a log, as the vectors write it.
fn verdict(vector: &Value) -> String {
    let (bytes, now) = (decoded(&vector["record"]), UnixMillis(vector["now"].as_u64().unwrap()));
    let document = || verified(&decoded(&vector["log"])).unwrap();
    let said = |result: Result<(), dccp::RecordError>| match result {
        Ok(()) => "accepted".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    match vector["kind"].as_str().unwrap() {
        "node" => said(NodeRecord::verify(&bytes, &document(), now).map(|_| ())),
        "head" => said(Head::verify(&bytes, &document(), now).map(|_| ())),
        "bundle" => match PartnerFile::from_bytes(&bytes).and_then(|bundle| bundle.verify(now)) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => format!("{error:?}"),
        },
        kind => panic!("{kind}"),
    }
}

#[test]
fn every_identifier_vector_holds() {
    let file = read("identifiers");
    assert!(items(&file, "valid").len() >= 3 && items(&file, "invalid").len() >= 10);
    for vector in items(&file, "valid") {
        let log = Log::from_bytes(&decoded(&vector["log"])).unwrap();
        assert_eq!(log.did().as_str(), vector["did"].as_str().unwrap());
        assert_eq!(vector["did"].as_str().unwrap().parse(), Ok(log.did()));
    }
    for vector in items(&file, "invalid") {
        let text = vector["did"].as_str().unwrap();
        assert!(text.parse::<Did>().is_err(), "{}: {text}", vector["why"]);
    }
}

#[test]
fn every_valid_log_resolves_to_what_its_vector_says() {
    let file = read("logs");
    assert!(items(&file, "valid").len() >= 6);
    for vector in items(&file, "valid") {
        let bytes = decoded(&vector["log"]);
        let log = Log::from_bytes(&bytes).unwrap();
        assert_eq!(resolved(&log.verify().unwrap()), vector["resolves_to"], "{}", vector["name"]);
        assert_eq!(log.to_bytes(), bytes, "{}", vector["name"]);
    }
}

#[test]
fn every_invalid_log_is_refused_for_the_reason_that_its_vector_gives() {
    let file = read("logs");
    assert!(items(&file, "invalid").len() >= 40);
    let mut names = BTreeSet::new();
    for vector in items(&file, "invalid") {
        let error = verified(&decoded(&vector["log"])).expect_err(vector["name"].as_str().unwrap());
        assert_eq!(format!("{error:?}"), vector["error"].as_str().unwrap(), "{}", vector["name"]);
        assert!(names.insert(vector["name"].as_str().unwrap()), "{} twice", vector["name"]);
        assert!(!vector["why"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_recorded_vectors_are_those_that_are_made() {
    let file = read("logs");
    let field = |name: &'static str| move |vector: &Value| vector[name].as_str().unwrap().to_owned();
    let recorded = |list, name| items(&file, list).iter().map(field(name)).collect::<Vec<_>>();
    let made = making::invalid::logs();
    assert_eq!(recorded("invalid", "name"), made.iter().map(|made| made.name).collect::<Vec<_>>());
    assert_eq!(recorded("invalid", "error"), made.iter().map(|made| made.error).collect::<Vec<_>>());
    let forks = making::logs::forks();
    assert_eq!(recorded("forks", "name"), forks.iter().map(|fork| fork.0).collect::<Vec<_>>());
    assert_eq!(recorded("forks", "comparison"), forks.iter().map(|fork| fork.1).collect::<Vec<_>>());
    let valid = making::logs::valid();
    assert_eq!(recorded("valid", "name"), valid.iter().map(|valid| valid.0).collect::<Vec<_>>());
    let (file, made) = (read("records"), making::records::all());
    let recorded = |name| items(&file, "records").iter().map(field(name)).collect::<Vec<_>>();
    assert_eq!(recorded("name"), made.iter().map(|made| made.name).collect::<Vec<_>>());
    assert_eq!(recorded("verdict"), made.iter().map(|made| made.verdict).collect::<Vec<_>>());
}

/// A reason that no vector shows is one that another implementation will get wrong.
#[test]
fn every_reason_to_refuse_a_log_has_a_vector() {
    let file = read("logs");
    let shown: BTreeSet<&str> = items(&file, "invalid")
        .iter()
        .map(|vector| vector["error"].as_str().unwrap().split('(').next().unwrap())
        .collect();
    let source = include_str!("../src/did/log.rs");
    let (_, variants) = source.split_once("pub enum LogError {").unwrap();
    let is_name = |line: &str| line.starts_with(|first: char| first.is_ascii_uppercase());
    let names = variants.lines().take_while(|line| *line != "}").map(str::trim).filter(|line| is_name(line));
    for name in names.map(|line| line.split(['(', ',']).next().unwrap()) {
        assert!(shown.contains(name), "{name}");
    }
}

#[test]
fn every_fork_is_judged_as_its_vector_says() {
    let file = read("logs");
    for vector in items(&file, "forks") {
        let [ours, theirs] = ["ours", "theirs"].map(|side| Log::from_bytes(&decoded(&vector[side])).unwrap());
        assert!(ours.verify().is_ok() && theirs.verify().is_ok(), "{}", vector["name"]);
        let comparison = format!("{:?}", ours.compare(&theirs));
        assert_eq!(comparison, vector["comparison"].as_str().unwrap(), "{}", vector["name"]);
    }
}

#[test]
fn every_record_is_judged_as_its_vector_says() {
    let file = read("records");
    assert!(items(&file, "records").len() >= 15);
    for vector in items(&file, "records") {
        assert_eq!(verdict(vector), vector["verdict"].as_str().unwrap(), "{}", vector["name"]);
    }
}

#[test]
#[ignore = "writes the vectors anew"]
fn record_the_vectors() {
    let encode = |bytes: &[u8]| BASE64.encode(bytes);
    let identifiers = making::identifiers::valid();
    let valid: Vec<_> = identifiers
        .iter()
        .map(|log| json!({ "did": Log::from_bytes(log).unwrap().did().as_str(), "log": encode(log) }))
        .collect();
    let did = valid[0]["did"].as_str().unwrap();
    let invalid = making::identifiers::invalid(did).into_iter();
    let invalid: Vec<_> = invalid.map(|(why, did)| json!({ "why": why, "did": did })).collect();
    write("identifiers", &json!({ "valid": valid, "invalid": invalid }));

    let valid = making::logs::valid().into_iter().map(|(name, log)| {
        json!({ "name": name, "resolves_to": resolved(&verified(&log).unwrap()), "log": encode(&log) })
    });
    let invalid = making::invalid::logs().into_iter().map(|made| {
        let error = verified(&made.log).expect_err(made.name);
        assert_eq!(format!("{error:?}"), made.error, "{}", made.name);
        json!({ "name": made.name, "why": made.why, "error": made.error, "log": encode(&made.log) })
    });
    let forks = making::logs::forks().into_iter().map(|(name, comparison, ours, theirs)| {
        json!({ "name": name, "comparison": comparison, "ours": encode(&ours), "theirs": encode(&theirs) })
    });
    let [valid, invalid, forks] =
        [valid.collect::<Vec<_>>(), invalid.collect::<Vec<_>>(), forks.collect::<Vec<_>>()];
    write("logs", &json!({ "valid": valid, "invalid": invalid, "forks": forks }));

    let records = making::records::all().into_iter().map(|made| {
        let (log, record) = (encode(&made.log), encode(&made.record));
        let vector = json!({
            "name": made.name,
            "kind": made.kind,
            "now": made.now.as_u64(),
            "verdict": made.verdict,
            "log": log,
            "record": record,
        });
        assert_eq!(verdict(&vector), made.verdict, "{}", made.name);
        vector
    });
    write("records", &json!({ "records": records.collect::<Vec<_>>() }));
}
