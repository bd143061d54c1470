//! What the running gateway stands on. What is built on it stands in `staff.rs`, `desk.rs` and `doors.rs`.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use dccp::limits::SUCCESSION_BYTES_MAX;
use federation::Directory;
use policies::Rules;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};

use super::Error;
use crate::agents::{Agents, Bounds};
use crate::aliases::{self, Aliases};
use crate::archive::key::PublicKey;
use crate::archive::{Archivist, Holds, Law};
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::custody::Custody;
use crate::flows::Knowledge;
use crate::flows::bodies::Bodies;
use crate::flows::report::{Reporter, Storm};
use crate::flows::sealing::{Sealer, Suites};
use crate::forward::{Prekeys, Shelf};
use crate::introductions::{Gossip, Heard, Needs, Room};
use crate::metrics::Metrics;
use crate::partners::Partners;
use crate::people::{Contacts, Watch};
use crate::queue::standing::Standing;
use crate::schedule::Schedule;
use crate::spool::{Spool, SpoolConfig};

/// Octets that trace headers may add to a mail beyond the size a client may send.
pub(super) const TRACE_BYTES_MAX: u64 = 4 * 1024;

/// What everything else stands on.
pub(super) struct Ground {
    pub(super) config: Config,
    pub(super) spool: Spool,
    pub(super) bodies: Bodies,
    pub(super) custody: Arc<Custody>,
    pub(super) knowledge: Knowledge,
    pub(super) partners: watch::Receiver<Arc<Partners>>,
    pub(super) agents: Agents,
    pub(super) standing: watch::Sender<Arc<Standing>>,
    /// What copies for the archive are made by; none: nothing is archived.
    pub(super) law: Option<Arc<Law>>,
    pub(super) holds: watch::Sender<Arc<Holds>>,
    pub(super) suites: Suites,
    pub(super) sealer: Sealer,
    pub(super) shelf: Shelf,
    pub(super) gossip: Gossip,
    pub(super) metrics: Metrics,
    pub(super) storm: Storm,
    pub(super) clock: Clock,
}

/// The ends of what the ground holds the other ends of.
pub(super) struct Ends {
    /// The snapshot that flows see.
    pub(super) partners: watch::Sender<Arc<Partners>>,
    /// What messages tell of trees and people.
    pub(super) heard: mpsc::Receiver<Heard>,
    /// Reads the aliases again when they change; only where there are any.
    pub(super) aliases: Option<aliases::Watch>,
}

impl Ground {
    pub(super) async fn lay(
        config: Config,
        spool: Spool,
        registry: &mut Registry,
    ) -> Result<(Self, Ends), Error> {
        let clock: Clock = clock::system;
        let custody = Arc::new(Custody::load(&config, &spool, clock()).await?);
        let directory = Arc::new(Directory::of_domains(custody.did().clone(), &config.domains()));
        let (partners, seen) = watch::channel(Arc::new(Partners::load(&spool, clock()).await?));
        let (aliases, watched) = aliases(&config)?;
        let standing = watch::Sender::new(Arc::new(Standing::load(&spool, custody.vault()).await?));
        let (law, holds) = (law(&config)?, Holds::load(&spool).await?);
        if law.is_none() && !holds.is_empty() {
            return Err(Error::HoldsWithoutArchive);
        }
        let rules = Arc::new(rules(&config)?);
        let knowledge = Knowledge::new(directory, seen.clone(), aliases, rules, standing.subscribe());
        let agents = agents(&config, &spool, &custody);
        let metrics = Metrics::new(registry);
        let (suites, shelf) = (suites(&config, &custody), Shelf::default());
        let (gossip, heard) = Gossip::new(clock);
        let sealer = Sealer::new(custody.clone(), suites.clone(), shelf.clone(), gossip.clone(), clock)
            .map_err(|source| Error::Io { what: "cannot start the thread that signs".to_owned(), source })?;
        let ground = Self {
            config,
            bodies: Bodies::new(spool.clone()),
            spool,
            custody,
            knowledge,
            partners: seen,
            agents,
            standing,
            law,
            holds: watch::Sender::new(Arc::new(holds)),
            suites,
            sealer,
            shelf,
            gossip,
            metrics,
            storm: Storm::default(),
            clock,
        };
        Ok((ground, Ends { partners, heard, aliases: watched }))
    }

    /// Makes the copies that must be kept.
    pub(super) fn archivist(&self) -> Archivist {
        Archivist::new(self.law.clone(), self.custody.vault().clone(), self.holds.subscribe())
    }

