//! Frames on a byte stream: `dccp::frame` does the encoding, this does the reading and writing.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dccp::frame::{self, Frame};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::time::timeout;

use crate::end::{End, Fault};

/// One TLS record or yamux frame; larger reads go past the buffer.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Gathers small frames, so that a burst of them is few TLS records; larger writes go past it.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Memory is taken as the octets of a frame arrive, never on the word of its length prefix.
const GROWTH_BYTES: usize = 256 * 1024;

/// How long we try to say goodbye, and wait that it is heard.
const FAREWELL: Duration = Duration::from_secs(2);

/// Any frame but a message, with the few octets that say which.
pub(crate) const CONTROL_BYTES_MAX: usize = dccp::limits::CONTROL_FRAME_BYTES_MAX + 16;

/// Octets of the length prefix of a frame.
const PREFIX_BYTES: usize = frame::LENGTH_BYTES;

/// Reads frames. Only [`FrameReader::length`] may be dropped half way.
pub(crate) struct FrameReader<R> {
    io: BufReader<R>,
    prefix: [u8; PREFIX_BYTES],
    have: usize,
    stall: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// `stall`: how long the peer may pause in the middle of a frame.
    pub(crate) fn new(io: R, stall: Duration) -> Self {
        FrameReader {
            io: BufReader::with_capacity(READ_BUFFER_BYTES, io),
            prefix: [0; PREFIX_BYTES],
            have: 0,
            stall,
        }
    }

    /// Waits for the next frame and returns its length, at most `max`; `None` when the peer closed
    /// its side between two frames. Cancel safe.
    pub(crate) async fn length(&mut self, max: usize) -> Result<Option<usize>, End> {
        while let Some(missing) = self.prefix.get_mut(self.have..).filter(|missing| !missing.is_empty()) {
            match self.io.read(missing).await.map_err(End::Lost)? {
                0 if self.have == 0 => return Ok(None),
                0 => return Err(End::Lost(io::ErrorKind::UnexpectedEof.into())),
                n => self.have += n,
            }
        }
        let length = u32::from_be_bytes(self.prefix) as usize;
        if length > max {
            return Err(Fault::FrameTooLarge { length, max }.into());
        }
        Ok(Some(length))
    }

    /// Reads the frame that [`FrameReader::length`] announced.
    pub(crate) async fn frame(&mut self, length: usize) -> Result<Frame, End> {
        self.have = 0;
        let mut body = BytesMut::with_capacity(length.min(GROWTH_BYTES));
        while body.len() < length {
            let start = body.len();
            // Doubling, so that a large frame is copied at most once over.
            let end = length.min(start.saturating_mul(2).max(GROWTH_BYTES));
            body.resize(end, 0);
            self.fill(&mut body, start).await?;
        }
        frame::decode(body.freeze()).map_err(|error| Fault::Malformed(error).into())
    }

    async fn fill(&mut self, body: &mut BytesMut, start: usize) -> Result<(), End> {
        let mut rest = body.get_mut(start..).unwrap_or_default();
        while !rest.is_empty() {
            let n = timeout(self.stall, self.io.read(rest))
                .await
                .map_err(|_| End::from(Fault::Stalled))?
                .map_err(End::Lost)?;
            if n == 0 {
                return Err(End::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            rest = rest.get_mut(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads and forgets until the peer closes its side, so that a Goodbye is not cut off by the
    /// end of the connection.
    pub(crate) async fn linger(&mut self, patience: Duration) {
        let mut waste = [0; 4096];
        let drained = async { while matches!(self.io.read(&mut waste).await, Ok(n) if n > 0) {} };
        let _ = timeout(patience, drained).await;
    }
}

/// Writes frames into a buffer; nothing is sure to be on its way before [`FrameWriter::flush`].
pub(crate) struct FrameWriter<W> {
    io: BufWriter<W>,
    stall: Duration,
    /// Whether the last frame was written whole: in the middle of one a Goodbye would be garbage.
    whole: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// `stall`: how long the peer may refuse to read.
    pub(crate) fn new(io: W, stall: Duration) -> Self {
        FrameWriter { io: BufWriter::with_capacity(WRITE_BUFFER_BYTES, io), stall, whole: true }
    }

    /// Buffers one frame, writing when the buffer is full.
    pub(crate) async fn put(&mut self, frame: &Frame) -> Result<(), End> {
        let encoded = frame::encode(frame);
        self.whole = false;
        self.write(&encoded).await?;
        self.whole = true;
        Ok(())
    }

    /// Sends what is buffered.
    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        timeout(self.stall, self.io.flush()).await.map_err(|_| End::from(Fault::Stalled))?.map_err(End::Lost)
    }

    /// Says why the stream ends, if the peer can still hear it, closes our side and lets the peer
    /// take the words in before the connection may go.
    pub(crate) async fn farewell<R: AsyncRead + Unpin>(&mut self, end: &End, reader: &mut FrameReader<R>) {
        if matches!(end, End::Lost(_)) {
            return;
        }
        let said = async {
            if let Some(goodbye) = end.goodbye().filter(|_| self.whole) {
                self.put(&goodbye).await?;
            }
            self.io.close().await.map_err(End::Lost)
        };
        if let Ok(Ok(())) = timeout(FAREWELL, said).await {
            reader.linger(FAREWELL).await;
        }
    }

    async fn write(&mut self, bytes: &Bytes) -> Result<(), End> {
        // In pieces: the peer must make progress, not read 64 MiB within one stall time.
        for piece in bytes.chunks(WRITE_BUFFER_BYTES) {
            timeout(self.stall, self.io.write_all(piece))
                .await
                .map_err(|_| End::from(Fault::Stalled))?
                .map_err(End::Lost)?;
        }
        Ok(())
    }
}
