//! Waits until the spool has work for one worker, without polling and without losing a ring.
//!
//! The spool rings a bell when rows may have become due; between rings the time of the next due row is known and
//! slept for. Waiting may be dropped at any point (`tokio::select!`) and resumed: a question to the spool that is
//! under way is kept, not asked again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use dccp::UnixMillis;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::spool::{Direction, Spool, SpoolError, Work};

/// How long to leave the spool alone after it failed to answer.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);

type Answer = Pin<Box<dyn Future<Output = Result<Option<UnixMillis>, SpoolError>> + Send>>;

/// The alarm clock of one worker.
pub struct Alarm {
    spool: Spool,
    queue: Queue,
    bell: watch::Receiver<u64>,
    clock: Clock,
    state: State,
}

/// Whose rows it is about.
enum Queue {
    /// Of a direction, of one partner or of all.
    Partners(Direction, Option<String>),
    /// What goes to the outside world.
    Outside,
}

enum State {
    /// Nothing is known: ask.
    Unknown,
    /// The spool was asked when the next row is due.
    Asked(Answer),
    /// Nothing is queued until the bell rings.
    Quiet,
    /// A row becomes due then.
    At(Instant),
}

impl Alarm {
    /// For rows in `direction`, of one partner or of all.
    pub fn new(spool: Spool, direction: Direction, partner: Option<String>, clock: Clock) -> Self {
        let bell = spool.listen(if direction == Direction::Out { Work::Out } else { Work::In });
        Self { spool, queue: Queue::Partners(direction, partner), bell, clock, state: State::Unknown }
    }

    /// For rows that go to the outside world.
    pub fn outside(spool: Spool, clock: Clock) -> Self {
        let bell = spool.listen(Work::Outside);
        Self { spool, queue: Queue::Outside, bell, clock, state: State::Unknown }
    }

    /// Returns when rows may be due. The caller looks and then calls again.
    pub async fn rings(&mut self) {
        loop {
            match &mut self.state {
                State::Unknown => self.ask(),
                State::Asked(answer) => {
                    let answer = answer.await;
                    self.state = self.understand(answer);
                }
                State::Quiet => {
                    // An error means that the spool is closed: nothing will ever be due again.
                    if self.bell.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    self.state = State::Unknown;
                }
                State::At(due) => tokio::select! {
                    () = sleep_until(*due) => {
                        self.state = State::Unknown;
                        return;
                    }
                    Ok(()) = self.bell.changed() => self.state = State::Unknown,
                },
            }
        }
    }

    fn ask(&mut self) {
        self.bell.mark_unchanged();
        let spool = self.spool.clone();
        self.state = State::Asked(match &self.queue {
            Queue::Partners(direction, partner) => {
                let (direction, partner) = (*direction, partner.clone());
                Box::pin(async move { spool.next_due_at(direction, partner.as_deref()).await })
            }
            Queue::Outside => Box::pin(async move { spool.next_due_outside_at().await }),
        });
    }

    fn understand(&self, answer: Result<Option<UnixMillis>, SpoolError>) -> State {
        match answer {
            Ok(None) => State::Quiet,
            Ok(Some(at)) => {
                State::At(Instant::now() + Duration::from_millis(at.0.saturating_sub((self.clock)().0)))
            }
            Err(error) => {
                tracing::warn!(%error, "the spool does not say what is due; asking again soon");
                State::At(Instant::now() + PAUSE_AFTER_ERROR)
            }
        }
    }
}
