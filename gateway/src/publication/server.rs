//! The accept loop: bounded in connections (in all and per network), in time per handshake, per header and per
//! connection, and in the time a stop may take.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Published;
use super::answers::answer;
use super::guests::Guests;
use crate::http::connection::{Pace, converse, serve_each};

/// Bounds of the server, in one value so that tests can make time short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once: partners look once an hour and strangers seldom; each holds some tens of kilobytes.
    pub(super) connections_max: usize,
    /// Connections of one network at once: a gateway opens two, an office behind one address a few more.
    pub(super) connections_per_network_max: usize,
    /// The whole TLS handshake.
    pub(super) handshake_time_max: Duration,
    /// What each of them may take then.
    pub(super) pace: Pace,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            connections_per_network_max: 16,
            handshake_time_max: Duration::from_secs(5),
            pace: Pace {
                header_bytes_max: 8 * 1024,
                header_time_max: Duration::from_secs(5),
                age_max: Duration::from_secs(60),
                grace: Duration::from_secs(5),
            },
        }
    }
}

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
    let guests = Guests::default();
    let tls = TlsAcceptor::from(tls);
    serve_each(listener, limits.connections_max, &stop, |stream, from| {
        let Some(place) = guests.admit(from.ip(), limits.connections_per_network_max) else {
            tracing::debug!(%from, "a network holds too many connections for published records");
            return None;
        };
        let (tls, published, stop) = (tls.clone(), Arc::clone(&published), stop.clone());
        Some(async move {
            // A stop ends handshakes at once: nothing was asked yet.
            let shake = timeout(limits.handshake_time_max, tls.accept(stream));
            if let Some(Ok(Ok(stream))) = stop.run_until_cancelled(shake).await {
                let service = service_fn(|request| answer(&*published, request));
                converse(TokioIo::new(stream), service, stop, limits.pace).await;
            }
            drop(place);
        })
    })
    .await;
}
