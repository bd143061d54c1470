//! The figures for people (a table that can be pasted into `docs/PERFORMANCE.md`) and for machines (JSON).

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::chain::Kind;
use super::latency::Latency;
use super::meter::DISTURBED_FROM;
use super::receiving::{Intake, Receiving};
use super::throughput::Round;
use super::{Measured, Results, Section, median};

/// A line of the table: what, and a value for each chain; `None` if it was not measured.
type Row = (String, Vec<Option<f64>>);

const MIB: f64 = 1024.0 * 1024.0;

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        let neighbours = self.sections.iter().flat_map(|section| &section.chains).map(neighbours_of);
        let neighbours =
            neighbours.chain(self.receiving.iter().map(Receiving::neighbours)).fold(0.0, f64::max);
        if neighbours >= DISTURBED_FROM {
            let percent = neighbours * 100.0;
            writeln!(
                f,
                "BEWARE: neighbours took up to {percent:.0} % of the CPU. Repeat on a calm machine.\n"
            )?;
        }
        for section in &self.sections {
            let (plan, load) = (&self.plan, section.load);
            let kilobytes = load.bytes / 1024;
            writeln!(
                f,
                "{kilobytes} KB bodies, {} sessions, {} messages a round, median of {} undisturbed rounds\n",
                plan.sessions, load.messages, plan.rounds
            )?;
            f.write_str(&table(&plan.chains, &rows(section, plan.calm_per_s)))?;
            writeln!(f)?;
        }
        if let Some(load) = self.plan.loads.first().filter(|_| !self.receiving.is_empty()) {
            let (kilobytes, rounds) = (load.bytes / 1024, self.plan.rounds);
            writeln!(
                f,
                "receiving alone, {kilobytes} KB bodies, {} messages a round, median of {rounds} undisturbed rounds\n",
                load.messages
            )?;
            f.write_str(&table(&self.plan.chains, &receiving_rows(&self.plan.chains, &self.receiving)))?;
            writeln!(f)?;
        }
        for line in &self.stages {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl Results {
    /// Everything, each round and each percentile.
    pub fn to_json(&self) -> Value {
        let machine = &self.machine;
        json!({
            "machine": {
                "cpu": machine.cpu, "cores": machine.cores, "memory_bytes": machine.memory,
                "system": machine.system, "kernel": machine.kernel, "postfix": machine.postfix,
                "file_system": machine.file_system, "sync_ms_p50_p99": machine.sync_ms,
                "load_average": machine.load, "commit": machine.commit, "date": machine.date,
            },
            "sessions": self.plan.sessions,
            "keep_connections": self.plan.keep_connections,
            "calm_per_s": self.plan.calm_per_s,
            "receiving": self.receiving.iter().map(receiving_json).collect::<Vec<_>>(),
            "sections": self.sections.iter().map(section_json).collect::<Vec<_>>(),
        })
    }
}

fn rows(section: &Section, calm_per_s: usize) -> Vec<Row> {
    let middle = |what: &str, of: fn(&Round) -> f64| -> Row {
        let value = |chain: &Measured| {
            (!chain.rounds.is_empty()).then(|| median(chain.good_rounds().into_iter().map(of)))
        };
        (what.to_owned(), section.chains.iter().map(value).collect())
    };
    let of_chains = |what: &str, value: &dyn Fn(&Measured) -> Option<f64>| -> Row {
        (what.to_owned(), section.chains.iter().map(value).collect())
    };
    let latency = |what: &str, of: fn(&Measured) -> &Latency, pick: fn(&Latency) -> f64| {
        of_chains(what, &|chain| (!of(chain).answer_ms.is_empty()).then(|| pick(of(chain))))
    };
    let busy: fn(&Measured) -> &Latency = |chain| &chain.busy;
    let calm: fn(&Measured) -> &Latency = |chain| &chain.calm;
    vec![
        middle("accepted, messages/s", Round::accepted_per_s),
        middle("end to end, messages/s", Round::delivered_per_s),
        middle("CPU s per 1,000 messages", Round::cpu_s_per_1000),
        middle("memory at peak, PSS, MiB", |round| round.usage.peak.pss as f64 / MIB),
        middle("memory at peak, RSS, MiB", |round| round.usage.peak.rss as f64 / MIB),
        middle("CPU that neighbours took, %", |round| round.usage.neighbours * 100.0),
        of_chains("syncs per message, accepting side", &|chain| Some(chain.syncs?.first)),
        of_chains("syncs per message, delivering side", &|chain| Some(chain.syncs?.second)),
        latency("250 after, p50, ms", busy, |latency| latency.answer()[0]),
        latency("250 after, p99, ms", busy, |latency| latency.answer()[1]),
        latency("then in the mailbox after, p50, ms", busy, |latency| latency.mailbox()[0]),
        latency("then in the mailbox after, p99, ms", busy, |latency| latency.mailbox()[1]),
        latency(&format!("at {calm_per_s}/s: 250 after, p50, ms"), calm, |latency| latency.answer()[0]),
        latency(&format!("at {calm_per_s}/s: 250 after, p99, ms"), calm, |latency| latency.answer()[1]),
        latency(&format!("at {calm_per_s}/s: mailbox after, p50, ms"), calm, |latency| latency.mailbox()[0]),
        latency(&format!("at {calm_per_s}/s: mailbox after, p99, ms"), calm, |latency| latency.mailbox()[1]),
    ]
}

fn receiving_rows(chains: &[Kind], receiving: &[Receiving]) -> Vec<Row> {
    let row = |of: &Receiving| {
        let what = format!("{} sessions, messages/s", of.sessions);
        (what, chains.iter().map(|&kind| of.per_s(kind)).collect())
    };
    receiving.iter().map(row).collect()
}

/// Markdown. The last column, if there are two chains, is the second's value divided by the first's.
fn table(chains: &[Kind], rows: &[Row]) -> String {
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        _ = write!(text, "| {:<36} |", cells[0]);
        cells[1..].iter().for_each(|cell| _ = write!(text, " {cell:>17} |"));
        text.push('\n');
    };
    let ratio = (chains.len() == 2).then_some("ratio");
    let head = chains.iter().map(Kind::to_string).chain(ratio.map(str::to_owned));
    line(&std::iter::once(String::new()).chain(head).collect::<Vec<_>>());
    let columns = chains.len() + usize::from(ratio.is_some());
    let rule = std::iter::once("---".to_owned()).chain((0..columns).map(|_| "---:".to_owned()));
    line(&rule.collect::<Vec<_>>());
    for (what, values) in rows {
        let mut cells = vec![what.clone()];
        cells.extend(values.iter().map(|value| value.map_or("–".to_owned(), figure)));
        if ratio.is_some() {
            cells.push(match values[..] {
                [Some(first), Some(second)] if first > 0.0 => format!("{:.2}", second / first),
                _ => "–".to_owned(),
            });
        }
        line(&cells);
    }
    text
}

