//! The accept loop: bounded in connections (in all and per network), in time per handshake, per header and per
//! connection, and in the time a stop may take.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Published;
use super::answers::answer;
use super::guests::Guests;

/// Bounds of the server, in one value so that tests can make time short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once: partners look once an hour and strangers seldom; each holds some tens of kilobytes.
    pub(super) connections_max: usize,
    /// Connections of one network at once: a gateway opens two, an office behind one address a few more.
    pub(super) connections_per_network_max: usize,
    /// Octets of a request's header section; also what hyper buffers (at least 8 KiB).
    pub(super) header_bytes_max: usize,
    /// The whole TLS handshake.
    pub(super) handshake_time_max: Duration,
    /// From the first moment a request may come to the end of its header section. Ends idle connections, too.
    pub(super) header_time_max: Duration,
    /// Age of a connection, whatever it does: bounds a client that never reads our answer.
    pub(super) age_max: Duration,
    /// What an answer in flight is given when the gateway stops or the age is reached.
    pub(super) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            connections_per_network_max: 16,
            header_bytes_max: 8 * 1024,
            handshake_time_max: Duration::from_secs(5),
            header_time_max: Duration::from_secs(5),
            age_max: Duration::from_secs(60),
            grace: Duration::from_secs(5),
        }
    }
}

/// Pause after a failed `accept` (mostly: out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; returns when every connection is closed, at most five seconds later.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    published: Arc<dyn Published>,
    stop: CancellationToken,
) {
    serve_within(listener, tls, published, stop, Limits::default()).await;
}

pub(super) async fn serve_within(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    published: Arc<dyn Published>,
    stop: CancellationToken,
    limits: Limits,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let guests = Guests::default();
    let connections = TaskTracker::new();
    // A full house accepts nobody: new connections stay in the kernel's backlog until one ends.
    while let Some(Ok(slot)) = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await {
        let Some((stream, from)) = stop.run_until_cancelled(next_connection(&listener)).await else { break };
        let Some(place) = guests.admit(from.ip(), limits.connections_per_network_max) else {
            tracing::debug!(%from, "a network holds too many connections for published records");
            continue;
        };
        let (tls, published, stop) =
            (TlsAcceptor::from(Arc::clone(&tls)), Arc::clone(&published), stop.clone());
        connections.spawn(async move {
            // A stop ends handshakes at once: nothing was asked yet.
            let shake = timeout(limits.handshake_time_max, tls.accept(stream));
            if let Some(Ok(Ok(stream))) = stop.run_until_cancelled(shake).await {
                converse(TokioIo::new(stream), &*published, stop, limits).await;
            }
            drop((slot, place));
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await; // each ends within the grace time
}

async fn next_connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::warn!(%error, "a connection for published records could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(
    stream: TokioIo<tokio_rustls::server::TlsStream<TcpStream>>,
    published: &dyn Published,
    stop: CancellationToken,
    limits: Limits,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    builder.header_read_timeout(limits.header_time_max);
    builder.max_buf_size(limits.header_bytes_max);
    let service = service_fn(|request| answer(published, request));
    let mut connection = pin!(builder.serve_connection(stream, service));
    tokio::select! {
        ended = connection.as_mut() => return note(ended),
        () = stop.cancelled() => {}
        () = sleep(limits.age_max) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(limits.grace, connection).await {
        note(ended);
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection for published records ended early");
    }
}
