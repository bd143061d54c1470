//! Sessions on sockets: who gets in, one task per connection, and an orderly end.

mod admission;
mod connection;
mod patience;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admission::{Admission, Place};
use self::connection::Connection;
use super::session::replies;
use super::{Budget, Config, Event, Reception, Refused};

/// A pause after a failed `accept`, typically for want of file descriptors: without it the loop would spin.
const ACCEPT_PAUSE_MS: u64 = 50;

/// Serves SMTP on `listener` until `stop`, then lets the sessions come to their end.
///
/// On `stop` no one new is let in, waiting clients are told 421, a message that is being sent may still
/// arrive within `drain_s_max`, and a question the house is working on is always answered. Returns when the
/// last session is over.
pub async fn serve<R: Reception>(
    listener: TcpListener,
    config: Arc<Config>,
    reception: Arc<R>,
    stop: CancellationToken,
) {
    let floor = Floor {
        admission: Admission::new(config.limits.sessions_max, config.limits.per_source_max),
        budget: Budget::new(config.limits.memory_bytes_max),
        config,
        reception,
        stop: stop.clone(),
        cut: CancellationToken::new(),
    };
    let sessions = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => floor.welcome(stream, address, &sessions),
            Err(error) => {
                tracing::warn!(%error, "cannot accept SMTP connections");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
    drop(listener);
    sessions.close();
    let drain = Duration::from_secs(floor.config.limits.drain_s_max);
    if tokio::time::timeout(drain, sessions.wait()).await.is_err() {
        floor.cut.cancel();
        sessions.wait().await;
    }
}

/// What all sessions of one listener share.
struct Floor<R> {
    config: Arc<Config>,
    reception: Arc<R>,
    admission: Admission,
    budget: Budget,
    /// No new commands.
    stop: CancellationToken,
    /// No more octets either.
    cut: CancellationToken,
}

impl<R: Reception> Floor<R> {
    fn welcome(&self, stream: TcpStream, address: SocketAddr, sessions: &TaskTracker) {
        match self.admission.admit(address.ip()) {
            Ok(place) => {
                let connection = self.connection(address);
                sessions.spawn(connection_task(connection, stream, place));
            }
            Err(refused) => {
                self.reception.event(Event::SessionRefused(refused));
                self.turn_away(stream, refused);
            }
        }
    }

    fn connection(&self, address: SocketAddr) -> Connection<R> {
        Connection::new(
            Arc::clone(&self.config),
            Arc::clone(&self.reception),
            self.budget.clone(),
            address,
            self.stop.clone(),
            self.cut.clone(),
        )
    }

    /// One attempt to say why, without waiting: a crowd at the door must not cost a task each.
    fn turn_away(&self, stream: TcpStream, refused: Refused) {
        let reply = match refused {
            Refused::Full => replies::too_many_sessions(&self.config.hostname),
            Refused::SourceFull => replies::too_many_sessions_from_you(&self.config.hostname),
        };
        let mut line = Vec::new();
        reply.write_to(&mut line);
        if let Ok(mut stream) = stream.into_std() {
            let _ = stream.write(&line);
        }
    }
}

async fn connection_task<R: Reception>(connection: Connection<R>, stream: TcpStream, place: Place) {
    connection.run(stream).await;
    drop(place);
}
