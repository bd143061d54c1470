//! Logs read strangers' bytes: whatever is done to a log, it is refused or it is a beginning of the same log, and
//! both sides of a fork judge it alike.

mod forge;
#[allow(dead_code, reason = "only the valid logs are used here")]
#[path = "making/logs.rs"]
mod logs;

use std::sync::LazyLock;

use dcbor::CBOR;
use dccp::did::{Comparison, Log};
use proptest::prelude::*;
use proptest::sample::Index;

static VALID: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| logs::valid().into_iter().map(|(_, log)| log).collect());

/// The operations of a valid log.
fn operations(log: &[u8]) -> Vec<CBOR> {
    CBOR::try_from_data(log).unwrap().try_into_array().unwrap()
}

fn verified(bytes: &[u8]) -> Option<Log> {
    Log::from_bytes(bytes).ok().filter(|log| log.verify().is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn an_altered_octet_is_never_believed(log: Index, at: Index, flip in 1..=255_u8) {
        let mut bytes = log.get(&VALID).clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(verified(&bytes).is_none(), "octet {at}");
    }

    #[test]
    fn octets_cut_out_or_put_in_are_never_believed(log: Index, at: Index, cut in 0..40_usize, put: Vec<u8>) {
        let bytes = log.get(&VALID);
        let at = at.index(bytes.len());
        let rest = &bytes[(at + cut).min(bytes.len())..];
        let altered = [&bytes[..at], &put, rest].concat();
        prop_assume!(altered != *bytes);
        prop_assert!(verified(&altered).is_none(), "octet {at}");
    }

    #[test]
    fn operations_rearranged_are_a_beginning_or_nothing(
        log: Index,
        chosen in proptest::collection::vec(any::<Index>(), 1..12),
    ) {
        let bytes = log.get(&VALID);
        let operations = operations(bytes);
        let chosen: Vec<_> = chosen.iter().map(|index| index.get(&operations).clone()).collect();
        let rearranged = CBOR::from(chosen.clone()).to_cbor_data();
        let is_beginning = operations.starts_with(&chosen);
        prop_assert_eq!(verified(&rearranged).is_some(), is_beginning);
    }

    #[test]
    fn operations_of_two_logs_never_mix(one: Index, other: Index, at: Index) {
        let [one, other] = [one.get(&VALID), other.get(&VALID)].map(|log| operations(log));
        let at = at.index(one.len()) + 1;
        let Some(tail) = other.get(at..).filter(|tail| !tail.is_empty()) else { return Ok(()) };
        // Signatures are hedged, so equal beginnings are compared by their bodies.
        let names = |operations: &[CBOR]| {
            let log = Log::from_bytes(&CBOR::from(operations.to_vec()).to_cbor_data()).unwrap();
            (log.did(), log.head_hash())
        };
        let mixed = CBOR::from([&one[..at], tail].concat()).to_cbor_data();
        prop_assert_eq!(verified(&mixed).is_some(), names(&one[..at]) == names(&other[..at]));
    }

    #[test]
    fn both_sides_judge_a_fork_alike(ours: Index, theirs: Index) {
        let [ours, theirs] = [ours, theirs].map(|log| Log::from_bytes(log.get(VALID.as_slice()).as_slice()).unwrap());
        let mirrored = match ours.compare(&theirs) {
            Comparison::Older => Comparison::Newer,
            Comparison::Newer => Comparison::Older,
            Comparison::Superseded { at_seq } => Comparison::Supersedes { at_seq },
            Comparison::Supersedes { at_seq } => Comparison::Superseded { at_seq },
            alike => alike,
        };
        prop_assert_eq!(theirs.compare(&ours), mirrored);
    }
}
