//! Sessions on sockets: who gets in, one task per connection, and an orderly end.

mod admission;
mod connection;
mod entrance;
mod patience;
mod proxy;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admission::{Admission, Place};
use self::connection::Connection;
use self::entrance::NoHeader;
use self::proxy::Origin;
use super::session::replies;
use super::{Config, Event, Premises, Reception, Refused};

/// A pause after a failed `accept`, typically for want of file descriptors: without it the loop would spin.
const ACCEPT_PAUSE_MS: u64 = 50;

/// Serves SMTP on `listener` until `stop`, then lets the sessions come to their end.
///
/// `premises` is what this listener shares with the others of the process.
///
/// On `stop` no one new is let in, waiting clients are told 421, a message that is being sent may still
/// arrive within `drain_s_max`, and a question the house is working on is always answered. Returns when the
/// last session is over.
pub async fn serve<R: Reception>(
    listener: TcpListener,
    config: Arc<Config>,
    premises: Premises,
    reception: Arc<R>,
    stop: CancellationToken,
) {
    let floor = Arc::new(Floor {
        admission: Admission::new(config.limits.sessions_max, config.limits.per_source_max),
        config,
        premises,
        reception,
        stop: stop.clone(),
        cut: CancellationToken::new(),
    });
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
    premises: Premises,
    reception: Arc<R>,
    admission: Admission,
    /// No new commands.
    stop: CancellationToken,
    /// No more octets either.
    cut: CancellationToken,
}

impl<R: Reception> Floor<R> {
    /// Lets a connection in, or turns it away before it costs a task. Only balancers, who are ours, are let in before
    /// it is known whom they bring.
    fn welcome(self: &Arc<Self>, stream: TcpStream, address: SocketAddr, sessions: &TaskTracker) {
        let brought = self.config.proxy_networks.iter().any(|network| network.contains(address.ip()));
        let place = self.enter().and_then(|mut place| {
            if !brought {
                self.admit(&mut place, address.ip(), None)?;
            }
            Ok(place)
        });
        match place {
            Err(refused) => self.turn_away(stream, refused),
            Ok(place) if brought => _ = sessions.spawn(Arc::clone(self).bring(stream, address, place)),
            Ok(place) => {
                let connection = Connection::new(Arc::clone(self), address, None);
                sessions.spawn(connection_task(connection, stream, place));
            }
        }
    }

    /// Lets in whom a balancer brings.
    async fn bring(self: Arc<Self>, mut stream: TcpStream, balancer: SocketAddr, mut place: Place) {
        let proxy = balancer.ip().to_canonical();
        let Some(origin) = self.stop.run_until_cancelled(entrance::origin(&mut stream)).await else { return };
        let client = match origin {
            Ok(Origin::Client(client)) => client,
            Ok(Origin::Proxy) => balancer,
            Err(error) => {
                match error {
                    NoHeader::Silent => tracing::debug!(%proxy, "a balancer only knocked at the SMTP port"),
                    error => tracing::warn!(%proxy, %error, "refused a connection from a proxy network"),
                }
                return self.reception.event(Event::SessionRefused(Refused::NoHeader));
            }
        };
        match self.admit(&mut place, client.ip(), Some(proxy)) {
            Ok(()) => {
                let connection = Connection::new(Arc::clone(&self), client, Some(proxy));
                connection_task(connection, stream, place).await;
            }
            Err(refused) => self.turn_away(stream, refused),
        }
    }

    fn enter(&self) -> Result<Place, Refused> {
        if self.premises.budget.is_short() {
            return Err(Refused::MemoryShort);
        }
        self.admission.enter()
    }

    /// Gives the place to the client, unless its source has had its share.
    fn admit(&self, place: &mut Place, client: IpAddr, proxy: Option<IpAddr>) -> Result<(), Refused> {
        if !self.config.trusts(client, proxy) {
            self.premises.sources.knock(client, &self.config.limits, Instant::now())?;
        }
        place.give_to(client)
    }

    /// One attempt to say why, without waiting: a crowd at the door must not cost a task each. Where TLS comes first
    /// there is nobody to read it.
    fn turn_away(&self, stream: TcpStream, refused: Refused) {
        self.reception.event(Event::SessionRefused(refused));
        let hostname = &self.config.hostname;
        let reply = match refused {
            _ if self.config.implicit_tls => return,
            Refused::Full => replies::too_many_sessions(hostname),
            Refused::SourceFull => replies::too_many_sessions_from_you(hostname),
            Refused::TooOften => replies::too_often(hostname),
            Refused::Banned => replies::banned(hostname),
            Refused::MemoryShort => replies::memory_short(hostname),
            Refused::NoHeader => return,
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
