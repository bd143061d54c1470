//! What the gateway counts and measures: one [`Metrics`] handle, cloned wherever something happens.
//!
//! ```text
//! flows, courier, delivery, smtp ──inc/observe──► Metrics ─┐
//! spool, overlay (their own numbers) ──────────────────────┼─► Registry ─► GET /metrics (OpenMetrics 1.0)
//! journal, links ── drawn at scrape time ─► Metrics::show ─┘
//! ```
//!
//! Names start with `dccp_`, counters end in `_total`, units are in the name (OpenMetrics). `docs/API.md`
//! lists them all. No label carries an address, a Message-ID or anything else a message contains; label
//! values come from fixed words, rule names and configured partner domains, so the number of series is bounded.
//!
//! Counters say what happened in this process. What *is* (queue depths, links) is not counted along but read
//! from the journal when somebody looks, so that it cannot drift.

mod smtp;
mod spool;
mod stage;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;

use control::{Direction, LargeDepth, LinkState, Overview, QueueDepth, Totals};
use dccp::UnixMillis;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use spool::watch_spool;
pub use stage::Stage;

/// Characters of a label value that are kept: enough for every rule name, and a bound on what one series costs.
const LABEL_CHARS_MAX: usize = 64;

/// Everything the gateway counts. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    /// Sealed messages made, one per destination.
    pub sealed: Counter,
    /// Sealed messages given to the overlay, every attempt counted.
    pub sent: Counter,
    /// Messages whose hop acknowledgement came: the partner's gateway keeps them durably.
    pub acknowledged: Counter,
    /// Arrivals seen before: acknowledged again, not delivered again.
    pub duplicates: Counter,
    /// Arrivals that could not be opened or verified.
    pub unopened: Counter,
    /// Arrivals refused because their suite is weaker than agreed with their sender.
    pub downgrades: Counter,
    /// One-time keys given to partners.
    pub one_time_keys_served: Counter,
    /// Questions for one-time keys that got none: the partner has had enough, or the stock is empty.
    pub one_time_keys_denied: Counter,
    /// Attempts put off to a later time.
    pub deferred: Counter,
    /// Mails taken for all their recipients by servers outside of the overlay.
    pub relayed: Counter,
    /// Messages given up by us; where there is somebody to tell, the sender was told.
    pub failed: Counter,
    /// Messages stopped by a rule until a person decides.
    pub held: Counter,
    accepted: Counter,
    arrived: Counter,
    delivered: Ways,
    message_bytes: Ways,
    receipts_sent: Counter,
    receipts_taken: Counter,
    refused: Family<ReasonLabel, Counter>,
    refused_all: Counter, // the sum over all reasons, for the overview; not exported
    smtp: smtp::SmtpCounts,
    stages: stage::Stages,
    queue_depth: Family<QueueLabel, Gauge>,
    oldest_without_progress: Gauge<f64, AtomicU64>,
    stuck: Gauge,
    alarms: Gauge,
    link_up: Family<DomainLabel, Gauge>,
    archive_copies: Gauge,
    archive_bytes: Gauge,
    large_bodies: Family<LargeLabel, Gauge>,
    large_bytes: Family<LargeLabel, Gauge>,
}

