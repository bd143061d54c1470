//! Merkle trees as in RFC 9162 §2.1 (those of RFC 6962): one hash that stands for a list, with short proofs.
//!
//! Three things stand on it: the signature of a batch, a stock of one-time prekeys
//! ([`crate::prekey`]) and the tree in which an organisation binds addresses to people.
//!
//! A leaf is hashed with one domain octet in front and an inner node with another, so that no node passes for a
//! leaf (RFC 9162 §2.1.1). Proofs are built and checked in loops: a hostile size costs at most 64 steps.

use aws_lc_rs::digest::{Context, SHA256};

/// Octets of a hash (SHA-256).
pub const HASH_BYTES: usize = 32;
/// The most hashes a proof can have: the height of a tree of 2⁶³ leaves, and one more for a consistency proof.
pub const PROOF_HASHES_MAX: usize = 64;

/// A hash in a tree: of a leaf, of a node, or of a whole tree.
pub type Hash = [u8; HASH_BYTES];

/// RFC 9162 §2.1.1: the octet in front of a leaf.
const LEAF: u8 = 0x00;
/// RFC 9162 §2.1.1: the octet in front of two children.
const NODE: u8 = 0x01;

/// What a tree was at one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// How many leaves it had.
    pub size: u64,
    /// The hash that stands for all of them.
    pub root: Hash,
}

impl TreeHead {
    /// The tree without leaves: its root is SHA-256 of nothing (RFC 9162 §2.1.1).
    pub const EMPTY: TreeHead = TreeHead {
        size: 0,
        root: [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
            0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ],
    };
}

/// A proof does not lead from what was claimed to the tree head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the root of the tree")]
pub struct BadProof;

/// The hash of an entry: `SHA-256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hash(LEAF, entry, &[])
}

/// The hash of two children: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(NODE, left, right)
}

/// The root of the tree over these leaf hashes. Without leaves: the hash of nothing.
pub fn root(leaves: &[Hash]) -> Hash {
    leaves.iter().copied().collect::<Tree>().head().root
}

/// A tree that only grows. It keeps the hash of each complete subtree: 64 octets for each leaf, and every head and
/// proof of every earlier size in at most `log² n` steps.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// `levels[k][i]` stands for the leaves `i·2ᵏ .. (i + 1)·2ᵏ`; only complete subtrees are here.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Appends a leaf (its hash, see [`leaf_hash`]).
    pub fn push(&mut self, leaf: Hash) {
        let mut complete = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else { return };
            nodes.push(complete);
            let Some([left, right]) =
                nodes.len().is_multiple_of(2).then(|| nodes.last_chunk::<2>()).flatten()
            else {
                return;
            };
            complete = node_hash(left, right);
        }
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The tree as it is.
    pub fn head(&self) -> TreeHead {
        self.head_at(self.size()).unwrap_or(TreeHead::EMPTY)
    }

    /// The tree as it was with `size` leaves; `None` when it never had so many.
    pub fn head_at(&self, size: u64) -> Option<TreeHead> {
        (size <= self.size()).then_some(())?;
        Some(TreeHead { size, root: self.root_of(size)? })
    }

    /// Proves that leaf `index` was in the tree of `size` leaves: see [`Subtrees::prove_inclusion`].
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        (size <= self.size()).then(|| self.prove_inclusion(index, size)).flatten()
    }

    /// Proves that the tree of `new_size` leaves begins with that of `old_size`: see [`Subtrees::prove_consistency`].
    pub fn consistency_proof(&self, old_size: u64, new_size: u64) -> Option<Vec<Hash>> {
        (new_size <= self.size()).then(|| self.prove_consistency(old_size, new_size)).flatten()
    }
}

impl Subtrees for Tree {
    fn subtree(&self, level: u32, index: u64) -> Option<Hash> {
        self.levels.get(level as usize)?.get(usize::try_from(index).ok()?).copied()
    }
}

/// Whoever keeps the hashes of complete subtrees, in memory or in a database, and so can prove.
pub trait Subtrees {
    /// The hash that stands for the leaves `index·2^level .. (index + 1)·2^level`; `None` when it is not kept.
    fn subtree(&self, level: u32, index: u64) -> Option<Hash>;

    /// The root of the first `size` leaves; `None` when a subtree is not kept.
    fn root_of(&self, size: u64) -> Option<Hash> {
        hash_of(self, 0, size)
    }

