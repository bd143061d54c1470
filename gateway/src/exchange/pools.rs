//! Connections that are kept for the next mail: one pool per server, protection and login.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smtp::client::{Pool, Target};
use tokio::time::Instant;

/// Servers with kept connections at a time; beyond that the longest unused are let go.
const POOLS_MAX: usize = 256;

/// How long a pool that nobody uses is kept; its connections are older than servers like by then.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// The pools in use lately.
#[derive(Default)]
pub(super) struct Pools(Mutex<HashMap<String, Kept>>);

struct Kept {
    pool: Arc<Pool>,
    used: Instant,
}

impl Pools {
    /// The pool under `key`, which says all that makes connections differ. A mail may use a kept connection only if it
    /// would have opened it just so.
    pub(super) fn pool(&self, key: String, now: Instant, target: impl FnOnce() -> Target) -> Arc<Pool> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|_, kept| {
            now.duration_since(kept.used) < UNUSED_MAX || Arc::strong_count(&kept.pool) > 1
        });
        if pools.len() >= POOLS_MAX && !pools.contains_key(&key) {
            let oldest = pools.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| pools.remove(&oldest));
        }
        let kept =
            pools.entry(key).or_insert_with(|| Kept { pool: Arc::new(Pool::new(target())), used: now });
        kept.used = now;
        kept.pool.clone()
    }
}

#[cfg(test)]
mod tests {
    use smtp::client::Protocol;

    use super::*;

    fn target() -> Target {
        Target::new(Protocol::Smtp, "192.0.2.1:25", "gw.acme.test")
    }

    #[test]
    fn a_pool_is_shared_by_those_who_ask_for_the_same_and_let_go_when_nobody_does() {
        let pools = Pools::default();
        let now = Instant::now();
        let first = pools.pool("a".into(), now, target);
        assert!(Arc::ptr_eq(&first, &pools.pool("a".into(), now, target)));
        assert!(!Arc::ptr_eq(&first, &pools.pool("b".into(), now, target)));
        let weak = Arc::downgrade(&first);
        drop(first);
        pools.pool("c".into(), now + UNUSED_MAX, target);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let pools = Pools::default();
        for key in 0..2 * POOLS_MAX {
            pools.pool(key.to_string(), Instant::now(), target);
        }
        assert_eq!(pools.0.lock().unwrap().len(), POOLS_MAX);
    }
}
