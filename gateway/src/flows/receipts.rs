//! Receipts: the partner's signed word settles what we sent, and our word about what we received goes back.
//!
//! ```text
//! in   opened batch ─► each original Delivered (body dropped) or Failed (report to its sender)   (origin)
//!                   └► while some recipients still wait: report about those who were refused
//! out  pending receipts ─► one batch, signed once, sealed ─► courier                             (destination)
//! ```
//!
//! A batch is one message with one hybrid signature, so its `Signed` bytes are the evidence for every receipt in it;
//! they are kept, sealed to ourselves, with the row of the batch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dccp::receipt::{self, Action, Outcome, Receipt};
use dccp::seal::{Opened, SealedMessage};
use dccp::{Did, UnixMillis};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::courier;
use crate::custody::Custody;
use crate::flows::Knowledge;
use crate::flows::records::{Done, News, Progress, Slip, Summary, purpose, queue_id_of};
use crate::flows::report::Reporter;
use crate::flows::sealing::Sealer;
use crate::metrics::Metrics;
use crate::partners::Partner;
use crate::spool::{
    Direction, Kind, Lane, Learned, NewRow, Note, RowId, Settlement, Spool, SpoolError, Stage, State, Turn,
    Waiting, Work,
};

/// Receipts in one batch: one signature and one seal are shared by this many mails (protocol §5, batches of 64).
const BATCH_MAX: usize = 64;

/// Octets of receipts in one batch: far below what a partner decodes (4 MiB), and small enough for a full disk's reserve.
/// A single receipt may be larger; it then travels alone.
const BATCH_BYTES_MAX: usize = 128 * 1024;

/// How long a receipt may wait for company: long enough to share a signature under load, too short to notice.
const LINGER: Duration = Duration::from_millis(20);

/// How long to wait after a spool error before pending receipts are looked at again.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);

/// Milliseconds a batch may wait for its partner; the originals expire long before.
const LIFETIME_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// Settles originals by what partners say of them.
#[derive(Clone)]
pub struct Receipts {
    /// Where the originals wait.
    pub spool: Spool,
    /// Opens return slips.
    pub custody: Arc<Custody>,
    /// Tells the sender about failures.
    pub reporter: Reporter,
    /// Counters.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
}

impl Receipts {
    /// Settles every original that the batch `opened` of `partner` speaks of and the batch itself (row `batch`), in one
    /// durable step.
    pub async fn settle_originals(
        &self,
        batch: RowId,
        partner: &Partner,
        opened: &Opened,
        key: [u8; 32],
    ) -> Result<(), SpoolError> {
        let now = (self.clock)();
        let receipts = receipt::decode(&opened.message.payload).unwrap_or_else(|error| {
            tracing::warn!(partner = partner.domain(), %error, "a batch of receipts is not readable; nothing is settled by it");
            Vec::new()
        });
        self.metrics.receipts_taken(receipts.len());
        let (mut settlements, mut is_news) = (Vec::with_capacity(receipts.len() + 1), false);
        for receipt in &receipts {
            match self.original(receipt, partner, now).await? {
                Word::Last(settlement) => settlements.push(*settlement),
                Word::Meanwhile => is_news = true,
                Word::Nothing => {}
            }
        }
        is_news |= !settlements.is_empty();
        let vault = self.custody.vault();
        let note = Note::new(now, Stage::Receipt, counted(receipts.len(), "receipt"));
        let mut settlement = Settlement::plain(batch, State::Delivered, vec![note]);
        settlement.replay_key = Some(key);
        // Of words that say nothing new none is kept: whoever repeats them must not fill our disk.
        settlement.evidence = is_news.then(|| vault.seal(purpose::EVIDENCE, &opened.evidence));
        settlement.learned = Some(Learned {
            kind: Kind::Receipts,
            message_id: opened.message.message_id,
            message_id_tag: None,
            summary: Summary::unread().seal(vault),
            size: opened.message.payload.len() as u64,
        });
        settlements.push(settlement);
        self.spool.settle_all(settlements).await?;
        Ok(())
    }

    /// What `receipt` means for its original, if that still waits for one.
    async fn original(
        &self,
        receipt: &Receipt,
        partner: &Partner,
        now: UnixMillis,
    ) -> Result<Word, SpoolError> {
        let did = partner.did().to_string();
        let Some(original) = self.spool.awaiting_receipt(receipt.message_id, receipt.digest, &did).await?
        else {
            tracing::debug!(partner = partner.domain(), "a receipt speaks of no message that waits for one");
            return Ok(Word::Nothing);
        };
        let slip = original.slip.as_ref().and_then(|sealed| Slip::open(self.custody.vault(), sealed).ok());
        if slip.is_some_and(|slip| !speaks_of_all(&receipt.outcomes, &slip.recipients)) {
            tracing::warn!(
                partner = partner.domain(),
                queue_id = original.row.queue_id,
                "a receipt does not speak of the recipients of its message; it is ignored"
            );
            return Ok(Word::Nothing);
        }
        if !is_final(&receipt.outcomes) {
            return self.meanwhile(original, receipt, partner, now).await;
        }
        let delivered = receipt.outcomes.iter().all(|outcome| outcome.action == Action::Delivered);
        let detail = self.detail(&receipt.outcomes);
        let (state, stage) =
            if delivered { (State::Delivered, Stage::Delivered) } else { (State::Failed, Stage::Failed) };
        let count = counted(receipt.outcomes.len(), "recipient");
        let reason = format!("signed receipt of {}, {count}", partner.domain());
        let notes = vec![Note::new(now, stage, reason).with_sealed(detail)];
        self.metrics.settled_out(delivered, original.row.accepted_at, now);
        let news = news_of(&receipt.outcomes, partner);
        let settlement = self.reporter.settlement(&original, state, &news, notes, now);
        Ok(Word::Last(Box::new(settlement)))
    }
}

