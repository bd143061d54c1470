//! Postfix's own load tools: a server that takes mail and forgets it, and a client that makes it up.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{await_within, dovecot::open_folder, free_port, process};

const PACKAGES: &str = "postfix";

/// Connections that may wait to be accepted; `smtp_source` opens many at once.
const BACKLOG: &str = "1024";

/// A running `smtp-sink`.
pub struct SmtpSink {
    port: u16,
    // Before the folder: the process ends before its files go.
    _server: process::Server,
    folder: TempDir,
}

impl SmtpSink {
    /// Takes everything by SMTP and keeps each mail in a file.
    pub fn start() -> Self {
        Self::start_with(&["-d", "%s."])
    }

    /// With options of `smtp-sink(1)`: `-L` for LMTP, `-w 3` for slow answers to DATA, `-r .` or `-f rcpt` for
    /// refusals. Mails are kept only with `-d %s.`.
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_at(free_port(), options)
    }

    /// One that comes (back) up where it is expected.
    pub fn start_on(port: u16) -> Self {
        Self::start_at(port, &["-d", "%s."])
    }

    fn start_at(port: u16, options: &[&str]) -> Self {
        let mut command = process::command("smtp-sink", PACKAGES);
        let folder = open_folder("smtp-sink");
        process::run(std::process::Command::new("chown").arg("nobody").arg(folder.path()));
        let log = folder.path().join("log");
        // It insists on giving up root.
        let sink = command.current_dir(folder.path()).args(["-u", "nobody"]).args(options);
        let mut server =
            process::Server::start("smtp-sink", sink.arg(format!("127.0.0.1:{port}")).arg(BACKLOG), &log);
        server.await_greeting(port, "220");
        Self { port, _server: server, folder }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The mails kept so far: X-headers of the envelope, then the message, with LF line ends.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        let files = fs::read_dir(self.folder.path()).expect("the sink's folder");
        let files = files.map(|file| file.expect("a readable folder").path());
        files
            .filter(|file| file.file_name() != Some("log".as_ref()))
            .map(|file| fs::read(file).unwrap_or_default())
            .collect()
    }

    /// Waits until `count` mails are kept, and none is still being written: each ends in an empty line of the sink's own.
    pub fn await_messages(&self, count: usize, deadline: Duration) -> Vec<Vec<u8>> {
        await_within(deadline, &format!("smtp-sink has {count} messages"), || {
            let is_whole = |mail: &Vec<u8>| mail.ends_with(b"\n\n");
            Some(self.messages()).filter(|mails| mails.len() >= count && mails.iter().all(is_whole))
        })
    }
}

/// Sends `messages` mails of `octets` each over `sessions` parallel connections, all of which must be taken.
/// Gives the time it took.
pub fn smtp_source(
    server: SocketAddr,
    (from, to): (&str, &str),
    (messages, octets, sessions): (usize, usize, usize),
) -> Duration {
    let mut command = process::command("smtp-source", PACKAGES);
    command.args(["-f", from, "-t", to, "-M", "source.test"]);
    command.args(["-m", &messages.to_string(), "-l", &octets.to_string(), "-s", &sessions.to_string()]);
    let start = Instant::now();
    process::run(command.arg(server.to_string()));
    start.elapsed()
}