    /// What is needed to be found and to find others.
    pub(super) async fn room(&self) -> Result<Room, Error> {
        let now = (self.clock)();
        let addresses = self.config.announced_addresses().to_vec();
        let needs = Needs {
            custody: self.custody.clone(),
            spool: self.spool.clone(),
            partners: self.partners.clone(),
            node_record: self.custody.node_record(&addresses, now)?,
            addresses,
            prekeys: Prekeys {
                custody: self.custody.clone(),
                spool: self.spool.clone(),
                partners: self.partners.clone(),
                metrics: self.metrics.clone(),
                clock: self.clock,
            },
            finding: self.config.finding.clone(),
            domains: self.config.domains(),
            succession: succession(&self.config)?,
            gossip: self.gossip.clone(),
            clock: self.clock,
        };
        Ok(Room::furnish(needs).await?)
    }

    pub(super) fn watch(&self) -> Watch {
        Watch::new(self.spool.clone(), self.custody.did().clone())
    }

    pub(super) fn contacts(&self) -> Contacts {
        Contacts::new(self.spool.clone(), self.custody.vault().clone(), self.watch())
    }

    pub(super) fn reporter(&self) -> Reporter {
        Reporter {
            custody: self.custody.clone(),
            spool: self.spool.clone(),
            directory: self.knowledge.snapshot().directory,
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            lifetime_ms: self.config.queue.lifetime_ms(),
            storm: self.storm.clone(),
        }
    }

    pub(super) fn schedule(&self) -> Schedule {
        let queue = &self.config.queue;
        Schedule { delay_ms_min: queue.retry_delay_ms_min, delay_ms_max: queue.retry_delay_ms_max }
    }
}

fn agents(config: &Config, spool: &Spool, custody: &Custody) -> Agents {
    Agents::new(spool.clone(), custody.vault().clone(), &config.agents.domains, Bounds::of(&config.agents))
}

pub(super) fn spool_config(config: &Config) -> SpoolConfig {
    SpoolConfig {
        journal_retention_ms: config.queue.journal_days * 24 * 3_600_000,
        free_bytes_min: config.queue.disk_free_bytes_min,
        archive_bytes_max: config.archive.as_ref().map_or(u64::MAX, |archive| archive.bytes_max),
        ..SpoolConfig::default()
    }
}

/// What copies for the archive are made by, if the configuration has one.
fn law(config: &Config) -> Result<Option<Arc<Law>>, Error> {
    let Some(archive) = &config.archive else { return Ok(None) };
    let key = PublicKey::read(&archive.key)?;
    Ok(Some(Arc::new(Law { key, rules: archive.rules()? })))
}

/// What we accept from partners is also what we seal with, if our device has the key to sign for it.
fn suites(config: &Config, custody: &Custody) -> Suites {
    let accepted = config.suites.accepted();
    if !custody.takes_part_in(&accepted) {
        tracing::warn!(
            "our signed manifest does not list the suites of suites.accept, and partners go by the manifest: run `dccp-gateway did devices renew` and restart"
        );
    }
    let ours = accepted.into_iter().filter(|suite| custody.device().signs_for(*suite)).collect();
    Suites { ours, minimum: crate::suites::of_name(config.suites.minimum) }
}

fn rules(config: &Config) -> Result<Rules, Error> {
    let Some(path) = &config.policies.rules else { return Ok(Rules::standard()) };
    let io = |source| Error::Io { what: format!("cannot read {} (policies.rules)", path.display()), source };
    Ok(Rules::with_local(&std::fs::read_to_string(path).map_err(io)?)?)
}

/// The newest aliases, and who keeps them so. Without a file there are none, for ever.
fn aliases(config: &Config) -> Result<(watch::Receiver<Arc<Aliases>>, Option<aliases::Watch>), Error> {
    let Some(path) = &config.aliases else { return Ok((watch::channel(Arc::default()).1, None)) };
    let (watched, aliases) = aliases::Watch::new(path.clone(), config.domains())
        .map_err(|mistake| Error::Aliases { path: path.clone(), mistake })?;
    Ok((aliases, Some(watched)))
}

/// The notice that accompanies a change of our DID, if there is one.
fn succession(config: &Config) -> Result<Option<Vec<u8>>, Error> {
    let path = config.succession_path();
    let io = |source| Error::Io { what: format!("cannot read {}", path.display()), source };
    let mut bytes = Vec::new();
    match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file
            .and_then(|file| file.take(SUCCESSION_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
            .map_err(io)?,
    };
    Ok(Some(bytes))
}
