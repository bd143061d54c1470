//! Lets things through at a bounded rate. Pure.

use std::time::{Duration, Instant};

/// A burst, and one more per interval.
#[derive(Debug)]
pub(crate) struct Gate {
    burst: u32,
    interval: Duration,
    left: u32,
    filled: Instant,
}

impl Gate {
    pub(crate) fn new(burst: u32, interval: Duration, now: Instant) -> Self {
        Gate { burst, interval, left: burst, filled: now }
    }

    /// Whether one more may pass now.
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        self.fill(now);
        let passes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        passes
    }

    /// Whether the whole burst is there again: nothing is lost when such a gate is forgotten.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left == self.burst
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_millis();
        let earned = passed.checked_div(self.interval.as_millis()).unwrap_or(u128::MAX);
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(self.burst);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        const INTERVAL: Duration = Duration::from_secs(60);
        let start = Instant::now();
        let mut gate = Gate::new(3, INTERVAL, start);
        assert!((0..3).all(|_| gate.pass(start)));
        assert!(!gate.pass(start));
        assert!(gate.pass(start + INTERVAL));
        assert!(!gate.pass(start + INTERVAL));
        // A long silence earns a burst and no more.
        let later = start + INTERVAL * 100;
        assert!((0..3).all(|_| gate.pass(later)));
        assert!(!gate.pass(later));
    }
}
