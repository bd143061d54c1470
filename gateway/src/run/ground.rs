//! What the running gateway stands on, and what is built on it.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use control::Check;
use dccp::batch::RootCache;
use dccp::limits::SUCCESSION_BYTES_MAX;
use federation::Directory;
use policies::Rules;
use prometheus_client::registry::Registry;
use smtp::authenticity::Verifier;
use tokio::sync::{mpsc, watch};

use super::workers::Fallen;
use super::{Error, mail_server};
use crate::acquaintance::{Acquaintance, Presented, hello};
use crate::agents::{Agents, Bounds};
use crate::aliases::{self, Aliases};
use crate::archive::key::PublicKey;
use crate::archive::{self, Archivist, Holds, Law};
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::courier::{self, Kit};
use crate::custody::Custody;
use crate::delivery::{self, Delivery};
use crate::dkim::{KeyFolder, Rotation};
use crate::exchange::Exchange;
use crate::flows::Knowledge;
use crate::flows::arrival::{Arrivals, House};
use crate::flows::bodies::Bodies;
use crate::flows::mail_in::MailIn;
use crate::flows::receipts::{Answering, Receipts};
use crate::flows::release::Release;
use crate::flows::report::{Reporter, Storm};
use crate::flows::sealing::{Sealer, Suites};
use crate::flows::under_way::UnderWay;
use crate::forward::{Prekeys, Refill, Shelf};
use crate::housekeeping::Housekeeping;
use crate::http::{Answers, Vouch};
use crate::introductions::{Gossip, GossipTask, Heard, Needs, Room, Seeker};
use crate::metrics::Metrics;
use crate::partners::{Partner, Partners};
use crate::people::{Contacts, Watch};
use crate::queue::Administration;
use crate::queue::standing::Standing;
use crate::schedule::Schedule;
use crate::spool::{Spool, SpoolConfig};

