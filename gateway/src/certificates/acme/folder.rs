//! What rests of it.
//!
//! ```text
//! keys/acme/certificate   Vault(keys.storage, private key ‖ chain, both PEM)
//!           account       Vault(keys.storage, whose account ‖ its key, JSON)
//! ```
//!
//! What authorities and clients may see of it is public; both are sealed as a whole all the same, so that nothing in the
//! folder has to be told apart.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use instant_acme::AccountCredentials;
use keystore::durable;
use rcgen::KeyPair;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::errors::AcmeError;
use super::with_key;
use crate::certificates::facts::Facts;
use crate::custody::Vault;

/// Each file's name beside `keys.storage` is also its purpose under the seal: none can be passed off as the other.
const CERTIFICATE: &str = "acme/certificate";
const ACCOUNT: &str = "acme/account";

/// A chain has a few certificates of two kilobytes each; more is another file.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The folder.
pub(super) struct Folder {
    /// Of all keys.
    keys: PathBuf,
    vault: Arc<Vault>,
}

/// An account at an authority. It counts for whom it was made.
#[derive(Serialize, Deserialize)]
pub(super) struct Account {
    /// For this directory, contact and customer.
    pub(super) holder: Holder,
    /// What proves that it is ours.
    pub(super) credentials: AccountCredentials,
}

/// Whose account it is, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) directory: String,
    pub(super) contact: Option<String>,
    pub(super) customer: Option<String>,
}

/// A certificate with its key.
pub(super) struct Kept {
    /// Both, as they rest under the seal.
    pem: Zeroizing<String>,
    facts: Facts,
    certified: CertifiedKey,
}

impl Folder {
    /// The folder beside the storage key at `storage`, its files sealed under it. Need not exist.
    pub(super) fn beside(storage: &Path, vault: Arc<Vault>) -> Self {
        Self { keys: storage.with_file_name(""), vault }
    }

    /// The certificate that is kept.
    ///
    /// # Errors
    /// [`AcmeError::Altered`] or [`AcmeError::Io`].
    pub(super) fn certificate(&self) -> Result<Option<Kept>, AcmeError> {
        let Some(clear) = self.read(CERTIFICATE)? else { return Ok(None) };
        let kept = std::str::from_utf8(&clear).ok().and_then(Kept::of_pem);
        kept.map(Some).ok_or_else(|| AcmeError::Altered(self.keys.join(CERTIFICATE)))
    }

    /// Puts a certificate in the place of the one before.
    ///
    /// # Errors
    /// [`AcmeError::Io`].
    pub(super) fn keep_certificate(&self, kept: &Kept) -> Result<(), AcmeError> {
        self.write(CERTIFICATE, kept.pem.as_bytes())
    }

    /// The account of this holder, if it is the one that is kept.
    ///
    /// # Errors
    /// [`AcmeError::Altered`] or [`AcmeError::Io`].
    pub(super) fn account(&self, holder: &Holder) -> Result<Option<AccountCredentials>, AcmeError> {
        let Some(clear) = self.read(ACCOUNT)? else { return Ok(None) };
        let account: Account =
            serde_json::from_slice(&clear).map_err(|_| AcmeError::Altered(self.keys.join(ACCOUNT)))?;
        Ok((account.holder == *holder).then_some(account.credentials))
    }

    /// Puts an account in the place of the one before.
    ///
    /// # Errors
    /// [`AcmeError::Io`].
    pub(super) fn keep_account(&self, account: &Account) -> Result<(), AcmeError> {
        let failed = |error: serde_json::Error| self.io(ACCOUNT, io::Error::other(error));
        self.write(ACCOUNT, &Zeroizing::new(serde_json::to_vec(account).map_err(failed)?))
    }

    fn read(&self, name: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, AcmeError> {
        let mut sealed = Vec::new();
        let read = match fs::File::open(self.keys.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut sealed)),
        };
        read.map_err(|source| self.io(name, source))?;
        let opened = self.vault.open(name, &sealed);
        opened.map(Some).map_err(|_| AcmeError::Altered(self.keys.join(name)))
    }

    fn write(&self, name: &'static str, clear: &[u8]) -> Result<(), AcmeError> {
        let path = self.keys.join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| durable::replace(&path, &self.vault.seal(name, clear), 0o600))
            .map_err(|source| self.io(name, source))
    }

    fn io(&self, name: &str, source: io::Error) -> AcmeError {
        AcmeError::Io { path: self.keys.join(name), source }
    }
}

