//! Questions about addresses and trees, and their answers.

use dccp::find::{ANSWER_BYTES, NONCE_BYTES, QUESTION_BYTES, Question};
use dccp::keys::Domain;
use dccp::tree::TreeHead;
use dccp::{address, stock, transparency};

use super::keys::{Acme, NOW, acme};

/// The only body that is signed into an answer of the right size: what remains beside signature, key id and heads.
const BODY_BYTES: usize = ANSWER_BYTES - 3373 - 34;

/// A question has one encoding and one size.
pub(crate) fn question(octets: &[u8]) -> bool {
    let Ok(question) = Question::from_bytes(octets) else { return false };
    let written = match &question {
        Question::Address(question) => question.to_bytes(),
        Question::Tree(question) => {
            assert!(question.old <= question.new);
            question.to_bytes()
        }
    };
    assert_eq!((written.as_slice(), written.len()), (octets, QUESTION_BYTES));
    true
}

/// A wish for one-time prekeys has one encoding.
pub(crate) fn prekey_question(octets: &[u8]) -> bool {
    let Ok(question) = stock::Question::from_bytes(octets) else { return false };
    assert_eq!(question.to_bytes(), octets, "other octets than were read");
    true
}

/// The question that [`address_answer`] has asked.
pub fn address_question() -> address::Question {
    address::Question::new("bob@acme.example", [7; NONCE_BYTES]).expect("an address")
}

/// The question that [`tree_answer`] has asked.
pub fn tree_question() -> transparency::Question {
    transparency::Question::new(3, 9, [7; NONCE_BYTES])
}

/// The body of an answer about an address, signed as it is.
pub(crate) fn address_answer(octets: &[u8]) -> bool {
    let acme = acme();
    let (question, did) = (address_question(), acme.document.did());
    let verify = |bytes: &[u8]| address::Answer::verify(bytes, &question, did, &acme.devices, NOW);
    let Ok(answer) = verify(&signed(octets)) else { return false };
    let again = answer.sign(&question.to_bytes(), did, acme.device.hybrid()).expect("what was accepted fits");
    assert_eq!(verify(&again), Ok(answer));
    true
}

/// The body of an answer about a tree, signed as it is.
pub(crate) fn tree_answer(octets: &[u8]) -> bool {
    let acme = acme();
    let (question, did) = (tree_question(), acme.document.did());
    let verify = |bytes: &[u8]| transparency::Answer::verify(bytes, &question, did, &acme.devices, NOW);
    let Ok(answer) = verify(&signed(octets)) else { return false };
    let other = TreeHead { size: question.old, root: [0; 32] };
    assert!(!answer.proves(&other, &answer.tree) || answer.tree == other);
    let again = answer.sign(&question.to_bytes(), did, acme.device.hybrid()).expect("what was accepted fits");
    assert_eq!(verify(&again), Ok(answer));
    true
}

/// The head of a tree, signed as it is.
pub(crate) fn tree_head_body(octets: &[u8]) -> bool {
    let acme = acme();
    let did = acme.document.did();
    let record = Acme::record(Domain::TreeHead, octets, &[acme.device.hybrid()]);
    let Ok(head) = transparency::SignedTreeHead::verify(&record, did, &acme.devices) else { return false };
    let again = head.sign(did, acme.device.hybrid());
    assert_eq!(transparency::SignedTreeHead::verify(&again, did, &acme.devices), Ok(head));
    true
}

fn signed(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(BODY_BYTES, 0);
    Acme::record(Domain::FindAnswer, &body, &[acme().device.hybrid()])
}
