//! Address → person: the question about a mail address and the organisation's signed answer.
//!
//! ```text
//! Question { address, nonce }      ── /dccp/find/1 ──►  the organisation's gateway
//! Answer { domain | user, tree head, proof }  ◄── signed by a device of its manifest
//! ```
//!
//! A published address is answered with the person. Every other one (unknown, not published, asked too often, not an
//! address of theirs) gets [`Mode::Domain`]: seal to the organisation. All answers have the same number of octets, and
//! those of `Mode::Domain` the same content but for the question and the time: neither who asks nor who watches the
//! line learns which addresses exist.
//!
//! A person that is named comes with the proof that the binding is a leaf of the organisation's tree
//! ([`crate::transparency`]).

use aws_lc_rs::digest::{SHA256, digest};

use crate::cbor::{self, CborError, Fields, Value};
use crate::did::Devices;
use crate::find::{self, FIND_PROOF_HASHES_MAX, FindError, Frame, NONCE_BYTES};
use crate::keys::SigningKey;
use crate::limits::ADDRESS_BYTES_MAX;
use crate::transparency::{Binding, BindingState};
use crate::tree::{Hash, TreeHead, verify_inclusion};
use crate::{Did, UnixMillis};

/// The kind of these questions on the wire.
pub(crate) const KIND: &str = "address";

/// Octets of the salt of a binding: nobody guesses an address through 128 bits.
pub const SALT_BYTES: usize = 16;

/// "Who is behind this address?"
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    address: Vec<u8>,
    nonce: [u8; NONCE_BYTES],
}

impl Question {
    /// Asks about `address`, in its [`canonical`] spelling. The nonce ties the answer to this question.
    ///
    /// # Errors
    /// [`FindError::Address`] when it is empty or longer than any address of SMTP.
    pub fn new(address: &str, nonce: [u8; NONCE_BYTES]) -> Result<Self, FindError> {
        let address = canonical(address).into_bytes();
        if is_bounded(&address) { Ok(Self { address, nonce }) } else { Err(FindError::Address) }
    }

    /// What is asked about; `None` when it is not UTF-8 in canonical spelling, and so nobody's address.
    pub fn address(&self) -> Option<&str> {
        std::str::from_utf8(&self.address).ok().filter(|address| *address == canonical(address))
    }

    /// Exactly [`find::QUESTION_BYTES`] octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        find::question_bytes(KIND, &self.nonce, vec![("a", Value::Bytes(self.address.clone()))])
    }

    pub(crate) fn read(mut fields: Fields, nonce: [u8; NONCE_BYTES]) -> Result<Self, FindError> {
        let address = fields.bytes("a")?;
        fields.finish()?;
        if is_bounded(&address) { Ok(Self { address, nonce }) } else { Err(CborError::Wrong("a").into()) }
    }
}

/// What an organisation says about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Seal to the organisation: nobody is published here, which says nothing about who exists.
    Domain,
    /// This person is published here.
    User(Box<Person>),
}

/// The person behind an address, and where that is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub did: Did,
    /// The salt of the binding, and of the commitment to the address (`aka`) in the person's log.
    pub salt: [u8; SALT_BYTES],
    /// How often the address was bound or unbound before: never goes back.
    pub generation: u64,
    /// The place of the binding in the tree.
    pub index: u64,
    /// Its siblings up to the root, leaf first.
    pub proof: Vec<Hash>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was found.
    pub mode: Mode,
    /// The organisation's tree when it answered.
    pub tree: TreeHead,
    /// When it answered.
    pub at: UnixMillis,
}

impl Answer {
    /// The answer of `organisation` to the question with these octets, signed by one of its devices: exactly
    /// [`find::ANSWER_BYTES`] octets.
    ///
    /// # Errors
    /// [`FindError::TooLarge`] when the proof is longer than that of any tree we speak of.
    pub fn sign(
        &self,
        question: &[u8],
        organisation: &Did,
        device: &SigningKey,
    ) -> Result<Vec<u8>, FindError> {
        let found = match &self.mode {
            Mode::Domain => vec![("m", Value::Text("domain".into()))],
            Mode::User(person) if person.proof.len() > FIND_PROOF_HASHES_MAX => {
                return Err(FindError::TooLarge);
            }
            Mode::User(person) => vec![("m", Value::Text("user".into())), ("u", person.to_value())],
        };
        let frame = Frame { kind: KIND, question, organisation, tree: self.tree, at: self.at };
        find::sign_answer(&frame, found, device)
    }

    /// Verifies an answer: its size, a signature by a device that counts, the organisation, that it answers this
    /// question and now, and the proof of the binding it names.
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
        let mode = match fields.text("m")?.as_str() {
            "domain" => Mode::Domain,
            "user" => Mode::User(Box::new(Person::read(fields.map("u")?)?)),
            _ => return Err(CborError::Wrong("m").into()),
        };
        fields.finish()?;
        if let Mode::User(person) = &mode {
            let address = question.address().ok_or(FindError::Address)?;
            verify_inclusion(&person.leaf(address), person.index, &tree, &person.proof)?;
        }
        Ok(Self { mode, tree, at })
    }
}

impl Person {
    /// The leaf that binds `address` to this person.
    pub fn leaf(&self, address: &str) -> Hash {
        let (salt, did) = (&self.salt, &self.did);
        Binding { salt, address, did, generation: self.generation, state: BindingState::Bound }.leaf()
    }

    fn to_value(&self) -> Value {
        cbor::map([
            ("did", Value::Text(self.did.to_string())),
            ("s", Value::Bytes(self.salt.to_vec())),
            ("g", Value::Unsigned(self.generation)),
            ("i", Value::Unsigned(self.index)),
            ("p", find::proof_value(&self.proof)),
        ])
    }

    fn read(mut fields: Fields) -> Result<Self, FindError> {
        let person = Self {
            did: fields.text("did")?.parse().map_err(|_| CborError::Wrong("did"))?,
            salt: fields.bytes("s")?.try_into().map_err(|_| CborError::Wrong("s"))?,
            generation: fields.unsigned("g")?,
            index: fields.unsigned("i")?,
            proof: find::read_proof(&mut fields)?,
        };
        fields.finish()?;
        Ok(person)
    }
}

/// The one spelling of an address that is asked about and bound: ASCII letters in lower case. RFC 5321 §2.4 lets a
/// host tell `Bob` from `bob`; an organisation that does so must not publish both.
pub fn canonical(address: &str) -> String {
    address.to_ascii_lowercase()
}

/// By which an answer names its question.
pub(crate) fn question_hash(question: &[u8]) -> Vec<u8> {
    digest(&SHA256, question).as_ref().to_vec()
}

fn is_bounded(address: &[u8]) -> bool {
    (1..=ADDRESS_BYTES_MAX).contains(&address.len())
}
