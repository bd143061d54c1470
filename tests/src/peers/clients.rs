//! Mail clients as people and scripts use them, each told to send one letter to a server on loopback.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use super::process;

/// What to send. All of it may be UTF-8, except the addresses.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The sender, in the envelope and in the header.
    pub from: &'a str,
    /// The recipient.
    pub to: &'a str,
    /// One line.
    pub subject: &'a str,
    /// Lines that end in LF; each client makes of them what it does.
    pub body: &'a str,
    /// File name and octets.
    pub attachment: Option<(&'a str, &'a [u8])>,
}

/// How somebody gets in: with a name and a password, under TLS.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// Where.
    pub port: u16,
    /// TLS begins with the first octet, not with STARTTLS.
    pub implicit_tls: bool,
    /// The server's certificate, which the client is told to believe.
    pub certificate: &'a Path,
    /// In the words of SASL: `PLAIN`, `LOGIN`, `SCRAM-SHA-256`.
    pub mechanism: &'a str,
    /// The name.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
}

/// How it ended.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The client says that the server took the letter.
    pub accepted: bool,
    /// What the client printed; a refusal is in there in the server's words.
    pub transcript: String,
}

impl Sent {
    fn of(done: Output) -> Self {
        let print = [done.stdout, done.stderr].concat();
        Self { accepted: done.status.success(), transcript: String::from_utf8_lossy(&print).into_owned() }
    }

    /// Panics with the transcript unless the server took the letter.
    #[track_caller]
    pub fn expect_accepted(self) -> Self {
        assert!(self.accepted, "the letter was not accepted:\n{}", self.transcript);
        self
    }
}

/// The Swiss army knife for SMTP; the transcript is the whole dialogue.
pub fn swaks(port: u16, letter: &Letter<'_>) -> Sent {
    swaks_with(port, letter, &[])
}

/// The same for somebody who logs in. It knows no SCRAM.
pub fn swaks_as(login: &Login<'_>, letter: &Letter<'_>) -> Sent {
    let tls = if login.implicit_tls { "--tls-on-connect" } else { "--tls" };
    let (user, password) = (login.user, login.password);
    let words = [tls, "--auth", login.mechanism, "--auth-user", user, "--auth-password", password];
    swaks_with(login.port, letter, &words)
}

/// The same with another author in the header than the sender in the envelope.
pub fn swaks_showing(login: &Login<'_>, letter: &Letter<'_>, author: &str) -> Sent {
    let (user, password) = (login.user, login.password);
    let words = ["--tls", "--auth", login.mechanism, "--auth-user", user, "--auth-password", password];
    swaks_with(login.port, letter, &[words.as_slice(), &["--h-From", author]].concat())
}

/// The same with one more field in the header.
pub fn swaks_saying(login: &Login<'_>, letter: &Letter<'_>, field: &str) -> Sent {
    let (user, password) = (login.user, login.password);
    let words = ["--tls", "--auth", login.mechanism, "--auth-user", user, "--auth-password", password];
    swaks_with(login.port, letter, &[words.as_slice(), &["--add-header", field]].concat())
}

fn swaks_with(port: u16, letter: &Letter<'_>, words: &[&str]) -> Sent {
    let desk = Desk::new(letter);
    let mut command = desk.client("swaks", "swaks");
    command.args(["--server", &format!("127.0.0.1:{port}"), "--helo", "client.test", "--timeout", "60"]);
    command.args(["--from", letter.from, "--to", letter.to, "--h-Subject", letter.subject]).args(words);
    match (letter.attachment, desk.attachment()) {
        (Some((name, _)), Some(file)) => {
            command.args(["--attach-type", "text/plain; charset=utf-8", "--attach-body", letter.body]);
            command.args(["--attach-name", name, "--attach", &format!("@{}", file.display())]);
        }
        _ => {
            command.args(["--add-header", "MIME-Version: 1.0"]);
            command.args(["--add-header", "Content-Type: text/plain; charset=utf-8", "--body", letter.body]);
        }
    }
    Sent::of(command.output().expect("swaks runs"))
}

/// The `mail` command of many systems.
pub fn s_nail(port: u16, letter: &Letter<'_>) -> Sent {
    s_nail_with(letter, &[&format!("mta=smtp://127.0.0.1:{port}"), "smtp-auth=none"])
}

/// The same for somebody who logs in. It knows no SCRAM.
pub fn s_nail_as(login: &Login<'_>, letter: &Letter<'_>) -> Sent {
    let scheme = if login.implicit_tls { "smtps" } else { "smtp" };
    let at = format!("{scheme}://{}:{}@127.0.0.1:{}", login.user, login.password, login.port);
    let auth = format!("smtp-auth={}", login.mechanism.to_lowercase());
    // Its own store of certificates is the system's; the server's is made for the test.
    s_nail_with(letter, &[&format!("mta={at}"), &auth, "smtp-use-starttls", "tls-verify=ignore"])
}

fn s_nail_with(letter: &Letter<'_>, settings: &[&str]) -> Sent {
    let desk = Desk::new(letter);
    let mut command = desk.client("s-nail", "s-nail");
    // Neither the system's nor a user's settings; wait for the transport and say how it ended.
    command.args([
        "-:",
        "/",
        "-S",
        "v15-compat=yes",
        "-S",
        "sendwait",
        "-S",
        "ttycharset=utf-8",
        "-S",
        "save=",
    ]);
    settings.iter().chain(&["hostname=client.test"]).for_each(|setting| _ = command.args(["-S", setting]));
    command.args(["-S", &format!("from={}", letter.from), "-r", letter.from, "-s", letter.subject]);
    if let Some(file) = desk.attachment() {
        command.arg("-a").arg(file);
    }
    Sent::of(feed(command.arg(letter.to), letter.body.as_bytes()))
}

