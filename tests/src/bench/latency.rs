//! Latency: how long a sender waits for the final `250`, and how long a mail then takes to the mailbox.
//!
//! Twice: *busy*, each session sending as fast as it is answered, where the figures are those of the queue that
//! builds up; and *calm*, at a rate far below what either chain can do, where they are those of the way itself.

use std::path::Path;
use std::time::Instant;

use super::chain::{Chain, Kind, ROUND_MAX};
use super::meter::{self, DISTURBED_FROM, Neighbours};
use super::plan::{Load, Plan};
use super::sink::Sink;
use super::source::{self, Drive, Sent};
use super::{Section, percentile};

/// Runs of which the least disturbed one counts.
const ATTEMPTS: usize = 3;

/// What a run of messages waited, in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    /// From the final dot to its `250`, of each message.
    pub answer_ms: Vec<f64>,
    /// From the `250` to the arrival at the sink, of each message; 0 if it arrived first.
    pub mailbox_ms: Vec<f64>,
    /// What neighbours took of the CPU meanwhile (0 to 1).
    pub neighbours: f64,
}

impl Latency {
    /// p50 and p99 of the answer.
    pub fn answer(&self) -> [f64; 2] {
        [percentile(&self.answer_ms, 0.5), percentile(&self.answer_ms, 0.99)]
    }

    /// p50 and p99 of the way to the mailbox.
    pub fn mailbox(&self) -> [f64; 2] {
        [percentile(&self.mailbox_ms, 0.5), percentile(&self.mailbox_ms, 0.99)]
    }
}

/// All chains stand side by side, idle but for the one whose turn it is.
pub fn phase(plan: &Plan, ground: &Path, sections: &mut [Section]) {
    let mut stands: Vec<Stand> = plan.chains.iter().map(|&kind| Stand::start(kind, ground)).collect();
    for stand in &mut stands {
        stand.run(plan, Load { messages: plan.warm_up, ..plan.loads[0] }, None);
    }
    for (at, load) in plan.loads.iter().enumerate() {
        let load = Load { messages: plan.latency_messages_of(*load), ..*load };
        for pace in [None, Some(plan.calm_per_s)] {
            for (stand, measured) in stands.iter_mut().zip(&mut sections[at].chains) {
                let latency = stand.least_disturbed(plan, load, pace);
                let ([p50, p99], [mailbox50, mailbox99]) = (latency.answer(), latency.mailbox());
                let way = if pace.is_some() { "calm" } else { "busy" };
                eprintln!(
                    "latency {} B, {way}, {}: 250 after {p50:.1} / {p99:.1} ms, mailbox after {mailbox50:.1} / {mailbox99:.1} ms",
                    load.bytes, stand.kind
                );
                *(if pace.is_some() { &mut measured.calm } else { &mut measured.busy }) = latency;
            }
        }
    }
}

/// A chain and the sink behind it.
struct Stand {
    kind: Kind,
    // Before the sink, so that it stops first.
    chain: Box<dyn Chain>,
    sink: Sink,
    runs: usize,
}

impl Stand {
    fn start(kind: Kind, ground: &Path) -> Self {
        let sink = Sink::start();
        Self { kind, chain: kind.start(ground, sink.listen, None), sink, runs: 0 }
    }

    /// Runs again while neighbours disturb, but not for ever.
    fn least_disturbed(&mut self, plan: &Plan, load: Load, per_s: Option<usize>) -> Latency {
        let mut best: Option<Latency> = None;
        for _ in 0..ATTEMPTS {
            meter::await_calm();
            let latency = self.run(plan, load, per_s);
            let is_better = best.as_ref().is_none_or(|best| latency.neighbours < best.neighbours);
            if is_better {
                best = Some(latency);
            }
            if best.as_ref().is_some_and(|best| best.neighbours < DISTURBED_FROM) {
                break;
            }
        }
        best.expect("there was an attempt")
    }

    fn run(&mut self, plan: &Plan, load: Load, per_s: Option<usize>) -> Latency {
        self.runs += 1;
        let drive = Drive { sessions: plan.sessions, messages: load.messages, bytes: load.bytes, per_s };
        let neighbours = Neighbours::watch();
        let sent = source::send(self.chain.entrance(), drive, &format!("bench.{}", self.runs));
        let arrivals = self.sink.take_arrivals(sent.len(), Instant::now() + ROUND_MAX);
        self.chain.settle();
        let mailbox = |sent: &Sent| match arrivals.get(&sent.id) {
            Some(arrival) => ms(sent.accepted, *arrival),
            None => panic!("{} never arrived:\n{}", sent.id, self.chain.log_tail()),
        };
        let answer_ms = sent.iter().map(|sent| ms(sent.dot, sent.accepted)).collect();
        Latency { answer_ms, mailbox_ms: sent.iter().map(mailbox).collect(), neighbours: neighbours.share() }
    }
}

fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}
