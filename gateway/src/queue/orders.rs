//! What a person orders, done row by row.
//!
//! | order | to what | becomes |
//! |---|---|---|
//! | hold | queued (or held by the judge) | held until a person releases it |
//! | release | held | queued, due now; the judge may still refuse it, but holds it no more |
//! | retry | queued | due now, even where its destination would rest |
//! | reroute | what leaves by SMTP | the given next hop, or the way of its domain |
//! | reroute | held before it was sealed | for the partner that its domain has now, decided anew |
//! | reroute | sealed | refused: nobody else could open it |
//! | expire | anything | expired; its sender is told: by a report, or by a receipt to the partner's gateway |
//! | drop | anything | failed; nobody is told |

use control::{ControlError, DeclinedRow, OrderOutcome, QueueAct, QueueOrder};
use dccp::UnixMillis;
use dccp::receipt::{self, Action, Outcome, Receipt};

use super::filter::Filter;
use super::{Administration, name_of, reason_of, silent};
use crate::flows::records::{News, Progress, purpose};
use crate::spool::{
    Act, Declined, Direction, Kind, Moved, Note, Order, PendingReceipt, Row, Settlement, SpoolError, Stage,
    State,
};

/// Octets of a next hop: a domain name (RFC 1035 §2.3.4), a colon and a port.
const NEXT_HOP_BYTES_MAX: usize = 255 + 6;

/// What the sender of an expired message is told.
const EXPIRED: &str = "an administrator of the gateway gave it up before it could be delivered";

impl Administration {
    pub(super) async fn obey(&self, asked: QueueOrder) -> Result<OrderOutcome, ControlError> {
        if asked.which.is_everything() {
            return Err(ControlError::Bad("Say which messages: an id, or a filter.".to_owned()));
        }
        let why = reason_of(&asked.why)?;
        if asked.act == QueueAct::Drop && why.is_empty() {
            return Err(ControlError::Bad("Nobody is told of what is dropped: say why.".to_owned()));
        }
        let next_hop = next_hop(&asked)?;
        let now = (self.clock)();
        let order = Order {
            act: asked.act.as_str(),
            by: name_of(&asked.by)?,
            at: now,
            why: self.vault.seal(purpose::NOTE, why.as_bytes()),
        };
        let (found, next) = self.scan(&Filter::of(&asked.which, now)?).await?;
        let rows: Vec<Row> = found.into_iter().map(|(row, _summary)| row).collect();
        if rows.is_empty() && next.is_none() && asked.which.after.is_none() {
            return Err(ControlError::NotFound("No waiting message is meant by this.".to_owned()));
        }
        if matches!(asked.act, QueueAct::Release | QueueAct::Retry | QueueAct::Reroute) {
            self.wake(&rows);
        }
        let answers = match asked.act {
            QueueAct::Hold => self.all(&rows, Act::Hold, &order).await,
            QueueAct::Release => self.all(&rows, Act::Release, &order).await,
            QueueAct::Retry => self.all(&rows, Act::Retry, &order).await,
            QueueAct::Reroute => self.reroute(&rows, next_hop.as_deref(), &order).await,
            QueueAct::Expire | QueueAct::Drop => self.end(&rows, asked.act, &order).await,
        };
        let answers = answers.map_err(silent)?;
        tracing::info!(by = order.by, act = order.act, rows = rows.len(), "the queue was given an order");
        Ok(outcome(&rows, answers, next))
    }

    /// A person's "now" counts more than the rest of a server that could not be reached; before the rows are due, so that
    /// the courier finds it awake.
    fn wake(&self, rows: &[Row]) {
        for row in rows.iter().filter(|row| row.kind == Kind::Relay) {
            self.exchange.wake(row.next_hop.as_deref().unwrap_or(&row.partner_domain));
        }
    }

    async fn all(&self, rows: &[Row], act: Act, order: &Order) -> Result<Vec<Answer>, SpoolError> {
        self.spool.order(rows.iter().map(|row| row.id).collect(), act, order.clone()).await
    }

