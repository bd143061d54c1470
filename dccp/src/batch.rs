//! One signature for many messages: the device signs the root of a Merkle tree over their bodies, and each message
//! carries its proof. Twenty times cheaper than a hybrid signature each, and just as binding: the body of every
//! message is under the root.
//!
//! ```text
//! Draft ─ leaf ─┐
//! Draft ─ leaf ─┼─ sign ─► Evidence, Evidence, … ─ Draft::finish ─► SealedMessage, SealedMessage, …
//! Draft ─ leaf ─┘
//! ```
//!
//! What a recipient learns beyond its own message: how many messages were under the signature, and hashes of the
//! others. A body contains 74 random bits (its message id), so a hash confirms no guess at it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::Suite;
use crate::digest::sha256;
use crate::keys::{BadSignature, DeviceSigner, DeviceVerifier, Domain, KeyId, NoSigningKey};
use crate::limits::BATCH_MESSAGES_MAX;
use crate::recent::Recent;
use crate::tree::{Hash, Tree, TreeHead, leaf_hash, root_of_inclusion};
use crate::wire::{self, Malformed};

/// Hashes in the longest proof: the height of a tree of [`BATCH_MESSAGES_MAX`] leaves.
pub(crate) const PATH_HASHES_MAX: usize = BATCH_MESSAGES_MAX.ilog2() as usize;

/// Proof that a device of the sender signed one message, alone or in a batch: what [`Draft::finish`] encrypts with it.
///
/// [`Draft::finish`]: crate::seal::Draft::finish
#[derive(Clone)]
pub struct Evidence {
    suite: Suite,
    signer: KeyId,
    signature: Bytes,
    batch: Option<Place>,
}

/// Where in a batch a message is.
#[derive(Clone)]
struct Place {
    leaf: Hash,
    size: u32,
    index: u32,
    path: Vec<Hash>,
}

/// Why a batch was not signed: ours to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// None, or more than [`BATCH_MESSAGES_MAX`].
    #[error("a batch has 1 to {BATCH_MESSAGES_MAX} messages, not {0}")]
    Size(usize),
    /// The device does not sign for this suite.
    #[error(transparent)]
    NoSigningKey(#[from] NoSigningKey),
}

/// Signs the messages with these [leaves](crate::seal::Draft::leaf), all of one suite. The evidence comes in the same
/// order.
///
/// # Errors
/// Any [`BatchError`].
pub fn sign(leaves: &[Hash], suite: Suite, signer: &DeviceSigner) -> Result<Vec<Evidence>, BatchError> {
    if !(1..=BATCH_MESSAGES_MAX).contains(&leaves.len()) {
        return Err(BatchError::Size(leaves.len()));
    }
    let tree: Tree = leaves.iter().copied().collect();
    let head = tree.head();
    let signature = Bytes::from(signer.sign(suite, Domain::Batch, &signed_root(suite, &head))?);
    let evidence = |(index, leaf): (u32, &Hash)| Evidence {
        suite,
        signer: signer.verifying_key().key_id(),
        signature: signature.clone(),
        batch: Some(Place {
            leaf: *leaf,
            size: u32::try_from(head.size).unwrap_or_default(),
            index,
            path: tree.inclusion_proof(index.into(), head.size).unwrap_or_default(),
        }),
    };
    Ok((0..).zip(leaves).map(evidence).collect())
}

/// What a batch hashes of a message: the exact bytes of its body.
pub(crate) fn leaf_of(body: &[u8]) -> Hash {
    leaf_hash(body)
}

/// Suite (u32) ‖ size (u64) ‖ root.
fn signed_root(suite: Suite, head: &TreeHead) -> Vec<u8> {
    [suite.id().to_be_bytes().as_slice(), &head.size.to_be_bytes(), &head.root].concat()
}

impl Evidence {
    /// Signs one message by itself.
    pub(crate) fn of_body(body: &[u8], suite: Suite, signer: &DeviceSigner) -> Result<Self, NoSigningKey> {
        let signature = signer.sign(suite, Domain::Message, body)?.into();
        Ok(Self { suite, signer: signer.verifying_key().key_id(), signature, batch: None })
    }

    /// Is it for this body? A signature by itself cannot be told without the key; it was made with the body at hand.
    pub(crate) fn is_for(&self, body: &[u8], suite: Suite) -> bool {
        self.suite == suite && self.batch.as_ref().is_none_or(|place| place.leaf == leaf_of(body))
    }

    pub(crate) fn to_wire(&self) -> (wire::Signature, Option<wire::BatchProof>) {
        let key_id = Bytes::copy_from_slice(self.signer.as_bytes());
        let proof = |place: &Place| wire::BatchProof {
            size: place.size,
            index: place.index,
            path: place.path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
        };
        let signature = wire::Signature { key_id, signature: self.signature.clone() };
        (signature, self.batch.as_ref().map(proof))
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence(suite {}, key {})", self.suite, self.signer)
    }
}

/// The place in a batch that a received message claims.
pub(crate) struct ClaimedPlace {
    size: u32,
    index: u32,
    path: Vec<Hash>,
}

impl ClaimedPlace {
    pub(crate) fn from_wire(proof: &wire::BatchProof) -> Result<Self, Malformed> {
        let wire::BatchProof { size, index, .. } = *proof;
        let is_place = (1..=BATCH_MESSAGES_MAX).contains(&(size as usize)) && index < size;
        if !is_place || proof.path.len() > PATH_HASHES_MAX {
            return Err(Malformed);
        }
        let hash = |hash: &Bytes| hash.as_ref().try_into().map_err(|_| Malformed);
        Ok(Self { size, index, path: proof.path.iter().map(hash).collect::<Result<_, _>>()? })
    }

    /// Verifies that `signer` signed the root that `body` is under.
    pub(crate) fn verify(
        &self,
        body: &[u8],
        suite: Suite,
        signer: &DeviceVerifier,
        signature: &[u8],
        roots: Option<&RootCache>,
    ) -> Result<(), BadSignature> {
        let size = u64::from(self.size);
        let root = root_of_inclusion(&leaf_of(body), self.index.into(), size, &self.path)
            .map_err(|_| BadSignature)?;
        let signed = signed_root(suite, &TreeHead { size, root });
        let verified = || signer.verify(suite, Domain::Batch, &signed, signature);
        match roots {
            Some(roots) => roots.verify_once(sha256(&[signer.fingerprint(), &signed, signature]), verified),
            None => verified(),
        }
    }
}

/// Roots that were verified lately, so that of a batch only the first message costs a signature check.
///
/// An entry stands for the device's whole keys, the suite, the root **and the signature**: a message with a stolen
/// root and a made-up signature would pass today, but its evidence would convince nobody tomorrow.
pub struct RootCache(Mutex<Recent<Hash, ()>>);

impl RootCache {
    /// Remembers at most `capacity` roots (32 octets each); the oldest is forgotten first.
    pub fn new(capacity: usize) -> Self {
        Self(Mutex::new(Recent::new(capacity)))
    }

    /// How many roots are remembered.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Is none remembered?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Hash, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify_once(
        &self,
        name: Hash,
        verified: impl FnOnce() -> Result<(), BadSignature>,
    ) -> Result<(), BadSignature> {
        if self.lock().find(&name).is_some() {
            return Ok(());
        }
        verified()?;
        self.lock().keep(name, ());
        Ok(())
    }
}

impl Default for RootCache {
    /// For some seconds of a busy gateway: 4,096 roots.
    fn default() -> Self {
        Self::new(4096)
    }
}

impl fmt::Debug for RootCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootCache(..)")
    }
}
