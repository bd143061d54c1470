//! Stocks of one-time prekeys: signed once, served key by key.

mod common;

use common::{DAY_MS, NOW, Organisation};
use dccp::kem::{DecapsulationKey, EncapsulationKey};
use dccp::keys::SigningKey;
use dccp::limits::{STOCK_BYTES_MAX, STOCK_KEYS_MAX, STOCK_SERVED_MAX};
use dccp::prekey::{OneTimeBatch, OneTimePrekey, Prekey, Stock, epoch_of};
use dccp::suite::KemAlgorithm;
use dccp::{CborError, Did, RecordError, UnixMillis};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const EXPIRES: UnixMillis = UnixMillis(NOW.0 + 7 * DAY_MS);

fn keys(algorithm: KemAlgorithm, count: usize) -> Vec<EncapsulationKey> {
    let mut rng = StdRng::seed_from_u64(5);
    let key = |_| DecapsulationKey::generate(algorithm, &mut rng).encapsulation_key().clone();
    (0..count).map(key).collect()
}

fn batch(acme: &Organisation, keys: &[EncapsulationKey]) -> OneTimeBatch {
    OneTimeBatch::sign(&acme.did(), keys, NOW, EXPIRES, &acme.operator).unwrap()
}

fn serve(batch: &OneTimeBatch, which: &[usize]) -> Stock {
    let keys = which.iter().map(|at| batch.keys[*at].clone()).collect();
    Stock { root_record: batch.root_record.clone(), keys }
}

fn verify(stock: &Stock, acme: &Organisation, now: UnixMillis) -> Result<Vec<OneTimePrekey>, RecordError> {
    Stock::from_bytes(&stock.to_bytes())?.verify(&acme.log.verify().unwrap(), now)
}

#[test]
fn any_keys_of_a_batch_can_be_served_together() {
    let acme = Organisation::acme();
    for algorithm in [KemAlgorithm::XWing, KemAlgorithm::MlKem768] {
        let keys = keys(algorithm, 11);
        let batch = batch(&acme, &keys);
        let served = verify(&serve(&batch, &[10, 0, 7]), &acme, NOW).unwrap();
        let expected = [10, 0, 7].map(|at| OneTimePrekey {
            did: acme.did(),
            key_id: keys[at].key_id(),
            kem: keys[at].clone(),
            expires: EXPIRES,
        });
        assert_eq!(served, expected);
        assert_eq!(verify(&serve(&batch, &[]), &acme, NOW), Ok(vec![]), "sold out");
    }
}

#[test]
fn the_largest_stock_is_served_within_an_answer() {
    let acme = Organisation::acme();
    let batch = batch(&acme, &keys(KemAlgorithm::XWing, STOCK_KEYS_MAX));
    let which: Vec<_> = (0..STOCK_SERVED_MAX).map(|at| at * 8).collect();
    let stock = serve(&batch, &which);
    assert!(stock.to_bytes().len() <= STOCK_BYTES_MAX, "{} octets", stock.to_bytes().len());
    assert_eq!(verify(&stock, &acme, NOW).unwrap().len(), STOCK_SERVED_MAX);
    let more = serve(&batch, &(0..=STOCK_SERVED_MAX).collect::<Vec<_>>());
    assert_eq!(verify(&more, &acme, NOW), Err(CborError::Wrong("k").into()));
}

#[test]
fn a_key_that_is_not_under_the_root_refuses_the_answer() {
    let acme = Organisation::acme();
    let (mine, mut planted) = (batch(&acme, &keys(KemAlgorithm::XWing, 3)), keys(KemAlgorithm::XWing, 4));
    let foreign = batch(&acme, &[planted.remove(3)]);
    let stock = Stock { root_record: mine.root_record.clone(), keys: foreign.keys };
    assert_eq!(verify(&stock, &acme, NOW), Err(RecordError::OutOfBounds("p")));
    assert_eq!(
        verify(&serve(&mine, &[1, 1]), &acme, NOW),
        Err(RecordError::OutOfBounds("k")),
        "one key twice"
    );
    let mut altered = serve(&mine, &[0, 1]);
    let middle = altered.keys[1].len() / 2;
    altered.keys[1][middle] ^= 1;
    assert!(verify(&altered, &acme, NOW).is_err());
}

#[test]
fn a_stock_of_another_signer_did_or_time_is_refused() {
    let (acme, globex) = (Organisation::acme(), Organisation::globex());
    let keys = keys(KemAlgorithm::XWing, 2);
    let sign =
        |did: Did, operator: &SigningKey| OneTimeBatch::sign(&did, &keys, NOW, EXPIRES, operator).unwrap();
    let forged = serve(&sign(acme.did(), &globex.operator), &[0]);
    assert!(matches!(verify(&forged, &acme, NOW), Err(RecordError::BadSignature(_))));
    let foreign = serve(&sign(globex.did(), &acme.operator), &[0]);
    assert_eq!(verify(&foreign, &acme, NOW), Err(RecordError::OtherDid));
    let prekey = Stock {
        root_record: acme.prekey(0).sign(&acme.operator),
        ..serve(&sign(acme.did(), &acme.operator), &[0])
    };
    assert!(matches!(verify(&prekey, &acme, NOW), Err(RecordError::BadSignature(_))), "an epoch prekey");

    let good = serve(&sign(acme.did(), &acme.operator), &[0]);
    let late = EXPIRES.saturating_add_ms(DAY_MS);
    assert_eq!(verify(&good, &acme, late), Err(RecordError::Expired));
    assert_eq!(verify(&good, &acme, NOW.saturating_sub_ms(DAY_MS)), Err(RecordError::NotYetValid));
}

#[test]
fn batches_out_of_bounds_are_not_signed() {
    let acme = Organisation::acme();
    let sign = |keys: &[EncapsulationKey], expires| {
        OneTimeBatch::sign(&acme.did(), keys, NOW, expires, &acme.operator).unwrap_err()
    };
    let two = [keys(KemAlgorithm::XWing, 1), keys(KemAlgorithm::MlKem768, 1)].concat();
    assert_eq!(sign(&[], EXPIRES), RecordError::OutOfBounds("n"));
    assert_eq!(sign(&two, EXPIRES), RecordError::OutOfBounds("n"), "two mechanisms");
    assert_eq!(sign(&vec![two[0].clone(); STOCK_KEYS_MAX + 1], EXPIRES), RecordError::OutOfBounds("n"));
    assert_eq!(sign(&two[..1], NOW), RecordError::OutOfBounds("exp"));
}

#[test]
fn an_epoch_prekey_of_the_other_mechanism_round_trips() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let kem = keys(KemAlgorithm::MlKem768, 1).remove(0);
    let prekey = Prekey::new(acme.did(), epoch_of(NOW), kem);
    let bytes = prekey.sign(&acme.operator);
    assert_eq!(Prekey::verify(&bytes, &document, NOW), Ok(prekey));
}

#[test]
fn any_altered_octet_of_an_answer_is_noticed() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let bytes = serve(&batch(&acme, &keys(KemAlgorithm::XWing, 3)), &[0, 2]).to_bytes();
    for at in (0..bytes.len()).step_by(17) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let outcome = Stock::from_bytes(&altered).and_then(|stock| stock.verify(&document, NOW));
        assert!(outcome.is_err(), "octet {at}");
    }
    assert!(Stock::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    let endless = vec![0; STOCK_BYTES_MAX + 1];
    assert_eq!(Stock::from_bytes(&endless), Err(CborError::TooLarge { max: STOCK_BYTES_MAX }.into()));
}
