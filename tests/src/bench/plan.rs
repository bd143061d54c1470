//! What to measure: the command line.

use std::path::PathBuf;

use super::chain::Kind;

/// What `--help` prints.
pub const HELP: &str = "\
Measures gateway -> gateway against Postfix -> Postfix on this machine (as root, because Postfix starts as root).

  --only postfix|gateway   one chain alone
  --messages N,N           messages per round, for 5 KB and for 100 KB bodies   [5000,1000]
  --rounds N               rounds of each chain, in turn                        [3]
  --sessions N             SMTP sessions at a time                              [20]
  --receiving N,N          sessions at a time of the rounds that only take mail in  [20,100]
  --warm-up N              messages before the first round                      [300]
  --latency-messages N     messages of each latency run                         [2000]
  --calm-rate N            messages per second of the calm latency run          [50]
  --sync-messages N        messages counted under strace; 0 leaves it out       [500]
  --keep-connections       smtp-source sends all its mail over the same connections (its -d)
  --dir DIR                the disk to measure: a folder for all data           [the temporary folder]
  --profile                what the gateways measured about their own stages
  --json FILE              the figures for machines
  --quick                  a tenth of everything, one round: does it run?
";

/// Messages of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes of the body.
    pub bytes: usize,
    /// Messages per throughput round.
    pub messages: usize,
}

/// What to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The chains, in the order they take turns.
    pub chains: Vec<Kind>,
    /// Body sizes and counts.
    pub loads: Vec<Load>,
    /// Throughput rounds of each chain.
    pub rounds: usize,
    /// SMTP sessions at a time.
    pub sessions: usize,
    /// SMTP sessions at a time where mail is only taken in, one after the other; empty leaves it out.
    pub receiving: Vec<usize>,
    /// Messages before the first round.
    pub warm_up: usize,
    /// Messages of a latency run.
    pub latency_messages: usize,
    /// Messages per second of the calm latency run.
    pub calm_per_s: usize,
    /// Messages counted under strace.
    pub sync_messages: usize,
    /// Whether `smtp-source` keeps its connections.
    pub keep_connections: bool,
    /// Folder on the disk to measure.
    pub dir: Option<PathBuf>,
    /// Whether to print the gateways' own histograms.
    pub profile: bool,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            chains: vec![Kind::Postfix, Kind::Gateway],
            loads: vec![
                Load { bytes: 5 * 1024, messages: 5_000 },
                Load { bytes: 100 * 1024, messages: 1_000 },
            ],
            rounds: 3,
            sessions: 20,
            receiving: vec![20, 100],
            warm_up: 300,
            latency_messages: 2_000,
            calm_per_s: 50,
            sync_messages: 500,
            keep_connections: false,
            dir: None,
            profile: false,
            json: None,
        }
    }
}

impl Plan {
    /// Reads the command line, without the program's name. The error is for the user.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--only" => plan.chains = vec![Kind::parse(&value()?)?],
                "--messages" => plan.set_messages(&value()?)?,
                "--rounds" => plan.rounds = positive(&word, &value()?)?,
                "--sessions" => plan.sessions = positive(&word, &value()?)?,
                "--receiving" => plan.receiving = positives(&word, &value()?)?,
                "--warm-up" => plan.warm_up = positive(&word, &value()?)?,
                "--latency-messages" => plan.latency_messages = positive(&word, &value()?)?,
                "--calm-rate" => plan.calm_per_s = positive(&word, &value()?)?,
                "--sync-messages" => plan.sync_messages = number(&word, &value()?)?,
                "--keep-connections" => plan.keep_connections = true,
                "--dir" => plan.dir = Some(value()?.into()),
                "--profile" => plan.profile = true,
                "--json" => plan.json = Some(value()?.into()),
                "--quick" => plan.shorten(),
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(plan)
    }

    /// Messages of a latency run: large bodies get fewer, as in the throughput phase.
    pub fn latency_messages_of(&self, load: Load) -> usize {
        let most = self.loads.iter().map(|load| load.messages).max().unwrap_or(1);
        (self.latency_messages * load.messages / most).max(self.sessions)
    }

    fn set_messages(&mut self, value: &str) -> Result<(), String> {
        let counts = positives("--messages", value)?;
        if counts.len() != self.loads.len() {
            return Err(format!("--messages needs {} numbers, separated by a comma", self.loads.len()));
        }
        self.loads.iter_mut().zip(counts).for_each(|(load, count)| load.messages = count);
        Ok(())
    }

    fn shorten(&mut self) {
        self.loads.iter_mut().for_each(|load| load.messages = (load.messages / 10).max(1));
        self.rounds = 1;
        self.warm_up = 50;
        self.latency_messages /= 10;
        self.sync_messages /= 5;
    }
}

fn positive(option: &str, value: &str) -> Result<usize, String> {
    match number(option, value)? {
        0 => Err(format!("{option} must be at least 1")),
        number => Ok(number),
    }
}

fn positives(option: &str, value: &str) -> Result<Vec<usize>, String> {
    value.split(',').map(|count| positive(option, count)).collect()
}

fn number(option: &str, value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| format!("{option}: {value:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, String> {
        Plan::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_said_is_the_whole_comparison() {
        let plan = parse("").expect("a good line");
        assert_eq!(plan.chains, [Kind::Postfix, Kind::Gateway]);
        assert_eq!(plan.loads.iter().map(|load| load.bytes).collect::<Vec<_>>(), [5_120, 102_400]);
        assert!(plan.rounds >= 3, "a median of fewer is a mean");
    }

    #[test]
    fn every_size_has_its_count() {
        let plan = parse("--only postfix --messages 70,8").expect("a good line");
        assert_eq!(plan.chains, [Kind::Postfix]);
        assert_eq!(plan.loads.iter().map(|load| load.messages).collect::<Vec<_>>(), [70, 8]);
    }

    #[test]
    fn a_mistyped_line_is_refused_and_says_where() {
        assert!(parse("--messages 5").expect_err("one number is missing").contains("2 numbers"));
        assert_eq!(parse("--receiving 1,2,3").expect("a good line").receiving, [1, 2, 3]);
        assert!(parse("--receiving 20,").expect_err("a number is missing").contains("--receiving"));
        assert!(parse("--rounds 0").expect_err("no rounds").contains("--rounds"));
        assert!(parse("--rounds").expect_err("no value").contains("needs a value"));
        assert!(parse("--frobnicate").expect_err("no such option").contains("--frobnicate"));
    }
}
