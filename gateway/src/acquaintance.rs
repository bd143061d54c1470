//! Who we know and who knows us, kept current while the gateway runs.
//!
//! ```text
//! partner files (imported by the command line) ─► follow ─► snapshot for flows, dialler, couriers; held mail released
//! partners' prekeys (from their streams)       ─► learn  ─► snapshot
//! our epoch prekeys                            ─► rotate ─► presented on every stream
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use dccp::{Did, UnixMillis};
use overlay::{Hello, Overlay};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::courier;
use crate::custody::Custody;
use crate::introductions::Own;
use crate::partners::{Partner, Partners};
use crate::spool::{Spool, SpoolError, State};

/// Presentations of prekeys that may wait to be looked at; a partner presents at most a few a day.
const PRESENTED_MAX: usize = 64;

/// What a partner presented on a stream: not verified yet.
pub type Presented = (Did, Vec<Vec<u8>>);

/// The way of prekeys from the overlay to here; beyond `PRESENTED_MAX` they are dropped and come again with the
/// next stream.
pub fn presentations() -> (mpsc::Sender<Presented>, mpsc::Receiver<Presented>) {
    mpsc::channel(PRESENTED_MAX)
}

/// Keeps the snapshot of partners, and what depends on it.
pub struct Acquaintance {
    /// Where partners and prekeys are stored.
    pub spool: Spool,
    /// Our own prekeys.
    pub custody: Arc<Custody>,
    /// Our own records.
    pub own: Arc<Own>,
    /// The snapshot that flows see.
    pub partners: watch::Sender<Arc<Partners>>,
    /// What partners presented.
    pub presented: mpsc::Receiver<Presented>,
    /// Rings when somebody in this process changed what is known of partners.
    pub changed: mpsc::Receiver<()>,
    /// The road.
    pub overlay: Overlay,
    /// Couriers, one per partner.
    pub couriers: courier::Handle,
    /// What couriers work with.
    pub kit: Arc<courier::Kit>,
    /// Where couriers run.
    pub tasks: TaskTracker,
    /// Stops couriers.
    pub stop: CancellationToken,
    /// What the database said last.
    pub data_version: i64,
    /// Time.
    pub clock: Clock,
}

impl Acquaintance {
    /// Stores what partners presented, notices what the command line or a look-up changed, and passes the news on.
    pub async fn follow(&mut self) {
        let learned = self.learn().await | self.changed.try_recv().is_ok();
        match self.spool.data_version().await {
            Ok(version) if version == self.data_version && !learned => {}
            Ok(version) => match self.reload().await {
                Ok(()) => self.data_version = version,
                Err(error) => tracing::warn!(%error, "partners cannot be read now; trying again"),
            },
            Err(error) => tracing::warn!(%error, "cannot look for changed partners; trying again"),
        }
    }

    /// Makes, presents and forgets epoch prekeys as the time asks for.
    pub async fn rotate(&self, now: UnixMillis) {
        match self.custody.rotate(now, &self.spool).await {
            Ok(false) => {}
            Ok(true) => self.overlay.set_hello(hello(&self.custody, &self.own)),
            Err(error) => {
                tracing::error!(%error, "our epoch prekeys cannot be renewed; partners go on with the last ones")
            }
        }
        // In a task of its own: making keys takes a while, and the house has more to keep.
        let (custody, spool) = (self.custody.clone(), self.spool.clone());
        self.tasks.spawn(async move {
            if let Err(error) = custody.restock(now, &spool).await {
                tracing::warn!(%error, "no one-time keys can be made now; partners use our epoch prekey");
            }
        });
    }

    /// Whether anything new was learned.
    async fn learn(&mut self) -> bool {
        let mut learned = false;
        while let Ok((did, records)) = self.presented.try_recv() {
            let partners = self.partners.borrow().clone();
            match partners.learn_prekeys(&did, &records, (self.clock)(), &self.spool).await {
                Ok(fresh) => learned |= fresh,
                Err(error) => tracing::warn!(%error, partner = %did, "presented prekeys were not taken"),
            }
        }
        learned
    }

    async fn reload(&mut self) -> Result<(), SpoolError> {
        let now = (self.clock)();
        let fresh = Arc::new(Partners::load(&self.spool, now).await?);
        let before = self.partners.send_replace(fresh.clone());
        if before.generation() == fresh.generation() {
            return Ok(());
        }
        self.overlay.set_partners(fresh.iter().map(Partner::for_overlay).collect());
        self.couriers.employ(
            fresh.iter().map(|partner| partner.did().clone()),
            &self.kit,
            &self.tasks,
            &self.stop,
        );
        for domain in in_doubt(&before).difference(&in_doubt(&fresh)) {
            self.release(domain, &fresh, now).await?;
        }
        Ok(())
    }

    /// Decides anew about everything that is held for partners who are not in doubt. Meant for the start: the doubt
    /// may have been cleared, or the rules changed, while no gateway was running to notice.
    ///
    /// # Errors
    /// The spool's; what was not released stays held.
    pub async fn release_settled(&self) -> Result<(), SpoolError> {
        let partners = self.partners.borrow().clone();
        let in_doubt = in_doubt(&partners);
        let held = self.spool.backlog().await?.into_iter().filter(|backlog| backlog.state == State::Held);
        let held: BTreeSet<String> = held.map(|backlog| backlog.partner_domain).collect();
        for domain in held.difference(&in_doubt).filter(|domain| partners.by_domain(domain).is_some()) {
            self.release(domain, &partners, (self.clock)()).await?;
        }
        Ok(())
    }

    /// Held mail of `domain` goes on, towards whoever is pinned now.
    async fn release(&self, domain: &str, partners: &Partners, now: UnixMillis) -> Result<(), SpoolError> {
        if let Some(pinned) = partners.by_domain(domain) {
            self.spool.readdress_held(domain, pinned.did().as_str()).await?;
        }
        let released = self.spool.release_held(domain, now).await?;
        tracing::info!(%domain, released, "this partner is in no doubt (any more); held mail is decided anew");
        Ok(())
    }
}

/// Domains whose mail waits: their identity is disputed, frozen or ended, or their records have lapsed.
fn in_doubt(partners: &Partners) -> BTreeSet<String> {
    let doubtful = partners.iter().filter(|partner| partner.is_in_doubt());
    doubtful.map(|partner| partner.domain().to_owned()).collect()
}

/// What we present on each stream.
pub fn hello(custody: &Custody, own: &Own) -> Hello {
    Hello {
        node_record: own.node_record().to_vec(),
        prekeys: custody.current_prekey_records(),
        head: own.head(),
    }
}
