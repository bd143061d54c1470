use super::*;

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
}

#[test]
fn the_largest_manifest_is_within_its_limit() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let device = |n| Device { id: format!("{n:064}"), ..acme.device() };
    let devices: Vec<_> = (0..32).map(device).collect();
    let manifest = Manifest::sign(document.did(), 1, &devices, &[Suite::X0001], &[&acme.operator]).unwrap();
    assert!(Manifest::from_bytes(&manifest.to_bytes()).unwrap().verify(&document, NOW).is_ok());
}
