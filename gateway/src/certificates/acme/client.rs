//! Questions to the authority over HTTPS: one connection each, bounded in time and octets.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::errors::AcmeError;
use crate::config::tls::provider;

/// One question and its answer, the connection included. Authorities answer within a second or are in trouble.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(30);

/// The largest answer, a certificate chain, has a few kilobytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How the authority is reached.
#[derive(Clone)]
pub(super) struct Client(TlsConnector);

/// Why there is no answer that is meant for us.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("{0} is no https:// address")]
    Address(Uri),
    #[error("{host}: {why}")]
    Network { host: String, why: String },
    #[error("{host} does not answer")]
    Slow { host: String },
    /// Something else than the authority answers: a proxy, a maintenance page.
    #[error("{uri} answers {status}")]
    Status { uri: Uri, status: StatusCode },
}

impl Client {
    /// Believes servers whose certificate leads to one of `roots`.
    ///
    /// # Errors
    /// [`AcmeError::Roots`].
    pub(super) fn new(roots: RootCertStore) -> Result<Self, AcmeError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| AcmeError::Roots(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, ClientError> {
        let uri = request.uri().clone();
        let host = uri.host().unwrap_or_default().to_owned();
        let asked = tokio::time::timeout(QUESTION_TIME_MAX, self.converse(request, &uri, &host)).await;
        let response = asked.map_err(|_| ClientError::Slow { host })??;
        // RFC 8555 §6.7: what the authority refuses, it explains.
        let explains = response.headers().get(CONTENT_TYPE).is_some_and(is_problem);
        let status = response.status();
        if status.is_success() || explains {
            Ok(BytesResponse::from(response))
        } else {
            Err(ClientError::Status { uri, status })
        }
    }

    async fn converse(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
        uri: &Uri,
        host: &str,
    ) -> Result<Response<Full<Bytes>>, ClientError> {
        let failed = |why: &dyn std::fmt::Display| ClientError::Network {
            host: host.to_owned(),
            why: why.to_string(),
        };
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let authority = authority.ok_or_else(|| ClientError::Address(uri.clone()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(&error))?;
        let port = uri.port_u16().unwrap_or(443);
        let stream = TcpStream::connect((bare, port)).await.map_err(|error| failed(&error))?;
        let stream = self.0.connect(name, stream).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;

        // RFC 9112 §3.2: a server is asked for a path, and told its name.
        let value = HeaderValue::from_str(authority.as_str()).map_err(|error| failed(&error))?;
        request.headers_mut().insert(HOST, value);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|error| failed(&error))?;
        let answer = async {
            let (parts, body) =
                sender.send_request(request).await.map_err(|error| failed(&error))?.into_parts();
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| failed(&error))?;
            Ok(Response::from_parts(parts, Full::new(body.to_bytes())))
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                // The authority closes after its answer; the answer may still be on its way to us.
                Ok(()) => answer.await,
                Err(error) => Err(failed(&error)),
            },
        }
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move { client.ask(request).await.map_err(|error| Error::Other(Box::new(error))) })
    }
}

/// RFC 9457 §3.
fn is_problem(media_type: &HeaderValue) -> bool {
    media_type.to_str().is_ok_and(|text| text.trim_start().starts_with("application/problem+json"))
}
