//! The stream a partner opened: its messages come in, our acknowledgements go back.
//!
//! ```text
//!           ┌ read loop: length ─ reserve window ─ body ─ parse ┐  channel
//! partner ─►│            └ a chunk ─► House::chunk (one)        ├─────────► ack loop ─► House::keep (many)
//!         ◄─┴──────────────── Ack(upto) ◄── in order ◄──────────┘                       │
//!                                  └───────────────────── only after the durable write ◄┘
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use dccp::Did;
use dccp::frame::{Frame, Refusal, RefusalCode};
use dccp::limits::REFUSALS_MAX;
use dccp::seal::{SealedMessage, SealedMessageError};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::arriving::Arriving;
use crate::desk::Source;
use crate::end::{End, Fault};
use crate::flight::FIRST_SEQ;
use crate::frames::{ACKS_BUFFER_BYTES, CONTROL_BYTES_MAX, FrameReader, FrameWriter, MESSAGES_BUFFER_BYTES};
use crate::gate::Gate;
use crate::greeting::{Caller, Known, hello_gate, recognise};
use crate::ground::{Ground, Report};
use crate::house::{ChunkKept, House, Kept, refusal_label};
use crate::streams::Place;
use crate::window::Room;

/// A message that was read and waits for the house's word, or for its turn to be refused.
struct Arrived {
    seq: u64,
    content: Result<SealedMessage, Refused>,
    /// Why the house did not take its body, if it did not.
    declined: Option<String>,
    room: Room,
}

/// What the read loop remembers between two frames.
struct Reading {
    expected: u64,
    gate: Gate,
    bodies: Arriving,
}

/// Who is at the other end, as far as the connection proves it.
pub(crate) struct Visitor {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    /// Where the connection comes from.
    pub(crate) address: Multiaddr,
}

struct Refused {
    code: RefusalCode,
    reason: String,
}

impl From<SealedMessageError> for Refused {
    fn from(error: SealedMessageError) -> Self {
        let code = match error {
            SealedMessageError::TooLarge(_) => RefusalCode::TooLarge,
            SealedMessageError::UnsupportedVersion(_) | SealedMessageError::UnsupportedSuite(_) => {
                RefusalCode::Unsupported
            }
            _ => RefusalCode::Malformed,
        };
        Refused { code, reason: error.to_string() }
    }
}

/// Runs the stream to its end and reports it. `_place` is given back on return.
pub(crate) async fn run<H: House, S>(stream: S, visitor: Visitor, _place: Place, ground: Arc<Ground<H>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (read, write) = stream.split();
    let mut reader = FrameReader::new(read, MESSAGES_BUFFER_BYTES, ground.limits.stall_timeout);
    let mut writer = FrameWriter::new(write, ACKS_BUFFER_BYTES, ground.limits.stall_timeout);

    let (peer, connection) = (visitor.peer, visitor.connection);
    let greeted = timeout(ground.limits.hello_timeout, greet(&mut reader, &mut writer, &visitor, &ground));
    let end = match greeted.await.unwrap_or(Err(Fault::HelloTimeout.into())) {
        Ok(mut caller) => {
            caller.present_to(&*ground.house);
            let Caller { known, record, .. } = caller;
            let did = known.did.clone();
            ground.report(Report::Recognised { did, peer, connection, record: Box::new(record) }).await;
            converse(&mut reader, &mut writer, &known, &visitor, &ground).await
        }
        Err(end) => {
            if let End::Fault(Fault::RecordForged { claimed, .. }) = &end {
                hear_out(claimed, &visitor, &ground).await;
            }
            end
        }
    };
    writer.farewell(&end, &mut reader).await;
    ground.report(Report::Left { peer, connection, end }).await;
}

async fn greet<H: House, R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
    visitor: &Visitor,
    ground: &Ground<H>,
) -> Result<Caller, End> {
    let length = reader.length(CONTROL_BYTES_MAX).await?.ok_or(End::Closed)?;
    let theirs = reader.frame(length).await?;
    if let Frame::Goodbye { code, reason } = theirs {
        return Err(End::Goodbye { code, reason });
    }
    // Nothing of ours is shown before the caller has proved itself.
    let caller = recognise(theirs, &visitor.peer, &ground.book(), (ground.clock)())?;
    ground.recognise(visitor.connection, &caller);
    let ours = Arc::clone(&ground.hello.borrow());
    writer.put(&ours.frame()).await?;
    writer.flush().await?;
    Ok(caller)
}

