//! What each destination may be asked now: so many connections at a time, so many mails in a minute, and a rest after
//! nobody there could be reached. Bounded, and forgotten when there is nothing to remember.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dccp::UnixMillis;

use super::{NotYet, Settings};
use crate::schedule::Schedule;

/// Destinations that are remembered at a time. Beyond that, mail to new ones waits until another is forgotten.
const DESTINATIONS_MAX: usize = 20_000;

/// How soon a mail asks again that found all connections taken.
const BUSY_WAIT_MS: u64 = 2_000;

/// Mails that may go at once after a quiet time, before the rate per minute counts.
const BURST: u64 = 10;

/// Where one destination stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationState {
    /// The domain, or the next hop (`host:port`) that an administrator chose.
    pub domain: String,
    /// Mails on their way there.
    pub busy: usize,
    /// Attempts in a row that reached nobody.
    pub failures: u32,
    /// Left alone until then.
    pub until: Option<UnixMillis>,
    /// The last failure, in words.
    pub last_error: Option<String>,
}

/// All destinations.
#[derive(Clone)]
pub(super) struct Destinations {
    known: Arc<Mutex<HashMap<String, Known>>>,
    connections_max: usize,
    /// Milliseconds between two mails at the permitted rate.
    spacing_ms: u64,
    rest: Schedule,
}

#[derive(Default)]
struct Known {
    busy: usize,
    failures: u32,
    resting_until: Option<UnixMillis>,
    last_error: Option<String>,
    /// When the mails so far would be through at the permitted rate (the "theoretical arrival time" of GCRA, ITU-T I.371).
    through_at: UnixMillis,
}

