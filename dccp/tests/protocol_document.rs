//! `docs/PROTOCOL.md` and the golden files say what the code does.

mod common;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use common::{NOW, Organisation};
use dccp::did::{Aka, Commitment, Custody, EndpointId, OperationKind};
use dccp::keys::Domain;
use dccp::message::{Class, FsClass};
use dccp::partner::PartnerFile;
use dccp::seal::{SealedMessage, mailbox, unseal};
use dccp::{Suite, find, limits, prekey};

const DOCUMENT: &str = include_str!("../../docs/PROTOCOL.md");

fn assert_documented(needle: &str) {
    assert!(DOCUMENT.contains(needle), "docs/PROTOCOL.md does not say: {needle}");
}

#[test]
fn the_test_vectors_of_the_document_hold() {
    for (name, organisation) in [("acme", Organisation::acme()), ("globex", Organisation::globex())] {
        let row = |what: &str, value: String| assert_documented(&format!("| {name} {what} | `{value}` |"));
        row("DID", organisation.did().to_string());
        row("operator key id", organisation.operator.verifying_key().key_id().to_string());
        row("device signing key id", organisation.device.verifying_key().key_id().to_string());
        row("device KEM key id", organisation.device_kem.encapsulation_key().key_id().to_string());
        row("prekey key id", organisation.prekey.encapsulation_key().key_id().to_string());
        row("mailbox tag", hex::encode(mailbox(&organisation.did(), NOW)));
    }
}

#[test]
fn the_labels_of_the_document_are_those_that_are_signed() {
    let domains = [
        Domain::DidOperation,
        Domain::Manifest,
        Domain::NodeRecord,
        Domain::Prekey,
        Domain::PrekeyStock,
        Domain::Head,
        Domain::Message,
        Domain::Batch,
        Domain::FindAnswer,
        Domain::TreeHead,
    ];
    for domain in domains {
        let label = std::str::from_utf8(domain.label()).unwrap().replace('\0', "\\0");
        assert_documented(&format!("`{label}`"));
    }
}

/// The formulas of §4.2, worked by hand.
#[test]
fn commitments_are_made_as_the_document_says() {
    let key = Organisation::acme().operator.verifying_key().clone();
    let sha256 = |octets: &[u8]| digest(&SHA256, octets).as_ref().to_vec();
    let commitment = [b"DCCP-KEY-COMMIT-v1\0".as_slice(), &[0, 1], &key.to_bytes()].concat();
    assert_eq!(Commitment::of(&key).as_bytes()[..], sha256(&commitment));
    let aka = [b"DCCP-AKA-v1\0".as_slice(), &[7; 16], b"ann@acme.example"].concat();
    assert_eq!(Aka::of(&[7; 16], "Ann@Acme.example").as_bytes()[..], sha256(&aka));
    assert_documented("`SHA-256(\"DCCP-KEY-COMMIT-v1\\0\" ‖ algorithm id (u16) ‖ public key)`");
    assert_documented("`SHA-256(\"DCCP-AKA-v1\\0\" ‖ salt (16) ‖ address)`");
}

#[test]
fn the_words_of_a_log_are_those_of_the_document() {
    let kinds =
        [OperationKind::Genesis, OperationKind::Update, OperationKind::Rotate, OperationKind::Deactivate];
    kinds.iter().for_each(|kind| assert_documented(&format!("`{}`", kind.as_str())));
    let custodies = [Custody::Org, Custody::Joint, Custody::Own];
    custodies.iter().for_each(|custody| assert_documented(&format!("`{}`", custody.as_str())));
    EndpointId::ALL.iter().for_each(|id| assert_documented(&format!("`#{}`", id.as_str())));
}

#[test]
fn the_suites_of_the_document_are_those_that_are_spoken() {
    for suite in Suite::ALL {
        assert_documented(&format!("| {suite} | "));
        let signature = suite.choices().signature.signature_bytes();
        assert_documented(&format!("{signature} octets"));
        let kem = suite.choices().kem;
        assert_documented(&format!("{}-octet encapsulation key", kem.encapsulation_key_bytes()));
        assert_documented(&format!("{}-octet ciphertext", kem.ciphertext_bytes()));
    }
}

