//! The log of operations behind a DID: founding it, continuing it, reading it, verifying it.

use super::aka::Aka;
use super::authority::{Commitment, Quorum};
use super::document::{Custody, DidDocument};
use super::fork::{self, Comparison};
use super::operation::{Authority, Change, Content, Genesis, Link, Operation, OperationKind};
use super::service::Service;
use crate::cbor::{self, CborError, Value};
use crate::keys::{BadKey, BadSignature, Domain, SigningKey, VerifyingKey};
use crate::limits::{DID_LOG_BYTES_MAX, DID_OPERATIONS_MAX};
use crate::record::SignedBody;
use crate::{Did, UnixMillis};

/// The first device manifest has epoch 1.
const FIRST_MANIFEST_EPOCH: u64 = 1;

/// What is decided when a DID is founded.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Who holds L0; never changes.
    pub custody: Custody,
    /// Of a person: the organisation that operates the DID.
    pub org: Option<Did>,
    /// L1, the operator keys: sign the genesis, manifests and records.
    pub operators: Quorum<VerifyingKey>,
    /// L0, the recovery keys: only their hashes enter the log.
    pub recovery: Quorum<Commitment>,
    /// The domains an organisation speaks for, lower-case ASCII (A-labels); none for a person.
    pub domains: Vec<String>,
    /// Endpoints.
    pub services: Vec<Service>,
    /// Salted commitments to addresses.
    pub aka: Vec<Aka>,
    /// From when the DID counts.
    pub not_before: UnixMillis,
}

impl Founding {
    /// An organisation with one operator key and one recovery key.
    pub fn organisation(
        domains: Vec<String>,
        operator: VerifyingKey,
        recovery: Commitment,
        not_before: UnixMillis,
    ) -> Self {
        Self {
            custody: Custody::Org,
            org: None,
            operators: Quorum::one(operator),
            recovery: Quorum::one(recovery),
            domains,
            services: Vec::new(),
            aka: Vec::new(),
            not_before,
        }
    }

    /// A person whose DID is operated by `org`.
    pub fn person(
        org: Did,
        custody: Custody,
        operator: VerifyingKey,
        recovery: Quorum<Commitment>,
        aka: Vec<Aka>,
        not_before: UnixMillis,
    ) -> Self {
        Self {
            custody,
            org: Some(org),
            operators: Quorum::one(operator),
            recovery,
            domains: Vec::new(),
            services: Vec::new(),
            aka,
            not_before,
        }
    }
}

/// What the recovery keys decide when they take over.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The next L0: none of these keys may ever have been revealed.
    pub recovery_next: Quorum<Commitment>,
    /// The new L1.
    pub operators: Quorum<VerifyingKey>,
    /// Of a person: who operates the DID from now on. With custody `org` it cannot change.
    pub org: Option<Did>,
    /// Everything an update could set.
    pub change: Change,
}

/// Founds a DID: a log with its genesis, signed by `operators`.
///
/// # Errors
/// Any [`LogError`] that a reader of the log would find; [`LogError::ThresholdNotMet`] and
/// [`LogError::UnknownSigner`] when `operators` are not those that `founding` names.
pub fn found(founding: &Founding, operators: &[&SigningKey]) -> Result<Log, LogError> {
    let domains = founding.domains.iter().cloned().map(Service::Domain);
    let genesis = Genesis {
        custody: founding.custody,
        org: founding.org.clone(),
        authority: Authority { recovery: founding.recovery.clone(), operators: founding.operators.clone() },
        change: Change {
            services: domains.chain(founding.services.iter().cloned()).collect(),
            aka: founding.aka.clone(),
            manifest_epoch_min: FIRST_MANIFEST_EPOCH,
            witnesses: Vec::new(),
        },
        not_before: founding.not_before,
    };
    Log { operations: Vec::new() }.extended(&Content::Genesis(Box::new(genesis)), operators)
}

/// A DID log that is well formed but not yet verified.
#[derive(Clone, Debug)]
pub struct Log {
    operations: Vec<Operation>,
}

impl Log {
    /// The canonical bytes: a dCBOR array of operations.
    pub fn to_bytes(&self) -> Vec<u8> {
        let operations = self.operations.iter().map(|operation| operation.signed.to_value());
        cbor::encode(&Value::Array(operations.collect()))
    }

