use dccp::body::BodySealer;
use policies::{ArchiveRule, ArchiveRules};
use zeroize::Zeroizing;

use super::key::PrivateKey;
use super::seal::{Content, OpenError, Opened, open};
use super::*;
use crate::flows::bodies::Edit;
use crate::spool::{KeptHold, LargeBody};

fn vault() -> Arc<Vault> {
    Arc::new(Vault::new(Zeroizing::new([7; 32])))
}

fn rule(days: u32) -> ArchiveRule {
    ArchiveRule { name: "all".to_owned(), ways: vec![], senders: vec![], recipients: vec![], days }
}

/// An archivist with these rules and holds, and the key of its officer.
fn archivist(rules: Vec<ArchiveRule>, kept: Vec<KeptHold>) -> (Archivist, PrivateKey) {
    let key = PrivateKey::generate(&mut rand::rng());
    let law = Law { key: key.public(), rules: ArchiveRules::new(rules) };
    let holds = watch::channel(Arc::new(Holds { kept })).1;
    (Archivist::new(Some(Arc::new(law)), vault(), holds), key)
}

fn asked(octets: &[u8]) -> Candidate<'_> {
    let facts = Facts {
        queue_id: "Q1".to_owned(),
        at_ms: 5 * DAY_MS,
        from: "alice@acme.test".to_owned(),
        to: vec!["bob@globex.test".to_owned(), "Carol@acme.test".to_owned()],
        message_id: Some("1@acme.test".to_owned()),
        ..Facts::default()
    };
    Candidate {
        id: RowId::fresh(),
        facts,
        ways: vec![Way::Out, Way::Inside],
        octets: Stored::Whole(octets.into()),
    }
}

fn hold(addresses: &[&str]) -> KeptHold {
    KeptHold {
        name: "case-7".to_owned(),
        from: UnixMillis(0),
        until: UnixMillis(u64::MAX),
        people: addresses.iter().map(|address| tag_of(&vault(), address)).collect(),
        sealed: vec![],
    }
}

#[test]
fn a_copy_opens_with_the_officers_key_only_and_gives_every_octet_back() {
    let octets = b"Subject: x\r\n\r\n\x00\xff.\r\n";
    let (archivist, key) = archivist(vec![rule(30)], vec![]);
    let archived = archivist.copy(asked(octets)).unwrap().unwrap();
    let copy = archived.copy;
    assert_eq!(
        (copy.rule.as_str(), copy.way, copy.keep_until),
        ("all", CopyWay::Out, UnixMillis(35 * DAY_MS))
    );
    assert!(archived.note.reason.starts_with("archived under rule all for 30 days (archive rules "));
    for clear in ["alice", "bob", "Subject"] {
        assert!(!copy.sealed.windows(clear.len()).any(|window| window == clear.as_bytes()), "{clear}");
    }
    let other = PrivateKey::generate(&mut rand::rng());
    assert_eq!(open(&[other], &copy.sealed).err(), Some(OpenError::OtherKey(key.key_id())));
    let Opened { facts, content } = open(&[key], &copy.sealed).unwrap();
    assert!(content == Content::Octets(Bytes::from_static(octets)));
    assert_eq!(facts.to, ["bob@globex.test", "Carol@acme.test"]);
    assert_eq!((facts.way.as_str(), facts.days), ("out", 30));
}

#[test]
fn a_copy_of_a_large_mail_has_the_key_of_its_body_and_none_of_its_octets() {
    let octets = Bytes::from(b"the takeover of Initech ".repeat(20_000));
    let mut sealer = BodySealer::new(octets.len() as u64, &mut rand::rng()).unwrap();
    let mut rest = octets.clone();
    let mut chunks = Vec::new();
    while let Some(chunk) = sealer.chunk(&mut rest).unwrap() {
        chunks.push(chunk);
    }
    let (body, large) = (sealer.finish().unwrap(), LargeBody::fresh());
    let key_of_body = body.to_bytes()[..32].to_vec();
    let stored = Edit::none(&octets).undone(&octets, &dccp::mail::Content::Body(body), Some(large));
    let (archivist, key) = archivist(vec![rule(30)], vec![]);
    let copy = archivist.copy(Candidate { octets: stored, ..asked(b"") }).unwrap().unwrap().copy;
    assert!(copy.large == Some(large) && copy.sealed.len() < 3_000);
    assert!(!copy.sealed.windows(32).any(|window| window == key_of_body));
    let Content::Body(rendition) = open(&[key], &copy.sealed).unwrap().content else { panic!("a body") };
    let mut rendering = rendition.begin().unwrap();
    let read: Vec<u8> = chunks.iter().flat_map(|chunk| rendering.chunk(chunk).unwrap()).collect();
    assert!(read == octets && rendering.wants().is_none());
}

#[test]
fn every_flipped_octet_and_every_cut_of_a_copy_is_noticed() {
    let (archivist, key) = archivist(vec![rule(1)], vec![]);
    let sealed = archivist.copy(asked(b"octets")).unwrap().unwrap().copy.sealed;
    let keys = [key];
    assert!(open(&keys, &sealed).is_ok());
    for at in 0..sealed.len() {
        let mut altered = sealed.to_vec();
        altered[at] ^= 0x10;
        assert!(open(&keys, &altered).is_err(), "octet {at}");
        assert!(open(&keys, &sealed[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn whom_a_hold_names_by_address_or_domain_is_archived_without_any_rule_and_nobody_else() {
    for (named, kept) in [
        ("bob@globex.test", true),
        ("BOB@Globex.test", true),
        ("globex.test", true),
        ("@acme.test", true),
        ("carol@acme.test", true),
        ("lobex.test", false),
        ("eve@globex.test", false),
    ] {
        let (archivist, _) = archivist(vec![], vec![hold(&[named])]);
        let copy = archivist.copy(asked(b"x")).unwrap().map(|archived| archived.copy);
        assert_eq!(copy.as_ref().map(|copy| copy.rule.as_str()), kept.then_some("case-7"), "{named}");
        assert!(copy.is_none_or(|copy| copy.keep_until == copy.at), "as long as the hold stands");
    }
    let past = KeptHold { until: UnixMillis(5 * DAY_MS), ..hold(&[]) };
    assert!(archivist(vec![], vec![past]).0.copy(asked(b"x")).unwrap().is_none(), "its time is over");
    assert!(archivist(vec![], vec![hold(&[])]).0.copy(asked(b"x")).unwrap().is_some(), "everybody");
}

#[test]
fn without_a_law_nothing_is_archived() {
    let holds = watch::channel(Arc::new(Holds::default())).1;
    assert!(Archivist::new(None, vault(), holds).copy(asked(b"x")).unwrap().is_none());
}

#[test]
fn the_public_half_is_read_back_as_it_was_written_and_another_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.pub");
    let key = PrivateKey::generate(&mut rand::rng()).public();
    std::fs::write(&path, key.text()).unwrap();
    assert_eq!(PublicKey::read(&path).unwrap(), key);
    std::fs::write(&path, key.text().replace("public", "secret")).unwrap();
    assert!(PublicKey::read(&path).unwrap_err().to_string().contains("dccp-archive-public-v1"));
}