/// A full-screen client, used from a script.
pub fn neomutt(port: u16, letter: &Letter<'_>) -> Sent {
    let settings = format!(
        "set smtp_url = \"smtp://127.0.0.1:{port}\"\nset ssl_starttls = no\nset ssl_force_tls = no\n"
    );
    neomutt_with(letter, &settings)
}

/// The same for somebody who logs in.
pub fn neomutt_as(login: &Login<'_>, letter: &Letter<'_>) -> Sent {
    let Login { port, implicit_tls, certificate, mechanism, user, password } = login;
    let scheme = if *implicit_tls { "smtps" } else { "smtp" };
    let (mechanism, certificate) = (mechanism.to_lowercase(), certificate.display());
    neomutt_with(
        letter,
        &format!(
            "set smtp_url = \"{scheme}://{user}@127.0.0.1:{port}\"
set smtp_pass = \"{password}\"
set smtp_authenticators = \"{mechanism}\"
set ssl_starttls = yes
set ssl_force_tls = yes
set ssl_verify_host = no
set certificate_file = \"{certificate}\"
"
        ),
    )
}

fn neomutt_with(letter: &Letter<'_>, access: &str) -> Sent {
    let desk = Desk::new(letter);
    let settings = format!(
        "{access}set from = \"{}\"
set use_from = yes
set use_envelope_from = yes
set hostname = \"client.test\"
set copy = no
set charset = \"utf-8\"
",
        letter.from
    );
    let muttrc = desk.file("muttrc", settings.as_bytes());
    let mut command = desk.client("neomutt", "neomutt");
    command.arg("-n").arg("-F").arg(muttrc).args(["-s", letter.subject]);
    if let Some(file) = desk.attachment() {
        command.arg("-a").arg(file);
    }
    Sent::of(feed(command.arg("--").arg(letter.to), letter.body.as_bytes()))
}

/// A `sendmail` for machines without one: gets a finished message, which the program that calls it composed.
pub fn msmtp(port: u16, letter: &Letter<'_>) -> Sent {
    let desk = Desk::new(letter);
    msmtp_with(&desk, port, letter, &["--tls=off", "--auth=off"])
}

/// The same for somebody who logs in.
pub fn msmtp_as(login: &Login<'_>, letter: &Letter<'_>) -> Sent {
    let desk = Desk::new(letter);
    let password = desk.file("password", login.password.as_bytes());
    let starttls = if login.implicit_tls { "off" } else { "on" };
    let words = [
        "--tls=on".to_owned(),
        format!("--tls-starttls={starttls}"),
        "--tls-certcheck=off".to_owned(),
        format!("--auth={}", login.mechanism.to_lowercase()),
        format!("--user={}", login.user),
        format!("--passwordeval=cat {}", password.display()),
    ];
    msmtp_with(&desk, login.port, letter, &words.each_ref().map(String::as_str))
}

fn msmtp_with(desk: &Desk, port: u16, letter: &Letter<'_>, words: &[&str]) -> Sent {
    let mut command = desk.client("msmtp", "msmtp");
    command.args(["--host=127.0.0.1", &format!("--port={port}"), "--domain=client.test"]).args(words);
    command.args(["--timeout=60", &format!("--from={}", letter.from), "--", letter.to]);
    Sent::of(feed(&mut command, compose(letter, desk.attachment()).as_bytes()))
}

/// A message with LF line ends, as a script would pipe it into `sendmail`.
fn compose(letter: &Letter<'_>, attachment: Option<PathBuf>) -> String {
    let Letter { from, to, subject, body, .. } = letter;
    let text = format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}");
    let header = format!("From: <{from}>\nTo: <{to}>\nSubject: {subject}\nMIME-Version: 1.0\n");
    let (Some((name, _)), Some(file)) = (letter.attachment, attachment) else { return header + &text };
    let base64 = process::run(Command::new("base64").arg(file));
    format!(
        "{header}Content-Type: multipart/mixed; boundary=\"=_letter\"\n\n--=_letter\n{text}\n--=_letter\n\
         Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\
         Content-Disposition: attachment; filename=\"{name}\"\n\n{base64}\n--=_letter--\n"
    )
}

/// A home folder for one run of a client, so that it neither reads nor leaves anything elsewhere.
struct Desk {
    home: TempDir,
    attachment: Option<PathBuf>,
}

impl Desk {
    fn new(letter: &Letter<'_>) -> Self {
        let home = tempfile::Builder::new().prefix("client").tempdir().expect("a temporary folder");
        let mut desk = Self { home, attachment: None };
        desk.attachment = letter.attachment.map(|(name, octets)| desk.file(name, octets));
        desk
    }

    fn file(&self, name: &str, octets: &[u8]) -> PathBuf {
        let file = self.home.path().join(name);
        fs::write(&file, octets).expect("a file of our own");
        file
    }

    fn attachment(&self) -> Option<PathBuf> {
        self.attachment.clone()
    }

    fn client(&self, binary: &str, package: &str) -> Command {
        let mut command = process::command(binary, package);
        let home: &Path = self.home.path();
        command
            .env("HOME", home)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb")
            .current_dir(home)
            .stdin(Stdio::null());
        command.env("TMPDIR", home).env_remove("MAILRC").env_remove("EMAIL");
        command
    }
}

/// Runs a client with this on its standard input.
fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    // A client that ends before it has read everything says why in its output.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("the client ends")
}
