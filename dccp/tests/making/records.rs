//! Node records, heads and bundles, beside the log that they are judged with.

use dcbor::CBOR;
use dccp::UnixMillis;
use dccp::did::{Head, HeadNode, Log};
use dccp::keys::Domain;
use dccp::node::NodeRecord;
use dccp::partner::PartnerFile;
use dccp::tree::{TreeHead, leaf_hash};

use super::logs::{deactivated, person, quorums, rotated, updated};
use crate::common::{DAY_MS, NOW, Organisation};
use crate::forge::{Fields, Operation, array, bytes, did, genesis, key, log, map, text};

/// A record, the log beside it, and what to say about it.
pub(crate) struct Judged {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) log: Vec<u8>,
    pub(crate) record: Vec<u8>,
    pub(crate) now: UnixMillis,
    pub(crate) verdict: &'static str,
}

const ACCEPTED: &str = "accepted";
/// A tree that somebody has.
const TREE: TreeHead = TreeHead { size: 3, root: [3; 32] };
const BAD_SIGNATURE: &str = "BadSignature(BadSignature)";

/// All of them.
pub(crate) fn all() -> Vec<Judged> {
    [nodes(), heads(), bundles()].into_iter().flatten().collect()
}

fn node_fields(did: &str) -> Fields {
    Fields::from([
        ("v", CBOR::from(1)),
        ("did", text(did)),
        ("peer", bytes(&[0, 36, 8, 1, 18, 32])),
        ("addr", array([text("/dns/gw.acme.example/udp/4433/quic-v1")])),
        ("nb", CBOR::from(NOW.as_u64())),
        ("exp", CBOR::from(NOW.as_u64() + 30 * DAY_MS)),
    ])
}

/// A record of these fields, signed by these keys.
fn signed(fields: &Fields, domain: Domain, signers: &[u8]) -> Vec<u8> {
    Operation::of_bytes(map(fields.clone()).to_cbor_data(), domain, signers).to_cbor().to_cbor_data()
}

