//! A bounded memory of what came lately: the oldest entry makes room for the newest.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// At most `capacity` entries; a key that is kept again keeps its place and its first value.
pub(crate) struct Recent<K, V> {
    capacity: usize,
    entries: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: HashMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn find(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn keep(&mut self, key: K, value: V) {
        if self.entries.contains_key(&key) {
            return;
        }
        while self.order.len() >= self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
        self.order.push_back(key);
        self.entries.insert(key, value);
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&K) -> bool) {
        self.order.retain(|key| keeps(key));
        self.entries.retain(|key, _| keeps(key));
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_for_the_newest() {
        let mut recent = Recent::new(2);
        for key in [1, 2, 1, 3] {
            recent.keep(key, key * 10);
        }
        assert_eq!((recent.find(&1), recent.find(&2), recent.find(&3)), (None, Some(&20), Some(&30)));
        recent.retain(|key| *key != 2);
        recent.keep(4, 40);
        assert_eq!((recent.len(), recent.find(&3), recent.find(&4)), (2, Some(&30), Some(&40)));
    }
}
