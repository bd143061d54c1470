//! Geneses that contradict themselves, and who may sign.

use dcbor::CBOR;
use dccp::keys::Domain;

use super::{Invalid, invalid, of, with};
use crate::forge::{
    Operation, array, auth, bytes, did, genesis, genesis_fields, log, map, public, rank, service, text,
};
use crate::making::logs::{person, quorums};

pub(super) fn subjects() -> Vec<Invalid> {
    let services = |services: &[CBOR]| with([("svc", array(services.to_vec()))]);
    let domain = |name| service("domain", name);
    let organisation = did(&genesis());
    let witnesses = array((0..9).map(|_| text(&organisation)));
    let twice = |value: CBOR| array([value.clone(), value]);
    vec![
        invalid(
            "unknown custody",
            "org, joint or self",
            "Unsupported(\"custody\")",
            with([("custody", text("nobody"))]),
        ),
        invalid("no domain", "an organisation speaks for one at least", "Domains", services(&[])),
        invalid(
            "upper-case domain",
            "a domain has one spelling",
            "Domains",
            services(&[domain("A.example")]),
        ),
        invalid(
            "domain twice",
            "each domain once",
            "Domains",
            services(&[domain("a.example"), domain("a.example")]),
        ),
        invalid(
            "a person's domain",
            "addresses belong to domains, not to people",
            "Domains",
            of(person("self", None), [("svc", array([domain("a.example")]))]),
        ),
        invalid(
            "joint custody with nobody",
            "joint custody names an organisation",
            "Org",
            of(person("joint", None), []),
        ),
        invalid(
            "org is no DID",
            "`org` is a DID",
            "Malformed(Wrong(\"org\"))",
            of(person("org", Some("did:web:acme.example")), []),
        ),
        invalid(
            "unknown service",
            "kinds of services are known by name",
            "Unsupported(\"svc\")",
            services(&[domain("a.example"), service("fax", "tel:1")]),
        ),
        invalid(
            "endpoint twice",
            "each endpoint once",
            "Endpoints",
            services(&[domain("a.example"), service("inbox", "a:b"), service("inbox", "a:c")]),
        ),
        invalid(
            "endpoint is no URI",
            "a scheme and a colon",
            "Endpoints",
            services(&[domain("a.example"), service("inbox", "gw.a.example")]),
        ),
        invalid("alias twice", "each alias once", "Repeated", with([("aka", twice(bytes(&[1; 32])))])),
        invalid("short alias", "32 octets", "Malformed(Wrong(\"aka\"))", {
            with([("aka", array([bytes(&[1; 31])]))])
        }),
        invalid(
            "clear alias",
            "an address is never in clear",
            "Malformed(Wrong(\"aka\"))",
            with([("aka", array([text("ann@acme.example")]))]),
        ),
        invalid(
            "witness twice",
            "each witness once",
            "Repeated",
            with([("wit", twice(text(&organisation)))]),
        ),
        invalid("nine witnesses", "at most 8", "Malformed(Wrong(\"wit\"))", with([("wit", witnesses)])),
    ]
}

