//! What other nodes ask us, and the head records that they want us to keep for others.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use dccp::did::Head;
use dccp::{Did, RecordError, UnixMillis};
use finding::Resolver;
use overlay::{Asker, HeadVerdict, Topic, Whom};
use tokio::sync::{Semaphore, mpsc, watch};

use super::{Gossip, Own, Road, Seen};
use crate::allowance::{Allowance, Bucket};
use crate::clock::Clock;
use crate::flows::arrival::Questions;
use crate::forward::Prekeys;
use crate::partners::{self, Partners};
use crate::people::{self, Registrar, Registry};
use crate::publication::Unavailable;
use crate::spool::Spool;

/// Head records of strangers that are judged at the same time: each may make us fetch a log.
const JUDGED_AT_ONCE_MAX: usize = 4;

/// DIDs of which nothing is known and that head records of others make us look up: each look-up dials a few addresses
/// that a stranger chose. Who is turned away publishes again, and the hash table is never the only way to a DID.
const NEWCOMERS: Allowance = Allowance { burst: 16, per_minute: 6 };

/// Who brings records with a claim that they should prove.
const CALLER: &str = "caller";

/// A DID as text.
const DID_BYTES_MAX: usize = 128;

/// Answers for the house.
pub struct Introductions {
    own: Arc<Own>,
    spool: Spool,
    registrar: Arc<Registrar>,
    registry: Arc<Registry>,
    prekeys: Prekeys,
    resolver: Arc<Resolver>,
    road: Road,
    seen: mpsc::Sender<Seen>,
    partners: watch::Receiver<Arc<Partners>>,
    gossip: Gossip,
    judging: Semaphore,
    newcomers: Mutex<Bucket>,
    clock: Clock,
}

/// What the answers are drawn from.
pub struct Parts {
    /// Our own records.
    pub own: Arc<Own>,
    /// Records of others that we have verified.
    pub spool: Spool,
    /// Records of our people.
    pub registrar: Arc<Registrar>,
    /// Which address is whose.
    pub registry: Arc<Registry>,
    /// One-time prekeys.
    pub prekeys: Prekeys,
    /// Verifies what head records name.
    pub resolver: Arc<Resolver>,
    /// Asks whoever calls.
    pub road: Road,
    /// Takes heads that partners presented, and what came of claims.
    pub seen: mpsc::Sender<Seen>,
    /// Whom we know.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Takes what partners publish of their trees.
    pub gossip: Gossip,
    /// Time.
    pub clock: Clock,
}

impl Introductions {
    /// Ready to answer.
    pub fn new(parts: Parts) -> Introductions {
        let Parts { own, spool, registrar, registry, prekeys, resolver, road, seen, partners, gossip, clock } =
            parts;
        let judging = Semaphore::new(JUDGED_AT_ONCE_MAX);
        let newcomers = Mutex::new(Bucket::full(NEWCOMERS, clock()));
        Introductions {
            own,
            spool,
            registrar,
            registry,
            prekeys,
            resolver,
            road,
            seen,
            partners,
            gossip,
            judging,
            newcomers,
            clock,
        }
    }

    /// The bundle of a DID: ours, a person's of ours, or one that we have verified ourselves. An answer from here is
    /// as good as from anywhere, because the asker verifies it.
    async fn bundle(&self, did: &Did) -> Option<Vec<u8>> {
        if let Some(bundle) = self.of_ours(did).await {
            return Some(bundle);
        }
        match partners::recall(&self.spool, did).await {
            Ok(kept) => kept.filter(|kept| kept.frozen.is_none()).map(|kept| kept.bundle),
            Err(error) => {
                tracing::warn!(%error, %did, "kept records cannot be read");
                None
            }
        }
    }

    /// The bundle of our organisation or of one of our people.
    pub(super) async fn of_ours(&self, did: &Did) -> Option<Vec<u8>> {
        match did == self.own.did() {
            true => Some(self.own.bundle().to_bytes()),
            false => self.person(did).await.ok().flatten(),
        }
    }

    /// The bundle of one of our people.
    pub(super) async fn person(&self, did: &Did) -> Result<Option<Vec<u8>>, Unavailable> {
        self.registrar.bundle(did, (self.clock)()).await.map_err(|error| {
            tracing::warn!(%error, %did, "a person's records cannot be read");
            Unavailable
        })
    }

