//! The relay courier takes mail for domains without a gateway from the spool to their mail servers.
//!
//! ```text
//! spool.due_outside(now) ─► open (sealed to ourselves) ─► ask the judge again, with what is known now
//!     │ Allow(Permit to relay) ─► exchange.relay ─► an outcome for every recipient
//!     │     delivered, refused for good ─► done      not now ─► pending, again by the schedule
//!     │ Allow(Permit to seal): the domain has become a partner's ─► sealed instead, in the same durable step
//!     │ Hold ─► waits for a person        Refuse ─► returned to its sender
//!     ▼
//! nobody pending: settled, with a failure report if anybody was refused
//! ```
//!
//! Invariants:
//! - The judge is asked before every attempt: what must be encrypted since yesterday does not leave in the clear today.
//! - A recipient that was served is never served again; one that was not is tried until the mail expires.
//! - Who was refused is reported after the attempt, however long others wait. Whom a server took that offers DSN, that
//!   server reports about (RFC 3461 §5.2.1); whom another took was relayed, as far as we can tell (§5.2.2).
//! - Whether a mail may have been delivered twice (a server that fell silent after the final dot) stands in its journal.

mod ask;
pub mod tls_report;
mod work;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dccp::UnixMillis;
use dccp::receipt::{Action, Outcome as Receipted};
use policies::{Permit, Purpose, Verdict};
use smtp::authenticity::{Signer, forged_results};
use smtp::message;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarm;
use crate::clock::{Clock, system_time};
use crate::custody::Custody;
use crate::exchange::{Exchange, Letter, NotYet};
use crate::flows::bodies::Bodies;
use crate::flows::envelope;
use crate::flows::marks::Marking;
use crate::flows::records::Progress;
use crate::flows::report::Reporter;
use crate::flows::{Knowledge, Snapshot, words};
use crate::metrics::Metrics;
use crate::schedule::Schedule;
use crate::spool::{DueRow, Partly, RowId, Spool, SpoolError, Stage, State};

use work::Work;

/// Mails on their way to the outside at one time. Most of that time is waiting for other people's servers.
const AT_ONCE_MAX: usize = 128;

/// Bytes read from the spool at once.
const DUE_BYTES_MAX: usize = 16 << 20;

/// How long to leave the spool alone after it failed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);

/// The relay courier.
pub struct Relay {
    /// Where mail waits.
    pub spool: Spool,
    /// Opens what is sealed to ourselves.
    pub custody: Arc<Custody>,
    /// Fetches octets.
    pub bodies: Bodies,
    /// People, partners, rules.
    pub knowledge: Knowledge,
    /// The way to the outside.
    pub exchange: Arc<Exchange>,
    /// Which mail must be encrypted.
    pub marking: Marking,
    /// Signs what leaves (DKIM).
    pub signer: watch::Receiver<Arc<Signer>>,
    /// The name under which we write down what was found out about mail that comes in.
    pub authserv_id: String,
    /// What the configuration demands of the way; `None`: nothing leaves.
    pub outside: Option<policies::Demand>,
    /// Tells senders about failures.
    pub reporter: Reporter,
    /// Counters.
    pub metrics: Metrics,
    /// When to try again.
    pub schedule: Schedule,
    /// Largest mail in octets.
    pub size_max: u64,
    /// Time.
    pub clock: Clock,
}

impl Relay {
    /// Runs until `stop`, then finishes what it has begun.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut alarm = Alarm::outside(self.spool.clone(), self.clock);
        let mut aside = self.bodies.aside();
        loop {
            let room = aside.room(tasks.len(), AT_ONCE_MAX);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next() => {}
                () = aside.changed() => {}
                () = alarm.rings(), if room > 0 => {
                    for due in self.collect(room).await {
                        tasks.spawn(self.clone().carry(due));
                    }
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn collect(&self, room: usize) -> Vec<DueRow> {
        match self.spool.due_outside((self.clock)(), room, DUE_BYTES_MAX).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the relay courier cannot read the spool; mail stays queued");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                Vec::new()
            }
        }
    }

    async fn carry(self: Arc<Self>, due: DueRow) {
        let id = due.row.id;
        if let Err(error) = self.attempt(due).await {
            tracing::warn!(%error, row = %id, "a mail to the outside stays queued: the spool failed");
            tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            self.spool.release(id);
        }
    }

    /// One attempt for everybody who is still to be served.
    async fn attempt(&self, due: DueRow) -> Result<(), SpoolError> {
        let vault = self.custody.vault();
        let Some((mail, octets)) = self.bodies.fetch_own(vault, &due).await? else {
            tracing::error!(row = %due.row.id, "a stored mail is not readable any more; it cannot be relayed");
            return self.unreadable(due.row.id).await;
        };
        let earlier = due.row.remaining.as_ref().and_then(|sealed| Progress::open(vault, sealed).ok());
        let mut work = Work::new(due, mail, octets, earlier);
        let snapshot = self.knowledge.snapshot();
        let decision = self.decide(&snapshot, &work);
        work.note((self.clock)(), Stage::Decided, words(&decision));
        match decision.verdict {
            Verdict::Hold => {
                self.metrics.held.inc();
                work.note((self.clock)(), Stage::Held, "waits for an administrator".to_owned());
                self.spool.hold(work.due.row.id, None, work.notes).await?;
                Ok(())
            }
            Verdict::Refuse(refusal) if refusal.is_temporary() => {
                work.put_off(&refusal.text);
                self.conclude(work).await
            }
            Verdict::Refuse(refusal) => {
                work.fail_pending(&refusal.enhanced, &refusal.text);
                self.conclude(work).await
            }
            Verdict::Allow(permit) => match permit.purpose() {
                Purpose::Relay { .. } => self.relay(permit, work).await,
                _ => self.sealed_instead(&snapshot, work).await,
            },
        }
    }

