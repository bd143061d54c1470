//! Other people's programs: that they are there, that they worked, that they are gone.

use std::process::{Command, Stdio};

/// What the bench runs, and the Debian package it is in.
const NEEDED: [(&str, &str); 4] =
    [("postfix", "postfix"), ("smtp-source", "postfix"), ("smtp-sink", "postfix"), ("strace", "strace")];

/// Checks that everything needed is installed and that we may use it. The error is for the user.
pub fn check() -> Result<(), String> {
    if super::proc::effective_uid() != Some(0) {
        return Err("Postfix starts as root: please run the bench as root".to_owned());
    }
    let is_missing = |name: &str| !run_quietly("sh", &["-c", &format!("command -v {name}")]);
    match NEEDED.iter().find(|(name, _)| is_missing(name)) {
        Some((name, package)) => {
            Err(format!("{name} is missing: apt-get install {package} (or: make peers)"))
        }
        None => Ok(()),
    }
}

/// Runs a command that must succeed.
pub fn run(name: &str, words: &[&str]) {
    let done = Command::new(name).args(words).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(done.status.success(), "{name} {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// `kill -NAME` of processes that we started; those that are gone already do not matter.
pub fn signal_all(name: &str, pids: &[u32]) {
    let words: Vec<String> =
        std::iter::once(format!("-{name}")).chain(pids.iter().map(u32::to_string)).collect();
    run_quietly("kill", &words.iter().map(String::as_str).collect::<Vec<_>>());
}

fn run_quietly(name: &str, words: &[&str]) -> bool {
    let status = Command::new(name).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
