//! What Linux says about processes: proc(5).

use std::fs;

/// Ticks per second of the times in `/proc`, fixed for user space on Linux.
const TICKS_PER_S: f64 = 100.0;

/// One process, from `/proc/PID/stat`.
struct Stat {
    pid: u32,
    parent: u32,
    /// User and system time of the process and of its children that ended, in ticks.
    ticks: u64,
}

/// `root` and everything below it.
pub fn tree(root: u32) -> Vec<u32> {
    below(&[root], &all()).iter().map(|stat| stat.pid).collect()
}

/// CPU seconds of everything at and below `roots`, including children that have ended since.
pub fn cpu_s(roots: &[u32]) -> f64 {
    below(roots, &all()).iter().map(|stat| stat.ticks).sum::<u64>() as f64 / TICKS_PER_S
}

/// CPU seconds of all processes since the machine started, and what other machines stole from it; without the kernel's
/// interrupts and threads.
pub fn processes_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let times: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or("")
        .split_whitespace()
        .skip(1)
        .filter_map(|time| time.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait, irq, softirq), steal; guest times are part of user and nice.
    let busy = [0, 1, 2, 7].iter().filter_map(|&at| times.get(at)).sum::<f64>() / TICKS_PER_S;
    let kernel_is_visible = fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd");
    busy - if kernel_is_visible { cpu_s(&[2]) } else { 0.0 }
}

/// Memory of some processes together, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Memory {
    /// Proportional set size: a page shared by n processes counts 1/n in each.
    pub pss: u64,
    /// Resident set size: a shared page counts in each process.
    pub rss: u64,
    /// How many processes.
    pub processes: usize,
}

/// Memory of everything at and below `roots`, now.
pub fn memory(roots: &[u32]) -> Memory {
    let everybody = all();
    let mut memory = Memory::default();
    for stat in below(roots, &everybody) {
        let Ok(rollup) = fs::read_to_string(format!("/proc/{}/smaps_rollup", stat.pid)) else { continue };
        memory.pss += kilobytes(&rollup, "Pss:") * 1024;
        memory.rss += kilobytes(&rollup, "Rss:") * 1024;
        memory.processes += 1;
    }
    memory
}

/// Whether a process is there and not a zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Who we are.
pub fn effective_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The value of `name` in a file of `Name:   123 kB` lines.
pub fn kilobytes(file: &str, name: &str) -> u64 {
    let value = file.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    value.split_whitespace().next().and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // A process that ends while we look is none.
    pids.filter_map(|pid| stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// Fields 4 (ppid) and 14 to 17 (utime, stime, cutime, cstime), counted after the name, which may contain anything.
fn stat(pid: u32, line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
    Some(Stat { pid, parent: u32::try_from(number(4)?).ok()?, ticks })
}

fn below<'a>(roots: &[u32], all: &'a [Stat]) -> Vec<&'a Stat> {
    let mut found: Vec<&Stat> = all.iter().filter(|stat| roots.contains(&stat.pid)).collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|stat| stat.pid) {
        let children = all.iter().filter(|stat| stat.parent == parent);
        found.extend(children.filter(|stat| !roots.contains(&stat.pid)));
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        let stat = stat(7, line).expect("a process");
        assert_eq!((stat.parent, stat.ticks), (3, 100));
    }

    #[test]
    fn the_work_of_children_counts_while_they_run_and_after_they_ended() {
        let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let me = std::process::id();
        let before = cpu_s(&[me]);
        let mut child = Command::new("sh").args(["-c", burn]).spawn().expect("a shell");
        assert!(tree(me).contains(&child.id()));
        child.wait().expect("the shell ends");
        assert!(cpu_s(&[me]) > before, "the shell's time is lost");
        assert!(!is_alive(child.id()));
    }

    #[test]
    fn two_roots_are_not_counted_twice() {
        let me = std::process::id();
        let memory = memory(&[me, me]);
        assert!(memory.processes >= 1 && memory.pss > 0 && memory.rss >= memory.pss);
        assert_eq!(below(&[me, me], &all()).iter().filter(|stat| stat.pid == me).count(), 1);
    }
}
