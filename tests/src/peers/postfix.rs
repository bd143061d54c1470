//! Postfix: the mail server of an organisation, with the gateway as its smarthost.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use tempfile::TempDir;

use super::{await_within, dovecot::open_folder, free_port, process};

const PACKAGES: &str = "postfix";

/// What one Postfix is to do.
#[derive(Debug, Clone)]
pub struct PostfixConfig {
    /// The organisation's mail domain. Mail to it stays here if there is an `lmtp` port.
    pub domain: String,
    /// The gateway, for everything else.
    pub relayhost: SocketAddr,
    /// Where mail to the own domain is delivered; without it that goes to the relay host as well.
    pub lmtp: Option<u16>,
}

/// A running Postfix with its own configuration, queue and log.
pub struct Postfix {
    port: u16,
    // Before the folder: processes end before their files go.
    _server: process::Server,
    folder: TempDir,
}

impl Postfix {
    /// Starts it and waits until it greets. Deferred mail is tried again every second.
    pub fn start(config: PostfixConfig) -> Self {
        Self::start_with(config, "")
    }

    /// The same with more lines for main.cf, which count more than ours.
    pub fn start_with(config: PostfixConfig, more: &str) -> Self {
        let mut command = process::command("master", PACKAGES);
        let folder = open_folder("postfix");
        let port = free_port();
        write_files(folder.path(), port, &config, more);
        let log = folder.path().join("mail.log");
        // What `postfix start` ends with, after seconds of looking whether an installation is sound.
        let master = command.arg("-c").arg(folder.path().join("conf")).arg("-s");
        let mut server = process::Server::start_session_leader("postfix", master, &log);
        server.await_greeting(port, "220");
        Self { port, _server: server, folder }
    }

    /// Where clients hand in mail.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Messages in the queue, in whatever state.
    pub fn queue_length(&self) -> usize {
        let mut queue = self.control("postqueue");
        process::run(queue.arg("-j")).lines().filter(|line| !line.is_empty()).count()
    }

    /// Waits until nothing is left in the queue.
    pub fn await_empty_queue(&self, deadline: Duration) {
        await_within(deadline, "the queue of Postfix is empty", || (self.queue_length() == 0).then_some(()));
    }

    /// Tries everything in the queue now.
    pub fn flush(&self) {
        process::run(self.control("postqueue").arg("-f"));
    }

    /// Postfix's log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("mail.log")).unwrap_or_default()
    }

    fn control(&self, binary: &str) -> Command {
        let mut command = process::command(binary, PACKAGES);
        command.arg("-c").arg(self.folder.path().join("conf"));
        command
    }
}

/// Queue folders with their mode, and whether the group `postdrop` owns them (Debian's `postfix-files`).
const QUEUE: [(&str, u32, bool); 12] = [
    ("active", 0o700, false),
    ("bounce", 0o700, false),
    ("corrupt", 0o700, false),
    ("defer", 0o700, false),
    ("deferred", 0o700, false),
    ("flush", 0o700, false),
    ("hold", 0o700, false),
    ("incoming", 0o700, false),
    ("private", 0o700, false),
    ("trace", 0o700, false),
    ("maildrop", 0o730, true),
    ("public", 0o710, true),
];

fn write_files(folder: &Path, port: u16, config: &PostfixConfig, more: &str) {
    for part in ["conf", "queue", "queue/pid", "data"] {
        fs::create_dir(folder.join(part)).expect("a folder");
    }
    let mut owned = Command::new("chown");
    owned.arg("postfix").arg(folder.join("data"));
    let mut shared = Command::new("chgrp");
    shared.arg("postdrop");
    for (name, mode, group) in QUEUE {
        let part = folder.join("queue").join(name);
        fs::create_dir(&part).expect("a folder");
        fs::set_permissions(&part, fs::Permissions::from_mode(mode)).expect("our own folder");
        owned.arg(&part);
        if group {
            shared.arg(&part);
        }
    }
    process::run(&mut owned);
    process::run(&mut shared);
    let main_cf = main_cf(folder, config);
    let unchanged = |line: &&str| {
        let name = line.split('=').next().unwrap_or_default();
        !more.lines().any(|line| line.split('=').next() == Some(name))
    };
    let main_cf: Vec<&str> = main_cf.lines().filter(unchanged).chain(more.lines()).collect();
    fs::write(folder.join("conf/main.cf"), main_cf.join("\n") + "\n").expect("a config file");
    fs::write(folder.join("conf/master.cf"), master_cf(port)).expect("a config file");
}

fn main_cf(folder: &Path, config: &PostfixConfig) -> String {
    let PostfixConfig { domain, relayhost, lmtp } = config;
    let folder = folder.display();
    let relayhost = format!("[{}]:{}", relayhost.ip(), relayhost.port());
    let delivery = lmtp.map_or_else(String::new, |port| {
        format!("virtual_mailbox_domains = {domain}\nvirtual_transport = lmtp:inet:127.0.0.1:{port}\n")
    });
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mx.{domain}
mydomain = {domain}
myorigin = {domain}
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
smtputf8_enable = yes
message_size_limit = 104857600
mailbox_size_limit = 0
relayhost = {relayhost}
{delivery}queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
"
    )
}

/// Debian's own, with the listener on our port and nothing in a chroot, which would lack /etc.
fn master_cf(port: u16) -> String {
    let original = fs::read_to_string("/usr/share/postfix/master.cf.dist")
        .or_else(|_| fs::read_to_string("/etc/postfix/master.cf"))
        .unwrap_or_else(|error| panic!("no master.cf ({error}): apt-get install {PACKAGES}"));
    let services = original.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<String> = services.map(|line| service_line(line, port)).collect();
    lines.join("\n") + "\n"
}

/// `service type private unprivileged chroot wakeup maxproc command…`; indented lines continue one.
fn service_line(line: &str, port: u16) -> String {
    let mut fields: Vec<&str> = line.split_whitespace().collect();
    if line.starts_with([' ', '\t']) || fields.len() < 8 {
        return line.to_owned();
    }
    fields[4] = "n";
    let port = port.to_string();
    if fields[..2] == ["smtp", "inet"] {
        fields[0] = &port;
    }
    fields.join(" ")
}
