//! Promises about people.

mod asking;
mod comparing;
mod keeping;
mod telling;

use std::sync::Arc;

use dccp::address::{Answer, Mode, Question};
use dccp::did::{Commitment, Device, Devices, Founding, HeldBy, Manifest, found};
use dccp::keys::{DeviceVerifier, SigningKey};
use dccp::prekey::EPOCH_MS;
use dccp::xwing::DecapsulationKey;
use dccp::{Did, Suite, UnixMillis};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::custody::Vault;
use crate::spool::{Spool, SpoolConfig, SpoolGuard};

const NOW: UnixMillis = UnixMillis(20_000 * EPOCH_MS + 1000);
const BOB: &str = "bob@globex.test";
const EVE: &str = "eve@globex.test";

/// An organisation's keys, without their files.
struct Office {
    did: Did,
    devices: Devices,
    device: Device,
    device_key: SigningKey,
    vault: Arc<Vault>,
    domains: Vec<String>,
}

impl Office {
    fn of(domain: &str) -> Office {
        let [operator, recovery, device_key] = [(); 3].map(|()| SigningKey::generate(&mut rand::rng()));
        let domains = vec![domain.to_owned()];
        let recovery = Commitment::of(recovery.verifying_key());
        let founding =
            Founding::organisation(domains.clone(), operator.verifying_key().clone(), recovery, NOW);
        let log = found(&founding, &[&operator]).unwrap();
        let device = device("gateway-1", &device_key, HeldBy::Gateway);
        let manifest =
            Manifest::sign(&log.did(), 1, std::slice::from_ref(&device), &[Suite::X0001], &[&operator])
                .unwrap();
        let devices = manifest.verify(&log.verify().unwrap(), NOW).unwrap();
        let vault = Arc::new(Vault::new(Zeroizing::new([9; 32])));
        Office { did: log.did(), devices, device, device_key, vault, domains }
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
        self.devices.suites().to_vec()
    }

    fn device_key(&self) -> &SigningKey {
        &self.device_key
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }
}

fn device(id: &str, signing: &SigningKey, held_by: HeldBy) -> Device {
    Device {
        id: id.to_owned(),
        signing: DeviceVerifier::new(signing.verifying_key().clone(), None),
        kem: DecapsulationKey::generate(&mut rand::rng()).encapsulation_key().clone(),
        held_by,
        not_before: NOW,
        expires: NOW.saturating_add_ms(400 * EPOCH_MS),
        revoked: None,
    }
}

/// An organisation with a database, and everything this room does with them.
struct Desk {
    office: Arc<Office>,
    spool: Spool,
    guard: SpoolGuard,
    registrar: Registrar,
    registry: Registry,
    folder: TempDir,
}

impl Desk {
    async fn open() -> Desk {
        Desk::of(Office::of("globex.test")).await
    }

    async fn of(office: Office) -> Desk {
        Desk::at(Arc::new(office)).await
    }

    /// Another database of the same organisation: one who keeps two books has two of them.
    async fn at(office: Arc<Office>) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let (spool, guard) =
            Spool::open_offline(folder.path().join("data/gateway.db"), SpoolConfig::default()).unwrap();
        let registrar = Registrar::open(spool.clone(), office.clone()).await.unwrap();
        let registry = Registry::new(&registrar, NOW);
        Desk { office, spool, guard, registrar, registry, folder }
    }

    fn did(&self) -> Did {
        self.office.did().clone()
    }

    async fn add(&self, address: &str, holding: Holding) -> Did {
        let person = NewPerson { address: address.to_owned(), holding };
        let [added] = self.registrar.add(vec![person], NOW).await.unwrap().try_into().unwrap();
        assert!(added.fresh);
        added.did
    }

    /// Adds and publishes.
    async fn publish(&self, address: &str) -> Did {
        let did = self.add(address, Holding::Org).await;
        self.registrar.publish(address).await.unwrap();
        did
    }

    /// What a partner is told.
    async fn told(&self, address: &str) -> Answer {
        let question = Question::new(address, rand::random()).unwrap();
        let bytes = self.registry.answer(&question.to_bytes(), &partner(), NOW).await.unwrap();
        Answer::verify(&bytes, &question, &self.did(), &self.office.devices, NOW).unwrap()
    }

    async fn told_did(&self, address: &str) -> Option<Did> {
        match self.told(address).await.mode {
            Mode::User(person) => Some(person.did),
            Mode::Domain => None,
        }
    }

    async fn close(self) -> TempDir {
        self.guard.close().await;
        self.folder
    }
}

fn partner() -> Asker {
    Asker::Partner("did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap())
}

fn stranger(number: u32) -> Asker {
    Asker::Stranger(number.to_be_bytes().to_vec())
}
