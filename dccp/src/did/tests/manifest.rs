use super::*;
use crate::keys::{DeviceVerifier, falcon};

#[test]
fn a_manifest_names_the_devices_that_sign_and_open() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let manifest =
        Manifest::sign(document.did(), 3, &[acme.device()], &[Suite::X0001], &[&acme.operator]).unwrap();
    let devices = Manifest::from_bytes(&manifest.to_bytes()).unwrap().verify(&document, NOW).unwrap();

    assert_eq!(devices.epoch(), 3);
    assert_eq!(devices.iter().collect::<Vec<_>>(), [&acme.device()]);
    let key_id = acme.device().signing.key_id();
    assert_eq!(devices.signer(key_id, NOW), Some(&acme.device().signing));
    assert_eq!(devices.signer(acme.operator.verifying_key().key_id(), NOW), None);
    let too_late = acme.device().expires.saturating_add_ms(crate::limits::CLOCK_SKEW_MS_MAX);
    assert_eq!(devices.signer(key_id, too_late), None);
}

#[test]
fn a_manifest_counts_only_with_the_operators_signature_for_this_did_and_time() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let sign = |did: &Did, epoch, key: &SigningKey| {
        Manifest::sign(did, epoch, &[acme.device()], &[Suite::X0001], &[key]).unwrap()
    };

    let forged = sign(document.did(), 1, &SigningKey::from_seed(&[5; 64]));
    assert!(matches!(forged.verify(&document, NOW), Err(RecordError::BadSignature(_))));
    let founding = Founding { domains: vec!["other.example".into()], ..acme.founding() };
    let other = found(&founding, &[&acme.operator]).unwrap().did();
    assert_eq!(sign(&other, 1, &acme.operator).verify(&document, NOW), Err(RecordError::OtherDid));
    let epoch_0 = sign(document.did(), 0, &acme.operator);
    assert_eq!(epoch_0.verify(&document, NOW), Err(RecordError::OutOfBounds("epoch")));

    let good = sign(document.did(), 1, &acme.operator);
    let (early, late) = (UnixMillis(0), acme.device().expires.saturating_add_ms(1_000_000));
    assert_eq!(good.verify(&document, early), Err(RecordError::NotYetValid));
    assert_eq!(good.verify(&document, late), Err(RecordError::Expired));
}

#[test]
fn malformed_device_lists_are_not_signed_and_not_believed() {
    let acme = Acme::new();
    let did = acme.log().did();
    let device = acme.device();
    let sign = |devices: &[Device]| {
        Manifest::sign(&did, 1, devices, &[Suite::X0001], &[&acme.operator]).unwrap_err()
    };

    assert_eq!(sign(&[]), RecordError::OutOfBounds("dev"));
    assert_eq!(sign(&vec![device.clone(); 33]), RecordError::OutOfBounds("dev"));
    assert_eq!(sign(&[device.clone(), device.clone()]), RecordError::OutOfBounds("id"));
    assert_eq!(sign(&[Device { id: "a b".into(), ..device.clone() }]), RecordError::OutOfBounds("id"));
    assert_eq!(sign(&[Device { expires: device.not_before, ..device }]), RecordError::OutOfBounds("exp"));
}

#[test]
fn a_manifest_that_offers_only_other_suites_is_refused_by_id() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let manifest =
        Manifest::sign(document.did(), 1, &[acme.device()], &[Suite::X0001], &[&acme.operator]).unwrap();
    let signed = SignedBody::from_bytes(&manifest.to_bytes(), 1 << 16).unwrap();
    let Ok(Value::Map(fields)) = cbor::decode(&signed.body, 1 << 16) else { panic!() };
    let with_suites = |suites: &[u64]| {
        let suites = Value::Array(suites.iter().copied().map(Value::Unsigned).collect());
        let body = Value::Map(change(fields.clone(), "su", Some(suites)));
        let signed = SignedBody::sign(Domain::Manifest, &body, &acme.operator);
        Manifest::from_bytes(&signed.to_bytes()).unwrap().verify(&document, NOW)
    };
    assert_eq!(with_suites(&[0x0003]), Err(crate::UnsupportedSuite(3).into()));
    assert!(with_suites(&[0x0001, 0x0002]).is_ok());
    let later = with_suites(&[0x0001, 0x0102, 0x0999]).unwrap();
    assert_eq!(later.suites(), [Suite::X0001, Suite::X0102], "suites of later versions are left out");
    assert_eq!(with_suites(&[0x0002, 0x0001]), Err(RecordError::OutOfBounds("su")));
    assert_eq!(with_suites(&[0x0001, 0x0001]), Err(RecordError::OutOfBounds("su")));

    let sign = |suites: &[Suite]| {
        Manifest::sign(document.did(), 1, &[acme.device()], suites, &[&acme.operator]).map(|_| ())
    };
    assert_eq!(sign(&[Suite::X0002, Suite::X0001]), Ok(()), "in any order");
    assert_eq!(sign(&[]), Err(RecordError::OutOfBounds("su")));
    assert_eq!(sign(&[Suite::X0001; 2]), Err(RecordError::OutOfBounds("su")));
}

