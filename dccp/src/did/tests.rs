use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::cbor::{self, Value};
use crate::keys::{Domain, SigningKey};
use crate::limits::DID_LOG_BYTES_MAX;
use crate::record::{RecordError, SignedBody};
use crate::xwing::DecapsulationKey;
use crate::{CborError, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

struct Acme {
    operator: SigningKey,
    recovery: SigningKey,
}

impl Acme {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(11);
        Self { operator: SigningKey::generate(&mut rng), recovery: SigningKey::generate(&mut rng) }
    }

    fn founding(&self) -> Founding {
        Founding {
            domains: vec!["acme.example".into(), "acme.test".into()],
            operator: self.operator.verifying_key().clone(),
            recovery: self.recovery.verifying_key().clone(),
            not_before: NOW,
        }
    }

    fn log(&self) -> Log {
        found(&self.founding(), &self.operator).unwrap()
    }

    /// The genesis with one field changed, signed anew by the operator.
    fn genesis_with(&self, name: &str, value: Option<Value>) -> Vec<u8> {
        self.signed(Value::Map(change(self.genesis_fields(), name, value)))
    }

    fn genesis_fields(&self) -> Vec<(String, Value)> {
        let bytes = self.log().to_bytes();
        let Ok(Value::Array(mut operations)) = cbor::decode(&bytes, DID_LOG_BYTES_MAX) else { panic!() };
        let signed = SignedBody::from_value(operations.remove(0)).unwrap();
        let Ok(Value::Map(fields)) = cbor::decode(&signed.body, 1 << 16) else { panic!() };
        fields
    }

    fn signed(&self, body: Value) -> Vec<u8> {
        let operation = SignedBody::sign(Domain::DidOperation, &body, &self.operator).to_value();
        cbor::encode(&Value::Array(vec![operation]))
    }

    fn device(&self) -> Device {
        Device {
            id: "gw-1".into(),
            signing: SigningKey::from_seed(&[5; 64]).verifying_key().clone(),
            kem: DecapsulationKey::from_seed(&[6; 32]).encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before: NOW,
            expires: NOW.saturating_add_ms(1_000_000_000),
        }
    }
}

fn change(fields: Vec<(String, Value)>, name: &str, value: Option<Value>) -> Vec<(String, Value)> {
    let mut fields: Vec<_> = fields.into_iter().filter(|(key, _)| key != name).collect();
    fields.extend(value.map(|value| (name.to_owned(), value)));
    fields
}

#[test]
fn a_founded_organisation_is_known_by_the_hash_of_its_founding() {
    let acme = Acme::new();
    let log = Log::from_bytes(&acme.log().to_bytes()).unwrap();
    let document = log.verify().unwrap();

    assert_eq!(document.did(), &acme.log().did());
    assert_eq!(document.domains(), ["acme.example", "acme.test"]);
    assert_eq!(document.operator(), acme.operator.verifying_key());
    assert_eq!(document.custody(), Custody::Org);
    assert_eq!(document.not_before(), NOW);
    assert!(document.is_committed_recovery(acme.recovery.verifying_key()));
    assert!(!document.is_committed_recovery(acme.operator.verifying_key()));
}

#[test]
fn the_recovery_key_itself_is_not_in_the_log() {
    let acme = Acme::new();
    let (log, key) = (acme.log().to_bytes(), acme.recovery.verifying_key().to_bytes());
    assert!(!log.windows(32).any(|window| window == &key[..32]));
}

#[test]
fn the_same_founding_gives_the_same_did_and_any_other_gives_another() {
    let acme = Acme::new();
    assert_eq!(acme.log().did(), acme.log().did());
    let later = Founding { not_before: NOW.saturating_add_ms(1), ..acme.founding() };
    assert_ne!(found(&later, &acme.operator).unwrap().did(), acme.log().did());
}

#[test]
fn a_genesis_signed_by_another_key_is_refused() {
    let (acme, mallory) = (Acme::new(), SigningKey::from_seed(&[3; 64]));
    assert_eq!(found(&acme.founding(), &mallory).unwrap_err(), LogError::Operator);

    let body = Value::Map(acme.genesis_fields());
    let forged = SignedBody::sign(Domain::DidOperation, &body, &mallory).to_value();
    let log = Log::from_bytes(&cbor::encode(&Value::Array(vec![forged]))).unwrap();
    assert!(matches!(log.verify(), Err(LogError::BadSignature(_))));
}