    /// Reads a log: limits, strict dCBOR, each operation by itself.
    ///
    /// # Errors
    /// Any [`LogError`] that one operation by itself can show.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LogError> {
        let Value::Array(operations) = cbor::decode(bytes, DID_LOG_BYTES_MAX)? else {
            return Err(CborError::Wrong("log").into());
        };
        if operations.is_empty() {
            return Err(LogError::Empty);
        }
        if operations.len() > DID_OPERATIONS_MAX {
            return Err(LogError::TooManyOperations);
        }
        let operations = operations.into_iter().map(Operation::read).collect::<Result<_, _>>()?;
        Ok(Self { operations })
    }

    /// Replays the log: every operation must follow from the one before, and every signature is verified once. The
    /// caller compares the DID with the one it expects.
    ///
    /// # Errors
    /// Any [`LogError`].
    pub fn verify(&self) -> Result<DidDocument, LogError> {
        let (genesis, others) = self.operations.split_first().ok_or(LogError::Empty)?;
        let mut document = DidDocument::begin(genesis)?;
        others.iter().try_for_each(|operation| document.apply(operation))?;
        Ok(document)
    }

    /// How another log of the same DID relates to this one. Both must have been verified.
    pub fn compare(&self, other: &Self) -> Comparison {
        fork::compare(&self.operations, &other.operations)
    }

    /// Continues the log: the operators set what they may set.
    ///
    /// # Errors
    /// Any [`LogError`] that a reader of the new log would find.
    pub fn update(&self, change: &Change, operators: &[&SigningKey]) -> Result<Self, LogError> {
        self.extended(&Content::Update { link: self.link(), change: change.clone() }, operators)
    }

    /// Continues the log with new keys of both ranks: `recovery` are the old recovery keys that are revealed by this
    /// (as many as their threshold asks for), `operators` the new operators.
    ///
    /// # Errors
    /// Any [`LogError`] that a reader of the new log would find.
    pub fn rotate(
        &self,
        rotation: &Rotation,
        recovery: &[&SigningKey],
        operators: &[&SigningKey],
    ) -> Result<Self, LogError> {
        let content = Content::Rotate {
            link: self.link(),
            revealed: public_halves(recovery),
            authority: Authority {
                recovery: rotation.recovery_next.clone(),
                operators: rotation.operators.clone(),
            },
            org: rotation.org.clone(),
            change: rotation.change.clone(),
        };
        self.extended(&content, &[recovery, operators].concat())
    }

    /// Ends the DID for ever: `recovery` are as many recovery keys as their threshold asks for.
    ///
    /// # Errors
    /// Any [`LogError`] that a reader of the new log would find.
    pub fn deactivate(&self, recovery: &[&SigningKey]) -> Result<Self, LogError> {
        let content = Content::Deactivate { link: self.link(), revealed: public_halves(recovery) };
        self.extended(&content, recovery)
    }

    /// The first `operations` operations: where a recovery begins that leaves a thief's operations behind.
    pub fn beginning(&self, operations: usize) -> Option<Self> {
        let operations = self.operations.get(..operations).filter(|operations| !operations.is_empty())?;
        Some(Self { operations: operations.to_vec() })
    }

    /// The DID that this log certifies: the hash of its unsigned genesis body.
    pub fn did(&self) -> Did {
        let genesis = self.operations.first().map(|genesis| genesis.signed.body.as_slice());
        Did::of_genesis(genesis.unwrap_or_default())
    }

    /// The sequence number of the last operation.
    pub fn seq(&self) -> u64 {
        (self.operations.len() as u64).saturating_sub(1)
    }

    /// The hash of the body of the last operation.
    pub fn head_hash(&self) -> [u8; 32] {
        self.operations.last().map(|operation| operation.hash).unwrap_or_default()
    }

    /// What happened, in order: the kind of each operation and the hash of its body.
    pub fn history(&self) -> impl ExactSizeIterator<Item = (OperationKind, [u8; 32])> {
        self.operations.iter().map(|operation| (operation.content.kind(), operation.hash))
    }

    /// The domains that the unverified log names last, for display.
    pub fn claimed_domains(&self) -> Vec<String> {
        let mut changes = self.operations.iter().rev().filter_map(|operation| operation.content.change());
        changes.next().into_iter().flat_map(Change::domains).cloned().collect()
    }

    fn link(&self) -> Link {
        Link { did: self.did(), seq: self.operations.len() as u64, prev: self.head_hash() }
    }

    /// Signs one more operation, then reads the result as anybody will: we never write what we would refuse.
    fn extended(&self, content: &Content, signers: &[&SigningKey]) -> Result<Self, LogError> {
        if signers.is_empty() {
            return Err(LogError::ThresholdNotMet);
        }
        // A clearer word than what a reader would say of text that no record may hold.
        content.change().map_or(Ok(()), Change::check)?;
        let signed = SignedBody::sign_by(Domain::DidOperation, &content.to_value(), signers);
        let operations = self.operations.iter().map(|operation| operation.signed.to_value());
        let operations = operations.chain([signed.to_value()]).collect();
        let log = Self::from_bytes(&cbor::encode(&Value::Array(operations)))?;
        log.verify()?;
        Ok(log)
    }
}

