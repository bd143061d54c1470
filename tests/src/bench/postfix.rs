//! Two Postfix instances of Debian's package, each with its own configuration, queue and data.
//!
//! Everything that is not in [`MAIN_CF`] is Postfix's or Debian's default, above all what matters for speed:
//! `default_process_limit`, destination concurrency, connection caching, `in_flow_delay`, the queue's syncs.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::chain::{Chain, Entrance};
use super::{proc, syncs, tools};
use crate::peers::free_port;
use crate::site::{eventually, loopback};

/// `main.cf` of both instances; `@RELAY@` is the next hop, literally, so that no DNS is asked.
pub const MAIN_CF: &str = "\
compatibility_level = 3.6
queue_directory = @DIR@/spool
data_directory = @DIR@/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = @NAME@.bench.test
mydestination =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = @RELAY@
smtp_dns_support_level = disabled
smtpd_relay_restrictions = permit_mynetworks, reject
maillog_file = @DIR@/mail.log
maillog_file_prefixes = @DIR@
alias_maps =
alias_database =
append_dot_mydomain = no
biff = no
readme_directory = no
";

/// What an instance has besides that takes mail in and sends none: deferring costs it less than a next hop that is away,
/// and nothing slows its clients down because the queue grows.
const ALONE: &str = "\
defer_transports = smtp
in_flow_delay = 0
";

/// Debian's `master.cf` as the package installs it for new systems.
const DEBIANS_MASTER_CF: &str = "/usr/share/postfix/master.cf.dist";

/// A Postfix that does not greet within this time does not run.
const START_MAX: Duration = Duration::from_secs(30);

/// Postfix → Postfix.
pub struct PostfixPair {
    first: Postfix,
    second: Postfix,
    // After the instances, so that it is removed when they have stopped.
    _folder: TempDir,
}

/// One Postfix that keeps what it takes.
pub struct PostfixAlone {
    postfix: Postfix,
    _folder: TempDir,
}

struct Postfix {
    folder: PathBuf,
    listen: SocketAddr,
    foreground: Child,
}

impl PostfixPair {
    /// Starts both: the first relays everything to the second, the second everything to `deliver`.
    pub fn start(ground: &Path, deliver: SocketAddr, counted: Option<&Path>) -> Self {
        let folder = folder_in(ground);
        let [first, second] = [(); 2].map(|()| loopback(free_port()));
        let wrapper = |file| counted.map(|folder| syncs::wrapper(&folder.join(file))).unwrap_or_default();
        Self {
            second: Postfix::start(
                &folder.path().join("second"),
                second,
                deliver,
                "",
                &wrapper(syncs::SECOND),
            ),
            first: Postfix::start(&folder.path().join("first"), first, second, "", &wrapper(syncs::FIRST)),
            _folder: folder,
        }
    }
}

impl PostfixAlone {
    /// Starts it.
    pub fn start(ground: &Path) -> Self {
        let folder = folder_in(ground);
        let [listen, nowhere] = [(); 2].map(|()| loopback(free_port()));
        let postfix = Postfix::start(&folder.path().join("alone"), listen, nowhere, ALONE, &[]);
        Self { postfix, _folder: folder }
    }
}

impl Entrance for PostfixAlone {
    fn entrance(&self) -> SocketAddr {
        self.postfix.listen
    }

    fn unfinished(&self) -> u64 {
        self.postfix.queued()
    }

    fn log_tail(&self) -> String {
        self.postfix.log_tail()
    }
}

fn folder_in(ground: &Path) -> TempDir {
    let folder = tempfile::Builder::new().prefix("postfix").tempdir_in(ground).expect("a temporary folder");
    let_in(folder.path());
    folder
}

/// Postfix's processes give up root and must still reach their queue in `folder`.
pub fn let_in(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder of ours");
}

impl Chain for PostfixPair {
    fn roots(&self) -> [u32; 2] {
        [self.first.foreground.id(), self.second.foreground.id()]
    }
}

impl Entrance for PostfixPair {
    fn entrance(&self) -> SocketAddr {
        self.first.listen
    }

    fn unfinished(&self) -> u64 {
        self.first.queued() + self.second.queued()
    }

    fn log_tail(&self) -> String {
        format!("--- first\n{}\n--- second\n{}", self.first.log_tail(), self.second.log_tail())
    }
}

