//! What a chain takes from the machine while it is loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::proc::{self, Memory};

/// Often enough to see a peak that lasts, seldom enough to cost nothing.
const SAMPLE_EVERY: Duration = Duration::from_millis(300);

/// From this share (0 to 1) on neighbours decide a figure, and against the chain with fewer processes: the scheduler
/// divides the CPU among those that want it.
pub const DISTURBED_FROM: f64 = 0.10;
/// Neighbours below this share leave room for a round.
const CALM_BELOW: f64 = 0.05;
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
    cpu_s: f64,
    neighbours: Neighbours,
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
        Self { roots, cpu_s: proc::cpu_s(&roots), neighbours: Neighbours::watch(), stop, sampler }
    }

    /// Ends it.
    pub fn stop(self) -> Usage {
        let cpu_s = proc::cpu_s(&self.roots) - self.cpu_s;
        let neighbours = self.neighbours.share();
        self.stop.store(true, Ordering::Relaxed);
        self.sampler.thread().unpark();
        let peak = self.sampler.join().expect("the sampler ends");
        Usage { cpu_s, peak, neighbours }
    }
}

/// What neighbours take from a moment on.
pub struct Neighbours {
    begin: Instant,
    cpu_s: f64,
}

impl Neighbours {
    /// Starts watching them.
    pub fn watch() -> Self {
        Self { begin: Instant::now(), cpu_s: neighbours_cpu_s() }
    }

    /// Their share of the machine's CPU (0 to 1) since then.
    pub fn share(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let share = (neighbours_cpu_s() - self.cpu_s) / (self.begin.elapsed().as_secs_f64() * cores);
        share.clamp(0.0, 1.0)
    }
}

/// Waits until neighbours leave the CPU alone, but not longer than `CALM_WAIT_MAX`: on a shared machine somebody
/// may always be busy, and then the report says so.
pub fn await_calm() {
    let deadline = Instant::now() + CALM_WAIT_MAX;
    while Instant::now() < deadline {
        let neighbours = Neighbours::watch();
        std::thread::sleep(CALM_SAMPLE);
        if neighbours.share() < CALM_BELOW {
            return;
        }
    }
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
