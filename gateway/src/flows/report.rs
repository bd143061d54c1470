//! Report: what became of a mail is told to its sender exactly once, as an RFC 3464 report: a failure and a long delay
//! unless the sender waived it, a delivery if the sender asked (RFC 3461). It is handed to our own mail server for our
//! own people, and relayed for somebody outside whose mail came to nothing here.
//!
//! The report is composed from the return slip, so it can name the mail without its content; it is kept (sealed to
//! ourselves) in the same durable commit that settles the failed row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use dccp::UnixMillis;
use dccp::receipt::{Action, Outcome};
use federation::Directory;
use smtp::address::Address;
use smtp::dsn::{Diagnostic, OriginalRecipient, RecipientReport};
use smtp::reply::Enhanced;
use smtp::server::RcptTo;

use crate::clock::system_time;
use crate::custody::Custody;
use crate::flows::notice::Notice;
use crate::flows::records::{News, Progress, Slip, Source, purpose, queue_id_of};
use crate::metrics::Metrics;
use crate::spool::{Kind, NewRow, Note, RowId, Settlement, Spool, SpoolError, Stage, State, Waiting};

/// Composes reports in the name of this gateway.
#[derive(Clone)]
pub struct Reporter {
    /// Seals the report while it waits.
    pub custody: Arc<Custody>,
    /// Where failed rows are settled.
    pub spool: Spool,
    /// Who is ours.
    pub directory: Arc<Directory>,
    /// Counters.
    pub metrics: Metrics,
    /// `Reporting-MTA`.
    pub hostname: String,
    /// Milliseconds a report waits for the mail server that takes it.
    pub lifetime_ms: u64,
    /// Counts reports; one for all reporters.
    pub storm: Storm,
}

impl Reporter {
    /// Ends the outgoing row `id` without success, for the reason in `outcome`, and reports to its sender in the same
    /// durable step. A row that ended before stays as it is.
    ///
    /// # Errors
    /// The spool's.
    pub async fn end(
        &self,
        id: RowId,
        state: State,
        outcome: Outcome,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let Some(waiting) = self.spool.waiting(id).await? else { return Ok(()) };
        let stage = if state == State::Expired { Stage::Expired } else { Stage::Failed };
        let detail = self.custody.vault().seal(purpose::NOTE, outcome.diagnostic.as_bytes());
        let note = Note::new(now, stage, format!("status {}", outcome.status)).with_sealed(detail);
        self.metrics.failed.inc();
        self.spool.settle(self.settlement(&waiting, state, &[News::ours(outcome)], vec![note], now)).await?;
        Ok(())
    }

    /// Tells the sender of the row `id`, which goes on waiting, that it is late. Once: the journal remembers.
    ///
    /// # Errors
    /// The spool's.
    pub async fn late(&self, id: RowId, now: UnixMillis) -> Result<(), SpoolError> {
        let Some(waiting) = self.spool.waiting(id).await? else { return Ok(()) };
        let outcome = Outcome {
            recipient: String::new(),
            action: Action::Delayed,
            status: "4.4.7".to_owned(),
            diagnostic: "it is kept here and goes on its way as soon as it can".to_owned(),
        };
        let report = self.report(&waiting, &[News::ours(outcome)], now);
        let reason =
            if report.is_some() { "delay report to the sender" } else { "late; nobody wants to be told" };
        self.spool.tell(id, report, None, vec![Note::new(now, Stage::Late, reason)]).await?;
        Ok(())
    }

    /// The end of `waiting`, with a report about those among the `news` that its sender wants to be told of.
    pub fn settlement(
        &self,
        waiting: &Waiting,
        state: State,
        news: &[News],
        mut notes: Vec<Note>,
        now: UnixMillis,
    ) -> Settlement {
        let report = self.told(waiting, news, &mut notes, now);
        let mut settlement = Settlement::plain(waiting.row.id, state, notes);
        settlement.new_rows = report.into_iter().collect();
        settlement
    }

