//! `dccp-gateway run`: the wiring, on one page; what is wired stands in `ground.rs`, `staff.rs`, `desk.rs` and `doors.rs`.
//!
//! Order of start: what keeps (spool, custody), what is known (partners, rules), the road, the workers, the doors.
//! Order of stop: the doors, the road, the workers, the spool. Whatever the grace time cuts off was not acknowledged.

mod desk;
mod doors;
mod ended;
mod ground;
mod mail_server;
mod outside;
mod reception;
mod staff;
mod workers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acquaintance::{Acquaintance, presentations};
use crate::config::Config;
use crate::courier;
use crate::custody::CustodyError;
use crate::delivery;
use crate::introductions::{FurnishError, Own};
use crate::metrics::watch_spool;
use crate::spool::{Spool, SpoolError};
use ground::{Ends, Ground};
use workers::Fallen;

/// Why the gateway did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spool did not open.
    #[error("the spool: {0}")]
    Spool(#[from] SpoolError),
    /// Keys or the organisation's own records.
    #[error("custody: {0}")]
    Custody(#[from] crate::custody::CustodyError),
    /// The aliases have a mistake.
    #[error("{}: {mistake}", path.display())]
    Aliases {
        /// Their file.
        path: PathBuf,
        /// The first one.
        mistake: crate::aliases::Mistake,
    },
    /// The key of the archive.
    #[error("archive.key: {0}")]
    ArchiveKey(#[from] crate::archive::key::KeyError),
    /// A rule of the archive.
    #[error("archive.rules: {0}")]
    ArchiveRules(#[from] policies::BadPattern),
    /// Legal holds stand, so mail must be archived, and it cannot be.
    #[error(
        "legal holds stand, but the configuration has no `archive:` and so no key to seal copies to; put `archive.key` back \
         (to lift the holds, start with it and run `dccp-gateway archive hold lift`)"
    )]
    HoldsWithoutArchive,
    /// The rules do not compile.
    #[error("policies: {0}")]
    Rules(#[from] policies::RulesError),
    /// What is needed to be found and to find others.
    #[error(transparent)]
    Introductions(#[from] FurnishError),
    /// The overlay did not start.
    #[error("the overlay: {0}")]
    Overlay(#[from] overlay::StartError),
    /// The keys that sign mail for outside.
    #[error("DKIM keys: {0}")]
    Dkim(#[from] crate::dkim::DkimError),
    /// DNS, for mail from the outside.
    #[error(transparent)]
    Dns(#[from] smtp::authenticity::DnsUnusable),
    /// What is needed to hand mail over to the outside.
    #[error("the way to the outside: {0}")]
    Outside(#[from] finding::SetupError),
    /// What is kept for the authority that gives us certificates.
    #[error("acme: {0}")]
    Acme(#[from] crate::certificates::acme::AcmeError),
    /// A TLS certificate.
    #[error("the certificate for {door}: {why}")]
    Tls {
        /// Where it is used.
        door: &'static str,
        /// What is wrong with it.
        why: String,
    },
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
    let (spool, spool_guard) = Spool::open(config.database_path(), ground::spool_config(&config))?;
    let mut registry = Registry::default();
    let laid = Ground::lay(config.clone(), spool, &mut registry).await;
    if let Err(Error::Custody(CustodyError::Ended(did))) = laid {
        return ended::run(&config, did).await;
    }
    let (ground, Ends { partners, heard, aliases }) = laid?;
    watch_spool(&mut registry, ground.spool.clone());
    let room = ground.room().await?;
    let (presented_in, presented) = presentations();
    let (delivery, arrivals) = delivery::Handle::new(ground.spool.clone());
    let overlay = ground.overlay(&room, presented_in, delivery, &mut registry).await?;
    room.road.open(overlay.clone());

    let stops = Stops::default();
    let kit = Arc::new(ground.kit(&overlay));
    let couriers = courier::Handle::new(ground.spool.clone());
    let dids = partners.borrow().iter().map(|partner| partner.did().clone()).collect::<Vec<_>>();
    couriers.employ(dids.into_iter(), &kit, &stops.tasks, &stops.back);
    stops.employ("delivery", ground.delivery()?.run(arrivals, stops.back.clone()));
    let rotation = ground.rotation()?;
    let relay = Arc::new(ground.relay(rotation.signer())?);
    if let Some(reporting) = ground.tls_reporting(&relay) {
        stops.employ("TLS reports", reporting.run(stops.back.clone()));
    }
    let exchange = relay.exchange.clone();
    stops.employ("relay", relay.run(stops.back.clone()));
    stops.employ("receipts", ground.answering(&couriers).run(stops.back.clone()));
    stops.employ("prekeys of partners", ground.refill(&room).run(stops.back.clone()));
    if let Some(aliases) = aliases {
        stops.employ("aliases", aliases.run(stops.back.clone()));
    }
    stops.employ("gossip", ground.gossiping(&room, heard).run(stops.back.clone()));
    let reception = ground.reception(&couriers, &room, rotation.signer())?;
    stops.employ("DKIM keys", rotation.run(stops.back.clone()));
    ground.open_doors(reception, &overlay, &room, &exchange, registry, &stops).await?;
    publish_head(&room.own, &overlay, &stops);
    let (changed_in, changed) = mpsc::channel(1);
    let acquaintance = Acquaintance {
        spool: ground.spool.clone(),
        custody: ground.custody.clone(),
        own: room.own.clone(),
        partners,
        presented,
        changed,
        overlay: overlay.clone(),
        couriers: couriers.clone(),
        kit,
        tasks: stops.tasks.clone(),
        stop: stops.back.clone(),
        data_version: ground.spool.data_version().await?,
        clock: ground.clock,
    };
    stops.employ("housekeeping", ground.housekeeping(acquaintance).run(stops.back.clone()));
    stops.employ("board", room.board().run(stops.back.clone()));
    stops.employ("renewal", room.renewal(overlay.links(), changed_in).run(stops.back.clone()));

    tracing::info!(domain = ground.config.organisation.domain, did = %ground.custody.did(), "the gateway is up");
    told_to_stop().await?;
    tracing::info!("stopping: no new sessions, finishing what has begun");
    stops.stop(overlay, ground.config.shutdown_grace()).await;
    drop(ground);
    drop(spool_guard);
    tracing::info!("stopped");
    Ok(())
}

/// Puts our head record into the hash table, and the next one when our tree has grown; the overlay offers it again from
/// time to time.
fn publish_head(own: &Arc<Own>, overlay: &overlay::Overlay, stops: &Stops) {
    let (own, overlay, stop) = (own.clone(), overlay.clone(), stops.back.clone());
    stops.tasks.spawn(async move {
        let mut tree = own.tree();
        let publish = async {
            loop {
                tree.mark_unchanged();
                let pause = match overlay.publish_head(own.did(), Bytes::from(own.head())).await {
                    Err(overlay::PublishError::NobodyKept(why)) => {
                        tracing::debug!(why, "our head record is not in the hash table yet");
                        HEAD_OFFERED_AGAIN
                    }
                    Err(error) => {
                        tracing::debug!(%error, "our head record is not in the hash table");
                        HEAD_OFFERED_EVERY
                    }
                    Ok(()) => HEAD_OFFERED_EVERY,
                };
                // A tree that grows all day cuts this short once a minute, for that often it is read.
                _ = tokio::time::timeout(pause, tree.changed()).await;
            }
        };
        stop.run_until_cancelled(publish).await;
    });
}

/// A head is signed anew every day; a few hours later the newest is everywhere.
const HEAD_OFFERED_EVERY: Duration = Duration::from_secs(4 * 3600);

/// How soon it is offered again when nobody took it: at the start nobody is connected yet.
const HEAD_OFFERED_AGAIN: Duration = Duration::from_secs(10);

/// How everything is stopped.
#[derive(Default)]
struct Stops {
    front: CancellationToken,
    doors: TaskTracker,
    back: CancellationToken,
    tasks: TaskTracker,
    fallen: Fallen,
}

impl Stops {
    /// Lets a worker work until it is told to stop, and misses it if it falls before.
    fn employ(&self, worker: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.fallen.watched(worker, work, &self.back));
    }

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
