//! Logs that verify, and how they relate to each other.

use dcbor::CBOR;

use crate::forge::{
    self, Fields, Operation, array, auth, bytes, deactivate_fields, did, genesis, genesis_fields, log, rank,
    rotate_fields, service, text, update_fields,
};

type Forged = Vec<Operation>;

pub(crate) fn updated(mut log: Forged, epoch: u64, operator: u8) -> Forged {
    log.push(Operation::of(&update_fields(&log, epoch), &[operator]));
    log
}

pub(crate) fn rotated(mut log: Forged, revealed: u8, next: u8, operator: u8) -> Forged {
    log.push(Operation::of(&rotate_fields(&log, revealed, next, operator), &[revealed, operator]));
    log
}

pub(crate) fn deactivated(mut log: Forged, revealed: u8) -> Forged {
    log.push(Operation::of(&deactivate_fields(&log, &[revealed]), &[revealed]));
    log
}

/// Operators 1 to 3, of whom two; recovery keys 4 to 6, of whom two.
pub(crate) fn quorums() -> Fields {
    let mut fields = genesis_fields();
    fields.insert("auth", auth(rank(&[], &[4, 5, 6], 2), rank(&[1, 2, 3], &[], 2)));
    fields
}

/// A person with operator 1 and recovery keys 2 and 3.
pub(crate) fn person(custody: &str, org: Option<&str>) -> Fields {
    let mut fields = genesis_fields();
    let recovery = if custody == "joint" { rank(&[], &[2, 3], 2) } else { rank(&[], &[2], 1) };
    fields.extend([("auth", auth(recovery, rank(&[1], &[], 1))), ("custody", text(custody))]);
    fields.extend([("svc", array([])), ("aka", array([bytes(&[0xaa; 32])]))]);
    fields.extend(org.map(|org| ("org", text(org))));
    fields
}

fn everything() -> Fields {
    let organisation = did(&genesis());
    let mut fields = genesis_fields();
    let services = [
        service("domain", "acme.example"),
        service("domain", "acme.test"),
        service("inbox", "https://gw.acme.example/inbox"),
        service("priority", "dccp:priority"),
        service("agent-service", "https://agents.acme.example/"),
    ];
    fields.extend([
        ("svc", array(services)),
        ("aka", array([bytes(&[0xbb; 32]), bytes(&[0xaa; 32])])),
        ("wit", array([text(&organisation)])),
        ("dm", CBOR::from(7)),
    ]);
    fields
}

fn rotation_of_quorums() -> Forged {
    let mut log = vec![Operation::of(&quorums(), &[1, 3])];
    let mut fields = rotate_fields(&log, 4, 7, 8);
    fields.insert("auth", auth(rank(&[6, 4], &[5, 7, 8], 3), rank(&[11, 12], &[], 1)));
    log.push(Operation::of(&fields, &[4, 6, 11, 12]));
    log
}

fn leaver() -> Forged {
    let organisation = did(&genesis());
    let mut log = vec![Operation::of(&person("joint", Some(&organisation)), &[1])];
    let mut fields = rotate_fields(&log, 2, 5, 6);
    fields.insert("auth", auth(rank(&[2, 3], &[5], 1), rank(&[6], &[], 1)));
    fields.insert("svc", array([]));
    log.push(Operation::of(&fields, &[2, 3, 6]));
    log
}

/// Logs that verify.
pub(crate) fn valid() -> Vec<(&'static str, Vec<u8>)> {
    let genesis = || vec![genesis()];
    let organisation = did(&forge::genesis());
    let person = |custody, org| vec![Operation::of(&person(custody, org), &[1])];
    let ten = |log| (2..=8).fold(log, |log, epoch| updated(log, epoch, 1));
    let logs = [
        ("an organisation", genesis()),
        ("a person in the custody of the organisation", person("org", Some(&organisation))),
        ("a person on its own", person("self", None)),
        (
            "a person who holds the recovery key and lets an organisation operate",
            person("self", Some(&organisation)),
        ),
        ("every kind of service, aliases, a witness", vec![Operation::of(&everything(), &[1])]),
        ("two of three operators, signed by two", vec![Operation::of(&quorums(), &[1, 3])]),
        ("two of three operators, signed by all", vec![Operation::of(&quorums(), &[1, 2, 3])]),
        ("an update", updated(genesis(), 2, 1)),
        ("a rotation", rotated(genesis(), 2, 3, 4)),
        ("a rotation that keeps the operator", rotated(genesis(), 2, 3, 1)),
        ("a rotation with thresholds that keeps an unrevealed recovery key", rotation_of_quorums()),
        ("an update after a rotation", updated(rotated(genesis(), 2, 3, 4), 11, 4)),
        ("an employee in joint custody who left", leaver()),
        ("a deactivation", deactivated(genesis(), 2)),
        ("a deactivation after a rotation", deactivated(rotated(genesis(), 2, 3, 4), 3)),
        ("ten operations", rotated(rotated(ten(genesis()), 2, 3, 4), 3, 5, 6)),
    ];
    logs.into_iter().map(|(name, operations)| (name, log(&operations))).collect()
}

/// Pairs of logs of one DID, and what follows for whoever holds the first and meets the second.
pub(crate) fn forks() -> Vec<(&'static str, &'static str, Vec<u8>, Vec<u8>)> {
    let genesis = || vec![genesis()];
    let (one, other) = (updated(genesis(), 2, 1), updated(genesis(), 3, 1));
    let thief = updated(updated(genesis(), 5, 1), 6, 1);
    let owner = rotated(genesis(), 2, 3, 4);
    let pairs = [
        ("the same", "Same", one.clone(), one.clone()),
        ("a beginning", "Older", one.clone(), genesis()),
        ("a continuation", "Newer", genesis(), one.clone()),
        ("another DID", "Unrelated", genesis(), vec![Operation::of(&person("self", None), &[1])]),
        (
            "the owner's rotation meets the thief's updates",
            "Supersedes { at_seq: 1 }",
            owner.clone(),
            thief.clone(),
        ),
        ("the thief's updates meet the owner's rotation", "Superseded { at_seq: 1 }", thief, owner.clone()),
        (
            "a rotation after the fork outweighs updates, too",
            "Supersedes { at_seq: 1 }",
            rotated(one.clone(), 2, 3, 4),
            other.clone(),
        ),
        (
            "a deactivation outweighs updates",
            "Superseded { at_seq: 1 }",
            one.clone(),
            deactivated(genesis(), 2),
        ),
        ("two updates", "Duplicity { at_seq: 1 }", one.clone(), other),
        ("two rotations", "Duplicity { at_seq: 1 }", owner.clone(), rotated(genesis(), 2, 5, 6)),
        (
            "two branches with a rotation each",
            "Duplicity { at_seq: 1 }",
            rotated(one, 2, 3, 4),
            owner.clone(),
        ),
        ("a rotation and a deactivation", "Duplicity { at_seq: 1 }", owner, deactivated(genesis(), 2)),
    ];
    pairs
        .into_iter()
        .map(|(name, comparison, ours, theirs)| (name, comparison, log(&ours), log(&theirs)))
        .collect()
}
