//! Mail in: from the spool to our own mail server.
//!
//! ```text
//! read       unseal with our key, verify the partner's signature        (dccp)
//! recognise  sender → partner, recipients → aliases → our people        (partners, federation)
//! decide     per recipient, then for the whole mail                     (policies)
//! keep       the copy for the archive, if one must be: no copy, no hand-over   (archive, spool)
//! act        hand over by SMTP or LMTP, octets untouched                (smtp::client)
//!            agents: into their inboxes                                 (agents)
//! note       body dropped, journal, receipt in one durable commit       (spool)
//! ```
//!
//! A temporary answer of the mail server is never final: what is still to be done is kept and tried again until the
//! message expires. Who is refused meanwhile is reported at once, by a receipt that says what the others still wait for. What
//! cannot be opened is never acknowledged as delivered.

mod agents;
mod aliases;
mod arrived;
mod ask;
mod attempt;
mod copy;
mod foreign;
mod own;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use dccp::batch::RootCache;
use dccp::body::BodyError;
use dccp::mail::{self, Content, Mail};
use dccp::receipt::{self, Outcome, Receipt};
use dccp::seal::Opened;
use dccp::{Did, UnixMillis};
use policies::{Decision, Permit, Purpose, Verdict};
use smtp::client::Pool;

use crate::agents::Agents;
use crate::archive::Archivist;
use crate::clock::{Clock, system_time};
use crate::custody::{Custody, CustodyError};
use crate::flows::bodies::{Bodies, Edit, Octets};
use crate::flows::envelope;
use crate::flows::receipts::Receipts;
use crate::flows::records::{Done, Progress, purpose, queue_id_of};
use crate::flows::sealing::Suites;
use crate::flows::under_way::UnderWay;
use crate::flows::{Knowledge, Snapshot, forgeries, loops, protection, words};
use crate::introductions::Gossip;
use crate::metrics::{self, Metrics};
use crate::partners::Partner;
use crate::schedule::Schedule;
use crate::spool::{Learned, Partly, PendingReceipt, Settlement, Spool, SpoolError, Stage, State};

use agents::Origin;
pub use arrived::Arrived;
use arrived::{Undeliverable, replay_key};
use ask::{decide_mail, decide_recipient};
use attempt::Attempt;

/// Hands arrived mail over.
pub struct MailIn {
    /// People, partners, rules.
    pub knowledge: Knowledge,
    /// Opens.
    pub custody: Arc<Custody>,
    /// Where it waits.
    pub spool: Spool,
    /// Makes the copies that must be kept.
    pub archivist: Archivist,
    /// Fetches octets.
    pub bodies: Bodies,
    /// Our mail server.
    pub pool: Pool,
    /// Who does not have a mailbox there.
    pub agents: Agents,
    /// What to do when the message turns out to be receipts.
    pub receipts: Receipts,
    /// Signatures of batches that were verified lately.
    pub roots: RootCache,
    /// The weakest suites that count.
    pub suites: Suites,
    /// Hears what messages tell of trees.
    pub gossip: Gossip,
    /// What is being delivered at this moment.
    pub under_way: UnderWay,
    /// Counters.
    pub metrics: Metrics,
    /// Our name in trace headers.
    pub hostname: String,
    /// The name under which nobody but us writes down what was found out about mail.
    pub authserv_id: String,
    /// When to try again.
    pub schedule: Schedule,
    /// Largest mail in octets.
    pub size_max: u64,
    /// Time.
    pub clock: Clock,
}

impl MailIn {
    /// Works on one row until it is settled or put off; errors are the spool's only, and the row stays leased-free.
    pub async fn deliver(&self, row: Arrived) -> Result<(), SpoolError> {
        let snapshot = self.knowledge.snapshot();
        let key_id = row.sealed.key_id();
        let opening = self.custody.opening_key(&key_id, row.claimed.as_ref(), &self.spool).await;
        let opening = opening.map_err(CustodyError::into_spool)?;
        match self.open(&row, opening, &snapshot) {
            Err(reason) => self.give_up(&row, &reason).await,
            Ok((partner, opened)) => {
                let key = replay_key(&opened.message);
                let Some(_turn) = self.under_way.begin(key) else { return self.put_off_copy(&row).await };
                if self.spool.seen(key).await? {
                    return self.drop_replay(&row).await;
                }
                match opened.message.content_type.as_str() {
                    receipt::CONTENT_TYPE => {
                        self.receipts.settle_originals(row.id, partner, &opened, key).await
                    }
                    mail::CONTENT_TYPE => self.deliver_mail(&row, &snapshot, partner, opened, key).await,
                    other => self.give_up(&row, &Undeliverable::ContentType(other.to_owned())).await,
                }
            }
        }
    }
}

