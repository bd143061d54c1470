//! When to try a partner again: exponential back-off with jitter. Pure.

use std::time::Duration;

use rand::{Rng, RngExt};

/// A link must have lived this long before it counts as a success. A partner that takes our Hello
/// and then ends the stream at once is not hammered at the shortest delay.
pub(crate) const STEADY: Duration = Duration::from_secs(5);

/// Doubles from `min` to `max` with every failure; the jitter keeps a restarted partner from being
/// dialled by everybody in the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Backoff { min, max: max.max(min), failures: 0 }
    }

    /// Counts a failure and returns how long to wait: between half of the step and the whole step,
    /// never below `min`.
    pub(crate) fn failed(&mut self, rng: &mut impl Rng) -> Duration {
        let step = self.min.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(rng.random_range(0.5..=1.0)).max(self.min)
    }

    /// A link that lived for `lived` has ended.
    pub(crate) fn ended_after(&mut self, lived: Duration) {
        if lived >= STEADY {
            self.reset();
        }
    }

    /// News about the partner (fresh addresses, it dialled us): the past counts no more.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const MIN: Duration = Duration::from_millis(250);
    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn delays_double_up_to_the_longest_and_stay_there() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new(MIN, MAX);
        for failure in 0..100 {
            let step = MIN.saturating_mul(1 << failure.min(20)).min(MAX);
            let delay = backoff.failed(&mut rng);
            assert!(delay >= MIN && delay >= step / 2 && delay <= step, "{failure}: {delay:?}");
        }
    }

    #[test]
    fn two_nodes_do_not_wait_the_same_time() {
        let mut rng = StdRng::seed_from_u64(2);
        let (mut a, mut b) = (Backoff::new(MIN, MAX), Backoff::new(MIN, MAX));
        for _ in 0..8 {
            a.failed(&mut rng);
            b.failed(&mut rng);
        }
        assert_ne!(a.failed(&mut rng), b.failed(&mut rng));
    }

    #[test]
    fn only_a_link_that_lived_resets_the_delay() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..6 {
            backoff.failed(&mut rng);
        }
        backoff.ended_after(STEADY / 2);
        assert!(backoff.failed(&mut rng) > MIN * 8);
        backoff.ended_after(STEADY);
        assert_eq!(backoff.failed(&mut rng), MIN);
    }
}
