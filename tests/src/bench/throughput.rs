//! Throughput: `smtp-source` fills a chain, `smtp-sink` counts what comes out.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::chain::{Chain, Entrance, Kind, ROUND_MAX};
use super::meter::{self, DISTURBED_FROM, Meter, Usage};
use super::plan::{Load, Plan};
use super::{Section, tools};
use crate::peers::free_port;
use crate::site::{eventually, loopback};

/// One load of one chain.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Messages sent.
    pub messages: usize,
    /// Seconds until the source had its last `250` and ended.
    pub accepted_s: f64,
    /// Seconds until the sink had the last message.
    pub delivered_s: f64,
    /// Seconds until nothing was left in the chain, receipts included.
    pub settled_s: f64,
    /// What it took, until then.
    pub usage: Usage,
}

impl Round {
    /// Messages per second that the source saw accepted.
    pub fn accepted_per_s(&self) -> f64 {
        self.messages as f64 / self.accepted_s
    }

    /// Messages per second from the source to the sink.
    pub fn delivered_per_s(&self) -> f64 {
        self.messages as f64 / self.delivered_s
    }

    /// Whether neighbours took too much for the round to count.
    pub fn is_disturbed(&self) -> bool {
        self.usage.neighbours >= DISTURBED_FROM
    }

    /// CPU seconds per 1,000 messages.
    pub fn cpu_s_per_1000(&self) -> f64 {
        self.usage.cpu_s * 1000.0 / self.messages as f64
    }
}

/// All chains stand side by side, idle but for the one whose turn it is.
pub fn phase(plan: &Plan, ground: &Path, sections: &mut [Section], stages: &mut Vec<String>) {
    let mut stands: Vec<Stand> = plan.chains.iter().map(|&kind| Stand::start(kind, ground)).collect();
    for stand in &mut stands {
        let warm_up = Load { messages: plan.warm_up, ..plan.loads[0] };
        stand.round(plan, warm_up);
    }
    for (at, load) in plan.loads.iter().enumerate() {
        // Disturbed rounds are repeated, as often again as there are rounds.
        for turn in 1..=2 * plan.rounds {
            for (stand, measured) in stands.iter_mut().zip(&mut sections[at].chains) {
                if measured.rounds.iter().filter(|round| !round.is_disturbed()).count() >= plan.rounds {
                    continue;
                }
                meter::await_calm();
                // Nobody pays for what the one before left to be written.
                tools::run("sync", &["-f", ground.to_str().expect("a printable path")]);
                let round = stand.round(plan, *load);
                eprintln!("throughput {} B, round {turn}, {}: {round}", load.bytes, stand.kind);
                measured.rounds.push(round);
            }
        }
    }
    for stand in &stands {
        stages.extend(stand.chain.stages());
    }
}

/// A chain and the sink behind it.
struct Stand {
    kind: Kind,
    // Before the sink, so that it stops first.
    chain: Box<dyn Chain>,
    sink: SmtpSink,
}

impl Stand {
    fn start(kind: Kind, ground: &Path) -> Self {
        let sink = SmtpSink::start();
        Self { kind, chain: kind.start(ground, sink.listen, None), sink }
    }

    fn round(&mut self, plan: &Plan, load: Load) -> Round {
        let expected = self.sink.received() + load.messages as u64;
        let meter = Meter::start(self.chain.roots());
        let begin = Instant::now();
        smtp_source(plan, plan.sessions, load, &*self.chain);
        let accepted_s = begin.elapsed().as_secs_f64();
        let last = self.sink.await_received(expected, begin + ROUND_MAX);
        let last = last.unwrap_or_else(|| {
            panic!("{} of {expected} messages arrived:\n{}", self.sink.received(), self.chain.log_tail())
        });
        self.chain.settle();
        let settled_s = begin.elapsed().as_secs_f64();
        let usage = meter.stop();
        let received = self.sink.received();
        assert!(received == expected, "{received} messages arrived instead of {expected}");
        let delivered_s = last.duration_since(begin).as_secs_f64();
        Round { messages: load.messages, accepted_s, delivered_s, settled_s, usage }
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (accepted, delivered, cpu) =
            (self.accepted_per_s(), self.delivered_per_s(), self.cpu_s_per_1000());
        let neighbours = self.usage.neighbours * 100.0;
        write!(f, "{accepted:.0}/s accepted, {delivered:.0}/s delivered, {cpu:.2} CPU s per 1,000, ")?;
        write!(f, "settled after {:.1} s, neighbours {neighbours:.0} % of the CPU", self.settled_s)
    }
}