impl Metrics {
    /// Registers everything under the prefix `dccp_`. The registry is shared with the overlay, which adds its own.
    pub fn new(registry: &mut Registry) -> Self {
        let root = registry.sub_registry_with_prefix("dccp");
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        root.register("build", "The running program", Info::new(version));
        let delivered = Family::default();
        root.register("delivered", "Messages that ended well", delivered.clone());
        let bytes = Family::default();
        let help = "Octets carried, accepted mail outbound and sealed messages inbound";
        root.register_with_unit("message", help, Unit::Bytes, bytes.clone());
        let metrics = Self {
            accepted: counter(root, "accepted", "Mails accepted from our people"),
            sealed: counter(root, "sealed", "Messages sealed, one per destination"),
            sent: counter(root, "sent", "Attempts to send a sealed message to a partner"),
            acknowledged: counter(root, "acknowledged", "Messages a partner acknowledged as durably kept"),
            arrived: counter(root, "arrived", "Sealed messages kept on arrival"),
            duplicates: counter(root, "duplicates", "Arrivals seen before and not delivered again"),
            unopened: counter(root, "unopened", "Arrivals that could not be opened or verified"),
            downgrades: counter(root, "downgrades", "Arrivals refused for a weaker suite than agreed"),
            one_time_keys_served: counter(root, "one_time_keys_served", "One-time keys given to partners"),
            one_time_keys_denied: counter(
                root,
                "one_time_keys_denied",
                "Questions for one-time keys that got none",
            ),
            deferred: counter(root, "deferred", "Attempts put off to a later time"),
            relayed: counter(root, "relayed", "Mails taken by servers outside of the overlay"),
            failed: counter(root, "failed", "Messages given up"),
            held: counter(root, "held", "Messages stopped by a rule until a person decides"),
            receipts_sent: counter(root, "receipts_sent", "Signed receipts sent to partners"),
            receipts_taken: counter(root, "receipts_taken", "Signed receipts taken from partners"),
            delivered: Ways::of(&delivered),
            message_bytes: Ways::of(&bytes),
            refused: Family::default(),
            refused_all: Counter::default(),
            smtp: smtp::SmtpCounts::new(root),
            stages: stage::Stages::new(root),
            queue_depth: Family::default(),
            oldest_without_progress: Gauge::default(),
            stuck: Gauge::default(),
            alarms: Gauge::default(),
            link_up: Family::default(),
            archive_copies: Gauge::default(),
            archive_bytes: Gauge::default(),
            large_bodies: Family::default(),
            large_bytes: Family::default(),
        };
        metrics.register_the_rest(root);
        metrics
    }

    fn register_the_rest(&self, root: &mut Registry) {
        root.register("refused", "Recipients and mails refused, by rule or fault", self.refused.clone());
        root.register(
            "queue_depth",
            "Messages in the journal, by direction and state",
            self.queue_depth.clone(),
        );
        root.register_with_unit(
            "oldest_without_progress",
            "Age of the most neglected waiting message",
            Unit::Seconds,
            self.oldest_without_progress.clone(),
        );
        root.register(
            "stuck_messages",
            "Messages that have long been due and that nobody takes up",
            self.stuck.clone(),
        );
        root.register("alarms", "Alarms that the overview shows, in words there", self.alarms.clone());
        root.register("archive_copies", "Copies in the archive", self.archive_copies.clone());
        let help = "What the copies in the archive take";
        root.register_with_unit("archive", help, Unit::Bytes, self.archive_bytes.clone());
        let help = "Octets of large mails that rest, by standing; each once, however many messages have it";
        root.register("large_bodies", help, self.large_bodies.clone());
        root.register_with_unit(
            "large",
            "What the large bodies take, by standing",
            Unit::Bytes,
            self.large_bytes.clone(),
        );
        root.register("partner_link_up", "1 while the link to a partner is up, else 0", self.link_up.clone());
    }

    /// Counts one mail of `size` octets that was answered with `250`.
    pub fn accepted(&self, size: u64) {
        self.accepted.inc();
        self.message_bytes.of_way(Direction::Outbound).inc_by(size);
    }

    /// Counts one fresh arrival of `size` sealed octets.
    pub fn arrived(&self, size: u64) {
        self.arrived.inc();
        self.message_bytes.of_way(Direction::Inbound).inc_by(size);
    }

    /// Counts one refusal. `reason` is the name of the rule or of the fault; never text from a message.
    pub fn refused(&self, reason: &str) {
        let reason = reason.chars().take(LABEL_CHARS_MAX).collect();
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
        self.refused_all.inc();
    }

    /// Counts one message of ours whose signed receipt came `now`.
    pub fn settled_out(&self, delivered: bool, accepted: UnixMillis, now: UnixMillis) {
        self.settled(delivered, Direction::Outbound);
        self.stage_since(Stage::EndToEnd, accepted, now);
    }

