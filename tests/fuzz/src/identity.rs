//! Who an organisation is: logs, manifests, records and the bundle that carries them.

use dccp::did::{Comparison, Head, Log, Manifest, w3c};
use dccp::kem::EncapsulationKey;
use dccp::keys::{Domain, SIGNATURE_BYTES, Signature, VerifyingKey, falcon};
use dccp::limits::{
    DEVICES_MAX, DID_OPERATIONS_MAX, DOMAINS_MAX, NODE_ADDRESSES_MAX, PARTNER_NODES_MAX, PEER_ID_BYTES_MAX,
    STOCK_SERVED_MAX,
};
use dccp::node::NodeRecord;
use dccp::partner::{PartnerFile, VerifiedPartner};
use dccp::prekey::{Prekey, Stock};
use dccp::succession::Notice;
use dccp::suite::KemAlgorithm;
use dccp::{Did, UnixMillis};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::keys::{Acme, NOW, acme};

/// A DID has one spelling.
pub(crate) fn did(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(did) = text.parse::<Did>() else { return false };
    assert_eq!(did.as_str(), text);
    true
}

/// A public key has one encoding, and can be used. The first octet chooses its kind.
pub(crate) fn public_key(octets: &[u8]) -> bool {
    let Some((kind, key)) = octets.split_first() else { return false };
    match kind % 4 {
        0 => verifying_key(key),
        1 => falcon::VerifyingKey::from_bytes(key).map(|read| assert_eq!(read.as_bytes(), key)).is_ok(),
        2 => kem_key(KemAlgorithm::XWing, key),
        _ => kem_key(KemAlgorithm::MlKem768, key),
    }
}

fn verifying_key(octets: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(octets) else { return false };
    assert_eq!(key.to_bytes(), octets, "other octets than were read");
    let signature = Signature::from_bytes(&[7; SIGNATURE_BYTES]).expect("the right length");
    assert!(key.verify(Domain::Message, b"", &signature).is_err(), "sevens sign everything");
    true
}

fn kem_key(algorithm: KemAlgorithm, octets: &[u8]) -> bool {
    let Ok(key) = EncapsulationKey::from_bytes(algorithm, octets) else { return false };
    assert_eq!(key.to_bytes(), octets, "other octets than were read");
    let made = key.encapsulate(&mut StdRng::seed_from_u64(1));
    made.is_ok_and(|(ciphertext, _)| ciphertext.len() == algorithm.ciphertext_bytes())
}

/// A log has one encoding; whatever it says can be shown.
pub(crate) fn log(octets: &[u8]) -> bool {
    let Ok(log) = Log::from_bytes(octets) else { return false };
    assert_eq!(log.to_bytes(), octets, "other octets than were read");
    check_log(&log)
}

/// An operation that was signed as it is. Bits of the first octet: 1 by the operator, 2 by the recovery key, 4 after
/// the genesis of acme.example instead of in front of everything.
pub(crate) fn operation(octets: &[u8]) -> bool {
    let Some((how, body)) = octets.split_first() else { return false };
    let acme = acme();
    let signers = [(1, &acme.operator), (2, &acme.recovery)];
    let signers: Vec<_> = signers.into_iter().filter(|(bit, _)| how & bit != 0).map(|(_, key)| key).collect();
    let operation = Acme::record(Domain::DidOperation, body, &signers);
    let mut log = match how & 4 {
        0 => vec![0x81],
        _ => [&[0x82], &acme.log.to_bytes()[1..]].concat(),
    };
    log.extend(operation);
    let Ok(log) = Log::from_bytes(&log) else { return false };
    if !check_log(&log) {
        return false;
    }
    let continues = how & 4 != 0;
    if continues {
        assert_eq!(acme.log.compare(&log), Comparison::Newer);
        assert_eq!(log.compare(&acme.log), Comparison::Older);
    }
    assert_eq!(log.compare(&log), Comparison::Same);
    true
}

fn check_log(log: &Log) -> bool {
    assert!((1..=DID_OPERATIONS_MAX).contains(&log.history().len()));
    let Ok(document) = log.verify() else { return false };
    assert_eq!(document.did(), &log.did());
    assert_eq!((document.seq(), *document.head_hash()), (log.seq(), log.head_hash()));
    assert!(document.domains().len() <= DOMAINS_MAX);
    let shown = w3c::document(&document, None);
    assert_eq!(shown["id"], document.did().as_str());
    true
}

/// A manifest has one encoding, and is believed or refused.
pub(crate) fn manifest(octets: &[u8]) -> bool {
    let Ok(manifest) = Manifest::from_bytes(octets) else { return false };
    assert_eq!(manifest.to_bytes(), octets, "other octets than were read");
    manifest.verify(&acme().document, NOW).is_ok()
}

/// A manifest that was signed as it is.
pub(crate) fn manifest_body(octets: &[u8]) -> bool {
    let acme = acme();
    let manifest = Manifest::from_bytes(&Acme::record(Domain::Manifest, octets, &[&acme.operator]));
    let Ok(devices) = manifest.and_then(|manifest| manifest.verify(&acme.document, NOW)) else {
        return false;
    };
    assert!((1..=DEVICES_MAX).contains(&devices.iter().count()) && devices.epoch() > 0);
    assert!(w3c::document(&acme.document, Some(&devices)).is_object());
    true
}

