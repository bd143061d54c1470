//! How long to wait for the next octets (RFC 5321 §4.5.3.2).

use std::time::Duration;

use tokio::time::Instant;

use crate::server::session::Awaits;
use crate::server::{Closed, Limits};

/// The clock of one session.
///
/// A command has `idle_s_max` from the end of the one before it, however its octets drip in. A message has
/// `idle_s_max` from its last octets, and must on average be faster than `data_rate_floor`.
pub(super) struct Patience {
    idle: Duration,
    grace: Duration,
    rate_floor: u64,
    seen: u64,
    waiting_since: Instant,
    content_since: Option<Instant>,
}

/// When waiting ends, and what to call it then.
pub(super) struct Deadline {
    pub(super) at: Instant,
    pub(super) reason: Closed,
}

impl Patience {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            idle: Duration::from_secs(limits.idle_s_max),
            grace: Duration::from_secs(limits.data_grace_s),
            rate_floor: limits.data_rate_floor,
            seen: 0,
            waiting_since: now,
            content_since: None,
        }
    }

    /// The house took its time; that is not the client's fault.
    pub(super) fn restart(&mut self, now: Instant) {
        self.waiting_since = now;
        self.content_since = None;
    }

    pub(super) fn deadline(&mut self, awaits: Awaits, now: Instant) -> Deadline {
        match awaits {
            Awaits::Command { seen } => {
                if seen != self.seen || self.content_since.is_some() {
                    self.seen = seen;
                    self.restart(now);
                }
                Deadline { at: self.waiting_since + self.idle, reason: Closed::Idle }
            }
            Awaits::Content { octets } => {
                let since = *self.content_since.get_or_insert(now);
                let idle = Deadline { at: now + self.idle, reason: Closed::Idle };
                match self.floor_reached_at(since, octets) {
                    Some(at) if at < idle.at => Deadline { at, reason: Closed::TooSlow },
                    _ => idle,
                }
            }
        }
    }

    /// When so many octets would be exactly at the floor; `None` without a floor.
    fn floor_reached_at(&self, since: Instant, octets: u64) -> Option<Instant> {
        let earned_ms = octets.saturating_mul(1_000).checked_div(self.rate_floor)?;
        since.checked_add(self.grace)?.checked_add(Duration::from_millis(earned_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience(rate_floor: u64) -> (Patience, Instant) {
        let limits =
            Limits { idle_s_max: 300, data_grace_s: 10, data_rate_floor: rate_floor, ..Limits::default() };
        let now = Instant::now();
        (Patience::new(&limits, now), now)
    }

    #[test]
    fn dripping_octets_do_not_buy_a_command_more_time() {
        let (mut patience, start) = patience(100);
        let seen = Awaits::Command { seen: 0 };
        assert_eq!(patience.deadline(seen, start).at, start + 300 * SECOND);
        assert_eq!(patience.deadline(seen, start + 299 * SECOND).at, start + 300 * SECOND);
        let later = start + 299 * SECOND;
        assert_eq!(patience.deadline(Awaits::Command { seen: 1 }, later).at, later + 300 * SECOND);
    }

    #[test]
    fn a_message_must_keep_above_the_floor_after_its_grace() {
        let (mut patience, start) = patience(100);
        let first = patience.deadline(Awaits::Content { octets: 0 }, start);
        assert_eq!((first.at, first.reason), (start + 10 * SECOND, Closed::TooSlow));
        let second = patience.deadline(Awaits::Content { octets: 500 }, start + 9 * SECOND);
        assert_eq!(second.at, start + 15 * SECOND);
        let fast = patience.deadline(Awaits::Content { octets: 1_000_000 }, start + 9 * SECOND);
        assert_eq!((fast.at, fast.reason), (start + 309 * SECOND, Closed::Idle));
    }

    #[test]
    fn without_a_floor_only_silence_ends_a_message() {
        let (mut patience, start) = patience(0);
        let deadline = patience.deadline(Awaits::Content { octets: 1 }, start + SECOND);
        assert_eq!((deadline.at, deadline.reason), (start + 301 * SECOND, Closed::Idle));
    }

    #[test]
    fn the_next_message_starts_with_a_fresh_clock() {
        let (mut patience, start) = patience(100);
        patience.deadline(Awaits::Content { octets: 0 }, start);
        patience.deadline(Awaits::Command { seen: 0 }, start + 5 * SECOND);
        let again = patience.deadline(Awaits::Content { octets: 0 }, start + 100 * SECOND);
        assert_eq!(again.at, start + 110 * SECOND);
    }
}
