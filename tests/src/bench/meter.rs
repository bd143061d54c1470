//! What a chain takes from the machine while it is loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::proc::{self, Memory};

/// Often enough to see a peak that lasts, seldom enough to cost nothing.
const SAMPLE_EVERY: Duration = Duration::from_millis(300);

/// Neighbours below this share (0 to 1) do not move a figure by more than the disk does.
const CALM_SHARE_MAX: f64 = 0.05;
/// Long enough to tell a build from a moment.
const CALM_SAMPLE: Duration = Duration::from_secs(1);
/// Before each round. All rounds together stay within what somebody waits for.
const CALM_WAIT_MAX: Duration = Duration::from_secs(30);

/// What was taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU seconds of the chain's processes, ended ones included.
    pub cpu_s: f64,
    /// The largest memory seen in one sample.
    pub peak: Memory,
    /// Share of the machine's CPU (0 to 1) that went to processes which are neither the bench nor its chains, or
    /// was stolen by other machines. Much of it makes a round worthless.
    pub neighbours: f64,
}

/// A running measurement.
pub struct Meter {
    roots: [u32; 2],
    begin: Instant,
    cpu_s: f64,
    neighbours_cpu_s: f64,
    stop: Arc<AtomicBool>,
    sampler: JoinHandle<Memory>,
}

impl Meter {
    /// Starts measuring everything at and below `roots`.
    pub fn start(roots: [u32; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sampler = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || sample(roots, &stop)
        });
        let (cpu_s, neighbours_cpu_s) = (proc::cpu_s(&roots), neighbours_cpu_s());
        Self { roots, begin: Instant::now(), cpu_s, neighbours_cpu_s, stop, sampler }
    }

    /// Ends it.
    pub fn stop(self) -> Usage {
        let cpu_s = proc::cpu_s(&self.roots) - self.cpu_s;
        let neighbours = share_of_machine(neighbours_cpu_s() - self.neighbours_cpu_s, self.begin);
        self.stop.store(true, Ordering::Relaxed);
        self.sampler.thread().unpark();
        let peak = self.sampler.join().expect("the sampler ends");
        Usage { cpu_s, peak, neighbours }
    }
}

/// Waits until neighbours leave the CPU alone, but not longer than `CALM_WAIT_MAX`: on a shared machine somebody
/// may always be busy, and then the report says so.
pub fn await_calm() {
    let deadline = Instant::now() + CALM_WAIT_MAX;
    while Instant::now() < deadline && neighbours_share_during(CALM_SAMPLE) > CALM_SHARE_MAX {}
}

fn neighbours_share_during(time: Duration) -> f64 {
    let (begin, before) = (Instant::now(), neighbours_cpu_s());
    std::thread::sleep(time);
    share_of_machine(neighbours_cpu_s() - before, begin)
}

/// CPU seconds since `begin` as a share of what the machine has.
fn share_of_machine(cpu_s: f64, begin: Instant) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    (cpu_s / (begin.elapsed().as_secs_f64() * cores)).clamp(0.0, 1.0)
}

/// CPU seconds that are neither ours (sources, sinks and chains are all below this process) nor the kernel's, which
/// works for whoever is running.
fn neighbours_cpu_s() -> f64 {
    proc::processes_cpu_s() - proc::cpu_s(&[std::process::id()])
}

fn sample(roots: [u32; 2], stop: &AtomicBool) -> Memory {
    let mut peak = Memory::default();
    while !stop.load(Ordering::Relaxed) {
        let now = proc::memory(&roots);
        if now.pss > peak.pss {
            peak = now;
        }
        std::thread::park_timeout(SAMPLE_EVERY);
    }
    peak
}
