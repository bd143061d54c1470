//! Who gets in: a number of places in all, and a number for each source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::server::Refused;
use crate::server::network::source;

/// The places of one listener.
pub(super) struct Admission {
    taken: Arc<Mutex<Taken>>,
    sessions_max: usize,
    per_source_max: usize,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

impl Admission {
    pub(super) fn new(sessions_max: usize, per_source_max: usize) -> Self {
        Self { taken: Arc::default(), sessions_max, per_source_max }
    }

    /// A place for a connection from `address`, or why there is none.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Place, Refused> {
        let source = source(address);
        let mut taken = lock(&self.taken);
        if taken.total >= self.sessions_max {
            return Err(Refused::Full);
        }
        if taken.by_source.get(&source).is_some_and(|&n| n >= self.per_source_max) || self.per_source_max == 0
        {
            return Err(Refused::SourceFull);
        }
        taken.total += 1;
        *taken.by_source.entry(source).or_default() += 1;
        Ok(Place { taken: Arc::clone(&self.taken), source })
    }
}

/// A place; given back on drop.
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.total -= 1;
        if let Some(n) = taken.by_source.get_mut(&self.source) {
            *n -= 1;
            if *n == 0 {
                taken.by_source.remove(&self.source); // the table holds only who is here
            }
        }
    }
}

/// The counts stay true even if a thread died while holding them: every change is one step.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_limited_in_all_and_per_source_and_come_back() {
        let admission = Admission::new(3, 2);
        let first = admission.admit(ip("192.0.2.1")).ok().unwrap();
        let _second = admission.admit(ip("::ffff:192.0.2.1")).ok().unwrap();
        assert_eq!(admission.admit(ip("192.0.2.1")).err(), Some(Refused::SourceFull));
        let _other = admission.admit(ip("2001:db8::1")).ok().unwrap();
        assert_eq!(admission.admit(ip("203.0.113.1")).err(), Some(Refused::Full));
        drop(first);
        assert!(admission.admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_source_that_left_is_forgotten() {
        let admission = Admission::new(3, 2);
        drop(admission.admit(ip("192.0.2.1")));
        assert!(lock(&admission.taken).by_source.is_empty());
    }
}
