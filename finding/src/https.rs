//! One question over HTTPS, asked with great care: the server belongs to a stranger.
//!
//! ```text
//! name ─ resolved once, addresses checked ─► TCP to a checked address ─► TLS (X25519MLKEM768 preferred), certificate for
//! the name ─► GET ─► 200 and at most so many octets, before the deadline │ FetchError
//!              └► POST ─► 2xx
//! ```

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Mirror;
use crate::names::{Host, NameError, Names};
use crate::settings::{Settings, SetupError};

/// One attempt to connect: a second address gets its turn well before the deadline.
const CONNECT_WAIT: Duration = Duration::from_secs(3);
/// Addresses of one host that are tried; a server of a hundred dead addresses costs no more than this.
const ADDRESSES_TRIED_MAX: usize = 4;
/// The header section of an answer in octets; also what hyper buffers.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Header fields of an answer.
const HEADERS_MAX: usize = 64;

/// Why an HTTPS server gives nothing that may be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Theirs: it sends us elsewhere. Who controls a redirect need not control the domain.
    #[error("redirects are not followed")]
    Redirect,
    /// Theirs: a certificate for another name, expired, or of an authority we do not know.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Theirs: no TLS 1.3, or none at all.
    #[error("TLS: {0}")]
    Tls(String),
    /// Theirs: larger than what was asked for may be.
    #[error("answer is larger than {max} octets")]
    TooLarge {
        /// The limit, in octets.
        max: usize,
    },
    /// Theirs: compressed although we asked for the plain octets.
    #[error("answer is compressed")]
    Compressed,
    /// Theirs: not the media type that such a page has.
    #[error("answer has another media type")]
    MediaType,
    /// Theirs: an answer we cannot make sense of.
    #[error("unexpected status {0}")]
    Status(u16),
    /// Nobody's: the server says that there is no such page.
    #[error("no such page")]
    NotFound,
    /// The network's, or the server's for now.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The server's for now: it refuses everybody (429) or fails (5xx).
    #[error("busy or failing: status {0}")]
    Busy(u16),
    /// The network's or the server's: it did not finish in time.
    #[error("too slow")]
    TooSlow,
    /// Not the address of anything that may be posted to.
    #[error("not an https URL of a host")]
    Url,
    /// Its name led nowhere.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl FetchError {
    /// Whether asking again later may help without anybody repairing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy(_) | Self::TooSlow => true,
            Self::Name(error) => error.is_temporary(),
            _ => false,
        }
    }

    /// Whether it says, reliably, that there is nothing to find here.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound | Self::Name(NameError::NoAddress))
    }
}

/// Whose pages a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Those of organisations that speak DCCP: current servers.
    Dccp,
    /// MTA-STS policies, on whatever web server a mail domain has.
    Policies,
}

impl Pages {
    fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        let older = matches!(self, Self::Policies).then_some(&rustls::version::TLS12);
        std::iter::once(&rustls::version::TLS13).chain(older).collect()
    }

    fn accept(self) -> &'static str {
        match self {
            Self::Dccp => "application/json, application/cbor",
            Self::Policies => "text/plain",
        }
    }

    /// RFC 8461 §3.3: who may put a picture on a web server must not be able to put a policy there.
    fn takes(self, media_type: Option<&HeaderValue>) -> bool {
        let essence = |value: &HeaderValue| {
            let text = value.to_str().unwrap_or_default();
            text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
        };
        self == Self::Dccp || media_type.is_some_and(|value| essence(value) == "text/plain")
    }
}

/// What a server is given.
#[derive(Clone, Debug)]
pub struct Given {
    /// What it is.
    pub media_type: &'static str,
    /// All of it.
    pub octets: Bytes,
}

/// Drives a connection; it ends when this is dropped.
type Conversation = JoinSet<hyper::Result<()>>;

/// Our HTTPS client. It keeps no connections, cookies or sessions.
pub struct Https {
    names: Names,
    pages: Pages,
    tls: TlsConnector,
    default_port: u16,
    deadline: Duration,
}

