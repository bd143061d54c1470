//! One organisation under test: a real `dccp-gateway` process with its own keys, folder and loopback ports.
//!
//! ```text
//! Site::found("acme.test", lmtp) ─► introduce(&globex) ─► start() ─► … ─► settled() ─► drop
//! ```
//!
//! A site that is dropped in a test that did not panic checks that no message is left in its spool, unless
//! [`Site::may_leave_mail`] was said.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use dccp::Did;
use dccp::did::Log;
use serde_json::Value;
use tempfile::TempDir;

use crate::peers::{Zone, await_within, free_port};

/// How long a fixture waits for something that takes milliseconds when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
        assert!(done.status.success(), "init failed: {}", text(&done));
        site
    }

    /// Lets a test leave mail in the spool on purpose.
    pub fn may_leave_mail(&mut self) {
        self.check_leftovers = false;
    }

    /// Sets a key of the configuration file that stands there, with its default, in a comment or in force. A key that
    /// several sections have is named with its own: `outside.port`.
    pub fn set(&self, key: &str, value: &str) {
        let path = self.config();
        let config = fs::read_to_string(&path).expect("the configuration");
        let (wanted, name) = key.split_once('.').map_or((None, key), |(section, name)| (Some(section), name));
        let mut section = "";
        let mut found = 0;
        let lines = config.lines().map(|line| {
            if !line.starts_with([' ', '#']) {
                section = line.split(':').next().unwrap_or_default();
            }
            let bare = line.trim_start().trim_start_matches("# ");
            let indent = &line[..line.len() - line.trim_start().len()];
            if !bare.starts_with(&format!("{name}: ")) || wanted.is_some_and(|wanted| wanted != section) {
                return line.to_owned();
            }
            found += 1;
            format!("{indent}{name}: {value}")
        });
        let config: Vec<String> = lines.collect();
        assert_eq!(found, 1, "{key} stands once in the configuration:\n{}", config.join("\n"));
        fs::write(path, config.join("\n") + "\n").expect("the configuration is writable");
    }

    /// Writes lines, with their indentation, directly below a heading of the configuration file such as `smtp:`.
    pub fn write_below(&self, heading: &str, lines: &str) {
        let config = fs::read_to_string(self.config()).expect("the configuration");
        let (before, after) = config.split_once(&format!("\n{heading}\n")).expect("the heading");
        fs::write(self.config(), format!("{before}\n{heading}\n{lines}\n{after}")).expect("it is writable");
    }

    /// Takes the certificate of the doors for mail from the authority that `acme` describes, instead of from files.
    pub fn use_authority(&self, acme: &str) {
        self.set("acme", acme);
        let config = fs::read_to_string(self.config()).expect("the configuration");
        let is_file = |line: &&str| {
            *line == "  tls:" || line.ends_with(": tls/smtp.crt") || line.ends_with(": tls/smtp.key")
        };
        let rest: Vec<&str> = config.lines().filter(|line| !is_file(line)).collect();
        fs::write(self.config(), rest.join("\n") + "\n").expect("the configuration is writable");
    }

    /// Opens a door for people, and gives them names: each a user with the password `pw-of-` and the name, and the address of
    /// that name. Two ports: with STARTTLS, and with TLS from the first octet.
    pub fn open_submission(&self, people: &[&str]) -> [u16; 2] {
        let ports = [free_port(), free_port()];
        let [starttls, implicit] = ports;
        self.write_below(
            "smtp:",
            &format!("  submission:\n    listen: [\"127.0.0.1:{starttls}\"]\n    listen_tls: [\"127.0.0.1:{implicit}\"]"),
        );
        self.write_below("users:", "  file: users.yaml");
        for name in people {
            let address = format!("{name}@{}", self.domain);
            let words = ["user", "add", name, "--address", &address];
            let done = self.command_with(&words, &format!("pw-of-{name}\n"));
            assert!(done.status.success(), "user add failed: {}", text(&done));
        }
        ports
    }

    /// Opens a door for the outside world, which asks `dns`.
    pub fn open_mx(&self, dns: SocketAddr) -> SocketAddr {
        let at = loopback(free_port());
        self.write_below("smtp:", &format!("  mx:\n    listen: [\"{at}\"]"));
        self.set("dns_servers", &format!("[\"{dns}\"]"));
        at
    }

    /// Makes keys for the signatures on its mail, and gives its zone with them.
    pub fn zone_with_signing_keys(&self) -> Zone {
        let said = |words: &[&str]| {
            let done = self.command(words);
            assert!(done.status.success(), "{words:?}: {}", text(&done));
            String::from_utf8(done.stdout).expect("text")
        };
        said(&["dkim", "create", self.domain]);
        let records = said(&["dkim", "dns", self.domain]).replace("\n    ", " ");
        let records = records.lines().filter_map(|line| line.split_once(" IN TXT "));
        records.fold(Zone::signed(self.domain), |zone, (name, text)| {
            zone.record(&format!("{}.", name.trim_end_matches('.')), "TXT", text)
        })
    }

    /// The certificate of its doors for mail.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls/smtp.crt")
    }

    /// `other` becomes our partner: exports its partner file, imports it here.
    pub fn introduce(&self, other: &Site) {
        let file = self.folder.path().join(format!("{}.partner", other.domain));
        fs::write(&file, other.export()).expect("a partner file");
        let done = self.command(&["partner", "import", file.to_str().expect("a printable path")]);
        assert!(done.status.success(), "import failed: {}", text(&done));
    }

    /// Our partner file.
    pub fn export(&self) -> Vec<u8> {
        let done = self.command(&["partner", "export"]);
        assert!(done.status.success(), "export failed: {}", text(&done));
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

    /// The same with something on standard input.
    pub fn command_with(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(gateway_binary());
        command.args(words).arg("--config").arg(self.config());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("dccp-gateway starts");
        // A command that asks nothing may end before it has read.
        _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("dccp-gateway ends")
    }

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

    /// Waits until the link to every partner is up.
    pub fn await_links(&self) {
        eventually("the links are up", || {
            let (_, body) = self.get("/api/v1/partners");
            let partners: Value = serde_json::from_str(&body).expect("JSON");
            let partners = partners["partners"].as_array().or(partners.as_array()).expect("a list").clone();
            partners.iter().all(|partner| partner["link"] == "up").then_some(())
        });
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
            for gateway in String::from_utf8_lossy(&wrapped).split_whitespace() {
                _ = Command::new("kill").args(["-KILL", gateway]).status();
            }
            _ = process.kill();
            _ = process.wait();
        }
    }

    /// Waits for the process to end by itself.
    pub fn await_end(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("running");
        let domain = self.domain;
        eventually(&format!("{domain} ends"), || process.try_wait().expect("a child"))
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        self.await_end()
    }

    /// `GET` from the control listener, with the token.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path)
            .unwrap_or_else(|| panic!("{} does not answer {path}:\n{}", self.domain, self.log()))
    }

    fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let token = fs::read_to_string(self.folder.path().join("keys/control.token")).ok()?;
        http_get(self.control, path, token.trim())
    }

    /// A sample of `/metrics`, by its full name with labels, or 0 if it is not there.
    pub fn metric(&self, sample: &str) -> f64 {
        let (_, body) = self.get("/metrics");
        let line =
            body.lines().find_map(|line| line.strip_prefix(sample).and_then(|rest| rest.strip_prefix(' ')));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// The traces of a message, by queue id, DCCP message id or Message-ID.
    pub fn trace(&self, id: &str) -> Option<Value> {
        let id = id.replace('<', "%3C").replace('>', "%3E").replace('@', "%40");
        match self.get(&format!("/api/v1/messages/{id}")) {
            (200, body) => Some(serde_json::from_str(&body).expect("JSON")),
            (404, _) => None,
            other => panic!("unexpected answer: {other:?}"),
        }
    }

    /// Waits until the (first) trace of `id` is in `state`.
    pub fn await_state(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} is {state} at {}", self.domain), || {
            let trace = self.trace(id)?;
            let first = trace["messages"][0].clone();
            (first["state"] == state).then_some(first)
        })
    }

    /// Messages in the spool that have not ended.
    pub fn unsettled(&self) -> u64 {
        let states = ["queued", "sent", "held"];
        let ways = ["outbound", "inbound"];
        let depth = |state, way| {
            let one = format!("dccp_queue_depth{{direction=\"{way}\",state=\"{state}\"}}");
            let other = format!("dccp_queue_depth{{state=\"{state}\",direction=\"{way}\"}}");
            (self.metric(&one) + self.metric(&other)) as u64
        };
        states
            .iter()
            .flat_map(|state| ways.iter().map(move |way| (state, way)))
            .map(|(s, w)| depth(s, w))
            .sum()
    }

    /// Waits until nothing is left to do.
    pub fn settled(&self) {
        eventually(&format!("{} has settled everything", self.domain), || {
            (self.unsettled() == 0).then_some(())
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

    /// What it knows of the partner that has `domain`, as its console shows it.
    pub fn partner(&self, domain: &str) -> Value {
        let partners: Value = serde_json::from_str(&self.get("/api/v1/partners").1).expect("JSON");
        let list = partners["partners"].as_array().expect("a list");
        list.iter().find(|partner| partner["domain"] == domain).cloned().unwrap_or_default()
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
        let left = if !failing && self.check_leftovers && self.is_running() { self.unsettled() } else { 0 };
        self.kill();
        assert!(left == 0, "{} messages are left in the spool of {}", left, self.domain);
    }
}

/// Two organisations that know each other, and the personas in them: alice at acme, bob at globex.
pub struct TwoSites {
    /// Where alice is.
    pub acme: Site,
    /// Where bob is.
    pub globex: Site,
}

impl TwoSites {
    /// Founded, introduced to each other, not started.
    pub fn found(acme_deliver: &str, globex_deliver: &str) -> Self {
        let acme = Site::found("acme.test", acme_deliver);
        let globex = Site::found("globex.test", globex_deliver);
        acme.introduce(&globex);
        globex.introduce(&acme);
        Self { acme, globex }
    }

    /// Both started, and the links between them up.
    pub fn start(&mut self) {
        self.acme.start();
        self.globex.start();
        self.acme.await_links();
        self.globex.await_links();
    }

    /// Waits until nothing is left to do on either side.
    pub fn settled(&self) {
        self.acme.settled();
        self.globex.settled();
    }
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

fn http_get(at: SocketAddr, path: &str, token: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split_whitespace().nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((code, if chunked { unchunk(body) } else { body.to_owned() }))
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

fn text(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}
