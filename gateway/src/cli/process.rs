//! What is settled about the process before anything else happens.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

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
    // A core dump would hold every private key, and other processes of the same user could read our memory.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("core dumps cannot be disabled: {error}"))
}
