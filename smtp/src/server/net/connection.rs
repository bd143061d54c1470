//! One connection: carries octets between a socket and its session, and questions to the house.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;

use super::Floor;
use super::entrance::{certificate, shake_hands};
use super::patience::Patience;
use crate::reply::Reply;
use crate::server::session::{Awaits, Body, Session, Step, replies};
use crate::server::{AuthRefusal, Closed, Event, Offence, Reception, TlsFacts};

/// Room for one read while commands come: a pipelined batch fits, and an idle session costs little.
const COMMAND_READ_OCTETS: usize = 8 * 1024;
/// Room for one read while a message comes: what a socket typically has ready on a fast network.
const CONTENT_READ_OCTETS: usize = 64 * 1024;
/// How long, and for how many octets, a closing server listens on. Closing with unread input makes TCP reset
/// the connection, and the client would lose the reply that tells it why.
const LINGER_MS_MAX: u64 = 2_000;
const LINGER_OCTETS_MAX: usize = 1024 * 1024;

/// A session with its house, before and after the start of TLS.
pub(super) struct Connection<R: Reception> {
    floor: Arc<Floor<R>>,
    session: Session,
    transaction: Option<R::Transaction>,
    input: BytesMut,
    patience: Patience,
    /// How long the next reply waits, for what the client did.
    penance: Duration,
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
    /// Of the client at `address`, whom `proxy` brought.
    pub(super) fn new(floor: Arc<Floor<R>>, address: SocketAddr, proxy: Option<IpAddr>) -> Self {
        let session = Session::new(Arc::clone(&floor.config), floor.premises.budget.clone(), address, proxy);
        let patience = Patience::new(&floor.config.limits, Instant::now());
        let (input, penance) = (BytesMut::new(), Duration::ZERO);
        Self { floor, session, transaction: None, input, patience, penance }
    }

    /// Lives until the connection is over.
    pub(super) async fn run(mut self, stream: TcpStream) {
        self.event(Event::SessionOpened { trusted: self.session.client().trusted });
        let mut ending = Ending { reception: Arc::clone(&self.floor.reception), closed: Closed::Lost };
        if let Ok(closed) = self.live(stream).await {
            ending.closed = closed;
        }
    }

    async fn live(&mut self, mut stream: TcpStream) -> io::Result<Closed> {
        stream.set_nodelay(true)?; // replies are written whole; waiting to fill a packet only costs time
        let in_clear = !self.floor.config.implicit_tls;
        if in_clear && matches!(self.converse(&mut stream).await?, Pause::Over) {
            farewell(&mut stream).await;
        } else {
            let Some(mut stream) = self.secure(stream).await else { return Ok(Closed::TlsFailed) };
            self.converse(&mut stream).await?;
            farewell(&mut stream).await;
        }
        Ok(self.session.closed().unwrap_or(Closed::Lost))
    }

    /// The handshake; boxed, because what a session needs once should not lie in its task for hours.
    async fn secure(&mut self, stream: TcpStream) -> Option<Box<TlsStream<TcpStream>>> {
        let floor = &self.floor;
        match Box::pin(shake_hands(stream, floor.config.tls.clone(), &floor.stop)).await {
            Ok(stream) => {
                self.session.secured(TlsFacts::of(stream.get_ref().1), certificate(&stream));
                self.patience.restart(Instant::now());
                Some(Box::new(stream))
            }
            Err(error) => {
                self.event(Event::TlsFailed(error.to_string()));
                None
            }
        }
    }

