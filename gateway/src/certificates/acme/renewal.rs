//! When the authority is asked, and what is known of it meanwhile.

use std::sync::Arc;
use std::time::Duration;

use dccp::UnixMillis;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::errors::AcmeError;
use super::folder::Kept;
use super::order::Order;
use super::{Shown, Wish};
use crate::certificates::facts::Facts;
use crate::clock::Clock;
use crate::schedule::Schedule;

/// After a failure. Let's Encrypt allows five unproven orders for a name in an hour; this makes four.
const RETRY: Schedule = Schedule { delay_ms_min: 300_000, delay_ms_max: 6 * 3_600_000 };

/// The wall clock is looked at as often, because it may be set and the machine may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Gets a certificate when there is none, and a new one in time.
pub struct Renewal {
    pub(super) order: Order,
    pub(super) shown: Arc<Shown>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) wishes: mpsc::Receiver<Wish>,
    pub(super) clock: Clock,
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::certificates) struct Standing {
    /// Of the authority's certificate that is shown; `None` while there was none yet.
    pub(in crate::certificates) facts: Option<Facts>,
    /// Whether an attempt is being made.
    pub(in crate::certificates) is_under_way: bool,
    /// Attempts that ended, since the start.
    pub(in crate::certificates) attempts: u64,
    /// Those of them that failed since the last that did not.
    pub(in crate::certificates) failures: u32,
    /// Why the last one failed; `None` if it did not.
    pub(in crate::certificates) failure: Option<String>,
    /// When the next one is made; `None` before the first look.
    pub(in crate::certificates) next: Option<UnixMillis>,
}

impl Standing {
    pub(super) fn new(facts: Option<Facts>) -> Self {
        Self { facts, is_under_way: false, attempts: 0, failures: 0, failure: None, next: None }
    }

    fn ended(&mut self) {
        self.is_under_way = false;
        self.attempts += 1;
    }
}

impl Renewal {
    /// Works until `stop`. An order that is under way is then given up; the authority forgets it.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        let mut next = self.due();
        loop {
            self.standing.send_modify(|standing| standing.next = Some(next));
            let wish = tokio::select! {
                () = until(next, self.clock) => Wish { new_key: false },
                Some(wish) = self.wishes.recv() => wish,
            };
            self.standing.send_modify(|standing| standing.is_under_way = true);
            next = match self.order.place(wish.new_key).await {
                Ok(kept) => self.renewed(kept),
                Err(error) => self.failed(&error),
            };
        }
    }

    /// When the certificate in use, if there is one, asks for the next.
    fn due(&self) -> UnixMillis {
        let now = (self.clock)();
        let standing = self.standing.borrow();
        let facts = standing.facts.as_ref().filter(|facts| facts.is_for(self.order.names()));
        facts.map_or(now, |facts| due(facts, rand::random()))
    }

    /// Shows the new certificate; when the next one is asked for.
    fn renewed(&self, kept: Kept) -> UnixMillis {
        let (facts, certified) = kept.into_parts();
        self.shown.exchange(certified);
        let now = (self.clock)();
        // However wrong our clock is, or short what we were given: no authority is asked again and again.
        let next = due(&facts, rand::random()).max(now.saturating_add_ms(term_ms(&facts) / 3));
        tracing::info!(
            names = facts.names.join(", "),
            issuer = facts.issuer,
            days_left = facts.days_left(now),
            "a new certificate is in use"
        );
        self.standing.send_modify(|standing| {
            standing.ended();
            (standing.failures, standing.failure) = (0, None);
            standing.facts = Some(facts);
        });
        next
    }

    /// Says what to do about it; when the next attempt is made.
    fn failed(&self, error: &AcmeError) -> UnixMillis {
        let now = (self.clock)();
        let mut days_left = None;
        let mut failures = 0;
        self.standing.send_modify(|standing| {
            standing.ended();
            standing.failures = standing.failures.saturating_add(1);
            standing.failure = Some(error.to_string());
            failures = standing.failures;
            days_left = standing.facts.as_ref().map(|facts| facts.days_left(now));
        });
        let next = RETRY.next(failures, now, UnixMillis(u64::MAX), rand::random());
        let again_in_s = next.0.saturating_sub(now.0) / 1000;
        let advice = error.advice();
        match days_left {
            Some(days_left) if days_left >= 0 => {
                tracing::warn!(%error, advice, days_left, again_in_s, "no new certificate; the old one stays in use");
            }
            Some(days_left) => {
                tracing::error!(%error, advice, days_left, again_in_s, "no new certificate, and the old one is over");
            }
            None => {
                tracing::error!(%error, advice, again_in_s, "no certificate yet; one that was made here is shown");
            }
        }
        next
    }
}

async fn until(at: UnixMillis, clock: Clock) {
    loop {
        let left = at.0.saturating_sub(clock().0);
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(left).min(LOOK_EVERY)).await;
    }
}

/// When two thirds of its term are over, and up to a twenty-fourth later, so that all gateways that were founded on one
/// day do not ask on one day.
fn due(facts: &Facts, jitter: f64) -> UnixMillis {
    let term = term_ms(facts);
    let spread = (term as f64 / 24.0 * jitter.clamp(0.0, 1.0)) as u64;
    facts.not_before.saturating_add_ms(term / 3 * 2 + spread)
}

fn term_ms(facts: &Facts) -> u64 {
    facts.not_after.0.saturating_sub(facts.not_before.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn of(term_days: u64) -> Facts {
        Facts {
            names: vec!["mx.acme.test".into()],
            issuer: "CN=Somebody".into(),
            not_before: UnixMillis(100 * DAY_MS),
            not_after: UnixMillis((100 + term_days) * DAY_MS),
            key_sha256: String::new(),
        }
    }

    #[test]
    fn a_certificate_is_replaced_when_two_thirds_of_its_term_are_over() {
        assert_eq!(due(&of(90), 0.0), UnixMillis(160 * DAY_MS));
        assert_eq!(due(&of(6), 0.0), UnixMillis(104 * DAY_MS));
    }

    #[test]
    fn chance_puts_it_off_but_leaves_a_quarter_of_the_term() {
        let latest = due(&of(90), 1.0);
        assert!(latest > due(&of(90), 0.5) && latest < UnixMillis((190 - 22) * DAY_MS));
    }
}
