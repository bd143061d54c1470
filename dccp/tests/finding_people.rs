//! Questions about addresses and trees, and the answers of an organisation.

mod common;

use common::{DAY_MS, NOW, Organisation};
use dccp::address::{self, Mode, Person, canonical};
use dccp::did::Devices;
use dccp::find::{ANSWER_BYTES, FindError, QUESTION_BYTES, Question};
use dccp::limits::{ADDRESS_BYTES_MAX, CLOCK_SKEW_MS_MAX};
use dccp::transparency::{self, Binding, BindingState, SignedTreeHead};
use dccp::tree::{Hash, Tree, leaf_hash};
use dccp::{Did, UnixMillis};

const BOB: &str = "bob@globex.example";
const SALT: [u8; 16] = [5; 16];

struct Globex {
    organisation: Organisation,
    devices: Devices,
}

impl Globex {
    fn new() -> Globex {
        let organisation = Organisation::globex();
        let devices = organisation.manifest().verify(&organisation.log.verify().unwrap(), NOW).unwrap();
        Globex { organisation, devices }
    }

    fn did(&self) -> Did {
        self.organisation.did()
    }

    fn answer(&self, question: &address::Question, mode: Mode, tree: &Tree) -> Vec<u8> {
        let answer = address::Answer { mode, tree: tree.head(), at: NOW };
        answer.sign(&question.to_bytes(), &self.did(), self.organisation.device.hybrid()).unwrap()
    }

    fn verify(&self, bytes: &[u8], question: &address::Question) -> Result<address::Answer, FindError> {
        address::Answer::verify(bytes, question, &self.did(), &self.devices, NOW)
    }
}

/// Bob is binding `index` of a tree with `size` bindings.
fn bob(index: u64, size: u64) -> (Mode, Tree) {
    let mut person =
        Person { did: Organisation::acme().did(), salt: SALT, generation: 0, index, proof: vec![] };
    let leaf = |at: u64| if at == index { person.leaf(BOB) } else { filler(at) };
    let tree: Tree = (0..size).map(leaf).collect();
    person.proof = tree.inclusion_proof(index, size).unwrap();
    (Mode::User(Box::new(person)), tree)
}

fn filler(at: u64) -> Hash {
    leaf_hash(&at.to_be_bytes())
}

fn question() -> address::Question {
    address::Question::new(BOB, [1; 16]).unwrap()
}

#[test]
fn every_question_has_the_same_length_and_reads_back() {
    for length in [1, 20, 23, 24, 100, 250, ADDRESS_BYTES_MAX] {
        let question = address::Question::new(&"a".repeat(length), [7; 16]).unwrap();
        let bytes = question.to_bytes();
        assert_eq!(bytes.len(), QUESTION_BYTES, "an address of {length}");
        assert_eq!(Question::from_bytes(&bytes), Ok(Question::Address(question)));
    }
    for size in [0, 1, 1 << 40, u64::MAX] {
        let question = transparency::Question::new(size, 5, [7; 16]);
        let bytes = question.to_bytes();
        assert_eq!(bytes.len(), QUESTION_BYTES, "a tree of {size}");
        assert_eq!(Question::from_bytes(&bytes), Ok(Question::Tree(question)));
    }
}

#[test]
fn an_address_that_no_mail_can_have_is_not_asked_about() {
    assert_eq!(address::Question::new("", [0; 16]), Err(FindError::Address));
    let long = "a".repeat(ADDRESS_BYTES_MAX + 1);
    assert_eq!(address::Question::new(&long, [0; 16]), Err(FindError::Address));
    assert_eq!(address::Question::new("Bob@Globex.Example", [0; 16]).unwrap().address(), Some(BOB));
}

#[test]
fn every_answer_has_the_same_length_and_verifies() {
    let globex = Globex::new();
    let question = question();
    for size in [1, 2, 3, 64, 100, 1000] {
        let (mode, tree) = bob(size / 2, size);
        for mode in [Mode::Domain, mode] {
            let bytes = globex.answer(&question, mode.clone(), &tree);
            assert_eq!(bytes.len(), ANSWER_BYTES);
            let answer = globex.verify(&bytes, &question).unwrap();
            assert_eq!(answer, address::Answer { mode, tree: tree.head(), at: NOW });
        }
    }
}