    /// Counts one message for us that was handed over to its last recipient, or refused for good, `now`.
    pub fn settled_in(&self, delivered: bool, arrived: UnixMillis, now: UnixMillis) {
        self.settled(delivered, Direction::Inbound);
        self.stage_since(Stage::ArriveToDelivered, arrived, now);
    }

    fn settled(&self, delivered: bool, way: Direction) {
        if delivered {
            self.delivered.of_way(way).inc()
        } else {
            self.failed.inc()
        };
    }

    /// Counts receipts put on their way to a partner.
    pub fn receipts_sent(&self, receipts: usize) {
        self.receipts_sent.inc_by(receipts as u64);
    }

    /// Counts receipts taken from a partner.
    pub fn receipts_taken(&self, receipts: usize) {
        self.receipts_taken.inc_by(receipts as u64);
    }

    /// Counts what the SMTP listener reports.
    pub fn smtp_event(&self, event: &::smtp::server::Event) {
        self.smtp.note(event);
    }

    /// The latency histogram of a stage; observe seconds.
    pub fn stage(&self, stage: Stage) -> &Histogram {
        self.stages.of(stage)
    }

    /// Observes a stage by the wall clock. A clock that was set back in between counts as zero.
    pub fn stage_since(&self, stage: Stage, from: UnixMillis, to: UnixMillis) {
        self.stage(stage).observe(to.0.saturating_sub(from.0) as f64 / 1_000.0);
    }

    /// What an overview says about the past of this process.
    pub fn totals(&self) -> Totals {
        Totals {
            accepted: self.accepted.get(),
            sealed: self.sealed.get(),
            acknowledged: self.acknowledged.get(),
            delivered: Direction::ALL.map(|way| self.delivered.of_way(way).get()).iter().sum(),
            deferred: self.deferred.get(),
            failed: self.failed.get(),
            held: self.held.get(),
            refused: self.refused_all.get(),
        }
    }

    /// Draws the gauges of what *is* from an overview. Called before every scrape.
    pub fn show(&self, overview: &Overview) {
        for &QueueDepth { direction, state, messages } in &overview.queue {
            let label = QueueLabel { direction: direction.as_str(), state: state.as_str() };
            self.queue_depth.get_or_create(&label).set(i64::try_from(messages).unwrap_or(i64::MAX));
        }
        let oldest_ms = overview.oldest_without_progress_ms.unwrap_or(0);
        self.stuck.set(i64::try_from(overview.stuck).unwrap_or(i64::MAX));
        self.alarms.set(i64::try_from(overview.alarms.len()).unwrap_or(i64::MAX));
        self.archive_copies.set(i64::try_from(overview.archive_copies).unwrap_or(i64::MAX));
        self.archive_bytes.set(i64::try_from(overview.archive_bytes).unwrap_or(i64::MAX));
        for &LargeDepth { standing, bodies, bytes } in &overview.large_bodies {
            let label = LargeLabel { standing: standing.as_str() };
            self.large_bodies.get_or_create(&label).set(i64::try_from(bodies).unwrap_or(i64::MAX));
            self.large_bytes.get_or_create(&label).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        self.oldest_without_progress.set(oldest_ms as f64 / 1_000.0);
        self.link_up.clear(); // a partner that was removed has no link
        for partner in &overview.partners {
            let label = DomainLabel { domain: partner.domain.clone() };
            self.link_up.get_or_create(&label).set(i64::from(partner.link == LinkState::Up));
        }
    }
}

/// One counter per direction, both there from the first scrape and found without a lock.
#[derive(Clone)]
struct Ways {
    outbound: Counter,
    inbound: Counter,
}

impl Ways {
    fn of(family: &Family<WayLabel, Counter>) -> Self {
        let [outbound, inbound] =
            Direction::ALL.map(|way| family.get_or_create_owned(&WayLabel { direction: way.as_str() }));
        Self { outbound, inbound }
    }

    fn of_way(&self, way: Direction) -> &Counter {
        match way {
            Direction::Outbound => &self.outbound,
            Direction::Inbound => &self.inbound,
        }
    }
}

fn counter(root: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    root.register(name, help, counter.clone());
    counter
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WayLabel {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    direction: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LargeLabel {
    standing: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DomainLabel {
    domain: String,
}