    /// Runs the session on one stream until it ends or wants TLS.
    async fn converse<S>(&mut self, stream: &mut S) -> io::Result<Pause>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if self.floor.stop.is_cancelled() {
                self.session.stop(); // also to a client whose commands never pause
            }
            let progress = self.session.step(&self.input);
            self.input.advance(progress.consumed);
            if !self.session.in_transaction() {
                self.transaction = None;
            }
            if self.pass_events_on() {
                continue; // banned: the session has said so, and only wants to close
            }
            match progress.step {
                Step::Read => {
                    self.write(stream).await?; // once for all replies of a pipelined batch
                    self.read(stream).await?;
                }
                Step::Mail(mail) => {
                    self.transaction = None; // one before may have ended in the same batch
                    let answer = Box::pin(self.floor.reception.mail(self.session.client(), mail)).await;
                    let answer = answer.map(|transaction| self.transaction = Some(transaction));
                    self.answer(answer);
                }
                Step::Recipient(to) => {
                    let answer = match &mut self.transaction {
                        Some(transaction) => Box::pin(self.floor.reception.recipient(transaction, to)).await,
                        None => Err(replies::house_confused()),
                    };
                    self.answer(answer);
                }
                Step::Message(body) => self.hand_over(body).await,
                Step::Authenticate(credentials) => {
                    let client = self.session.client();
                    let answer = Box::pin(self.floor.reception.authenticate(client, credentials)).await;
                    self.session.authenticated(answer);
                    self.patience.restart(Instant::now());
                }
                Step::Scram(user) => self.challenge(&user).await,
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

    /// Tells the house what happened; `true` if it got the client banned.
    fn pass_events_on(&mut self) -> bool {
        let events: Vec<_> = self.session.take_events().collect();
        events.into_iter().fold(false, |banned, event| banned | self.event(event))
    }

    fn event(&mut self, event: Event) -> bool {
        let offence = match &event {
            Event::CommandRefused { .. } | Event::BareLineEnd { .. } | Event::TlsFailed(_) => {
                Some(Offence::Error)
            }
            Event::AuthenticationFailed { mechanism } => {
                // For those who watch the log and lock out who guesses, by whatever mechanism. Without the name: people type
                // passwords where it belongs.
                let address = self.session.client().address.ip();
                tracing::warn!(%address, %mechanism, "AUTH failed");
                Some(Offence::WrongPassword)
            }
            _ => None,
        };
        self.floor.reception.event(event);
        offence.is_some_and(|offence| self.offend(offence))
    }

    /// Has the client's source answer for an offence; `true` if it is banned now. A client of ours is never banned,
    /// but a wrong password costs it time, too.
    fn offend(&mut self, offence: Offence) -> bool {
        let client = self.session.client();
        if client.trusted && offence != Offence::WrongPassword {
            return false;
        }
        let (trusted, address) = (client.trusted, client.address.ip());
        let Floor { premises, config, .. } = &*self.floor;
        let sentence = premises.sources.offend(address, offence, &config.limits, Instant::now());
        self.penance = self.penance.max(sentence.delay);
        if !sentence.banned || trusted {
            return false;
        }
        self.floor.reception.event(Event::SourceBanned(offence));
        if self.session.closed().is_some() {
            return false; // it has had enough of its own accord, and has said so
        }
        self.session.give_up(Closed::Banned);
        true
    }

    fn answer(&mut self, answer: Result<(), Reply>) {
        let refused = answer.as_ref().is_err_and(Reply::is_permanent);
        self.session.answer(answer);
        self.patience.restart(Instant::now());
        if refused {
            self.offend(Offence::Refusal);
        }
    }

    /// Lets the house look for the keys of `user`; each challenge is unlike every other (RFC 5802 §5.1, `nonce`).
    async fn challenge(&mut self, user: &str) {
        let mut random = [0; 18];
        let answer = match aws_lc_rs::rand::fill(&mut random) {
            Ok(()) => Box::pin(self.floor.reception.scram(self.session.client(), user)).await,
            Err(_) => Err(AuthRefusal::Unavailable),
        };
        self.session.scram(answer, &random);
        self.patience.restart(Instant::now());
    }

    async fn hand_over(&mut self, body: Body) {
        let reply = match self.transaction.take() {
            Some(transaction) => Box::pin(self.floor.reception.message(transaction, body.octets)).await,
            None => replies::house_confused(),
        };
        drop(body.grant); // the house has answered: the next message may have the memory
        let refused = reply.is_permanent();
        self.session.settle(reply);
        self.patience.restart(Instant::now());
        if refused {
            self.offend(Offence::Refusal);
        }
    }

    /// Reads once, or notices that it is time to end; the session then says so at its next step.
    async fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let awaits = self.session.awaits();
        let in_content = matches!(awaits, Awaits::Content { .. });
        self.make_room(in_content);
        let deadline = self.patience.deadline(awaits, Instant::now());
        let leave = if in_content { &self.floor.cut } else { &self.floor.stop };
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
        if !self.penance.is_zero() {
            let penance = tokio::time::sleep(std::mem::take(&mut self.penance));
            self.floor.stop.run_until_cancelled(penance).await;
            self.patience.restart(Instant::now());
        }
        let write = async {
            stream.write_all(&output).await?;
            stream.flush().await
        };
        timeout(Duration::from_secs(self.floor.config.limits.idle_s_max), write).await?
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