#[test]
fn a_revoked_device_counts_until_its_revocation_and_no_longer() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let revoked_at = NOW.saturating_add_ms(1_000);
    let lost = Device { id: "gw-2".into(), revoked: Some(revoked_at), ..acme.device() };
    let devices = [lost.clone(), Device { signing: other_signer(), ..acme.device() }];
    let manifest = Manifest::sign(document.did(), 2, &devices, &[Suite::X0001], &[&acme.operator]).unwrap();
    let verified = Manifest::from_bytes(&manifest.to_bytes()).unwrap().verify(&document, NOW).unwrap();
    assert_eq!(verified.iter().next(), Some(&lost));

    let key_id = lost.signing.key_id();
    assert!(verified.signer(key_id, revoked_at.saturating_sub_ms(1)).is_some());
    assert_eq!(verified.signer(key_id, revoked_at), None, "no skew is allowed for");
    assert_eq!(verified.valid_at(revoked_at).count(), 1);

    let alone = Manifest::sign(document.did(), 3, &devices[..1], &[Suite::X0001], &[&acme.operator]).unwrap();
    assert_eq!(alone.verify(&document, revoked_at), Err(RecordError::Expired), "no device counts");
    let before_it_began = Device { revoked: Some(NOW.saturating_sub_ms(1)), ..lost };
    let refused = Manifest::sign(document.did(), 4, &[before_it_began], &[Suite::X0001], &[&acme.operator])
        .unwrap_err();
    assert_eq!(refused, RecordError::OutOfBounds("rev"));
}

#[test]
fn a_device_may_have_an_fn_dsa_key() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let device = Device { signing: experimental_signer(), ..acme.device() };
    let sign = |device: Device| {
        let suites = [Suite::X0001, Suite::X0102];
        Manifest::sign(document.did(), 1, &[device], &suites, &[&acme.operator]).unwrap()
    };
    let verified = sign(device.clone()).verify(&document, NOW).unwrap();
    assert_eq!(verified.iter().collect::<Vec<_>>(), [&device]);
    assert!(verified.iter().all(|device| device.signing.signs_for(Suite::X0102)));
    let plain = sign(acme.device()).verify(&document, NOW).unwrap();
    assert!(plain.iter().all(|device| !device.signing.signs_for(Suite::X0102)));

    let spoils: [fn(&mut Vec<u8>); 4] =
        [|key| key[1] = 1, |key| key.truncate(898), |key| key[2] = 0xff, Vec::clear];
    for spoil in spoils {
        let signed = SignedBody::from_bytes(&sign(device.clone()).to_bytes(), 1 << 16).unwrap();
        let Ok(Value::Map(mut fields)) = cbor::decode(&signed.body, 1 << 16) else { panic!() };
        for (name, value) in &mut fields {
            let (true, Value::Array(devices)) = (name == "dev", value) else { continue };
            let Value::Map(device) = &mut devices[0] else { panic!() };
            let (_, key) = device.iter_mut().find(|(name, _)| name == "fn").unwrap();
            let Value::Bytes(key) = key else { panic!() };
            spoil(key);
        }
        let signed = SignedBody::sign(Domain::Manifest, &Value::Map(fields), &acme.operator);
        let refused = Manifest::from_bytes(&signed.to_bytes()).unwrap().verify(&document, NOW).unwrap_err();
        assert_eq!(refused, RecordError::BadKey(crate::keys::BadKey));
    }
}

#[test]
fn a_manifest_needs_the_threshold_of_the_operators() {
    let (acme, second) = (Acme::new(), SigningKey::from_seed(&[21; 64]));
    let third = SigningKey::from_seed(&[22; 64]);
    let members = [&acme.operator, &second, &third].map(|key| key.verifying_key().clone());
    let operators = Quorum { members: members.to_vec(), threshold: 2 };
    let founding = Founding { operators, ..acme.founding() };
    let document = found(&founding, &[&acme.operator, &second]).unwrap().verify().unwrap();
    let by = |keys: &[&SigningKey]| {
        let manifest = Manifest::sign(document.did(), 1, &[acme.device()], &[Suite::X0001], keys).unwrap();
        Manifest::from_bytes(&manifest.to_bytes()).unwrap().verify(&document, NOW).map(|_| ())
    };
    assert_eq!(by(&[&second, &third]), Ok(()));
    assert_eq!(by(&[&third, &acme.operator, &second]), Ok(()));
    assert_eq!(by(&[&third]), Err(RecordError::TooFewSignatures { needed: 2 }));
    assert_eq!(by(&[&third, &third]), Err(RecordError::TooFewSignatures { needed: 2 }), "one key, twice");
    let stranger = SigningKey::from_seed(&[23; 64]);
    assert!(matches!(by(&[&third, &stranger]), Err(RecordError::BadSignature(_))));
}

fn other_signer() -> DeviceVerifier {
    SigningKey::from_seed(&[7; 64]).verifying_key().clone().into()
}

fn experimental_signer() -> DeviceVerifier {
    let falcon = falcon::SigningKey::generate(&mut StdRng::seed_from_u64(5));
    DeviceVerifier::new(other_signer().hybrid().clone(), Some(falcon.verifying_key().clone()))
}

#[test]
fn the_largest_manifest_is_within_its_limit() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let (signing, revoked) = (experimental_signer(), Some(NOW.saturating_add_ms(1)));
    let device = |n| Device { id: format!("{n:064}"), signing: signing.clone(), revoked, ..acme.device() };
    let devices: Vec<_> = (0..32).map(device).collect();
    let manifest = Manifest::sign(document.did(), 1, &devices, &Suite::ALL, &[&acme.operator]).unwrap();
    let room_for_signatures = 15 * (crate::keys::SIGNATURE_BYTES + 32);
    assert!(manifest.to_bytes().len() + room_for_signatures <= crate::limits::MANIFEST_BYTES_MAX);
    assert!(Manifest::from_bytes(&manifest.to_bytes()).unwrap().verify(&document, NOW).is_ok());
}
