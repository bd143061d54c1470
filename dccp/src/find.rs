//! What all questions and answers of `/dccp/find/1` share: one size each, a nonce, a signature, a time.
//!
//! A question has [`QUESTION_BYTES`] octets and an answer [`ANSWER_BYTES`], whatever is in them: whoever watches the
//! line learns that something was asked, not what, nor whether it was found.

use crate::address;
use crate::cbor::{self, CborError, Fields, Value};
use crate::did::Devices;
use crate::keys::{BadSignature, Domain, SIGNATURE_BYTES, SigningKey};
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::record::SignedBody;
use crate::transparency;
use crate::tree::{BadProof, Hash, TreeHead};
use crate::{Did, UnixMillis};

/// Octets of every question: the longest address, what is around it, and padding.
pub const QUESTION_BYTES: usize = 1024;
/// Octets of every answer: a proof in a tree of 2³² leaves, padding, and one hybrid signature.
pub const ANSWER_BYTES: usize = 5120;
/// Octets of a question's nonce: no two questions are the same, so no answer fits another question.
pub const NONCE_BYTES: usize = 16;
/// Hashes of a proof in an answer: a consistency proof in a tree of 2³² bindings.
pub const FIND_PROOF_HASHES_MAX: usize = 33;

/// The version of questions and answers.
const VERSION: u64 = 1;
/// The body of an answer; around it are the signature, its key id and 34 octets of dCBOR.
const BODY_BYTES: usize = ANSWER_BYTES - SIGNATURE_BYTES - 34;
/// The least padding: so much that its length always takes two octets, and every size can be reached.
const PADDING_BYTES_MIN: usize = 256;

/// Why a question or an answer is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Ours: not an address that mail can have.
    #[error("an address has 1 to 254 octets")]
    Address,
    /// Ours: more in an answer than fits; a tree of more than 2³² bindings.
    #[error("the answer does not fit its fixed size")]
    TooLarge,
    /// Theirs: the bytes are not a question or an answer.
    #[error("malformed: {0}")]
    Malformed(#[from] CborError),
    /// Theirs or an attacker's: no device of the organisation that counts has signed this.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// Theirs or an attacker's: the answer of another organisation, or to another question.
    #[error("this answers another question")]
    OtherQuestion,
    /// Theirs or an attacker's: the binding is not in the tree, or two heads are not of one tree.
    #[error(transparent)]
    BadProof(#[from] BadProof),
    /// A clock's, or an attacker's who kept an old answer.
    #[error("answered at another time than now")]
    OtherTime,
    /// Nobody's: a later version of the protocol.
    #[error("version {0} of questions is not supported")]
    UnsupportedVersion(u64),
    /// Nobody's: a kind of question that this version does not know.
    #[error("questions of kind `{0}` are not supported")]
    UnsupportedKind(String),
}

/// A question of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who is behind an address?
    Address(address::Question),
    /// Is the tree of today the one of yesterday, grown?
    Tree(transparency::Question),
}

impl Question {
    /// Reads a question of [`QUESTION_BYTES`] octets.
    ///
    /// # Errors
    /// [`FindError::Malformed`], or the unsupported ones.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FindError> {
        if bytes.len() != QUESTION_BYTES {
            return Err(CborError::Wrong("question").into());
        }
        let mut fields = Fields::of(cbor::decode(bytes, QUESTION_BYTES)?, "question")?;
        expect_version(&mut fields)?;
        expect_padding(&mut fields)?;
        let nonce = fields.bytes("n")?.try_into().map_err(|_| CborError::Wrong("n"))?;
        match fields.text("t")?.as_str() {
            address::KIND => address::Question::read(fields, nonce).map(Self::Address),
            transparency::KIND => transparency::Question::read(fields, nonce).map(Self::Tree),
            other => Err(FindError::UnsupportedKind(other.to_owned())),
        }
    }
}

/// Exactly [`QUESTION_BYTES`] octets.
pub(crate) fn question_bytes(
    kind: &str,
    nonce: &[u8; NONCE_BYTES],
    fields: Vec<(&'static str, Value)>,
) -> Vec<u8> {
    let mut all = vec![
        ("v", Value::Unsigned(VERSION)),
        ("t", Value::Text(kind.into())),
        ("n", Value::Bytes(nonce.to_vec())),
    ];
    all.extend(fields);
    cbor::encode(&padded(all, QUESTION_BYTES))
}

/// What an answer says beside what was found.
pub(crate) struct Frame<'a> {
    pub(crate) kind: &'static str,
    pub(crate) question: &'a [u8],
    pub(crate) organisation: &'a Did,
    pub(crate) tree: TreeHead,
    pub(crate) at: UnixMillis,
}