/// What one receipt comes to.
enum Word {
    /// Its original ends like this.
    Last(Box<Settlement>),
    /// Somebody was refused, which its sender was told; others still wait.
    Meanwhile,
    /// Nothing that we did not know.
    Nothing,
}

impl Receipts {
    /// Tells the sender of those who were refused for good while others are still to be served: once, however often the
    /// partner says so. It is kept before the batch is, so that a crash in between costs no report.
    async fn meanwhile(
        &self,
        original: Waiting,
        receipt: &Receipt,
        partner: &Partner,
        now: UnixMillis,
    ) -> Result<Word, SpoolError> {
        let vault = self.custody.vault();
        let earlier = original.row.remaining.as_ref().and_then(|sealed| Progress::open(vault, sealed).ok());
        let mut progress = earlier.unwrap_or_default();
        let is_news = |it: &&Outcome| it.action == Action::Failed && !progress.has_ended(&it.recipient);
        let refused: Vec<Outcome> = receipt.outcomes.iter().filter(is_news).cloned().collect();
        if refused.is_empty() {
            return Ok(Word::Nothing);
        }
        let count = counted(refused.len(), "recipient");
        let reason = format!("signed receipt of {}: {count} refused, others still wait", partner.domain());
        let mut notes = vec![Note::new(now, Stage::Receipt, reason).with_sealed(self.detail(&refused))];
        let report = self.reporter.told(&original, &news_of(&refused, partner), &mut notes, now);
        let done = |it: &Outcome| Done::failed(it.recipient.clone(), &it.status, &it.diagnostic);
        progress.done.extend(refused.iter().map(done));
        progress.tell();
        self.spool.tell(original.row.id, report, Some(progress.seal(vault)), notes).await?;
        Ok(Word::Meanwhile)
    }

    fn detail(&self, outcomes: &[Outcome]) -> Vec<u8> {
        let words: Vec<_> = outcomes.iter().map(words_of).collect();
        self.custody.vault().seal(purpose::NOTE, words.join("; ").as_bytes())
    }
}

fn news_of(outcomes: &[Outcome], partner: &Partner) -> Vec<News> {
    outcomes.iter().map(|outcome| News::of_partner(outcome, partner.domain())).collect()
}

/// Whether a receipt ends the wait for it: it speaks of somebody, and of nobody who is still to be served.
fn is_final(outcomes: &[Outcome]) -> bool {
    !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.action != Action::Delayed)
}

/// Whether a receipt speaks of every recipient that its message had and of nobody else. An outcome without a recipient
/// speaks of them all.
fn speaks_of_all(outcomes: &[Outcome], recipients: &[String]) -> bool {
    let named: BTreeSet<&str> = outcomes.iter().map(|outcome| outcome.recipient.as_str()).collect();
    let had: BTreeSet<&str> = recipients.iter().map(String::as_str).collect();
    named == had || named == BTreeSet::from([""])
}

/// The first of `pending`, as many as one batch may hold in octets.
fn batch_of(pending: &[(i64, Vec<u8>)]) -> &[(i64, Vec<u8>)] {
    let mut bytes = 0;
    let fitting = pending.iter().take_while(|(_, sealed)| {
        bytes += sealed.len();
        bytes <= BATCH_BYTES_MAX
    });
    let count = fitting.count().max(1).min(pending.len());
    pending.get(..count).unwrap_or(pending)
}

