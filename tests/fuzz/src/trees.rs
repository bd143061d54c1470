//! Merkle trees: honest proofs hold, and no others.

use dccp::tree::{
    Hash, Tree, TreeHead, leaf_hash, node_hash, root_of_inclusion, verify_consistency, verify_inclusion,
};

/// Leaves of the tree whose proofs are forged.
const LEAVES: u64 = 64;

/// Two sizes, an index and octets that spoil a proof: an unspoiled proof holds, a spoiled one does not.
pub(crate) fn forged_proof(octets: &[u8]) -> bool {
    let Some(([size, other, index], spoil)) = octets.split_first_chunk() else { return false };
    let size = u64::from(*size) % LEAVES + 1;
    let (old, index) = (u64::from(*other) % size + 1, u64::from(*index) % size);
    let leaves: Vec<Hash> = (0..size).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
    let tree: Tree = leaves.iter().copied().collect();
    let head = tree.head();

    let proof = tree.inclusion_proof(index, size).expect("a leaf of the tree");
    let spoiled = spoil_proof(&proof, spoil);
    let holds = verify_inclusion(&leaves[index as usize], index, &head, &spoiled).is_ok();
    assert_eq!(holds, spoiled == proof, "inclusion of {index} in {size}");

    let proof = tree.consistency_proof(old, size).expect("an earlier size");
    let spoiled = spoil_proof(&proof, spoil);
    let before = tree.head_at(old).expect("an earlier size");
    let holds = verify_consistency(&before, &head, &spoiled).is_ok();
    assert_eq!(holds, spoiled == proof, "consistency of {old} with {size}");
    true
}

/// Flips the bits of `spoil`; its first octet, if odd, cuts a hash off, if a multiple of 4 appends one.
fn spoil_proof(proof: &[Hash], spoil: &[u8]) -> Vec<Hash> {
    let mut spoiled = proof.to_vec();
    let octets = spoiled.iter_mut().flatten().zip(spoil.iter().skip(1));
    octets.for_each(|(octet, bits)| *octet ^= bits);
    match spoil.first() {
        Some(how) if how % 2 == 1 => _ = spoiled.pop(),
        Some(how) if how % 4 == 2 => spoiled.push(leaf_hash(spoil)),
        _ => {}
    }
    spoiled
}

/// Any sizes with any hashes: an answer, and after no more than a proof's steps.
pub(crate) fn claimed_proof(octets: &[u8]) -> bool {
    let Some((size, rest)) = octets.split_first_chunk() else { return false };
    let Some((index, rest)) = rest.split_first_chunk() else { return false };
    let (size, index) = (u64::from_be_bytes(*size), u64::from_be_bytes(*index));
    let hashes: Vec<Hash> = rest.as_chunks().0.to_vec();
    let leaf = leaf_hash(rest);
    if let Ok(root) = root_of_inclusion(&leaf, index, size, &hashes) {
        assert!(index < size && hashes.len() <= 64);
        assert_eq!(verify_inclusion(&leaf, index, &TreeHead { size, root }, &hashes), Ok(()));
        assert_ne!(root, node_hash(&root, &leaf));
    }
    let head = |size, root: Option<&Hash>| TreeHead { size, root: *root.unwrap_or(&leaf) };
    let (old, new) = (head(index, hashes.first()), head(size, hashes.last()));
    if verify_consistency(&old, &new, &hashes).is_ok() {
        assert!(old.size <= new.size);
        assert!(old.size < new.size || old == new, "one size with two roots");
    }
    true
}
