//! Certificates, read from their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::model::Tls;

/// Why a certificate cannot be used; each says which of the files to look at.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file has no readable certificate.
    #[error("{path} holds no PEM certificate: {why}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        why: String,
    },
    /// The key file has no readable key.
    #[error("{path} holds no PEM private key: {why}")]
    Key {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        why: String,
    },
    /// Both are readable but do not belong together, or use an algorithm we do not have.
    #[error("the key does not fit the certificate: {0}")]
    Pair(#[from] rustls::Error),
}

/// What signs and encrypts in every TLS of ours.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A certificate chain with the key that it was issued for.
///
/// # Errors
/// See [`TlsError`].
pub fn certified_key(tls: &Tls) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|why| TlsError::Key { path: tls.key.clone(), why: why.to_string() })?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}

/// The certificates of an authority.
///
/// # Errors
/// [`TlsError::Certificate`].
pub fn authority(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let wrong =
            |why: rustls::Error| TlsError::Certificate { path: path.to_owned(), why: why.to_string() };
        roots.add(certificate).map_err(wrong)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::Certificate { path: path.to_owned(), why };
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?.collect();
    match read {
        Ok(chain) if chain.is_empty() => Err(wrong("no item found".into())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(wrong(error.to_string())),
    }
}
