//! Child processes that do not outlive their fixture.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::await_within;

/// Every server here greets within half a second on an idle machine; a scenario may have a busy one.
pub(super) const START_WAIT: Duration = Duration::from_secs(120);

/// Lines of a server's log that are shown when its test fails.
const LOG_LINES_SHOWN: usize = 40;

/// A command for `binary`, which the Debian packages in `install` contain.
pub(super) fn command(binary: &str, install: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons live in places that the PATH of a user lacks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/lib/postfix/sbin".into()]);
    match folders.map(|folder: PathBuf| folder.join(binary)).find(|file| file.is_file()) {
        Some(file) => Command::new(file),
        None => panic!("{binary} is missing: apt-get install {install}"),
    }
}

/// Runs a command to its end, which must be a success; gives its standard output.
pub(super) fn run(command: &mut Command) -> String {
    let done = command.stdin(Stdio::null()).output().expect("the command starts");
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} failed with {}: {error}", done.status);
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A server in the foreground of a process group of its own.
pub(super) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// What it prints goes to `log`, where it may also write its own log.
    pub(super) fn start(name: &'static str, command: &mut Command, log: &Path) -> Self {
        Self::start_session_leader(name, command.process_group(0), log)
    }

    /// The same for a command that insists on founding a session, and so a group, by itself.
    pub(super) fn start_session_leader(name: &'static str, command: &mut Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log file"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child, log: log.to_owned() }
    }

    /// The same for a program that is talked to by its standard input and output.
    pub(super) fn start_talking(
        name: &'static str,
        command: &mut Command,
        log: &Path,
    ) -> (Self, ChildStdin, ChildStdout) {
        let errors = File::options().create(true).append(true).open(log).expect("a log file");
        let command = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let pipes = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        (Self { name, child, log: log.to_owned() }, pipes.0, pipes.1)
    }

    /// Waits until a client that connects to `port` is greeted with a line that starts with `greeting`.
    pub(super) fn await_greeting(&mut self, port: u16, greeting: &str) {
        await_within(START_WAIT, &format!("{} greets on port {port}", self.name), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status}:\n{}", self.name, self.log_end());
            }
            greeting_on(port).filter(|line| line.starts_with(greeting))
        });
    }

    /// Waits until the log contains `text`.
    pub(super) fn await_log(&self, text: &str) {
        await_within(START_WAIT, &format!("{} writes {text} to its log", self.name), || {
            fs::read_to_string(&self.log).ok().filter(|log| log.contains(text))
        });
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both may have ended already, and whatever they ended with is our doing.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log_end());
        }
    }
}

fn greeting_on(port: u16) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, START_WAIT).ok()?;
    stream.set_read_timeout(Some(START_WAIT)).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line)
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "no-such-peer is missing: apt-get install the-package")]
    fn a_missing_binary_is_answered_with_the_line_that_installs_it() {
        super::command("no-such-peer", "the-package");
    }
}
