//! The machine that the figures are about.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{disk, proc};

/// What a reader needs to know to judge a figure.
#[derive(Debug, Clone)]
pub struct Machine {
    /// CPU model.
    pub cpu: String,
    /// CPUs this process may use.
    pub cores: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Kernel release.
    pub kernel: String,
    /// Distribution.
    pub system: String,
    /// File system of the measured folder, and its device.
    pub file_system: String,
    /// p50 and p99 of appending 4 KiB and `fdatasync`, in milliseconds.
    pub sync_ms: [f64; 2],
    /// Load averages at the start: what the neighbours do.
    pub load: String,
    /// `mail_version`.
    pub postfix: String,
    /// Commit of the sources, `+` if they were changed since.
    pub commit: String,
    /// UTC, RFC 3339.
    pub date: String,
}

impl Machine {
    /// Looks around; `ground` is on the disk to be measured.
    pub fn describe(ground: &Path) -> Self {
        let cpu = read("/proc/cpuinfo").lines().find(|line| line.starts_with("model name")).map(value_of);
        let sources = env!("CARGO_MANIFEST_DIR");
        let changed =
            if said("git", &["-C", sources, "status", "--porcelain", "-uno"]).is_empty() { "" } else { "+" };
        let os = read("/etc/os-release");
        let system = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
        Self {
            cpu: cpu.unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: proc::kilobytes(&read("/proc/meminfo"), "MemTotal:") * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: system.trim_matches('"').to_owned(),
            file_system: file_system_of(ground),
            sync_ms: disk::sync_latency_ms(ground),
            load: read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            postfix: said("postconf", &["-dh", "mail_version"]),
            commit: said("git", &["-C", sources, "rev-parse", "--short", "HEAD"]) + changed,
            date: said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = self.sync_ms;
        let memory = self.memory as f64 / f64::from(1 << 30);
        writeln!(f, "machine   {}, {} cores, {memory:.0} GiB memory", self.cpu, self.cores)?;
        writeln!(f, "system    {}, Linux {}, Postfix {}", self.system, self.kernel, self.postfix)?;
        writeln!(f, "disk      {}; 4 KiB + fdatasync: p50 {p50:.2} ms, p99 {p99:.2} ms", self.file_system)?;
        writeln!(
            f,
            "run       {}, sources at {}, load average at the start {}",
            self.date, self.commit, self.load
        )
    }
}

/// Type and device of the file system that `folder` is on: the longest mount point above it.
fn file_system_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = read("/proc/mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && folder.starts_with(fields[1]));
    let mount = above.max_by_key(|fields| fields[1].len());
    mount.map_or("unknown".to_owned(), |fields| format!("{} on {}", fields[2], fields[0]))
}

fn value_of(line: &str) -> String {
    line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What a command says, or nothing.
fn said(name: &str, words: &[&str]) -> String {
    let output = Command::new(name).args(words).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
