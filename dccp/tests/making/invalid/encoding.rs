//! What is no log at all: octets, bodies, the list of signatures.

use dcbor::CBOR;

use super::{Invalid, invalid, with, with_body};
use crate::forge::{Operation, array, bytes, genesis, genesis_fields, log, map, service, text};
use crate::making::logs::quorums;

/// The fields of the genesis in an order of our own.
fn encoded_in_order(names: &[&'static str]) -> Vec<u8> {
    let fields = genesis_fields();
    let mut body = vec![0xa0 | names.len() as u8];
    for name in names {
        body.extend(text(name).to_cbor_data());
        body.extend(fields[name].to_cbor_data());
    }
    body
}

const CANONICAL: [&str; 11] = ["t", "v", "dm", "nb", "aka", "seq", "svc", "wit", "auth", "prev", "custody"];

pub(super) fn encodings() -> Vec<Invalid> {
    let good = log(&[genesis()]);
    let mut swapped = CANONICAL;
    swapped.swap(0, 1);
    let doubled = [&["t"], CANONICAL.as_slice()].concat();
    assert_eq!(with_body(encoded_in_order(&CANONICAL)).len(), good.len());
    let deep = [vec![0x81; 8], vec![0x00]].concat();
    let trailing = [good.as_slice(), &[0]].concat();
    let truncated = good[..good.len() - 1].to_vec();
    let long_head = [&[0x98, 0x01], &good[1..]].concat();
    let indefinite = [&[0x9f], &good[1..], &[0xff]].concat();
    vec![
        invalid("nothing", "no octets at all", "Malformed(Truncated)", Vec::new()),
        invalid("truncated", "the last octet is missing", "Malformed(Truncated)", truncated),
        invalid("trailing octet", "one octet after the end", "Malformed(Trailing)", trailing),
        invalid("not an array", "a log is an array", "Malformed(Wrong(\"log\"))", vec![0xa0]),
        invalid("empty log", "a log begins with a genesis", "Empty", vec![0x80]),
        invalid(
            "257 operations",
            "a log has at most 256",
            "TooManyOperations",
            array((0..257).map(|_| CBOR::from(0))).to_cbor_data(),
        ),
        invalid("long head", "a count not in its shortest form", "Malformed(NotShortest)", long_head),
        invalid("indefinite length", "lengths are definite", "Malformed(ForbiddenType(159))", indefinite),
        invalid("too deep", "nested deeper than 8 levels", "Malformed(TooComplex)", deep),
        invalid(
            "keys out of order",
            "`v` before `t`",
            "Malformed(KeyOrder)",
            with_body(encoded_in_order(&swapped)),
        ),
        invalid("key twice", "`t` twice", "Malformed(KeyOrder)", with_body(encoded_in_order(&doubled))),
        invalid("key is a number", "map keys are text", "Malformed(KeyType)", with_body(vec![0xa1, 0, 0])),
        invalid("body is no map", "a body is a map", "Malformed(Wrong(\"body\"))", with_body(vec![0x80])),
    ]
}

pub(super) fn bodies() -> Vec<Invalid> {
    let without = |name| {
        let mut fields = genesis_fields();
        fields.remove(name);
        log(&[Operation::of(&fields, &[1])])
    };
    let large = with([("zz", bytes(&[0; 16 * 1024]))]);
    vec![
        invalid(
            "a float",
            "floats are refused",
            "Malformed(ForbiddenType(249))",
            with([("nb", CBOR::from(1.5))]),
        ),
        invalid(
            "a negative number",
            "numbers are unsigned",
            "Malformed(ForbiddenType(32))",
            with([("nb", CBOR::from(-1))]),
        ),
        invalid(
            "null",
            "absent fields are left out",
            "Malformed(ForbiddenType(224))",
            with([("org", CBOR::null())]),
        ),
        invalid(
            "text beyond ASCII",
            "text is printable ASCII",
            "Malformed(Text)",
            with([("svc", array([service("domain", "ücme.example")]))]),
        ),
        invalid(
            "unknown field",
            "fields are never skipped",
            "Malformed(Unknown(\"zz\"))",
            with([("zz", CBOR::from(1))]),
        ),
        invalid("missing field", "`nb` is missing", "Malformed(Missing(\"nb\"))", without("nb")),
        invalid("wrong type", "`seq` is a text", "Malformed(Wrong(\"seq\"))", with([("seq", text("0"))])),
        invalid("large body", "a body has at most 16 KiB", "OperationTooLarge", large),
        invalid(
            "version 2",
            "only version 1 is known",
            "UnsupportedVersion(2)",
            with([("v", CBOR::from(2))]),
        ),
        invalid(
            "unknown operation",
            "four kinds are known",
            "UnsupportedOperation(\"migrate\")",
            with([("t", text("migrate"))]),
        ),
    ]
}

pub(super) fn signatures_beside() -> Vec<Invalid> {
    let changed = |change: &dyn Fn(&mut Operation)| {
        let mut operation = Operation::of(&quorums(), &[1, 3]);
        change(&mut operation);
        log(&[operation])
    };
    let extra_field = {
        let operation = map([("b", bytes(&genesis().body)), ("s", array([])), ("x", CBOR::from(1))]);
        array([operation]).to_cbor_data()
    };
    let many: Vec<u8> = (1..=17).collect();
    vec![
        invalid("field beside the body", "a record is {b, s}", "Malformed(Unknown(\"x\"))", extra_field),
        invalid(
            "no signatures",
            "at least one is needed",
            "Malformed(Wrong(\"s\"))",
            changed(&|operation| operation.signatures.clear()),
        ),
        invalid(
            "17 signatures",
            "at most 16",
            "Malformed(Wrong(\"s\"))",
            log(&[Operation::of(&quorums(), &many)]),
        ),
        invalid(
            "signatures out of order",
            "sorted by key id",
            "Malformed(Wrong(\"s\"))",
            changed(&|operation| operation.signatures.reverse()),
        ),
        invalid(
            "a signature twice",
            "none twice",
            "Malformed(Wrong(\"s\"))",
            changed(&|operation| operation.signatures[1] = operation.signatures[0].clone()),
        ),
        invalid(
            "a short signature",
            "3373 octets",
            "Malformed(Wrong(\"s\"))",
            changed(&|operation| operation.signatures[0].1.truncate(3372)),
        ),
        invalid(
            "a short key id",
            "16 octets",
            "Malformed(Wrong(\"k\"))",
            changed(&|operation| operation.signatures[0].0.truncate(15)),
        ),
    ]
}
