//! One organisation under test: a real `dccp-gateway` process with its own keys, folder and loopback ports.
//!
//! ```text
//! Site::found("acme.test", lmtp) ─► introduce(&globex) ─► start() ─► … ─► settled() ─► drop
//!      └ configuration: set(), open_mx() …                  └ process: kill(), terminate() …  └ view: get(), await_state() …
//! ```
//!
//! A site that is dropped in a test that did not panic checks that no message is left in its spool, unless
//! [`Site::may_leave_mail`] was said.
//!
//! Nothing here is read once that a gateway does by and by: a state, a count, a line of the log is awaited.

mod configuration;
mod pair;
mod process;
mod view;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dccp::Did;
use dccp::did::Log;
use tempfile::TempDir;

use crate::peers::{ASK_AGAIN, await_within, free_port};

pub use pair::TwoSites;

/// How long a fixture waits for something that takes milliseconds when all is well. A machine may be busy with much else.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What is still under way when a test has seen enough, a receipt or its acknowledgement, has this long to arrive.
const PARTING: Duration = Duration::from_secs(20);

/// An organisation and its gateway.
pub struct Site {
    /// Its mail domain.
    pub domain: &'static str,
    /// Where it takes mail.
    pub smtp: SocketAddr,
    /// Its overlay port, QUIC and TCP.
    pub overlay_port: u16,
    /// Its control listener.
    pub control: SocketAddr,
    folder: TempDir,
    process: Option<Child>,
    check_leftovers: bool,
}

impl Site {
    /// Founds an organisation whose mail server is at `deliver`, for example `lmtp:127.0.0.1:2424`.
    pub fn found(domain: &'static str, deliver: &str) -> Self {
        Self::found_with(domain, deliver, &[])
    }

    /// The same with more words for `init`.
    pub fn found_with(domain: &'static str, deliver: &str, more: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix(domain).tempdir().expect("a temporary folder");
        let [smtp, overlay_port, control] = [(); 3].map(|()| free_port());
        let site = Self {
            domain,
            smtp: loopback(smtp),
            overlay_port,
            control: loopback(control),
            folder,
            process: None,
            check_leftovers: true,
        };
        let folder = site.folder.path().to_str().expect("a printable path").to_owned();
        let quic = format!("/ip4/127.0.0.1/udp/{overlay_port}/quic-v1");
        let tcp = format!("/ip4/127.0.0.1/tcp/{overlay_port}");
        let (smtp, control) = (site.smtp.to_string(), site.control.to_string());
        let done = Command::new(gateway_binary())
            .args(["init", "--domain", domain, "--dir", &folder, "--deliver", deliver])
            .args(["--smtp-listen", &smtp, "--control-listen", &control])
            .args(["--overlay-listen", &quic, "--overlay-listen", &tcp])
            .args(more)
            .output()
            .expect("dccp-gateway starts");
        assert!(done.status.success(), "init failed: {}", said(&done));
        site
    }

    /// Lets a test leave mail in the spool on purpose.
    pub fn may_leave_mail(&mut self) {
        self.check_leftovers = false;
    }

    /// The certificate of its doors for mail.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls/smtp.crt")
    }

    /// `other` becomes our partner: exports its partner file, imports it here.
    pub fn introduce(&self, other: &Site) {
        let file = self.folder.path().join(format!("{}.partner", other.domain));
        fs::write(&file, other.export()).expect("a partner file");
        self.done(&["partner", "import", file.to_str().expect("a printable path")]);
    }

    /// Our partner file.
    pub fn export(&self) -> Vec<u8> {
        let done = self.command(&["partner", "export"]);
        assert!(done.status.success(), "export failed: {}", said(&done));
        done.stdout
    }

    /// Runs `dccp-gateway WORDS --config …` to its end.
    pub fn command(&self, words: &[&str]) -> Output {
        let config = self.config();
        Command::new(gateway_binary())
            .args(words)
            .arg("--config")
            .arg(config)
            .output()
            .expect("dccp-gateway starts")
    }

    /// A command that must be done; what it says.
    #[track_caller]
    pub fn done(&self, words: &[&str]) -> String {
        let done = self.command(words);
        assert!(done.status.success(), "{words:?} failed: {}", said(&done));
        said(&done)
    }

    /// A command that must be refused (gateway/src/cli/mod.rs: exit code 1); what it says.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) -> String {
        let done = self.command(words);
        assert_eq!(done.status.code(), Some(1), "{words:?} was not refused: {}", said(&done));
        said(&done)
    }

    /// Runs it with something on standard input.
    pub fn command_with(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(gateway_binary());
        command.args(words).arg("--config").arg(self.config());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("dccp-gateway starts");
        // A command that asks nothing may end before it has read.
        _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("dccp-gateway ends")
    }

    /// Gives an order to the queue until one message has obeyed it: one that is in the courier's hands declines.
    pub fn obeyed(&self, words: &[&str]) {
        eventually(&format!("{words:?} is obeyed"), || {
            let done = self.command(&[&["queue"], words].concat());
            let is_declined = said(&done).contains("on its way at this moment");
            assert!(done.status.success() || is_declined, "{words:?}: {}", said(&done));
            String::from_utf8_lossy(&done.stdout).contains(": 1 done").then_some(())
        });
    }

    /// Its DID log as it stands on disk.
    pub fn log_of_identity(&self) -> Log {
        let log = fs::read(self.data().join("identity/organisation.did")).expect("a DID log");
        Log::from_bytes(&log).expect("a DID log")
    }

    /// Its DID.
    pub fn did(&self) -> Did {
        self.log_of_identity().did()
    }

    /// The folder with configuration, keys and data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that is the spool's.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `dccp-config.yaml`.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("dccp-config.yaml")
    }

    /// What the gateway logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if failing {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- log of {} ---", self.domain);
            tail.into_iter().rev().for_each(|line| eprintln!("{line}"));
        }
        let settled = failing || in_parting(|| self.owes() == 0);
        self.kill();
        assert!(settled, "messages are left in the spool of {}", self.domain);
    }
}

/// Whether it becomes true before we part.
fn in_parting(mut is_done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PARTING;
    while !is_done() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(ASK_AGAIN);
    }
    true
}

/// Asks again every few milliseconds until there is an answer; panics after [`PATIENCE`]. For things that happen in
/// another process and offer nothing to wait on.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    await_within(PATIENCE, what, ask)
}

/// `127.0.0.1:port`.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The gateway that this package builds beside its tests, so that it is never an old one.
pub fn gateway_binary() -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let folder = test.ancestors().find(|folder| folder.join("dccp-gateway-under-test").is_file());
    folder.expect("dccp-gateway-under-test is built beside the tests").join("dccp-gateway-under-test")
}

/// All that a command printed.
pub fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}
