//! Key files: one line of text, `dccp-operator-key-v1:` and the secret in base64, readable by the owner alone.
//!
//! The prefix tells what a file is before anything is done with it, so that swapping two files is an error message
//! and not a strange identity.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The longest of our lines has about 160 characters; more is the wrong file.
const FILE_BYTES_MAX: u64 = 4096;

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
    /// The start of the line.
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
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

/// Writes a new key file: created with mode 0600, never over an existing one, on disk when this returns.
///
/// # Errors
/// [`KeyFileError::Io`], with `AlreadyExists` when there is a file of that name.
pub fn write(path: &Path, kind: Kind, secret: &[u8]) -> Result<(), KeyFileError> {
    let line = Zeroizing::new(format!("{}{}\n", kind.prefix(), STANDARD.encode(secret)));
    write_new(path, line.as_bytes(), 0o600).map_err(|source| io(path, source))
}

/// Reads the secret of a key file.
///
/// # Errors
/// When the file is missing, exposed, or of another kind.
pub fn read(path: &Path, kind: Kind) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let line = read_line(path)?;
    let not_this = || KeyFileError::NotThisKey { path: path.to_owned(), expected: kind.prefix() };
    let body = line.strip_prefix(kind.prefix()).ok_or_else(not_this)?;
    let secret = Zeroizing::new(STANDARD.decode(body).map_err(|_| not_this())?);
    if secret.len() == kind.secret_bytes() { Ok(secret) } else { Err(not_this()) }
}

/// The control token: its whole line, as a client sends it after `Bearer `.
///
/// # Errors
/// As [`read`].
pub fn read_token(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    read(path, Kind::ControlToken)?;
    Ok(Zeroizing::new(read_line(path)?.to_string()))
}

/// Refuses a file that group or others may touch.
///
/// # Errors
/// [`KeyFileError::Exposed`] or [`KeyFileError::Io`].
pub fn check_mode(path: &Path) -> Result<(), KeyFileError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    check_open_mode(path, &file)
}

/// Writes `bytes` into a file that did not exist, and makes the file and its name durable.
///
/// # Errors
/// The operating system's.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn read_line(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    check_open_mode(path, &file)?;
    // Room for the whole file at once: a growing string would leave copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|source| io(path, source))?;
    Ok(Zeroizing::new(text.trim_end().to_owned()))
}

/// Asks the opened file, not its name: the name may point elsewhere a moment later.
fn check_open_mode(path: &Path, file: &File) -> Result<(), KeyFileError> {
    let mode = file.metadata().map_err(|source| io(path, source))?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::Exposed { path: path.to_owned(), mode }) }
}

fn io(path: &Path, source: std::io::Error) -> KeyFileError {
    KeyFileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_key_reads_back_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage.key");
        write(&path, Kind::Storage, &[7; 32]).unwrap();
        assert_eq!(read(&path, Kind::Storage).unwrap().as_slice(), [7; 32]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("dccp-storage-key-v1:"));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        write(&path, Kind::Node, &[7; 32]).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path, Kind::Node), Err(KeyFileError::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_key_of_another_kind_or_length_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.key");
        write(&path, Kind::Operator, &[7; 64]).unwrap();
        assert!(matches!(read(&path, Kind::Recovery), Err(KeyFileError::NotThisKey { .. })));
        let short = folder.path().join("short.key");
        write(&short, Kind::Operator, &[7; 63]).unwrap();
        assert!(matches!(read(&short, Kind::Operator), Err(KeyFileError::NotThisKey { .. })));
    }

    #[test]
    fn an_existing_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        write(&path, Kind::Node, &[7; 32]).unwrap();
        let refused = write(&path, Kind::Node, &[8; 32]);
        assert!(
            matches!(refused, Err(KeyFileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists)
        );
        assert_eq!(read(&path, Kind::Node).unwrap().as_slice(), [7; 32]);
    }
}
