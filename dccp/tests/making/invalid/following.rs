//! Operations that must not follow.

use dcbor::CBOR;

use super::{Invalid, invalid, with};
use crate::forge::{
    Operation, array, auth, bytes, commitment, deactivate_fields, did, genesis, genesis_fields, log, map,
    public, rank, rotate_fields, text, update_fields,
};
use crate::making::logs::{deactivated, person, quorums, rotated, updated};

pub(super) fn chains() -> Vec<Invalid> {
    let genesis = || vec![genesis()];
    let three = updated(updated(genesis(), 2, 1), 3, 1);
    let second = |change: &[(&'static str, CBOR)]| {
        let mut operations = genesis();
        let mut fields = update_fields(&operations, 2);
        fields.extend(change.iter().cloned());
        operations.push(Operation::of(&fields, &[1]));
        log(&operations)
    };
    let of_signed = {
        let record = genesis()[0].to_cbor().to_cbor_data();
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &record).as_ref().to_vec()
    };
    let other = did(&Operation::of(&person("self", None), &[1]));
    vec![
        invalid("genesis with a number", "`seq` is 0", "Sequence", with([("seq", CBOR::from(1))])),
        invalid("genesis after something", "`prev` is empty", "BrokenChain", {
            with([("prev", bytes(&[0; 32]))])
        }),
        invalid("no genesis", "an update comes first", "MisplacedGenesis", log(&three[1..])),
        invalid(
            "two geneses",
            "a genesis comes second",
            "MisplacedGenesis",
            log(&[genesis(), genesis()].concat()),
        ),
        invalid(
            "an operation left out",
            "2 follows 0",
            "Sequence",
            log(&[three[0].clone(), three[2].clone()]),
        ),
        invalid(
            "an operation twice",
            "1 follows 1",
            "Sequence",
            log(&[three[0].clone(), three[1].clone(), three[1].clone()]),
        ),
        invalid(
            "operations swapped",
            "2 before 1",
            "Sequence",
            log(&[three[0].clone(), three[2].clone(), three[1].clone()]),
        ),
        invalid("sequence out of range", "2^64 - 1", "Sequence", second(&[("seq", CBOR::from(u64::MAX))])),
        invalid("another predecessor", "`prev` is another hash", "BrokenChain", {
            second(&[("prev", bytes(&[7; 32]))])
        }),
        invalid(
            "predecessor with signatures",
            "`prev` is the hash of the body alone",
            "BrokenChain",
            second(&[("prev", bytes(&of_signed))]),
        ),
        invalid("short predecessor", "32 octets", "Malformed(Wrong(\"prev\"))", {
            second(&[("prev", bytes(&[7; 31]))])
        }),
        invalid("another DID", "`did` names another log", "OtherDid", second(&[("did", text(&other))])),
        invalid("operation without DID", "`did` is missing", "Malformed(Missing(\"did\"))", {
            let mut operations = genesis();
            let mut fields = update_fields(&operations, 2);
            fields.remove("did");
            operations.push(Operation::of(&fields, &[1]));
            log(&operations)
        }),
    ]
}