/// A partner whose operator keys were replaced while we were away cannot prove itself before we have its newer log. It is
/// with whoever calls; while the house asks for it there, the connection stays. A forger costs us one question, on a
/// connection that he made, and each network has a few.
async fn hear_out<H: House>(claimed: &Did, visitor: &Visitor, ground: &Ground<H>) {
    let Ok(_seat) = ground.unproven.admit(Source::stranger(&visitor.address), Instant::now()) else { return };
    let heard = ground.house.unproven(claimed, visitor.peer.to_bytes());
    let _ = timeout(ground.limits.hello_timeout, heard).await; // It calls again.
}

async fn converse<H: House, R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
    known: &Arc<Known>,
    visitor: &Visitor,
    ground: &Arc<Ground<H>>,
) -> End {
    // The window bounds what is in the channel; its capacity only must not be smaller.
    let (arrived, arrivals) = mpsc::channel(ground.limits.in_flight_messages_max.max(1));
    let reading = read_loop(reader, arrived, known, visitor, ground);
    let acking = ack_loop(writer, arrivals, known, ground);
    tokio::pin!(reading, acking);
    tokio::select! {
        // Reading is over: what has arrived may still be kept and acknowledged.
        end = &mut reading => match end {
            End::Lost(_) => end,
            end => match timeout(ground.limits.stall_timeout, acking.as_mut()).await {
                Ok(Err(worse)) => worse,
                Ok(Ok(())) | Err(_) => end,
            },
        },
        ended = &mut acking => match ended {
            Err(end) => end,
            Ok(()) => End::Closed,
        },
    }
}

async fn read_loop<H: House, R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    arrived: mpsc::Sender<Arrived>,
    known: &Known,
    visitor: &Visitor,
    ground: &Ground<H>,
) -> End {
    let mut reading =
        Reading { expected: FIRST_SEQ, gate: hello_gate(Instant::now()), bodies: Arriving::default() };
    loop {
        let read = tokio::select! {
            biased;
            () = ground.draining.cancelled() => Err(End::ShuttingDown),
            () = known.removed.cancelled() => Err(End::Removed),
            () = known.superseded.cancelled() => Err(End::Superseded),
            read = read_one(reader, &mut reading, known, visitor, ground) => read,
        };
        match read {
            Ok(None) => {}
            Ok(Some(message)) => {
                if arrived.send(message).await.is_err() {
                    return End::Closed;
                }
            }
            Err(end) => return end,
        }
    }
}

/// Reads one frame; room is reserved before its body is read, so a full window is back-pressure. So is a house that
/// takes its time over a chunk.
async fn read_one<H: House, R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    reading: &mut Reading,
    known: &Known,
    visitor: &Visitor,
    ground: &Ground<H>,
) -> Result<Option<Arrived>, End> {
    let length = reader.length(dccp::limits::FRAME_BYTES_MAX).await?.ok_or(End::Closed)?;
    let room = known.window.reserve(length).await.map_err(|_| End::Removed)?;
    match reader.frame(length).await? {
        Frame::Message { seq, sealed } => {
            if seq != reading.expected {
                return Err(Fault::OutOfOrder { expected: reading.expected, found: seq }.into());
            }
            reading.expected += 1;
            ground.metrics.messages_received.inc();
            ground.metrics.bytes_received.inc_by(sealed.len() as u64);
            let content = SealedMessage::parse(sealed).map_err(Refused::from);
            let body = content.as_ref().ok().and_then(SealedMessage::body);
            let declined = body.and_then(|body| reading.bodies.close(body.digest));
            Ok(Some(Arrived { seq, content, declined, room }))
        }
        Frame::Chunk { body, index, octets } => {
            ground.metrics.chunks_received.inc();
            ground.metrics.bytes_received.inc_by(octets.len() as u64);
            if reading.bodies.admit(body, index)?
                && let ChunkKept::Declined(reason) = ground.house.chunk(&known.did, body, index, octets).await
            {
                reading.bodies.decline(reason);
            }
            Ok(None)
        }
        hello @ Frame::Hello { .. } => {
            if !reading.gate.pass(Instant::now()) {
                return Err(Fault::HelloFlood.into());
            }
            let mut caller = recognise(hello, &visitor.peer, &ground.book(), (ground.clock)())?;
            if caller.known.did != known.did {
                let (expected, found) = (known.did.clone(), caller.known.did.clone());
                return Err(Fault::WrongPartner { expected, found }.into());
            }
            ground.recognise(visitor.connection, &caller);
            caller.present_to(&*ground.house);
            Ok(None)
        }
        Frame::Goodbye { code, reason } => Err(End::Goodbye { code, reason }),
        Frame::Ack { .. } => Err(Fault::Misplaced("Ack").into()),
    }
}

