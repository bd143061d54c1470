//! Key transparency: an organisation writes each binding of an address to a person into a tree that only grows, and
//! everybody who asks sees the same tree or can tell that they do not.
//!
//! ```text
//! bind, unbind ─► Binding ── salted hash ─► leaf ─► tree ─► TreeHead ─► SignedTreeHead (kept by who signed it)
//!                                                              │
//!            answers and messages carry the head ◄─────────────┤
//!            did::Head publishes it to everybody ◄─────────────┘
//!            Question { old, new } ─► Answer { proof }: the new tree begins with the old one
//! ```
//!
//! Invariants: a leaf says nothing about its address to who does not know its salt (128 bits, only told with an answer
//! that names the person), so the tree may be copied; a head that does not continue an earlier one is proof of a split
//! view, signed by whoever showed it.
//!
//! Deliberately absent: a proof that a binding is the *newest* of its address. That needs a verifiable map with a VRF,
//! and there is no post-quantum VRF that we could stand on (docs/decisions/0010). Instead each binding carries a
//! generation, and who has seen one accepts no smaller and no second one with the same number.

use aws_lc_rs::digest::{SHA256, digest};

use crate::address::SALT_BYTES;
use crate::cbor::{self, CborError, Fields, Value};
use crate::did::Devices;
use crate::find::{self, FIND_PROOF_HASHES_MAX, FindError, Frame, NONCE_BYTES};
use crate::keys::{BadSignature, Domain, SigningKey};
use crate::limits::RECORD_BYTES_MAX;
use crate::record::{RECORD_VERSION, RecordError, SignedBody, expect_did, expect_version};
use crate::tree::{Hash, TreeHead, leaf_hash, verify_consistency};
use crate::{Did, UnixMillis};

/// The kind of these questions on the wire.
pub(crate) const KIND: &str = "tree";

const BINDING_LABEL: &[u8] = b"DCCP-BINDING-v1\0";

/// What happened to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingState {
    /// It belongs to the person from now on.
    Bound,
    /// It belongs to the person no more.
    Unbound,
}

impl BindingState {
    const fn octet(self) -> u8 {
        match self {
            Self::Bound => 1,
            Self::Unbound => 2,
        }
    }
}

/// One change of an address: what a leaf of the tree stands for.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// Hides the address.
    pub salt: &'a [u8; SALT_BYTES],
    /// The address in canonical spelling.
    pub address: &'a str,
    /// Whose it is or was.
    pub did: &'a Did,
    /// How many changes this address had before.
    pub generation: u64,
    /// The change.
    pub state: BindingState,
}

impl Binding<'_> {
    /// The leaf hash of the entry `SHA-256(label ‖ salt ‖ state (u8) ‖ generation (u64) ‖ DID ‖ address)`. The DID has a
    /// fixed length, so no two bindings have the same input.
    pub fn leaf(&self) -> Hash {
        let entry = [
            BINDING_LABEL,
            self.salt,
            &[self.state.octet()],
            &self.generation.to_be_bytes(),
            self.did.as_str().as_bytes(),
            self.address.as_bytes(),
        ];
        leaf_hash(digest(&SHA256, &entry.concat()).as_ref())
    }
}

/// A head of an organisation's tree, signed by one of its devices, as the organisation keeps it of each size that it ever
/// had. It counts for ever: what was once said about a tree cannot be unsaid. What is published is in [`crate::did::Head`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedTreeHead {
    /// The tree.
    pub tree: TreeHead,
    /// When it had this head.
    pub at: UnixMillis,
}

