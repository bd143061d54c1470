//! From a DID to its records: several sources in parallel, none of them believed.
//!
//! ```text
//! resolve ─► memory ─► cache (young?) ─► sources ∥ ─ verify each ─► reconcile with what we know
//!                                             same or newer ─► Fresh, kept       nothing new to be had ─► Stale
//!                                             contradiction of equal rank ─► frozen, until recovery keys settle it
//! ```

mod cache;
mod candidate;
mod memory;
mod reconcile;
mod source;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use dccp::did::Comparison;
use dccp::partner::{PartnerFile, VerifiedPartner};
use dccp::{Did, UnixMillis};
use tokio::sync::Mutex;

pub use cache::{Cache, CacheError, Cached, Frozen};
pub use candidate::Refusal;
pub use source::{BUNDLE_BYTES_MAX, HttpsMirror, MirrorOf, Source, SourceError};

pub(crate) use candidate::{Candidate, Offers, gather, verify_apart};
pub(crate) use reconcile::{Reconciled, reconcile};

use memory::Memory;
use reconcile::{Rival, beats};

/// How long an answer counts without asking again.
const FRESH_MS: u64 = 3600 * 1000;
/// How long nobody is asked again after the sources had nothing better, or while a DID is frozen. Short enough that a
/// recovered organisation is seen within a minute.
const RETRY_MS: u64 = 20 * 1000;
/// How long one source may take; the slowest decides.
const SOURCE_WAIT: Duration = Duration::from_secs(10);
/// Look-ups at the same time: bounds connections and memory, and lets those for one DID wait for each other.
const TURNS: usize = 64;

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A source offered it now.
    Fresh,
    /// It was offered a short while ago, and nobody was asked again.
    FromCache {
        /// Since then, in milliseconds.
        age_ms: u64,
    },
    /// Sources were asked, and none had as much as we know already.
    Stale {
        /// Since a source offered it last, in milliseconds.
        age_ms: u64,
    },
}

