//! Stocks of one-time prekeys: up to 256 keys under one signature, each served to one sender.
//!
//! ```text
//! keys ─ OneTimeBatch::sign ─► one root record, and per key {index, key, proof}   kept in the database
//! root record + some keys ─ Stock ─ to_bytes ─► answer of /dccp/prekey/1 ─ from_bytes ─ verify ─► OneTimePrekey …
//! ```
//!
//! An answer with several keys carries the signature once; who gets one key learns nothing about the others but the
//! size of the stock.

use super::{algorithm_of, number_of};
use crate::cbor::{self, CborError, Fields, Value};
use crate::did::DidDocument;
use crate::kem::EncapsulationKey;
use crate::keys::{Domain, KeyId, SigningKey};
use crate::limits::{RECORD_BYTES_MAX, STOCK_BYTES_MAX, STOCK_KEYS_MAX, STOCK_SERVED_MAX};
use crate::record::{RECORD_VERSION, RecordError, SignedBody, check_time, expect_did, expect_version};
use crate::suite::KemAlgorithm;
use crate::tree::{HASH_BYTES, Hash, Tree, TreeHead, leaf_hash, verify_inclusion};
use crate::{Did, UnixMillis};

/// Hashes in the longest proof: the height of a tree of [`STOCK_KEYS_MAX`] leaves.
const PROOF_HASHES_MAX: usize = STOCK_KEYS_MAX.ilog2() as usize;

/// A one-time prekey that its organisation vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimePrekey {
    /// The organisation.
    pub did: Did,
    /// The id of `kem`, derived from it.
    pub key_id: KeyId,
    /// The key to seal one message to.
    pub kem: EncapsulationKey,
    /// Until when it may be used, exclusive.
    pub expires: UnixMillis,
}

/// What the owner of a stock keeps: the signed root, and for each key what is served of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeBatch {
    /// The signed record of the root.
    pub root_record: Vec<u8>,
    /// For each key, in the order given: its index, itself and its proof.
    pub keys: Vec<Vec<u8>>,
}

impl OneTimeBatch {
    /// Signs the keys, all of one mechanism, to be used until `expires`.
    ///
    /// # Errors
    /// [`RecordError::OutOfBounds`] when there are none, too many or of two mechanisms, or the time is none.
    pub fn sign(
        did: &Did,
        keys: &[EncapsulationKey],
        not_before: UnixMillis,
        expires: UnixMillis,
        operator: &SigningKey,
    ) -> Result<Self, RecordError> {
        let algorithm = keys.first().ok_or(RecordError::OutOfBounds("n"))?.algorithm();
        if keys.len() > STOCK_KEYS_MAX || keys.iter().any(|key| key.algorithm() != algorithm) {
            return Err(RecordError::OutOfBounds("n"));
        }
        if expires <= not_before {
            return Err(RecordError::OutOfBounds("exp"));
        }
        let tree: Tree = (0..).zip(keys).map(|(index, key)| leaf_of(index, key)).collect();
        let head = tree.head();
        let body = cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("did", Value::Text(did.to_string())),
            ("su", Value::Unsigned(number_of(algorithm))),
            ("n", Value::Unsigned(head.size)),
            ("root", Value::Bytes(head.root.to_vec())),
            ("nb", Value::Unsigned(not_before.as_u64())),
            ("exp", Value::Unsigned(expires.as_u64())),
        ]);
        let served = |(index, key): (u64, &EncapsulationKey)| {
            let proof = tree.inclusion_proof(index, head.size).unwrap_or_default();
            cbor::encode(&cbor::map([
                ("i", Value::Unsigned(index)),
                ("k", Value::Bytes(key.to_bytes())),
                ("p", cbor::byte_strings(proof.iter().map(Hash::as_slice))),
            ]))
        };
        Ok(Self {
            root_record: SignedBody::sign(Domain::PrekeyStock, &body, operator).to_bytes(),
            keys: (0..).zip(keys).map(served).collect(),
        })
    }
}