/// Gives arrivals to the house and acknowledges, in order, what it has kept. Ends well when reading
/// has ended and everything is answered.
async fn ack_loop<H: House, W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    mut arrivals: mpsc::Receiver<Arrived>,
    known: &Arc<Known>,
    ground: &Arc<Ground<H>>,
) -> Result<(), End> {
    let mut keeping = FuturesOrdered::new();
    let mut reading = true;
    loop {
        tokio::select! {
            biased;
            Some(first) = keeping.next() => acknowledge(first, &mut keeping, writer, ground).await?,
            arrived = arrivals.recv(), if reading => match arrived {
                Some(arrived) => keeping.push_back(keep(arrived, Arc::clone(known), Arc::clone(ground))),
                None => reading = false,
            },
            else => return Ok(()),
        }
    }
}

/// One message through the house. The room goes along and is given back once it is answered.
async fn keep<H: House>(arrived: Arrived, known: Arc<Known>, ground: Arc<Ground<H>>) -> (u64, Kept, Room) {
    let Arrived { seq, content, declined, room } = arrived;
    let kept = match content {
        Ok(sealed) => ground.house.keep(&known.did, sealed).await,
        Err(Refused { code, reason }) => Kept::Refused { code, reason },
    };
    let kept = match kept {
        Kept::BodyMissing => {
            let reason = declined.unwrap_or_else(|| "its body is not whole here".to_owned());
            Kept::Refused { code: RefusalCode::BodyMissing, reason }
        }
        kept => kept,
    };
    (seq, kept, room)
}

/// Writes one acknowledgement for everything that is ready now.
async fn acknowledge<H: House, W: AsyncWrite + Unpin, F: Future<Output = (u64, Kept, Room)>>(
    first: (u64, Kept, Room),
    keeping: &mut FuturesOrdered<F>,
    writer: &mut FrameWriter<W>,
    ground: &Ground<H>,
) -> Result<(), End> {
    let mut upto = None;
    let mut refused = Vec::new();
    let mut put_off = None;
    let mut ready = Some(first);
    while let Some((seq, kept, _room)) = ready {
        if let Kept::NotNow(reason) = kept {
            ground.metrics.messages_not_now.inc();
            put_off = Some(reason);
            break;
        }
        upto = Some(seq);
        refused.extend(refusal(seq, kept, ground));
        ready = match refused.len() < REFUSALS_MAX {
            true => keeping.next().now_or_never().flatten(),
            false => None,
        };
    }
    if let Some(upto) = upto {
        writer.put(&Frame::Ack { upto, refused }).await?;
        writer.flush().await?;
    }
    match put_off {
        Some(reason) => Err(End::NotNow(reason)),
        None => Ok(()),
    }
}

/// How the acknowledgement mentions this message, if it must.
fn refusal<H: House>(seq: u64, kept: Kept, ground: &Ground<H>) -> Option<Refusal> {
    match kept {
        Kept::Durable | Kept::NotNow(_) | Kept::BodyMissing => {
            ground.metrics.messages_kept.inc();
            None
        }
        Kept::Duplicate => {
            ground.metrics.messages_duplicate.inc();
            Some(Refusal { seq, code: RefusalCode::Duplicate, reason: String::new() })
        }
        Kept::Refused { code, reason } => {
            ground.metrics.refused_by_us(refusal_label(code));
            Some(Refusal { seq, code, reason })
        }
    }
}
