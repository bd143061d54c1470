//! Leases: which rows are in somebody's hands right now.
//!
//! They live in memory only. A crash forgets them all, and every row is due again: nothing is ever lost to a lease.
//! One that is forgotten by a task that died runs out by itself (`SpoolConfig::lease`), on the monotonic clock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RowId;

/// The set of rows that are being worked on.
pub(super) struct Leases {
    lasts: Duration,
    held: Mutex<HashMap<RowId, Instant>>,
}

impl Leases {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, held: Mutex::new(HashMap::new()) }
    }

    /// Takes the row for the caller, unless somebody has it.
    pub(super) fn take(&self, id: RowId) -> bool {
        let now = Instant::now();
        match self.lock().entry(id) {
            Entry::Occupied(held) if *held.get() > now => false,
            Entry::Occupied(mut run_out) => {
                run_out.insert(now + self.lasts);
                true
            }
            Entry::Vacant(free) => {
                free.insert(now + self.lasts);
                true
            }
        }
    }

    /// Whether somebody has the row.
    pub(super) fn is_held(&self, id: RowId) -> bool {
        self.lock().get(&id).is_some_and(|until| *until > Instant::now())
    }

    /// Gives the row back. Returns whether anybody had it.
    pub(super) fn give_back(&self, id: RowId) -> bool {
        self.lock().remove(&id).is_some()
    }

    /// How many rows are in somebody's hands.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RowId, Instant>> {
        // A panic between lock and unlock cannot leave a map half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