    async fn judge(&self, record: &[u8], stored: Option<&[u8]>) -> Option<HeadVerdict> {
        let now = (self.clock)();
        let claimed = Head::claimed(record).ok()?;
        // Busy: the publisher tries again, and no record is ever the only way to a DID.
        let _turn = self.judging.try_acquire().ok()?;
        let head = self.verified(record, &claimed.did, now).await?;
        let before = match stored {
            Some(stored) => self.verified(stored, &claimed.did, now).await,
            None => None,
        };
        if self.partners.borrow().by_did(&head.did).is_some() {
            // Whether it is kept or not: it is signed, so it was said.
            self.gossip.hear_published(&head);
        }
        match before {
            Some(before) if head.contradicts(&before) => {
                tracing::debug!(did = %head.did, "an organisation publishes two trees of bindings");
                Some(HeadVerdict::Contradicts)
            }
            Some(before) if !head.newer_than(&before) => None,
            _ => Some(HeadVerdict::Store(head.did)),
        }
    }

    /// Whether a look-up of this DID, on the word of whoever brought a head record, is within the allowance. Those that we
    /// know cost nothing, because where to look for them is known too.
    async fn may_be_looked_up(&self, did: &Did, now: UnixMillis) -> bool {
        let known = partners::recall(&self.spool, did).await.ok().flatten().is_some();
        known || self.newcomers.lock().unwrap_or_else(PoisonError::into_inner).take(NEWCOMERS, now)
    }

    /// The head beside its log; the log is fetched (again) when the head says that there is more of it.
    async fn verified(&self, record: &[u8], did: &Did, now: UnixMillis) -> Option<Head> {
        if did == self.own.did() {
            return Head::verify(record, self.own.bundle().log.verify().ok().as_ref()?, now).ok();
        }
        if !self.may_be_looked_up(did, now).await {
            return None;
        }
        let known = self.resolver.resolve(did, now).await.ok()?;
        match Head::verify(record, &known.records.partner.document, now) {
            Err(RecordError::Ahead | RecordError::BadSignature(_)) => {
                let renewed = self.resolver.refresh(did, now).await.ok()?;
                Head::verify(record, &renewed.records.partner.document, now).ok()
            }
            other => other.ok(),
        }
    }
}

#[async_trait]
impl Questions for Introductions {
    async fn answer(&self, from: Asker, topic: Topic, question: Bytes) -> Option<Bytes> {
        let answer = match topic {
            Topic::Did => self.bundle(&did_in(&question)?).await?,
            Topic::Prekey => self.prekeys.answer(from.did.as_ref()?, &question).await?,
            Topic::Find => {
                let asker = from.did.map_or(people::Asker::Stranger(from.peer_id), people::Asker::Partner);
                self.registry.answer(&question, &asker, (self.clock)()).await?
            }
        };
        Some(answer.into())
    }

    async fn accept_head(&self, record: &[u8], stored: Option<&[u8]>) -> HeadVerdict {
        self.judge(record, stored).await.unwrap_or(HeadVerdict::Drop)
    }

    fn presented_head(&self, from: &Did, head: Vec<u8>) {
        // No room: it is presented again with the next stream, and silent partners are looked after anyway.
        _ = self.seen.try_send(Seen::Head { did: from.clone(), head });
    }

    async fn unproven(&self, claimed: &Did, node: Vec<u8>) {
        let question = Bytes::copy_from_slice(claimed.as_str().as_bytes());
        let Ok(bundle) = self.road.ask(&Whom::Node(node), Topic::Did, question).await else { return };
        let outcome = self.resolver.weigh(claimed, CALLER, bundle.to_vec(), (self.clock)()).await;
        // No room: the caller calls again.
        _ = self.seen.try_send(Seen::Weighed { did: claimed.clone(), outcome: outcome.map(drop) });
    }
}

/// The question of `/dccp/did/1`: a DID as text.
fn did_in(question: &[u8]) -> Option<Did> {
    if question.len() > DID_BYTES_MAX {
        return None;
    }
    std::str::from_utf8(question).ok()?.parse().ok()
}
