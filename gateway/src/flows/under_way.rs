//! Which messages are being delivered at this moment, so that several seals of one message that arrive together are
//! not delivered side by side: the memory of the spool knows a message only once it has been settled.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The messages under way, by their replay key. Bounded by how many are delivered at once.
#[derive(Default)]
pub struct UnderWay(Mutex<HashSet<[u8; 32]>>);

/// The right to deliver one message; given back on drop.
pub struct Turn<'a> {
    under_way: &'a UnderWay,
    key: [u8; 32],
}

impl UnderWay {
    /// The right to deliver the message with this replay key, or `None` while another seal of it is under way.
    pub fn begin(&self, key: [u8; 32]) -> Option<Turn<'_>> {
        // Made only if it is given: a turn that is dropped takes the key away.
        self.keys().insert(key).then(|| Turn { under_way: self, key })
    }

    /// The set stays true even if a thread died while holding it: every change is one step.
    fn keys(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.under_way.keys().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_turn_at_a_time() {
        let under_way = UnderWay::default();
        let first = under_way.begin([1; 32]);
        assert!(first.is_some());
        assert!(under_way.begin([1; 32]).is_none());
        assert!(under_way.begin([2; 32]).is_some(), "others go on");
        drop(first);
        assert!(under_way.begin([1; 32]).is_some());
    }
}