#[test]
fn a_signature_for_another_purpose_does_not_found_anything() {
    let acme = Acme::new();
    let body = Value::Map(acme.genesis_fields());
    let manifest = SignedBody::sign(Domain::Manifest, &body, &acme.operator).to_value();
    let log = Log::from_bytes(&cbor::encode(&Value::Array(vec![manifest]))).unwrap();
    assert!(matches!(log.verify(), Err(LogError::BadSignature(_))));
}

#[test]
fn other_operations_are_refused_by_name() {
    let acme = Acme::new();
    let text = |text: &str| Some(Value::Text(text.into()));
    for kind in ["update", "rotate", "deactivate", "x"] {
        let refused = Log::from_bytes(&acme.genesis_with("t", text(kind))).unwrap_err();
        assert_eq!(refused, LogError::UnsupportedOperation(kind.into()));
    }

    let Ok(Value::Array(genesis)) = cbor::decode(&acme.log().to_bytes(), 1 << 16) else { panic!() };
    let Ok(Value::Array(rotate)) = cbor::decode(&acme.genesis_with("t", text("rotate")), 1 << 16) else {
        panic!()
    };
    let log = cbor::encode(&Value::Array([genesis, rotate].concat()));
    assert_eq!(Log::from_bytes(&log).unwrap_err(), LogError::UnsupportedOperation("rotate".into()));
}

#[test]
fn what_this_version_does_not_speak_is_refused_not_ignored() {
    let acme = Acme::new();
    let refused = |name, value| Log::from_bytes(&acme.genesis_with(name, Some(value))).unwrap_err();
    let one = || Value::Array(vec![Value::Unsigned(1)]);

    assert_eq!(refused("v", Value::Unsigned(2)), LogError::UnsupportedVersion(2));
    assert_eq!(refused("custody", Value::Text("self".into())), LogError::Unsupported("custody"));
    assert_eq!(refused("aka", one()), LogError::Unsupported("aka"));
    assert_eq!(refused("wit", one()), LogError::Unsupported("wit"));
    assert_eq!(refused("org", one()), LogError::Malformed(CborError::Unknown("org".into())));
    assert_eq!(refused("seq", Value::Unsigned(1)), LogError::Malformed(CborError::Wrong("seq")));
    let missing = Log::from_bytes(&acme.genesis_with("nb", None)).unwrap_err();
    assert_eq!(missing, LogError::Malformed(CborError::Missing("nb")));
}

#[test]
fn thresholds_and_several_keys_are_refused() {
    let acme = Acme::new();
    let auth = |name: &str, field: &str, value: Value| {
        let auth = acme.genesis_fields().into_iter().find(|(key, _)| key == "auth").unwrap().1;
        let Value::Map(ranks) = auth else { panic!() };
        let (_, Value::Map(rank)) = ranks.iter().find(|(key, _)| key == name).unwrap().clone() else {
            panic!()
        };
        let rank = Value::Map(change(rank, field, Some(value)));
        Log::from_bytes(&acme.genesis_with("auth", Some(Value::Map(change(ranks, name, Some(rank))))))
            .unwrap_err()
    };
    let hash = || Value::Bytes(vec![1; 32]);
    assert_eq!(auth("L0", "w", Value::Unsigned(2)), LogError::Unsupported("w"));
    assert_eq!(auth("L0", "n", Value::Array(vec![hash(), hash()])), LogError::Unsupported("auth"));
    assert_eq!(auth("L0", "k", Value::Array(vec![hash()])), LogError::Unsupported("auth"));
    assert_eq!(auth("L1", "k", Value::Array(vec![])), LogError::Unsupported("auth"));
    assert!(matches!(auth("L1", "k", Value::Array(vec![hash()])), LogError::BadKey(_)));
    let short = Value::Array(vec![Value::Bytes(vec![1; 31])]);
    assert_eq!(auth("L0", "n", short), LogError::Malformed(CborError::Wrong("n")));
}

#[test]
fn domains_have_one_spelling() {
    let acme = Acme::new();
    let long = format!("{}.example", "a".repeat(64));
    for bad in
        ["", "Acme.example", "acme..example", "-a.example", "a-.example", "acme.example.", "ü.example", &long]
    {
        let founding = Founding { domains: vec![bad.into()], ..acme.founding() };
        assert_eq!(found(&founding, &acme.operator).unwrap_err(), LogError::Domains, "{bad:?}");
    }
    for bad in [vec![], vec!["a.example".to_owned(); 2], (0..33).map(|n| format!("d{n}.example")).collect()] {
        let founding = Founding { domains: bad, ..acme.founding() };
        assert_eq!(found(&founding, &acme.operator).unwrap_err(), LogError::Domains);
    }
}

