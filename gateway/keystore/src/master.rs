//! The master key: where it comes from, and what it seals.
//!
//! ```text
//! sealed = version (1) ‖ id of the master key (8) ‖ salt (32) ‖ ciphertext ‖ tag (16)
//! master key ─ HKDF-SHA256(salt, purpose) ─► AES-256-GCM key and nonce of this record only
//!            └ HKDF-SHA256("id") ─► the id, by which a wrong master key is told from an altered file
//! ```

use std::env;
use std::path::{Path, PathBuf};

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use rand::{CryptoRng, Rng};
use zeroize::Zeroizing;

use crate::line::{self, LineError, Readers};
use crate::passphrase::{self, Wrapped};
use crate::prompt::PromptError;
use crate::token::{self, Token, TokenError};
use crate::{aead, durable};

/// The line of a file or a systemd credential that holds the master key itself.
const PREFIX: &str = "dccp-master-key-v1:";

/// Where systemd.exec(5) puts the credentials of a unit. A path, not a secret.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

pub(crate) const MASTER_BYTES: usize = 32;
const VERSION: u8 = 1;
const ID_BYTES: usize = 8;
const SALT_BYTES: usize = 32;

/// Where the master key of a gateway comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterSource {
    /// A file of mode 0600 that holds it.
    File(PathBuf),
    /// A credential that systemd gives to the unit (`LoadCredential=`, `LoadCredentialEncrypted=`).
    Systemd {
        /// The credential's name.
        credential: String,
    },
    /// A person types a passphrase at each start.
    Prompt {
        /// The file with the master key as the passphrase wraps it.
        wrapped: PathBuf,
    },
    /// A key that never leaves a PKCS#11 token unwraps it.
    Pkcs11 {
        /// The token and its key.
        token: Token,
        /// The file with the master key as the token wraps it.
        wrapped: PathBuf,
    },
}

/// Why there is no master key. Never contains a part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The passphrase does not open the wrapped master key, or that was altered.
    #[error("the passphrase does not open {path}: it is another one, or the file was altered")]
    WrongPassphrase {
        /// The wrapped master key.
        path: PathBuf,
    },
    /// Nobody could be asked, or a new passphrase is none.
    #[error("the passphrase or PIN: {0}")]
    Prompt(#[from] PromptError),
    /// The unit does not hand the credential over, or this is no unit.
    #[error(
        "systemd gave no credential `{name}`: the unit needs LoadCredential={name}:FILE or LoadCredentialEncrypted={name}; \
         by hand, run the command under `systemd-run --pipe --wait -p LoadCredential={name}:FILE`"
    )]
    NoCredential {
        /// Its name.
        name: String,
    },
    /// The token, or what it says.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Others on this machine may read it.
    #[error("{path} may be read by others (mode {mode:04o}); run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another file than a master key of this kind.
    #[error("{path} is not a file that starts with `{expected}`")]
    NotAMasterKey {
        /// The file.
        path: PathBuf,
        /// What it should start with.
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

/// What a master key cannot open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed under another master key.
    #[error("sealed under another master key")]
    OtherMaster,
    /// Not what was sealed, or sealed for another purpose.
    #[error("altered, or sealed for another purpose")]
    Altered,
}

/// The master key at work. Has no `Debug`.
pub struct MasterKey {
    secret: Zeroizing<[u8; MASTER_BYTES]>,
    id: [u8; ID_BYTES],
}

impl MasterKey {
    /// Makes a fresh master key and keeps it where `source` says; never over an existing file. A passphrase is asked
    /// for twice; a token makes its key unless it has one of that label.
    ///
    /// systemd's credentials are made by its own tools, so for [`MasterSource::Systemd`] the credential must exist.
    ///
    /// # Errors
    /// See [`MasterError`].
    pub fn create(source: &MasterSource, rng: &mut impl CryptoRng) -> Result<MasterKey, MasterError> {
        let mut secret = Zeroizing::new([0; MASTER_BYTES]);
        rng.fill_bytes(secret.as_mut_slice());
        match source {
            MasterSource::Systemd { .. } => return MasterKey::open(source),
            MasterSource::File(path) => write_new(path, &line::encode(PREFIX, secret.as_slice()))?,
            MasterSource::Prompt { wrapped } => {
                passphrase::keep(Wrapped::MasterKey, wrapped, &secret, rng)?;
            }
            MasterSource::Pkcs11 { token, wrapped } => {
                refuse_existing(wrapped)?;
                write_new(wrapped, &token::wrap(token, &secret, rng)?)?;
            }
        }
        Ok(MasterKey::of(secret))
    }

