//! How long a resolver takes for a DID that it knows: `cargo run --release -p finding --example hit`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints, and ends when something is wrong"
)]

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use dccp::did::{Commitment, Device, Founding, HeldBy, Manifest, found};
use dccp::keys::SigningKey;
use dccp::partner::PartnerFile;
use dccp::{Did, Suite, UnixMillis, xwing};
use finding::{Cache, CacheError, Cached, Resolver, Source, SourceError};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const ROUNDS: u32 = 1_000_000;

struct One(Vec<u8>);

#[async_trait]
impl Source for One {
    fn name(&self) -> &'static str {
        "example"
    }

    async fn fetch(&self, _did: &Did, _nodes: &[String]) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.clone())
    }
}

struct Nowhere;

#[async_trait]
impl Cache for Nowhere {
    async fn load(&self, _did: &Did) -> Result<Option<Cached>, CacheError> {
        Ok(None)
    }

    async fn store(&self, _did: &Did, _cached: &Cached) -> Result<(), CacheError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let bundle = bundle();
    let did = bundle.log.did();
    let resolver = Resolver::new(vec![Arc::new(One(bundle.to_bytes()))], Arc::new(Nowhere));
    resolver.resolve(&did, NOW).await.unwrap();
    let before = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(resolver.resolve(&did, NOW).await.unwrap());
    }
    println!("resolver, hit in memory: {:?} (target: 5 µs)", before.elapsed() / ROUNDS);
}

fn bundle() -> PartnerFile {
    let key = |seed| SigningKey::from_seed(&[seed; 64]);
    let (operator, recovery, device) = (key(1), key(2), key(3));
    let commitment = Commitment::of(recovery.verifying_key());
    let founding =
        Founding::organisation(vec!["globex.test".into()], operator.verifying_key().clone(), commitment, NOW);
    let log = found(&founding, &[&operator]).unwrap();
    let device = Device {
        id: "gw-1".into(),
        signing: device.verifying_key().clone().into(),
        kem: xwing::DecapsulationKey::from_seed(&[4; 32]).encapsulation_key().clone(),
        held_by: HeldBy::Gateway,
        not_before: NOW,
        expires: UnixMillis(u64::MAX),
        revoked: None,
    };
    let manifest = Manifest::sign(&log.did(), 1, &[device], &[Suite::X0001], &[&operator]).unwrap();
    PartnerFile { log, manifest, nodes: Vec::new(), prekeys: Vec::new() }
}