    /// A report about those among the `news` that the sender of `waiting` wants to be told of, to be kept in the step in
    /// which the row goes on or ends.
    pub fn told(
        &self,
        waiting: &Waiting,
        news: &[News],
        notes: &mut Vec<Note>,
        now: UnixMillis,
    ) -> Option<NewRow> {
        let report = self.report(waiting, news, now)?;
        let failed = news.iter().any(|news| news.outcome.action == Action::Failed);
        let reason = if failed { "failure report to the sender" } else { "delivery report to the sender" };
        notes.push(Note::new(now, Stage::Reported, reason));
        Some(report)
    }

    /// Tells the sender of a mail, whose `slip` this is, that these `aliases` were sent to everybody who is meant by them; of
    /// the success of each it will not be told (RFC 3461 §5.2.7.3). `None` when nobody wants to hear it.
    pub fn expanded(&self, slip: &Slip, aliases: &[RcptTo], now: UnixMillis) -> Option<NewRow> {
        let one = |alias: &RcptTo| RecipientReport {
            recipient: alias.address.to_string(),
            action: smtp::dsn::Action::Expanded,
            status: Enhanced(2, 0, 0),
            remote_mta: None,
            diagnostic: None,
            last_attempt: None,
            original: alias.orcpt.clone(),
        };
        self.compose(slip, &aliases.iter().map(one).collect::<Vec<_>>(), now)
    }

    /// `None` when nobody wants a report: nothing happened that the sender asked for, no mail (receipts have no slip), the
    /// null sender, or more reports to one sender than anybody reads.
    fn report(&self, waiting: &Waiting, news: &[News], now: UnixMillis) -> Option<NewRow> {
        let slip = Slip::open(self.custody.vault(), waiting.slip.as_ref()?)
            .inspect_err(
                |error| tracing::error!(%error, row = %waiting.row.id, "a mail's end cannot be reported"),
            )
            .ok()?;
        let until = system_time(waiting.row.expires_at);
        let progress = self.progress(waiting);
        let about = |news| about(news, (&slip, &progress), waiting.row.kind, until);
        let recipients: Vec<RecipientReport> = news.iter().flat_map(about).collect();
        self.compose(&slip, &recipients, now)
    }

    /// The report about `recipients`, if there are any, and somebody to tell (RFC 5321 §4.5.5: never report on a report).
    fn compose(&self, slip: &Slip, recipients: &[RecipientReport], now: UnixMillis) -> Option<NewRow> {
        let sender: Address = slip.reverse_path.parse().ok()?;
        if recipients.is_empty() {
            return None;
        }
        if !self.storm.permits(&slip.reverse_path, now) {
            tracing::warn!("a report is withheld: its sender got {REPORTS_PER_HOUR_MAX} within an hour");
            return None;
        }
        let id = RowId::fresh();
        let octets = smtp::dsn::compose(&smtp::dsn::Report {
            reporting_mta: &self.hostname,
            report_id: &queue_id_of(id),
            arrival: system_time(UnixMillis(slip.arrived_ms)),
            now: system_time(now),
            original_sender: &sender,
            original_envelope_id: slip.envelope_id.as_deref(),
            recipients,
            original_headers: &slip.header_octets(),
        });
        let (to, require_tls, lifetime_ms) = (&sender, slip.require_tls, self.lifetime_ms);
        let notice = Notice { id, to, octets, require_tls, now, lifetime_ms };
        Some(notice.row(self.custody.vault(), &self.directory))
    }

    /// How far the row had come when it was read.
    fn progress(&self, waiting: &Waiting) -> Progress {
        let sealed = waiting.row.remaining.as_ref();
        sealed.and_then(|sealed| Progress::open(self.custody.vault(), sealed).ok()).unwrap_or_default()
    }
}