#[test]
fn the_longest_proof_fits_and_a_longer_one_is_refused() {
    let globex = Globex::new();
    let (mode, tree) = bob(0, 1);
    let Mode::User(mut person) = mode else { panic!("bob is published") };
    person.proof = vec![[0xff; 32]; 33];
    person.generation = u64::MAX;
    person.index = u64::MAX;
    let longest = globex.answer(&question(), Mode::User(person.clone()), &tree);
    assert_eq!(longest.len(), ANSWER_BYTES);

    person.proof.push([0; 32]);
    let answer = address::Answer { mode: Mode::User(person), tree: tree.head(), at: NOW };
    let refused = answer.sign(&question().to_bytes(), &globex.did(), globex.organisation.device.hybrid());
    assert_eq!(refused, Err(FindError::TooLarge));
}

#[test]
fn an_answer_fits_only_its_question_organisation_and_time() {
    let globex = Globex::new();
    let (mode, tree) = bob(3, 9);
    let bytes = globex.answer(&question(), mode, &tree);

    let other_nonce = address::Question::new(BOB, [2; 16]).unwrap();
    assert_eq!(globex.verify(&bytes, &other_nonce), Err(FindError::OtherQuestion));
    let other_address = address::Question::new("eve@globex.example", [1; 16]).unwrap();
    assert_eq!(globex.verify(&bytes, &other_address), Err(FindError::OtherQuestion));
    let other =
        address::Answer::verify(&bytes, &question(), &Organisation::acme().did(), &globex.devices, NOW);
    assert_eq!(other, Err(FindError::OtherQuestion));
    let at =
        |now: UnixMillis| address::Answer::verify(&bytes, &question(), &globex.did(), &globex.devices, now);
    assert!(at(NOW.saturating_add_ms(CLOCK_SKEW_MS_MAX)).is_ok());
    assert_eq!(at(NOW.saturating_add_ms(CLOCK_SKEW_MS_MAX + 1)), Err(FindError::OtherTime));
    assert!(at(NOW.saturating_sub_ms(CLOCK_SKEW_MS_MAX + 1)).is_err());
}

#[test]
fn an_answer_that_no_device_of_the_organisation_signed_is_refused() {
    let globex = Globex::new();
    let (mode, tree) = bob(3, 9);
    let answer = address::Answer { mode, tree: tree.head(), at: NOW };
    let mallory =
        answer.sign(&question().to_bytes(), &globex.did(), Organisation::acme().device.hybrid()).unwrap();
    assert!(matches!(globex.verify(&mallory, &question()), Err(FindError::BadSignature(_))));
    // A device that counts no more has no say.
    let late = NOW.saturating_add_ms(500 * DAY_MS);
    let bytes = globex.answer(&question(), Mode::Domain, &tree);
    let refused = address::Answer::verify(&bytes, &question(), &globex.did(), &globex.devices, late);
    assert!(matches!(refused, Err(FindError::BadSignature(_))));
}

#[test]
fn every_altered_octet_and_every_cut_of_an_answer_is_noticed() {
    let globex = Globex::new();
    let (mode, tree) = bob(3, 9);
    let bytes = globex.answer(&question(), mode, &tree);
    for at in (0..bytes.len()).step_by(41) {
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        assert!(globex.verify(&altered, &question()).is_err(), "octet {at}");
        assert!(globex.verify(&bytes[..at], &question()).is_err(), "cut at {at}");
    }
}

#[test]
fn a_person_who_is_not_in_the_tree_is_not_believed() {
    let globex = Globex::new();
    let (mode, tree) = bob(3, 9);
    let Mode::User(honest) = mode else { panic!("bob is published") };
    let lies: [fn(&mut Person); 4] = [
        |person| person.did = Organisation::globex().did(),
        |person| person.generation += 1,
        |person| person.index += 1,
        |person| person.salt = [6; 16],
    ];
    for lie in lies {
        let mut person = (*honest).clone();
        lie(&mut person);
        let bytes = globex.answer(&question(), Mode::User(Box::new(person)), &tree);
        assert!(matches!(globex.verify(&bytes, &question()), Err(FindError::BadProof(_))));
    }
}