    /// Gets the master key from where `source` says. May ask a person.
    ///
    /// # Errors
    /// See [`MasterError`].
    pub fn open(source: &MasterSource) -> Result<MasterKey, MasterError> {
        let secret = match source {
            MasterSource::File(path) => clear(path, Readers::Owner)?,
            MasterSource::Systemd { credential } => {
                let folder = env::var_os(CREDENTIALS_DIRECTORY);
                systemd(folder.map(PathBuf::from).as_deref(), credential)?
            }
            MasterSource::Prompt { wrapped } => passphrase::open(Wrapped::MasterKey, wrapped)?,
            MasterSource::Pkcs11 { token, wrapped } => {
                let text = read(wrapped, Readers::Owner)?;
                token::unwrap(token, &text, wrapped)?
            }
        };
        Ok(MasterKey::of(secret))
    }

    /// Seals `secret` for `purpose`.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        let mut salt = [0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        let head = [&[VERSION], self.id.as_slice()].concat();
        let body = aead::seal(&self.record_key(purpose, &salt), &context(&head, purpose), secret);
        [head.as_slice(), &salt, &body].concat()
    }

    /// Opens what [`seal`](Self::seal) made under this key for the same purpose.
    ///
    /// # Errors
    /// [`OpenError`] for anything else.
    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (head, rest) = sealed.split_at_checked(1 + ID_BYTES).ok_or(OpenError::Altered)?;
        let (salt, body) = rest.split_at_checked(SALT_BYTES).ok_or(OpenError::Altered)?;
        match head.split_first() {
            Some((&VERSION, id)) if id == self.id => {}
            Some((&VERSION, _)) => return Err(OpenError::OtherMaster),
            _ => return Err(OpenError::Altered),
        }
        aead::open(&self.record_key(purpose, salt), &context(head, purpose), body).ok_or(OpenError::Altered)
    }

    fn of(secret: Zeroizing<[u8; MASTER_BYTES]>) -> MasterKey {
        let mut id = [0; ID_BYTES];
        derive(&secret, b"", &[b"DCCP-MASTER-id-v1\0"], &mut id);
        MasterKey { secret, id }
    }

    fn record_key(&self, purpose: &str, salt: &[u8]) -> Zeroizing<[u8; aead::DERIVED_BYTES]> {
        let mut derived = Zeroizing::new([0; aead::DERIVED_BYTES]);
        derive(&self.secret, salt, &[b"DCCP-MASTER-record-v1\0", purpose.as_bytes()], derived.as_mut_slice());
        derived
    }
}

/// What is authenticated beside the secret: version, master key and purpose.
fn context(head: &[u8], purpose: &str) -> Vec<u8> {
    [head, purpose.as_bytes()].concat()
}

fn systemd(folder: Option<&Path>, credential: &str) -> Result<Zeroizing<[u8; MASTER_BYTES]>, MasterError> {
    let missing = || MasterError::NoCredential { name: credential.to_owned() };
    let path = folder.ok_or_else(missing)?.join(credential);
    match clear(&path, Readers::OwnerAndGroup) {
        Err(MasterError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(missing())
        }
        read => read,
    }
}

fn clear(path: &Path, readers: Readers) -> Result<Zeroizing<[u8; MASTER_BYTES]>, MasterError> {
    let text = read(path, readers)?;
    line::decode(&text, PREFIX)
        .and_then(|bytes| exact(&bytes))
        .ok_or(MasterError::NotAMasterKey { path: path.to_owned(), expected: PREFIX })
}

/// A master key of the right length.
pub(crate) fn exact(bytes: &[u8]) -> Option<Zeroizing<[u8; MASTER_BYTES]>> {
    <[u8; MASTER_BYTES]>::try_from(bytes).ok().map(Zeroizing::new)
}

pub(crate) fn read(path: &Path, readers: Readers) -> Result<Zeroizing<String>, MasterError> {
    line::read(path, readers).map_err(|error| match error {
        LineError::Exposed(mode) => MasterError::Exposed { path: path.to_owned(), mode },
        LineError::Io(source) => MasterError::Io { path: path.to_owned(), source },
    })
}

/// Before a person or a token is troubled for nothing.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), MasterError> {
    match path.symlink_metadata() {
        Ok(_) => {
            Err(MasterError::Io { path: path.to_owned(), source: std::io::ErrorKind::AlreadyExists.into() })
        }
        Err(_) => Ok(()),
    }
}

pub(crate) fn write_new(path: &Path, line: &str) -> Result<(), MasterError> {
    durable::write_new(path, line.as_bytes(), 0o600)
        .map_err(|source| MasterError::Io { path: path.to_owned(), source })
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
fn derive(secret: &[u8; MASTER_BYTES], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    let length = out.len();
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length(length))
        .and_then(|okm| okm.fill(out))
        .expect("a short output");
}

#[cfg(test)]
mod tests;
