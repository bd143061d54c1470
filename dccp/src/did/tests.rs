use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::cbor::{self, Value};
use crate::keys::{Domain, SigningKey};
use crate::limits::DID_LOG_BYTES_MAX;
use crate::record::{RecordError, SignedBody};
use crate::xwing::DecapsulationKey;
use crate::{CborError, Suite, UnixMillis};

mod manifest;

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
        Founding::organisation(
            vec!["acme.example".into(), "acme.test".into()],
            self.operator.verifying_key().clone(),
            Commitment::of(self.recovery.verifying_key()),
            NOW,
        )
    }

    fn log(&self) -> Log {
        found(&self.founding(), &[&self.operator]).unwrap()
    }

    fn genesis_fields(&self) -> Vec<(String, Value)> {
        let bytes = self.log().to_bytes();
        let Ok(Value::Array(mut operations)) = cbor::decode(&bytes, DID_LOG_BYTES_MAX) else { panic!() };
        let signed = SignedBody::from_value(operations.remove(0)).unwrap();
        let Ok(Value::Map(fields)) = cbor::decode(&signed.body, 1 << 16) else { panic!() };
        fields
    }

    fn device(&self) -> Device {
        Device {
            id: "gw-1".into(),
            signing: SigningKey::from_seed(&[5; 64]).verifying_key().clone().into(),
            kem: DecapsulationKey::from_seed(&[6; 32]).encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before: NOW,
            expires: NOW.saturating_add_ms(1_000_000_000),
            revoked: None,
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
    assert_ne!(found(&later, &[&acme.operator]).unwrap().did(), acme.log().did());
}

#[test]
fn a_genesis_signed_by_another_key_is_refused() {
    let (acme, mallory) = (Acme::new(), SigningKey::from_seed(&[3; 64]));
    assert_eq!(found(&acme.founding(), &[&mallory]).unwrap_err(), LogError::UnknownSigner);

    let body = Value::Map(acme.genesis_fields());
    let forged = SignedBody::sign(Domain::DidOperation, &body, &mallory).to_value();
    let log = Log::from_bytes(&cbor::encode(&Value::Array(vec![forged]))).unwrap();
    assert_eq!(log.verify().unwrap_err(), LogError::UnknownSigner);
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
fn domains_have_one_spelling() {
    let acme = Acme::new();
    let long = format!("{}.example", "a".repeat(64));
    for bad in
        ["", "Acme.example", "acme..example", "-a.example", "a-.example", "acme.example.", "ü.example", &long]
    {
        let founding = Founding { domains: vec![bad.into()], ..acme.founding() };
        assert_eq!(found(&founding, &[&acme.operator]).unwrap_err(), LogError::Domains, "{bad:?}");
    }
    for bad in [vec![], vec!["a.example".to_owned(); 2], (0..33).map(|n| format!("d{n}.example")).collect()] {
        let founding = Founding { domains: bad, ..acme.founding() };
        assert_eq!(found(&founding, &[&acme.operator]).unwrap_err(), LogError::Domains);
    }
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
fn the_largest_founding_is_read_and_a_larger_one_is_not_made() {
    let acme = Acme::new();
    let label = "a".repeat(61);
    let domains: Vec<_> = (10..42).map(|n| format!("{n}{label}.{label}.{label}.{label}.exa")).collect();
    assert_eq!((domains.len(), domains[0].len()), (32, 253));
    let founding = Founding { domains: domains.clone(), ..acme.founding() };
    let log = found(&founding, &[&acme.operator]).unwrap();
    assert_eq!(Log::from_bytes(&log.to_bytes()).unwrap().verify().unwrap().domains(), domains);

    let keys: Vec<_> = (0..9).map(|n| SigningKey::from_seed(&[n; 64]).verifying_key().clone()).collect();
    let founding = Founding { operators: Quorum { members: keys, threshold: 1 }, ..acme.founding() };
    assert_eq!(found(&founding, &[&acme.operator]).unwrap_err(), LogError::OperationTooLarge);
}

#[test]
fn large_logs_are_refused() {
    let large = Log::from_bytes(&vec![0x80; DID_LOG_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(large, LogError::Malformed(CborError::TooLarge { .. })));
    let many = cbor::encode(&Value::Array(vec![Value::Unsigned(0); 257]));
    assert_eq!(Log::from_bytes(&many).unwrap_err(), LogError::TooManyOperations);
}

#[test]
fn an_address_in_a_log_is_proven_by_its_salt_and_nothing_else() {
    let aka = Aka::of(&[7; 16], "Ann.Lee@Acme.example");
    assert!(aka.matches(&[7; 16], "ann.lee@acme.EXAMPLE"));
    assert!(!aka.matches(&[8; 16], "ann.lee@acme.example"));
    assert!(!aka.matches(&[7; 16], "ann.li@acme.example"));
}
