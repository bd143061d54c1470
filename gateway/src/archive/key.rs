//! The archive key: X-Wing (X25519 and ML-KEM-768). Its public half stands beside the configuration; the private half is
//! made and kept elsewhere.
//!
//! ```text
//! dccp-archive-public-v1: base64 of the X-Wing encapsulation key (1216 octets)
//! ```

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dccp::kem::{KemError, SharedSecret};
use dccp::keys::KeyId;
use dccp::xwing;
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::flows::records::sha256;

const PREFIX: &str = "dccp-archive-public-v1:";

/// The line has some 1,650 characters; more is the wrong file.
const FILE_BYTES_MAX: u64 = 4096;

/// Why a file is no public half of an archive key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Another file, or an altered one.
    #[error("{} is not the public half of an archive key (a line that starts with `{PREFIX}`)", .0.display())]
    NotAKey(PathBuf),
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

/// The public half: copies are sealed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(xwing::EncapsulationKey);

impl PublicKey {
    /// Reads the line that [`text`](Self::text) makes.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let mut text = String::new();
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)).map_err(io)?;
        let octets = text.trim().strip_prefix(PREFIX).and_then(|rest| BASE64.decode(rest.trim()).ok());
        let key = octets.and_then(|octets| xwing::EncapsulationKey::from_bytes(&octets).ok());
        key.map(Self).ok_or_else(|| KeyError::NotAKey(path.to_owned()))
    }

    /// The line of its file.
    pub fn text(&self) -> String {
        format!("{PREFIX} {}\n", BASE64.encode(self.0.to_bytes()))
    }

    /// Its short name, which every copy bears.
    pub fn key_id(&self) -> KeyId {
        self.0.key_id()
    }

    /// What shares of the private half are proven by.
    pub fn commitment(&self) -> [u8; 32] {
        sha256(&[b"DCCP-ARCHIVE-key-v1\0", &self.0.to_bytes()])
    }

    pub(super) fn encapsulate(&self, rng: &mut impl CryptoRng) -> Result<(Vec<u8>, SharedSecret), KemError> {
        self.0.encapsulate(rng)
    }
}

/// The private half, in the hands of an officer. Has no `Debug`.
pub struct PrivateKey(xwing::DecapsulationKey);

impl PrivateKey {
    /// A fresh one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(xwing::DecapsulationKey::generate(rng))
    }

    /// From what an officer keeps.
    pub fn from_seed(seed: &[u8; xwing::SEED_BYTES]) -> Self {
        Self(xwing::DecapsulationKey::from_seed(seed))
    }

    /// What an officer keeps.
    pub fn seed(&self) -> Zeroizing<[u8; xwing::SEED_BYTES]> {
        self.0.seed()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.encapsulation_key().clone())
    }

    /// The short name that both halves share.
    pub fn key_id(&self) -> KeyId {
        self.0.encapsulation_key().key_id()
    }

    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<SharedSecret, KemError> {
        self.0.decapsulate(ciphertext)
    }
}