/// What the report says of one piece of news. One without a recipient speaks of the whole message: of those who have no end
/// yet. Nobody is told twice.
fn about(
    News { outcome, by }: &News,
    (slip, progress): (&Slip, &Progress),
    kind: Kind,
    until: SystemTime,
) -> Vec<RecipientReport> {
    let named = std::slice::from_ref(&outcome.recipient);
    let recipients = if outcome.recipient.is_empty() { &slip.recipients } else { named };
    let (action, default) = match outcome.action {
        Action::Failed => (smtp::dsn::Action::Failed, Enhanced(5, 0, 0)),
        Action::Delayed => (smtp::dsn::Action::Delayed { will_retry_until: until }, Enhanced(4, 0, 0)),
        // Another server took it that offers no reports: no more will be heard of it (RFC 3464 §2.3.3).
        Action::Delivered if kind == Kind::Relay => (smtp::dsn::Action::Relayed, Enhanced(2, 0, 0)),
        Action::Delivered => (smtp::dsn::Action::Delivered, Enhanced(2, 0, 0)),
    };
    let is_news = |recipient: &&String| match outcome.recipient.is_empty() {
        true => !progress.has_ended(recipient),
        false => !progress.was_told(recipient),
    };
    let words = outcome.diagnostic.clone();
    let (remote_mta, diagnostic) = match by {
        Source::House => (None, Diagnostic::Local(words)),
        Source::MailServer(name) => (Some(name.clone()), Diagnostic::Smtp(words)),
        Source::Partner(domain) => (Some(domain.clone()), Diagnostic::Local(words)),
    };
    let one = |recipient: &String| {
        let wanted = slip.wanted(recipient);
        let is_wanted = match outcome.action {
            Action::Failed => wanted.failure,
            Action::Delayed => wanted.delay,
            Action::Delivered => wanted.success,
        };
        is_wanted.then(|| RecipientReport {
            recipient: recipient.clone(),
            action,
            status: outcome.status.parse().unwrap_or(default),
            remote_mta: remote_mta.clone(),
            diagnostic: Some(diagnostic.clone()),
            last_attempt: None,
            original: wanted.original.map(|(kind, address)| OriginalRecipient { kind, address }),
        })
    };
    recipients.iter().filter(is_news).filter_map(one).collect()
}

/// Reports to one sender within an hour: a mass mailing to a place that is gone would otherwise bury its sender.
const REPORTS_PER_HOUR_MAX: u32 = 100;

/// Senders whose reports are counted; beyond them counting starts anew, which errs towards telling.
const SENDERS_COUNTED_MAX: usize = 10_000;

const HOUR_MS: u64 = 3_600_000;

/// Keeps failures of a mass mailing from becoming a mass mailing to its sender.
#[derive(Clone, Default)]
pub struct Storm(Arc<Mutex<HashMap<String, (UnixMillis, u32)>>>);

impl Storm {
    /// Counts a report to `sender`: whether it may go.
    fn permits(&self, sender: &str, now: UnixMillis) -> bool {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.to_lowercase();
        if senders.len() >= SENDERS_COUNTED_MAX && !senders.contains_key(&sender) {
            senders.clear();
        }
        let (since, count) = senders.entry(sender).or_insert((now, 0));
        if now >= since.saturating_add_ms(HOUR_MS) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= REPORTS_PER_HOUR_MAX
    }
}

#[cfg(test)]
mod tests {
    use dccp::mail::{MailEnvelope, Notify, Wish};

    use super::*;
    use crate::flows::records::Done;

    const UNTIL: SystemTime = SystemTime::UNIX_EPOCH;

    fn slip(notify: &[Notify]) -> Slip {
        let recipients = ["bob@globex.test", "eve@globex.test"];
        let wishes = notify.iter().map(|notify| Wish { notify: *notify, original: None });
        let envelope = MailEnvelope {
            reverse_path: "alice@acme.test".into(),
            forward_paths: recipients.map(str::to_owned).to_vec(),
            wishes: wishes.collect(),
            ..MailEnvelope::default()
        };
        Slip::of(&envelope, UnixMillis(0), String::new())
    }

    fn told(notify: &[Notify], recipient: &str, action: Action) -> usize {
        about(&ours(recipient, action), (&slip(notify), &Progress::default()), Kind::Mail, UNTIL).len()
    }

    fn ours(recipient: &str, action: Action) -> News {
        let (status, diagnostic) = (String::new(), "550 5.1.1 no such user".to_owned());
        News::ours(Outcome { recipient: recipient.into(), action, status, diagnostic })
    }