impl MailIn {
    /// One attempt at handing a mail over to everybody who is still to be served.
    async fn deliver_mail(
        &self,
        row: &Arrived,
        snapshot: &Snapshot,
        partner: &Partner,
        opened: Opened,
        key: [u8; 32],
    ) -> Result<(), SpoolError> {
        let message = opened.message;
        let id = message.message_id;
        let mail = match Mail::decode(message.payload.clone()) {
            Ok(mail) => mail,
            Err(error) => return self.give_up(row, &Undeliverable::Content(error)).await,
        };
        let octets = match self.octets(row, &mail).await? {
            Ok(octets) => octets,
            Err(error) => return self.give_up(row, &Undeliverable::Body(error)).await,
        };
        let status = status::sealed(message.suite, message.fs_class, partner.domain());
        let mut work = Attempt::new(row.leg(), mail, octets);
        work.note((self.clock)(), Stage::Opened, protection(&row.sealed, message.fs_class));
        let learned = work.learned(id, self.custody.vault());
        self.expand(&mut work, row.progress.as_deref(), snapshot);
        self.recall(&mut work, row.progress.as_deref(), |mail, recipient| {
            decide_recipient(snapshot, partner, mail, recipient)
        });
        if let Err(malformed) = loops::check(&work.octets, &self.hostname) {
            self.metrics.refused(malformed.rule);
            work.fail_pending("5.4.6", &malformed.reply.to_string());
        }
        if partner.is_frozen() && !work.progress.pending.is_empty() {
            let words = "two histories of the partner's identity are signed; its recovery key settles which one counts";
            work.note((self.clock)(), Stage::Decided, words.to_owned());
            return self.hold(work, Some(learned)).await;
        }
        if !work.progress.pending.is_empty() {
            let decision = decide_mail(
                snapshot,
                partner,
                &work.mail,
                work.progress.pending.len(),
                self.size_max,
                row.approved,
            );
            work.note((self.clock)(), Stage::Decided, words(&decision));
            match decision.verdict {
                Verdict::Allow(permit) => {
                    if self.archived(&mut work, partner).await {
                        // The trace stands last: an odd mail may begin with a line that continues whatever stands before it.
                        let trace = status + &self.received(&work, partner.domain());
                        let edit = forgeries::left_out(&work.octets, &self.authserv_id).behind(trace);
                        let origin = Origin::sealed(&message, partner);
                        self.hand_over(permit, origin, &edit, &mut work).await;
                    }
                }
                Verdict::Hold => return self.hold(work, Some(learned)).await,
                Verdict::Refuse(refusal) => work.fail_pending(&refusal.enhanced, &refusal.text),
            }
        }
        let now = (self.clock)();
        let owed = |outcomes: Vec<Outcome>| {
            let receipt = Receipt { message_id: id, digest: row.sealed.digest(), time: now, outcomes };
            self.owed(partner.did(), receipt)
        };
        if work.goes_on(now) {
            let receipt = work.has_news_of_failure().then(|| owed(work.outcomes_so_far()));
            work.progress.tell();
            let partly = Partly { learned: Some(learned), receipt, ..work.partly(self.custody.vault()) };
            return self.try_again(work, partly, now).await;
        }
        let state = self.finish(&mut work, now);
        let receipt = Some(owed(work.progress.outcomes()));
        let plain = Settlement::plain(row.id, state, work.notes);
        let (learned, replay_key) = (Some(learned), Some(key));
        self.spool.settle(Settlement { learned, receipt, replay_key, ..plain }).await?;
        Ok(())
    }

    /// The octets of the mail in this row, from the row itself or from beside it.
    async fn octets(&self, row: &Arrived, mail: &Mail) -> Result<Result<Octets, BodyError>, SpoolError> {
        let large = match mail.content {
            Content::Inline(_) => None,
            Content::Body(_) => self.spool.by_row_id(row.id).await?.and_then(|row| row.large),
        };
        self.bodies.fetch(&mail.content, large).await
    }

