//! HTTP connections, whoever they are for: bounded in number, in the time of each header, in age, and in the time that a
//! stop may take.
//!
//! `axum::serve` installs no timer, so a client that sends one header octet a minute would hold its connection for ever;
//! hence this loop over hyper.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed `accept` (mostly: out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Octets of a request's header section; also what hyper buffers per connection (at least 8 KiB).
    pub(crate) header_bytes_max: usize,
    /// From the first moment a request may come to the end of its header section. Ends idle connections, too.
    pub(crate) header_time_max: Duration,
    /// Age of a connection, whatever it does: bounds a client that never reads our answer.
    pub(crate) age_max: Duration,
    /// What an answer in flight is given when the gateway stops or the age is reached.
    pub(crate) grace: Duration,
}

/// Lets `begin` turn each connection into a conversation, or turn it away, until `stop`; at most `connections_max` at a time.
/// Returns when every conversation has ended.
pub(crate) async fn serve_each<C>(
    listener: TcpListener,
    connections_max: usize,
    stop: &CancellationToken,
    mut begin: impl FnMut(TcpStream, SocketAddr) -> Option<C>,
) where
    C: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(connections_max));
    let connections = TaskTracker::new();
    // A full house accepts nobody: new connections stay in the kernel's backlog until one ends.
    while let Some(Ok(slot)) = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await {
        let Some((stream, from)) = stop.run_until_cancelled(next(&listener)).await else { break };
        let Some(conversation) = begin(stream, from) else { continue };
        connections.spawn(async move {
            conversation.await;
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await; // each ends within its grace time
}

async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection by `service`.
pub(crate) async fn converse<I, S, B>(io: I, service: S, stop: CancellationToken, pace: Pace)
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    builder.header_read_timeout(pace.header_time_max);
    builder.max_buf_size(pace.header_bytes_max);
    let mut connection = pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = connection.as_mut() => return note(ended),
        () = stop.cancelled() => {}
        () = sleep(pace.age_max) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(pace.grace, connection).await {
        note(ended);
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
