//! Keeps what we know of our partners current: within a minute of anybody being able to tell us.
//!
//! A partner whose keys were rotated cannot prove itself to us on a stream, because we know only its old keys: so
//! whoever is not connected is asked for its records, like any stranger, every twenty seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dccp::did::Head;
use dccp::{Did, RecordError, UnixMillis};
use finding::{ResolveError, Resolver};
use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::road::addresses_of;
use super::{Gossip, Recheck};
use crate::clock::Clock;
use crate::partners::Partners;

/// Heads that may wait to be looked at; a partner presents one with each stream.
pub const SEEN_MAX: usize = 64;

/// How often the silent and the frozen are looked after: three looks fit into the minute in which a thief's branch
/// must be dead.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Partners asked in one look; the others have their turn in the next.
const LOOKED_AFTER_AT_ONCE: usize = 16;

/// How soon the same partner's heads may make us fetch again.
const REFRESH_PAUSE_MS: u64 = 10_000;

/// What may be news of a partner.
pub enum Seen {
    /// A partner presented a head on a stream: not verified yet.
    Head {
        /// Who presented it.
        did: Did,
        /// The record.
        head: Vec<u8>,
    },
    /// Somebody who could not prove to be a partner brought records that should, and they were weighed.
    Weighed {
        /// Who he says he is.
        did: Did,
        /// What came of it.
        outcome: Result<(), ResolveError>,
    },
}

/// The task that keeps records current.
pub struct Renewal {
    /// What partners presented.
    pub seen: mpsc::Receiver<Seen>,
    /// Whom we know.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Who is connected.
    pub links: watch::Receiver<BTreeMap<Did, overlay::LinkState>>,
    /// Fetches and verifies, and keeps the result in the database.
    pub resolver: Arc<Resolver>,
    /// Looks at domains.
    pub recheck: Recheck,
    /// Takes what partners publish of their trees.
    pub gossip: Gossip,
    /// Told when records of a partner may have changed.
    pub changed: mpsc::Sender<()>,
    /// Time.
    pub clock: Clock,
}

impl Renewal {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        // Not at once: at the start nobody is connected yet, and that says nothing.
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked: HashMap<Did, UnixMillis> = HashMap::new();
        let mut unmet: BTreeMap<Did, Vec<u8>> = BTreeMap::new();
        let mut turn = 0;
        let mut generation = self.partners.borrow().generation();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(seen) = self.seen.recv() => match seen {
                    Seen::Head { did, head } if self.says_more(&did, &head) => {
                        self.refresh(vec![(did.clone(), nodes_in(&head))], &mut asked).await;
                        unmet.insert(did, head);
                    }
                    Seen::Head { .. } => {}
                    Seen::Weighed { did, outcome } => self.learned(&did, outcome),
                },
                Ok(()) = self.partners.changed() => {
                    // An administrator may have imported what the resolver has not seen.
                    let newest = self.partners.borrow().generation();
                    if std::mem::replace(&mut generation, newest) != newest {
                        self.resolver.forget();
                    }
                }
                _ = looks.tick() => {
                    // A head is presented once for each stream: what it promised is asked for until it is there.
                    unmet.retain(|did, head| self.says_more(did, head));
                    let promised = unmet.iter().take(LOOKED_AFTER_AT_ONCE);
                    let promised = promised.map(|(did, head)| (did.clone(), nodes_in(head)));
                    let silent = self.silent(&mut turn).into_iter().map(|did| (did, Vec::new()));
                    self.refresh(promised.chain(silent).collect(), &mut asked).await;
                    if self.recheck.look((self.clock)()).await {
                        self.tell();
                    }
                }
            }
        }
    }

    /// Whether a head is reason enough to fetch: it names operations, keys or devices that we do not know. What a head that
    /// counts says of the partner's tree is passed on.
    fn says_more(&self, did: &Did, head: &[u8]) -> bool {
        let partners = self.partners.borrow();
        let Some(partner) = partners.by_did(did) else { return false };
        match Head::verify(head, partner.document(), (self.clock)()) {
            Ok(head) => {
                self.gossip.hear_published(&head);
                head.manifest_epoch > partner.devices().epoch()
            }
            Err(RecordError::Ahead | RecordError::BadSignature(_)) => true,
            Err(error) => {
                tracing::debug!(%error, partner = %did, "a presented head says nothing new");
                false
            }
        }
    }

    /// Partners from whom nothing can be heard, or of whom two things are heard; a share of them at a time.
    fn silent(&self, turn: &mut usize) -> Vec<Did> {
        let partners = self.partners.borrow();
        let links = self.links.borrow();
        let is_up = |did: &Did| links.get(did).is_some_and(|link| link.up);
        let silent = partners.iter().filter(|partner| partner.is_frozen() || !is_up(partner.did()));
        let silent: Vec<Did> = silent.map(|partner| partner.did().clone()).collect();
        let start = *turn % silent.len().max(1);
        *turn = start.saturating_add(LOOKED_AFTER_AT_ONCE);
        silent.iter().cycle().skip(start).take(silent.len().min(LOOKED_AFTER_AT_ONCE)).cloned().collect()
    }

    /// Asks about all of them at the same time, so that the slowest alone decides how long the others wait; at the
    /// nodes that are named with each, too.
    async fn refresh(&self, whom: Vec<(Did, Vec<String>)>, asked: &mut HashMap<Did, UnixMillis>) {
        let now = (self.clock)();
        asked.retain(|_, at| now < at.saturating_add_ms(REFRESH_PAUSE_MS));
        let mut due = whom;
        due.retain(|(did, _)| !asked.contains_key(did) && asked.insert(did.clone(), now).is_none());
        let looks = due.into_iter().map(|(did, nodes)| async move {
            let outcome = self.resolver.refresh_at(&did, &nodes, now).await;
            self.learned(&did, outcome.map(drop));
        });
        join_all(looks).await;
    }

    fn learned(&self, did: &Did, outcome: Result<(), ResolveError>) {
        match outcome {
            Ok(()) => self.tell(),
            Err(ResolveError::Duplicity { at_seq }) => {
                tracing::error!(
                    partner = %did,
                    at_seq,
                    "ALARM: two histories of this partner's identity are signed; mail to and from it is held until its recovery key settles which one counts. Call somebody you know there"
                );
                self.tell();
            }
            Err(error) => tracing::debug!(%error, partner = %did, "no newer records to be had"),
        }
    }

    fn tell(&self) {
        // One unread word says as much as many.
        _ = self.changed.try_send(());
    }
}

/// Where a head says that its log is to be had. Whoever took an identity over is not where we looked for it before.
fn nodes_in(head: &[u8]) -> Vec<String> {
    let nodes = Head::claimed(head).map(|head| head.nodes).unwrap_or_default();
    nodes.iter().flat_map(addresses_of).collect()
}