/// Three digits that mean something.
fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The most that neighbours took during anything of a chain that is in the table.
fn neighbours_of(chain: &Measured) -> f64 {
    let rounds = chain.good_rounds().into_iter().map(|round| round.usage.neighbours);
    rounds.chain([chain.busy.neighbours, chain.calm.neighbours]).fold(0.0, f64::max)
}

fn section_json(section: &Section) -> Value {
    let chains = section.chains.iter().map(|chain| (chain.kind.word().to_owned(), chain_json(chain)));
    json!({
        "body_bytes": section.load.bytes,
        "messages": section.load.messages,
        "chains": chains.collect::<serde_json::Map<_, _>>(),
    })
}

fn receiving_json(receiving: &Receiving) -> Value {
    let round = |round: &Intake| json!({ "per_s": round.per_s, "neighbours_cpu_share": round.neighbours });
    let chains = receiving
        .chains
        .iter()
        .map(|(kind, rounds)| (kind.word().to_owned(), rounds.iter().map(round).collect::<Vec<_>>().into()));
    json!({ "sessions": receiving.sessions, "chains": chains.collect::<serde_json::Map<_, _>>() })
}

fn chain_json(chain: &Measured) -> Value {
    let round = |round: &Round| {
        json!({
            "accepted_s": round.accepted_s, "delivered_s": round.delivered_s, "settled_s": round.settled_s,
            "cpu_s": round.usage.cpu_s, "pss_bytes": round.usage.peak.pss, "rss_bytes": round.usage.peak.rss,
            "processes": round.usage.peak.processes, "neighbours_cpu_share": round.usage.neighbours,
        })
    };
    let latency = |latency: &Latency| {
        json!({
            "neighbours_cpu_share": latency.neighbours,
            "answer_ms_p50_p99": latency.answer(), "mailbox_ms_p50_p99": latency.mailbox(),
        })
    };
    json!({
        "rounds": chain.rounds.iter().map(round).collect::<Vec<_>>(),
        "accepted_per_s": median(chain.good_rounds().into_iter().map(Round::accepted_per_s)),
        "delivered_per_s": median(chain.good_rounds().into_iter().map(Round::delivered_per_s)),
        "busy": latency(&chain.busy),
        "calm": latency(&chain.calm),
        "syncs_per_message": chain.syncs.map(|syncs| [syncs.first, syncs.second]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_second_chain_by_the_first() {
        let rows = [
            ("speed".to_owned(), vec![Some(200.0), Some(150.0)]),
            ("syncs".to_owned(), vec![None, Some(1.5)]),
        ];
        let text = table(&[Kind::Postfix, Kind::Gateway], &rows);
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(cells[2], ["speed", "200", "150", "0.75"]);
        assert_eq!(cells[3], ["syncs", "–", "1.50", "–"]);
    }

    #[test]
    fn one_chain_alone_has_no_ratio() {
        let text = table(&[Kind::Postfix], &[("speed".to_owned(), vec![Some(20.0)])]);
        assert!(!text.contains("ratio") && text.contains("20.0"));
    }
}
