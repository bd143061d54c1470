//! Receiving alone: how fast one mail server takes mail in, durably, while it can pass none of it on.
//!
//! A chain that accepts and delivers at the same time divides the machine between the two; here nothing is delivered.
//! Each round begins with a server of its own and an empty queue, and ends only when all that was promised is kept.

use std::path::Path;
use std::time::Instant;

use super::chain::Kind;
use super::meter::{self, DISTURBED_FROM, Neighbours};
use super::plan::{Load, Plan};
use super::throughput::smtp_source;
use super::{median, tools};
use crate::site::eventually;

/// What was measured with one number of sessions.
pub struct Receiving {
    /// SMTP sessions at a time.
    pub sessions: usize,
    /// The rounds of each chain's first half, in the order of the plan.
    pub chains: Vec<(Kind, Vec<Intake>)>,
}

/// One round.
#[derive(Debug, Clone, Copy)]
pub struct Intake {
    /// Messages per second that the source saw accepted.
    pub per_s: f64,
    /// What neighbours took of the CPU, 0 to 1.
    pub neighbours: f64,
}

/// The smallest load of the plan, with each number of sessions, in turn.
pub fn phase(plan: &Plan, ground: &Path) -> Vec<Receiving> {
    plan.receiving.iter().map(|&sessions| with_sessions(plan, sessions, ground)).collect()
}

fn with_sessions(plan: &Plan, sessions: usize, ground: &Path) -> Receiving {
    let mut chains: Vec<(Kind, Vec<Intake>)> = plan.chains.iter().map(|&kind| (kind, Vec::new())).collect();
    for turn in 1..=2 * plan.rounds {
        for (kind, rounds) in &mut chains {
            if rounds.iter().filter(|round| !round.is_disturbed()).count() >= plan.rounds {
                continue;
            }
            let round = round(*kind, plan, sessions, ground);
            let (per_s, percent) = (round.per_s, round.neighbours * 100.0);
            eprintln!(
                "receiving, {sessions} sessions, round {turn}, {kind}: {per_s:.0}/s, neighbours {percent:.0} % of the CPU"
            );
            rounds.push(round);
        }
    }
    Receiving { sessions, chains }
}

fn round(kind: Kind, plan: &Plan, sessions: usize, ground: &Path) -> Intake {
    let load = plan.loads[0];
    let server = kind.start_alone(ground);
    let warm_up = Load { messages: plan.warm_up, ..load };
    smtp_source(plan, sessions, warm_up, &*server);
    meter::await_calm();
    tools::run("sync", &["-f", ground.to_str().expect("a printable path")]);
    let (neighbours, begin) = (Neighbours::watch(), Instant::now());
    smtp_source(plan, sessions, load, &*server);
    let per_s = load.messages as f64 / begin.elapsed().as_secs_f64();
    let neighbours = neighbours.share();
    let promised = (warm_up.messages + load.messages) as u64;
    eventually("what was promised is kept", || (server.unfinished() == promised).then_some(()));
    Intake { per_s, neighbours }
}

impl Intake {
    /// Whether neighbours took too much for the round to count.
    fn is_disturbed(&self) -> bool {
        self.neighbours >= DISTURBED_FROM
    }
}

impl Receiving {
    /// The median rate of a chain's undisturbed rounds, messages per second; of all, if there are none of those.
    pub fn per_s(&self, kind: Kind) -> Option<f64> {
        let rounds = self.rounds_of(kind)?;
        Some(median(rounds.iter().map(|round| round.per_s)))
    }

    /// The most that neighbours took during a round that counts.
    pub fn neighbours(&self) -> f64 {
        let rounds = self.chains.iter().filter_map(|(kind, _)| self.rounds_of(*kind)).flatten();
        rounds.map(|round| round.neighbours).fold(0.0, f64::max)
    }

    fn rounds_of(&self, kind: Kind) -> Option<Vec<Intake>> {
        let (_, all) = self.chains.iter().find(|(of, _)| *of == kind)?;
        let good: Vec<Intake> = all.iter().copied().filter(|round| !round.is_disturbed()).collect();
        let counted = if good.is_empty() { all.clone() } else { good };
        (!counted.is_empty()).then_some(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_round_counts_only_if_there_is_no_better_one() {
        let intake = |per_s, neighbours| Intake { per_s, neighbours };
        let mut receiving =
            Receiving { sessions: 20, chains: vec![(Kind::Gateway, vec![intake(100.0, 0.5)])] };
        assert_eq!(receiving.per_s(Kind::Gateway), Some(100.0));
        assert_eq!(receiving.neighbours(), 0.5);
        receiving.chains[0].1.push(intake(900.0, 0.01));
        assert_eq!(receiving.per_s(Kind::Gateway), Some(900.0));
        assert_eq!(receiving.neighbours(), 0.01);
        assert_eq!(receiving.per_s(Kind::Postfix), None, "not measured");
    }
}
