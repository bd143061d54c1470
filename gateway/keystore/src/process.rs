//! What keeps secrets inside a process.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps, which would hold every private key, and keeps other processes of the same user from reading
/// our memory (ptrace(2), /proc/PID/mem). To be called before the first key is read.
///
/// # Errors
/// The operating system's; nobody should read keys then.
pub fn harden_process() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