impl Https {
    pub(crate) fn new(settings: &Settings, names: Names, pages: Pages) -> Result<Self, SetupError> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(post_quantum_first()))
            .with_protocol_versions(&pages.versions())
            .map_err(|error| SetupError::Roots(error.to_string()))?
            .with_root_certificates(roots(settings.extra_roots.as_deref())?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { names, pages, tls, default_port: settings.https_port, deadline: settings.fetch_deadline })
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The octets of one page, at most `bytes_max`.
    ///
    /// # Errors
    /// Any [`FetchError`].
    pub async fn fetch(&self, server: &Mirror, path: &str, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        let page = async {
            let (answer, _conversation) = self.ask(server, path, None).await?;
            read(self.accept(answer)?, bytes_max).await
        };
        tokio::time::timeout(self.deadline, page).await.unwrap_or(Err(FetchError::TooSlow))
    }

    /// Gives the server something. What it answers is not read, beyond that it took it.
    ///
    /// # Errors
    /// Any [`FetchError`].
    pub async fn post(&self, server: &Mirror, path: &str, given: Given) -> Result<(), FetchError> {
        let posted = tokio::time::timeout(self.deadline, self.ask(server, path, Some(given))).await;
        let (answer, _conversation) = posted.unwrap_or(Err(FetchError::TooSlow))?;
        if answer.status().is_success() { Ok(()) } else { refused(answer.status()) }
    }

    /// The head of the answer; the rest of it can be read for as long as the conversation is kept.
    async fn ask(
        &self,
        server: &Mirror,
        path: &str,
        given: Option<Given>,
    ) -> Result<(Response<Incoming>, Conversation), FetchError> {
        let port = server.port.unwrap_or(self.default_port);
        let addresses = self.names.addresses(&server.host).await?;
        let stream = self.connect(&server.host, &addresses, port).await?;

        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEADER_BYTES_MAX).max_headers(HEADERS_MAX);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut conversation = JoinSet::new();
        conversation.spawn(connection);
        let question = self.question(&server.host, port, path, given)?;
        let answer = sender.send_request(question).await.map_err(broken)?;
        Ok((answer, conversation))
    }

    /// A connection to one of the addresses that were checked; the name is not resolved again.
    async fn connect(
        &self,
        host: &Host,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<TlsStream<TcpStream>, FetchError> {
        let mut failure = FetchError::Name(NameError::NoAddress);
        for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
            let address = SocketAddr::new(*address, port);
            match tokio::time::timeout(CONNECT_WAIT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    return self.tls.connect(server_name(host)?, stream).await.map_err(tls_failure);
                }
                Ok(Err(error)) => failure = FetchError::Unreachable(format!("{address}: {error}")),
                Err(_) => failure = FetchError::Unreachable(format!("{address}: no answer")),
            }
        }
        Err(failure)
    }

    fn question(
        &self,
        host: &Host,
        port: u16,
        path: &str,
        given: Option<Given>,
    ) -> Result<Request<Full<Bytes>>, FetchError> {
        let host = match host {
            Host::Name(name) => name.to_string(),
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        };
        let authority = if port == 443 { host } else { format!("{host}:{port}") };
        let question = match &given {
            None => Request::get(path),
            Some(given) => {
                Request::post(path).header(CONTENT_TYPE, HeaderValue::from_static(given.media_type))
            }
        };
        question
            .header(HOST, authority)
            .header(USER_AGENT, HeaderValue::from_static("dccp"))
            .header(ACCEPT, HeaderValue::from_static(self.pages.accept()))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header(CONNECTION, HeaderValue::from_static("close"))
            .body(given.map(|given| Full::new(given.octets)).unwrap_or_default())
            .map_err(|error| FetchError::Unreachable(error.to_string()))
    }

    /// Only a plain 200 has a body that anybody reads.
    fn accept(&self, answer: Response<Incoming>) -> Result<Incoming, FetchError> {
        if answer.status() != StatusCode::OK {
            return refused(answer.status());
        }
        // A few octets could unpack to gigabytes; nobody needs that for 64 KiB.
        match answer.headers().get(CONTENT_ENCODING) {
            Some(coding) if coding != "identity" => Err(FetchError::Compressed),
            _ if !self.pages.takes(answer.headers().get(CONTENT_TYPE)) => Err(FetchError::MediaType),
            _ => Ok(answer.into_body()),
        }
    }
}

/// What a status says that is not the one that was hoped for.
fn refused<T>(status: StatusCode) -> Result<T, FetchError> {
    Err(match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => FetchError::NotFound,
        StatusCode::TOO_MANY_REQUESTS => FetchError::Busy(status.as_u16()),
        _ if status.is_server_error() => FetchError::Busy(status.as_u16()),
        _ if status.is_redirection() => FetchError::Redirect,
        _ => FetchError::Status(status.as_u16()),
    })
}

/// The provider of aws-lc-rs with the hybrid key exchange in front, whatever its default order becomes.
fn post_quantum_first() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    CryptoProvider { kx_groups: vec![X25519MLKEM768, X25519, SECP256R1], ..aws_lc_rs::default_provider() }
}

pub(crate) fn roots(extra: Option<&Path>) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra {
        let wrong = |error: String| SetupError::Roots(format!("{}: {error}", path.display()));
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(SetupError::Roots(
            "the system has none (Debian: apt-get install ca-certificates)".into(),
        ));
    }
    Ok(roots)
}

fn server_name(host: &Host) -> Result<ServerName<'static>, FetchError> {
    match host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => {
            ServerName::try_from(name.as_str().to_owned()).map_err(|error| FetchError::Tls(error.to_string()))
        }
    }
}

/// Copies the pieces together: a body of one-octet chunks must not cost a buffer per octet.
async fn read(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    let too_large = FetchError::TooLarge { max: bytes_max };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large);
    }
    let mut octets = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        if octets.len() + piece.len() > bytes_max {
            return Err(too_large);
        }
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}

fn broken(error: hyper::Error) -> FetchError {
    if error.is_parse_too_large() {
        return FetchError::TooLarge { max: HEADER_BYTES_MAX };
    }
    FetchError::Unreachable(error.to_string())
}

fn tls_failure(error: io::Error) -> FetchError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => FetchError::Certificate(why.to_string()),
        Some(other) => FetchError::Tls(other.to_string()),
        None => FetchError::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
