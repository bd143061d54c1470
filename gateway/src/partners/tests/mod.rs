//! Promises of pinning: organisations that can write partner files, and a desk that takes them.

mod histories;
mod keys;
mod pins;

use dccp::did::{Commitment, Device, Founding, HeldBy, Log, Manifest, Quorum, Rotation, found};
use dccp::keys::SigningKey;
use dccp::message::FsClass;
use dccp::node::NodeRecord;
use dccp::partner::{PartnerFile, fingerprint};
use dccp::prekey::{EPOCH_MS, Prekey, epoch_of};
use dccp::xwing::DecapsulationKey;
use dccp::{Did, Suite, UnixMillis};
use finding::Cached;
use policies::{Destination, PartnerStanding};
use tempfile::TempDir;

use super::*;
use crate::spool::{Spool, SpoolConfig, SpoolGuard};

const NOW: UnixMillis = UnixMillis(20_000 * EPOCH_MS + 1000);
const DEVICE_LIFETIME_MS: u64 = 400 * EPOCH_MS;

/// An organisation that can write partner files.
struct Organisation {
    recovery: SigningKey,
    operator: SigningKey,
    device: SigningKey,
    kem: DecapsulationKey,
    log: Log,
}

impl Organisation {
    fn of(domains: &[&str]) -> Organisation {
        let [operator, recovery, device] = [(); 3].map(|()| SigningKey::generate(&mut rand::rng()));
        let founding = Founding::organisation(
            domains.iter().map(|domain| (*domain).to_owned()).collect(),
            operator.verifying_key().clone(),
            Commitment::of(recovery.verifying_key()),
            NOW,
        );
        let log = found(&founding, &[&operator]).unwrap();
        Organisation { recovery, operator, device, kem: DecapsulationKey::generate(&mut rand::rng()), log }
    }

    /// The same organisation with another history: one more update, which names `witness`.
    fn updated(self, witness: &Did) -> Organisation {
        let mut change = self.log.verify().unwrap().change().clone();
        change.witnesses = vec![witness.clone()];
        let log = self.log.update(&change, &[&self.operator]).unwrap();
        Organisation { log, ..self }
    }

    /// Its officers take over with their recovery key, after the first `operations` operations.
    fn recovered(self, operations: usize) -> Organisation {
        let [operator, recovery] = [(); 2].map(|()| SigningKey::generate(&mut rand::rng()));
        let beginning = self.log.beginning(operations).unwrap();
        let rotation = Rotation {
            recovery_next: Quorum::one(Commitment::of(recovery.verifying_key())),
            operators: Quorum::one(operator.verifying_key().clone()),
            org: None,
            change: beginning.verify().unwrap().change().clone(),
        };
        let log = beginning.rotate(&rotation, &[&self.recovery], &[&operator]).unwrap();
        Organisation { log, operator, recovery, ..self }
    }

    /// Whoever has its keys can do the same.
    fn twin(&self) -> Organisation {
        let again = |key: &SigningKey| SigningKey::from_seed(&key.seed());
        Organisation {
            recovery: again(&self.recovery),
            operator: again(&self.operator),
            device: again(&self.device),
            kem: DecapsulationKey::from_seed(&self.kem.seed()),
            log: self.log.clone(),
        }
    }

    fn did(&self) -> Did {
        self.log.did()
    }

    fn prekey(&self, epoch: u64) -> (Prekey, Vec<u8>) {
        let key = DecapsulationKey::generate(&mut rand::rng());
        let prekey = Prekey::new(self.did(), epoch, key.encapsulation_key().clone());
        let record = prekey.sign(&self.operator);
        (prekey, record)
    }

    fn file_with(&self, manifest_epoch: u64, prekeys: Vec<Vec<u8>>) -> String {
        let (not_before, expires) = (NOW, NOW.saturating_add_ms(DEVICE_LIFETIME_MS));
        let device = Device {
            id: "gateway-1".into(),
            signing: self.device.verifying_key().clone().into(),
            kem: self.kem.encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before,
            expires,
            revoked: None,
        };
        let addresses = vec![format!("/ip4/192.0.2.{manifest_epoch}/tcp/4001")];
        let node = NodeRecord { did: self.did(), peer_id: vec![1; 38], addresses, not_before, expires };
        let suites = [Suite::X0001];
        let operators = [&self.operator];
        let manifest = Manifest::sign(&self.did(), manifest_epoch, &[device], &suites, &operators).unwrap();
        let nodes = vec![node.sign(&self.operator).unwrap()];
        PartnerFile { log: self.log.clone(), manifest, nodes, prekeys }.to_text()
    }

    fn file(&self) -> String {
        self.file_with(1, vec![])
    }
}

/// A database, and who we are.
struct Desk {
    spool: Spool,
    guard: SpoolGuard,
    ourselves: Ourselves,
    _folder: TempDir,
}

impl Desk {
    fn open() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let (spool, guard) =
            Spool::open_offline(folder.path().join("data/gateway.db"), SpoolConfig::default()).unwrap();
        let ourselves =
            Ourselves { did: Organisation::of(&["acme.test"]).did(), domains: vec!["acme.test".into()] };
        Desk { spool, guard, ourselves, _folder: folder }
    }

    async fn import(&self, text: &str) -> Result<Imported, ImportError> {
        import(&self.spool, text, &self.ourselves, NOW).await
    }

    async fn partners(&self) -> Partners {
        Partners::load(&self.spool, NOW).await.unwrap()
    }

    async fn close(self) {
        self.guard.close().await;
    }
}

fn standing(partner: &Partner) -> PartnerStanding {
    match partner.destination() {
        Destination::Partner { standing, .. } => standing,
        _ => panic!("a partner is a partner"),
    }
}
