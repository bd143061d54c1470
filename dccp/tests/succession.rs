//! A domain goes over to another DID only when the owners of both say so.

mod common;

use common::{DAY_MS, NOW, Organisation};
use dccp::did::DidDocument;
use dccp::keys::BadSignature;
use dccp::limits::SUCCESSION_BYTES_MAX;
use dccp::succession::{Notice, OVERLAP_MS, Succession};
use dccp::{CborError, RecordError, UnixMillis};

const DOMAIN: &str = "globex.example";

fn says(old: &Organisation, new: &Organisation) -> Succession {
    Succession { old: old.did(), new: new.did(), domain: DOMAIN.into(), not_before: NOW }
}

fn sides() -> (Organisation, Organisation) {
    (Organisation::new(DOMAIN, 10), Organisation::new(DOMAIN, 50))
}

fn documents(old: &Organisation, new: &Organisation) -> (DidDocument, DidDocument) {
    (old.log.verify().unwrap(), new.log.verify().unwrap())
}

fn signed_by_both(old: &Organisation, new: &Organisation) -> Notice {
    let says = says(old, new);
    Notice::join(&says.sign(&[&old.operator]), &says.sign(&[&new.operator])).unwrap()
}

#[test]
fn a_notice_of_both_counts_for_seven_days() {
    let (old, new) = sides();
    let notice = Notice::from_bytes(&signed_by_both(&old, &new).to_bytes()).unwrap();
    let (old_document, new_document) = documents(&old, &new);
    let at = |now| notice.verify(&old_document, &new_document, now).cloned();
    assert_eq!(at(NOW), Ok(says(&old, &new)));
    assert_eq!(at(NOW.saturating_add_ms(OVERLAP_MS - 1)), Ok(says(&old, &new)));
    assert_eq!(at(NOW.saturating_add_ms(OVERLAP_MS + DAY_MS)), Err(RecordError::Expired));
    assert_eq!(at(NOW.saturating_sub_ms(DAY_MS)), Err(RecordError::NotYetValid));
    assert_eq!(OVERLAP_MS, 7 * DAY_MS);
}

#[test]
fn neither_owner_can_speak_for_the_other() {
    let (old, new) = sides();
    let (old_document, new_document) = documents(&old, &new);
    let says = says(&old, &new);
    let halves = [says.sign(&[&old.operator]), says.sign(&[&new.operator])];
    for (one, other) in [(0, 0), (1, 1), (1, 0)] {
        let notice = Notice::join(&halves[one], &halves[other]).unwrap();
        let error = notice.verify(&old_document, &new_document, NOW).unwrap_err();
        assert_eq!(error, RecordError::BadSignature(BadSignature), "{one} {other}");
    }
}

#[test]
fn a_notice_counts_for_its_own_dids_and_for_a_domain_that_both_name() {
    let (old, new) = sides();
    let (old_document, new_document) = documents(&old, &new);
    let notice = signed_by_both(&old, &new);
    assert_eq!(notice.verify(&new_document, &old_document, NOW), Err(RecordError::OtherDid));
    let elsewhere = Organisation::new("other.example", 90);
    let notice = signed_by_both(&old, &elsewhere);
    let elsewhere = elsewhere.log.verify().unwrap();
    assert_eq!(notice.verify(&old_document, &elsewhere, NOW), Err(RecordError::OutOfBounds("dom")));
}

#[test]
fn halves_that_say_different_things_are_no_notice() {
    let (old, new) = sides();
    let later = Succession { not_before: UnixMillis(NOW.0 + 1), ..says(&old, &new) };
    let halves = (says(&old, &new).sign(&[&old.operator]), later.sign(&[&new.operator]));
    assert_eq!(Notice::join(&halves.0, &halves.1), Err(RecordError::OutOfBounds("b")));
    let oneself = Succession { new: old.did(), ..says(&old, &new) }.sign(&[&old.operator]);
    assert_eq!(Notice::join(&oneself, &oneself), Err(RecordError::OutOfBounds("new")));
    let no_domain = Succession { domain: "a".repeat(254), ..says(&old, &new) }.sign(&[&old.operator]);
    assert_eq!(Notice::join(&no_domain, &no_domain), Err(RecordError::OutOfBounds("dom")));
}

#[test]
fn bytes_that_are_no_notice_are_refused() {
    let (old, new) = sides();
    let bytes = signed_by_both(&old, &new).to_bytes();
    for length in 0..bytes.len() {
        assert!(Notice::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
    let too_large = vec![0; SUCCESSION_BYTES_MAX + 1];
    let error = CborError::TooLarge { max: SUCCESSION_BYTES_MAX };
    assert_eq!(Notice::from_bytes(&too_large), Err(RecordError::Malformed(error)));
}
