//! The courier takes sealed messages from the spool to partners: one task per partner, so that a slow or silent
//! partner holds up nobody else.
//!
//! ```text
//! mail_out ─ offer(sealed) ─┐
//!                           ├─► courier of the partner ─► overlay.send ─► Acknowledged: wait for the receipt
//! spool.due(partner, now) ──┘                                          ├► Unreachable: again later (schedule)
//!                                                                      └► Refused: settle, report to the sender
//! ```
//!
//! What does not fit into the courier's hands stays in the spool and is read again when there is room: memory is
//! bounded, the queue is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dccp::receipt::{Action, Outcome};
use dccp::seal::SealedMessage;
use dccp::{Did, UnixMillis};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use overlay::{Overlay, SendError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::flows::bodies;
use crate::flows::release::Release;
use crate::flows::report::Reporter;
use crate::metrics::{self, Metrics};
use crate::schedule::Schedule;
use crate::spool::{
    Direction, DueRow, Kind, LargeBody, Note, RowId, Settlement, Spool, SpoolError, Stage, State,
};

/// Messages to one partner that may be between `overlay.send` and its acknowledgement.
const IN_FLIGHT_MAX: usize = 256;

/// Messages offered but not yet taken up; beyond this they wait in the spool.
const OFFERS_MAX: usize = 256;

/// Bytes read from the spool at once.
const DUE_BYTES_MAX: usize = 16 << 20;

/// How long to leave the spool alone after it failed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);

/// A message on its way, kept durably before.
pub struct Item {
    /// Its row.
    pub id: RowId,
    /// Which partner it is for.
    pub to: Did,
    /// Mail, or a batch of receipts.
    pub kind: Kind,
    /// When it was accepted.
    pub accepted: UnixMillis,
    /// When it is given up.
    pub expires: UnixMillis,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Its bytes.
    pub sealed: SealedMessage,
    /// The large body that it names.
    pub large: Option<LargeBody>,
}

/// What every partner's courier works with.
pub struct Kit {
    /// Where messages wait.
    pub spool: Spool,
    /// The road.
    pub overlay: Overlay,
    /// Seals what was held and is released.
    pub release: Release,
    /// Tells senders about failures.
    pub reporter: Reporter,
    /// Counters.
    pub metrics: Metrics,
    /// When to try again.
    pub schedule: Schedule,
    /// Time.
    pub clock: Clock,
}

/// Passes messages to the courier of their partner.
#[derive(Clone)]
pub struct Handle {
    spool: Spool,
    desks: Arc<Mutex<HashMap<Did, mpsc::Sender<Item>>>>,
}

impl Handle {
    /// A handle that has no couriers yet: what is offered stays in the spool until [`Handle::employ`].
    pub fn new(spool: Spool) -> Self {
        Self { spool, desks: Arc::default() }
    }

    /// Offers a message whose row is leased to the caller. Without room it goes back to the spool.
    pub fn offer(&self, item: Item) {
        let desk = self.desks().get(&item.to).cloned();
        let id = item.id;
        if desk.is_none_or(|desk| desk.try_send(item).is_err()) {
            self.spool.release(id);
        }
    }

    /// Starts a courier for each of `partners` that has none.
    pub fn employ(
        &self,
        partners: impl Iterator<Item = Did>,
        kit: &Arc<Kit>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let mut desks = self.desks();
        for to in partners {
            desks.entry(to.clone()).or_insert_with(|| {
                let (desk, offers) = mpsc::channel(OFFERS_MAX);
                tasks.spawn(Courier { to, kit: kit.clone() }.run(offers, stop.clone()));
                desk
            });
        }
    }

    fn desks(&self) -> std::sync::MutexGuard<'_, HashMap<Did, mpsc::Sender<Item>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The courier of one partner.
struct Courier {
    to: Did,
    kit: Arc<Kit>,
}

impl Courier {
    async fn run(self, mut offers: mpsc::Receiver<Item>, stop: CancellationToken) {
        let mut flights = FuturesUnordered::new();
        let mut links = self.kit.overlay.links();
        let partner = self.to.to_string();
        let mut alarm =
            Alarm::new(self.kit.spool.clone(), Direction::Out, Some(partner.clone()), self.kit.clock);
        let mut was_up = false;
        loop {
            let room = flights.len() < IN_FLIGHT_MAX;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(()) = flights.next() => {}
                Some(item) = offers.recv(), if room => flights.push(self.carry(item)),
                () = alarm.rings(), if room => {
                    for item in self.collect(&partner, IN_FLIGHT_MAX - flights.len()).await {
                        flights.push(self.carry(item));
                    }
                }
                Ok(()) = links.changed() => {
                    let up = links.borrow_and_update().get(&self.to).is_some_and(|link| link.up);
                    if up && !was_up {
                        self.kit.spool.hasten(&partner, (self.kit.clock)()).await.unwrap_or_else(|error| self.complain(&error));
                    }
                    was_up = up;
                }
            }
        }
        // The overlay finishes what is in flight within the grace time; the spool keeps the rest.
        while flights.next().await.is_some() {}
    }

    /// Takes due rows from the spool; a held mail that was released is decided and sealed first.
    async fn collect(&self, partner: &str, room: usize) -> Vec<Item> {
        let now = (self.kit.clock)();
        let due = match self.kit.spool.due(Direction::Out, Some(partner), now, room, DUE_BYTES_MAX).await {
            Ok(due) => due,
            Err(error) => {
                self.complain(&error);
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                return Vec::new();
            }
        };
        let mut items = Vec::with_capacity(due.len());
        for row in due {
            items.extend(self.item(row).await);
        }
        items
    }

    async fn item(&self, row: DueRow) -> Option<Item> {
        let (id, kind, accepted) = (row.row.id, row.row.kind, row.row.accepted_at);
        let (expires, attempts, large) = (row.row.expires_at, row.row.attempts, row.row.large);
        if kind == Kind::Draft {
            return self.kit.release.seal(row).await.unwrap_or_else(|error| {
                self.complain(&error);
                self.kit.spool.release(id);
                None
            });
        }
        match SealedMessage::parse(Bytes::clone(&row.body)) {
            Ok(sealed) => {
                Some(Item { id, to: self.to.clone(), kind, accepted, expires, attempts, sealed, large })
            }
            Err(error) => {
                self.fail(id, "5.3.0", &format!("its stored form is not readable: {error}")).await;
                None
            }
        }
    }

    async fn carry(&self, item: Item) {
        let kit = &self.kit;
        let left = (kit.clock)();
        kit.metrics.sent.inc();
        let Item { id, kind, accepted, expires, attempts, sealed, large, .. } = item;
        let sent = match large {
            None => kit.overlay.send(&self.to, sealed).await,
            Some(body) => {
                let chunks = bodies::chunks(kit.spool.clone(), body);
                kit.overlay.send_with_body(&self.to, sealed, chunks).await
            }
        };
        let done = match sent {
            Ok(hop) => self.acknowledged(id, kind, accepted, left, hop.duplicate).await,
            Err(SendError::Refused { code, reason }) => {
                self.fail(id, "5.7.0", &format!("refused by the partner's gateway ({code:?}): {reason}"))
                    .await;
                Ok(())
            }
            Err(error) => self.put_off(id, attempts, expires, &error).await,
        };
        if let Err(error) = done {
            self.complain(&error);
            kit.spool.release(id);
        }
    }

    /// Durable at the partner. A mail now waits for the signed receipt; receipts have done their work.
    async fn acknowledged(
        &self,
        id: RowId,
        kind: Kind,
        accepted: UnixMillis,
        left: UnixMillis,
        duplicate: bool,
    ) -> Result<(), SpoolError> {
        let kit = &self.kit;
        let now = (kit.clock)();
        kit.metrics.acknowledged.inc();
        kit.metrics.stage_since(metrics::Stage::Acknowledge, accepted, now);
        let how =
            if duplicate { "the partner has it since an earlier attempt" } else { "durable at the partner" };
        let notes = vec![
            Note::new(left, Stage::Sent, "to the partner's gateway".to_owned()),
            Note::new(now, Stage::Acknowledged, how.to_owned()),
        ];
        if kind == Kind::Receipts {
            kit.spool.settle(Settlement::plain(id, State::Delivered, notes)).await?;
        } else {
            kit.spool.sent(id, notes).await?;
        }
        Ok(())
    }

    async fn put_off(
        &self,
        id: RowId,
        attempts: u32,
        expires: UnixMillis,
        error: &SendError,
    ) -> Result<(), SpoolError> {
        let kit = &self.kit;
        kit.metrics.deferred.inc();
        let now = (kit.clock)();
        let note = Note::new(now, Stage::Deferred, error.to_string());
        let next = kit.schedule.next(attempts + 1, now, expires, rand::random());
        kit.spool.defer(id, next, vec![note]).await?;
        Ok(())
    }

    /// The partner will never take it: settled, and told to the sender.
    async fn fail(&self, id: RowId, status: &str, why: &str) {
        let kit = &self.kit;
        let now = (kit.clock)();
        let outcome = Outcome {
            recipient: String::new(),
            action: Action::Failed,
            status: status.to_owned(),
            diagnostic: why.to_owned(),
        };
        if let Err(error) = kit.reporter.end(id, State::Failed, outcome, now).await {
            self.complain(&error);
            kit.spool.release(id);
        }
    }

    fn complain(&self, error: &SpoolError) {
        tracing::warn!(%error, partner = %self.to, "the courier cannot use the spool; messages stay queued");
    }
}
