//! Bodies on their way out: one after the other, a chunk at a time, each followed by the message that names it.
//!
//! Nothing is read ahead: the next chunk is asked for when the one before is written, so that of all bodies to one
//! partner one chunk is in memory.

use std::collections::VecDeque;
use std::future::pending;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dccp::body::{BodyDigest, BodyOutline, CHUNK_SEALED_BYTES};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::timeout_at;

use crate::opener::Outgoing;

/// The sealed chunks of a body in order, read when they are asked for; or why one cannot be read.
pub type Chunks = BoxStream<'static, Result<Bytes, String>>;

/// The bodies that wait for one stream.
pub(crate) struct Hauls {
    waiting: VecDeque<Haul>,
    /// How long a source may think about one chunk.
    patience: Duration,
}

struct Haul {
    message: Box<Outgoing>,
    body: BodyOutline,
    chunks: Chunks,
    index: u32,
    /// Sealed octets still to be sent.
    left: u64,
    /// When the chunk that is due was asked for.
    asked: Option<Instant>,
}

/// A chunk that is due.
pub(crate) struct Chunk {
    pub(crate) body: BodyDigest,
    pub(crate) index: u32,
    pub(crate) octets: Bytes,
}

/// What is to be done next about a body.
pub(crate) enum Hauled {
    /// A chunk is to be written.
    Chunk(Chunk),
    /// All chunks are: now the message.
    Whole(Box<Outgoing>),
    /// The source failed, for this reason: the message cannot be sent.
    Failed(Box<Outgoing>, String),
}

impl Hauls {
    pub(crate) fn new(patience: Duration) -> Self {
        Hauls { waiting: VecDeque::new(), patience }
    }

    /// Puts a body behind the others.
    pub(crate) fn add(&mut self, message: Outgoing, body: BodyOutline, chunks: Chunks) {
        let left = body.sealed_bytes;
        self.waiting.push_back(Haul {
            message: Box::new(message),
            body,
            chunks,
            index: 0,
            left,
            asked: None,
        });
    }

    /// The next step of the first body; never comes while there is none. May be dropped at any time: the source goes
    /// on where it was.
    pub(crate) async fn next(&mut self) -> Hauled {
        // Of a caller that gave up nothing more is sent; the receiver knows that a body can break off.
        while self.waiting.front().is_some_and(|haul| haul.message.answer.is_closed()) {
            self.waiting.pop_front();
        }
        let Some(haul) = self.waiting.front_mut() else { return pending().await };
        let step = if haul.left == 0 { None } else { Some(haul.chunk(self.patience).await) };
        if let Some(Ok(chunk)) = step {
            return Hauled::Chunk(chunk);
        }
        // The front it was is the front it is: nobody else takes from the queue.
        let Some(Haul { message, .. }) = self.waiting.pop_front() else { return pending().await };
        match step {
            Some(Err(reason)) => Hauled::Failed(message, reason),
            _ => Hauled::Whole(message),
        }
    }
}

impl Haul {
    async fn chunk(&mut self, patience: Duration) -> Result<Chunk, String> {
        let due = *self.asked.get_or_insert_with(Instant::now) + patience;
        let octets = match timeout_at(due.into(), self.chunks.next()).await {
            Ok(Some(chunk)) => chunk?,
            Ok(None) => return Err(format!("the body ends before chunk {}", self.index)),
            Err(_) => return Err(format!("chunk {} of the body did not come in time", self.index)),
        };
        if octets.len() as u64 != self.left.min(CHUNK_SEALED_BYTES as u64) {
            return Err(format!("chunk {} of the body has {} octets", self.index, octets.len()));
        }
        let index = self.index;
        self.asked = None;
        self.index += 1;
        self.left -= octets.len() as u64;
        Ok(Chunk { body: self.body.digest, index, octets })
    }
}
