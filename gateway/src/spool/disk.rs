//! How much room the disk has.

use std::path::Path;

/// Bytes that an unprivileged process may still write to the file system of `path`; `None` if it cannot tell.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
