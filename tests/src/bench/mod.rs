//! Measures a pair of gateways against a pair of Postfixes, in one run on one machine.
//!
//! ```text
//! source ─► gateway A ═ overlay ═► gateway B ─► sink        the same source, sink, disk and minutes
//! source ─► Postfix A ─── SMTP ──► Postfix B ─► sink        for both chains
//! ```
//!
//! A **chain** is two mail servers in a row with a way in and a sink behind it. Each phase founds its chains anew,
//! loads them in turn (A, B, A, B, …, so that a noisy machine is unfair to neither) and waits until nothing is left
//! in them. Every wait has an end, all traffic stays on 127.0.0.1, and everything is in one folder that is removed,
//! also after Ctrl-C.
//!
//! - [`throughput`]: `smtp-source` against `smtp-sink`, with CPU and memory of the whole process tree
//! - [`receiving`]: `smtp-source` against the first half alone, while the second is away
//! - [`latency`]: our own source and sink, which know each message by name
//! - [`syncs`]: how often a message makes the disk catch up, counted by strace
//!
//! Absent on purpose: a verdict. The figures are printed with the machine they were made on; `docs/PERFORMANCE.md`
//! says what they mean.

pub mod chain;
pub mod disk;
pub mod gateways;
pub mod interrupt;
pub mod latency;
pub mod machine;
pub mod meter;
pub mod plan;
pub mod postfix;
pub mod proc;
pub mod receiving;
pub mod report;
pub mod sink;
pub mod source;
pub mod syncs;
pub mod throughput;
pub mod tools;

use std::path::Path;

use chain::Kind;
use machine::Machine;
use plan::{Load, Plan};
use receiving::Receiving;
use throughput::Round;

/// Everything that was measured.
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// How.
    pub plan: Plan,
    /// What, by body size.
    pub sections: Vec<Section>,
    /// How fast the first half of each chain takes mail in, by the number of sessions.
    pub receiving: Vec<Receiving>,
    /// What the chains say about their own stages, when asked for.
    pub stages: Vec<String>,
}

/// The figures of one body size.
pub struct Section {
    /// How many messages of which size.
    pub load: Load,
    /// The chains in the order of the plan.
    pub chains: Vec<Measured>,
}

/// The figures of one chain at one body size.
pub struct Measured {
    /// Which chain.
    pub kind: Kind,
    /// The throughput rounds, in the order they ran.
    pub rounds: Vec<Round>,
    /// Latency with every session always busy.
    pub busy: latency::Latency,
    /// Latency at a rate that no chain finds hard.
    pub calm: latency::Latency,
    /// Syncs per message, on the side that accepts and the side that delivers.
    pub syncs: Option<syncs::PerMessage>,
}

/// Runs the plan in `ground`, a folder on the disk to be measured.
pub fn run(plan: Plan, ground: &Path) -> Results {
    let machine = Machine::describe(ground);
    eprint!("{machine}");
    let mut stages = Vec::new();
    let mut sections: Vec<Section> = plan.loads.iter().map(|load| Section::empty(*load, &plan)).collect();
    throughput::phase(&plan, ground, &mut sections, &mut stages);
    let receiving = receiving::phase(&plan, ground);
    latency::phase(&plan, ground, &mut sections);
    syncs::phase(&plan, ground, &mut sections);
    Results { machine, plan, sections, receiving, stages }
}

impl Measured {
    /// The rounds that neighbours did not disturb; all of them if there are none of those.
    pub fn good_rounds(&self) -> Vec<&Round> {
        let good: Vec<&Round> = self.rounds.iter().filter(|round| !round.is_disturbed()).collect();
        if good.is_empty() { self.rounds.iter().collect() } else { good }
    }
}

impl Section {
    fn empty(load: Load, plan: &Plan) -> Self {
        let measured = |&kind: &Kind| Measured {
            kind,
            rounds: Vec::new(),
            busy: latency::Latency::default(),
            calm: latency::Latency::default(),
            syncs: None,
        };
        Self { load, chains: plan.chains.iter().map(measured).collect() }
    }
}

/// The middle of `values`; the mean of the two middle ones if their number is even. 0 of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The value that `share` (0 to 1) of `values` do not exceed, by the nearest-rank method. 0 of nothing.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        assert_eq!(median([9.0, 1.0, 10.0]), 9.0);
        assert_eq!(median([1.0, 3.0]), 2.0);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), 100.0);
        assert_eq!(percentile(&values, 0.99), 198.0);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn a_disturbed_round_counts_only_if_there_is_no_better_one() {
        let round = |neighbours| Round {
            messages: 1,
            accepted_s: 1.0,
            delivered_s: 1.0,
            settled_s: 1.0,
            usage: meter::Usage { neighbours, ..meter::Usage::default() },
        };
        let load = Load { bytes: 1, messages: 1 };
        let mut chain = Section::empty(load, &Plan::default()).chains.remove(0);
        chain.rounds = vec![round(0.5), round(0.4)];
        assert_eq!(chain.good_rounds().len(), 2);
        chain.rounds.push(round(0.01));
        assert_eq!(chain.good_rounds().len(), 1);
    }
}