/// `smtp-source` to its end. It gives up at the first reply that is not positive.
pub fn smtp_source(plan: &Plan, sessions: usize, load: Load, server: &dyn Entrance) {
    let mut command = Command::new("smtp-source");
    command.args(["-f", "alice@acme.test", "-t", "bob@globex.test", "-M", "client.acme.test"]);
    command.args(["-s", &sessions.to_string()]);
    command.args(["-m", &load.messages.to_string(), "-l", &load.bytes.to_string()]);
    if plan.keep_connections {
        command.arg("-d");
    }
    let entrance = server.entrance().to_string();
    let mut source = command.arg(&entrance).stderr(Stdio::piped()).spawn().expect("smtp-source starts");
    let deadline = Instant::now() + ROUND_MAX;
    let status = loop {
        if let Some(status) = source.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline {
            _ = source.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    _ = source.stderr.take().expect("its error output").read_to_string(&mut said);
    assert!(status.success(), "smtp-source ended with {status}: {said}\n{}", server.log_tail());
}

/// `smtp-sink` with its running counter.
pub struct SmtpSink {
    /// Where it listens.
    pub listen: SocketAddr,
    process: Child,
    counter: Arc<Counter>,
}

#[derive(Default)]
struct Counter {
    received: Mutex<u64>,
    changed: Condvar,
}

impl SmtpSink {
    /// Starts it; ready when it listens.
    pub fn start() -> Self {
        let port = free_port();
        let listen = loopback(port);
        let mut process = Command::new("smtp-sink")
            .args(["-c", "-u", "postfix", &listen.to_string(), "1000"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("smtp-sink starts");
        let counter = Arc::new(Counter::default());
        let output = process.stdout.take().expect("its output");
        std::thread::spawn({
            let counter = Arc::clone(&counter);
            move || counter.follow(output)
        });
        eventually("smtp-sink listens", || TcpStream::connect(listen).ok());
        Self { listen, process, counter }
    }

    /// Messages so far.
    pub fn received(&self) -> u64 {
        *self.counter.received.lock().expect("a lock")
    }

    /// When the `expected`-th message was there; `None` if it was not by `deadline`.
    pub fn await_received(&self, expected: u64, deadline: Instant) -> Option<Instant> {
        let mut received = self.counter.received.lock().expect("a lock");
        while *received < expected {
            let patience = deadline.checked_duration_since(Instant::now())?;
            received = self.counter.changed.wait_timeout(received, patience).expect("a lock").0;
        }
        Some(Instant::now())
    }
}

impl Counter {
    /// Reads `sess=1 quit=0 mesg=7\r` until the sink ends.
    fn follow(&self, mut output: ChildStdout) {
        let (mut text, mut piece) = (String::new(), [0; 8192]);
        while let Ok(length @ 1..) = output.read(&mut piece) {
            text.push_str(&String::from_utf8_lossy(&piece[..length]));
            let Some((whole, rest)) = text.rsplit_once('\r') else { continue };
            if let Some(count) = whole.rsplit("mesg=").next().and_then(|count| count.trim().parse().ok()) {
                *self.received.lock().expect("a lock") = count;
                self.changed.notify_all();
            }
            text = rest.to_owned();
        }
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
