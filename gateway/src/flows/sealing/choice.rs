//! Which key of a partner a message is sealed to, and with which suite.
//!
//! | is there | then |
//! |---|---|
//! | a one-time key at hand | that one: it opens this message alone |
//! | more than [`BUSY_PER_S`] messages a second to this partner | a live session on its epoch prekey |
//! | an epoch prekey | that one |
//! | nothing else | the key of its device, which forgets nothing |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dccp::limits::SESSION_MS_MAX;
use dccp::message::FsClass;
use dccp::seal::RecipientKey;
use dccp::session::Session;
use dccp::{Did, Suite, UnixMillis};

use super::SealingError;
use crate::forward::Shelf;
use crate::partners::Partner;

/// Messages to one partner within a second from which on a session saves more work than it gives away: below it, an
/// encapsulation each (50 µs) is nothing.
pub const BUSY_PER_S: u32 = 20;

/// A session that several tasks seal in.
pub(super) type SharedSession = Arc<Mutex<Session>>;

/// Our suites, partners' keys at hand, and the sessions with them.
pub(super) struct Choice {
    suites: Suites,
    shelf: Shelf,
    lanes: Mutex<Lanes>,
}

/// Which suites we seal with.
#[derive(Debug, Clone)]
pub struct Suites {
    /// Ours, the preferred one first.
    pub ours: Vec<Suite>,
    /// The weakest for any partner that has no minimum of its own.
    pub minimum: Suite,
}

impl Default for Suites {
    /// Hybrid ones only.
    fn default() -> Suites {
        Suites { ours: vec![Suite::X0001, Suite::X0002], minimum: Suite::X0001 }
    }
}

impl Suites {
    /// The weakest suite that may be used with this partner, in both directions.
    pub fn minimum_of(&self, partner: &Partner) -> Suite {
        partner.suite_minimum().unwrap_or(self.minimum)
    }
}

#[derive(Default)]
struct Lanes {
    lanes: HashMap<Did, Lane>,
    swept_s: u64,
}

/// What went to one partner lately.
#[derive(Default)]
struct Lane {
    second: u64,
    sealed: u32,
    sealed_before: u32,
    session: Option<SharedSession>,
}

impl Choice {
    pub(super) fn new(suites: Suites, shelf: Shelf) -> Choice {
        Choice { suites, shelf, lanes: Mutex::default() }
    }

    /// The key for the next message to this partner, and the session if it is to go in one.
    ///
    /// # Errors
    /// [`SealingError::Suite`] when we have no suite in common that is strong enough, [`SealingError::NoKey`] when the
    /// partner has no key for it now.
    pub(super) fn key_for(
        &self,
        partner: &Partner,
        now: UnixMillis,
    ) -> Result<(RecipientKey, Option<SharedSession>), SealingError> {
        let minimum = self.suites.minimum_of(partner);
        let suite = Suite::choose(partner.devices().suites(), &self.suites.ours, minimum)?;
        let mut lanes = self.lanes();
        lanes.sweep(now);
        let lane = lanes.lanes.entry(partner.did().clone()).or_default();
        lane.count(now);
        if let Some(key) = self.shelf.take(partner, suite, now) {
            let fs_class = FsClass::OneTime;
            return Ok((
                RecipientKey { did: key.did, suite, key_id: key.key_id, kem: key.kem, fs_class },
                None,
            ));
        }
        let to = partner.recipient_key(suite, now).ok_or(SealingError::NoKey(suite))?;
        let session = lane.session_for(&to, now);
        Ok((to, session))
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    /// Forgets partners to whom nothing went for as long as a session lasts, and their secrets.
    fn sweep(&mut self, now: UnixMillis) {
        let (now_s, kept_s) = (now.as_u64() / 1_000, SESSION_MS_MAX / 1_000);
        if now_s.abs_diff(self.swept_s) >= kept_s {
            self.lanes.retain(|_, lane| now_s.abs_diff(lane.second) < kept_s);
            self.swept_s = now_s;
        }
    }
}

impl Lane {
    fn count(&mut self, now: UnixMillis) {
        let second = now.as_u64() / 1_000;
        if second != self.second {
            self.sealed_before = if second == self.second + 1 { self.sealed } else { 0 };
            (self.second, self.sealed) = (second, 0);
        }
        self.sealed = self.sealed.saturating_add(1);
    }

    fn is_busy(&self) -> bool {
        self.sealed.max(self.sealed_before) > BUSY_PER_S
    }

    /// A session on this key: the one that runs, or a new one if there is enough to do. One that is over is dropped.
    fn session_for(&mut self, to: &RecipientKey, now: UnixMillis) -> Option<SharedSession> {
        let carries =
            |session: &SharedSession| session.lock().unwrap_or_else(PoisonError::into_inner).carries(to, now);
        self.session = self.session.take().filter(carries);
        if self.session.is_none() && to.fs_class == FsClass::Epoch && self.is_busy() {
            // A key that cannot be encapsulated to is reported by the sealing that follows.
            let fresh = Session::start(to, now, &mut rand::rng()).ok();
            self.session = fresh.map(|session| Arc::new(Mutex::new(session)));
        }
        self.session.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_busy_while_more_than_twenty_messages_a_second_go_through_it() {
        let mut lane = Lane::default();
        let mut count = |ms: u64, messages: u32| {
            (0..messages).for_each(|_| lane.count(UnixMillis(ms)));
            lane.is_busy()
        };
        assert!(!count(1_000_000, BUSY_PER_S));
        assert!(count(1_000_999, 1));
        assert!(count(1_001_000, 1), "the second before counts too");
        assert!(!count(1_002_000, 1));
        assert!(!count(900_000, 1), "a clock that was put back");
    }
}
