//! Key files: one line of text that says what it holds.
//!
//! ```text
//! dccp-operator-key-v2: base64 of the secret sealed under the master key, with this very prefix as its purpose
//! dccp-operator-key-v1: base64 of the secret itself; only where the configuration names no master key
//! ```
//!
//! The prefix tells what a file is before anything is done with it, so that swapping two files is an error message
//! and not a strange identity; that it tells the truth is authenticated.

use std::fs::File;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::durable;
use crate::line::{self, LineError, Readers};
use crate::master::{MasterKey, OpenError};

/// What a key file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The organisation's L0 key: 64 bytes of signing seed. Kept offline; the gateway never reads it.
    Recovery,
    /// The organisation's L1 key: 64 bytes of signing seed.
    Operator,
    /// The gateway's device: 64 bytes of signing seed, then 32 bytes of X-Wing seed.
    Device,
    /// The overlay node: 32 bytes of Ed25519 seed.
    Node,
    /// What rests on disk is sealed under this: 32 bytes.
    Storage,
    /// The control API's token: 32 bytes; the whole line is the token, so its prefix keeps to RFC 6750 §2.1.
    ControlToken,
}

impl Kind {
    /// The start of the line of a clear file.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Recovery => "dccp-recovery-key-v1:",
            Kind::Operator => "dccp-operator-key-v1:",
            Kind::Device => "dccp-device-key-v1:",
            Kind::Node => "dccp-node-key-v1:",
            Kind::Storage => "dccp-storage-key-v1:",
            Kind::ControlToken => "dccp-control-token-v1.",
        }
    }

    /// The start of the line of a sealed file, and the purpose it is sealed for.
    pub fn sealed_prefix(self) -> &'static str {
        match self {
            Kind::Recovery => "dccp-recovery-key-v2:",
            Kind::Operator => "dccp-operator-key-v2:",
            Kind::Device => "dccp-device-key-v2:",
            Kind::Node => "dccp-node-key-v2:",
            Kind::Storage => "dccp-storage-key-v2:",
            Kind::ControlToken => "dccp-control-token-v2.",
        }
    }

    /// Length of the secret in bytes.
    pub fn secret_bytes(self) -> usize {
        match self {
            Kind::Recovery | Kind::Operator => 64,
            Kind::Device => 64 + 32,
            Kind::Node | Kind::Storage | Kind::ControlToken => 32,
        }
    }
}

/// Why a key file cannot be written or used. Never contains a part of the secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Others on this machine may read it, so it may be known to them.
    #[error(
        "{path} may be read by others (mode {mode:04o}); run `chmod 600 {path}`, and make a new key if others used this machine"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not the kind of key that is needed.
    #[error("{path} is not a key file of the kind `{expected}`")]
    NotThisKey {
        /// The file.
        path: PathBuf,
        /// The prefix it should start with.
        expected: &'static str,
    },
    /// A clear key where a master key is configured: somebody put it there, or it was never sealed.
    #[error("{path} lies in the clear although keys.master is set; seal it with `dccp-gateway keys seal`")]
    Clear {
        /// The file.
        path: PathBuf,
    },
    /// A sealed key where no master key is configured.
    #[error("{path} is sealed under a master key, but the configuration names none (keys.master)")]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// The master key is not the one it was sealed under.
    #[error("{path} was sealed under another master key than the one keys.master gives")]
    OtherMaster {
        /// The file.
        path: PathBuf,
    },
    /// The line was altered, or it is another kind of key under this kind's name.
    #[error("{path} does not open: it was altered, or a key of another kind was put under this name")]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

/// Writes a new key file, sealed if there is a `master`: mode 0600, never over an existing one, on disk when this
/// returns.
///
/// # Errors
/// [`KeyFileError::Io`], with `AlreadyExists` when there is a file of that name.
pub fn write(path: &Path, kind: Kind, secret: &[u8], master: Option<&MasterKey>) -> Result<(), KeyFileError> {
    durable::write_new(path, text(kind, secret, master).as_bytes(), 0o600).map_err(|source| io(path, source))
}

/// The line of a key file, for the one who writes it in a way of its own.
pub fn text(kind: Kind, secret: &[u8], master: Option<&MasterKey>) -> Zeroizing<String> {
    match master {
        Some(master) => line::encode(kind.sealed_prefix(), &master.seal(kind.sealed_prefix(), secret)),
        None => line::encode(kind.prefix(), secret),
    }
}

/// Reads the secret of a key file: a sealed one if there is a `master`, a clear one if not.
///
/// # Errors
/// When the file is missing, exposed, of another kind, not sealed or not clear, or not sealed under this master key.
pub fn read(path: &Path, kind: Kind, master: Option<&MasterKey>) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let body = body(path, kind, master.is_some())?;
    let secret = match master.map(|master| master.open_sealed(kind.sealed_prefix(), &body)) {
        None => body,
        Some(Ok(secret)) => secret,
        Some(Err(OpenError::OtherMaster)) => return Err(KeyFileError::OtherMaster { path: path.to_owned() }),
        Some(Err(OpenError::Altered)) => return Err(KeyFileError::Altered { path: path.to_owned() }),
    };
    match secret.len() == kind.secret_bytes() {
        true => Ok(secret),
        false => Err(KeyFileError::NotThisKey {
            path: path.to_owned(),
            expected: expected(kind, master.is_some()),
        }),
    }
}

/// Looks at a key file as far as that goes without the master key: its mode, its kind, whether it is `sealed`.
///
/// # Errors
/// As [`read`], without what only opening can tell.
pub fn inspect(path: &Path, kind: Kind, sealed: bool) -> Result<(), KeyFileError> {
    let body = body(path, kind, sealed)?;
    match sealed || body.len() == kind.secret_bytes() {
        true => Ok(()),
        false => Err(KeyFileError::NotThisKey { path: path.to_owned(), expected: expected(kind, sealed) }),
    }
}

/// The control token: its whole line, as a client sends it after `Bearer `. It is never sealed: people hand it to
/// their tools.
///
/// # Errors
/// As [`read`].
pub fn read_token(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    inspect(path, Kind::ControlToken, false)?;
    read_line(path)
}

/// Refuses a file that group or others may touch.
///
/// # Errors
/// [`KeyFileError::Exposed`] or [`KeyFileError::Io`].
pub fn check_mode(path: &Path) -> Result<(), KeyFileError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    line::check_mode(&file, Readers::Owner).map_err(|error| of_line(path, error))
}

/// What follows the prefix that is due.
fn body(path: &Path, kind: Kind, sealed: bool) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let text = read_line(path)?;
    let path = path.to_owned();
    if sealed && text.starts_with(kind.prefix()) {
        return Err(KeyFileError::Clear { path });
    }
    if !sealed && text.starts_with(kind.sealed_prefix()) {
        return Err(KeyFileError::Sealed { path });
    }
    let expected = expected(kind, sealed);
    line::decode(&text, expected).ok_or(KeyFileError::NotThisKey { path, expected })
}

fn expected(kind: Kind, sealed: bool) -> &'static str {
    if sealed { kind.sealed_prefix() } else { kind.prefix() }
}

fn read_line(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    line::read(path, Readers::Owner).map_err(|error| of_line(path, error))
}

fn of_line(path: &Path, error: LineError) -> KeyFileError {
    match error {
        LineError::Exposed(mode) => KeyFileError::Exposed { path: path.to_owned(), mode },
        LineError::Io(source) => io(path, source),
    }
}

fn io(path: &Path, source: std::io::Error) -> KeyFileError {
    KeyFileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
