//! Who may sign: quorums of keys, and the commitments by which a log names a key without showing it.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use super::log::LogError;
use crate::cbor::{self, CborError, Fields, Value};
use crate::keys::{ALGORITHM_HYBRID_SIGNATURE, BadKey, VerifyingKey};
use crate::limits::QUORUM_MEMBERS_MAX;

const COMMITMENT_LABEL: &[u8] = b"DCCP-KEY-COMMIT-v1\0";

/// Some members, of whom `threshold` must act together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum<T> {
    /// 1 to 16 different members.
    pub members: Vec<T>,
    /// How many of them must sign: 1 to the number of members.
    pub threshold: u64,
}

impl<T> Quorum<T> {
    /// One member who acts alone.
    pub fn one(member: T) -> Self {
        Self { members: vec![member], threshold: 1 }
    }

    /// Are there 1 to 16 members and a threshold that they can reach, and is no member named twice?
    pub(super) fn check<K: Ord>(&self, name: impl Fn(&T) -> K) -> Result<(), LogError> {
        let count = self.members.len();
        let names: BTreeSet<K> = self.members.iter().map(name).collect();
        let reachable = (1..=count as u64).contains(&self.threshold);
        if reachable && count <= QUORUM_MEMBERS_MAX && names.len() == count {
            Ok(())
        } else {
            Err(LogError::Quorum)
        }
    }
}

/// The hash by which a log commits to a key it does not show (pre-rotation):
/// `SHA-256("DCCP-KEY-COMMIT-v1\0" ‖ algorithm id (u16) ‖ public key)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// The commitment to a hybrid key.
    pub fn of(key: &VerifyingKey) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(COMMITMENT_LABEL);
        hash.update(&ALGORITHM_HYBRID_SIGNATURE.to_be_bytes());
        hash.update(key.as_bytes());
        let mut commitment = [0; 32];
        commitment.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(commitment)
    }

    /// Takes the 32 octets, for example from a recovery ceremony.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({self})")
    }
}

/// The members of one rank as the log writes them: `{k: keys shown, n: commitments to the next, w: threshold}`.
pub(super) struct Rank {
    pub(super) shown: Vec<VerifyingKey>,
    pub(super) next: Vec<Commitment>,
    pub(super) threshold: u64,
}

impl Rank {
    pub(super) fn to_value(&self) -> Value {
        cbor::map([
            ("k", keys_to_value(&self.shown)),
            ("n", cbor::byte_strings(self.next.iter().map(|next| next.0.as_slice()))),
            ("w", Value::Unsigned(self.threshold)),
        ])
    }

    pub(super) fn read(mut fields: Fields) -> Result<Self, LogError> {
        let rank = Self {
            shown: read_keys(&mut fields)?,
            next: fields
                .bytes_array("n", QUORUM_MEMBERS_MAX)?
                .into_iter()
                .map(|next| next.try_into().map(Commitment).map_err(|_| CborError::Wrong("n")))
                .collect::<Result<_, _>>()?,
            threshold: fields.unsigned("w")?,
        };
        fields.finish()?;
        Ok(rank)
    }
}

pub(super) fn keys_to_value(keys: &[VerifyingKey]) -> Value {
    Value::Array(keys.iter().map(key_to_value).collect())
}

/// The keys of field `k`.
pub(super) fn read_keys(fields: &mut Fields) -> Result<Vec<VerifyingKey>, LogError> {
    let keys = fields.bytes_array("k", QUORUM_MEMBERS_MAX)?;
    Ok(keys.iter().map(|key| key_from_bytes(key)).collect::<Result<_, _>>()?)
}

/// A public key in a record: algorithm id (u16, big-endian) ‖ key.
pub(super) fn key_to_value(key: &VerifyingKey) -> Value {
    Value::Bytes([ALGORITHM_HYBRID_SIGNATURE.to_be_bytes().as_slice(), key.as_bytes()].concat())
}

/// Reads what [`key_to_value`] writes.
pub(super) fn key_from_bytes(bytes: &[u8]) -> Result<VerifyingKey, BadKey> {
    let (algorithm, key) = bytes.split_first_chunk().ok_or(BadKey)?;
    if u16::from_be_bytes(*algorithm) != ALGORITHM_HYBRID_SIGNATURE {
        return Err(BadKey);
    }
    VerifyingKey::from_bytes(key)
}
