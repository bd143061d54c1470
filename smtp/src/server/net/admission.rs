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

    /// A place among all, of a source that is not known yet; or why there is none.
    pub(super) fn enter(&self) -> Result<Place, Refused> {
        let mut taken = lock(&self.taken);
        if taken.total >= self.sessions_max {
            return Err(Refused::Full);
        }
        taken.total += 1;
        Ok(Place { taken: Arc::clone(&self.taken), per_source_max: self.per_source_max, source: None })
    }
}

/// A place; given back on drop.
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    per_source_max: usize,
    source: Option<IpAddr>,
}

impl Place {
    /// It is taken by `address`, once; or why this source may not have it.
    pub(super) fn give_to(&mut self, address: IpAddr) -> Result<(), Refused> {
        let source = source(address);
        let mut taken = lock(&self.taken);
        let has = taken.by_source.get(&source).copied().unwrap_or(0);
        if has >= self.per_source_max {
            return Err(Refused::SourceFull);
        }
        taken.by_source.insert(source, has + 1);
        self.source = Some(source);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.total -= 1;
        let Some(source) = self.source else { return };
        if let Some(n) = taken.by_source.get_mut(&source) {
            *n -= 1;
            if *n == 0 {
                taken.by_source.remove(&source); // the table holds only who is here
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

    fn admit(admission: &Admission, address: &str) -> Result<Place, Refused> {
        let mut place = admission.enter()?;
        place.give_to(ip(address)).map(|()| place)
    }

    #[test]
    fn places_are_limited_in_all_and_per_source_and_come_back() {
        let admission = Admission::new(3, 2);
        let first = admit(&admission, "192.0.2.1").ok().unwrap();
        let _second = admit(&admission, "::ffff:192.0.2.1").ok().unwrap();
        assert_eq!(admit(&admission, "192.0.2.1").err(), Some(Refused::SourceFull));
        let _other = admit(&admission, "2001:db8::1").ok().unwrap();
        assert_eq!(admit(&admission, "203.0.113.1").err(), Some(Refused::Full));
        drop(first);
        assert!(admit(&admission, "192.0.2.1").is_ok());
    }

    #[test]
    fn who_left_is_forgotten_whether_its_source_was_known_or_not() {
        let admission = Admission::new(3, 0);
        assert_eq!(admit(&admission, "192.0.2.1").err(), Some(Refused::SourceFull));
        let admission = Admission { per_source_max: 2, ..admission };
        drop(admit(&admission, "192.0.2.1"));
        let taken = lock(&admission.taken);
        assert_eq!((taken.total, taken.by_source.len()), (0, 0));
    }
}
