//! Arrival of sealed messages from the overlay: *keep, then acknowledge*. Nothing is opened here.
//!
//! ```text
//! overlay stream ─► spool.stage (fsync): chunks of a large body, ahead of its message
//! overlay stream ─► spool.arrive (fsync) ─► Kept::Durable ─► cumulative acknowledgement
//!                                   └─────► delivery (the sealed bytes, without reading them back)
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dccp::body::BodyDigest;
use dccp::message::Class;
use dccp::seal::SealedMessage;
use dccp::{Did, UnixMillis};
use overlay::{Asker, ChunkKept, HeadVerdict, Kept, Topic};
use tokio::sync::{mpsc, watch};

use crate::acquaintance::Presented;
use crate::clock::Clock;
use crate::custody::Custody;
use crate::delivery;
use crate::flows::mail_in::Arrived;
use crate::flows::records::{Summary, queue_id_of};
use crate::metrics::{self, Metrics};
use crate::partners::Partners;
use crate::queue::lane;
use crate::spool::{
    Arrival, Direction, Kind, Lane, Large, NewRow, Note, RowId, Spool, SpoolError, Stage, State, Turn,
};

/// A batch of 64 receipts is far below; more in the name of control does not get the reserve of a full disk.
const CONTROL_BYTES_MAX: u64 = 256 * 1024;

/// The house as the overlay sees it.
pub struct House {
    /// Takes in messages.
    pub arrivals: Arc<Arrivals>,
    /// Answers what other nodes ask.
    pub questions: Arc<dyn Questions>,
}

/// Who answers the questions of other nodes, and judges what they publish. See [`overlay::House`].
#[async_trait]
pub trait Questions: Send + Sync {
    /// An answer, or `None` to refuse.
    async fn answer(&self, from: Asker, topic: Topic, question: Bytes) -> Option<Bytes>;

    /// Whether this head record may be kept for others, instead of the one that is `stored`.
    async fn accept_head(&self, record: &[u8], stored: Option<&[u8]>) -> HeadVerdict;

    /// A partner presented this head record; not verified yet.
    fn presented_head(&self, from: &Did, head: Vec<u8>);

    /// A node that is connected now says that it is a partner's, and cannot prove it by the keys that we know.
    async fn unproven(&self, claimed: &Did, node: Vec<u8>);
}

/// Takes in what arrives.
pub struct Arrivals {
    /// Where arrivals are kept.
    pub spool: Spool,
    /// Seals the (still empty) summary to ourselves.
    pub custody: Arc<Custody>,
    /// Who is known.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Takes partners' fresh prekeys, unverified.
    pub presented: mpsc::Sender<Presented>,
    /// Takes what was kept.
    pub delivery: delivery::Handle,
    /// Counters.
    pub metrics: Metrics,
    /// Milliseconds that an arrived message may wait for our mail server.
    pub lifetime_ms: u64,
    /// Time.
    pub clock: Clock,
}

impl overlay::House for House {
    async fn keep(&self, from: &Did, sealed: SealedMessage) -> Kept {
        // In a task of its own: the overlay may drop this future with the stream, but what is kept must be delivered.
        let (arrivals, from) = (self.arrivals.clone(), from.clone());
        let kept = tokio::spawn(async move { arrivals.keep(from, sealed).await });
        kept.await.unwrap_or_else(|_| Kept::NotNow("the gateway is stopping".to_owned()))
    }

    async fn chunk(&self, from: &Did, body: BodyDigest, index: u32, octets: Bytes) -> ChunkKept {
        self.arrivals.stage(from, body, index, octets).await
    }

    fn prekeys(&self, from: &Did, records: Vec<Vec<u8>>) {
        // No room: they are presented again with the next stream.
        _ = self.arrivals.presented.try_send((from.clone(), records));
    }

    fn presented_head(&self, from: &Did, head: Vec<u8>) {
        self.questions.presented_head(from, head);
    }

    async fn unproven(&self, claimed: &Did, node: Vec<u8>) {
        self.questions.unproven(claimed, node).await;
    }

    async fn answer(&self, from: Asker, topic: Topic, question: Bytes) -> Option<Bytes> {
        self.questions.answer(from, topic, question).await
    }

    async fn accept_head(&self, record: &[u8], stored: Option<&[u8]>) -> HeadVerdict {
        self.questions.accept_head(record, stored).await
    }
}

impl Arrivals {
    async fn keep(&self, from: Did, sealed: SealedMessage) -> Kept {
        let now = (self.clock)();
        let row = self.row(&from, &sealed, now);
        let (id, size, expires) = (row.id, row.size, row.expires_at);
        let note = Note::new(now, Stage::Arrived, format!("from {}", row.partner_domain));
        let kept = if sealed.class() == Class::Control && size <= CONTROL_BYTES_MAX {
            self.spool.arrive_control(row, vec![note]).await
        } else {
            self.spool.arrive(row, vec![note]).await
        };
        match kept {
            Ok(Arrival::Fresh { claimed }) => {
                self.metrics.arrived(size);
                self.metrics.stage_since(metrics::Stage::Arrive, now, (self.clock)());
                self.delivery.offer(Arrived {
                    id,
                    from,
                    sealed,
                    claimed,
                    progress: None,
                    attempts: 0,
                    arrived: now,
                    expires,
                    approved: false,
                });
                Kept::Durable
            }
            Ok(Arrival::Duplicate) => {
                self.metrics.duplicates.inc();
                Kept::Duplicate
            }
            Err(SpoolError::BodyMissing) => Kept::BodyMissing,
            Err(error) => {
                tracing::warn!(%error, partner = %from, "an arriving message could not be kept; the partner will try again");
                Kept::NotNow(error.to_string())
            }
        }
    }

    async fn stage(&self, from: &Did, body: BodyDigest, index: u32, octets: Bytes) -> ChunkKept {
        match self.spool.stage(from.to_string(), body, index, octets, (self.clock)()).await {
            Ok(()) => ChunkKept::Durable,
            Err(error) => {
                tracing::warn!(%error, partner = %from, "a chunk of a large body could not be kept; the partner will try again");
                ChunkKept::Declined(error.to_string())
            }
        }
    }

    fn row(&self, from: &Did, sealed: &SealedMessage, now: UnixMillis) -> NewRow {
        let id = RowId::fresh();
        let domain = self.partners.borrow().by_did(from).map_or_else(String::new, |p| p.domain().to_owned());
        // What is in it is sealed, so it counts as a person's; partners take turns.
        let turn = Turn { lane: Lane::People, source: lane::source(self.custody.vault(), &domain) };
        NewRow {
            id,
            queue_id: queue_id_of(id),
            direction: Direction::In,
            kind: Kind::Unopened,
            partner: Some(from.to_string()),
            partner_domain: domain,
            body: Bytes::clone(sealed.bytes()),
            large: sealed.body().map(Large::Arrived),
            slip: None,
            summary: Summary::unread().seal(self.custody.vault()),
            message_id_tag: None,
            digest: sealed.digest(),
            sealed_to: Some(*sealed.key_id().as_bytes()),
            size: sealed.bytes().len() as u64 + sealed.body().map_or(0, |body| body.sealed_bytes),
            now,
            next_at: now,
            expires_at: now.saturating_add_ms(self.lifetime_ms),
            state: State::Queued,
            held_by: None,
            turn,
            leased: true,
        }
    }
}
