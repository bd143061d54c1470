//! What people cost: `cargo run --release -p gateway --example people -- [how many]`.
//!
//! Adds people in batches to a fresh database, asks about some of them, and prints time and memory.

use std::sync::Arc;
use std::time::Instant;

use dccp::address::Question;
use dccp::did::{Commitment, Device, Founding, HeldBy, found};
use dccp::keys::{DeviceVerifier, SigningKey};
use dccp::xwing::DecapsulationKey;
use dccp::{Did, Suite, UnixMillis};
use gateway::clock;
use gateway::custody::Vault;
use gateway::people::{Asker, Authority, Holding, NewPerson, Registrar, Registry};
use gateway::spool::{Spool, SpoolConfig};

const BATCH: usize = 5_000;
const QUESTIONS: usize = 200;

/// An organisation whose keys live as long as this program.
struct Office {
    did: Did,
    domains: Vec<String>,
    device: Device,
    device_key: SigningKey,
    vault: Vault,
}

impl Office {
    fn found(now: UnixMillis) -> Office {
        let [operator, recovery, device_key] = [(); 3].map(|()| SigningKey::generate(&mut rand::rng()));
        let domains = vec!["example.test".to_owned()];
        let recovery = Commitment::of(recovery.verifying_key());
        let founding =
            Founding::organisation(domains.clone(), operator.verifying_key().clone(), recovery, now);
        let did = found(&founding, &[&operator]).expect("a founding").did();
        let device = Device {
            id: "gateway-1".into(),
            signing: DeviceVerifier::new(device_key.verifying_key().clone(), None),
            kem: DecapsulationKey::generate(&mut rand::rng()).encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before: now,
            expires: now.saturating_add_ms(3_600_000),
            revoked: None,
        };
        let vault = Vault::new(zeroize::Zeroizing::new(rand::random()));
        Office { did, domains, device, device_key, vault }
    }
}

impl Authority for Office {
    fn did(&self) -> &Did {
        &self.did
    }
    fn domains(&self) -> &[String] {
        &self.domains
    }
    fn device(&self) -> &Device {
        &self.device
    }
    fn suites(&self) -> Vec<Suite> {
        vec![Suite::X0001]
    }
    fn device_key(&self) -> &SigningKey {
        &self.device_key
    }
    fn vault(&self) -> &Vault {
        &self.vault
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program that prints what it measured")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let people: usize = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let (spool, guard) = Spool::open_offline(folder.path().join("data/gateway.db"), SpoolConfig::default())?;
    let office = Arc::new(Office::found(clock::system()));
    let registrar = Registrar::open(spool.clone(), office).await?;
    println!("{:>8} people  {:>7.1} s  {:>4} MB resident", 0, 0.0, resident_mb());

    let began = Instant::now();
    for first in (0..people).step_by(BATCH) {
        let addresses =
            (first..people.min(first + BATCH)).map(|number| format!("person{number}@example.test"));
        let batch = addresses.map(|address| NewPerson { address, holding: Holding::Org }).collect();
        registrar.add(batch, clock::system()).await?;
        let (done, seconds) = (people.min(first + BATCH), began.elapsed().as_secs_f64());
        println!("{done:>8} people  {seconds:>7.1} s  {:>4} MB resident", resident_mb());
    }

    let registry = Registry::new(&registrar, clock::system());
    let asker = Asker::Partner(registrar_did(&registrar, "person0@example.test").await?);
    let began = Instant::now();
    for number in 0..QUESTIONS {
        let address = format!("person{}@example.test", number * people / QUESTIONS);
        let question = Question::new(&address, rand::random())?.to_bytes();
        registry.answer(&question, &asker, clock::system()).await.ok_or("no answer")?;
    }
    let each_ms = began.elapsed().as_secs_f64() * 1000.0 / QUESTIONS as f64;
    println!("an answer leaves after {each_ms:.1} ms (the grid has 20)");
    guard.close().await;
    println!("the database has {} MB", std::fs::metadata(folder.path().join("data/gateway.db"))?.len() >> 20);
    Ok(())
}

/// Any partner will do.
async fn registrar_did(registrar: &Registrar, address: &str) -> Result<Did, Box<dyn std::error::Error>> {
    Ok(registrar.person(address).await?.did)
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