pub(super) fn authorities() -> Vec<Invalid> {
    let authority = |recovery, operators| with([("auth", auth(recovery, operators))]);
    let recovery = || rank(&[], &[2], 1);
    let operator = || rank(&[1], &[], 1);
    let operator_as = |key: CBOR| map([("k", array([key])), ("n", array([])), ("w", CBOR::from(1))]);
    let public_1 = public(1).try_into_byte_string().unwrap();
    let other_algorithm = [&[0, 2], &public_1[2..]].concat();
    let seventeen: Vec<u8> = (2..19).collect();
    vec![
        invalid(
            "threshold 0",
            "a threshold is at least 1",
            "Quorum",
            authority(recovery(), rank(&[1], &[], 0)),
        ),
        invalid("threshold out of reach", "2 of 1", "Quorum", authority(rank(&[], &[2], 2), operator())),
        invalid("no operators", "somebody must operate", "Quorum", authority(recovery(), rank(&[], &[], 1))),
        invalid("no recovery", "somebody must recover", "Quorum", authority(rank(&[], &[], 1), operator())),
        invalid("operator twice", "members differ", "Quorum", authority(recovery(), rank(&[1, 1], &[], 2))),
        invalid("commitment twice", "members differ", "Quorum", authority(rank(&[], &[2, 2], 2), operator())),
        invalid(
            "17 recovery keys",
            "at most 16",
            "Malformed(Wrong(\"n\"))",
            authority(rank(&[], &seventeen, 1), operator()),
        ),
        invalid(
            "next operators",
            "L1 is not pre-rotated",
            "Unsupported(\"auth\")",
            authority(recovery(), rank(&[1], &[3], 1)),
        ),
        invalid(
            "revealed at genesis",
            "nothing asked for the recovery key yet",
            "RevealedEarly",
            authority(rank(&[3], &[2], 1), operator()),
        ),
        invalid(
            "one key for both ranks",
            "an operator key would show the recovery key",
            "KeyInTwoRanks",
            authority(rank(&[], &[1], 1), operator()),
        ),
        invalid(
            "operator of another algorithm",
            "algorithm id 2 is unknown",
            "BadKey(BadKey)",
            authority(recovery(), operator_as(bytes(&other_algorithm))),
        ),
        invalid(
            "short operator key",
            "1986 octets",
            "BadKey(BadKey)",
            authority(recovery(), operator_as(bytes(&public_1[..1985]))),
        ),
        invalid("short commitment", "32 octets", "Malformed(Wrong(\"n\"))", {
            let short = map([("k", array([])), ("n", array([bytes(&[1; 31])])), ("w", CBOR::from(1))]);
            authority(short, operator())
        }),
    ]
}

pub(super) fn signers() -> Vec<Invalid> {
    let half = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut operation = genesis();
        change(&mut operation.signatures[0].1);
        log(&[operation])
    };
    let body = || genesis().body;
    let mut later = genesis();
    let mut fields = genesis_fields();
    fields.insert("nb", CBOR::from(1_800_000_000_001_u64));
    later.body = map(fields).to_cbor_data();
    let manifest = Operation::of_bytes(body(), Domain::Manifest, &[1]);
    let mut renamed = Operation::of(&genesis_fields(), &[9]);
    renamed.signatures[0].0 = genesis().signatures[0].0.clone();
    vec![
        invalid(
            "signed by a stranger",
            "key 9 is no operator",
            "UnknownSigner",
            log(&[Operation::of(&genesis_fields(), &[9])]),
        ),
        invalid(
            "signed by a stranger, too",
            "nobody else signs",
            "UnknownSigner",
            log(&[Operation::of(&genesis_fields(), &[1, 9])]),
        ),
        invalid(
            "signed by the recovery key",
            "it is not revealed",
            "UnknownSigner",
            log(&[Operation::of(&genesis_fields(), &[2])]),
        ),
        invalid(
            "a stranger's signature under the operator's name",
            "it does not verify",
            "BadSignature(BadSignature)",
            log(&[renamed]),
        ),
        invalid(
            "Ed25519 good, ML-DSA-65 not",
            "both halves count",
            "BadSignature(BadSignature)",
            half(&|signature| signature[64..].fill(7)),
        ),
        invalid(
            "ML-DSA-65 good, Ed25519 not",
            "both halves count",
            "BadSignature(BadSignature)",
            half(&|signature| signature[..64].fill(7)),
        ),
        invalid(
            "signed as a manifest",
            "labels keep purposes apart",
            "BadSignature(BadSignature)",
            log(&[manifest]),
        ),
        invalid("body changed after signing", "`nb` is later", "BadSignature(BadSignature)", log(&[later])),
        invalid(
            "a signature stripped",
            "one of two operators",
            "ThresholdNotMet",
            log(&[Operation::of(&quorums(), &[3])]),
        ),
    ]
}