    async fn relay(&self, permit: Permit, mut work: Work) -> Result<(), SpoolError> {
        let envelope = envelope::passed_on(&work.mail.envelope, &work.progress.pending);
        let octets = [self.signature(&work.octets), Bytes::clone(&work.octets)];
        let letter =
            Letter { envelope: &envelope, octets: &octets, next_hop: work.due.row.next_hop.as_deref() };
        match self.exchange.relay(permit, &letter).await {
            Ok(relayed) => {
                work.apply(relayed, self.custody.vault(), (self.clock)());
                self.conclude(work).await
            }
            Err(not_yet) => self.wait(work, not_yet).await,
        }
    }

    /// `DKIM-Signature` fields for the domain in From, made last of all, because nothing may change behind them; empty where
    /// no key of ours signs for it. What cannot be signed leaves unsigned: what that means is its receivers' to say.
    ///
    /// Neither is signed what our mail server passes on of what came in: it bears what we found out about it, and a stranger may
    /// have written it under an address of ours. Our signature would make that authentic.
    fn signature(&self, octets: &[u8]) -> Bytes {
        if !forged_results(octets, &self.authserv_id).is_empty() {
            return Bytes::new();
        }
        let from = message::read(octets, &message::Limits::default()).ok().and_then(|facts| facts.from);
        let domain = from.as_deref().and_then(|from| from.rsplit_once('@')).map_or("", |(_, domain)| domain);
        let signer = self.signer.borrow().clone();
        let signed = signer.sign(domain, octets, system_time((self.clock)()));
        signed
            .unwrap_or_else(|error| {
                tracing::warn!(%error, domain, "a mail to the outside leaves unsigned");
                None
            })
            .unwrap_or_default()
            .into()
    }

    /// It is not the destination's turn: no attempt, and no note, or a long queue would fill the journal.
    async fn wait(&self, mut work: Work, not_yet: NotYet) -> Result<(), SpoolError> {
        let expires = work.due.row.expires_at;
        if (self.clock)() >= expires {
            work.put_off(&not_yet.why);
            return self.conclude(work).await;
        }
        self.spool.postpone(work.due.row.id, not_yet.until.min(expires)).await?;
        Ok(())
    }

    /// Everything final: settle, with a report about what failed. Something pending: try again, or give up at the end; what
    /// is final for some is told at once.
    async fn conclude(&self, mut work: Work) -> Result<(), SpoolError> {
        let now = (self.clock)();
        let (id, expires) = (work.due.row.id, work.due.row.expires_at);
        if !work.progress.pending.is_empty() && now < expires {
            let next = self.schedule.next(work.due.row.attempts + 1, now, expires, rand::random());
            self.metrics.deferred.inc();
            work.note_if_untold(now);
            let (waiting, untold) = (work.waiting(), work.progress.untold());
            let report = self.reporter.told(&waiting, &untold, &mut work.notes, now);
            work.progress.tell();
            let remaining = work.progress.seal(self.custody.vault());
            self.spool.progress(id, next, Partly { report, ..Partly::of(remaining) }, work.notes).await?;
            return Ok(());
        }
        let why = work.last_words();
        work.fail_pending("5.4.7", &format!("given up after {} attempts: {why}", work.due.row.attempts + 1));
        self.settle(work, now).await
    }

    async fn settle(&self, mut work: Work, now: UnixMillis) -> Result<(), SpoolError> {
        let delivered = work.progress.done.iter().all(|done| done.delivered);
        let (state, stage) = match delivered {
            true => (State::Delivered, Stage::Delivered),
            false => (State::Failed, Stage::Failed),
        };
        work.note(now, stage, work.counts());
        if delivered { &self.metrics.relayed } else { &self.metrics.failed }.inc();
        let Some(waiting) = self.spool.waiting(work.due.row.id).await? else { return Ok(()) };
        let outcomes = work.progress.untold();
        let settlement = self.reporter.settlement(&waiting, state, &outcomes, work.notes, now);
        self.spool.settle(settlement).await?;
        Ok(())
    }

    /// The domain has become a partner's since the mail was accepted: what is pending goes the sealed way.
    async fn sealed_instead(&self, snapshot: &Snapshot, mut work: Work) -> Result<(), SpoolError> {
        let now = (self.clock)();
        let Some(partner) = snapshot.partners.by_domain(&work.due.row.partner_domain) else {
            work.fail_pending("5.7.1", "the permit at hand does not allow relaying");
            return self.conclude(work).await;
        };
        work.note(now, Stage::Sealed, "its domain has a partner's gateway now: sealed instead".to_owned());
        let draft = work.draft(partner, self.custody.vault(), now);
        work.progress.pending.clear();
        let Some(waiting) = self.spool.waiting(work.due.row.id).await? else { return Ok(()) };
        let outcomes = work.progress.untold();
        let mut settlement = self.reporter.settlement(&waiting, State::Delivered, &outcomes, work.notes, now);
        settlement.new_rows.push(draft);
        self.spool.settle(settlement).await?;
        Ok(())
    }

    async fn unreadable(&self, id: RowId) -> Result<(), SpoolError> {
        let outcome = Receipted {
            recipient: String::new(),
            action: Action::Failed,
            status: "5.3.0".to_owned(),
            diagnostic: "its stored form is not readable any more".to_owned(),
        };
        self.reporter.end(id, State::Failed, outcome, (self.clock)()).await
    }
}
