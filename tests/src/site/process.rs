//! The process of a site: started, waited for, stopped in every way there is.

use std::fs::{self, File};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{PATIENCE, Site, eventually, gateway_binary};

impl Site {
    /// Starts the gateway and waits until it is ready.
    pub fn start(&mut self) {
        self.start_under(&[]);
        self.await_ready();
    }

    /// Starts the gateway behind a wrapper command (`strace …`), without waiting.
    pub fn start_under(&mut self, wrapper: &[&str]) {
        assert!(self.process.is_none(), "{} runs already", self.domain);
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let gateway = gateway_binary();
        let words = wrapper
            .iter()
            .map(|word| (*word).to_owned())
            .chain([gateway.to_str().expect("a path").to_owned()]);
        let words: Vec<String> = words.collect();
        let process = Command::new(&words[0])
            .args(&words[1..])
            .env("MALLOC_MMAP_THRESHOLD_", "131072") // or it would begin itself anew
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("dccp-gateway starts");
        self.process = Some(process);
    }

    /// Waits until `/readyz` says yes.
    pub fn await_ready(&mut self) {
        let domain = self.domain;
        let deadline = Instant::now() + PATIENCE;
        while !matches!(self.try_get("/readyz"), Some((200, _))) {
            if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten())
            {
                panic!("{domain} ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < deadline,
                "{domain} is not ready: {:?}\n{}",
                self.try_get("/readyz"),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the gateway is ready or has died, for tests that let it die early.
    pub fn await_ready_or_end(&mut self) {
        eventually("the gateway is ready or dead", || {
            (!self.is_running() || matches!(self.try_get("/readyz"), Some((200, _)))).then_some(())
        });
    }

    /// Gives the process `seconds` to die by itself; whether it did.
    pub fn await_end_within_seconds(&mut self, seconds: u64) -> bool {
        let end = Instant::now() + Duration::from_secs(seconds);
        while self.is_running() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        !self.is_running()
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// The process id, of the wrapper if there is one.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("running").id()
    }

    /// `kill -9`, of the gateway behind a wrapper too.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let wrapped = Command::new("pgrep").args(["-P", &process.id().to_string()]).output();
            let wrapped = wrapped.expect("pgrep: apt-get install procps").stdout;
            let wrapped = String::from_utf8_lossy(&wrapped).into_owned();
            wrapped.split_whitespace().for_each(|gateway| signal("-KILL", gateway));
            _ = process.kill();
            _ = process.wait();
            // A wrapper's child is not ours to wait for; its ports and its lock are free when its last thread has ended.
            for gateway in wrapped.split_whitespace() {
                eventually("the gateway behind the wrapper ends", || {
                    matches!(thread_states(gateway)[..], [] | ['Z']).then_some(())
                });
            }
        }
    }

    /// Looks at its files while it stands still, so that they are all of one moment.
    pub fn at_one_moment<T>(&self, look: impl FnOnce() -> T) -> T {
        let Some(process) = &self.process else { return look() };
        let pid = process.id().to_string();
        signal("-STOP", &pid);
        eventually("the gateway stands still", || {
            thread_states(&pid).iter().all(|state| *state == 'T').then_some(())
        });
        let seen = look();
        signal("-CONT", &pid);
        seen
    }

    /// Waits for the process to end by itself.
    pub fn await_end(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("running");
        let domain = self.domain;
        eventually(&format!("{domain} ends"), || process.try_wait().expect("a child"))
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        signal("-TERM", &self.pid().to_string());
        self.await_end()
    }
}

/// Sends a signal; to a process that has ended it is none.
fn signal(name: &str, pid: &str) {
    let sent = Command::new("kill").args([name, pid]).stderr(Stdio::null()).status();
    sent.expect("kill: apt-get install procps");
}

/// The states of a process's threads (proc(5)): none when it is gone.
fn thread_states(pid: &str) -> Vec<char> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stat = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("stat")).ok();
    // The name, in parentheses, may hold anything.
    let state = |stat: String| stat.rsplit_once(") ")?.1.chars().next();
    threads.filter_map(stat).filter_map(state).collect()
}
