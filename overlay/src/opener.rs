//! The stream we opened: our messages go out, their acknowledgements come back.
//!
//! ```text
//! send() ─reserve window─► queue ─► write loop ─► Message(seq) … ─►
//!    (body) ──────────────────► hauls ─┘   Chunk, Chunk, …, Message(seq) ─►
//!    ▲                                                              partner
//!    └── oneshot ◄── flight (seq → answer) ◄── read loop ◄── Ack(upto) ◄─
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dccp::Did;
use dccp::frame::Frame;
use dccp::seal::SealedMessage;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::end::{End, Fault};
use crate::error::SendError;
use crate::flight::Flight;
use crate::frames::{ACKS_BUFFER_BYTES, CONTROL_BYTES_MAX, FrameReader, FrameWriter, MESSAGES_BUFFER_BYTES};
use crate::gate::Gate;
use crate::greeting::{Caller, Hello, Known, hello_gate, recognise};
use crate::ground::{Ground, Report};
use crate::haul::{Chunk, Chunks, Hauled, Hauls};
use crate::house::House;
use crate::link::Attempt;
use crate::window::{Room, Window};

/// Messages that one flush may gather: enough to fill TLS records, few enough to keep acknowledgements moving.
const BATCH_MAX: usize = 64;

/// The next hop has the message on durable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopAck {
    /// It had the message already.
    pub duplicate: bool,
}

/// Answer to one `send`.
pub(crate) type Answer = Result<HopAck, SendError>;

/// A live stream, as `send` sees it.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) window: Window,
    pub(crate) queue: mpsc::Sender<Outgoing>,
}

/// One message on its way to the write loop.
pub(crate) struct Outgoing {
    pub(crate) sealed: SealedMessage,
    /// Of a message that names a body, unless the partner is believed to have it.
    pub(crate) chunks: Option<Chunks>,
    pub(crate) room: Room,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Which stream this is.
pub(crate) struct Errand {
    pub(crate) did: Did,
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) attempt: Attempt,
}

/// Runs the stream to its end and reports it.
pub(crate) async fn run<H: House, S>(stream: S, errand: Errand, ground: Arc<Ground<H>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (read, write) = stream.split();
    let mut reader = FrameReader::new(read, ACKS_BUFFER_BYTES, ground.limits.stall_timeout);
    // A partner whose house is slow stops reading: that is no stall before acknowledgements are overdue.
    let mut writer = FrameWriter::new(write, MESSAGES_BUFFER_BYTES, ground.limits.ack_timeout);
    let mut hello = ground.hello.subscribe();

    let greeted =
        timeout(ground.limits.hello_timeout, greet(&mut reader, &mut writer, &mut hello, &errand, &ground));
    let end = match greeted.await.unwrap_or(Err(Fault::HelloTimeout.into())) {
        Ok(caller) => converse(&mut reader, &mut writer, &mut hello, caller, &errand, &ground).await,
        Err(end) => end,
    };
    writer.farewell(&end, &mut reader).await;
    let Errand { did, peer, connection, attempt } = errand;
    ground.report(Report::Down { did, peer, connection, attempt, end }).await;
}

async fn greet<H: House, R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
    hello: &mut watch::Receiver<Arc<Hello>>,
    errand: &Errand,
    ground: &Ground<H>,
) -> Result<Caller, End> {
    let ours = Arc::clone(&hello.borrow_and_update());
    writer.put(&ours.frame()).await?;
    writer.flush().await?;
    let length = reader.length(CONTROL_BYTES_MAX).await?.ok_or(End::Closed)?;
    let theirs = reader.frame(length).await?;
    expect_partner(theirs, errand, ground)
}

/// The Hello must come from the partner that we opened this stream for.
fn expect_partner<H: House>(frame: Frame, errand: &Errand, ground: &Ground<H>) -> Result<Caller, End> {
    if let Frame::Goodbye { code, reason } = frame {
        return Err(End::Goodbye { code, reason });
    }
    let mut caller = recognise(frame, &errand.peer, &ground.book(), (ground.clock)())?;
    if caller.known.did != errand.did {
        let (expected, found) = (errand.did.clone(), caller.known.did.clone());
        return Err(Fault::WrongPartner { expected, found }.into());
    }
    ground.recognise(errand.connection, &caller);
    caller.present_to(&*ground.house);
    Ok(caller)
}

async fn converse<H: House, R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
    hello: &mut watch::Receiver<Arc<Hello>>,
    caller: Caller,
    errand: &Errand,
    ground: &Ground<H>,
) -> End {
    let limits = &ground.limits;
    let window = Window::new(limits.in_flight_messages_max, limits.in_flight_bytes_max, None);
    let (queue, outgoing) = mpsc::channel(limits.in_flight_messages_max.max(1));
    let lane = Lane { window: window.clone(), queue };
    let Errand { did, connection, attempt, .. } = errand;
    let up = Report::Up {
        did: did.clone(),
        connection: *connection,
        attempt: *attempt,
        lane,
        record: Box::new(caller.record),
    };
    ground.report(up).await;

    let flight = Shared::default();
    let end = tokio::select! {
        end = write_loop(writer, outgoing, hello, &flight, &caller.known, ground) => end,
        end = read_loop(reader, &flight, errand, ground) => end,
    };
    // Whoever still waits for room or an answer learns that the stream has ended.
    window.close();
    ground.metrics.messages_interrupted.inc_by(flight.lock().len() as u64);
    end
}

