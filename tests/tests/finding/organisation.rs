//! An organisation with all its keys and what it publishes.

use ::finding::{Mirror, WellKnown};
use dccp::did::{Commitment, Device, Founding, HeldBy, Log, Manifest, found};
use dccp::keys::SigningKey;
use dccp::partner::PartnerFile;
use dccp::{Did, Suite, UnixMillis, xwing};

use super::web;
use crate::now;

const DAY_MS: u64 = 24 * 3600 * 1000;

pub(crate) struct Organisation {
    pub(crate) log: Log,
    operator: SigningKey,
    recovery: SigningKey,
    page: Option<WellKnown>,
    /// Bundles of other DIDs that its mirror keeps.
    beside: Vec<(Did, Vec<u8>)>,
}

impl Organisation {
    pub(crate) fn found(domain: &str, seed: u8) -> Self {
        let [operator, recovery] = [seed, seed + 1].map(|seed| SigningKey::from_seed(&[seed; 64]));
        let commitment = Commitment::of(recovery.verifying_key());
        let founding = Founding::organisation(
            vec![domain.into()],
            operator.verifying_key().clone(),
            commitment,
            UnixMillis(1_700_000_000_000),
        );
        let log = found(&founding, &[&operator]).expect("a log");
        Self { log, operator, recovery, page: None, beside: Vec::new() }
    }

    pub(crate) fn globex() -> Self {
        Self::found("globex.test", 10)
    }

    pub(crate) fn did(&self) -> Did {
        self.log.did()
    }

    pub(crate) fn operator(&self) -> &SigningKey {
        &self.operator
    }

    /// The operator changes the least manifest epoch.
    pub(crate) fn update(&mut self, least_epoch: u64) {
        let mut change = self.log.verify().expect("our log").change().clone();
        change.manifest_epoch_min = least_epoch;
        self.log = self.log.update(&change, &[&self.operator]).expect("an update");
    }

    pub(crate) fn deactivate(&mut self) {
        self.log = self.log.deactivate(&[&self.recovery]).expect("the end");
    }

    pub(crate) fn bundle(&self) -> PartnerFile {
        let device = Device {
            id: "gw-1".into(),
            signing: SigningKey::from_seed(&[200; 64]).verifying_key().clone().into(),
            kem: xwing::DecapsulationKey::from_seed(&[7; 32]).encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before: UnixMillis(1_700_000_000_000),
            expires: now().saturating_add_ms(30 * DAY_MS),
            revoked: None,
        };
        let manifest = Manifest::sign(&self.did(), 5, &[device], &[Suite::X0001], &[&self.operator]);
        let manifest = manifest.expect("a manifest");
        PartnerFile { log: self.log.clone(), manifest, nodes: Vec::new(), prekeys: Vec::new() }
    }

    pub(crate) fn page(&self) -> WellKnown {
        let own = WellKnown { did: self.did(), nodes: Vec::new(), mirror: None, succession: None };
        self.page.clone().unwrap_or(own)
    }

    /// Changes what its page says.
    pub(crate) fn saying(mut self, change: impl FnOnce(&mut WellKnown)) -> Self {
        let mut page = self.page();
        change(&mut page);
        self.page = Some(page);
        self
    }

    /// Keeps the records of another organisation as well.
    pub(crate) fn keeping(mut self, other: &Self) -> Self {
        self.beside.push((other.did(), other.bundle().to_bytes()));
        self
    }

    /// What its web server answers for a path.
    pub(crate) fn site(&self) -> impl Fn(&str) -> Vec<u8> + Send + Sync + 'static {
        let page = self.page().to_json();
        let own = (self.did(), self.bundle().to_bytes());
        let bundles: Vec<(Did, Vec<u8>)> = self.beside.iter().cloned().chain([own]).collect();
        move |path| match path {
            "/.well-known/dccp.json" => web::ok(&page),
            other => match bundles.iter().find(|(did, _)| Mirror::bundle_path(did) == other) {
                Some((_, bundle)) => web::ok(bundle),
                None => web::status("404 Not Found"),
            },
        }
    }
}
