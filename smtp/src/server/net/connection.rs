//! One connection: carries octets between a socket and its session, and questions to the house.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::patience::Patience;
use crate::server::session::{Awaits, Body, Session, Step, replies};
use crate::server::{Budget, Closed, Config, Event, Reception, TlsFacts};

/// Room for one read while commands come: a pipelined batch fits, and an idle session costs little.
const COMMAND_READ_OCTETS: usize = 8 * 1024;
/// Room for one read while a message comes: what a socket typically has ready on a fast network.
const CONTENT_READ_OCTETS: usize = 64 * 1024;
/// Seconds for a TLS handshake; an honest one takes a few round trips.
const HANDSHAKE_S_MAX: u64 = 30;
/// How long, and for how many octets, a closing server listens on. Closing with unread input makes TCP reset
/// the connection, and the client would lose the reply that tells it why.
const LINGER_MS_MAX: u64 = 2_000;
const LINGER_OCTETS_MAX: usize = 1024 * 1024;

/// A session with its house, before and after STARTTLS.
pub(super) struct Connection<R: Reception> {
    config: Arc<Config>,
    reception: Arc<R>,
    session: Session,
    transaction: Option<R::Transaction>,
    input: BytesMut,
    patience: Patience,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// Reports the end of a session on drop, so that it is counted even if the house panics.
struct Ending<R: Reception> {
    reception: Arc<R>,
    closed: Closed,
}

impl<R: Reception> Drop for Ending<R> {
    fn drop(&mut self) {
        self.reception.event(Event::SessionClosed(self.closed));
    }
}

/// Why [`Connection::converse`] came back.
enum Pause {
    StartTls,
    Over,
}

impl<R: Reception> Connection<R> {
    pub(super) fn new(
        config: Arc<Config>,
        reception: Arc<R>,
        budget: Budget,
        address: SocketAddr,
        stop: CancellationToken,
        cut: CancellationToken,
    ) -> Self {
        let session = Session::new(Arc::clone(&config), budget, address, None);
        let patience = Patience::new(&config.limits, Instant::now());
        let input = BytesMut::new();
        Self { config, reception, session, transaction: None, input, patience, stop, cut }
    }

    /// Lives until the connection is over.
    pub(super) async fn run(mut self, stream: TcpStream) {
        self.reception.event(Event::SessionOpened { trusted: self.session.client().trusted });
        let mut ending = Ending { reception: Arc::clone(&self.reception), closed: Closed::Lost };
        if let Ok(closed) = self.live(stream).await {
            ending.closed = closed;
        }
    }

    async fn live(&mut self, mut stream: TcpStream) -> io::Result<Closed> {
        stream.set_nodelay(true)?; // replies are written whole; waiting to fill a packet only costs time
        if let Pause::StartTls = self.converse(&mut stream).await? {
            let mut stream = match shake_hands(stream, self.config.tls.clone(), &self.stop).await {
                Ok(stream) => stream,
                Err(error) => {
                    self.reception.event(Event::TlsFailed(error.to_string()));
                    return Ok(Closed::TlsFailed);
                }
            };
            self.session.secured(TlsFacts::of(stream.get_ref().1), None);
            self.patience.restart(Instant::now());
            self.converse(&mut stream).await?;
            farewell(&mut stream).await;
        } else {
            farewell(&mut stream).await;
        }
        Ok(self.session.closed().unwrap_or(Closed::Lost))
    }

