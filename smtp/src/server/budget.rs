//! The memory that message bodies may occupy together, over all sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of octets shared by all sessions. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// New clients are put off when less than this part is free: the rest is for the messages that have begun.
const RESERVE_DIVISOR: usize = 16;

impl Budget {
    /// A budget of `bytes_max` octets.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(bytes_max)), bytes_max }
    }

    /// Octets nobody holds at this moment.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether so little is free that nobody new should come in.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.free() < self.bytes_max / RESERVE_DIVISOR
    }

    /// An empty grant to grow.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant { budget: self.clone(), held: 0 }
    }

    fn take(&self, bytes: usize) -> bool {
        let take = |free: usize| free.checked_sub(bytes);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// Octets taken from a [`Budget`]; given back on drop.
#[derive(Debug)]
pub struct Grant {
    budget: Budget,
    held: usize,
}

impl Grant {
    /// Holds at least `bytes` afterwards, or says `false` and holds what it held.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.held);
        if !self.budget.take(more) {
            return false;
        }
        self.held += more;
        true
    }

    /// Gives everything back now.
    pub fn release(&mut self) {
        self.budget.free.fetch_add(std::mem::take(&mut self.held), Ordering::Relaxed);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_comes_back_and_nothing_is_granted_twice() {
        let budget = Budget::new(100);
        let mut first = budget.grant();
        let mut second = budget.grant();
        assert!(first.grow_to(60));
        assert!(!second.grow_to(41));
        assert!(second.grow_to(40));
        assert!(first.grow_to(60), "holding enough needs nothing more");
        assert_eq!(budget.free(), 0);
        assert!(budget.is_short());
        drop(first);
        assert_eq!(budget.free(), 60);
        assert!(!budget.is_short());
        second.release();
        second.release();
        assert_eq!(budget.free(), 100);
    }
}
