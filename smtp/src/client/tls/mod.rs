//! How much TLS a server must show, and the handshake that finds out.
//!
//! ```text
//! TlsPolicy ── what has to be proven ──► Verification ──► verifier   the certificate chain, judged
//!                                                          └ tlsa    DNS records held against it (RFC 7672)
//! handshake ──► a stream and its TlsFacts, or a TlsFailure in the words of RFC 8460
//! ```
//!
//! TLS 1.2 is the least that is spoken, and the key exchange with ML-KEM goes first. No session is resumed: every
//! connection proves itself by the policy of its own target, and serves several messages anyway.

mod failure;
mod tlsa;
mod verifier;

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use self::failure::{TlsFailure, TlsFailureKind};
use self::verifier::Verifier;
use super::connection::Stream;
use crate::route::Tlsa;
use crate::tls::TlsFacts;

/// How much TLS a server must show before it hears of a mail.
#[derive(Debug, Clone, Default)]
pub enum TlsPolicy {
    /// Clear text, even where TLS is offered.
    #[default]
    Never,
    /// Any TLS is better than none (RFC 7435): any certificate will do, and where there is no TLS, or its handshake
    /// fails, the mail goes in clear.
    Opportunistic,
    /// Nothing is handed over, and nobody logs in, without TLS and the proof that is asked for.
    Required(Verification),
}

/// What the server's certificate has to prove.
#[derive(Debug, Clone)]
pub enum Verification {
    /// Nothing: protects from those who only listen.
    AnyCertificate,
    /// That it is for one of the names and leads to one of the roots (RFC 5280, RFC 9525). The first name is asked for.
    Pkix {
        /// DNS names, as A-labels, or IP addresses.
        names: Vec<String>,
        /// Whom to trust.
        roots: Arc<RootCertStore>,
    },
    /// That it fits one of the TLSA records (RFC 7672 §3), which DNSSEC must have proven. The first name, the TLSA base
    /// domain, is asked for (RFC 7672 §8.1).
    Dane {
        /// The whole record set; what is unusable in it is passed over.
        tlsa: Vec<Tlsa>,
        /// For records about an authority (DANE-TA): one of these must stand in the certificate (RFC 7672 §3.2.2).
        names: Vec<String>,
    },
}

impl TlsPolicy {
    /// What to verify when TLS is to be tried.
    pub(super) fn verification(&self) -> Option<&Verification> {
        match self {
            Self::Never => None,
            Self::Opportunistic => Some(&Verification::AnyCertificate),
            Self::Required(verification) => Some(verification),
        }
    }

    /// Who gets through the handshake is who the policy means.
    pub(super) fn verifies_the_server(&self) -> bool {
        matches!(self, Self::Required(Verification::Pkix { .. } | Verification::Dane { .. }))
    }

    /// Clear text will do.
    pub(super) fn allows_clear(&self) -> bool {
        !matches!(self, Self::Required(_))
    }
}

impl Verification {
    /// The name the certificate must be for comes first, so that a server with several can choose.
    fn name(&self) -> Option<&str> {
        match self {
            Self::AnyCertificate => None,
            Self::Pkix { names, .. } | Self::Dane { names, .. } => names.first().map(String::as_str),
        }
    }
}

/// Shakes hands as the client and judges the server's certificate. `host` is how the server is known where the
/// verification has no name for it.
pub(super) async fn handshake(
    stream: Box<dyn Stream>,
    verification: &Verification,
    host: &str,
) -> Result<(Box<dyn Stream>, TlsFacts), TlsFailure> {
    let name = verification.name().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name).map_err(|error| TlsFailure::misnamed(error.to_string()))?;
    let connector = connector(verification).map_err(|error| TlsFailure::of(&error))?;
    let stream: TlsStream<_> =
        connector.connect(name, stream).await.map_err(|error| TlsFailure::of_io(&error))?;
    let facts = TlsFacts::of(stream.get_ref().1);
    Ok((Box::new(stream), facts))
}

fn connector(verification: &Verification) -> Result<TlsConnector, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(verification.clone(), provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous() // in rustls' words: the verifier is ours
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