    /// Runs the session on one stream until it ends or wants TLS.
    async fn converse<S>(&mut self, stream: &mut S) -> io::Result<Pause>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if self.stop.is_cancelled() {
                self.session.stop(); // also to a client whose commands never pause
            }
            let progress = self.session.step(&self.input);
            self.input.advance(progress.consumed);
            for event in self.session.take_events() {
                self.reception.event(event);
            }
            if !self.session.in_transaction() {
                self.transaction = None;
            }
            match progress.step {
                Step::Read => {
                    self.write(stream).await?; // once for all replies of a pipelined batch
                    self.read(stream).await?;
                }
                Step::Mail(mail) => {
                    self.transaction = None; // one before may have ended in the same batch
                    let answer = self.reception.mail(self.session.client(), mail).await;
                    self.session.answer(answer.map(|transaction| self.transaction = Some(transaction)));
                    self.patience.restart(Instant::now());
                }
                Step::Recipient(to) => {
                    let answer = match &mut self.transaction {
                        Some(transaction) => self.reception.recipient(transaction, to).await,
                        None => Err(replies::house_confused()),
                    };
                    self.session.answer(answer);
                    self.patience.restart(Instant::now());
                }
                Step::Message(body) => self.hand_over(body).await,
                Step::StartTls => {
                    self.write(stream).await?;
                    self.input.clear();
                    return Ok(Pause::StartTls);
                }
                Step::Close => {
                    self.write(stream).await?;
                    return Ok(Pause::Over);
                }
            }
        }
    }

    async fn hand_over(&mut self, body: Body) {
        let reply = match self.transaction.take() {
            Some(transaction) => self.reception.message(transaction, body.octets).await,
            None => replies::house_confused(),
        };
        self.session.settle(reply);
        drop(body.grant); // the house has answered: the next message may have the memory
        self.patience.restart(Instant::now());
    }

    /// Reads once, or notices that it is time to end; the session then says so at its next step.
    async fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let awaits = self.session.awaits();
        let in_content = matches!(awaits, Awaits::Content { .. });
        self.make_room(in_content);
        let deadline = self.patience.deadline(awaits, Instant::now());
        let leave = if in_content { &self.cut } else { &self.stop };
        tokio::select! {
            biased; // octets that are here already go first, and cost no timer
            read = stream.read_buf(&mut self.input) => match read? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            },
            () = tokio::time::sleep_until(deadline.at) => {
                self.session.give_up(deadline.reason);
                Ok(())
            }
            () = leave.cancelled() => {
                self.session.give_up(Closed::Stopped);
                Ok(())
            }
        }
    }

    fn make_room(&mut self, in_content: bool) {
        let octets = if in_content { CONTENT_READ_OCTETS } else { COMMAND_READ_OCTETS };
        if self.input.is_empty() && !in_content && self.input.capacity() > COMMAND_READ_OCTETS {
            self.input = BytesMut::new(); // an idle session gives the large buffer back
        }
        self.input.reserve(octets);
    }

    /// Writes what the session has to say. A client that does not read its replies is gone.
    async fn write<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let write = async {
            stream.write_all(&output).await?;
            stream.flush().await
        };
        timeout(Duration::from_secs(self.config.limits.idle_s_max), write).await?
    }
}

async fn shake_hands(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: &CancellationToken,
) -> io::Result<TlsStream<TcpStream>> {
    let tls = tls.ok_or(io::ErrorKind::Unsupported)?;
    let handshake = TlsAcceptor::from(tls).accept(stream);
    tokio::select! {
        done = timeout(Duration::from_secs(HANDSHAKE_S_MAX), handshake) => done?,
        () = stop.cancelled() => Err(io::Error::other("shutting down")),
    }
}

/// Closes our direction, then waits briefly for the client to close its own.
async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let listen_on = async {
        stream.shutdown().await?;
        let mut rest = BytesMut::with_capacity(COMMAND_READ_OCTETS);
        let mut heard = 0;
        while heard < LINGER_OCTETS_MAX {
            match stream.read_buf(&mut rest).await? {
                0 => break,
                octets => heard += octets,
            }
            rest.clear();
        }
        io::Result::Ok(())
    };
    let deadline = Instant::now() + Duration::from_millis(LINGER_MS_MAX);
    let _ = timeout_at(deadline, listen_on).await;
}

#[cfg(test)]
mod tests;
