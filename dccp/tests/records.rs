//! Node records, prekeys and the partner file that carries them.

mod common;

use common::{DAY_MS, NOW, Organisation};
use dccp::node::NodeRecord;
use dccp::partner::{PartnerError, PartnerFile, fingerprint};
use dccp::prekey::{Prekey, epoch_of};
use dccp::{RecordError, UnixMillis};

#[test]
fn a_node_record_binds_a_peer_to_its_organisation() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let signed = acme.node(30).sign(&acme.operator).unwrap();
    assert_eq!(NodeRecord::verify(&signed, &document, NOW), Ok(acme.node(30)));
    assert_eq!(NodeRecord::claimed_did(&signed), Ok(acme.did()));
}

#[test]
fn a_node_record_of_another_organisation_or_key_or_time_is_refused() {
    let (acme, globex) = (Organisation::acme(), Organisation::globex());
    let document = acme.log.verify().unwrap();
    let verify = |bytes: Vec<u8>, now| NodeRecord::verify(&bytes, &document, now).unwrap_err();

    let forged = acme.node(30).sign(&globex.operator).unwrap();
    assert!(matches!(verify(forged, NOW), RecordError::BadSignature(_)));
    let foreign = globex.node(30).sign(&acme.operator).unwrap();
    assert_eq!(verify(foreign, NOW), RecordError::OtherDid);
    let prekey = acme.prekey(0).sign(&acme.operator);
    assert!(matches!(verify(prekey, NOW), RecordError::BadSignature(_)), "a signature for another purpose");

    let good = acme.node(30).sign(&acme.operator).unwrap();
    assert_eq!(verify(good.clone(), NOW.saturating_add_ms(31 * DAY_MS)), RecordError::Expired);
    assert_eq!(verify(good, NOW.saturating_sub_ms(DAY_MS)), RecordError::NotYetValid);
}

#[test]
fn node_records_out_of_bounds_are_not_signed() {
    let acme = Organisation::acme();
    let refused = |change: fn(&mut NodeRecord)| {
        let mut node = acme.node(30);
        change(&mut node);
        node.sign(&acme.operator).unwrap_err()
    };
    assert_eq!(refused(|node| node.peer_id = vec![]), RecordError::OutOfBounds("peer"));
    assert_eq!(refused(|node| node.peer_id = vec![0; 65]), RecordError::OutOfBounds("peer"));
    assert_eq!(refused(|node| node.addresses = vec!["/ip4".into(); 17]), RecordError::OutOfBounds("addr"));
    assert_eq!(refused(|node| node.addresses = vec!["a b".into()]), RecordError::OutOfBounds("addr"));
    assert_eq!(refused(|node| node.expires = node.not_before), RecordError::OutOfBounds("exp"));
}

#[test]
fn a_prekey_counts_on_its_day_and_the_day_before() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let verify =
        |days_ahead, now| Prekey::verify(&acme.prekey(days_ahead).sign(&acme.operator), &document, now);

    assert_eq!(verify(0, NOW), Ok(acme.prekey(0)));
    assert_eq!(verify(1, NOW), Ok(acme.prekey(1)));
    assert!(acme.prekey(0).is_current_at(NOW) && !acme.prekey(1).is_current_at(NOW));
    assert_eq!(verify(2, NOW), Err(RecordError::NotYetValid));
    assert_eq!(verify(0, NOW.saturating_add_ms(DAY_MS)), Err(RecordError::Expired));
}

#[test]
fn a_forged_or_foreign_prekey_is_refused() {
    let (acme, globex) = (Organisation::acme(), Organisation::globex());
    let document = acme.log.verify().unwrap();
    let forged = acme.prekey(0).sign(&globex.operator);
    assert!(matches!(Prekey::verify(&forged, &document, NOW), Err(RecordError::BadSignature(_))));
    let foreign = globex.prekey(0).sign(&acme.operator);
    assert_eq!(Prekey::verify(&foreign, &document, NOW), Err(RecordError::OtherDid));
}

#[test]
fn epochs_are_utc_days() {
    assert_eq!(epoch_of(UnixMillis(0)), 0);
    assert_eq!(epoch_of(UnixMillis(DAY_MS - 1)), 0);
    assert_eq!(epoch_of(UnixMillis(DAY_MS)), 1);
}