fn nodes() -> Vec<Judged> {
    let organisation = vec![genesis()];
    let quorum = vec![Operation::of(&quorums(), &[1, 2])];
    let of = |name, operations: &[Operation], change: &[(&'static str, CBOR)], signers: &[u8], verdict| {
        let mut fields = node_fields(&did(&operations[0]));
        fields.extend(change.iter().cloned());
        let record = signed(&fields, Domain::NodeRecord, signers);
        Judged { name, kind: "node", log: log(operations), record, now: NOW, verdict }
    };
    let at = |now: u64, judged: Judged| Judged { now: UnixMillis(now), ..judged };
    let other = text(&did(&quorum[0]));
    let addresses = array((0..17).map(|_| text("/memory/1")));
    let mut wrong_purpose = of("node record signed as a prekey", &organisation, &[], &[1], BAD_SIGNATURE);
    wrong_purpose.record = signed(&node_fields(&did(&organisation[0])), Domain::Prekey, &[1]);
    let late = NOW.as_u64() + 31 * DAY_MS;
    vec![
        of("a node record", &organisation, &[], &[1], ACCEPTED),
        of("a node record by any one of three operators", &quorum, &[], &[3], ACCEPTED),
        of("a node record by two operators", &quorum, &[], &[1, 3], ACCEPTED),
        of("a node record by a stranger", &organisation, &[], &[9], BAD_SIGNATURE),
        of("a node record by an operator and a stranger", &organisation, &[], &[1, 9], BAD_SIGNATURE),
        of("a node record by the recovery key", &organisation, &[], &[2], BAD_SIGNATURE),
        of(
            "a node record by a former operator",
            &rotated(organisation.clone(), 2, 3, 4),
            &[],
            &[1],
            BAD_SIGNATURE,
        ),
        of(
            "a node record of a deactivated DID",
            &deactivated(organisation.clone(), 2),
            &[],
            &[1],
            BAD_SIGNATURE,
        ),
        of("a node record of another DID", &organisation, &[("did", other)], &[1], "OtherDid"),
        of(
            "a node record of version 2",
            &organisation,
            &[("v", CBOR::from(2))],
            &[1],
            "UnsupportedVersion(2)",
        ),
        of(
            "a node record with an unknown field",
            &organisation,
            &[("zz", CBOR::from(1))],
            &[1],
            "Malformed(Unknown(\"zz\"))",
        ),
        of(
            "a node record with 17 addresses",
            &organisation,
            &[("addr", addresses)],
            &[1],
            "Malformed(Wrong(\"addr\"))",
        ),
        of(
            "a node record with a blank in an address",
            &organisation,
            &[("addr", array([text("/a b")]))],
            &[1],
            "OutOfBounds(\"addr\")",
        ),
        of(
            "a node record without a peer",
            &organisation,
            &[("peer", bytes(&[]))],
            &[1],
            "OutOfBounds(\"peer\")",
        ),
        at(late, of("an expired node record", &organisation, &[], &[1], "Expired")),
        at(0, of("a node record of the future", &organisation, &[], &[1], "NotYetValid")),
        wrong_purpose,
    ]
}

fn heads() -> Vec<Judged> {
    let at = |operations: &[Operation], signer: u8| {
        let document = Log::from_bytes(&log(operations)).unwrap().verify().unwrap();
        let node = HeadNode { peer_id: vec![0, 36, 8, 1], addresses: vec!["/ip4/192.0.2.1/tcp/4433".into()] };
        let times = (NOW, NOW.saturating_add_ms(DAY_MS));
        Head::of(&document, 1, TREE, vec![node], times).sign(&key(signer)).unwrap()
    };
    let old = vec![genesis()];
    let new = updated(old.clone(), 2, 1);
    let recovered = rotated(old.clone(), 2, 3, 4);
    let judged = |name, operations: &[Operation], record, verdict| Judged {
        name,
        kind: "head",
        log: log(operations),
        record,
        now: NOW,
        verdict,
    };
    vec![
        judged("a head", &new, at(&new, 1), ACCEPTED),
        judged("a head after a rotation", &recovered, at(&recovered, 4), ACCEPTED),
        judged("a head of an earlier state", &new, at(&old, 1), "Behind"),
        judged("a head of a later state", &old, at(&new, 1), "Ahead"),
        judged("a head of another branch", &new, at(&updated(old.clone(), 3, 1), 1), "Ahead"),
        judged("a head by a stranger", &new, at(&new, 9), BAD_SIGNATURE),
        judged("a thief's head beside the recovered log", &recovered, at(&new, 1), BAD_SIGNATURE),
        judged(
            "a head of another DID",
            &[Operation::of(&person("self", None), &[1])],
            at(&new, 1),
            "OtherDid",
        ),
        Judged { now: UnixMillis(0), ..judged("a head of the future", &new, at(&new, 1), "NotYetValid") },
    ]
    .into_iter()
    .chain(heads_by_hand())
    .collect()
}

/// What only hands make: heads whose tree or time is not one.
fn heads_by_hand() -> Vec<Judged> {
    let organisation = vec![genesis()];
    let of = |name, change: &[(&'static str, CBOR)], verdict| {
        let mut fields = head_fields(&organisation[0]);
        fields.extend(change.iter().cloned());
        let record = signed(&fields, Domain::Head, &[1]);
        Judged { name, kind: "head", log: log(&organisation), record, now: NOW, verdict }
    };
    let tree = |size: u64, root: &[u8]| ("tree", map([("size", CBOR::from(size)), ("root", bytes(root))]));
    let until = |ms: u64| ("exp", CBOR::from(NOW.as_u64() + ms));
    let mut treeless = of("a head without a tree", &[], "Malformed(Missing(\"tree\"))");
    let mut fields = head_fields(&organisation[0]);
    fields.remove("tree");
    treeless.record = signed(&fields, Domain::Head, &[1]);
    vec![
        of("a head of who binds nobody", &[], ACCEPTED),
        of("a head with a tree of one binding", &[tree(1, &leaf_hash(b"a binding"))], ACCEPTED),
        treeless,
        of("a head whose empty tree has entries", &[tree(0, &[7; 32])], "OutOfBounds(\"tree\")"),
        of("a head with half a root", &[tree(1, &[7; 16])], "Malformed(Wrong(\"root\"))"),
        of("a head that counts for eight days", &[until(8 * DAY_MS)], ACCEPTED),
        of("a head that counts for longer", &[until(8 * DAY_MS + 1)], "OutOfBounds(\"exp\")"),
        of("a head that never counts", &[until(0)], "OutOfBounds(\"exp\")"),
    ]
}

fn head_fields(genesis: &Operation) -> Fields {
    let tree = map([("size", CBOR::from(0)), ("root", bytes(&TreeHead::EMPTY.root))]);
    Fields::from([
        ("v", CBOR::from(1)),
        ("did", text(&did(genesis))),
        ("rot", CBOR::from(0)),
        ("seq", CBOR::from(0)),
        ("head", bytes(&genesis.hash())),
        ("ep", CBOR::from(1)),
        ("tree", tree),
        ("nodes", array([])),
        ("nb", CBOR::from(NOW.as_u64())),
        ("exp", CBOR::from(NOW.as_u64() + DAY_MS)),
    ])
}

fn bundles() -> Vec<Judged> {
    let (acme, globex) = (Organisation::acme(), Organisation::globex());
    let judged = |name, bundle: PartnerFile, verdict| {
        let (log, record) = (bundle.log.to_bytes(), bundle.to_bytes());
        Judged { name, kind: "bundle", log, record, now: NOW, verdict }
    };
    let bundle = || acme.partner_file();
    let foreign_node = NodeRecord { did: acme.did(), ..globex.node(30) }.sign(&globex.operator).unwrap();
    let recovery = dccp::keys::SigningKey::from_seed(&[11; 64]);
    let ended = acme.log.deactivate(&[&recovery]).unwrap();
    let mut trailing = judged("a bundle with an octet too many", bundle(), "Malformed(Trailing)");
    trailing.record.push(0);
    vec![
        judged("a bundle", bundle(), ACCEPTED),
        judged("a bundle without nodes", PartnerFile { nodes: Vec::new(), ..bundle() }, ACCEPTED),
        judged("a bundle of a deactivated DID", PartnerFile { log: ended, ..bundle() }, ACCEPTED),
        judged(
            "a bundle with a foreign manifest",
            PartnerFile { manifest: globex.manifest(), ..bundle() },
            "Manifest(BadSignature(BadSignature))",
        ),
        judged(
            "a bundle with a foreign node",
            PartnerFile { nodes: vec![foreign_node], ..bundle() },
            "Node(BadSignature(BadSignature))",
        ),
        trailing,
    ]
}
