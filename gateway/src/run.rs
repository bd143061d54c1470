//! `dccp-gateway run`: the wiring, on one page.
//!
//! Order of start: what keeps (spool, custody), what is known (partners, rules), the road, the workers, the doors.
//! Order of stop: the doors, the road, the workers, the spool. Whatever the grace time cuts off was not acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use control::Check;
use dccp::batch::RootCache;
use federation::Directory;
use policies::Rules;
use prometheus_client::registry::Registry;
use smtp::client::{Protocol, Target, Timeouts};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acquaintance::{Acquaintance, Presented, hello, presentations};
use crate::clock::{self, Clock};
use crate::config::{Config, DeliveryProtocol};
use crate::courier::{self, Kit};
use crate::custody::Custody;
use crate::delivery::{self, Delivery};
use crate::flows::Knowledge;
use crate::flows::arrival::{Arrivals, House, Silent};
use crate::flows::mail_in::MailIn;
use crate::flows::mail_out::MailOut;
use crate::flows::receipts::{Answering, Receipts};
use crate::flows::release::Release;
use crate::flows::report::Reporter;
use crate::flows::sealing::{Sealer, Suites};
use crate::flows::under_way::UnderWay;
use crate::forward::Shelf;
use crate::housekeeping::Housekeeping;
use crate::http::{Answers, HttpState, Vouch};
use crate::metrics::{Metrics, watch_spool};
use crate::partners::{Partner, Partners};
use crate::schedule::Schedule;
use crate::spool::{Spool, SpoolConfig, SpoolError};

/// Connections to our mail server share this many messages in work for each of them, so that none idles.
const MESSAGES_PER_CONNECTION: usize = 2;

/// Octets that trace headers may add to a mail beyond the size a client may send.
const TRACE_BYTES_MAX: u64 = 4 * 1024;

