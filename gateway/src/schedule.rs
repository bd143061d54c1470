//! When to try again: exponential backoff with jitter, as a pure function of its arguments.
//!
//! The delay doubles with each attempt from [`Schedule::delay_ms_min`] to [`Schedule::delay_ms_max`]; the jitter
//! spreads the retries of many messages for one partner over a quarter of the delay, so that a partner
//! that comes back is not met by all of them in the same millisecond.

use dccp::UnixMillis;

/// Bounds of the delay between two attempts at one message (protocol §7: 1 s … 15 min).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Delay after the first failed attempt, in milliseconds.
    pub delay_ms_min: u64,
    /// Longest delay between two attempts, in milliseconds.
    pub delay_ms_max: u64,
}

impl Schedule {
    /// The time of the next attempt after `attempts` failed ones (1 for the first failure).
    ///
    /// `jitter` is a uniformly random number in `0.0..1.0`; the result lies between 100 % and 125 % of the
    /// exponential delay after `now`, and never beyond `expires`, so that the last attempt is made at the deadline.
    pub fn next(&self, attempts: u32, now: UnixMillis, expires: UnixMillis, jitter: f64) -> UnixMillis {
        let doublings = attempts.saturating_sub(1).min(32);
        let delay = self.delay_ms_min.saturating_mul(1 << doublings).min(self.delay_ms_max);
        let spread = (delay as f64 / 4.0 * jitter.clamp(0.0, 1.0)) as u64;
        now.saturating_add_ms(delay.saturating_add(spread)).min(expires.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { delay_ms_min: 1_000, delay_ms_max: 900_000 };
    const NEVER: UnixMillis = UnixMillis(u64::MAX);

    fn delay(attempts: u32, jitter: f64) -> u64 {
        SCHEDULE.next(attempts, UnixMillis(0), NEVER, jitter).0
    }

    #[test]
    fn the_delay_doubles_from_the_least_to_the_most() {
        assert_eq!([1, 2, 3, 4].map(|n| delay(n, 0.0)), [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(delay(11, 0.0), 900_000);
        assert_eq!(delay(u32::MAX, 0.0), 900_000);
    }

    #[test]
    fn jitter_adds_at_most_a_quarter() {
        assert_eq!(delay(3, 1.0), 5_000);
        assert_eq!(delay(3, 7.0), 5_000);
    }

    #[test]
    fn the_last_attempt_is_made_at_the_deadline() {
        let next = SCHEDULE.next(8, UnixMillis(10_000), UnixMillis(12_000), 0.5);
        assert_eq!(next, UnixMillis(12_000));
        assert_eq!(SCHEDULE.next(8, UnixMillis(13_000), UnixMillis(12_000), 0.5), UnixMillis(13_000));
    }
}
