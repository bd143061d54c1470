//! The accept loop: bounded in connections, in time per header, in age, and in the time a stop may take.
//!
//! `axum::serve` installs no timer, so a client that sends one header octet a minute would hold its
//! connection for ever; hence this loop over hyper.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{HttpState, router};

/// Bounds of the server, in one value so that tests can make time short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once: a console, a collector and a few scripts need ten.
    pub(super) connections_max: usize,
    /// Octets of a request's header section; also what hyper buffers per connection (at least 8 KiB).
    pub(super) header_bytes_max: usize,
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
            connections_max: 64,
            header_bytes_max: 32 * 1024,
            header_time_max: Duration::from_secs(10),
            age_max: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// For a room whose answers may take as long as `patience`, for many who wait at once.
    pub(super) fn patient(patience: Duration) -> Self {
        let grace = patience + Self::default().grace;
        Self { connections_max: PATIENT_CONNECTIONS_MAX, grace, ..Self::default() }
    }
}

/// Connections of clients that wait: each costs a task and a few kilobytes.
const PATIENT_CONNECTIONS_MAX: usize = 1_024;

/// Pause after a failed `accept` (mostly: out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; returns when every connection is closed, at most five seconds later.
pub async fn serve(listener: TcpListener, state: HttpState, stop: CancellationToken) {
    serve_within(listener, router(state), stop, Limits::default()).await;
}

pub(super) async fn serve_within(
    listener: TcpListener,
    app: Router,
    stop: CancellationToken,
    limits: Limits,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let connections = TaskTracker::new();
    // A full house accepts nobody: new connections stay in the kernel's backlog until one ends.
    while let Some(Ok(slot)) = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await {
        let Some(stream) = stop.run_until_cancelled(next_connection(&listener)).await else { break };
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            converse(stream, app, stop, limits).await;
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await; // each ends within the grace time
}

async fn next_connection(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, app: Router, stop: CancellationToken, limits: Limits) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    builder.header_read_timeout(limits.header_time_max);
    builder.max_buf_size(limits.header_bytes_max);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection);
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
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
