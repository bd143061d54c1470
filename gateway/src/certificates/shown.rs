//! What a door shows: one certificate at a time, exchanged between two handshakes.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use crate::config::tls::{TlsError, provider};

/// The certificate in use, as rustls asks for it.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    pub(super) fn new(first: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(first))))
    }

    /// Shows another one from the next handshake on. Sessions that are open keep what they have.
    pub(super) fn exchange(&self, next: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// What is shown now. An exchange is one step, so it is whole even if the thread that exchanged died.
    pub(super) fn now(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// TLS 1.2 and 1.3 with whatever certificate is in use; clients may show one that `clients` signed.
    ///
    /// # Errors
    /// [`TlsError::Pair`], when there is nobody in `clients`.
    pub fn server_config(
        self: &Arc<Self>,
        clients: Option<RootCertStore>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(authority.into(), provider());
                let verifier = verifier.allow_unauthenticated().build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| rustls::Error::General(error.to_string()))?,
                )
            }
        };
        Ok(Arc::new(builder.with_cert_resolver(self.clone())))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}