async fn write_loop<H: House, W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    hello: &mut watch::Receiver<Arc<Hello>>,
    flight: &Shared,
    known: &Known,
    ground: &Ground<H>,
) -> End {
    let stop: &CancellationToken = &ground.draining;
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut hauls = Hauls::new(ground.limits.stall_timeout);
    loop {
        let written = tokio::select! {
            biased;
            () = stop.cancelled() => {
                drop(hauls);
                return drain(outgoing, flight).await;
            }
            () = known.removed.cancelled() => return End::Removed,
            () = known.superseded.cancelled() => return End::Superseded,
            Ok(()) = hello.changed() => {
                let frame = hello.borrow_and_update().frame();
                writer.put(&frame).await
            }
            due = next(&mut outgoing, &mut batch, &mut hauls) => match due {
                Due::Nothing => return End::Closed,
                Due::Messages => write_batch(writer, &mut batch, &mut hauls, flight, ground).await,
                Due::Body(step) => write_step(writer, step, flight, ground).await,
            },
        };
        let flushed = match written {
            Ok(()) => writer.flush().await,
            Err(end) => Err(end),
        };
        if let Err(end) = flushed {
            return end;
        }
    }
}

/// What the write loop does next.
enum Due {
    /// Nothing: nobody can send any more.
    Nothing,
    /// To write the messages in the batch.
    Messages,
    /// A step with the first body.
    Body(Hauled),
}

/// Messages and chunks take turns at random when both are there: neither waits long for the other.
async fn next(outgoing: &mut mpsc::Receiver<Outgoing>, batch: &mut Vec<Outgoing>, hauls: &mut Hauls) -> Due {
    tokio::select! {
        count = outgoing.recv_many(batch, BATCH_MAX) => if count == 0 { Due::Nothing } else { Due::Messages },
        step = hauls.next() => Due::Body(step),
    }
}

async fn write_batch<H: House, W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    batch: &mut Vec<Outgoing>,
    hauls: &mut Hauls,
    flight: &Shared,
    ground: &Ground<H>,
) -> Result<(), End> {
    for mut message in batch.drain(..) {
        match (message.sealed.body(), message.chunks.take()) {
            (Some(body), Some(chunks)) => hauls.add(message, body, chunks),
            _ => write_message(writer, message, flight, ground).await?,
        }
    }
    Ok(())
}

async fn write_step<H: House, W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    step: Hauled,
    flight: &Shared,
    ground: &Ground<H>,
) -> Result<(), End> {
    match step {
        Hauled::Chunk(Chunk { body, index, octets }) => {
            ground.metrics.chunks_sent.inc();
            ground.metrics.bytes_sent.inc_by(octets.len() as u64);
            writer.put(&Frame::Chunk { body, index, octets }).await
        }
        Hauled::Whole(message) => write_message(writer, *message, flight, ground).await,
        Hauled::Failed(message, reason) => {
            let _ = message.answer.send(Err(SendError::Body(reason))); // The caller may have gone.
            Ok(())
        }
    }
}

async fn write_message<H: House, W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    Outgoing { sealed, room, answer, .. }: Outgoing,
    flight: &Shared,
    ground: &Ground<H>,
) -> Result<(), End> {
    if answer.is_closed() {
        return Ok(()); // The caller gave up before anything was sent.
    }
    ground.metrics.messages_sent.inc();
    ground.metrics.bytes_sent.inc_by(sealed.bytes().len() as u64);
    let seq = flight.lock().depart(room, answer, Instant::now());
    writer.put(&Frame::Message { seq, sealed: sealed.bytes().clone() }).await
}

/// Sends nothing more, waits for what is in flight. The caller's grace time bounds the waiting.
async fn drain(outgoing: mpsc::Receiver<Outgoing>, flight: &Shared) -> End {
    drop(outgoing);
    while !flight.lock().is_empty() {
        flight.landed.notified().await;
    }
    End::ShuttingDown
}

async fn read_loop<H: House, R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    flight: &Shared,
    errand: &Errand,
    ground: &Ground<H>,
) -> End {
    let mut gate = hello_gate(Instant::now());
    loop {
        if let Err(end) = read_one(reader, flight, &mut gate, errand, ground).await {
            return end;
        }
    }
}

async fn read_one<H: House, R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    flight: &Shared,
    gate: &mut Gate,
    errand: &Errand,
    ground: &Ground<H>,
) -> Result<(), End> {
    let ack_timeout = ground.limits.ack_timeout;
    let oldest = flight.lock().oldest();
    let patience = oldest.unwrap_or_else(Instant::now) + ack_timeout;
    let Ok(length) = timeout_at(patience.into(), reader.length(CONTROL_BYTES_MAX)).await else {
        return match oldest {
            // Still the same message: it has waited for the whole time.
            Some(_) if flight.lock().oldest() == oldest => Err(Fault::AckTimeout.into()),
            _ => Ok(()),
        };
    };
    let length = length?.ok_or(End::Closed)?;
    match reader.frame(length).await? {
        Frame::Ack { upto, refused } => {
            let landed = flight.lock().land(upto, refused)?;
            ground.metrics.messages_acknowledged.inc_by(landed.acknowledged);
            for code in landed.refused {
                ground.metrics.refused_by_partner(crate::house::refusal_label(code));
            }
            flight.landed.notify_one();
            Ok(())
        }
        hello @ Frame::Hello { .. } => {
            if !gate.pass(Instant::now()) {
                return Err(Fault::HelloFlood.into());
            }
            expect_partner(hello, errand, ground).map(|_| ())
        }
        Frame::Goodbye { code, reason } => Err(End::Goodbye { code, reason }),
        Frame::Chunk { .. } => Err(Fault::Misplaced("Chunk").into()),
        Frame::Message { .. } => Err(Fault::Misplaced("Message").into()),
    }
}

/// The flight, between the write loop and the read loop of one task.
#[derive(Default)]
struct Shared {
    flight: Mutex<Flight>,
    landed: Notify,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