impl Kept {
    /// A chain as the authority gave it, with the key that it was asked for with.
    ///
    /// # Errors
    /// [`AcmeError::Senseless`] when the authority gave something else.
    pub(super) fn of_chain(chain: &str, key: &KeyPair) -> Result<Self, AcmeError> {
        let pem = Zeroizing::new(format!("{}{chain}", Zeroizing::new(key.serialize_pem()).as_str()));
        Self::of_pem(&pem).ok_or_else(|| AcmeError::Senseless("that is no certificate for our key".into()))
    }

    fn of_pem(pem: &str) -> Option<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
        let facts = Facts::of(chain.first()?)?;
        let certified = with_key(chain, &key_of(pem)?).ok()?;
        Some(Self { pem: Zeroizing::new(pem.to_owned()), facts, certified })
    }

    /// Its key, to be used again.
    pub(super) fn key(&self) -> Option<KeyPair> {
        key_of(&self.pem)
    }

    pub(super) fn into_parts(self) -> (Facts, CertifiedKey) {
        (self.facts, self.certified)
    }
}

fn key_of(pem: &str) -> Option<KeyPair> {
    KeyPair::try_from(&PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::CertificateParams;

    use super::*;

    fn folder(at: &Path, seed: u8) -> Folder {
        Folder::beside(&at.join("storage.key"), Arc::new(Vault::new(Zeroizing::new([seed; 32]))))
    }

    fn kept() -> Kept {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["mx.acme.test".to_owned()]).unwrap();
        Kept::of_chain(&params.self_signed(&key).unwrap().pem(), &key).unwrap()
    }

    #[test]
    fn a_certificate_is_read_as_it_was_kept_and_nothing_of_it_lies_in_the_clear() {
        let at = tempfile::tempdir().unwrap();
        let folder = folder(at.path(), 7);
        assert!(folder.certificate().unwrap().is_none());
        let kept = kept();
        folder.keep_certificate(&kept).unwrap();
        let sealed = fs::read(at.path().join("acme/certificate")).unwrap();
        for clear in [&b"PRIVATE KEY"[..], b"CERTIFICATE", b"mx.acme.test"] {
            assert!(!sealed.windows(clear.len()).any(|window| window == clear));
        }
        let read = folder.certificate().unwrap().unwrap();
        assert_eq!(read.facts, kept.facts);
        assert_eq!(read.key().unwrap().serialize_der(), kept.key().unwrap().serialize_der());
    }

    #[test]
    fn a_file_that_was_altered_renamed_or_sealed_elsewhere_does_not_open() {
        let at = tempfile::tempdir().unwrap();
        let ours = folder(at.path(), 7);
        ours.keep_certificate(&kept()).unwrap();
        assert!(matches!(folder(at.path(), 8).certificate(), Err(AcmeError::Altered(_))));
        let file = at.path().join("acme/certificate");
        fs::copy(&file, at.path().join("acme/account")).unwrap();
        let holder = Holder { directory: "https://ca.test/".into(), contact: None, customer: None };
        assert!(matches!(ours.account(&holder), Err(AcmeError::Altered(_))));
        let mut sealed = fs::read(&file).unwrap();
        *sealed.last_mut().unwrap() ^= 1;
        fs::write(&file, sealed).unwrap();
        assert!(matches!(ours.certificate(), Err(AcmeError::Altered(_))));
    }

    #[test]
    fn a_chain_for_another_key_is_not_kept() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["mx.acme.test".to_owned()]).unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let other = KeyPair::generate().unwrap();
        assert!(matches!(Kept::of_chain(&chain, &other), Err(AcmeError::Senseless(_))));
        assert!(matches!(Kept::of_chain("", &key), Err(AcmeError::Senseless(_))));
    }
}