/// Signs an answer: exactly [`ANSWER_BYTES`] octets.
pub(crate) fn sign_answer(
    frame: &Frame<'_>,
    found: Vec<(&'static str, Value)>,
    device: &SigningKey,
) -> Result<Vec<u8>, FindError> {
    let mut fields = vec![
        ("v", Value::Unsigned(VERSION)),
        ("t", Value::Text(frame.kind.into())),
        ("q", Value::Bytes(address::question_hash(frame.question))),
        ("did", Value::Text(frame.organisation.to_string())),
        ("size", Value::Unsigned(frame.tree.size)),
        ("root", Value::Bytes(frame.tree.root.to_vec())),
        ("at", Value::Unsigned(frame.at.as_u64())),
    ];
    fields.extend(found);
    let answer = SignedBody::sign(Domain::FindAnswer, &padded(fields, BODY_BYTES), device).to_bytes();
    if answer.len() == ANSWER_BYTES { Ok(answer) } else { Err(FindError::TooLarge) }
}

/// Verifies an answer up to what was found: size, signature, kind, question, organisation, time.
pub(crate) fn open_answer(
    bytes: &[u8],
    kind: &'static str,
    question: &[u8],
    organisation: (&Did, &Devices),
    now: UnixMillis,
) -> Result<(Fields, TreeHead, UnixMillis), FindError> {
    if bytes.len() != ANSWER_BYTES {
        return Err(CborError::Wrong("answer").into());
    }
    let signed = SignedBody::from_bytes(bytes, ANSWER_BYTES)?;
    let (did, devices) = organisation;
    let key = signed.key_ids().find_map(|key_id| devices.signer(key_id, now)).ok_or(BadSignature)?;
    signed.verify_each(Domain::FindAnswer, std::slice::from_ref(key.hybrid()))?;

    let mut fields = signed.fields()?;
    expect_version(&mut fields)?;
    expect_padding(&mut fields)?;
    let is_this_answer = fields.text("t")? == kind
        && fields.bytes("q")? == address::question_hash(question)
        && fields.text("did")? == did.as_str();
    if !is_this_answer {
        return Err(FindError::OtherQuestion);
    }
    let at = UnixMillis(fields.unsigned("at")?);
    if at.as_u64().abs_diff(now.as_u64()) > CLOCK_SKEW_MS_MAX {
        return Err(FindError::OtherTime);
    }
    let tree = TreeHead { size: fields.unsigned("size")?, root: hash(fields.bytes("root")?, "root")? };
    Ok((fields, tree, at))
}

/// The hashes of a proof.
pub(crate) fn read_proof(fields: &mut Fields) -> Result<Vec<Hash>, CborError> {
    fields.bytes_array("p", FIND_PROOF_HASHES_MAX)?.into_iter().map(|bytes| hash(bytes, "p")).collect()
}

/// What [`read_proof`] reads.
pub(crate) fn proof_value(proof: &[Hash]) -> Value {
    cbor::byte_strings(proof.iter().map(<[u8; 32]>::as_slice))
}

pub(crate) fn hash(bytes: Vec<u8>, field: &'static str) -> Result<Hash, CborError> {
    bytes.try_into().map_err(|_| CborError::Wrong(field))
}

/// A map that is encoded in `bytes` octets, if it is not too long for that.
fn padded(mut fields: Vec<(&'static str, Value)>, bytes: usize) -> Value {
    let to_value = |fields: &[(&'static str, Value)]| {
        Value::Map(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    fields.push(("pad", Value::Bytes(vec![0; PADDING_BYTES_MIN])));
    let least = cbor::encode(&to_value(&fields)).len();
    fields.pop();
    let padding = PADDING_BYTES_MIN + bytes.saturating_sub(least);
    fields.push(("pad", Value::Bytes(vec![0; padding])));
    to_value(&fields)
}

/// Padding is zeros: nothing rides along in it.
fn expect_padding(fields: &mut Fields) -> Result<(), FindError> {
    let padding = fields.bytes("pad")?;
    let honest = padding.len() >= PADDING_BYTES_MIN && padding.iter().all(|octet| *octet == 0);
    if honest { Ok(()) } else { Err(CborError::Wrong("pad").into()) }
}

fn expect_version(fields: &mut Fields) -> Result<(), FindError> {
    match fields.unsigned("v")? {
        VERSION => Ok(()),
        other => Err(FindError::UnsupportedVersion(other)),
    }
}