#[test]
fn large_logs_and_operations_are_refused() {
    assert!(matches!(
        Log::from_bytes(&vec![0x80; DID_LOG_BYTES_MAX + 1]),
        Err(LogError::Malformed(CborError::TooLarge { .. }))
    ));
    assert_eq!(Log::from_bytes(&[0x80]).unwrap_err(), LogError::Empty);
    let acme = Acme::new();
    let padded = acme.genesis_with("zz", Some(Value::Bytes(vec![0; 16 * 1024])));
    assert_eq!(Log::from_bytes(&padded).unwrap_err(), LogError::OperationTooLarge);
    let many = cbor::encode(&Value::Array(vec![Value::Unsigned(0); 257]));
    assert_eq!(Log::from_bytes(&many).unwrap_err(), LogError::TooManyOperations);
}

#[test]
fn the_largest_founding_and_manifest_are_within_their_limits() {
    let acme = Acme::new();
    let label = "a".repeat(61);
    let domains = (10..42).map(|n| format!("{n}{label}.{label}.{label}.{label}.exa")).collect::<Vec<_>>();
    assert_eq!((domains.len(), domains[0].len()), (32, 253));
    let log = found(&Founding { domains, ..acme.founding() }, &acme.operator).unwrap();
    let document = Log::from_bytes(&log.to_bytes()).unwrap().verify().unwrap();

    let device = |n| Device { id: format!("{n:064}"), ..acme.device() };
    let devices: Vec<_> = (0..32).map(device).collect();
    let manifest = Manifest::sign(document.did(), 1, &devices, &acme.operator).unwrap();
    assert!(Manifest::from_bytes(&manifest.to_bytes()).unwrap().verify(&document, NOW).is_ok());
}

#[test]
fn a_did_has_one_spelling() {
    let did = Acme::new().log().did();
    assert_eq!(did.to_string().parse(), Ok(did.clone()));
    assert_eq!(did.as_str().len(), 62);

    let text = did.as_str();
    let upper = text.to_uppercase();
    let mut loose_bits = text.to_owned();
    let last = loose_bits.pop().unwrap();
    loose_bits.push(if last == 'a' { 'b' } else { 'r' });
    let variants =
        [&text[..61], &text[9..], &upper, &loose_bits, "", "did:dccp:1", &text.replace("dccp:1", "dccp:2")];
    for variant in variants {
        assert_eq!(variant.parse::<Did>(), Err(BadDid), "{variant}");
    }
    assert_eq!(format!("{text} ").parse::<Did>(), Err(BadDid));
    assert_eq!(format!("{}8", &text[..61]).parse::<Did>(), Err(BadDid));
}

#[test]
fn a_manifest_names_the_devices_that_sign_and_open() {
    let acme = Acme::new();
    let document = acme.log().verify().unwrap();
    let manifest = Manifest::sign(document.did(), 3, &[acme.device()], &acme.operator).unwrap();
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
    let sign =
        |did: &Did, epoch, key: &SigningKey| Manifest::sign(did, epoch, &[acme.device()], key).unwrap();

    let forged = sign(document.did(), 1, &SigningKey::from_seed(&[5; 64]));
    assert!(matches!(forged.verify(&document, NOW), Err(RecordError::BadSignature(_))));
    let founding = Founding { domains: vec!["other.example".into()], ..acme.founding() };
    let other = found(&founding, &acme.operator).unwrap().did();
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
    let sign = |devices: &[Device]| Manifest::sign(&did, 1, devices, &acme.operator).unwrap_err();

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
    let manifest = Manifest::sign(document.did(), 1, &[acme.device()], &acme.operator).unwrap();
    let signed = SignedBody::from_bytes(&manifest.to_bytes(), 1 << 16).unwrap();
    let Ok(Value::Map(fields)) = cbor::decode(&signed.body, 1 << 16) else { panic!() };
    let with_suites = |suites: &[u64]| {
        let suites = Value::Array(suites.iter().copied().map(Value::Unsigned).collect());
        let body = Value::Map(change(fields.clone(), "su", Some(suites)));
        let signed = SignedBody::sign(Domain::Manifest, &body, &acme.operator);
        Manifest::from_bytes(&signed.to_bytes()).unwrap().verify(&document, NOW)
    };
    assert_eq!(with_suites(&[0x0002]), Err(crate::UnsupportedSuite(2).into()));
    assert!(with_suites(&[0x0001, 0x0002]).is_ok());
}
