//! Whether a domain that is no partner's has a gateway all the same: asked before anything leaves in the clear.
//!
//! ```text
//! domain ─► remembered? ─ yes ─► answer
//!              └ no ─► one look-up, however many wait ─► answer within a few seconds, or unclear for now
//! ```
//!
//! Only one answer lets mail out: DNS and HTTPS both say that there is nothing. A domain that names an identity we cannot
//! verify has a gateway; one whose servers do not answer is unclear.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dccp::UnixMillis;
use finding::DiscoverError;
use tokio::sync::watch;

use crate::clock::Clock;

/// How long a client waits for a look-up. It goes on meanwhile, so that the next attempt finds its answer.
const WAIT: Duration = Duration::from_secs(5);

/// How long nothing is asked again of a domain without a gateway: who installs one is served sealed within the hour.
const NOTHING_KEPT_MS: u64 = 3_600_000;

/// The same for one with a gateway that is not a partner; once it is, nobody asks here any more.
const STRANGER_KEPT_MS: u64 = 600_000;

/// The same for one without an answer: servers that are down are not asked by every waiting mail.
const UNCLEAR_KEPT_MS: u64 = 30_000;

/// Domains that are remembered; some hundred bytes each.
const DOMAINS_KEPT_MAX: usize = 20_000;

/// Look-ups at a time; who comes later hears that it is unclear.
const LOOKUPS_MAX: usize = 64;

/// What is known of a domain that is no partner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// It certainly has none.
    Nothing,
    /// It has one, and nobody has made it a partner.
    Stranger,
    /// It cannot be found out now.
    Unclear,
}

impl Gateway {
    /// What a discovery means here.
    pub(super) fn of<T>(discovered: &Result<T, DiscoverError>) -> Self {
        match discovered {
            Ok(_) => Self::Stranger,
            Err(error) if error.is_certain_absence() => Self::Nothing,
            Err(error) if error.names_an_identity() => Self::Stranger,
            Err(_) => Self::Unclear,
        }
    }

    fn kept_ms(self) -> u64 {
        match self {
            Self::Nothing => NOTHING_KEPT_MS,
            Self::Stranger => STRANGER_KEPT_MS,
            Self::Unclear => UNCLEAR_KEPT_MS,
        }
    }
}

/// Asks the network about one domain, and always comes to an end.
pub type LookUp = Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Gateway> + Send>> + Send + Sync>;

/// What is known of domains.
#[derive(Clone)]
pub struct Whereabouts(Arc<Inner>);

struct Inner {
    look_up: LookUp,
    known: Mutex<HashMap<String, Answer>>,
    wait: Duration,
    clock: Clock,
}

/// `None` while the look-up runs; then until when the answer counts.
type Answer = watch::Receiver<Option<(Gateway, UnixMillis)>>;

impl Whereabouts {
    /// Nothing is known yet.
    pub fn new(look_up: LookUp, clock: Clock) -> Self {
        Self(Arc::new(Inner { look_up, known: Mutex::default(), wait: WAIT, clock }))
    }

    /// What is known of `domain`, in lower case.
    pub async fn of(&self, domain: &str) -> Gateway {
        let Some(mut answer) = self.answer(domain) else { return Gateway::Unclear };
        let found = match tokio::time::timeout(self.0.wait, answer.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.map(|(gateway, _)| gateway),
            _ => None,
        };
        found.unwrap_or(Gateway::Unclear)
    }

    /// The answer that counts now, or the one that is on its way; `None` when too many are.
    fn answer(&self, domain: &str) -> Option<Answer> {
        let now = (self.0.clock)();
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(domain).filter(|answer| is_current(answer, now)) {
            return Some(answer.clone());
        }
        if known.len() >= DOMAINS_KEPT_MAX {
            known.retain(|_, answer| is_current(answer, now));
        }
        let running = known.values().filter(|answer| answer.borrow().is_none()).take(LOOKUPS_MAX).count();
        if running >= LOOKUPS_MAX || known.len() >= DOMAINS_KEPT_MAX {
            return None;
        }
        let (found, answer) = watch::channel(None);
        known.insert(domain.to_owned(), answer.clone());
        let (asking, clock) = ((self.0.look_up)(domain.to_owned()), self.0.clock);
        tokio::spawn(async move {
            let gateway = asking.await;
            found.send_replace(Some((gateway, clock().saturating_add_ms(gateway.kept_ms()))));
        });
        Some(answer)
    }
}

