//! The wiring of this room.

use std::collections::BTreeMap;
use std::sync::Arc;

use dccp::Did;
use finding::{Finder, HttpsMirror, Mirror, Resolver, SetupError, Source};
use tokio::sync::{mpsc, watch};

use super::{
    AskRoad, Board, Gateway, Gossip, Identify, Identities, Introductions, LookUp, Own, Parts, Publishing,
    Recheck, Renewal, Road, SEEN_MAX, Seen, Whereabouts,
};
use crate::clock::Clock;
use crate::config;
use crate::custody::Custody;
use crate::forward::Prekeys;
use crate::partners::{Ourselves, Partners};
use crate::people::{PeopleError, Registrar, Registry};
use crate::spool::Spool;

/// Why the room cannot be furnished.
#[derive(Debug, thiserror::Error)]
pub enum FurnishError {
    /// The configuration of look-ups.
    #[error("finding: {0}")]
    Finding(#[from] SetupError),
    /// The records of our people.
    #[error("people: {0}")]
    People(#[from] PeopleError),
}

/// What the room is furnished with.
pub struct Needs {
    /// Our keys.
    pub custody: Arc<Custody>,
    /// The database.
    pub spool: Spool,
    /// Whom we know.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// This node's signed record.
    pub node_record: Vec<u8>,
    /// The addresses in it.
    pub addresses: Vec<String>,
    /// Our one-time keys.
    pub prekeys: Prekeys,
    /// How to look up.
    pub finding: config::Finding,
    /// Our domains.
    pub domains: Vec<String>,
    /// The notice of a change of our DID, while there is one.
    pub succession: Option<Vec<u8>>,
    /// Takes what partners publish of their trees.
    pub gossip: Gossip,
    /// Time.
    pub clock: Clock,
}

/// The furnished room.
pub struct Room {
    /// Our own records.
    pub own: Arc<Own>,
    /// Answers other nodes.
    pub answers: Arc<Introductions>,
    /// Resolves DIDs.
    pub resolver: Arc<Resolver>,
    /// The overlay, to be opened when it runs.
    pub road: Road,
    /// What our people's addresses lead to.
    pub registry: Arc<Registry>,
    source: Arc<AskRoad>,
    sources: Vec<&'static str>,
    finder: Arc<Finder>,
    seen: mpsc::Receiver<Seen>,
    spool: Spool,
    partners: watch::Receiver<Arc<Partners>>,
    domains: Vec<String>,
    recheck_ms: u64,
    succession: Option<Vec<u8>>,
    gossip: Gossip,
    clock: Clock,
}

impl Room {
    /// Builds everything; nothing runs yet.
    ///
    /// # Errors
    /// [`FurnishError`].
    pub async fn furnish(needs: Needs) -> Result<Room, FurnishError> {
        let Needs {
            custody,
            spool,
            partners,
            node_record,
            addresses,
            prekeys,
            finding,
            domains,
            succession,
            gossip,
            clock,
        } = needs;
        let finder = Arc::new(Finder::new(finding.settings())?);
        let road = Road::default();
        let allow_private = finding.settings().allow_private_addresses;
        let source = Arc::new(AskRoad { road: road.clone(), partners: partners.clone(), allow_private });
        let mirror = HttpsMirror::new(finder.https(), mirror_of(partners.clone()));
        let sources: Vec<Arc<dyn Source>> = vec![source.clone(), Arc::new(mirror)];
        let names = sources.iter().map(|source| source.name()).collect();
        let resolver = Arc::new(Resolver::new(sources, Arc::new(Identities(spool.clone()))));
        let registrar = Arc::new(Registrar::open(spool.clone(), custody.clone()).await?);
        let registry = Arc::new(Registry::new(&registrar, clock()));
        let tree = registry.own_tree().await.map_err(PeopleError::from)?;
        let own = Arc::new(Own::new(custody, node_record, &addresses, tree, clock));
        let (seen_in, seen) = mpsc::channel(SEEN_MAX);
        let answers = Arc::new(Introductions::new(Parts {
            own: own.clone(),
            spool: spool.clone(),
            registrar,
            registry: registry.clone(),
            prekeys,
            resolver: resolver.clone(),
            road: road.clone(),
            seen: seen_in,
            partners: partners.clone(),
            gossip: gossip.clone(),
            clock,
        }));
        let recheck_ms = finding.recheck_ms();
        Ok(Room {
            own,
            answers,
            resolver,
            road,
            registry,
            source,
            sources: names,
            finder,
            seen,
            spool,
            partners,
            domains,
            recheck_ms,
            succession,
            gossip,
            clock,
        })
    }

    /// Answers the administrator's questions about DIDs.
    pub fn identify(&self) -> Identify {
        let (introductions, resolver) = (self.answers.clone(), self.resolver.clone());
        Identify { introductions, resolver, road: self.source.clone(), sources: self.sources.clone() }
    }

    /// Tells domains without a gateway from those that have one.
    pub fn whereabouts(&self) -> Whereabouts {
        let (finder, source, clock) = (self.finder.clone(), self.source.clone(), self.clock);
        let look_up: LookUp = Box::new(move |domain| {
            let (finder, source) = (finder.clone(), source.clone());
            Box::pin(async move { Gateway::of(&finder.discover(&domain, Some(source), clock()).await) })
        });
        Whereabouts::new(look_up, self.clock)
    }

    /// What the HTTPS door shows.
    pub fn publishing(&self) -> Publishing {
        let (answers, own) = (self.answers.clone(), self.own.clone());
        Publishing::new(answers, own, self.domains.clone(), self.succession.clone(), self.clock)
    }

    /// Reads what partners publish of their trees.
    pub fn board(&self) -> Board {
        let (road, own, partners) = (self.road.clone(), self.own.clone(), self.partners.clone());
        Board { road, own, partners, gossip: self.gossip.clone(), clock: self.clock }
    }

    /// The task that keeps what we know of partners current. `changed` is told when partners have to be loaded anew.
    pub fn renewal(
        self,
        links: watch::Receiver<BTreeMap<Did, overlay::LinkState>>,
        changed: mpsc::Sender<()>,
    ) -> Renewal {
        let ourselves = Ourselves { did: self.own.did().clone(), domains: self.domains };
        let recheck = Recheck {
            finder: self.finder,
            overlay: self.source,
            spool: self.spool,
            partners: self.partners.clone(),
            ourselves,
            every_ms: self.recheck_ms,
        };
        let Room { seen, partners, resolver, gossip, clock, .. } = self;
        Renewal { seen, partners, links, resolver, recheck, gossip, changed, clock }
    }
}

/// A partner's mirror is the web server of its main domain.
fn mirror_of(
    partners: watch::Receiver<Arc<Partners>>,
) -> impl Fn(&Did) -> Option<Mirror> + Send + Sync + 'static {
    move |did| {
        let partners = partners.borrow();
        Some(Mirror::of(&partners.by_did(did)?.domain().parse().ok()?))
    }
}