/// Some keys of one batch with its root, as they are served; nothing of it is believed before [`Stock::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    /// The signed record of the root.
    pub root_record: Vec<u8>,
    /// Keys under it, as [`OneTimeBatch::keys`] has them; at most [`STOCK_SERVED_MAX`].
    pub keys: Vec<Vec<u8>>,
}

impl Stock {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&cbor::map([
            ("r", Value::Bytes(self.root_record.clone())),
            ("k", cbor::byte_strings(self.keys.iter().map(Vec::as_slice))),
        ]))
    }

    /// Reads an answer: size and outer shape.
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields::of(cbor::decode(bytes, STOCK_BYTES_MAX)?, "stock")?;
        let stock =
            Self { root_record: fields.bytes("r")?, keys: fields.bytes_array("k", STOCK_SERVED_MAX)? };
        fields.finish()?;
        Ok(stock)
    }

    /// Verifies the signature of the root, the DID, the time, and the proof of every key; one bad key refuses all.
    ///
    /// # Errors
    /// Any [`RecordError`]; [`RecordError::OutOfBounds`] of `p` when a proof does not lead to the root.
    pub fn verify(&self, document: &DidDocument, now: UnixMillis) -> Result<Vec<OneTimePrekey>, RecordError> {
        let root = Root::verify(&self.root_record, document, now)?;
        let mut keys = Vec::with_capacity(self.keys.len());
        for bytes in &self.keys {
            let kem = root.key(bytes)?;
            let key = OneTimePrekey {
                did: document.did().clone(),
                key_id: kem.key_id(),
                kem,
                expires: root.expires,
            };
            if keys.contains(&key) {
                return Err(RecordError::OutOfBounds("k"));
            }
            keys.push(key);
        }
        Ok(keys)
    }
}

/// A verified root record.
struct Root {
    algorithm: KemAlgorithm,
    tree: TreeHead,
    expires: UnixMillis,
}

impl Root {
    fn verify(bytes: &[u8], document: &DidDocument, now: UnixMillis) -> Result<Self, RecordError> {
        let signed = SignedBody::from_bytes(bytes, RECORD_BYTES_MAX)?;
        signed.verify_any(Domain::PrekeyStock, document.operators())?;
        let mut fields = signed.fields()?;
        expect_version(&mut fields)?;
        expect_did(&mut fields, document.did())?;
        let algorithm = algorithm_of(fields.unsigned("su")?)?;
        let size = fields.unsigned("n")?;
        let root = fields.bytes("root")?.try_into().map_err(|_| CborError::Wrong("root"))?;
        let (not_before, expires) = (UnixMillis(fields.unsigned("nb")?), UnixMillis(fields.unsigned("exp")?));
        fields.finish()?;
        if !(1..=STOCK_KEYS_MAX as u64).contains(&size) {
            return Err(RecordError::OutOfBounds("n"));
        }
        check_time(not_before, expires, now)?;
        Ok(Self { algorithm, tree: TreeHead { size, root }, expires })
    }

    fn key(&self, bytes: &[u8]) -> Result<EncapsulationKey, RecordError> {
        let mut fields = Fields::of(cbor::decode(bytes, bytes.len())?, "k")?;
        let index = fields.unsigned("i")?;
        let key = EncapsulationKey::from_bytes(self.algorithm, &fields.bytes("k")?)?;
        let proof = fields.bytes_array("p", PROOF_HASHES_MAX)?;
        fields.finish()?;
        let hash = |hash: Vec<u8>| <[u8; HASH_BYTES]>::try_from(hash).map_err(|_| CborError::Wrong("p"));
        let proof = proof.into_iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        verify_inclusion(&leaf_of(index, &key), index, &self.tree, &proof)
            .map_err(|_| RecordError::OutOfBounds("p"))?;
        Ok(key)
    }
}

/// Index (u64) ‖ suite (u64) ‖ key.
fn leaf_of(index: u64, key: &EncapsulationKey) -> Hash {
    let number = number_of(key.algorithm());
    leaf_hash(&[&index.to_be_bytes(), &number.to_be_bytes(), key.to_bytes().as_slice()].concat())
}