/// Whether it is on its way, or still counts. One whose look-up died is neither.
fn is_current(answer: &Answer, now: UnixMillis) -> bool {
    match *answer.borrow() {
        Some((_, until)) => now < until,
        None => answer.has_changed().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static NOW: AtomicU64 = AtomicU64::new(1_000_000);

    fn clock() -> UnixMillis {
        UnixMillis(NOW.load(Ordering::SeqCst))
    }

    /// Answers by the domain's first word and counts how often it was asked.
    fn network(asked: Arc<AtomicU64>) -> LookUp {
        Box::new(move |domain| {
            asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match domain.split('.').next() {
                    Some("nothing") => Gateway::Nothing,
                    Some("stranger") => Gateway::Stranger,
                    Some("silent") => std::future::pending().await,
                    Some("broken") => panic!("as the test wishes"),
                    _ => Gateway::Unclear,
                }
            })
        })
    }

    #[tokio::test]
    async fn an_answer_counts_for_a_while_and_is_then_asked_for_again() {
        let asked = Arc::new(AtomicU64::new(0));
        let whereabouts = Whereabouts::new(network(asked.clone()), clock);
        let after = |ms: u64| _ = NOW.fetch_add(ms, Ordering::SeqCst);
        for (domain, gateway, kept_ms) in [
            ("nothing.test", Gateway::Nothing, NOTHING_KEPT_MS),
            ("stranger.test", Gateway::Stranger, STRANGER_KEPT_MS),
            ("sick.test", Gateway::Unclear, UNCLEAR_KEPT_MS),
        ] {
            let before = asked.load(Ordering::SeqCst);
            let (one, two) = tokio::join!(whereabouts.of(domain), whereabouts.of(domain));
            assert_eq!((one, two), (gateway, gateway));
            after(kept_ms - 1);
            assert_eq!(whereabouts.of(domain).await, gateway);
            assert_eq!(asked.load(Ordering::SeqCst), before + 1, "{domain}");
            after(1);
            assert_eq!(whereabouts.of(domain).await, gateway);
            assert_eq!(asked.load(Ordering::SeqCst), before + 2, "{domain}");
        }
    }

    fn impatient(asked: &Arc<AtomicU64>) -> Whereabouts {
        let (look_up, wait) = (network(asked.clone()), Duration::from_millis(10));
        Whereabouts(Arc::new(Inner { look_up, known: Mutex::default(), wait, clock }))
    }

    #[tokio::test]
    async fn silence_is_never_taken_for_nothing() {
        let asked = Arc::new(AtomicU64::new(0));
        let whereabouts = impatient(&asked);
        assert_eq!(whereabouts.of("silent.test").await, Gateway::Unclear);
        assert_eq!(whereabouts.of("silent.test").await, Gateway::Unclear);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "one look-up, however many wait");
        assert_eq!(whereabouts.of("broken.test").await, Gateway::Unclear);
        assert_eq!(whereabouts.of("broken.test").await, Gateway::Unclear);
        assert_eq!(asked.load(Ordering::SeqCst), 3, "one that died is not waited for");
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_asked_at_a_time() {
        let asked = Arc::new(AtomicU64::new(0));
        let whereabouts = impatient(&asked);
        for i in 0..=LOOKUPS_MAX {
            assert_eq!(whereabouts.of(&format!("silent.{i}.test")).await, Gateway::Unclear);
        }
        assert_eq!(asked.load(Ordering::SeqCst), LOOKUPS_MAX as u64);
    }
}
