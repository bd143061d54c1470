//! `receipts.json`: encoding is deterministic, so the vectors are checked in both directions.

use dccp::UnixMillis;
use dccp::receipt::{self, Action, Outcome, Receipt};
use serde_json::{Value, json};
use uuid::Uuid;

use super::envelope::{Field, Fields, encode, octets as field, with};
use super::{array, base64, items, octets, read, text, write};

fn outcome(recipient: &str, action: Action, status: &str, diagnostic: &str) -> Outcome {
    let [recipient, status, diagnostic] = [recipient, status, diagnostic].map(str::to_owned);
    Outcome { recipient, action, status, diagnostic }
}

fn receipt(message_id: u128, outcomes: Vec<Outcome>) -> Receipt {
    let message_id = Uuid::from_u128(message_id);
    Receipt { message_id, digest: [3; 32], time: UnixMillis(1_800_000_000_000), outcomes }
}

fn valid() -> Vec<(&'static str, Vec<Receipt>)> {
    let id = 0x0190_c0de_0000_7000_8000_0000_0000_0001;
    let delivered = outcome("bob@globex.example", Action::Delivered, "2.1.5", "250 2.1.5 ok");
    let failed = outcome("eve@globex.example", Action::Failed, "5.1.1", "");
    let delayed = outcome("böb@globex.example", Action::Delayed, "4.4.1", "no answer");
    let unopened = outcome("", Action::Failed, "5.7.5", "no such key");
    vec![
        ("no receipts", vec![]),
        ("one outcome", vec![receipt(id, vec![delivered.clone()])]),
        ("three outcomes", vec![receipt(id, vec![delivered, failed, delayed])]),
        ("a message that could not be opened", vec![receipt(0, vec![unopened])]),
        ("two receipts", vec![receipt(id, vec![]), receipt(id + 1, vec![])]),
    ]
}

fn invalid() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let number = Field::Number;
    let outcome: Fields =
        vec![(1, field("bob@globex.example")), (2, number(1)), (3, field("2.1.5")), (4, field("250 ok"))];
    let receipt: Fields = vec![
        (1, field([1; 16])),
        (2, field([3; 32])),
        (3, number(1_800_000_000_000)),
        (4, field(encode(&outcome))),
    ];
    let batch = |receipt: Fields| encode(&vec![(1, field(encode(&receipt)))]);
    let with_outcome =
        |at, value: Field| batch(with(&receipt, 4, Some(field(encode(&with(&outcome, at, Some(value)))))));
    let with_receipt = |at, value: Field| batch(with(&receipt, at, Some(value)));
    let malformed = "Malformed(Malformed)";
    vec![
        ("cut short", malformed, batch(receipt.clone())[..20].to_vec()),
        ("an unknown field beside the receipts", malformed, encode(&vec![(2, field("x"))])),
        ("an unknown field in a receipt", malformed, with_receipt(5, number(1))),
        ("a message id of 15 octets", "OutOfBounds(\"message_id\")", with_receipt(1, field([1; 15]))),
        ("a digest of 31 octets", "OutOfBounds(\"digest\")", with_receipt(2, field([1; 31]))),
        ("a time before 1970", "OutOfBounds(\"time\")", with_receipt(3, number(u64::MAX))),
        (
            "action 0",
            "OutOfBounds(\"action\")",
            batch(with(&receipt, 4, Some(field(encode(&with(&outcome, 2, None)))))),
        ),
        ("action 4", "OutOfBounds(\"action\")", with_outcome(2, number(4))),
        ("a status of class 3", "OutOfBounds(\"status\")", with_outcome(3, field("3.1.5"))),
        ("a status of two parts", "OutOfBounds(\"status\")", with_outcome(3, field("2.1"))),
        ("a recipient of two lines", "OutOfBounds(\"recipient\")", with_outcome(1, field("a\nb"))),
        (
            "a diagnostic with a control character",
            "OutOfBounds(\"diagnostic\")",
            with_outcome(4, field("\u{1b}[31m")),
        ),
        (
            "a diagnostic of 1025 octets",
            "OutOfBounds(\"diagnostic\")",
            with_outcome(4, field("x".repeat(1025))),
        ),
        ("257 receipts", malformed, encode(&vec![(1, field(encode(&receipt))); 257])),
    ]
}

fn to_json(receipt: &Receipt) -> Value {
    let outcome = |outcome: &Outcome| {
        json!({
            "recipient": outcome.recipient,
            "action": outcome.action as u32,
            "status": outcome.status,
            "diagnostic": outcome.diagnostic,
        })
    };
    json!({
        "message_id": base64(receipt.message_id.as_bytes()),
        "digest": base64(&receipt.digest),
        "time": receipt.time.as_u64(),
        "outcomes": receipt.outcomes.iter().map(outcome).collect::<Vec<_>>(),
    })
}

fn from_json(json: &Value) -> Receipt {
    let action = |number: &Value| match number.as_u64() {
        Some(1) => Action::Delivered,
        Some(2) => Action::Failed,
        _ => Action::Delayed,
    };
    let outcome = |json: &Value| {
        outcome(
            text(&json["recipient"]),
            action(&json["action"]),
            text(&json["status"]),
            text(&json["diagnostic"]),
        )
    };
    Receipt {
        message_id: Uuid::from_bytes(array(&json["message_id"])),
        digest: array(&json["digest"]),
        time: UnixMillis(json["time"].as_u64().unwrap()),
        outcomes: items(json, "outcomes").iter().map(outcome).collect(),
    }
}

#[test]
fn every_valid_batch_of_receipts_reads_and_writes_as_its_vector_says() {
    let file = read("receipts");
    assert_eq!(items(&file, "valid").len(), valid().len());
    for vector in items(&file, "valid") {
        let receipts: Vec<_> = items(vector, "receipts").iter().map(from_json).collect();
        let payload = octets(&vector["payload"]);
        assert_eq!(receipt::decode(&payload).as_ref(), Ok(&receipts), "{}", vector["name"]);
        assert_eq!(receipt::encode(&receipts), payload, "{}", vector["name"]);
    }
}

#[test]
fn every_invalid_batch_of_receipts_is_refused_for_its_reason() {
    let file = read("receipts");
    assert_eq!(items(&file, "invalid").len(), invalid().len());
    for vector in items(&file, "invalid") {
        let refused = receipt::decode(&octets(&vector["payload"])).expect_err(text(&vector["name"]));
        assert_eq!(format!("{refused:?}"), text(&vector["error"]), "{}", vector["name"]);
    }
}

#[test]
#[ignore = "writes the vectors anew"]
fn record_the_vectors() {
    let valid = valid().into_iter().map(|(name, receipts)| {
        json!({
            "name": name,
            "receipts": receipts.iter().map(to_json).collect::<Vec<_>>(),
            "payload": base64(&receipt::encode(&receipts)),
        })
    });
    let invalid = invalid().into_iter().map(|(name, error, payload)| {
        assert_eq!(format!("{:?}", receipt::decode(&payload).expect_err(name)), error, "{name}");
        json!({ "name": name, "error": error, "payload": base64(&payload) })
    });
    let [valid, invalid] = [valid.collect::<Vec<_>>(), invalid.collect::<Vec<_>>()];
    write("receipts", &json!({ "valid": valid, "invalid": invalid }));
}