    /// Proves that leaf `index` is in the tree of the first `size` leaves (RFC 9162 §2.1.3.1): siblings, leaf first.
    fn prove_inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        (index < size).then_some(())?;
        let (mut from, mut to) = (0, size);
        let mut siblings = Vec::new();
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                siblings.push(hash_of(self, middle, to)?);
                to = middle;
            } else {
                siblings.push(hash_of(self, from, middle)?);
                from = middle;
            }
        }
        siblings.reverse();
        Some(siblings)
    }

    /// Proves that the tree of `new_size` leaves begins with that of `old_size` (RFC 9162 §2.1.4.1). Empty when the
    /// sizes are equal or the old tree was empty.
    fn prove_consistency(&self, old_size: u64, new_size: u64) -> Option<Vec<Hash>> {
        (old_size <= new_size).then_some(())?;
        let (mut from, mut to) = (0, new_size);
        let mut hashes = Vec::new();
        if old_size == 0 {
            return Some(hashes);
        }
        while old_size != to {
            let middle = from + split(to - from);
            if old_size <= middle {
                hashes.push(hash_of(self, middle, to)?);
                to = middle;
            } else {
                hashes.push(hash_of(self, from, middle)?);
                from = middle;
            }
        }
        // A subtree that is the old tree itself is known to whoever checks.
        if from > 0 {
            hashes.push(hash_of(self, from, to)?);
        }
        hashes.reverse();
        Some(hashes)
    }
}

/// The hash over the leaves `from .. to`, where `from` is a multiple of the largest power of two in `to - from`: its
/// complete subtrees, folded from the right.
fn hash_of(nodes: &(impl Subtrees + ?Sized), from: u64, to: u64) -> Option<Hash> {
    let mut end = to;
    let mut folded: Option<Hash> = None;
    while end > from {
        let level = (end - from).trailing_zeros();
        end -= 1 << level;
        let node = nodes.subtree(level, end >> level)?;
        folded = Some(folded.map_or(node, |right| node_hash(&node, &right)));
    }
    Some(folded.unwrap_or(TreeHead::EMPTY.root))
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

/// Checks that `leaf` (a hash) is entry `index` of the tree (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`BadProof`].
pub fn verify_inclusion(leaf: &Hash, index: u64, tree: &TreeHead, proof: &[Hash]) -> Result<(), BadProof> {
    (index < tree.size && root_of_inclusion(leaf, index, tree.size, proof)? == tree.root)
        .then_some(())
        .ok_or(BadProof)
}

/// The root that a proof leads to from `leaf`, for who has only a signature of the root (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`BadProof`] when the index is outside, or the proof is not as long as that of the index in such a tree.
pub fn root_of_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Result<Hash, BadProof> {
    if index >= size || proof.len() > PROOF_HASHES_MAX {
        return Err(BadProof);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(BadProof);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            skip_missing_siblings(&mut at, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 { Ok(hash) } else { Err(BadProof) }
}

/// Checks that the tree `new` begins with the tree `old` (RFC 9162 §2.1.4.2).
///
/// # Errors
/// [`BadProof`].
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), BadProof> {
    let holds = |holds: bool| if holds { Ok(()) } else { Err(BadProof) };
    if old.size == 0 || old.size >= new.size {
        let same = old.size == new.size && old.root == new.root;
        let from_nothing = *old == TreeHead::EMPTY && new.size > 0;
        return holds(proof.is_empty() && (same || from_nothing));
    }
    holds(proof.len() <= PROOF_HASHES_MAX)?;
    // A proof from a complete tree leaves out the old root, which is known.
    let (first, rest) = match old.size.is_power_of_two() {
        true => (&old.root, proof),
        false => proof.split_first().ok_or(BadProof)?,
    };
    let shared = (old.size - 1).trailing_ones();
    let (mut at, mut last) = ((old.size - 1) >> shared, (new.size - 1) >> shared);
    let (mut old_root, mut new_root) = (*first, *first);
    for hash in rest {
        holds(last != 0)?;
        if at & 1 == 1 || at == last {
            old_root = node_hash(hash, &old_root);
            new_root = node_hash(hash, &new_root);
            skip_missing_siblings(&mut at, &mut last);
        } else {
            new_root = node_hash(&new_root, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    holds(last == 0 && old_root == old.root && new_root == new.root)
}

/// At the right edge of a tree whose size is no power of two a node has no sibling on some levels.
fn skip_missing_siblings(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        (*at, *last) = (*at >> 1, *last >> 1);
    }
}

/// The largest power of two smaller than `size` (at least 2): where RFC 9162 §2.1.1 splits a list.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

fn hash(domain: u8, first: &[u8], second: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[domain]);
    context.update(first);
    context.update(second);
    finish(context)
}

fn finish(context: Context) -> Hash {
    let mut hash = [0; HASH_BYTES];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(test)]
mod tests;
