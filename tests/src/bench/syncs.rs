//! Syncs: how often a message makes the disk catch up, on the side that accepts and on the side that delivers.
//!
//! The chain starts behind strace, which stops its processes at these system calls only (`--seccomp-bpf`), so that
//! grouping several messages into one sync works as it does without strace.

use std::fs;
use std::path::Path;

use super::chain::Kind;
use super::plan::{Load, Plan};
use super::throughput::{SmtpSink, smtp_source};
use super::{Section, meter};

/// strace's file about the side that accepts.
pub const FIRST: &str = "first.syncs";
/// strace's file about the side that delivers.
pub const SECOND: &str = "second.syncs";

/// The system calls that wait for the disk.
const CALLS: [&str; 3] = ["fsync", "fdatasync", "sync_file_range"];

/// Syncs per message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerMessage {
    /// On the side that accepts.
    pub first: f64,
    /// On the side that delivers.
    pub second: f64,
}

/// The words to put before a command so that its syncs, and those of everything it starts, are in `file`.
/// The command stays our child; strace is the grandchild (`-D`).
pub fn wrapper(file: &Path) -> Vec<String> {
    let calls = format!("trace={}", CALLS.join(","));
    let file = file.to_str().expect("a printable path");
    ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-e", &calls, "-o", file]
        .map(str::to_owned)
        .to_vec()
}

/// One chain at a time, loaded like in a throughput round. Everything until it has settled counts.
pub fn phase(plan: &Plan, ground: &Path, sections: &mut [Section]) {
    if plan.sync_messages == 0 {
        return;
    }
    for (number, &kind) in plan.chains.iter().enumerate() {
        for (at, load) in plan.loads.iter().enumerate() {
            let load = Load { messages: plan.sync_messages, ..*load };
            meter::await_calm();
            let counted = count(kind, plan, load, ground);
            eprintln!(
                "syncs per message {} B, {kind}: {:.2} + {:.2}",
                load.bytes, counted.first, counted.second
            );
            sections[at].chains[number].syncs = Some(counted);
        }
    }
}

fn count(kind: Kind, plan: &Plan, load: Load, ground: &Path) -> PerMessage {
    let folder = tempfile::Builder::new().prefix("syncs").tempdir_in(ground).expect("a temporary folder");
    let sink = SmtpSink::start();
    let chain = kind.start(ground, sink.listen, Some(folder.path()));
    let sync_counts = || [FIRST, SECOND].map(|file| syncs_in(&folder.path().join(file)));
    let run = |messages: usize| {
        smtp_source(plan, plan.sessions, Load { messages, ..load }, &*chain);
        chain.settle();
    };
    run(plan.warm_up.min(load.messages));
    let before = sync_counts();
    run(load.messages);
    let after = sync_counts();
    let per_message = |side: usize| (after[side] - before[side]) as f64 / load.messages as f64;
    PerMessage { first: per_message(0), second: per_message(1) }
}

fn syncs_in(file: &Path) -> usize {
    let text = fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("strace wrote no {}: {error}", file.display()));
    text.lines().filter(|line| begins_a_sync(line)).count()
}

/// `123 fdatasync(7) = 0` or `123 fdatasync(7 <unfinished ...>`, but not `123 <... fdatasync resumed>) = 0`.
fn begins_a_sync(line: &str) -> bool {
    let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
    CALLS.iter().any(|name| call.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_was_interrupted_by_another_thread_counts_once() {
        assert!(begins_a_sync("123 fdatasync(7)                = 0"));
        assert!(begins_a_sync("123   fsync(7 <unfinished ...>"));
        assert!(!begins_a_sync("123 <... fsync resumed>)         = 0"));
        assert!(!begins_a_sync("123 +++ exited with 0 +++"));
    }
}