#[test]
fn hostile_questions_are_refused_by_name() {
    let honest = question().to_bytes();
    assert!(Question::from_bytes(&honest[1..]).is_err());
    assert!(Question::from_bytes(&[honest.as_slice(), &[0]].concat()).is_err());
    assert!(Question::from_bytes(&[]).is_err());
    assert!(Question::from_bytes(&[0x81; QUESTION_BYTES]).is_err());
    // Something rides along in the padding.
    let mut smuggled = honest.clone();
    let last = smuggled.iter().rposition(|octet| *octet == 0).unwrap();
    smuggled[last] = 1;
    assert!(Question::from_bytes(&smuggled).is_err());
    // The text of the kind, altered in place.
    let at = honest.windows(7).position(|window| window == b"address").unwrap();
    let mut other = honest.clone();
    other[at] = b'A';
    assert_eq!(Question::from_bytes(&other), Err(FindError::UnsupportedKind("Address".into())));
}

#[test]
fn an_address_in_another_spelling_than_the_canonical_is_nobodys() {
    let mut bytes = question().to_bytes();
    let at = bytes.windows(3).position(|window| window == b"bob").unwrap();
    for octet in [b'B', 0xff] {
        bytes[at] = octet;
        let Ok(Question::Address(question)) = Question::from_bytes(&bytes) else { panic!("a question") };
        assert_eq!(question.address(), None);
    }
    assert_eq!(canonical("BoB@Globex.EXAMPLE"), BOB);
}

#[test]
fn a_leaf_differs_with_everything_that_it_binds() {
    let (bob, eve) = (Organisation::acme().did(), Organisation::globex().did());
    let honest = Binding { salt: &SALT, address: BOB, did: &bob, generation: 0, state: BindingState::Bound };
    let others = [
        Binding { salt: &[6; 16], ..honest },
        Binding { address: "bo@globex.example", ..honest },
        Binding { did: &eve, ..honest },
        Binding { generation: 1, ..honest },
        Binding { state: BindingState::Unbound, ..honest },
    ];
    assert!(others.iter().all(|other| other.leaf() != honest.leaf()));
    assert_eq!(honest.leaf(), honest.leaf());
}

#[test]
fn a_tree_that_grew_is_proven_and_a_forked_or_cut_one_is_not() {
    let globex = Globex::new();
    let tree: Tree = (0..100).map(filler).collect();
    let fork: Tree = (0..100).map(|at| filler(at + u64::from(at == 40))).collect();
    for (one, other) in [(30, 80), (80, 30), (64, 100), (0, 7), (9, 9)] {
        let question = transparency::Question::new(one, other, [3; 16]);
        let proof = tree.consistency_proof(question.old, question.new).unwrap();
        let answer = transparency::Answer { tree: tree.head(), proof, at: NOW };
        let bytes =
            answer.sign(&question.to_bytes(), &globex.did(), globex.organisation.device.hybrid()).unwrap();
        assert_eq!(bytes.len(), ANSWER_BYTES);
        let read =
            transparency::Answer::verify(&bytes, &question, &globex.did(), &globex.devices, NOW).unwrap();
        let heads = |from: &Tree| (tree.head_at(one).unwrap(), from.head_at(other).unwrap());
        let (a, b) = heads(&tree);
        assert!(read.proves(&a, &b), "{one} and {other}");
        let (a, b) = heads(&fork);
        assert_eq!(read.proves(&a, &b), other <= 40, "{one} and a forked {other}");
    }
    // The organisation shows less than it once did.
    let cut: Tree = (0..20).map(filler).collect();
    let (a, b) = (tree.head_at(15).unwrap(), tree.head_at(30).unwrap());
    let proof = tree.consistency_proof(15, 30).unwrap();
    assert!(!transparency::Answer { tree: cut.head(), proof, at: NOW }.proves(&a, &b));
}

#[test]
fn a_signed_head_verifies_and_an_altered_one_does_not() {
    let globex = Globex::new();
    let head = SignedTreeHead { tree: bob(1, 5).1.head(), at: NOW };
    let bytes = head.sign(&globex.did(), globex.organisation.device.hybrid());
    assert_eq!(SignedTreeHead::verify(&bytes, &globex.did(), &globex.devices), Ok(head));
    assert!(SignedTreeHead::verify(&bytes, &Organisation::acme().did(), &globex.devices).is_err());
    let mallory = head.sign(&globex.did(), Organisation::acme().device.hybrid());
    assert!(SignedTreeHead::verify(&mallory, &globex.did(), &globex.devices).is_err());
    for at in (0..bytes.len()).step_by(97) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(SignedTreeHead::verify(&altered, &globex.did(), &globex.devices).is_err(), "octet {at}");
    }
}
