//! How often somebody may do something: a bucket that each act takes from and that time fills.

use dccp::UnixMillis;

/// What a bucket holds, and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Acts at once, after a long pause.
    pub(crate) burst: u32,
    /// Acts in the long run.
    pub(crate) per_minute: u32,
}

/// What is left of an allowance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// In thousandths of an act.
    left: u64,
    filled_at: UnixMillis,
}

/// Thousandths of an act, so that a slow trickle is not rounded away.
const WHOLE: u64 = 1000;

impl Bucket {
    /// Of somebody who did nothing for long.
    pub(crate) fn full(allowance: Allowance, now: UnixMillis) -> Bucket {
        Bucket { left: u64::from(allowance.burst) * WHOLE, filled_at: now }
    }

    #[cfg(test)]
    pub(crate) fn empty(now: UnixMillis) -> Bucket {
        Bucket { left: 0, filled_at: now }
    }

    /// Whether nothing of the allowance is used.
    pub(crate) fn is_full(&self, allowance: Allowance, now: UnixMillis) -> bool {
        let mut filled = *self;
        filled.fill(allowance, now);
        filled.left >= u64::from(allowance.burst) * WHOLE
    }

    /// Counts an act; says whether it is within the allowance.
    pub(crate) fn take(&mut self, allowance: Allowance, now: UnixMillis) -> bool {
        self.fill(allowance, now);
        let left = self.left.checked_sub(WHOLE);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// A clock that goes back fills nothing and takes nothing away.
    fn fill(&mut self, allowance: Allowance, now: UnixMillis) {
        let passed_ms = now.as_u64().saturating_sub(self.filled_at.as_u64());
        let gained = passed_ms.saturating_mul(u64::from(allowance.per_minute)) * WHOLE / 60_000;
        if gained > 0 {
            let most = u64::from(allowance.burst) * WHOLE;
            *self = Bucket { left: self.left.saturating_add(gained).min(most), filled_at: now };
        }
    }
}