impl Destinations {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            known: Arc::default(),
            connections_max: settings.connections_max.max(1),
            spacing_ms: 60_000 / u64::from(settings.mails_per_minute_max.max(1)),
            rest: settings.rest,
        }
    }

    /// The right to send one mail to `domain` now.
    pub(super) fn enter(&self, domain: &str, now: UnixMillis) -> Result<Turn, NotYet> {
        let mut known = self.known();
        self.forget(&mut known, now);
        if known.len() >= DESTINATIONS_MAX && !known.contains_key(domain) {
            return Err(NotYet {
                until: now.saturating_add_ms(BUSY_WAIT_MS),
                why: "too many destinations at a time".to_owned(),
            });
        }
        let entry = known.entry(domain.to_owned()).or_default();
        if let Some(until) = entry.resting_until.filter(|until| now < *until) {
            return Err(NotYet { until, why: entry.last_error.clone().unwrap_or_default() });
        }
        if entry.busy >= self.connections_max {
            let until = now.saturating_add_ms(BUSY_WAIT_MS);
            return Err(NotYet { until, why: "as many connections as allowed are in use".to_owned() });
        }
        let ahead = entry.through_at.0.saturating_sub(now.0);
        if ahead > self.spacing_ms.saturating_mul(BURST) {
            let until = UnixMillis(entry.through_at.0.saturating_sub(self.spacing_ms.saturating_mul(BURST)));
            return Err(NotYet { until, why: "as many mails in a minute as allowed were sent".to_owned() });
        }
        entry.through_at = UnixMillis(entry.through_at.0.max(now.0).saturating_add(self.spacing_ms));
        entry.busy += 1;
        Ok(Turn { destinations: self.clone(), domain: domain.to_owned() })
    }

    /// Ends the rest of `domain`: a person wants the next attempt now. How long it rests next is not forgotten.
    pub(super) fn wake(&self, domain: &str) {
        if let Some(known) = self.known().get_mut(domain) {
            known.resting_until = None;
        }
    }

    /// The troubled ones first, then by name.
    pub(super) fn states(&self, now: UnixMillis) -> Vec<DestinationState> {
        let known = self.known();
        let state = |(domain, known): (&String, &Known)| DestinationState {
            domain: domain.clone(),
            busy: known.busy,
            failures: known.failures,
            until: known.resting_until.filter(|until| now < *until),
            last_error: known.last_error.clone(),
        };
        let mut states: Vec<DestinationState> = known.iter().map(state).collect();
        states.sort_by(|a, b| (b.failures, &a.domain).cmp(&(a.failures, &b.domain)));
        states
    }

    /// Drops what need not be remembered, once there is enough of it to matter.
    fn forget(&self, known: &mut HashMap<String, Known>, now: UnixMillis) {
        if known.len() < DESTINATIONS_MAX {
            return;
        }
        known.retain(|_, known| {
            known.busy > 0 || known.resting_until.is_some_and(|until| now < until) || now < known.through_at
        });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send one mail; given back when dropped.
pub(super) struct Turn {
    destinations: Destinations,
    domain: String,
}

impl Turn {
    /// Somebody there answered.
    pub(super) fn worked(self) {
        self.change(|known| {
            known.failures = 0;
            known.resting_until = None;
            known.last_error = None;
        });
    }

    /// Nobody there could be reached: the destination rests, longer each time.
    pub(super) fn failed(self, why: String, now: UnixMillis) {
        let rest = self.destinations.rest;
        self.change(|known| {
            known.failures = known.failures.saturating_add(1);
            known.resting_until = Some(rest.next(known.failures, now, UnixMillis(u64::MAX), rand::random()));
            known.last_error = Some(why);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.destinations.known().get_mut(&self.domain) {
            change(known);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.change(|known| known.busy = known.busy.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn destinations(connections_max: usize, per_minute: u32) -> Destinations {
        Destinations {
            known: Arc::default(),
            connections_max,
            spacing_ms: 60_000 / u64::from(per_minute),
            rest: Schedule { delay_ms_min: 60_000, delay_ms_max: 600_000 },
        }
    }

    fn turn(destinations: &Destinations, now: UnixMillis) -> Turn {
        destinations.enter("a.test", now).unwrap_or_else(|not_yet| panic!("{}", not_yet.why))
    }

    #[test]
    fn one_destination_takes_so_many_at_a_time_and_others_are_not_concerned() {
        let destinations = destinations(2, 60_000);
        let (first, second) = (destinations.enter("a.test", NOW), destinations.enter("a.test", NOW));
        assert!(first.is_ok() && second.is_ok());
        let full = destinations.enter("a.test", NOW).err().expect("full");
        assert!(full.until > NOW);
        assert!(destinations.enter("b.test", NOW).is_ok());
        drop(first);
        assert!(destinations.enter("a.test", NOW).is_ok());
    }

    #[test]
    fn a_destination_that_cannot_be_reached_rests_longer_each_time_and_the_reason_is_kept() {
        let destinations = destinations(2, 60_000);
        turn(&destinations, NOW).failed("no route".into(), NOW);
        let first = destinations.enter("a.test", NOW).err().expect("resting");
        assert_eq!(first.why, "no route");
        turn(&destinations, first.until).failed("no route".into(), first.until);
        let second = destinations.enter("a.test", first.until).err().expect("resting");
        assert!(second.until.0 - first.until.0 > first.until.0 - NOW.0);
        let [state] = &destinations.states(first.until)[..] else { panic!() };
        assert_eq!(
            (state.failures, state.until, state.last_error.as_deref()),
            (2, Some(second.until), Some("no route"))
        );
        turn(&destinations, second.until).worked();
        assert_eq!(destinations.states(second.until)[0].failures, 0);
    }

    #[test]
    fn a_person_ends_the_rest_of_a_destination_and_the_next_one_is_no_shorter_for_it() {
        let destinations = destinations(2, 60_000);
        turn(&destinations, NOW).failed("no route".into(), NOW);
        let first = destinations.enter("a.test", NOW).err().expect("resting").until;
        destinations.wake("b.test");
        assert!(destinations.enter("a.test", NOW).is_err(), "another one was woken");
        destinations.wake("a.test");
        turn(&destinations, NOW).failed("no route".into(), NOW);
        assert!(destinations.enter("a.test", NOW).err().expect("resting").until > first);
    }

    #[test]
    fn the_rate_counts_after_a_burst() {
        let destinations = destinations(100, 60);
        let sent = (0..100).map_while(|_| destinations.enter("a.test", NOW).ok()).count();
        assert_eq!(sent as u64, BURST + 1);
        let wait = destinations.enter("a.test", NOW).err().expect("too fast").until;
        assert!(destinations.enter("a.test", wait).is_ok(), "and after the wait one goes");
        assert!(destinations.enter("a.test", wait).is_err());
    }

    #[test]
    fn a_turn_that_is_dropped_halfway_is_given_back() {
        let destinations = destinations(1, 60_000);
        drop(destinations.enter("a.test", NOW));
        assert_eq!(destinations.states(NOW)[0].busy, 0);
    }
}
