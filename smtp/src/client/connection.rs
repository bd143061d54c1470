//! One TCP connection to the server: the only file of the client that reads and writes.

use std::{
    future::Future,
    io::{self, IoSlice},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    HandOverError, Protocol, Stage, Target, Timeouts,
    capabilities::Capabilities,
    content::Pieces,
    replies::{ReplyError, ReplyReader, ServerReply},
};

/// Pieces of mail data in one vectored write; a message full of dots consists of many small ones.
const PIECES_PER_WRITE_MAX: usize = 64;

/// Octets read from the socket at once; replies are short.
const READ_BYTES: usize = 4_096;

/// A session after its greeting.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    replies: ReplyReader,
    timeouts: Timeouts,
    pub(super) protocol: Protocol,
    pub(super) capabilities: Capabilities,
    /// The server has answered something in the present transaction, so the connection was not dead.
    pub(super) answered: bool,
    /// A transaction was begun and not completed: RSET comes before the next MAIL.
    pub(super) needs_reset: bool,
    /// The dialogue has lost its step; nobody may use the connection again.
    pub(super) spent: bool,
}

impl Connection {
    /// Connects, reads the greeting, and introduces us.
    pub(super) async fn open(target: &Target) -> Result<Self, HandOverError> {
        let connecting = timeout(target.timeouts.connect, TcpStream::connect(&target.address));
        let stream = connecting
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into()))
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| HandOverError::Connect { address: target.address.clone(), source })?;
        let mut connection = Self {
            stream,
            replies: ReplyReader::default(),
            timeouts: target.timeouts,
            protocol: target.protocol,
            capabilities: Capabilities::default(),
            answered: false,
            needs_reset: false,
            spent: false,
        };
        let greeting = connection.reply(Stage::Greeting).await?;
        if greeting.code != 220 {
            return Err(HandOverError::Refused { stage: Stage::Greeting, reply: greeting.into() });
        }
        connection.introduce(&target.hello).await?;
        Ok(connection)
    }

    async fn introduce(&mut self, hello: &str) -> Result<(), HandOverError> {
        let verb = match self.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let mut reply = self.ask(&format!("{verb} {hello}\r\n"), Stage::Hello).await?;
        // RFC 5321 §3.2: a server of before 1995 gets the HELO it understands.
        if self.protocol == Protocol::Smtp && matches!(reply.code, 500 | 502) {
            reply = self.ask(&format!("HELO {hello}\r\n"), Stage::Hello).await?;
            reply.lines.truncate(1);
        }
        if !reply.is_positive() {
            return Err(HandOverError::Refused { stage: Stage::Hello, reply: reply.into() });
        }
        self.capabilities = Capabilities::of(&reply);
        Ok(())
    }

    async fn ask(&mut self, command: &str, stage: Stage) -> Result<ServerReply, HandOverError> {
        self.send(command, stage).await?;
        self.reply(stage).await
    }

    /// Writes one command, or a pipelined group of them.
    pub(super) async fn send(&mut self, commands: &str, stage: Stage) -> Result<(), HandOverError> {
        self.expect_silence(stage)?;
        within(self.timeouts.command, stage, self.stream.write_all(commands.as_bytes())).await
    }

    /// Writes the mail data, dot-stuffed, straight from the segments of the message.
    pub(super) async fn send_content(&mut self, mut pieces: Pieces<'_>) -> Result<(), HandOverError> {
        self.expect_silence(Stage::Content)?;
        loop {
            let mut slices: Vec<IoSlice<'_>> =
                pieces.by_ref().take(PIECES_PER_WRITE_MAX).map(IoSlice::new).collect();
            if slices.is_empty() {
                return Ok(());
            }
            let mut left = slices.as_mut_slice();
            while !left.is_empty() {
                let write = self.stream.write_vectored(left);
                let written = within(self.timeouts.data_block, Stage::Content, write).await?;
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
        match stage {
            Stage::Greeting => self.timeouts.greeting,
            Stage::Hello | Stage::Reset | Stage::Mail | Stage::Recipient => self.timeouts.command,
            Stage::Data => self.timeouts.data_start,
            Stage::Content => self.timeouts.data_block,
            Stage::EndOfData => self.timeouts.data_end,
        }
    }

    /// A reply that came before its command would be taken for the answer to it.
    fn expect_silence(&self, stage: Stage) -> Result<(), HandOverError> {
        if self.replies.is_empty() {
            return Ok(());
        }
        Err(HandOverError::Reply { stage, source: ReplyError::Unasked })
    }

    /// Fit for another transaction as far as can be seen without asking: in step, open, and silent (an idle
    /// server speaks only to say 421).
    pub(super) fn is_reusable(&self) -> bool {
        let silent = || {
            let mut octet = [0];
            matches!(self.stream.try_read(&mut octet), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        };
        !self.spent && self.replies.is_empty() && silent()
    }

    /// Says QUIT (RFC 5321 §4.1.1.10) as far as the socket takes it at once, and closes.
    pub(super) fn part(self) {
        if !self.spent {
            // Courtesy: whether it arrives makes no difference to any message.
            let _ = self.stream.try_write(b"QUIT\r\n");
        }
    }
}

/// Waits for `work`, at most `patience`, and says at which stage it failed.
async fn within<T>(
    patience: Duration,
    stage: Stage,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, HandOverError> {
    match timeout(patience, work).await {
        Ok(done) => done.map_err(|source| HandOverError::Lost { stage, source }),
        Err(_) => Err(HandOverError::Timeout { stage }),
    }
}
