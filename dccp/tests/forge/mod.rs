//! A second writer of DID logs, which can also write what the first refuses to: fields as they come, encoded by the
//! `dcbor` crate and signed by whoever is told to.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use dcbor::{CBOR, Map};
use dccp::did::Commitment;
use dccp::keys::{Domain, SigningKey};

/// The fields of a body.
pub(crate) type Fields = BTreeMap<&'static str, CBOR>;

/// Keys are named by a number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 64])
}

pub(crate) fn text(text: &str) -> CBOR {
    CBOR::from(text)
}

pub(crate) fn bytes(bytes: &[u8]) -> CBOR {
    CBOR::to_byte_string(bytes)
}

pub(crate) fn array(items: impl IntoIterator<Item = CBOR>) -> CBOR {
    CBOR::from(items.into_iter().collect::<Vec<_>>())
}

pub(crate) fn map(fields: impl IntoIterator<Item = (&'static str, CBOR)>) -> CBOR {
    let mut map = Map::new();
    fields.into_iter().for_each(|(name, value)| map.insert(name, value));
    CBOR::from(map)
}

/// `00 01 ‖ public key`.
pub(crate) fn public(number: u8) -> CBOR {
    bytes(&[&[0, 1], key(number).verifying_key().to_bytes().as_slice()].concat())
}

pub(crate) fn commitment(number: u8) -> CBOR {
    bytes(Commitment::of(key(number).verifying_key()).as_bytes())
}

/// One rank of `auth`.
pub(crate) fn rank(shown: &[u8], next: &[u8], threshold: u64) -> CBOR {
    map([
        ("k", array(shown.iter().map(|number| public(*number)))),
        ("n", array(next.iter().map(|number| commitment(*number)))),
        ("w", CBOR::from(threshold)),
    ])
}

pub(crate) fn auth(recovery: CBOR, operators: CBOR) -> CBOR {
    map([("L0", recovery), ("L1", operators)])
}

pub(crate) fn service(kind: &str, target: &str) -> CBOR {
    map([("t", text(kind)), ("u", text(target))])
}

/// A signed operation.
#[derive(Clone)]
pub(crate) struct Operation {
    pub(crate) body: Vec<u8>,
    pub(crate) signatures: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Operation {
    pub(crate) fn of(fields: &Fields, signers: &[u8]) -> Self {
        Self::of_bytes(map(fields.clone()).to_cbor_data(), Domain::DidOperation, signers)
    }

    pub(crate) fn of_bytes(body: Vec<u8>, domain: Domain, signers: &[u8]) -> Self {
        let sign = |number: &u8| {
            let key = key(*number);
            let key_id = key.verifying_key().key_id().as_bytes().to_vec();
            (key_id, key.sign(domain, &body).to_bytes())
        };
        let mut signatures: Vec<_> = signers.iter().map(sign).collect();
        signatures.sort();
        Self { body, signatures }
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        digest(&SHA256, &self.body).as_ref().to_vec()
    }

    pub(crate) fn to_cbor(&self) -> CBOR {
        let signature =
            |(key_id, signature): &(Vec<u8>, Vec<u8>)| map([("k", bytes(key_id)), ("s", bytes(signature))]);
        map([("b", bytes(&self.body)), ("s", array(self.signatures.iter().map(signature)))])
    }
}

/// The log of some operations.
pub(crate) fn log(operations: &[Operation]) -> Vec<u8> {
    array(operations.iter().map(Operation::to_cbor)).to_cbor_data()
}

/// The DID that a genesis founds.
pub(crate) fn did(genesis: &Operation) -> String {
    format!("did:dccp:1{}", data_encoding::BASE32_NOPAD.encode(&genesis.hash()).to_ascii_lowercase())
}

/// Operator 1, recovery key 2, one domain.
pub(crate) fn genesis_fields() -> Fields {
    Fields::from([
        ("v", CBOR::from(1)),
        ("t", text("genesis")),
        ("seq", CBOR::from(0)),
        ("prev", bytes(&[])),
        ("auth", auth(rank(&[], &[2], 1), rank(&[1], &[], 1))),
        ("custody", text("org")),
        ("aka", array([])),
        ("svc", array([service("domain", "acme.example")])),
        ("dm", CBOR::from(1)),
        ("wit", array([])),
        ("nb", CBOR::from(1_800_000_000_000_u64)),
    ])
}

/// The genesis of [`genesis_fields`].
pub(crate) fn genesis() -> Operation {
    Operation::of(&genesis_fields(), &[1])
}

fn link(operations: &[Operation]) -> Fields {
    let (first, last) = (operations.first().unwrap(), operations.last().unwrap());
    Fields::from([
        ("v", CBOR::from(1)),
        ("did", text(&did(first))),
        ("seq", CBOR::from(operations.len() as u64)),
        ("prev", bytes(&last.hash())),
    ])
}

/// An update that follows these operations and raises the least manifest epoch to `epoch`.
pub(crate) fn update_fields(operations: &[Operation], epoch: u64) -> Fields {
    let mut fields = link(operations);
    fields.extend([
        ("t", text("update")),
        ("aka", array([])),
        ("svc", array([service("domain", "acme.example")])),
        ("dm", CBOR::from(epoch)),
        ("wit", array([])),
    ]);
    fields
}

/// A rotation that follows these operations: reveals `revealed`, commits to `next`, hands over to `operators`.
pub(crate) fn rotate_fields(operations: &[Operation], revealed: u8, next: u8, operator: u8) -> Fields {
    let mut fields = update_fields(operations, 10);
    let auth = auth(rank(&[revealed], &[next], 1), rank(&[operator], &[], 1));
    fields.extend([("t", text("rotate")), ("auth", auth)]);
    fields
}

/// A deactivation that follows these operations.
pub(crate) fn deactivate_fields(operations: &[Operation], revealed: &[u8]) -> Fields {
    let mut fields = link(operations);
    let shown = map([("k", array(revealed.iter().map(|number| public(*number))))]);
    fields.extend([("t", text("deactivate")), ("auth", map([("L0", shown)]))]);
    fields
}
