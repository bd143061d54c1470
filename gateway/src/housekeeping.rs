//! Everything has an end: what the house does by the clock, not by a message.
//!
//! | every | what |
//! |---|---|
//! | start | decide anew what is held for partners who are not in doubt |
//! | second | notice partners that another process imported; give up what has expired; free the large bodies that are over |
//! | minute | keep the epoch prekeys current and present them to partners; tell senders what is late; wake sleeping workers |
//! | hour | purge the journal, old contacts and archived copies whose time is over |

use std::time::Duration;

use dccp::UnixMillis;
use dccp::receipt::{Action, Outcome};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::acquaintance::Acquaintance;
use crate::archive;
use crate::clock::Clock;
use crate::flows::report::Reporter;
use crate::people::Contacts;
use crate::spool::{Direction, Kind, Note, Settlement, Spool, SpoolError, Stage, State, Waiting};

/// Expired rows settled in one look, so that housekeeping never holds the spool for long.
const EXPIRED_AT_ONCE: usize = 100;

/// Late rows told in one look, for the same reason.
const LATE_AT_ONCE: usize = 100;

/// How long a message may be due without anybody taking it up: a worker takes what is due at once, so minutes mean that it
/// is overwhelmed or does not work.
pub const STUCK_AFTER_MS: u64 = 15 * 60_000;

/// The task that keeps the house.
pub struct Housekeeping {
    /// What is kept.
    pub spool: Spool,
    /// Partners and our prekeys.
    pub acquaintance: Acquaintance,
    /// What partners answered about their people.
    pub contacts: Contacts,
    /// Tells senders what is late and what expired.
    pub reporter: Reporter,
    /// Milliseconds after which a sender is told that a mail is late; none: never.
    pub late_after_ms: Option<u64>,
    /// Forgets archived copies.
    pub archive: archive::Keeper,
    /// Time.
    pub clock: Clock,
}

impl Housekeeping {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let [mut second, mut minute, mut hour] = [1, 60, 3_600].map(|s| {
            let mut ticks = interval(Duration::from_secs(s));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        complain("decide anew what is held", self.acquaintance.release_settled().await);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = second.tick() => {
                    self.acquaintance.follow().await;
                    complain("give up what has expired", self.give_up_expired().await);
                    complain("free large bodies", self.spool.sweep((self.clock)()).await);
                }
                _ = minute.tick() => {
                    self.acquaintance.rotate((self.clock)()).await;
                    complain("tell what is late", self.tell_late().await);
                    complain("look for stuck messages", watch_over(&self.spool, (self.clock)()).await);
                }
                _ = hour.tick() => {
                    complain("purge the journal", self.spool.purge((self.clock)()).await);
                    complain("forget old contacts", self.contacts.purge((self.clock)()).await);
                    complain("look after the archive", self.archive.look_after().await);
                }
            }
        }
    }

    async fn tell_late(&self) -> Result<(), SpoolError> {
        let Some(late_after_ms) = self.late_after_ms else { return Ok(()) };
        let now = (self.clock)();
        let before = now.saturating_sub_ms(late_after_ms);
        for id in self.spool.late(before, now, LATE_AT_ONCE).await? {
            self.reporter.late(id, now).await?;
        }
        Ok(())
    }

    async fn give_up_expired(&self) -> Result<(), SpoolError> {
        let now = (self.clock)();
        for expired in self.spool.expired(now, EXPIRED_AT_ONCE).await? {
            let id = expired.row.id;
            if let Err(error) = self.give_up(expired).await {
                self.spool.release(id);
                return Err(error);
            }
        }
        Ok(())
    }

    /// A mail that came by SMTP is reported to its sender. What came from a partner and was held too long just ends: its
    /// sender's gateway gives it up by its own clock.
    async fn give_up(&self, expired: Waiting) -> Result<(), SpoolError> {
        let now = (self.clock)();
        let row = expired.row;
        if row.state == State::Queued && (row.direction == Direction::In || row.kind == Kind::Relay) {
            // Delivery and the relay courier make the last attempt themselves, and tell whom it concerns how it ended.
            self.spool.release(row.id);
            return Ok(());
        }
        if row.direction == Direction::Out || row.kind == Kind::Foreign {
            let (status, why) = match row.state {
                State::Sent => {
                    ("5.4.7", "the partner's gateway has it, but never confirmed that it was delivered")
                }
                State::Held => ("5.7.0", "it was held until it expired, and no administrator released it"),
                _ => ("5.4.7", "the partner's gateway could not be reached before the message expired"),
            };
            let outcome = Outcome {
                recipient: String::new(),
                action: Action::Failed,
                status: status.to_owned(),
                diagnostic: why.to_owned(),
            };
            tracing::warn!(queue_id = row.queue_id, partner = row.partner_domain, "a mail expired: {why}");
            return self.reporter.end(row.id, State::Expired, outcome, now).await;
        }
        let note = Note::new(now, Stage::Expired, "its time ran out");
        self.spool.settle(Settlement::plain(row.id, State::Expired, vec![note])).await?;
        Ok(())
    }
}

/// The watchdog: a message that has long been due and is in nobody's hands shows a worker that sleeps. It is woken.
async fn watch_over(spool: &Spool, now: UnixMillis) -> Result<(), SpoolError> {
    let stuck = spool.stuck(now.saturating_sub_ms(STUCK_AFTER_MS), 1).await?;
    if let Some(id) = stuck.first() {
        tracing::error!(row = %id, "a message has long been due and nobody takes it up; waking everybody");
        spool.ring_all();
    }
    Ok(())
}

fn complain<T>(what: &str, done: Result<T, SpoolError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "cannot {what} now; trying again later");
    }
}