#[test]
fn the_limits_of_the_document_are_those_of_the_code() {
    let limits = [
        ("PAYLOAD_BYTES_MAX", limits::PAYLOAD_BYTES_MAX as u64),
        ("SEALED_BYTES_MAX", limits::SEALED_BYTES_MAX as u64),
        ("FRAME_BYTES_MAX", limits::FRAME_BYTES_MAX as u64),
        ("BODY_BYTES_MAX", limits::BODY_BYTES_MAX),
        ("CHUNKS_MAX", limits::CHUNKS_MAX.into()),
        ("INLINE_BYTES_MAX", limits::INLINE_BYTES_MAX as u64),
        ("CONTROL_FRAME_BYTES_MAX", limits::CONTROL_FRAME_BYTES_MAX as u64),
        ("RECIPIENTS_MAX", limits::RECIPIENTS_MAX as u64),
        ("CONTENT_TYPE_BYTES_MAX", limits::CONTENT_TYPE_BYTES_MAX as u64),
        ("LIFETIME_MS_MAX", limits::LIFETIME_MS_MAX),
        ("CLOCK_SKEW_MS_MAX", limits::CLOCK_SKEW_MS_MAX),
        ("BATCH_MESSAGES_MAX", limits::BATCH_MESSAGES_MAX as u64),
        ("SESSION_MESSAGES_MAX", limits::SESSION_MESSAGES_MAX),
        ("SESSION_MS_MAX", limits::SESSION_MS_MAX),
        ("STOCK_KEYS_MAX", limits::STOCK_KEYS_MAX as u64),
        ("STOCK_SERVED_MAX", limits::STOCK_SERVED_MAX as u64),
        ("STOCK_BYTES_MAX", limits::STOCK_BYTES_MAX as u64),
        ("DID_OPERATION_BYTES_MAX", limits::DID_OPERATION_BYTES_MAX as u64),
        ("DID_OPERATIONS_MAX", limits::DID_OPERATIONS_MAX as u64),
        ("DID_LOG_BYTES_MAX", limits::DID_LOG_BYTES_MAX as u64),
        ("QUORUM_MEMBERS_MAX", limits::QUORUM_MEMBERS_MAX as u64),
        ("SIGNATURES_MAX", limits::SIGNATURES_MAX as u64),
        ("AKA_MAX", limits::AKA_MAX as u64),
        ("ENDPOINT_BYTES_MAX", limits::ENDPOINT_BYTES_MAX as u64),
        ("WITNESSES_MAX", limits::WITNESSES_MAX as u64),
        ("DOMAINS_MAX", limits::DOMAINS_MAX as u64),
        ("DOMAIN_BYTES_MAX", limits::DOMAIN_BYTES_MAX as u64),
        ("DEVICES_MAX", limits::DEVICES_MAX as u64),
        ("DEVICE_ID_BYTES_MAX", limits::DEVICE_ID_BYTES_MAX as u64),
        ("MANIFEST_BYTES_MAX", limits::MANIFEST_BYTES_MAX as u64),
        ("ADDRESS_BYTES_MAX", limits::ADDRESS_BYTES_MAX as u64),
        ("QUESTION_BYTES", find::QUESTION_BYTES as u64),
        ("ANSWER_BYTES", find::ANSWER_BYTES as u64),
        ("FIND_PROOF_HASHES_MAX", find::FIND_PROOF_HASHES_MAX as u64),
        ("RECORD_BYTES_MAX", limits::RECORD_BYTES_MAX as u64),
        ("HEAD_LIFETIME_MS_MAX", limits::HEAD_LIFETIME_MS_MAX),
        ("NODE_ADDRESSES_MAX", limits::NODE_ADDRESSES_MAX as u64),
        ("NODE_ADDRESS_BYTES_MAX", limits::NODE_ADDRESS_BYTES_MAX as u64),
        ("PEER_ID_BYTES_MAX", limits::PEER_ID_BYTES_MAX as u64),
        ("PARTNER_NODES_MAX", limits::PARTNER_NODES_MAX as u64),
        ("PREKEYS_MAX", limits::PREKEYS_MAX as u64),
        ("BUNDLE_BYTES_MAX", limits::BUNDLE_BYTES_MAX as u64),
        ("PARTNER_TEXT_BYTES_MAX", limits::PARTNER_TEXT_BYTES_MAX as u64),
        ("FORWARD_PATHS_MAX", limits::FORWARD_PATHS_MAX as u64),
        ("PATH_BYTES_MAX", limits::PATH_BYTES_MAX as u64),
        ("RECEIPTS_MAX", limits::RECEIPTS_MAX as u64),
        ("OUTCOMES_MAX", limits::OUTCOMES_MAX as u64),
        ("DIAGNOSTIC_BYTES_MAX", limits::DIAGNOSTIC_BYTES_MAX as u64),
        ("STATUS_BYTES_MAX", limits::STATUS_BYTES_MAX as u64),
        ("RECEIPTS_BYTES_MAX", limits::RECEIPTS_BYTES_MAX as u64),
        ("REFUSALS_MAX", limits::REFUSALS_MAX as u64),
        ("REASON_BYTES_MAX", limits::REASON_BYTES_MAX as u64),
        ("EPOCH_MS", prekey::EPOCH_MS),
    ];
    for (name, value) in limits {
        assert_documented(&format!("| `{name}` | {value} |"));
    }
}

#[test]
fn the_schema_in_the_document_is_the_schema_that_is_compiled() {
    let schema = include_str!("../proto/dccp.proto");
    let messages = &schema[schema.find("message SealedMessage").unwrap()..];
    for line in messages.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        assert_documented(line);
    }
}

#[test]
fn a_sealed_message_of_the_first_release_still_opens() {
    let (acme, globex) = (Organisation::acme(), Organisation::globex());
    let text = include_str!("vectors/sealed-v1.hex").split_whitespace().collect::<String>();
    let sealed = SealedMessage::parse(Bytes::from(hex::decode(text).unwrap())).unwrap();
    let unverified = unseal(&sealed, &globex.opener()).unwrap();
    assert_eq!(unverified.sender(), &acme.did());
    let message = unverified.verify(acme.device.verifying_key(), &globex.did(), NOW).unwrap().message;

    assert_eq!(&message.payload[..], b"Hello, Globex.");
    assert_eq!(message.message_id.to_string(), "01a31c5b-1c00-7000-8000-000000000001");
    assert_eq!(message.expires, NOW.saturating_add_ms(3_600_000));
    assert_eq!((message.class, message.fs_class), (Class::Normal, FsClass::Static));
}

#[test]
fn a_partner_file_of_the_first_release_still_verifies() {
    let acme = Organisation::acme();
    let file = PartnerFile::from_text(include_str!("vectors/acme.partner")).unwrap();
    let partner = file.verify(NOW).unwrap();
    assert_eq!(partner.document.did(), &acme.did());
    assert_eq!(partner.nodes, [acme.node(30)]);
    assert_eq!(partner.prekeys, [acme.prekey(0), acme.prekey(1)]);
}