    /// Each by what it is: the spool refuses what is sealed.
    async fn reroute(
        &self,
        rows: &[Row],
        next_hop: Option<&str>,
        order: &Order,
    ) -> Result<Vec<Answer>, SpoolError> {
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            let act = match row.kind {
                Kind::Draft => self.pinned_for(row, next_hop),
                _ => Ok(Act::Reroute(next_hop.map(str::to_owned))),
            };
            match act {
                Ok(act) => answers.extend(self.spool.order(vec![row.id], act, order.clone()).await?),
                Err(declined) => answers.push(Err(declined)),
            }
        }
        Ok(answers)
    }

    /// A draft goes to a partner or nowhere: what was meant to be sealed does not leave by SMTP because of an order.
    fn pinned_for(&self, row: &Row, next_hop: Option<&str>) -> Result<Act, Declined> {
        if next_hop.is_some() {
            return Err(Declined::Unfit("it is to be sealed to a partner, and does not leave by SMTP"));
        }
        let partners = self.partners.borrow();
        let partner = partners.by_domain(&row.partner_domain);
        let partner =
            partner.ok_or(Declined::Unfit("its domain has no partner now; import or find one first"))?;
        Ok(Act::Readdress(partner.did().to_string()))
    }

    async fn end(&self, rows: &[Row], act: QueueAct, order: &Order) -> Result<Vec<Answer>, SpoolError> {
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            answers.push(self.end_one(row, act, order).await?);
        }
        Ok(answers)
    }

    async fn end_one(&self, row: &Row, act: QueueAct, order: &Order) -> Result<Answer, SpoolError> {
        let Some(end) = self.settlement(row, act, order.at).await? else {
            return Ok(Err(Declined::Unknown));
        };
        match self.spool.settle(Settlement { order: Some(order.clone()), ..end }).await {
            Ok(Moved::Done) => Ok(Ok(())),
            Ok(Moved::AlreadyFinal(state)) => Ok(Err(Declined::Ended(state))),
            Err(SpoolError::Declined(declined)) => Ok(Err(declined)),
            Err(error) => Err(error),
        }
    }

    /// `None`: it ended meanwhile.
    async fn settlement(
        &self,
        row: &Row,
        act: QueueAct,
        now: UnixMillis,
    ) -> Result<Option<Settlement>, SpoolError> {
        if act == QueueAct::Drop {
            let note = Note::new(now, Stage::Failed, "dropped; nobody is told");
            return Ok(Some(Settlement::plain(row.id, State::Failed, vec![note])));
        }
        let notes = vec![Note::new(now, Stage::Expired, EXPIRED)];
        let outcome = Outcome {
            recipient: String::new(),
            action: Action::Failed,
            status: "5.4.7".to_owned(), // RFC 3463 §3.5: delivery time expired
            diagnostic: EXPIRED.to_owned(),
        };
        if let (Direction::In, Some(partner), Kind::Mail | Kind::Unopened) =
            (row.direction, &row.partner, row.kind)
        {
            let receipt = Some(self.receipt(row, partner, outcome, now));
            return Ok(Some(Settlement { receipt, ..Settlement::plain(row.id, State::Expired, notes) }));
        }
        let waiting = self.spool.waiting(row.id).await?;
        Ok(waiting.map(|waiting| {
            self.reporter.settlement(&waiting, State::Expired, &[News::ours(outcome)], notes, now)
        }))
    }

    /// Our signed word to the gateway of the sender, who reports it. Whoever has the mail already stays delivered.
    fn receipt(&self, row: &Row, partner: &str, expired: Outcome, now: UnixMillis) -> PendingReceipt {
        let progress = row.remaining.as_ref().and_then(|sealed| Progress::open(&self.vault, sealed).ok());
        let outcomes = match progress {
            None => vec![expired],
            Some(progress) => {
                let pending = progress.pending.iter().cloned();
                let given_up = pending.map(|recipient| Outcome { recipient, ..expired.clone() });
                progress.outcomes_with(given_up.collect())
            }
        };
        let receipt = Receipt {
            message_id: row.message_id.unwrap_or_default(),
            digest: row.digest,
            time: now,
            outcomes,
        };
        let sealed_receipt = self.vault.seal(purpose::RECEIPT, &receipt::encode(&[receipt]));
        PendingReceipt { partner: partner.to_owned(), sealed_receipt }
    }
}

/// What became of one row.
type Answer = Result<(), Declined>;

fn outcome(rows: &[Row], answers: Vec<Answer>, next: Option<String>) -> OrderOutcome {
    let mut outcome = OrderOutcome { next, ..OrderOutcome::default() };
    for (row, answer) in rows.iter().zip(answers) {
        match answer {
            Ok(()) => outcome.done += 1,
            Err(declined) => outcome.declined.push(DeclinedRow {
                queue_id: row.queue_id.clone(),
                destination: row.partner_domain.clone(),
                why: declined.to_string(),
            }),
        }
    }
    outcome
}

/// `host:port`, as it stands in the row; only for rerouting.
fn next_hop(order: &QueueOrder) -> Result<Option<String>, ControlError> {
    let Some(text) = order.next_hop.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let bad = |why: &str| Err(ControlError::Bad(format!("“next_hop” {why}.")));
    if order.act != QueueAct::Reroute {
        return bad("belongs to reroute");
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let host_fits = !host.is_empty()
        && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet));
    if text.len() > NEXT_HOP_BYTES_MAX || !host_fits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return bad("is host:port, such as relay.example.net:25");
    }
    Ok(Some(text.to_ascii_lowercase()))
}