/// A node record that was signed as it is.
pub(crate) fn node_record_body(octets: &[u8]) -> bool {
    let acme = acme();
    let record = Acme::record(Domain::NodeRecord, octets, &[&acme.operator]);
    _ = NodeRecord::claimed_did(&record);
    let Ok(node) = NodeRecord::verify(&record, &acme.document, NOW) else { return false };
    assert!(node.peer_id.len() <= PEER_ID_BYTES_MAX && node.addresses.len() <= NODE_ADDRESSES_MAX);
    let again = node.sign(&acme.operator).expect("what was accepted can be signed");
    assert_eq!(NodeRecord::verify(&again, &acme.document, NOW), Ok(node));
    true
}

/// A prekey that was signed as it is.
pub(crate) fn prekey_body(octets: &[u8]) -> bool {
    let acme = acme();
    let record = Acme::record(Domain::Prekey, octets, &[&acme.operator]);
    let Ok(prekey) = Prekey::verify(&record, &acme.document, NOW) else { return false };
    let again = prekey.sign(&acme.operator);
    assert_eq!(Prekey::verify(&again, &acme.document, NOW), Ok(prekey));
    true
}

/// A stock of one-time prekeys has one encoding; each key that is believed is another one.
pub(crate) fn stock(octets: &[u8]) -> bool {
    let Ok(stock) = Stock::from_bytes(octets) else { return false };
    assert_eq!(stock.to_bytes(), octets, "other octets than were read");
    let Ok(keys) = stock.verify(&acme().document, NOW) else { return false };
    assert!(keys.len() == stock.keys.len() && keys.len() <= STOCK_SERVED_MAX);
    assert!(keys.iter().enumerate().all(|(at, key)| !keys[..at].contains(key)));
    true
}

/// The root of a stock that was signed as it is: the first octets are its length, the rest is one key with its proof.
pub(crate) fn stock_root_body(octets: &[u8]) -> bool {
    let acme = acme();
    let Some((length, rest)) = octets.split_first_chunk() else { return false };
    let (body, key) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
    let root_record = Acme::record(Domain::PrekeyStock, body, &[&acme.operator]);
    let stock = Stock { root_record, keys: vec![key.to_vec()] };
    let Ok(keys) = stock.verify(&acme.document, NOW) else { return false };
    assert!(keys.iter().all(|key| key.key_id == key.kem.key_id() && key.did == *acme.document.did()));
    true
}

/// A succession notice that both sides signed as it is.
pub(crate) fn succession_body(octets: &[u8]) -> bool {
    let acme = acme();
    let half = |key| Acme::record(Domain::Succession, octets, &[key]);
    let Ok(notice) = Notice::join(&half(&acme.operator), &half(&acme.heir_operator)) else { return false };
    assert_eq!(
        Notice::from_bytes(&notice.to_bytes()).as_ref(),
        Ok(&notice),
        "another notice when read again"
    );
    let Ok(says) = notice.verify(&acme.document, &acme.heir, NOW) else { return false };
    assert!(acme.heir.domains().contains(&says.domain));
    true
}

/// A succession notice has one encoding.
pub(crate) fn succession(octets: &[u8]) -> bool {
    let Ok(notice) = Notice::from_bytes(octets) else { return false };
    assert_eq!(notice.to_bytes(), octets, "other octets than were read");
    let acme = acme();
    notice.verify(&acme.document, &acme.heir, NOW).is_ok()
}

/// A head record that was signed as it is.
pub(crate) fn head_body(octets: &[u8]) -> bool {
    let acme = acme();
    let record = Acme::record(Domain::Head, octets, &[&acme.operator]);
    let claimed = Head::claimed(&record);
    let Ok(head) = Head::verify(&record, &acme.document, NOW) else { return false };
    assert_eq!(claimed.as_ref(), Ok(&head), "less was claimed than verified");
    assert!(head.nodes.len() <= PARTNER_NODES_MAX && !head.newer_than(&head) && !head.contradicts(&head));
    let again = head.sign(&acme.operator).expect("what was accepted can be signed");
    assert_eq!(Head::verify(&again, &acme.document, NOW), Ok(head));
    true
}

/// A partner's bundle has one encoding, and is believed or refused as a whole.
pub(crate) fn bundle(octets: &[u8]) -> bool {
    let Ok(file) = PartnerFile::from_bytes(octets) else { return false };
    assert_eq!(file.to_bytes(), octets, "other octets than were read");
    check_partner(&file)
}

/// A partner file as text reads back as the same records.
pub(crate) fn partner_file(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(file) = PartnerFile::from_text(text) else { return false };
    let again = PartnerFile::from_text(&file.to_text()).expect("our own text");
    assert_eq!(again.to_bytes(), file.to_bytes());
    check_partner(&file)
}

fn check_partner(file: &PartnerFile) -> bool {
    for now in [NOW, UnixMillis(0), UnixMillis(u64::MAX)] {
        let Ok(VerifiedPartner { document, nodes, .. }) = file.verify(now) else { continue };
        assert_eq!(document.did(), &file.log.did());
        assert!(nodes.len() <= PARTNER_NODES_MAX);
    }
    file.verify(NOW).is_ok()
}