/// Connections to our mail server share this many messages in work for each of them, so that none idles.
const MESSAGES_PER_CONNECTION: usize = 2;

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

    /// The archive as its administrator sees it.
    pub(super) fn archive(&self) -> archive::Administration {
        archive::Administration {
            spool: self.spool.clone(),
            vault: self.custody.vault().clone(),
            law: self.law.clone(),
            holds: self.holds.clone(),
            clock: self.clock,
        }
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

    pub(super) async fn overlay(
        &self,
        room: &Room,
        presented: mpsc::Sender<Presented>,
        delivery: delivery::Handle,
        registry: &mut Registry,
    ) -> Result<overlay::Overlay, Error> {
        let arrivals = Arrivals {
            spool: self.spool.clone(),
            custody: self.custody.clone(),
            partners: self.partners.clone(),
            presented,
            delivery,
            metrics: self.metrics.clone(),
            lifetime_ms: self.config.queue.lifetime_ms(),
            clock: self.clock,
        };
        let overlay = &self.config.overlay;
        let config = overlay::Config {
            node_key_seed: self.custody.node_seed(),
            listen: overlay.listen.clone(),
            mdns: overlay.mdns,
            kad: if overlay.kad { overlay::Kad::Server } else { overlay::Kad::Off },
            bootstrap: overlay.bootstrap.clone(),
            limits: overlay::Limits::default(),
        };
        let partners = self.partners.borrow().iter().map(Partner::for_overlay).collect();
        let house = Arc::new(House { arrivals: Arc::new(arrivals), questions: room.answers.clone() });
        let hello = hello(&self.custody, &room.own);
        Ok(overlay::start(config, hello, partners, house, registry, self.clock).await?)
    }

    /// Looks into what messages tell of trees and people.
    pub(super) fn gossiping(&self, room: &Room, heard: mpsc::Receiver<Heard>) -> GossipTask {
        GossipTask {
            gossip: self.gossip.clone(),
            heard,
            road: room.road.clone(),
            contacts: self.contacts(),
            watch: self.watch(),
            registry: room.registry.clone(),
            own: room.own.clone(),
            partners: self.partners.clone(),
            clock: self.clock,
        }
    }

    /// Takes DKIM keys into use.
    pub(super) fn rotation(&self) -> Result<Rotation, Error> {
        let keys = KeyFolder::beside(&self.config.keys.storage, self.custody.vault().clone());
        let verifier = Arc::new(Verifier::new(self.config.verifier_settings())?);
        Ok(Rotation::new(keys, verifier, self.config.dkim.look_every(), self.clock)?)
    }

    fn watch(&self) -> Watch {
        Watch::new(self.spool.clone(), self.custody.did().clone())
    }

    fn contacts(&self) -> Contacts {
        Contacts::new(self.spool.clone(), self.custody.vault().clone(), self.watch())
    }

    /// Fetches partners' one-time keys.
    pub(super) fn refill(&self, room: &Room) -> Refill {
        Refill {
            shelf: self.shelf.clone(),
            asker: Arc::new(room.road.clone()),
            partners: self.partners.clone(),
            clock: self.clock,
        }
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

    pub(super) fn kit(&self, overlay: &overlay::Overlay) -> Kit {
        let release = Release {
            knowledge: self.knowledge.clone(),
            sealer: self.sealer.clone(),
            reporter: self.reporter(),
            spool: self.spool.clone(),
            bodies: self.bodies.clone(),
            size_max: self.config.smtp.size_bytes_max + TRACE_BYTES_MAX,
            clock: self.clock,
        };
        Kit {
            spool: self.spool.clone(),
            overlay: overlay.clone(),
            release,
            reporter: self.reporter(),
            metrics: self.metrics.clone(),
            schedule: self.schedule(),
            clock: self.clock,
        }
    }

    /// Hands arrived mail over to our mail server.
    ///
    /// # Errors
    /// See [`mail_server::target`].
    pub(super) fn delivery(&self) -> Result<Delivery, Error> {
        let receipts = Receipts {
            spool: self.spool.clone(),
            custody: self.custody.clone(),
            reporter: self.reporter(),
            metrics: self.metrics.clone(),
            clock: self.clock,
        };
        let mail_in = MailIn {
            knowledge: self.knowledge.clone(),
            custody: self.custody.clone(),
            spool: self.spool.clone(),
            archivist: self.archivist(),
            bodies: self.bodies.apart(),
            pool: smtp::client::Pool::new(mail_server::target(&self.config)?),
            agents: self.agents.clone(),
            receipts,
            roots: RootCache::default(),
            suites: self.suites.clone(),
            gossip: self.gossip.clone(),
            under_way: UnderWay::default(),
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            authserv_id: self.config.authserv_id().to_owned(),
            schedule: self.schedule(),
            size_max: self.config.smtp.size_bytes_max + TRACE_BYTES_MAX,
            clock: self.clock,
        };
        let at_once_max = self.config.delivery.connections_max as usize * MESSAGES_PER_CONNECTION;
        Ok(Delivery { spool: self.spool.clone(), mail_in: Arc::new(mail_in), at_once_max, clock: self.clock })
    }

    pub(super) fn answering(&self, couriers: &courier::Handle) -> Answering {
        Answering {
            spool: self.spool.clone(),
            knowledge: self.knowledge.clone(),
            sealer: self.sealer.clone(),
            courier: couriers.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock,
        }
    }

    pub(super) fn answers(&self, overlay: &overlay::Overlay, room: &Room, fallen: &Fallen) -> Answers {
        let fallen = fallen.clone();
        let listening = overlay.clone();
        let road: Vouch = Box::new(move || match listening.listen_addresses().len() {
            0 => Check::failed("overlay", "listens on no address (overlay.listen)"),
            addresses => Check::ok("overlay", format!("listens on {addresses} addresses")),
        });
        let (identify, clock) = (room.identify(), self.clock);
        let seeker =
            Seeker { partners: self.partners.clone(), contacts: self.contacts(), road: room.road.clone() };
        let links = overlay.links();
        let partners = self.partners.clone();
        let roads: Vouch = Box::new(move || {
            let (known, up) =
                (partners.borrow().iter().count(), links.borrow().values().filter(|link| link.up).count());
            // A partner that is away is no reason to refuse mail: it waits.
            Check::ok("partners", format!("{up} of {known} links are up"))
        });
        Answers {
            domain: self.config.organisation.domain.clone(),
            did: self.custody.did().clone(),
            spool: self.spool.clone(),
            vault: self.custody.vault().clone(),
            partners: self.partners.clone(),
            links: overlay.links(),
            metrics: self.metrics.clone(),
            vouches: vec![road, roads],
            fallen: Box::new(move || fallen.names()),
            identify: Box::new(move |did, nodes| {
                let identify = identify.clone();
                Box::pin(async move { identify.identify(did, nodes, clock()).await })
            }),
            seek: Box::new(move |address| {
                let seeker = seeker.clone();
                Box::pin(async move { seeker.seek(&address, clock()).await })
            }),
            started_at: (self.clock)(),
            clock: self.clock,
        }
    }

    pub(super) fn administration(
        &self,
        overlay: &overlay::Overlay,
        exchange: &Arc<Exchange>,
    ) -> Administration {
        Administration {
            spool: self.spool.clone(),
            vault: self.custody.vault().clone(),
            reporter: self.reporter(),
            partners: self.partners.clone(),
            links: overlay.links(),
            exchange: exchange.clone(),
            standing: self.standing.clone(),
            clock: self.clock,
        }
    }

    pub(super) fn housekeeping(&self, acquaintance: Acquaintance) -> Housekeeping {
        Housekeeping {
            spool: self.spool.clone(),
            acquaintance,
            contacts: self.contacts(),
            reporter: self.reporter(),
            late_after_ms: self.config.queue.late_after_ms(),
            archive: archive::Keeper {
                spool: self.spool.clone(),
                vault: self.custody.vault().clone(),
                clock: self.clock,
            },
            clock: self.clock,
        }
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