#[test]
fn any_altered_octet_of_a_record_is_noticed() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let signed = acme.node(30).sign(&acme.operator).unwrap();
    for at in (0..signed.len()).step_by(7) {
        let mut altered = signed.clone();
        altered[at] ^= 1;
        assert!(NodeRecord::verify(&altered, &document, NOW).is_err(), "octet {at}");
    }
    assert!(NodeRecord::verify(&signed[..signed.len() - 1], &document, NOW).is_err());
}

#[test]
fn a_partner_file_carries_everything_to_write_to_an_organisation() {
    let acme = Organisation::acme();
    let text = acme.partner_file().to_text();
    let partner = PartnerFile::from_text(&text).unwrap().verify(NOW).unwrap();

    assert_eq!(partner.document.did(), &acme.did());
    assert_eq!(partner.document.domains(), ["acme.example"]);
    assert_eq!(partner.devices.iter().next().unwrap().signing, *acme.device.verifying_key());
    assert_eq!(partner.nodes, [acme.node(30)]);
    assert_eq!(partner.prekeys, [acme.prekey(0), acme.prekey(1)]);
}

#[test]
fn the_lines_above_the_block_are_for_people_only() {
    let acme = Organisation::acme();
    let text = acme.partner_file().to_text();
    assert!(text.contains("acme.example") && text.contains(&fingerprint(&acme.did())));
    let lied = text.replace("acme.example", "bank.example").replace('\n', "\r\n");
    let partner = PartnerFile::from_text(&lied).unwrap().verify(NOW).unwrap();
    assert_eq!(partner.document.domains(), ["acme.example"]);
}

#[test]
fn a_fingerprint_is_the_did_in_groups_of_four() {
    let did = Organisation::acme().did();
    let fingerprint = fingerprint(&did);
    let groups: Vec<_> = fingerprint.split(' ').collect();
    assert!(groups.len() == 13 && groups.iter().all(|group| group.len() == 4));
    assert_eq!(format!("did:dccp:1{}", groups.concat()), did.as_str());
}

#[test]
fn a_partner_file_with_a_foreign_part_is_refused_whole() {
    let (acme, globex) = (Organisation::acme(), Organisation::globex());
    let refused = |change: &dyn Fn(&mut PartnerFile)| {
        let mut file = acme.partner_file();
        change(&mut file);
        PartnerFile::from_text(&file.to_text()).unwrap().verify(NOW).unwrap_err()
    };
    let manifest = refused(&|file| file.manifest = globex.manifest());
    assert!(matches!(manifest, PartnerError::Manifest(RecordError::BadSignature(_))));
    let node = refused(&|file| file.nodes.push(globex.node(30).sign(&globex.operator).unwrap()));
    assert!(matches!(node, PartnerError::Node(RecordError::BadSignature(_))));
    let prekey = refused(&|file| file.prekeys.push(acme.prekey(0).sign(&globex.operator)));
    assert!(matches!(prekey, PartnerError::Prekey(RecordError::BadSignature(_))));
}

#[test]
fn an_older_partner_file_loses_its_prekeys_but_not_its_use() {
    let acme = Organisation::acme();
    let file = acme.partner_file();
    let week_later = file.verify(NOW.saturating_add_ms(7 * DAY_MS)).unwrap();
    assert!(week_later.prekeys.is_empty() && week_later.nodes.len() == 1);
    let month_later = file.verify(NOW.saturating_add_ms(31 * DAY_MS)).unwrap_err();
    assert_eq!(month_later, PartnerError::Node(RecordError::Expired));
}

#[test]
fn what_is_not_one_armoured_block_is_not_a_partner_file() {
    let text = Organisation::acme().partner_file().to_text();
    let begin = text.find("-----BEGIN").unwrap();
    let twice = format!("{text}{text}");
    for not in [
        "",
        "hello",
        &text[..begin],
        &text[..text.len() - 30],
        &twice,
        &text.replace("-----BEGIN", "---BEGIN"),
    ] {
        assert_eq!(PartnerFile::from_text(not).unwrap_err(), PartnerError::NotAPartnerFile);
    }
    assert_eq!(PartnerFile::from_text(&"x".repeat(5_000_000)).unwrap_err(), PartnerError::TooLarge);
}