    /// Our word, to be sent to the gateway of `partner` with others.
    fn owed(&self, partner: &Did, receipt: Receipt) -> PendingReceipt {
        let sealed_receipt = self.custody.vault().seal(purpose::RECEIPT, &receipt::encode(&[receipt]));
        PendingReceipt { partner: partner.to_string(), sealed_receipt }
    }

    async fn hold(&self, work: Attempt, learned: Option<Learned>) -> Result<(), SpoolError> {
        self.spool.hold(work.leg.id, learned, work.notes_for_hold((self.clock)())).await?;
        self.metrics.held.inc();
        Ok(())
    }

    /// What an `earlier` attempt left, or a decision about every recipient.
    fn recall(
        &self,
        work: &mut Attempt,
        earlier: Option<&[u8]>,
        decide: impl Fn(&Mail, &str) -> Decision<()>,
    ) {
        let earlier = earlier.and_then(|sealed| Progress::open(self.custody.vault(), sealed).ok());
        if let Some(progress) = earlier {
            work.progress = progress;
            return;
        }
        let mut refusals = BTreeSet::new(); // the same words for many recipients are noted once
        for recipient in &work.mail.envelope.forward_paths {
            let decision = decide(&work.mail, recipient);
            let reason = words(&decision);
            match decision.verdict {
                Verdict::Allow(()) | Verdict::Hold => work.progress.pending.push(recipient.clone()),
                Verdict::Refuse(refusal) => {
                    self.metrics
                        .refused(decision.reasons.first().map_or("none", |reason| reason.rule.as_str()));
                    refusals.insert(reason);
                    let failed = Done::failed(recipient.clone(), &refusal.enhanced, &refusal.text);
                    work.progress.done.push(failed);
                }
            }
        }
        for reason in refusals {
            work.note((self.clock)(), Stage::Decided, reason);
        }
    }

    /// The mail leaves the house in clear, towards our own mail server and our own agents only: `permit` is the judge's word
    /// for it. What they read is the mail after the `edit`.
    async fn hand_over(&self, permit: Permit, origin: Origin, edit: &Edit, work: &mut Attempt) {
        let started = (self.clock)();
        if *permit.purpose() != Purpose::HandOver {
            return work.fail_pending("5.7.1", "the permit at hand does not allow handing over");
        }
        let again = self.hand_to_agents(origin, edit, work).await;
        if !work.progress.pending.is_empty() {
            self.hand_to_people(&edit.pieces(&work.octets), work).await;
        }
        work.progress.pending.extend(again);
        self.metrics.stage_since(metrics::Stage::HandOver, started, (self.clock)());
    }

    async fn hand_to_people(&self, segments: &[Bytes], work: &mut Attempt) {
        let envelope = envelope::handed_over(&work.mail.envelope, &work.progress.pending);
        match self.pool.hand_over(&envelope, segments).await {
            Ok(handed_over) => work.apply(handed_over.outcomes, self.custody.vault(), (self.clock)()),
            Err(error) if error.is_permanent() => work.fail_pending("5.6.0", &error.to_string()),
            Err(error) => work.put_off(&error.to_string(), self.custody.vault(), (self.clock)()),
        }
    }

    fn received(&self, work: &Attempt, partner_domain: &str) -> String {
        let facts = smtp::trace::Received {
            from: partner_domain,
            address: None,
            tls: None,
            by: &self.hostname,
            with: "DCCP",
            id: &queue_id_of(work.leg.id),
            recipients: &[],
        };
        smtp::trace::received(&facts, system_time((self.clock)()))
    }

    /// Keeps what is known for the next attempt.
    async fn try_again(&self, work: Attempt, partly: Partly, now: UnixMillis) -> Result<(), SpoolError> {
        let leg = work.leg;
        let next = self.schedule.next(leg.attempts + 1, now, leg.expires, rand::random());
        self.metrics.deferred.inc();
        self.spool.progress(leg.id, next, partly, work.notes).await?;
        Ok(())
    }

    /// How it ended; whoever is still pending at the deadline is given up.
    fn finish(&self, work: &mut Attempt, now: UnixMillis) -> State {
        work.fail_pending("4.4.7", "it could not be handed over before the message expired");
        let delivered = work.progress.done.iter().all(|done| done.delivered);
        work.note(now, if delivered { Stage::Delivered } else { Stage::Failed }, work.counts());
        self.metrics.settled_in(delivered, work.leg.arrived, now);
        if delivered { State::Delivered } else { State::Failed }
    }
}