fn public_halves(keys: &[&SigningKey]) -> Vec<VerifyingKey> {
    keys.iter().map(|key| key.verifying_key().clone()).collect()
}

/// Why a log is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Ours or theirs: an organisation without domains or a person with some; too many, repeated or malformed ones.
    #[error("an organisation names 1 to 32 different lower-case DNS names, a person none")]
    Domains,
    /// Ours or theirs: an endpoint twice, or not a URI.
    #[error("each endpoint may be named once, with a URI of at most 256 visible ASCII characters")]
    Endpoints,
    /// Ours or theirs: an address commitment or witness is named twice.
    #[error("an address commitment or witness is named twice")]
    Repeated,
    /// Ours or theirs: no members, too many or repeated ones, or a threshold out of reach.
    #[error("a quorum needs 1 to 16 different members and a threshold that they can reach")]
    Quorum,
    /// Ours or theirs: the organisation of a person is missing or changes against the custody.
    #[error("the custody asks for an organisation that is missing or may not change")]
    Org,
    /// Ours or theirs: the least manifest epoch goes back.
    #[error("the least manifest epoch goes back")]
    ManifestEpoch,
    /// Theirs: the bytes are not a log.
    #[error("malformed log: {0}")]
    Malformed(#[from] CborError),
    /// Theirs: a log without operations.
    #[error("empty log")]
    Empty,
    /// Theirs: more operations than a log may have.
    #[error("too many operations")]
    TooManyOperations,
    /// Theirs: an operation larger than allowed.
    #[error("operation too large")]
    OperationTooLarge,
    /// Theirs: a key inside is not a key.
    #[error(transparent)]
    BadKey(#[from] BadKey),
    /// Theirs: a log that does not begin with its genesis, or has a second one.
    #[error("the genesis must be the first operation and the only one of its kind")]
    MisplacedGenesis,
    /// Theirs: a genesis shows a recovery key, which nothing asked for yet.
    #[error("the genesis shows a recovery key")]
    RevealedEarly,
    /// Theirs or an attacker's: an operation of another log.
    #[error("operation belongs to another DID")]
    OtherDid,
    /// Theirs or an attacker's: operations left out, doubled or out of order.
    #[error("operation is out of sequence")]
    Sequence,
    /// Theirs or an attacker's: the operation follows another one than the one before it.
    #[error("operation does not follow the one before it")]
    BrokenChain,
    /// Theirs or an attacker's: the DID had ended.
    #[error("operation after the deactivation")]
    AfterDeactivation,
    /// Theirs or an attacker's: fewer keys or signatures than the threshold.
    #[error("fewer keys or signatures than the threshold asks for")]
    ThresholdNotMet,
    /// Ours or an attacker's: signed by a key that has no say in this operation.
    #[error("signed by a key that has no say in this operation")]
    UnknownSigner,
    /// Ours or an attacker's: not a recovery key that the log committed to.
    #[error("a recovery key is not one that the log committed to")]
    NotCommitted,
    /// Ours or an attacker's: a recovery key is used or committed to after it was revealed.
    #[error("a recovery key that was revealed cannot be used again")]
    RevealedAgain,
    /// Ours or theirs: an operator key is also a recovery key.
    #[error("an operator key is also a recovery key")]
    KeyInTwoRanks,
    /// Theirs or an attacker's.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// Nobody's: a later version of the protocol.
    #[error("operation version {0} is not supported")]
    UnsupportedVersion(u64),
    /// Nobody's: an operation of a kind that this version does not know.
    #[error("operation `{0}` is not supported")]
    UnsupportedOperation(String),
    /// Nobody's: a field has a value that this version does not know.
    #[error("`{0}` has a value that is not supported")]
    Unsupported(&'static str),
}
