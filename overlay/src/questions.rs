//! One question, one answer, one stream: what is said on `/dccp/did/1` and its sisters.
//!
//! ```text
//! asker    ─ u32 length ─ question ─►                       answerer
//!          ◄─ u32 length ─ answer ──    or the end: refused
//! ```
//!
//! Streams of our own and not libp2p's request-response: that behaviour reads a whole question
//! before anybody may ask who is there, has no budget of bytes and no deadline for an asker that
//! does not read, and would be a second handler on each connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::desk::Seat;
use crate::error::AskError;
use crate::ground::Ground;
use crate::house::House;
use crate::streams::Place;
use crate::topic::{Asker, QUESTION_BYTES_MAX, Topic};

/// Memory is taken as octets arrive, never on the word of a length prefix.
const FIRST_BYTES: usize = 4 * 1024;

/// How long the asker may take to close its side once it has the answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// A question that was let in.
pub(crate) struct Visit {
    pub(crate) asker: Asker,
    pub(crate) topic: Topic,
    /// On its connection.
    pub(crate) place: Place,
    /// Among all askers.
    pub(crate) seat: Seat,
}

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It did not arrive in time, or not whole.
    Unheard,
    TooLong,
    /// The house does not know or does not want to.
    House,
    /// The house's answer is longer than the topic allows: our own fault.
    AnswerTooLong,
    /// No answer in time, or the asker did not read it.
    Late,
    /// The asker did not wait for the answer.
    Gone,
}

impl Refusal {
    fn label(self) -> &'static str {
        match self {
            Refusal::Unheard => "unheard",
            Refusal::TooLong => "question_too_long",
            Refusal::House => "house",
            Refusal::AnswerTooLong => "answer_too_long",
            Refusal::Late => "late",
            Refusal::Gone => "gone",
        }
    }
}

/// Answers the question on this stream. Every step has its time.
pub(crate) async fn answer<H: House, S>(mut stream: S, visit: Visit, ground: Arc<Ground<H>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let Visit { asker, topic, place: _place, seat } = visit;
    match hear_and_answer(&mut stream, asker, topic, &seat, &ground).await {
        Ok(()) => ground.metrics.question_answered(topic),
        Err(refusal) => {
            tracing::debug!(?topic, reason = refusal.label(), "question not answered");
            ground.metrics.question_refused(topic, refusal.label());
        }
    }
    // The asker ends its side when it has everything: until then the stream must not be reset.
    let parting = async {
        stream.close().await?;
        stream.read(&mut [0]).await
    };
    let _ = timeout(FAREWELL, parting).await;
}

async fn hear_and_answer<H: House, S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: &mut S,
    asker: Asker,
    topic: Topic,
    seat: &Seat,
    ground: &Ground<H>,
) -> Result<(), Refusal> {
    let limits = &ground.limits.asks;
    let heard = timeout(limits.question_timeout, read_block(stream, QUESTION_BYTES_MAX)).await;
    let question = match heard {
        Ok(Ok(question)) => question,
        Ok(Err(Broken::TooLong(_))) => return Err(Refusal::TooLong),
        Ok(Err(Broken::Nothing | Broken::Cut)) | Err(_) => return Err(Refusal::Unheard),
    };
    let answering = async {
        let longest = topic.answer_bytes_max();
        let mut room = seat.room_for(longest).await;
        let mut more = [0];
        let answer = tokio::select! {
            answer = ground.house.answer(asker, topic, question) => answer.ok_or(Refusal::House)?,
            // An asker keeps its side open, and silent, until it has the answer.
            _ = stream.read(&mut more) => return Err(Refusal::Gone),
        };
        if answer.len() > longest {
            return Err(Refusal::AnswerTooLong);
        }
        // What this answer does not need, the next one may have.
        drop(room.as_mut().and_then(|room| room.split(room.num_permits().saturating_sub(answer.len()))));
        write_block(stream, &answer).await.map_err(|_| Refusal::Gone)
    };
    timeout(limits.answer_timeout, answering).await.unwrap_or(Err(Refusal::Late))
}

/// Asks on a fresh stream and takes the answer in. The caller bounds the time.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    topic: Topic,
    question: &[u8],
) -> Result<Bytes, AskError> {
    // A node that turns us away does not read: what it does instead shows below.
    let _ = write_block(stream, question).await;
    read_block(stream, topic.answer_bytes_max()).await.map_err(|broken| match broken {
        Broken::Nothing => AskError::Refused,
        Broken::TooLong(length) => AskError::Oversize(length),
        Broken::Cut => AskError::Interrupted,
    })
}

/// Why there is no block of octets.
#[derive(Debug, PartialEq, Eq)]
enum Broken {
    /// The stream ended before it began.
    Nothing,
    /// It would be this long.
    TooLong(usize),
    /// The stream ended in the middle of it.
    Cut,
}

async fn read_block<R: AsyncRead + Unpin>(io: &mut R, max: usize) -> Result<Bytes, Broken> {
    let mut prefix = [0; 4];
    let (first, rest) = prefix.split_at_mut(1);
    io.read_exact(first).await.map_err(|_| Broken::Nothing)?;
    io.read_exact(rest).await.map_err(|_| Broken::Cut)?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > max {
        return Err(Broken::TooLong(length));
    }
    let mut body = Vec::with_capacity(length.min(FIRST_BYTES));
    let read = io.take(length as u64).read_to_end(&mut body).await;
    match read {
        Ok(n) if n == length => Ok(body.into()),
        _ => Err(Broken::Cut),
    }
}

async fn write_block<W: AsyncWrite + Unpin>(io: &mut W, body: &[u8]) -> std::io::Result<()> {
    // Both sides have checked their own limit: nothing comes near 4 GiB.
    let length = u32::try_from(body.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(body).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    async fn read(octets: &[u8], max: usize) -> Result<Bytes, Broken> {
        read_block(&mut Cursor::new(octets), max).await
    }

    #[tokio::test]
    async fn what_was_written_is_read() {
        for length in [0, 1, FIRST_BYTES + 1, 3 << 20] {
            let mut io = Cursor::new(Vec::new());
            write_block(&mut io, &vec![7; length]).await.unwrap();
            assert_eq!(read(&io.into_inner(), length).await.unwrap().len(), length);
        }
    }

    #[tokio::test]
    async fn an_end_before_the_beginning_is_not_an_end_in_the_middle() {
        assert_eq!(read(b"", 9).await, Err(Broken::Nothing));
        assert_eq!(read(b"\0\0", 9).await, Err(Broken::Cut));
        assert_eq!(read(b"\0\0\0\x02a", 9).await, Err(Broken::Cut));
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_before_the_body() {
        assert_eq!(read(b"\xff\xff\xff\xff", 9).await, Err(Broken::TooLong(u32::MAX as usize)));
        assert_eq!(read(b"\0\0\0\x0aabcdefghij", 9).await, Err(Broken::TooLong(10)));
    }
}
