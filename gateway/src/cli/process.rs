//! What is settled about the process before anything else happens.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// From this size on glibc's allocator gives a buffer back to the system when it is freed. Unless it is told, it raises the
/// size with each large buffer, and keeps some ten megabytes of them after a large mail.
const ALLOCATOR_THRESHOLD: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// Begins the process anew (same PID, same words) with the allocator's threshold settled, unless somebody has settled it: glibc
/// reads it once, before `main`. If that cannot be done, the gateway runs with more memory.
pub(super) fn settle_allocator() {
    let (name, value) = ALLOCATOR_THRESHOLD;
    if std::env::var_os(name).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Comes back only with an error.
        let error = Command::new(program).args(std::env::args_os().skip(1)).env(name, value).exec();
        eprintln!("dccp-gateway: {name} could not be set, so large mails will take more memory: {error}");
    }
}

/// Chooses the cryptographic provider and closes two ways by which secrets leave a process.
///
/// # Errors
/// What to change before the program can be started.
pub(super) fn prepare() -> Result<(), String> {
    // Two providers are linked (libp2p brings ring), so rustls would panic where one is not named. A second call, as
    // in a test, finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // libp2p-tls writes the keys of every session to the file that this variable names.
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        return Err("SSLKEYLOGFILE is set, and with it every TLS session key would be written to a file. \
                    Unset it (systemd: UnsetEnvironment=SSLKEYLOGFILE)."
            .into());
    }
    // Every command, not only those that read keys today: which ones do is nothing that should have to be remembered.
    keystore::harden_process().map_err(|error| format!("core dumps cannot be disabled: {error}"))
}
