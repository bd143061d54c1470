//! The certificate of the SMTP door, read from its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::model::Tls;

/// Why a certificate cannot be used; each says which of the two files to look at.
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

/// A server configuration for STARTTLS: TLS 1.2 and 1.3, no client certificates.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|why| TlsError::Key { path: tls.key.clone(), why: why.to_string() })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
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
