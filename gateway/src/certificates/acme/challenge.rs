//! What the authority finds when it looks whether a name leads to us.
//!
//! ```text
//! http-01 (RFC 8555 §8.3)   GET /.well-known/acme-challenge/TOKEN ─► the key authorization
//! tls-alpn-01 (RFC 8737)    a handshake for `acme-tls/1` and NAME ─► a certificate with the digest of it
//! ```

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use instant_acme::{ChallengeHandle, ChallengeType};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::errors::AcmeError;
use super::key_der;
use crate::config::tls::provider;
use crate::http::connection::{Pace, converse, serve_each};

/// Where the authority asks (RFC 8555 §8.3).
const PREFIX: &str = "/.well-known/acme-challenge/";

/// What it asks for (RFC 8737 §4).
const ALPN: &[u8] = b"acme-tls/1";

/// Connections at once: an authority opens a handful for a name, from several places.
const CONNECTIONS_MAX: usize = 64;

/// A request and its answer are one packet each: whoever asks slowly, or asks nothing, is not the authority.
const PACE: Pace = Pace {
    header_bytes_max: 8 * 1024,
    header_time_max: Duration::from_secs(10),
    age_max: Duration::from_secs(10),
    grace: Duration::ZERO,
};

/// The answers of an order that is under way. Without one nothing is answered.
#[derive(Debug, Default)]
pub(super) struct Challenges(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// Key authorizations by token.
    by_token: HashMap<String, String>,
    /// Certificates by name.
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

/// An answer that stands until this is dropped.
pub(super) struct Answering {
    challenges: Arc<Challenges>,
    token: String,
    name: String,
}

impl Challenges {
    /// Answers a challenge for `name` from now on.
    ///
    /// # Errors
    /// [`AcmeError::Key`] when no certificate can be made for it.
    pub(super) fn answer(
        self: &Arc<Self>,
        name: &str,
        challenge: &ChallengeHandle<'_>,
    ) -> Result<Answering, AcmeError> {
        let (proof, name) = (challenge.key_authorization(), name.to_ascii_lowercase());
        if challenge.r#type == ChallengeType::TlsAlpn01 {
            let certificate = Arc::new(certificate(&name, proof.digest().as_ref())?);
            self.lock().by_name.insert(name.clone(), certificate);
        } else {
            self.lock().by_token.insert(challenge.token.clone(), proof.as_str().to_owned());
        }
        Ok(Answering { challenges: self.clone(), token: challenge.token.clone(), name })
    }

    /// A door for HTTPS as it also answers the authority.
    pub(super) fn at_https(self: &Arc<Self>, door: Arc<ServerConfig>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&door);
        config.alpn_protocols = vec![b"http/1.1".to_vec(), ALPN.to_vec()];
        config.cert_resolver =
            Arc::new(AlsoAnswers { challenges: self.clone(), otherwise: door.cert_resolver.clone() });
        Arc::new(config)
    }

    fn of_token(&self, path: &str) -> Option<String> {
        self.lock().by_token.get(path.strip_prefix(PREFIX)?).cloned()
    }

    fn of_name(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.lock().by_name.get(&name.to_ascii_lowercase()).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut answers = self.challenges.lock();
        answers.by_token.remove(&self.token);
        answers.by_name.remove(&self.name);
    }
}

/// RFC 8737 §3: self-signed, for this name alone, with the digest in a critical extension.
fn certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeError> {
    let made = |error: rcgen::Error| AcmeError::Key(error.to_string());
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(made)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(made)?;
    let certificate = params.self_signed(&key).map_err(made)?;
    // Not held against each other, as other certificates are: rustls reads none with an extension like this one.
    let signing = provider().key_provider.load_private_key(key_der(&key));
    let signing = signing.map_err(|error| AcmeError::Key(error.to_string()))?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signing))
}

/// Shows the authority its certificate, and everybody else the door's own.
#[derive(Debug)]
struct AlsoAnswers {
    challenges: Arc<Challenges>,
    otherwise: Arc<dyn ResolvesServerCert>,
}

impl ResolvesServerCert for AlsoAnswers {
    /// RFC 8737 §3: for this protocol there is the answer or no handshake.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ALPN)) {
            return self.challenges.of_name(hello.server_name()?);
        }
        self.otherwise.resolve(hello)
    }
}

/// Answers at `listener` until `stop`.
pub(super) async fn serve(listener: TcpListener, challenges: Arc<Challenges>, stop: CancellationToken) {
    serve_each(listener, CONNECTIONS_MAX, &stop, |stream, _| {
        let (challenges, stop) = (challenges.clone(), stop.clone());
        Some(async move {
            let answer = |request| std::future::ready(Ok::<_, Infallible>(answer(&challenges, &request)));
            converse(TokioIo::new(stream), service_fn(answer), stop, PACE).await;
        })
    })
    .await;
}

fn answer(challenges: &Challenges, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let proof = challenges.of_token(request.uri().path()).filter(|_| is_read);
    let status = if proof.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::new(Bytes::from(proof.unwrap_or_default())));
    *response.status_mut() = status;
    let binary = header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, binary);
    response
}