    #[test]
    fn a_sender_who_says_nothing_is_told_of_trouble_only() {
        assert_eq!(told(&[], "bob@globex.test", Action::Failed), 1);
        assert_eq!(told(&[], "", Action::Delayed), 2, "no recipient means all of them");
        assert_eq!(told(&[], "", Action::Delivered), 0);
        assert_eq!(told(&[Notify::Unspecified; 2], "", Action::Failed), 2);
    }

    #[test]
    fn a_sender_is_told_what_it_asked_for_of_each_recipient_and_no_more() {
        let success = Notify::On { success: true, failure: false, delay: false };
        let notify = [success, Notify::Never];
        assert_eq!(told(&notify, "", Action::Delivered), 1);
        assert_eq!(told(&notify, "bob@globex.test", Action::Failed), 0);
        assert_eq!(told(&notify, "eve@globex.test", Action::Failed), 0);
        assert_eq!(told(&notify, "", Action::Delayed), 0);
    }

    #[test]
    fn nobody_is_told_twice() {
        let told = Done { told: true, ..Done::failed("bob@globex.test".into(), "5.1.1", "no such user") };
        let progress =
            Progress { done: vec![told], pending: vec!["eve@globex.test".into()], ..Progress::default() };
        let about = |recipient: &str, action| {
            let told = super::about(&ours(recipient, action), (&slip(&[]), &progress), Kind::Relay, UNTIL);
            told.into_iter().map(|told| told.recipient).collect::<Vec<_>>()
        };
        assert!(about("bob@globex.test", Action::Failed).is_empty());
        assert_eq!(about("eve@globex.test", Action::Failed), ["eve@globex.test"]);
        assert_eq!(about("", Action::Failed), ["eve@globex.test"], "no recipient means those who still wait");
        assert_eq!(about("", Action::Delayed), ["eve@globex.test"]);
    }

    #[test]
    fn a_report_quotes_a_mail_server_only_for_what_that_server_said() {
        let ours = ours("bob@globex.test", Action::Failed);
        let said = |by: Source| {
            let news = News { by, ..ours.clone() };
            let [told] = &about(&news, (&slip(&[]), &Progress::default()), Kind::Relay, UNTIL)[..] else {
                panic!()
            };
            (told.remote_mta.clone(), told.diagnostic.clone().unwrap())
        };
        let words = ours.outcome.diagnostic.clone();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(said(Source::House), (None, Diagnostic::Local(words.clone())));
        let server = Source::MailServer("mx.globex.test".to_owned());
        assert_eq!(said(server), (named("mx.globex.test"), Diagnostic::Smtp(words.clone())));
        let partner = Source::Partner("globex.test".to_owned());
        assert_eq!(said(partner), (named("globex.test"), Diagnostic::Local(words)));
    }

    #[test]
    fn what_left_for_the_outside_was_handed_on_and_is_not_called_delivered() {
        let (news, all) =
            (ours("", Action::Delivered), Notify::On { success: true, failure: true, delay: true });
        for (kind, wanted) in
            [(Kind::Mail, smtp::dsn::Action::Delivered), (Kind::Relay, smtp::dsn::Action::Relayed)]
        {
            let told = about(&news, (&slip(&[all; 2]), &Progress::default()), kind, UNTIL);
            assert!(told.len() == 2 && told.iter().all(|told| told.action == wanted), "{told:?}");
        }
    }

    #[test]
    fn a_storm_of_reports_ends_at_its_bound_and_starts_anew_after_an_hour() {
        let storm = Storm::default();
        let permitted = |at| (0..150).filter(|_| storm.permits("Alice@acme.test", UnixMillis(at))).count();
        assert_eq!(permitted(1), REPORTS_PER_HOUR_MAX as usize);
        assert!(storm.permits("bob@acme.test", UnixMillis(2)));
        assert_eq!(permitted(HOUR_MS), 0);
        assert_eq!(permitted(HOUR_MS + 1), REPORTS_PER_HOUR_MAX as usize);
    }
}
