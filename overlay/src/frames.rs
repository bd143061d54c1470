//! Frames on a byte stream: `dccp::frame` does the encoding, this does the reading and writing.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dccp::frame::{self, Frame};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::time::timeout;

use crate::end::{End, Fault};

/// For the direction that carries messages: gathers small frames, so that a burst of them is few TLS
/// records. Larger pieces go past the buffer.
pub(crate) const MESSAGES_BUFFER_BYTES: usize = 32 * 1024;

/// For the direction that carries acknowledgements: a node may have thousands of streams.
pub(crate) const ACKS_BUFFER_BYTES: usize = 4 * 1024;

/// A large frame is written in pieces of this size, each with its own stall time.
const PIECE_BYTES: usize = 64 * 1024;

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
    pub(crate) fn new(io: R, buffer_bytes: usize, stall: Duration) -> Self {
        FrameReader {
            io: BufReader::with_capacity(buffer_bytes, io),
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
    pub(crate) fn new(io: W, buffer_bytes: usize, stall: Duration) -> Self {
        FrameWriter { io: BufWriter::with_capacity(buffer_bytes, io), stall, whole: true }
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
        // In pieces: the peer must make progress, not read a whole frame within one stall time.
        for piece in bytes.chunks(PIECE_BYTES) {
            timeout(self.stall, self.io.write_all(piece))
                .await
                .map_err(|_| End::from(Fault::Stalled))?
                .map_err(End::Lost)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc::unbounded;
    use futures::io::Cursor;
    use futures::{FutureExt, TryStreamExt};

    use super::*;

    const STALL: Duration = Duration::from_secs(1);

    fn reader(octets: impl Into<Vec<u8>>) -> FrameReader<Cursor<Vec<u8>>> {
        FrameReader::new(Cursor::new(octets.into()), ACKS_BUFFER_BYTES, STALL)
    }

    fn message(len: usize) -> Frame {
        Frame::Message { seq: 1, sealed: Bytes::from(vec![7; len]) }
    }

    #[tokio::test]
    async fn frames_of_every_size_come_out_as_they_went_in() {
        for len in [0, 1, 4095, 4096, GROWTH_BYTES - 1, GROWTH_BYTES, GROWTH_BYTES * 3 + 1, 4 << 20] {
            let mut writer = FrameWriter::new(Cursor::new(Vec::new()), ACKS_BUFFER_BYTES, STALL);
            writer.put(&message(len)).await.unwrap();
            writer.put(&message(1)).await.unwrap();
            writer.flush().await.unwrap();
            let mut reader = reader(writer.io.into_inner().into_inner());
            for expected in [message(len), message(1)] {
                let length = reader.length(usize::MAX).await.unwrap().unwrap();
                assert!(reader.frame(length).await.unwrap() == expected);
            }
            assert!(reader.length(usize::MAX).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_before_the_body() {
        let refused = reader(11u32.to_be_bytes()).length(10).await;
        assert!(matches!(refused, Err(End::Fault(Fault::FrameTooLarge { length: 11, max: 10 }))));
    }

    #[tokio::test]
    async fn waiting_for_a_length_may_be_given_up_between_any_two_octets() {
        let (to, from) = unbounded::<io::Result<Vec<u8>>>();
        let mut reader = FrameReader::new(from.into_async_read(), ACKS_BUFFER_BYTES, STALL);
        for octet in [0, 0, 1] {
            to.unbounded_send(Ok(vec![octet])).unwrap();
            assert!(reader.length(1000).now_or_never().is_none());
        }
        to.unbounded_send(Ok(vec![2])).unwrap();
        assert_eq!(reader.length(1000).await.unwrap(), Some(0x0102));
    }

    #[tokio::test]
    async fn an_end_in_the_middle_of_a_frame_is_a_loss() {
        assert!(matches!(reader([0, 0]).length(1000).await, Err(End::Lost(_))));
        let mut cut = reader([0, 0, 0, 9, 1, 2, 3]);
        let length = cut.length(1000).await.unwrap().unwrap();
        assert!(matches!(cut.frame(length).await, Err(End::Lost(_))));
    }

    #[tokio::test]
    async fn a_pause_in_the_middle_of_a_frame_is_a_stall() {
        let (to, from) = unbounded::<io::Result<Vec<u8>>>();
        to.unbounded_send(Ok(vec![0, 0, 0, 9, 1])).unwrap();
        let short = Duration::from_millis(10);
        let mut reader = FrameReader::new(from.into_async_read(), ACKS_BUFFER_BYTES, short);
        let length = reader.length(1000).await.unwrap().unwrap();
        assert!(matches!(reader.frame(length).await, Err(End::Fault(Fault::Stalled))));
    }
}
