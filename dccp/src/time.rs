//! Time as an argument: nothing in this crate reads a clock.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds (Unix time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The number of milliseconds.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// This moment `ms` milliseconds later; stops at the end of time instead of wrapping.
    pub const fn saturating_add_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This moment `ms` milliseconds earlier; stops at 1970 instead of wrapping.
    pub const fn saturating_sub_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
