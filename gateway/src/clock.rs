//! The only place where the house reads the wall clock; everything else takes [`UnixMillis`] or a [`Clock`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dccp::UnixMillis;

/// Tells the time. A function pointer, so that it is `Copy` and a test can stop the clock.
pub type Clock = fn() -> UnixMillis;

/// The system's wall clock. A clock before 1970 counts as 1970.
pub fn system() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The same instant as a [`SystemTime`], which the mail room (that names nothing of ours) wants.
pub fn system_time(at: UnixMillis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.0)
}
