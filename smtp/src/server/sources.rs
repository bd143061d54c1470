//! What is remembered of sources: how often they come and what they did wrong, for minutes, whichever door they used.
//!
//! A source is an IPv4 address or an IPv6 /64. The table is bounded by forgetting in generations: when the young one
//! is full it becomes the old one, and the old one is forgotten; whoever is met again moves to the young one. So a
//! crowd costs no more than a single source does, and what is lost first is who has not been here for longest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::network::source;
use super::{Limits, Refused};

/// Connections, errors and refusals are counted by the minute.
const MINUTE: Duration = Duration::from_secs(60);
/// Failures to authenticate are counted by the quarter of an hour: a person who mistypes a password comes back later,
/// a guesser does not mind a slow start.
const AUTH_WINDOW: Duration = Duration::from_secs(15 * 60);
/// What the first failure to authenticate costs; each further one costs twice as much, up to 8 seconds. A client gives a
/// command up after minutes (RFC 5321 §4.5.3.2), and while it waits it holds one of the places of its source.
const AUTH_DELAY_MS: u64 = 500;
const AUTH_DELAY_DOUBLINGS_MAX: u32 = 4;

/// What a client can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offence {
    /// A command that the session refuses, a bare line end, or a handshake that fails.
    Error,
    /// A sender, recipient or message that the house refuses for good.
    Refusal,
    /// A password or token that the house does not believe.
    WrongPassword,
}

/// What follows from an offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// How long the answer waits.
    pub(super) delay: Duration,
    /// It was one too many: the source is banned from now on.
    pub(super) banned: bool,
}

/// The table.
#[derive(Debug)]
pub(super) struct Sources {
    generations: Mutex<Generations>,
    generation_max: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<IpAddr, Record>,
    old: HashMap<IpAddr, Record>,
}

#[derive(Debug, Default, Clone)]
struct Record {
    connections: Count,
    errors: Count,
    refusals: Count,
    wrong_passwords: Count,
    banned_until: Option<Instant>,
}

/// How many within a window that begins with the first.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    since: Option<Instant>,
    count: u32,
}

impl Sources {
    /// For at most `sources_max` sources.
    pub(super) fn new(sources_max: usize) -> Self {
        Self { generations: Mutex::default(), generation_max: (sources_max / 2).max(1) }
    }

    /// A connection comes: may it?
    pub(super) fn knock(&self, address: IpAddr, limits: &Limits, now: Instant) -> Result<(), Refused> {
        self.with(address, |record| {
            if record.is_banned(now) {
                return Err(Refused::Banned);
            }
            match record.connections.add(MINUTE, now) <= limits.connections_per_minute_max {
                true => Ok(()),
                false => Err(Refused::TooOften),
            }
        })
    }

    /// Somebody from there did something wrong.
    pub(super) fn offend(
        &self,
        address: IpAddr,
        offence: Offence,
        limits: &Limits,
        now: Instant,
    ) -> Sentence {
        self.with(address, |record| {
            let (count, max) = match offence {
                Offence::Error => (record.errors.add(MINUTE, now), limits.errors_per_minute_max),
                Offence::Refusal => (record.refusals.add(MINUTE, now), limits.refusals_per_minute_max),
                Offence::WrongPassword => {
                    (record.wrong_passwords.add(AUTH_WINDOW, now), limits.auth_failures_max)
                }
            };
            let banned = count > max;
            if banned {
                *record = Record { banned_until: now.checked_add(limits.ban()), ..Record::default() };
            }
            let delay = if offence == Offence::WrongPassword { delay(count) } else { Duration::ZERO };
            Sentence { delay, banned }
        })
    }

    fn with<T>(&self, address: IpAddr, ask: impl FnOnce(&mut Record) -> T) -> T {
        // Every change is one step, so the records are sound even if a thread died while holding them.
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        ask(generations.record(source(address), self.generation_max))
    }
}

impl Generations {
    fn record(&mut self, source: IpAddr, generation_max: usize) -> &mut Record {
        if !self.young.contains_key(&source) && self.young.len() >= generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.entry(source).or_insert_with(|| old.remove(&source).unwrap_or_default())
    }
}

impl Record {
    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }
}

impl Count {
    /// One more: so many in this window, this one included.
    fn add(&mut self, window: Duration, now: Instant) -> u32 {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= window) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// For the `failures`th failure.
fn delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(AUTH_DELAY_DOUBLINGS_MAX);
    Duration::from_millis(AUTH_DELAY_MS << doublings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits() -> Limits {
        Limits {
            connections_per_minute_max: 3,
            errors_per_minute_max: 2,
            refusals_per_minute_max: 2,
            auth_failures_max: 2,
            ban_s: 100,
            ..Limits::default()
        }
    }

    #[test]
    fn a_source_may_come_so_often_in_a_minute_and_others_are_not_concerned() {
        let (sources, now) = (Sources::new(100), Instant::now());
        let knock = |address: &str, at| sources.knock(ip(address), &limits(), at);
        for _ in 0..3 {
            assert_eq!(knock("2001:db8::1", now), Ok(()));
        }
        assert_eq!(knock("2001:db8::2", now + 59 * SECOND), Err(Refused::TooOften), "the same /64");
        assert_eq!(knock("2001:db8:0:1::1", now), Ok(()));
        assert_eq!(knock("2001:db8::1", now + 60 * SECOND), Ok(()));
    }

    #[test]
    fn one_offence_too_many_bans_for_a_while_and_the_slate_is_clean_afterwards() {
        for offence in [Offence::Error, Offence::Refusal, Offence::WrongPassword] {
            let (sources, now) = (Sources::new(100), Instant::now());
            let offend = |at| sources.offend(ip("192.0.2.1"), offence, &limits(), at).banned;
            let knock = |at| sources.knock(ip("192.0.2.1"), &limits(), at);
            assert_eq!([offend(now), offend(now), offend(now)], [false, false, true], "{offence:?}");
            assert_eq!(knock(now + 99 * SECOND), Err(Refused::Banned));
            assert_eq!(knock(now + 100 * SECOND), Ok(()));
            assert!(!offend(now + 100 * SECOND));
        }
    }

    #[test]
    fn offences_of_different_kinds_do_not_add_up() {
        let (sources, now) = (Sources::new(100), Instant::now());
        for offence in [Offence::Error, Offence::Refusal, Offence::WrongPassword].repeat(2) {
            assert!(!sources.offend(ip("192.0.2.1"), offence, &limits(), now).banned);
        }
    }

    #[test]
    fn each_wrong_password_waits_longer_than_the_one_before_up_to_the_longest_delay() {
        let millis: Vec<_> = (1..=7).map(|failures| delay(failures).as_millis()).collect();
        assert_eq!(millis, [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(delay(u32::MAX), delay(7));
    }

    #[test]
    fn a_crowd_of_sources_is_forgotten_before_who_keeps_coming_and_never_outgrows_the_table() {
        let (sources, now) = (Sources::new(100), Instant::now());
        let guesser = ip("203.0.113.1");
        while !sources.offend(guesser, Offence::WrongPassword, &limits(), now).banned {}
        for n in 0..1_000_u32 {
            let stranger = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let _ = sources.knock(stranger, &limits(), now);
            if n % 40 == 0 {
                assert_eq!(sources.knock(guesser, &limits(), now), Err(Refused::Banned));
            }
            let generations = sources.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 100);
        }
    }
}
