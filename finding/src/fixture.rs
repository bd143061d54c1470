//! Organisations with all their keys, for the tests of this room.

use dccp::did::{Change, Commitment, Device, Founding, HeldBy, Log, Manifest, Quorum, Rotation, found};
use dccp::keys::SigningKey;
use dccp::partner::PartnerFile;
use dccp::{Did, Suite, UnixMillis, xwing};

pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1000;

/// An organisation at one point of its history; every step gives the next one.
pub(crate) struct Organisation {
    pub(crate) log: Log,
    operator: SigningKey,
    recovery: SigningKey,
    epoch: u64,
    devices_until: UnixMillis,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 64])
}

impl Organisation {
    pub(crate) fn found(domain: &str, seed: u8) -> Self {
        let (operator, recovery) = (key(seed), key(seed + 1));
        let commitment = Commitment::of(recovery.verifying_key());
        let founding =
            Founding::organisation(vec![domain.into()], operator.verifying_key().clone(), commitment, NOW);
        Self {
            log: found(&founding, &[&operator]).expect("a log"),
            operator,
            recovery,
            epoch: 1,
            devices_until: NOW.saturating_add_ms(30 * DAY_MS),
        }
    }

    pub(crate) fn globex() -> Self {
        Self::found("globex.test", 10)
    }

    pub(crate) fn did(&self) -> Did {
        self.log.did()
    }

    /// The operator changes something; two that differ in `what` contradict each other.
    pub(crate) fn updated(&self, what: u64) -> Self {
        let change = Change { manifest_epoch_min: what, ..self.change() };
        let log = self.log.update(&change, &[&self.operator]).expect("an update");
        Self { log, epoch: what, ..self.again() }
    }

    /// The officers rotate: another operator key, another recovery key.
    pub(crate) fn rotated(&self, seed: u8) -> Self {
        let (operator, recovery) = (key(seed), key(seed + 1));
        let rotation = Rotation {
            recovery_next: Quorum::one(Commitment::of(recovery.verifying_key())),
            operators: Quorum::one(operator.verifying_key().clone()),
            org: None,
            change: self.change(),
        };
        let log = self.log.rotate(&rotation, &[&self.recovery], &[&operator]).expect("a rotation");
        Self { log, operator, recovery, ..self.again() }
    }

    fn change(&self) -> Change {
        self.log.verify().expect("our own log").change().clone()
    }

    pub(crate) fn with_epoch(&self, epoch: u64) -> Self {
        Self { epoch, ..self.again() }
    }

    pub(crate) fn with_devices_until(&self, devices_until: UnixMillis) -> Self {
        Self { devices_until, ..self.again() }
    }

    fn again(&self) -> Self {
        let [operator, recovery] =
            [&self.operator, &self.recovery].map(|key| SigningKey::from_seed(&key.seed()));
        Self {
            log: self.log.clone(),
            operator,
            recovery,
            epoch: self.epoch,
            devices_until: self.devices_until,
        }
    }

    pub(crate) fn bundle(&self) -> PartnerFile {
        let device = Device {
            id: "gw-1".into(),
            signing: key(200).verifying_key().clone().into(),
            kem: xwing::DecapsulationKey::from_seed(&[7; 32]).encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before: NOW,
            expires: self.devices_until,
            revoked: None,
        };
        let manifest = Manifest::sign(&self.did(), self.epoch, &[device], &[Suite::X0001], &[&self.operator]);
        PartnerFile {
            log: self.log.clone(),
            manifest: manifest.expect("a manifest"),
            nodes: Vec::new(),
            prekeys: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bundle().to_bytes()
    }
}