impl Postfix {
    fn start(folder: &Path, listen: SocketAddr, relay: SocketAddr, more: &str, wrapper: &[String]) -> Self {
        configure(folder, listen, relay, more);
        let console = File::create(folder.join("console.log")).expect("a log file");
        let conf = folder.join("conf");
        let postfix =
            ["postfix", "-c", conf.to_str().expect("a printable path"), "start-fg"].map(str::to_owned);
        let words: Vec<String> = wrapper.iter().cloned().chain(postfix).collect();
        let foreground = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("a log file"))
            .stderr(console)
            .spawn()
            .expect("postfix starts");
        let postfix = Self { folder: folder.to_owned(), listen, foreground };
        postfix.await_greeting();
        postfix
    }

    fn await_greeting(&self) {
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(self.listen).is_err() {
            assert!(Instant::now() < deadline, "Postfix does not start:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Messages in the queue, deferred ones included.
    fn queued(&self) -> u64 {
        ["maildrop", "incoming", "active", "deferred", "hold"]
            .iter()
            .map(|queue| files_in(&self.folder.join("spool").join(queue)))
            .sum()
    }

    fn log_tail(&self) -> String {
        let logs = ["console.log", "mail.log"].map(|name| fs::read_to_string(self.folder.join(name)));
        let whole = logs.into_iter().filter_map(Result::ok).collect::<String>();
        let last: Vec<&str> = whole.lines().rev().take(20).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let conf = self.folder.join("conf");
        let stopped = Command::new("postfix").arg("-c").arg(conf).arg("stop").stderr(Stdio::null()).status();
        let tree = proc::tree(self.foreground.id());
        if !stopped.is_ok_and(|status| status.success()) {
            tools::signal_all("KILL", &tree);
        }
        _ = self.foreground.wait();
        if !std::thread::panicking() {
            let alive = || tree.iter().all(|&pid| !proc::is_alive(pid)).then_some(());
            eventually("every process of Postfix has ended", alive);
        }
    }
}

/// Writes the folders and files of one instance.
fn configure(folder: &Path, listen: SocketAddr, relay: SocketAddr, more: &str) {
    for name in ["conf", "spool", "data"] {
        fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    tools::run("chown", &["postfix", folder.join("data").to_str().expect("a printable path")]);
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a printable name");
    let main_cf = MAIN_CF
        .replace("@DIR@", folder.to_str().expect("a printable path"))
        .replace("@NAME@", name)
        .replace("@RELAY@", &format!("[{}]:{}", relay.ip(), relay.port()));
    fs::write(folder.join("conf/main.cf"), main_cf + more).expect("main.cf is writable");
    let debians = fs::read_to_string(DEBIANS_MASTER_CF).expect("Debian's master.cf");
    fs::write(folder.join("conf/master.cf"), master_cf(&debians, listen)).expect("master.cf is writable");
}

/// Debian's services, with our own port and without chroot, whose libraries and sockets the package sets up for
/// `/var/spool/postfix` only.
fn master_cf(debians: &str, listen: SocketAddr) -> String {
    let service = |line: &str| {
        let mut fields: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with([' ', '\t', '#']) || fields.len() < 8 {
            return line.to_owned();
        }
        let port = listen.to_string();
        if fields[..2] == ["smtp", "inet"] {
            fields[0] = &port;
        }
        fields[4] = "n";
        fields.join(" ")
    };
    debians.lines().map(|line| service(line) + "\n").collect()
}

/// Files in a folder and in the folders of a hashed queue.
fn files_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let count = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_in(&entry.path()),
        Ok(kind) if kind.is_file() => 1,
        _ => 0,
    };
    entries.filter_map(Result::ok).map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_and_the_chroot_of_debians_services_change() {
        let debians = "# service type\nsmtp      inet  n       -       y       -       -       smtpd\n\
                       smtp      unix  -       -       y       -       -       smtp\n        -o syslog_name=x\n";
        let ours = "# service type\n127.0.0.1:2525 inet n - n - - smtpd\n\
                    smtp unix - - n - - smtp\n        -o syslog_name=x\n";
        assert_eq!(master_cf(debians, loopback(2525)), ours);
    }
}
