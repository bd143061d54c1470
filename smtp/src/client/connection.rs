//! One connection to the server: the only file of the client that reads and writes.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};

use super::{
    HandOverError, Protocol, Stage, Target, Timeouts, TlsFailure,
    capabilities::Capabilities,
    content::Pieces,
    replies::{ReplyError, ReplyReader, ServerReply},
};
use crate::tls::TlsFacts;

/// Pieces of mail data in one vectored write; a message full of dots consists of many small ones.
const PIECES_PER_WRITE_MAX: usize = 64;

/// Octets read from the socket at once; replies are short.
const READ_BYTES: usize = 4_096;

/// TCP, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Stream for S {}

/// A dialogue with a server.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    replies: ReplyReader,
    timeouts: Timeouts,
    pub(super) protocol: Protocol,
    pub(super) capabilities: Capabilities,
    /// What protects it.
    pub(super) tls: Option<TlsFacts>,
    /// Why nothing does, where TLS was tried.
    pub(super) tls_failure: Option<TlsFailure>,
    /// The server has proven who it is.
    pub(super) verified: bool,
    /// Messages that were tried on it.
    pub(super) served: usize,
    /// The server has answered something in the present transaction, so the connection was not dead.
    pub(super) answered: bool,
    /// When the transaction that is under way must have come to its final dot.
    pub(super) until: Option<Instant>,
    /// A transaction was begun and not completed: RSET comes before the next MAIL.
    pub(super) needs_reset: bool,
    /// The dialogue has lost its step; nobody may use the connection again.
    pub(super) spent: bool,
}

impl Connection {
    /// Nothing has been said yet.
    pub(super) fn new(stream: Box<dyn Stream>, tls: Option<TlsFacts>, target: &Target) -> Self {
        let verified = tls.is_some() && target.tls.verifies_the_server();
        Self {
            stream,
            replies: ReplyReader::default(),
            timeouts: target.timeouts,
            protocol: target.protocol,
            capabilities: Capabilities::default(),
            tls,
            tls_failure: None,
            verified,
            served: 0,
            answered: false,
            until: None,
            needs_reset: false,
            spent: false,
        }
    }

    /// The stream alone, to begin anew on it under TLS. What was said and offered in clear is forgotten with the
    /// rest (RFC 3207 §4.2).
    ///
    /// # Errors
    /// Something came in clear behind the go-ahead: it was not said by who speaks after the handshake.
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, HandOverError> {
        self.expect_silence(Stage::StartTls)?;
        Ok(self.stream)
    }

    /// Sends one command and reads its reply.
    pub(super) async fn ask(&mut self, command: &str, stage: Stage) -> Result<ServerReply, HandOverError> {
        self.send(command, stage).await?;
        self.reply(stage).await
    }

    /// Writes one command, or a pipelined group of them.
    pub(super) async fn send(&mut self, commands: &str, stage: Stage) -> Result<(), HandOverError> {
        self.expect_silence(stage)?;
        let patience = self.at_most(self.timeouts.command);
        let write = async {
            self.stream.write_all(commands.as_bytes()).await?;
            self.stream.flush().await // TLS may have kept some of it back
        };
        within(patience, stage, write).await
    }

    /// Writes the mail data, dot-stuffed, straight from the segments of the message.
    pub(super) async fn send_content(&mut self, mut pieces: Pieces<'_>) -> Result<(), HandOverError> {
        self.expect_silence(Stage::Content)?;
        loop {
            let mut slices: Vec<IoSlice<'_>> =
                pieces.by_ref().take(PIECES_PER_WRITE_MAX).map(IoSlice::new).collect();
            if slices.is_empty() {
                let patience = self.at_most(self.timeouts.data_block);
                return within(patience, Stage::Content, self.stream.flush()).await;
            }
            let mut left = slices.as_mut_slice();
            while !left.is_empty() {
                let patience = self.at_most(self.timeouts.data_block);
                let write = self.stream.write_vectored(left);
                let written = within(patience, Stage::Content, write).await?;
                if written == 0 {
                    let source = io::ErrorKind::WriteZero.into();
                    return Err(HandOverError::Lost { stage: Stage::Content, source });
                }
                IoSlice::advance_slices(&mut left, written);
            }
        }
    }

    /// The next reply of the server.
    pub(super) async fn reply(&mut self, stage: Stage) -> Result<ServerReply, HandOverError> {
        let reply = within(self.patience(stage), stage, self.read_reply()).await?;
        let reply = reply.map_err(|source| HandOverError::Reply { stage, source })?;
        self.answered |= !reply.is_closing();
        Ok(reply)
    }

    async fn read_reply(&mut self) -> io::Result<Result<ServerReply, ReplyError>> {
        loop {
            if let Some(reply) = self.replies.next_reply().transpose() {
                return Ok(reply);
            }
            self.replies.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.replies.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn patience(&self, stage: Stage) -> Duration {
        let own = match stage {
            Stage::Greeting => self.timeouts.greeting,
            Stage::Hello | Stage::StartTls | Stage::Auth | Stage::Reset | Stage::Mail | Stage::Recipient => {
                self.timeouts.command
            }
            Stage::Data => self.timeouts.data_start,
            Stage::Content => self.timeouts.data_block,
            // Behind the final dot an impatient client makes duplicates (RFC 5321 §4.5.3.2.6).
            Stage::EndOfData => return self.timeouts.data_end,
        };
        self.at_most(own)
    }

    /// This wait, or what is left of the transaction's.
    fn at_most(&self, wait: Duration) -> Duration {
        self.until.map_or(wait, |until| wait.min(until.saturating_duration_since(Instant::now())))
    }

    /// A transaction begins: it has so long to come to its final dot.
    pub(super) fn begin(&mut self) {
        self.until = Instant::now().checked_add(self.timeouts.transaction);
    }

    /// A reply that came before its command would be taken for the answer to it.
    fn expect_silence(&self, stage: Stage) -> Result<(), HandOverError> {
        if self.replies.is_empty() {
            return Ok(());
        }
        Err(HandOverError::Reply { stage, source: ReplyError::Unasked })
    }

    /// Fit for another transaction as far as can be seen without asking: in step, open, and silent (an idle
    /// server speaks only to say 421, and under TLS to send tickets, which are no words).
    pub(super) fn is_reusable(&mut self) -> bool {
        let mut octet = [0];
        let mut octet = ReadBuf::new(&mut octet);
        let mut no_time = Context::from_waker(Waker::noop());
        !self.spent
            && self.replies.is_empty()
            && Pin::new(&mut self.stream).poll_read(&mut no_time, &mut octet).is_pending()
    }

    /// Says QUIT (RFC 5321 §4.1.1.10) as far as the socket takes it at once, and closes.
    pub(super) fn part(mut self) {
        if !self.spent {
            // Courtesy: whether it arrives makes no difference to any message.
            let mut no_time = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.stream).poll_write(&mut no_time, b"QUIT\r\n");
            let _ = Pin::new(&mut self.stream).poll_shutdown(&mut no_time);
        }
    }
}

/// Waits for `work`, at most `patience`, and says at which stage it failed.
pub(super) async fn within<T>(
    patience: Duration,
    stage: Stage,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, HandOverError> {
    match timeout(patience, work).await {
        Ok(done) => done.map_err(|source| match TlsFailure::within(&source) {
            Some(failure) => HandOverError::Tls(failure),
            None => HandOverError::Lost { stage, source },
        }),
        Err(_) => Err(HandOverError::Timeout { stage }),
    }
}
