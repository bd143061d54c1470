//! Two organisations for the tests.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use dccp::did::{Commitment, Device, Founding, HeldBy, Log, Manifest, found};
use dccp::kem::DecapsulationKey;
use dccp::keys::{DeviceSigner, SigningKey};
use dccp::node::NodeRecord;
use dccp::partner::PartnerFile;
use dccp::prekey::{Prekey, epoch_of};
use dccp::{Did, Suite, UnixMillis, xwing};

pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1000;

/// An organisation with all its keys.
pub(crate) struct Organisation {
    pub(crate) operator: SigningKey,
    pub(crate) device: DeviceSigner,
    pub(crate) device_kem: xwing::DecapsulationKey,
    pub(crate) prekey: DecapsulationKey,
    pub(crate) log: Log,
}

impl Organisation {
    pub(crate) fn new(domain: &str, seed: u8) -> Self {
        let operator = SigningKey::from_seed(&[seed; 64]);
        let recovery = SigningKey::from_seed(&[seed + 1; 64]);
        let founding = Founding::organisation(
            vec![domain.into()],
            operator.verifying_key().clone(),
            Commitment::of(recovery.verifying_key()),
            NOW,
        );
        Self {
            log: found(&founding, &[&operator]).unwrap(),
            operator,
            device: SigningKey::from_seed(&[seed + 2; 64]).into(),
            device_kem: xwing::DecapsulationKey::from_seed(&[seed + 3; 32]),
            prekey: xwing::DecapsulationKey::from_seed(&[seed + 4; 32]).into(),
        }
    }

    pub(crate) fn acme() -> Self {
        Self::new("acme.example", 10)
    }

    pub(crate) fn globex() -> Self {
        Self::new("globex.example", 50)
    }

    /// Opens what was sealed to the device.
    pub(crate) fn opener(&self) -> DecapsulationKey {
        xwing::DecapsulationKey::from_seed(&self.device_kem.seed()).into()
    }

    pub(crate) fn did(&self) -> Did {
        self.log.did()
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let device = Device {
            id: "gw-1".into(),
            signing: self.device.verifying_key().clone(),
            kem: self.device_kem.encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before: NOW,
            expires: NOW.saturating_add_ms(400 * DAY_MS),
            revoked: None,
        };
        Manifest::sign(&self.did(), 1, &[device], &[Suite::X0001], &[&self.operator]).unwrap()
    }

    pub(crate) fn node(&self, days: u64) -> NodeRecord {
        NodeRecord {
            did: self.did(),
            peer_id: vec![0, 36, 8, 1, 18, 32],
            addresses: vec!["/dns/gw.acme.example/udp/4433/quic-v1".into()],
            not_before: NOW,
            expires: NOW.saturating_add_ms(days * DAY_MS),
        }
    }

    pub(crate) fn prekey(&self, days_ahead: u64) -> Prekey {
        Prekey::new(self.did(), epoch_of(NOW) + days_ahead, self.prekey.encapsulation_key().clone())
    }

    pub(crate) fn partner_file(&self) -> PartnerFile {
        PartnerFile {
            log: self.log.clone(),
            manifest: self.manifest(),
            nodes: vec![self.node(30).sign(&self.operator).unwrap()],
            prekeys: vec![self.prekey(0).sign(&self.operator), self.prekey(1).sign(&self.operator)],
        }
    }
}