pub(super) fn updates() -> Vec<Invalid> {
    let after = |mut operations: Vec<Operation>, change: &[(&'static str, CBOR)], signers: &[u8]| {
        let mut fields = update_fields(&operations, 20);
        fields.extend(change.iter().cloned());
        operations.push(Operation::of(&fields, signers));
        log(&operations)
    };
    let genesis = || vec![genesis()];
    let authority = auth(rank(&[], &[3], 1), rank(&[1], &[], 1));
    let twice_genesis = Operation::of(&quorums(), &[1, 2]);
    vec![
        invalid(
            "update with keys",
            "an update never changes keys",
            "Malformed(Unknown(\"auth\"))",
            after(genesis(), &[("auth", authority)], &[1]),
        ),
        invalid(
            "update with custody",
            "custody never changes",
            "Malformed(Unknown(\"custody\"))",
            after(genesis(), &[("custody", text("self"))], &[1]),
        ),
        invalid(
            "update by the recovery key",
            "an update is the operators'",
            "UnknownSigner",
            after(genesis(), &[], &[2]),
        ),
        invalid(
            "update by a former operator",
            "key 1 was rotated away",
            "UnknownSigner",
            after(rotated(genesis(), 2, 3, 4), &[], &[1]),
        ),
        invalid(
            "update below the threshold",
            "one of two operators",
            "ThresholdNotMet",
            after(vec![twice_genesis], &[], &[1]),
        ),
        invalid(
            "manifest epoch goes back",
            "`dm` from 20 to 19",
            "ManifestEpoch",
            after(updated(genesis(), 20, 1), &[("dm", CBOR::from(19))], &[1]),
        ),
        invalid(
            "update drops all domains",
            "an organisation keeps one",
            "Domains",
            after(genesis(), &[("svc", array([]))], &[1]),
        ),
    ]
}

pub(super) fn rotations() -> Vec<Invalid> {
    let rotate = |change: &[(&'static str, CBOR)], signers: &[u8]| {
        let mut operations = vec![genesis()];
        let mut fields = rotate_fields(&operations, 2, 3, 4);
        fields.extend(change.iter().cloned());
        operations.push(Operation::of(&fields, signers));
        log(&operations)
    };
    let authority = |recovery, operators| [("auth", auth(recovery, operators))];
    let employee = || vec![Operation::of(&person("org", Some(&did(&genesis()))), &[1])];
    let moved = |org: Option<CBOR>| {
        let mut operations = employee();
        let mut fields = rotate_fields(&operations, 2, 3, 4);
        fields.insert("svc", array([]));
        fields.extend(org.map(|org| ("org", org)));
        operations.push(Operation::of(&fields, &[2, 4]));
        log(&operations)
    };
    let elsewhere = text(&did(&Operation::of(&quorums(), &[1, 2])));
    vec![
        invalid(
            "rotation by the operator",
            "a thief of L1 cannot rotate",
            "NotCommitted",
            rotate(&authority(rank(&[1], &[3], 1), rank(&[4], &[], 1)), &[1, 4]),
        ),
        invalid(
            "rotation that reveals nothing",
            "one key is needed",
            "ThresholdNotMet",
            rotate(&authority(rank(&[], &[3], 1), rank(&[4], &[], 1)), &[4]),
        ),
        invalid(
            "revealed but not signed",
            "key 2 is shown and does not sign",
            "ThresholdNotMet",
            rotate(&[], &[4]),
        ),
        invalid("new operator did not sign", "key 4 must take over", "ThresholdNotMet", rotate(&[], &[2])),
        invalid("old operator signs, too", "it has no say", "UnknownSigner", rotate(&[], &[1, 2, 4])),
        invalid(
            "rotation with a date",
            "operations have no clock",
            "Malformed(Unknown(\"nb\"))",
            rotate(&[("nb", CBOR::from(1))], &[2, 4]),
        ),
        invalid(
            "rotation without operators",
            "somebody must operate",
            "Quorum",
            rotate(&authority(rank(&[2], &[3], 1), rank(&[], &[], 1)), &[2]),
        ),
        invalid(
            "rotation with new custody",
            "custody never changes",
            "Malformed(Unknown(\"custody\"))",
            rotate(&[("custody", text("org"))], &[2, 4]),
        ),
        invalid(
            "rotation makes a person of an organisation",
            "`org` appears",
            "Org",
            rotate(&[("org", elsewhere.clone())], &[2, 4]),
        ),
        invalid("employee in org custody moves", "`org` changes", "Org", moved(Some(elsewhere))),
        invalid("employee in org custody leaves", "`org` disappears", "Org", moved(None)),
    ]
}

pub(super) fn reveals() -> Vec<Invalid> {
    let next = |mut operations: Vec<Operation>, authority: CBOR, signers: &[u8]| {
        let mut fields = rotate_fields(&operations, 2, 3, 4);
        fields.insert("auth", authority);
        operations.push(Operation::of(&fields, signers));
        log(&operations)
    };
    let genesis = || vec![genesis()];
    let rotated = || rotated(genesis(), 2, 3, 4);
    let quorum = || vec![Operation::of(&quorums(), &[1, 2])];
    let other_algorithm = {
        let key = crate::forge::key(2).verifying_key().to_bytes();
        let committed = [b"DCCP-KEY-COMMIT-v1\0\0\x02".as_slice(), &key].concat();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &committed);
        let recovery = map([("k", array([])), ("n", array([bytes(hash.as_ref())])), ("w", CBOR::from(1))]);
        let mut fields = genesis_fields();
        fields.insert("auth", auth(recovery, rank(&[1], &[], 1)));
        vec![Operation::of(&fields, &[1])]
    };
    assert_ne!(commitment(2), commitment(3));
    vec![
        invalid(
            "key that was never committed to",
            "key 8",
            "NotCommitted",
            next(genesis(), auth(rank(&[8], &[3], 1), rank(&[4], &[], 1)), &[4, 8]),
        ),
        invalid(
            "commitment with another algorithm id",
            "the id is hashed with the key",
            "NotCommitted",
            next(other_algorithm, auth(rank(&[2], &[3], 1), rank(&[4], &[], 1)), &[2, 4]),
        ),
        invalid(
            "recovery key used twice",
            "key 2 was revealed before",
            "NotCommitted",
            next(rotated(), auth(rank(&[2], &[5], 1), rank(&[6], &[], 1)), &[2, 6]),
        ),
        invalid(
            "commits to the key it reveals",
            "key 2 is known now",
            "RevealedAgain",
            next(genesis(), auth(rank(&[2], &[2], 1), rank(&[4], &[], 1)), &[2, 4]),
        ),
        invalid(
            "commits to a key revealed before",
            "key 2 is known",
            "RevealedAgain",
            next(rotated(), auth(rank(&[3], &[2], 1), rank(&[6], &[], 1)), &[3, 6]),
        ),
        invalid(
            "revealed recovery key as operator",
            "key 2 had its turn",
            "KeyInTwoRanks",
            next(genesis(), auth(rank(&[2], &[3], 1), rank(&[2], &[], 1)), &[2]),
        ),
        invalid(
            "next recovery key as operator",
            "key 3 would be shown",
            "KeyInTwoRanks",
            next(genesis(), auth(rank(&[2], &[3], 1), rank(&[3], &[], 1)), &[2, 3]),
        ),
        invalid(
            "one of two recovery keys",
            "two are needed",
            "ThresholdNotMet",
            next(quorum(), auth(rank(&[4], &[7], 1), rank(&[8], &[], 1)), &[4, 8]),
        ),
        invalid(
            "the same recovery key as two",
            "keys differ",
            "RevealedAgain",
            next(quorum(), auth(rank(&[4, 4], &[7], 1), rank(&[8], &[], 1)), &[4, 8]),
        ),
        invalid(
            "two recovery keys, one signature",
            "both must sign",
            "ThresholdNotMet",
            next(quorum(), auth(rank(&[4, 5], &[7], 1), rank(&[8], &[], 1)), &[4, 8]),
        ),
    ]
}

pub(super) fn endings() -> Vec<Invalid> {
    let genesis = || vec![genesis()];
    let end = |change: &[(&'static str, CBOR)], revealed: &[u8], signers: &[u8]| {
        let mut operations = genesis();
        let mut fields = deactivate_fields(&operations, revealed);
        fields.extend(change.iter().cloned());
        operations.push(Operation::of(&fields, signers));
        log(&operations)
    };
    let ended = || deactivated(genesis(), 2);
    let with_next = map([("L0", map([("k", array([public(2)])), ("n", array([commitment(3)]))]))]);
    vec![
        invalid(
            "deactivated by the operator",
            "a thief of L1 cannot end a DID",
            "NotCommitted",
            end(&[], &[1], &[1]),
        ),
        invalid("deactivated by nobody", "one key is needed", "ThresholdNotMet", end(&[], &[], &[1])),
        invalid(
            "deactivation that the operator signs, too",
            "it has no say",
            "UnknownSigner",
            end(&[], &[2], &[1, 2]),
        ),
        invalid(
            "deactivation with services",
            "nothing is left",
            "Malformed(Unknown(\"svc\"))",
            end(&[("svc", array([]))], &[2], &[2]),
        ),
        invalid(
            "deactivation with a next key",
            "nothing follows",
            "Malformed(Unknown(\"n\"))",
            end(&[("auth", with_next)], &[2], &[2]),
        ),
        invalid(
            "update after the end",
            "deactivation is final",
            "AfterDeactivation",
            log(&updated(ended(), 2, 1)),
        ),
        invalid(
            "rotation after the end",
            "deactivation is final",
            "AfterDeactivation",
            log(&rotated(ended(), 2, 3, 4)),
        ),
        invalid(
            "second deactivation",
            "deactivation is final",
            "AfterDeactivation",
            log(&deactivated(ended(), 2)),
        ),
    ]
}
