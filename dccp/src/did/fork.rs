//! Which of two logs of one DID counts, without asking any clock.
//!
//! ```text
//!            ┌─ update ─ update            only operators (L1): a thief of the operator key can write these
//! genesis ─ update
//!            └─ update ─ rotate            somewhere recovery keys (L0): supersedes the branch without
//! ```
//!
//! The branch that the recovery keys signed wins over one that only operators signed, wherever in the branch they
//! signed: recovery keys that build on an operation stand for it. If only the very first operation of a branch
//! counted, whoever steals an operator key that was rotated away long ago could still fork the log below that
//! rotation and have the DID frozen for ever. Two branches of the same rank are duplicity: somebody who holds the
//! keys says two things, and nobody can tell which is meant.

use super::operation::Operation;

/// How another log of the same DID relates to ours. Both must be verified before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same operations.
    Same,
    /// The other is a beginning of ours: stale.
    Older,
    /// Ours is a beginning of the other: take it.
    Newer,
    /// They fork, and the other wins: take it.
    Superseded {
        /// The first operation in which they differ.
        at_seq: u64,
    },
    /// They fork, and ours wins.
    Supersedes {
        /// The first operation in which they differ.
        at_seq: u64,
    },
    /// They fork and neither may win: freeze the DID and alarm both sides.
    Duplicity {
        /// The first operation in which they differ.
        at_seq: u64,
    },
    /// They are logs of different DIDs.
    Unrelated,
}

pub(super) fn compare(ours: &[Operation], theirs: &[Operation]) -> Comparison {
    let step = |operation: &Operation| Step {
        hash: operation.hash,
        of_recovery: operation.content.kind().is_of_recovery(),
    };
    let [ours, theirs] = [ours, theirs].map(|log| log.iter().map(step).collect::<Vec<_>>());
    compare_steps(&ours, &theirs)
}

/// What of an operation decides a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    hash: [u8; 32],
    of_recovery: bool,
}

fn compare_steps(ours: &[Step], theirs: &[Step]) -> Comparison {
    let common = ours.iter().zip(theirs).take_while(|(our, their)| our.hash == their.hash).count();
    if common == 0 {
        return Comparison::Unrelated;
    }
    let (_, ours) = ours.split_at(common);
    let (_, theirs) = theirs.split_at(common);
    let is_of_recovery = |branch: &[Step]| branch.iter().any(|step| step.of_recovery);
    let at_seq = common as u64;
    match (ours.is_empty(), theirs.is_empty()) {
        (true, true) => Comparison::Same,
        (false, true) => Comparison::Older,
        (true, false) => Comparison::Newer,
        (false, false) => match (is_of_recovery(ours), is_of_recovery(theirs)) {
            (true, false) => Comparison::Supersedes { at_seq },
            (false, true) => Comparison::Superseded { at_seq },
            _ => Comparison::Duplicity { at_seq },
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn branch() -> impl Strategy<Value = Vec<Step>> {
        let step =
            (0..3_u8, any::<bool>()).prop_map(|(hash, of_recovery)| Step { hash: [hash; 32], of_recovery });
        proptest::collection::vec(step, 1..6)
    }

    fn mirrored(comparison: Comparison) -> Comparison {
        match comparison {
            Comparison::Older => Comparison::Newer,
            Comparison::Newer => Comparison::Older,
            Comparison::Superseded { at_seq } => Comparison::Supersedes { at_seq },
            Comparison::Supersedes { at_seq } => Comparison::Superseded { at_seq },
            same => same,
        }
    }

    proptest! {
        #[test]
        fn both_sides_of_a_fork_come_to_mirrored_conclusions(ours in branch(), theirs in branch()) {
            let seen_from_here = compare_steps(&ours, &theirs);
            prop_assert_eq!(compare_steps(&theirs, &ours), mirrored(seen_from_here));
        }

        #[test]
        fn a_beginning_is_older_and_the_whole_is_the_same(log in branch(), length in 1..6_usize) {
            let beginning = &log[..length.min(log.len())];
            let expected = if beginning.len() == log.len() { Comparison::Same } else { Comparison::Older };
            prop_assert_eq!(compare_steps(&log, beginning), expected);
        }

        #[test]
        fn operators_alone_never_supersede(common in branch(), ours in branch(), mut theirs in branch()) {
            theirs.iter_mut().for_each(|step| step.of_recovery = false);
            let seen = compare_steps(&[&common[..], &ours].concat(), &[&common[..], &theirs].concat());
            let superseded = matches!(seen, Comparison::Superseded { .. });
            prop_assert!(!superseded);
        }
    }
}