/// The records of a DID, verified.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The records; nodes, devices and prekeys are those that counted when they were verified.
    pub records: Arc<Records>,
    /// How current they are.
    pub standing: Standing,
    /// What was refused on the way, and from which source.
    pub refusals: Arc<[(&'static str, Refusal)]>,
}

/// A bundle and what verifying it gave.
#[derive(Clone, Debug)]
pub struct Records {
    /// As it was offered.
    pub bundle: PartnerFile,
    /// As it was verified.
    pub partner: VerifiedPartner,
    /// When a source offered it last.
    pub fetched_at: UnixMillis,
}

/// Why a DID does not resolve. None of it means that the DID does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Ours: what we have seen before cannot be read or kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Theirs: two logs of the DID contradict each other from this operation on. It is frozen.
    #[error("two logs of this DID contradict each other from operation {at_seq} on: it is frozen")]
    Duplicity {
        /// The first operation in which they differ.
        at_seq: u64,
    },
    /// Theirs or an attacker's: only a device manifest that was replaced already.
    #[error("only manifest epoch {offered} is offered, but {known} was seen")]
    Regressed {
        /// The epoch we have seen.
        known: u64,
        /// The epoch offered.
        offered: u64,
    },
    /// Theirs or an attacker's: something is offered, and nothing of it is acceptable.
    #[error("nothing acceptable is offered: {}", list(.0))]
    Invalid(Vec<(&'static str, Refusal)>),
    /// Nobody's: no source knows the DID.
    #[error("no source knows this DID")]
    NotFound,
    /// The network's: at least one source that might know could not be asked.
    #[error("not reachable now: {}", list(.0))]
    Unreachable(Vec<(&'static str, Refusal)>),
}

impl ResolveError {
    /// Whether asking again later may help without anybody repairing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Cache(_) | Self::Unreachable(_))
    }
}

fn list(refusals: &[(&'static str, Refusal)]) -> String {
    refusals.iter().map(|(name, refusal)| format!("{name}: {refusal}")).collect::<Vec<_>>().join("; ")
}

/// Resolves DIDs.
pub struct Resolver {
    sources: Vec<Arc<dyn Source>>,
    cache: Arc<dyn Cache>,
    memory: Memory,
    turns: [Mutex<()>; TURNS],
    seat_of: RandomState,
}

impl Resolver {
    /// A resolver that asks all of these sources, two or more of which should not depend on each other.
    pub fn new(sources: Vec<Arc<dyn Source>>, cache: Arc<dyn Cache>) -> Self {
        let turns = std::array::from_fn(|_| Mutex::new(()));
        Self { sources, cache, memory: Memory::default(), turns, seat_of: RandomState::new() }
    }

    /// The records of a DID; sources are asked when what is kept is older than an hour.
    ///
    /// # Errors
    /// Any [`ResolveError`].
    pub async fn resolve(&self, did: &Did, now: UnixMillis) -> Result<Resolution, ResolveError> {
        if let Some(answer) = self.memory.recall(did, now) {
            return aged(answer, now);
        }
        let _turn = self.turn(did).lock().await;
        // Whoever had the turn before may have asked for the same.
        if let Some(answer) = self.memory.recall(did, now) {
            return aged(answer, now);
        }
        let kept = self.cache.load(did).await?;
        match kept.as_ref().and_then(|kept| young(kept, did, now)) {
            Some(records) => Ok(self.remember(did, records, now)),
            None => self.ask(did, kept, &[], now).await,
        }
    }

    /// The records of a DID as the sources have them now, however young what is kept: for when somebody says that
    /// there is something new.
    ///
    /// # Errors
    /// Any [`ResolveError`].
    pub async fn refresh(&self, did: &Did, now: UnixMillis) -> Result<Resolution, ResolveError> {
        self.refresh_at(did, &[], now).await
    }

    /// The same, where somebody says that the news is: at these nodes. They are asked, not believed.
    ///
    /// # Errors
    /// Any [`ResolveError`].
    pub async fn refresh_at(
        &self,
        did: &Did,
        nodes: &[String],
        now: UnixMillis,
    ) -> Result<Resolution, ResolveError> {
        let _turn = self.turn(did).lock().await;
        let kept = self.cache.load(did).await?;
        self.ask(did, kept, nodes, now).await
    }

    /// What a bundle changes that somebody brought without being asked by us: another log is weighed against the one that
    /// we know like the answer of a source. The log that we know, or a part of it, is no news from him, and makes nothing
    /// fresh. `name` says who brought it.
    ///
    /// # Errors
    /// Any [`ResolveError`]; [`ResolveError::Invalid`] when it is no news or of a DID that we do not know.
    pub async fn weigh(
        &self,
        did: &Did,
        name: &'static str,
        bundle: Vec<u8>,
        now: UnixMillis,
    ) -> Result<Resolution, ResolveError> {
        let offer = verify_apart(bundle, did.clone(), now).await;
        let _turn = self.turn(did).lock().await;
        let kept = self.cache.load(did).await?;
        let held = kept.as_ref().and_then(|kept| held(kept, did, now));
        let offer = offer.and_then(|offer| match &held {
            Some(held) if is_news(held, &offer) => Ok(offer),
            _ => Err(Refusal::Stale),
        });
        match offer {
            Ok(offer) => self.settle(did, kept, held, vec![(name, Ok(offer))], now).await,
            Err(refusal) => Err(ResolveError::Invalid(vec![(name, refusal)])),
        }
    }

    /// Forgets what is in memory, so that the cache is read again: somebody else has written to it.
    pub fn forget(&self) {
        self.memory.clear();
    }

    fn turn(&self, did: &Did) -> &Mutex<()> {
        let seat = self.seat_of.hash_one(did) as usize % TURNS;
        #[expect(clippy::indexing_slicing, reason = "reduced by the length of the array")]
        &self.turns[seat]
    }

    fn remember(&self, did: &Did, records: (Records, usize), now: UnixMillis) -> Resolution {
        let (records, bytes) = records;
        let age_ms = now.as_u64().saturating_sub(records.fetched_at.as_u64());
        let standing = Standing::FromCache { age_ms };
        let resolution = Resolution { records: Arc::new(records), standing, refusals: Arc::new([]) };
        self.memory.keep(did, Ok(resolution.clone()), bytes, now, FRESH_MS.saturating_sub(age_ms));
        resolution
    }

    async fn ask(
        &self,
        did: &Did,
        kept: Option<Cached>,
        nodes: &[String],
        now: UnixMillis,
    ) -> Result<Resolution, ResolveError> {
        let offers = gather(&self.sources, did, nodes, SOURCE_WAIT, now).await;
        let held = kept.as_ref().and_then(|kept| held(kept, did, now));
        self.settle(did, kept, held, offers, now).await
    }

    /// Keeps what is best of what is known and what was offered.
    async fn settle(
        &self,
        did: &Did,
        kept: Option<Cached>,
        held: Option<Candidate>,
        offers: Offers,
        now: UnixMillis,
    ) -> Result<Resolution, ResolveError> {
        let mut outcome = reconcile(held, offers);
        if let Some(frozen) = kept.as_ref().and_then(|kept| kept.frozen.as_ref()) {
            outcome.keep_frozen(frozen, did, now);
        }
        let Some(best) = outcome.best.take() else { return Err(nothing(outcome.refusals)) };
        let fetched_at = match &kept {
            Some(kept) if !outcome.confirmed => kept.fetched_at,
            _ => now,
        };
        let frozen = outcome
            .rival
            .as_ref()
            .map(|rival| Frozen { at_seq: rival.at_seq, rival: rival.candidate.bytes.to_vec() });
        let cached = Cached { bundle: best.bytes.to_vec(), manifest_epoch: best.epoch, fetched_at, frozen };
        if kept.as_ref() != Some(&cached) {
            self.cache.store(did, &cached).await?;
        }
        let bytes = best.bytes.len();
        let answer = answer(best, outcome, fetched_at, now);
        let for_ms = match &answer {
            Ok(Resolution { standing: Standing::Fresh, .. }) => FRESH_MS,
            _ => RETRY_MS,
        };
        self.memory.keep(did, answer.clone(), bytes, now, for_ms);
        answer
    }
}

impl Reconciled {
    /// A DID that was frozen stays so until a log is offered that beats both that contradicted each other.
    fn keep_frozen(&mut self, frozen: &Frozen, did: &Did, now: UnixMillis) {
        let Some(candidate) = Candidate::kept(frozen.rival.clone(), 0, did, now) else { return };
        let settled = self.best.as_ref().is_some_and(|best| beats(best, &candidate));
        if self.rival.is_none() && !settled {
            self.rival = Some(Rival { candidate, at_seq: frozen.at_seq });
        }
    }
}

fn held(kept: &Cached, did: &Did, now: UnixMillis) -> Option<Candidate> {
    Candidate::kept(kept.bundle.clone(), kept.manifest_epoch, did, now)
}

/// Whether an offer tells operations that we do not know.
fn is_news(held: &Candidate, offer: &Candidate) -> bool {
    use Comparison::{Duplicity, Newer, Superseded};
    let comparison = held.bundle.log.compare(&offer.bundle.log);
    matches!(comparison, Newer | Superseded { .. } | Duplicity { .. })
}

/// What is kept may be given without asking anybody: it is not frozen, from the last hour, and still verifies.
fn young(kept: &Cached, did: &Did, now: UnixMillis) -> Option<(Records, usize)> {
    let age_ms = now.as_u64().checked_sub(kept.fetched_at.as_u64())?;
    if kept.frozen.is_some() || age_ms >= FRESH_MS {
        return None;
    }
    let candidate = Candidate::kept(kept.bundle.clone(), kept.manifest_epoch, did, now)?;
    let records =
        Records { bundle: candidate.bundle, partner: candidate.partner?, fetched_at: kept.fetched_at };
    Some((records, kept.bundle.len()))
}

fn answer(
    best: Candidate,
    outcome: Reconciled,
    fetched_at: UnixMillis,
    now: UnixMillis,
) -> Result<Resolution, ResolveError> {
    if let Some(Rival { at_seq, .. }) = outcome.rival {
        return Err(ResolveError::Duplicity { at_seq });
    }
    let Some(partner) = best.partner else { return Err(nothing(outcome.refusals)) };
    let age_ms = now.as_u64().saturating_sub(fetched_at.as_u64());
    Ok(Resolution {
        records: Arc::new(Records { bundle: best.bundle, partner, fetched_at }),
        standing: if outcome.confirmed { Standing::Fresh } else { Standing::Stale { age_ms } },
        refusals: outcome.refusals.into(),
    })
}

/// Why there is no answer at all, the gravest reason first.
fn nothing(refusals: Vec<(&'static str, Refusal)>) -> ResolveError {
    let regressed = refusals.iter().find_map(|(_, refusal)| match refusal {
        Refusal::Regressed { known, offered } => {
            Some(ResolveError::Regressed { known: *known, offered: *offered })
        }
        _ => None,
    });
    let is = |kind: fn(&SourceError) -> bool| move |refusal: &(&str, Refusal)| matches!(&refusal.1, Refusal::Source(error) if kind(error));
    let unreachable = is(|error| matches!(error, SourceError::Unreachable(_)));
    let unknown = is(|error| matches!(error, SourceError::NotFound));
    match regressed {
        Some(error) => error,
        None if refusals.iter().any(unreachable) => ResolveError::Unreachable(refusals),
        None if refusals.iter().all(unknown) => ResolveError::NotFound,
        None => ResolveError::Invalid(refusals),
    }
}

/// An answer out of memory is as old as its records, and was not offered now.
fn aged(answer: Result<Resolution, ResolveError>, now: UnixMillis) -> Result<Resolution, ResolveError> {
    let mut resolution = answer?;
    let age_ms = now.as_u64().saturating_sub(resolution.records.fetched_at.as_u64());
    resolution.standing = match resolution.standing {
        Standing::Fresh | Standing::FromCache { .. } => Standing::FromCache { age_ms },
        Standing::Stale { .. } => Standing::Stale { age_ms },
    };
    Ok(resolution)
}

#[cfg(test)]
mod tests;
