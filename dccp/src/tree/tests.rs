use super::*;

/// The entries and roots that Certificate Transparency implementations test with.
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn tree_of(size: u64) -> Tree {
    (0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves: Vec<Hash> = ENTRIES.iter().map(|entry| leaf_hash(&hex::decode(entry).unwrap())).collect();
    for (size, expected) in ROOTS.iter().enumerate() {
        assert_eq!(hex::encode(root(&leaves[..size])), *expected, "{size} leaves");
    }
    let tree: Tree = leaves.iter().copied().collect();
    assert_eq!(tree.head_at(5).map(|head| hex::encode(head.root)), Some(ROOTS[5].to_owned()));
    assert_eq!(tree.head_at(9), None);
}

#[test]
fn every_leaf_of_every_tree_is_proven_and_no_other_place_is() {
    for size in 1..=35 {
        let tree = tree_of(size);
        let head = tree.head();
        for index in 0..size {
            let proof = tree.inclusion_proof(index, size).unwrap();
            let leaf = leaf_hash(&index.to_be_bytes());
            assert_eq!(verify_inclusion(&leaf, index, &head, &proof), Ok(()), "{index} of {size}");
            let other = leaf_hash(&(index + 1).to_be_bytes());
            assert_eq!(verify_inclusion(&other, index, &head, &proof), Err(BadProof));
            for wrong in (0..size + 2).filter(|wrong| *wrong != index) {
                assert_eq!(
                    verify_inclusion(&leaf, wrong, &head, &proof),
                    Err(BadProof),
                    "{index} as {wrong}"
                );
            }
        }
    }
}

#[test]
fn a_tree_is_consistent_with_each_of_its_beginnings_and_with_nothing_else() {
    let tree = tree_of(35);
    for new_size in 0..=35 {
        for old_size in 0..=new_size {
            let (old, new) = (tree.head_at(old_size).unwrap(), tree.head_at(new_size).unwrap());
            let proof = tree.consistency_proof(old_size, new_size).unwrap();
            assert_eq!(verify_consistency(&old, &new, &proof), Ok(()), "{old_size} in {new_size}");
            let forged = TreeHead { root: leaf_hash(b"forged"), ..old };
            assert_eq!(verify_consistency(&forged, &new, &proof), Err(BadProof), "{old_size} in {new_size}");
            let rewritten = TreeHead { root: leaf_hash(b"rewritten"), ..new };
            if old_size > 0 {
                assert_eq!(verify_consistency(&old, &rewritten, &proof), Err(BadProof));
            }
            if old_size < new_size {
                assert_eq!(verify_consistency(&new, &old, &proof), Err(BadProof), "a tree never shrinks");
            }
        }
    }
}

#[test]
fn proofs_of_a_wrong_length_are_refused() {
    let tree = tree_of(13);
    let head = tree.head();
    let mut proof = tree.inclusion_proof(6, 13).unwrap();
    let leaf = leaf_hash(&6_u64.to_be_bytes());
    proof.push([0; 32]);
    assert_eq!(verify_inclusion(&leaf, 6, &head, &proof), Err(BadProof));
    proof.truncate(2);
    assert_eq!(verify_inclusion(&leaf, 6, &head, &proof), Err(BadProof));

    let old = tree.head_at(6).unwrap();
    let mut proof = tree.consistency_proof(6, 13).unwrap();
    proof.push([0; 32]);
    assert_eq!(verify_consistency(&old, &head, &proof), Err(BadProof));
    assert_eq!(verify_consistency(&old, &head, &[]), Err(BadProof));
    let endless = vec![[0; 32]; PROOF_HASHES_MAX + 1];
    let vast = TreeHead { size: u64::MAX, root: [0; 32] };
    assert_eq!(verify_consistency(&old, &vast, &endless), Err(BadProof));
    assert_eq!(verify_inclusion(&leaf, u64::MAX - 1, &vast, &endless), Err(BadProof));
}

#[test]
fn a_node_does_not_pass_for_a_leaf() {
    let tree = tree_of(4);
    let [left, right] = [0, 2].map(|from| hash_of(&tree, from, from + 2).unwrap());
    // The root of four leaves, presented as a tree of two whose leaves are the two inner nodes.
    let forged = TreeHead { size: 2, root: tree.head().root };
    let entry = [tree.levels[0][0], tree.levels[0][1]].concat();
    assert_eq!(verify_inclusion(&leaf_hash(&entry), 0, &forged, &[right]), Err(BadProof));
    assert_eq!(
        verify_inclusion(&left, 0, &forged, &[right]),
        Ok(()),
        "only the hash of the node itself leads there"
    );
}

#[test]
fn proofs_that_cannot_be_are_not_made() {
    let tree = tree_of(5);
    assert_eq!(tree.inclusion_proof(5, 5), None);
    assert_eq!(tree.inclusion_proof(0, 6), None);
    assert_eq!(tree.consistency_proof(4, 3), None);
    assert_eq!(tree.consistency_proof(0, 6), None);
    assert_eq!(Tree::default().head(), TreeHead::EMPTY);
    assert_eq!(TreeHead::EMPTY.root, finish(Context::new(&SHA256)), "the hash of nothing");
}
