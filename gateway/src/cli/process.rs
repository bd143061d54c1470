//! What is settled about the process before anything else happens.

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