/// Why the gateway did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spool did not open.
    #[error("the spool: {0}")]
    Spool(#[from] SpoolError),
    /// Keys or the organisation's own records.
    #[error("custody: {0}")]
    Custody(#[from] crate::custody::CustodyError),
    /// The rules do not compile.
    #[error("policies: {0}")]
    Rules(#[from] policies::RulesError),
    /// The overlay did not start.
    #[error("the overlay: {0}")]
    Overlay(#[from] overlay::StartError),
    /// The TLS certificate of the mail edge.
    #[error("the certificate for STARTTLS: {0}")]
    Tls(String),
    /// A port is taken, or a file cannot be read.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// From the operating system.
        source: std::io::Error,
    },
}

/// Runs the gateway until it is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// Only while starting; a running gateway answers for its faults in the log and in `/readyz`.
pub async fn run(config: Config) -> Result<(), Error> {
    let (spool, spool_guard) = Spool::open(config.database_path(), spool_config(&config))?;
    let mut registry = Registry::default();
    let (ground, partners) = Ground::lay(config, spool, &mut registry).await?;
    watch_spool(&mut registry, ground.spool.clone());
    let (presented_in, presented) = presentations();
    let (delivery, arrivals) = delivery::Handle::new(ground.spool.clone());
    let node_record = ground.custody.node_record(ground.config.announced_addresses(), (ground.clock)())?;
    let overlay = ground.overlay(&node_record, presented_in, delivery, &mut registry).await?;

    let stops = Stops::default();
    let kit = Arc::new(ground.kit(&overlay));
    let couriers = courier::Handle::new(ground.spool.clone());
    couriers.employ(
        partners.borrow().iter().map(|partner| partner.did().clone()),
        &kit,
        &stops.tasks,
        &stops.back,
    );
    stops.tasks.spawn(ground.delivery().run(arrivals, stops.back.clone()));
    stops.tasks.spawn(ground.answering(&couriers).run(stops.back.clone()));
    let acquaintance = Acquaintance {
        spool: ground.spool.clone(),
        custody: ground.custody.clone(),
        node_record,
        partners,
        presented,
        overlay: overlay.clone(),
        couriers: couriers.clone(),
        kit,
        tasks: stops.tasks.clone(),
        stop: stops.back.clone(),
        data_version: ground.spool.data_version().await?,
        clock: ground.clock,
    };
    stops.tasks.spawn(ground.housekeeping(acquaintance).run(stops.back.clone()));
    ground.open_doors(&couriers, &overlay, registry, &stops).await?;

    tracing::info!(domain = ground.config.organisation.domain, did = %ground.custody.did(), "the gateway is up");
    told_to_stop().await?;
    tracing::info!("stopping: no new sessions, finishing what has begun");
    stops.stop(overlay, ground.config.shutdown_grace()).await;
    drop(ground);
    drop(spool_guard);
    tracing::info!("stopped");
    Ok(())
}

/// What everything else stands on.
struct Ground {
    config: Config,
    spool: Spool,
    custody: Arc<Custody>,
    knowledge: Knowledge,
    partners: watch::Receiver<Arc<Partners>>,
    suites: Suites,
    sealer: Sealer,
    metrics: Metrics,
    clock: Clock,
}

impl Ground {
    async fn lay(
        config: Config,
        spool: Spool,
        registry: &mut Registry,
    ) -> Result<(Self, watch::Sender<Arc<Partners>>), Error> {
        let clock: Clock = clock::system;
        let custody = Arc::new(Custody::load(&config, &spool, clock()).await?);
        let directory = Arc::new(Directory::of_domains(custody.did().clone(), &config.domains()));
        let (partners, seen) = watch::channel(Arc::new(Partners::load(&spool, clock()).await?));
        let knowledge = Knowledge::new(directory, seen.clone(), Arc::new(rules(&config)?));
        let metrics = Metrics::new(registry);
        let suites = suites(&config);
        let sealer = Sealer::new(custody.clone(), suites.clone(), Shelf::default(), clock)
            .map_err(|source| Error::Io { what: "cannot start the thread that signs".to_owned(), source })?;
        let ground =
            Self { config, spool, custody, knowledge, partners: seen, suites, sealer, metrics, clock };
        Ok((ground, partners))
    }

    async fn overlay(
        &self,
        node_record: &[u8],
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
        let config = overlay::Config {
            node_key_seed: self.custody.node_seed(),
            listen: self.config.overlay.listen.clone(),
            mdns: self.config.overlay.mdns,
            kad: overlay::Kad::Off,
            bootstrap: Vec::new(),
            limits: overlay::Limits::default(),
        };
        let partners = self.partners.borrow().iter().map(Partner::for_overlay).collect();
        let house = Arc::new(House { arrivals: Arc::new(arrivals), questions: Arc::new(Silent) });
        Ok(overlay::start(config, hello(&self.custody, node_record), partners, house, registry, self.clock)
            .await?)
    }

    fn reporter(&self) -> Reporter {
        Reporter {
            custody: self.custody.clone(),
            spool: self.spool.clone(),
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            lifetime_ms: self.config.queue.lifetime_ms(),
        }
    }

    fn schedule(&self) -> Schedule {
        let queue = &self.config.queue;
        Schedule { delay_ms_min: queue.retry_delay_ms_min, delay_ms_max: queue.retry_delay_ms_max }
    }

    fn kit(&self, overlay: &overlay::Overlay) -> Kit {
        let release = Release {
            knowledge: self.knowledge.clone(),
            sealer: self.sealer.clone(),
            reporter: self.reporter(),
            spool: self.spool.clone(),
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

    fn delivery(&self) -> Delivery {
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
            pool: smtp::client::Pool::new(target(&self.config)),
            receipts,
            roots: RootCache::default(),
            suites: self.suites.clone(),
            under_way: UnderWay::default(),
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            schedule: self.schedule(),
            size_max: self.config.smtp.size_bytes_max + TRACE_BYTES_MAX,
            clock: self.clock,
        };
        let at_once_max = self.config.delivery.connections_max as usize * MESSAGES_PER_CONNECTION;
        Delivery { spool: self.spool.clone(), mail_in: Arc::new(mail_in), at_once_max, clock: self.clock }
    }

    fn answering(&self, couriers: &courier::Handle) -> Answering {
        Answering {
            spool: self.spool.clone(),
            knowledge: self.knowledge.clone(),
            sealer: self.sealer.clone(),
            courier: couriers.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock,
        }
    }

    fn answers(&self, overlay: &overlay::Overlay) -> Answers {
        let listening = overlay.clone();
        let road: Vouch = Box::new(move || match listening.listen_addresses().len() {
            0 => Check::failed("overlay", "listens on no address (overlay.listen)"),
            addresses => Check::ok("overlay", format!("listens on {addresses} addresses")),
        });
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
            identify: Box::new(|did, _| {
                Box::pin(async move {
                    Err(control::ControlError::Unavailable(format!("{did} cannot be looked up yet.")))
                })
            }),
            started_at: (self.clock)(),
            clock: self.clock,
        }
    }

    fn housekeeping(&self, acquaintance: Acquaintance) -> Housekeeping {
        Housekeeping { spool: self.spool.clone(), acquaintance, reporter: self.reporter(), clock: self.clock }
    }

    fn mail_out(&self, couriers: &courier::Handle) -> MailOut {
        MailOut {
            knowledge: self.knowledge.clone(),
            sealer: self.sealer.clone(),
            spool: self.spool.clone(),
            courier: couriers.clone(),
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            size_max: self.config.smtp.size_bytes_max,
            lifetime_ms: self.config.queue.lifetime_ms(),
            clock: self.clock,
        }
    }

    /// The SMTP listeners and the control listener: last, when everything behind them works.
    async fn open_doors(
        &self,
        couriers: &courier::Handle,
        overlay: &overlay::Overlay,
        registry: Registry,
        stops: &Stops,
    ) -> Result<(), Error> {
        let mail_out = Arc::new(self.mail_out(couriers));
        let smtp_config = Arc::new(smtp_config(&self.config)?);
        for address in &self.config.smtp.listen {
            let listener = listen(*address, "smtp.listen").await?;
            stops.doors.spawn(smtp::server::serve(
                listener,
                smtp_config.clone(),
                mail_out.clone(),
                stops.front.clone(),
            ));
        }
        let listener = listen(self.config.control.listen, "control.listen").await?;
        let state = HttpState {
            control: Arc::new(self.answers(overlay)),
            registry: Arc::new(registry),
            metrics: self.metrics.clone(),
            token: keystore::keyfile::read_token(&self.config.control.token)
                .map_err(crate::custody::CustodyError::from)?,
            hosts: Vec::new(),
        };
        stops.doors.spawn(crate::http::serve(listener, state, stops.front.clone()));
        Ok(())
    }
}

/// How everything is stopped.
#[derive(Default)]
struct Stops {
    front: CancellationToken,
    doors: TaskTracker,
    back: CancellationToken,
    tasks: TaskTracker,
}

impl Stops {
    /// The doors, then the road, then the workers; each gets a share of `grace`.
    async fn stop(&self, overlay: overlay::Overlay, grace: Duration) {
        let share = grace / 3;
        self.front.cancel();
        self.doors.close();
        if tokio::time::timeout(share, self.doors.wait()).await.is_err() {
            tracing::warn!("some sessions did not end in time; what they were told to be kept is kept");
        }
        self.back.cancel();
        overlay.shutdown(share).await;
        self.tasks.close();
        if tokio::time::timeout(share, self.tasks.wait()).await.is_err() {
            tracing::warn!("some deliveries did not end in time; they start again with the gateway");
        }
    }
}

async fn told_to_stop() -> Result<(), Error> {
    let io = |source| Error::Io { what: "cannot listen for signals".to_owned(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn listen(address: SocketAddr, key: &str) -> Result<TcpListener, Error> {
    let io = |source| Error::Io { what: format!("cannot listen on {address} ({key})"), source };
    TcpListener::bind(address).await.map_err(io)
}

fn spool_config(config: &Config) -> SpoolConfig {
    SpoolConfig {
        journal_retention_ms: config.queue.journal_days * 24 * 3_600_000,
        free_bytes_min: config.queue.disk_free_bytes_min,
        ..SpoolConfig::default()
    }
}

/// What we accept from partners is also what we seal with.
fn suites(config: &Config) -> Suites {
    let ours = config.suites.accept.iter().copied().map(crate::suites::of_name).collect();
    Suites { ours, minimum: crate::suites::of_name(config.suites.minimum) }
}

fn rules(config: &Config) -> Result<Rules, Error> {
    let Some(path) = &config.policies.rules else { return Ok(Rules::standard()) };
    let io = |source| Error::Io { what: format!("cannot read {} (policies.rules)", path.display()), source };
    Ok(Rules::with_local(&std::fs::read_to_string(path).map_err(io)?)?)
}

fn target(config: &Config) -> Target {
    Target {
        protocol: match config.delivery.protocol {
            DeliveryProtocol::Smtp => Protocol::Smtp,
            DeliveryProtocol::Lmtp => Protocol::Lmtp,
        },
        address: config.delivery.address.to_string(),
        hello: config.smtp.hostname.clone(),
        timeouts: Timeouts::default(),
        connections_max: config.delivery.connections_max as usize,
    }
}

fn smtp_config(config: &Config) -> Result<smtp::server::Config, Error> {
    let limits = &config.smtp.limits;
    let tls = match &config.smtp.tls {
        Some(tls) => {
            Some(crate::config::tls::server_config(tls).map_err(|error| Error::Tls(error.to_string()))?)
        }
        None => None,
    };
    Ok(smtp::server::Config {
        hostname: config.smtp.hostname.clone(),
        size_max: config.smtp.size_bytes_max,
        trusted_networks: config
            .smtp
            .trusted_networks
            .iter()
            .filter_map(|network| network.to_string().parse().ok())
            .collect(),
        tls,
        limits: smtp::server::Limits {
            sessions_max: limits.sessions_max as usize,
            per_source_max: limits.sessions_per_source_max as usize,
            commands_max: limits.commands_max,
            errors_max: limits.errors_max,
            recipients_max: limits.recipients_max as usize,
            idle_s_max: limits.idle_s_max,
            data_rate_floor: limits.data_bytes_per_s_min,
            memory_bytes_max: usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX),
            drain_s_max: config.shutdown_grace_s / 3,
            ..smtp::server::Limits::default()
        },
    })
}
