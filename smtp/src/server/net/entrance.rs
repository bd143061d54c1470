//! What happens before the first octet of SMTP: a balancer says whom it brings, and TLS begins.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::proxy::{self, Origin, Progress, ProxyError};

/// Seconds for a PROXY header, which a balancer sends at once; a lost segment is sent again after three (clause 2 of
/// the protocol).
const HEADER_S_MAX: u64 = 5;
/// Seconds for a TLS handshake; an honest one takes a few round trips.
const HANDSHAKE_S_MAX: u64 = 30;

/// Why it is not known who comes.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// It hung up before the first octet: a balancer that only looks whether the port is open.
    #[error("hung up without a word")]
    Silent,
    /// It says something else.
    #[error(transparent)]
    Wrong(#[from] ProxyError),
    /// It did not finish in time.
    #[error("no PROXY header within {HEADER_S_MAX} seconds")]
    Late,
    /// From the network, or it hung up amid the header.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the PROXY header and not one octet more.
pub(super) async fn origin(stream: &mut TcpStream) -> Result<Origin, NoHeader> {
    let deadline = Duration::from_secs(HEADER_S_MAX);
    timeout(deadline, read_origin(stream)).await.map_err(|_| NoHeader::Late)?
}

async fn read_origin(stream: &mut TcpStream) -> Result<Origin, NoHeader> {
    let mut header = Vec::new();
    loop {
        let needs = match proxy::read(&header)? {
            Progress::Complete(origin) => return Ok(origin),
            Progress::Needs(octets) => octets,
        };
        let read = (&mut *stream).take(needs as u64).read_buf(&mut header).await?;
        match (read, header.is_empty()) {
            (0, true) => return Err(NoHeader::Silent),
            (0, false) => return Err(NoHeader::Io(io::ErrorKind::UnexpectedEof.into())),
            _ => {}
        }
    }
}

/// The server's side of a handshake; a stop ends it, since nothing was promised yet.
pub(super) async fn shake_hands(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    stop: &CancellationToken,
) -> io::Result<TlsStream<TcpStream>> {
    let tls = tls.ok_or(io::ErrorKind::Unsupported)?;
    let handshake = TlsAcceptor::from(tls).accept(stream);
    tokio::select! {
        done = timeout(Duration::from_secs(HANDSHAKE_S_MAX), handshake) => done?,
        () = stop.cancelled() => Err(io::Error::other("shutting down")),
    }
}

/// Whom the client's certificate names, if it showed one; rustls has verified it.
pub(super) fn certificate(stream: &TlsStream<TcpStream>) -> Option<String> {
    let (_, connection) = stream.get_ref();
    crate::tls::name_of(connection.peer_certificates()?.first()?)
}