impl SignedTreeHead {
    /// The signed record.
    pub fn sign(&self, organisation: &Did, device: &SigningKey) -> Vec<u8> {
        let body = cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("did", Value::Text(organisation.to_string())),
            ("size", Value::Unsigned(self.tree.size)),
            ("root", Value::Bytes(self.tree.root.to_vec())),
            ("at", Value::Unsigned(self.at.as_u64())),
        ]);
        SignedBody::sign(Domain::TreeHead, &body, device).to_bytes()
    }

    /// Verifies a head as of the time it was signed, by a device that counted then.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn verify(bytes: &[u8], organisation: &Did, devices: &Devices) -> Result<Self, RecordError> {
        let signed = SignedBody::from_bytes(bytes, RECORD_BYTES_MAX)?;
        let mut fields = signed.fields()?;
        expect_version(&mut fields)?;
        expect_did(&mut fields, organisation)?;
        let at = UnixMillis(fields.unsigned("at")?);
        let tree =
            TreeHead { size: fields.unsigned("size")?, root: find::hash(fields.bytes("root")?, "root")? };
        fields.finish()?;
        let key = signed.key_ids().find_map(|key_id| devices.signer(key_id, at)).ok_or(BadSignature)?;
        signed.verify_each(Domain::TreeHead, std::slice::from_ref(key.hybrid()))?;
        Ok(Self { tree, at })
    }
}

/// "Does your tree of `new` bindings begin with that of `old`?"
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The smaller size.
    pub old: u64,
    /// The larger size; what the organisation has, if that is smaller.
    pub new: u64,
    nonce: [u8; NONCE_BYTES],
}

impl Question {
    /// Asks about two sizes, in any order.
    pub fn new(one: u64, other: u64, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { old: one.min(other), new: one.max(other), nonce }
    }

    /// Exactly [`find::QUESTION_BYTES`] octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sizes = vec![("old", Value::Unsigned(self.old)), ("new", Value::Unsigned(self.new))];
        find::question_bytes(KIND, &self.nonce, sizes)
    }

    pub(crate) fn read(mut fields: Fields, nonce: [u8; NONCE_BYTES]) -> Result<Self, FindError> {
        let question = Self { old: fields.unsigned("old")?, new: fields.unsigned("new")?, nonce };
        fields.finish()?;
        if question.old <= question.new { Ok(question) } else { Err(CborError::Wrong("old").into()) }
    }
}

/// What an organisation says about its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its tree when it answered.
    pub tree: TreeHead,
    /// Leads from the old head to the new one; empty when there is nothing to prove or it cannot.
    pub proof: Vec<Hash>,
    /// When it answered.
    pub at: UnixMillis,
}

impl Answer {
    /// Signs the answer to the question with these octets: exactly [`find::ANSWER_BYTES`] octets.
    ///
    /// # Errors
    /// [`FindError::TooLarge`] when the proof is longer than that of any tree we speak of.
    pub fn sign(
        &self,
        question: &[u8],
        organisation: &Did,
        device: &SigningKey,
    ) -> Result<Vec<u8>, FindError> {
        if self.proof.len() > FIND_PROOF_HASHES_MAX {
            return Err(FindError::TooLarge);
        }
        let frame = Frame { kind: KIND, question, organisation, tree: self.tree, at: self.at };
        find::sign_answer(&frame, vec![("p", find::proof_value(&self.proof))], device)
    }

    /// Verifies who answered, to which question and when. Whether it proves anything is for
    /// [`proves`](Self::proves).
    ///
    /// # Errors
    /// Any [`FindError`].
    pub fn verify(
        bytes: &[u8],
        question: &Question,
        organisation: &Did,
        devices: &Devices,
        now: UnixMillis,
    ) -> Result<Self, FindError> {
        let asked = question.to_bytes();
        let (mut fields, tree, at) = find::open_answer(bytes, KIND, &asked, (organisation, devices), now)?;
        let answer = Self { tree, proof: find::read_proof(&mut fields)?, at };
        fields.finish()?;
        Ok(answer)
    }

    /// Whether this answer shows that two heads are of one tree.
    pub fn proves(&self, one: &TreeHead, other: &TreeHead) -> bool {
        let (old, new) = if one.size <= other.size { (one, other) } else { (other, one) };
        new.size <= self.tree.size && verify_consistency(old, new, &self.proof).is_ok()
    }
}
