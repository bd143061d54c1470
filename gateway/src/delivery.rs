//! Delivery takes arrived messages from the spool, a few at a time, and lets the flows finish them.
//!
//! ```text
//! arrival ─ offer(sealed) ─┐
//!                          ├─► delivery ─► flows::mail_in (mail, receipts)
//! spool.due(In, now) ──────┘           ├─► flows::mail_in::foreign (mail that came by SMTP)
//!                                      └─► flows::mail_in::own (our own reports)
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dccp::Did;
use dccp::seal::SealedMessage;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::flows::mail_in::{Arrived, MailIn};
use crate::spool::{Direction, DueRow, Kind, RowId, Spool};

/// Messages offered but not yet taken up; beyond this they wait in the spool.
const OFFERS_MAX: usize = 256;

/// Bytes read from the spool at once.
const DUE_BYTES_MAX: usize = 16 << 20;

/// How long to leave the spool alone after it failed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);

/// Passes fresh arrivals to delivery.
#[derive(Clone)]
pub struct Handle {
    spool: Spool,
    offers: mpsc::Sender<Arrived>,
}

impl Handle {
    /// A handle, and the end that [`Delivery::run`] takes.
    pub fn new(spool: Spool) -> (Self, mpsc::Receiver<Arrived>) {
        let (offers, taken) = mpsc::channel(OFFERS_MAX);
        (Self { spool, offers }, taken)
    }

    /// Offers an arrival whose row is leased to the caller. Without room it goes back to the spool.
    pub fn offer(&self, arrived: Arrived) {
        let id = arrived.id;
        if self.offers.try_send(arrived).is_err() {
            self.spool.release(id);
        }
    }
}

/// The task that delivers.
pub struct Delivery {
    /// Where arrivals wait.
    pub spool: Spool,
    /// Finishes them.
    pub mail_in: Arc<MailIn>,
    /// Messages worked on at once: a little more than connections to our mail server, so that none idles. Large mail that waits
    /// for memory does not count.
    pub at_once_max: usize,
    /// Time.
    pub clock: Clock,
}

impl Delivery {
    /// Runs until `stop`, then finishes what it has begun.
    pub async fn run(self, mut offers: mpsc::Receiver<Arrived>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut alarm = Alarm::new(self.spool.clone(), Direction::In, None, self.clock);
        let mut aside = self.mail_in.bodies.aside();
        loop {
            let room = aside.room(tasks.len(), self.at_once_max);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next() => {}
                () = aside.changed() => {}
                Some(arrived) = offers.recv(), if room > 0 => self.begin(&mut tasks, Work::Arrived(arrived)),
                () = alarm.rings(), if room > 0 => {
                    for work in self.collect(room).await {
                        self.begin(&mut tasks, work);
                    }
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn begin(&self, tasks: &mut JoinSet<()>, work: Work) {
        let (mail_in, spool, id) = (self.mail_in.clone(), self.spool.clone(), work.id());
        tasks.spawn(async move {
            let done = match work {
                Work::Arrived(arrived) => mail_in.deliver(arrived).await,
                Work::Own(row) => mail_in.deliver_own(row).await,
                Work::Foreign(row) => mail_in.deliver_foreign(row).await,
                Work::Unreadable(row) => mail_in.drop_unreadable(row).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, row = %id, "an arrived message stays queued: the spool failed");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                spool.release(id);
            }
        });
    }

    async fn collect(&self, room: usize) -> Vec<Work> {
        let now = (self.clock)();
        match self.spool.due(Direction::In, None, now, room, DUE_BYTES_MAX).await {
            Ok(due) => due.into_iter().map(Work::of).collect(),
            Err(error) => {
                tracing::warn!(%error, "delivery cannot read the spool; messages stay queued");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                Vec::new()
            }
        }
    }
}

/// What there is to do: a sealed arrival, a report of our own, or a mail that came by SMTP.
enum Work {
    Arrived(Arrived),
    Own(DueRow),
    Foreign(DueRow),
    Unreadable(DueRow),
}

impl Work {
    fn of(due: DueRow) -> Self {
        match due.row.kind {
            Kind::Report => return Self::Own(due),
            Kind::Foreign => return Self::Foreign(due),
            _ => {}
        }
        let from = due.row.partner.as_deref().and_then(|did| did.parse::<Did>().ok());
        match (from, SealedMessage::parse_resting(Bytes::clone(&due.body))) {
            (Some(from), Ok(sealed)) => Self::Arrived(Arrived {
                id: due.row.id,
                from,
                sealed,
                claimed: due.claimed,
                progress: due.row.remaining,
                attempts: due.row.attempts,
                arrived: due.row.accepted_at,
                expires: due.row.expires_at,
                approved: due.row.approved_by.is_some(),
            }),
            _ => Self::Unreadable(due),
        }
    }

    fn id(&self) -> RowId {
        match self {
            Self::Arrived(arrived) => arrived.id,
            Self::Own(due) | Self::Foreign(due) | Self::Unreadable(due) => due.row.id,
        }
    }
}
