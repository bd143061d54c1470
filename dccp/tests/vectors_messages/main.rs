//! `vectors/primitives.json`, `bodies.json`, `sealed.json`, `receipts.json` and `manifests.json`: what another implementation must
//! open and verify, and what it must refuse and why.
//!
//! The files are recorded: encapsulation, ML-DSA and FN-DSA draw randomness that nobody can give them, so the
//! generator never writes the same bytes twice. After a change of bytes:
//! `cargo test -p dccp --test vectors_messages -- --ignored`.

mod beside;
mod bodies;
#[path = "../common/mod.rs"]
mod common;
mod envelope;
#[path = "../forge/mod.rs"]
mod forge;
mod manifests;
mod primitives;
mod receipts;
mod scene;
mod sealed;
mod spoiled;

use data_encoding::BASE64;
use serde_json::Value;

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

/// Octets are base64 in the files.
fn octets(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    octets(value).try_into().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Suites are numbers in the files.
fn suite(value: &Value) -> dccp::Suite {
    u32::try_from(value.as_u64().unwrap()).unwrap().try_into().unwrap()
}