/// What became of one recipient. A mail server's reply mostly names the status itself.
fn words_of(outcome: &Outcome) -> String {
    let Outcome { recipient, status, diagnostic, .. } = outcome;
    match diagnostic.contains(status.as_str()) {
        true => format!("{recipient}: {diagnostic}"),
        false => format!("{recipient}: {status} {diagnostic}"),
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Gathers what we owe partners and sends it in batches.
pub struct Answering {
    /// Where pending receipts are kept.
    pub spool: Spool,
    /// Partners' keys.
    pub knowledge: Knowledge,
    /// Signs and seals.
    pub sealer: Sealer,
    /// Takes the sealed batch.
    pub courier: courier::Handle,
    /// Counters.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
}

impl Answering {
    /// Runs until `stop`: whenever receipts are pending, waits `LINGER` for company and sends them.
    pub async fn run(self, stop: CancellationToken) {
        let mut bell = self.spool.listen(Work::Receipts);
        bell.mark_changed(); // a crash may have left receipts pending
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                rung = bell.changed() => if rung.is_err() { return },
            }
            tokio::time::sleep(LINGER).await;
            bell.mark_unchanged();
            if let Err(error) = self.answer_all().await {
                tracing::warn!(%error, "receipts could not be gathered; they stay pending");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                bell.mark_changed();
            }
        }
    }

    async fn answer_all(&self) -> Result<(), SpoolError> {
        for partner in self.spool.partners_with_receipts().await? {
            loop {
                let pending = self.spool.receipts_pending(&partner, BATCH_MAX).await?;
                if pending.is_empty() || !self.answer(&partner, batch_of(&pending)).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Sends one batch; `false` when the partner is not known (any more) and the receipts must wait.
    async fn answer(&self, did: &str, pending: &[(i64, Vec<u8>)]) -> Result<bool, SpoolError> {
        let snapshot = self.knowledge.snapshot();
        let Some(partner) = did.parse::<Did>().ok().and_then(|did| snapshot.partners.by_did(&did)) else {
            return Ok(false);
        };
        let now = (self.clock)();
        let receipts: Vec<Receipt> = pending.iter().filter_map(|(_, sealed)| self.recall(sealed)).collect();
        let id = RowId::fresh();
        let expires = now.saturating_add_ms(LIFETIME_MS);
        let (sealed, note) = match self.sealer.receipts(id, &receipts, partner, expires).await {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(%error, partner = partner.domain(), "receipts could not be sealed; they stay pending");
                return Ok(false);
            }
        };
        let row = self.row(id, partner, &sealed, now);
        let consumed = pending.iter().map(|(seq, _)| *seq).collect();
        self.spool.accept_receipts(row, vec![note], consumed).await?;
        self.metrics.receipts_sent(receipts.len());
        let to = partner.did().clone();
        self.courier.offer(courier::Item {
            id,
            to,
            kind: Kind::Receipts,
            accepted: now,
            expires,
            attempts: 0,
            sealed,
            large: None,
        });
        Ok(true)
    }

    /// A pending receipt as it was written. One that the disk gives back changed cannot be sent; the partner's sender
    /// learns from the expiry of the mail.
    fn recall(&self, sealed: &[u8]) -> Option<Receipt> {
        let clear = self.sealer.custody.vault().open(purpose::RECEIPT, sealed);
        let receipt = clear.ok().and_then(|clear| receipt::decode(&clear).ok()?.into_iter().next());
        if receipt.is_none() {
            tracing::error!("a pending receipt is not readable any more; it cannot be sent");
        }
        receipt
    }

    fn row(&self, id: RowId, partner: &Partner, sealed: &SealedMessage, now: UnixMillis) -> NewRow {
        NewRow {
            id,
            queue_id: queue_id_of(id),
            direction: Direction::Out,
            kind: Kind::Receipts,
            partner: Some(partner.did().to_string()),
            partner_domain: partner.domain().to_owned(),
            sealed_to: None,
            size: sealed.bytes().len() as u64,
            body: sealed.bytes().clone(),
            large: None,
            slip: None,
            summary: Summary::unread().seal(self.sealer.custody.vault()),
            message_id_tag: None,
            digest: sealed.digest(),
            now,
            next_at: now,
            expires_at: now.saturating_add_ms(LIFETIME_MS),
            state: State::Queued,
            held_by: None,
            turn: Turn { lane: Lane::Reports, ..Turn::default() },
            leased: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(recipient: &str) -> Outcome {
        let (status, diagnostic) = ("2.0.0".to_owned(), String::new());
        Outcome { recipient: recipient.to_owned(), action: Action::Delivered, status, diagnostic }
    }

    #[test]
    fn a_receipt_must_speak_of_every_recipient_and_of_nobody_else() {
        let had = ["bob@globex.test".to_owned(), "eve@globex.test".to_owned()];
        assert!(speaks_of_all(&[outcome("eve@globex.test"), outcome("bob@globex.test")], &had));
        assert!(speaks_of_all(&[outcome("")], &had), "no recipient means all of them");
        assert!(!speaks_of_all(&[outcome("bob@globex.test")], &had));
        assert!(!speaks_of_all(&[outcome("bob@globex.test"), outcome("")], &had));
        let more = [outcome("bob@globex.test"), outcome("eve@globex.test"), outcome("mallory@globex.test")];
        assert!(!speaks_of_all(&more, &had));
    }

    #[test]
    fn a_batch_is_bounded_in_octets_but_never_empty() {
        let pending = |sizes: &[usize]| sizes.iter().map(|size| (0, vec![0; *size])).collect::<Vec<_>>();
        assert_eq!(batch_of(&pending(&[100, 200])).len(), 2);
        assert_eq!(batch_of(&pending(&[BATCH_BYTES_MAX, 1])).len(), 1);
        assert_eq!(batch_of(&pending(&[BATCH_BYTES_MAX + 1, 1])).len(), 1);
    }
}
