//! What it costs to believe an identity: `cargo bench -p dccp --bench log`. Target: a log of 10 operations in 2 ms.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dccp::UnixMillis;
use dccp::did::{Change, Commitment, Founding, Log, Quorum, Rotation, Service, found};
use dccp::keys::SigningKey;

fn change(manifest_epoch_min: u64) -> Change {
    let services = vec![Service::Domain("acme.example".into())];
    Change { services, aka: vec![], manifest_epoch_min, witnesses: vec![] }
}

/// Genesis, four updates, a rotation, four updates.
fn ten_operations() -> Vec<u8> {
    let [first, recovery, second, next] = [1, 2, 3, 4].map(|seed| SigningKey::from_seed(&[seed; 64]));
    let one = |key: &SigningKey| Quorum { members: vec![key.verifying_key().clone()], threshold: 1 };
    let commitment = Commitment::of(recovery.verifying_key());
    let domains = vec!["acme.example".to_owned()];
    let founding = Founding::organisation(domains, first.verifying_key().clone(), commitment, UnixMillis(0));
    let mut log = found(&founding, &[&first]).expect("founded");
    for epoch in 2..=5 {
        log = log.update(&change(epoch), &[&first]).expect("updated");
    }
    let rotation = Rotation {
        recovery_next: Quorum { members: vec![Commitment::of(next.verifying_key())], threshold: 1 },
        operators: one(&second),
        org: None,
        change: change(6),
    };
    log = log.rotate(&rotation, &[&recovery], &[&second]).expect("rotated");
    for epoch in 7..=10 {
        log = log.update(&change(epoch), &[&second]).expect("updated");
    }
    log.to_bytes()
}

fn verify(criterion: &mut Criterion) {
    let bytes = ten_operations();
    let read = || Log::from_bytes(black_box(&bytes)).and_then(|log| log.verify()).expect("verifies");
    assert_eq!(read().seq(), 9);
    criterion.bench_function("verify a log of 10 operations", |bench| bench.iter(read));
}

criterion_group!(benches, verify);
criterion_main!(benches);
