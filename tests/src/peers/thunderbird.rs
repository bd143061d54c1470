//! Thunderbird: the mail program of many offices, with its real compose window, told by Marionette what a person would do.
//!
//! ```text
//! Thunderbird::start(login) ─► send(letter) ─► STARTTLS or TLS, AUTH, DATA ─► the server
//!                                   └────────► sent(): the copies in its own folder
//! ```

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    await_within,
    clients::{Letter, Login, Sent},
    free_port, process,
};

/// It starts in four seconds on an idle machine, and a scenario may have a busy one.
const START_WAIT: Duration = Duration::from_secs(120);

/// Opening the compose window, sending and filing take two seconds.
const TASK_WAIT: Duration = Duration::from_secs(60);

/// What Thunderbird does, in its own language.
const SCRIPT: &str = include_str!("thunderbird.js");

/// A running Thunderbird of one person.
pub struct Thunderbird {
    marionette: Marionette,
    // Before the folder: the process ends before its files go.
    _server: process::Server,
    folder: TempDir,
}

impl Thunderbird {
    /// Starts it with a profile of its own, for the person with this address who logs in so.
    pub fn start(login: &Login<'_>, address: &str) -> Self {
        let mut command = process::command("thunderbird", "thunderbird");
        let folder = tempfile::Builder::new().prefix("thunderbird").tempdir().expect("a temporary folder");
        let port = free_port();
        let profile = folder.path().join("profile");
        fs::create_dir(&profile).expect("a folder");
        fs::write(profile.join("user.js"), preferences(login, address, port)).expect("a file of our own");
        command.args([
            "--headless",
            "--no-remote",
            "--marionette",
            "--remote-allow-system-access",
            "-profile",
        ]);
        command
            .arg(&profile)
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("LC_ALL", "C.UTF-8");
        let log = folder.path().join("log");
        let server = process::Server::start("thunderbird", &mut command, &log);
        let marionette = Marionette::connect(port);
        let mut thunderbird = Self { marionette, _server: server, folder };
        let certificate = fs::read_to_string(login.certificate).expect("a certificate");
        let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
        let (user, password) = (login.user, login.password);
        let settled =
            json!({"port": login.port, "certificate": certificate, "user": user, "password": password});
        thunderbird.marionette.task("settle", settled).expect("Thunderbird keeps a password");
        thunderbird
    }

    /// Opens the compose window, fills it, presses *Send* and waits until the mail and the copy of it are gone where they
    /// belong. What Thunderbird asks instead is the transcript.
    pub fn send(&mut self, letter: &Letter<'_>) -> Sent {
        let attachment = letter.attachment.map(|(name, octets)| {
            let file = self.folder.path().join(name);
            fs::write(&file, octets).expect("a file of our own");
            json!({"name": name, "url": format!("file://{}", file.display()), "size": octets.len()})
        });
        let (to, subject, body) = (letter.to, letter.subject, letter.body.replace('\n', "<br>"));
        let mail = json!({"to": to, "subject": subject, "body": body, "attachment": attachment});
        match self.marionette.task("send", mail) {
            Ok(_) => Sent { accepted: true, transcript: String::new() },
            Err(transcript) => Sent { accepted: false, transcript },
        }
    }

    /// The mails that it sent, from its own folder, oldest first, with LF line ends: as it wrote them, without what it noted on
    /// them for itself.
    pub fn sent(&self) -> Vec<String> {
        let folder = self.folder.path().join("profile/Mail/Local Folders/Sent");
        let folder = fs::read_to_string(folder).unwrap_or_default().replace('\r', "");
        let mails = folder.split("From - ").skip(1).map(|mail| mail.split_once('\n').expect("a line").1);
        let own_notes = ["X-Mozilla-", "X-Identity-Key:", "X-Account-Key:", "FCC:"];
        mails
            .map(|mail| {
                let is_note = |line: &&str| own_notes.iter().any(|note| line.starts_with(note));
                let notes: usize = mail.split_inclusive('\n').take_while(is_note).map(str::len).sum();
                mail[notes..].to_owned()
            })
            .collect()
    }
}

/// One account whose mailbox nobody looks into, one way to send, and nothing that asks or calls home.
fn preferences(login: &Login<'_>, address: &str, marionette: u16) -> String {
    const NORMAL_PASSWORD: u8 = 3;
    /// RFC 863's port: there is no mailbox here.
    const NOBODY: u16 = 9;
    let (starttls, implicit_tls) = (2, 3);
    let settings = [
        ("mail.accountmanager.accounts", json!("account1,account2")),
        ("mail.accountmanager.defaultaccount", json!("account1")),
        ("mail.accountmanager.localfoldersserver", json!("server2")),
        ("mail.account.account1.server", json!("server1")),
        ("mail.account.account1.identities", json!("id1")),
        ("mail.account.account2.server", json!("server2")),
        ("mail.server.server1.type", json!("imap")),
        ("mail.server.server1.hostname", json!("127.0.0.1")),
        ("mail.server.server1.port", json!(NOBODY)),
        ("mail.server.server1.userName", json!(login.user)),
        ("mail.server.server1.login_at_startup", json!(false)),
        ("mail.server.server1.check_new_mail", json!(false)),
        ("mail.server.server2.type", json!("none")),
        ("mail.server.server2.hostname", json!("Local Folders")),
        ("mail.server.server2.userName", json!("nobody")),
        ("mail.server.server2.directory-rel", json!("[ProfD]Mail/Local Folders")),
        ("mail.identity.id1.fullName", json!("Alice")),
        ("mail.identity.id1.useremail", json!(address)),
        ("mail.identity.id1.smtpServer", json!("smtp1")),
        ("mail.identity.id1.valid", json!(true)),
        ("mail.identity.id1.fcc", json!(true)),
        ("mail.identity.id1.fcc_folder", json!("mailbox://nobody@Local%20Folders/Sent")),
        ("mail.smtpservers", json!("smtp1")),
        ("mail.smtp.defaultserver", json!("smtp1")),
        ("mail.smtpserver.smtp1.hostname", json!("127.0.0.1")),
        ("mail.smtpserver.smtp1.port", json!(login.port)),
        ("mail.smtpserver.smtp1.username", json!(login.user)),
        ("mail.smtpserver.smtp1.authMethod", json!(NORMAL_PASSWORD)),
        ("mail.smtpserver.smtp1.try_ssl", json!(if login.implicit_tls { implicit_tls } else { starttls })),
        ("mailnews.show_send_progress", json!(false)),
        ("mail.shell.checkDefaultClient", json!(false)),
        ("mail.spotlight.firstRunDone", json!(true)),
        ("mail.winsearch.firstRunDone", json!(true)),
        ("mail.provider.suppress_dialog_on_startup", json!(true)),
        ("mailnews.start_page.enabled", json!(false)),
        ("mailnews.start_page_override.mstone", json!("ignore")),
        ("datareporting.policy.dataSubmissionEnabled", json!(false)),
        ("datareporting.policy.dataSubmissionPolicyBypassNotification", json!(true)),
        ("toolkit.telemetry.enabled", json!(false)),
        ("app.donation.eoy.version.viewed", json!(999)),
        ("app.update.auto", json!(false)),
        ("network.proxy.type", json!(0)),
        ("marionette.port", json!(marionette)),
    ];
    settings.into_iter().map(|(key, value)| format!("user_pref(\"{key}\", {value});\n")).collect()
}

/// The remote control of Mozilla's programs: JSON, each message behind its length.
struct Marionette {
    stream: TcpStream,
    count: u64,
}

impl Marionette {
    /// Waits until it answers, and takes the programme's own place, not that of a page in it.
    fn connect(port: u16) -> Self {
        let stream = await_within(START_WAIT, "Thunderbird can be told what to do", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        stream.set_read_timeout(Some(TASK_WAIT + TASK_WAIT)).expect("a socket option");
        let mut marionette = Self { stream, count: 0 };
        marionette.hear().expect("a greeting");
        marionette.say("WebDriver:NewSession", json!({"capabilities": {}}));
        marionette.say("Marionette:SetContext", json!({"value": "chrome"}));
        marionette
    }

    /// Has a task of the script done; the error is what stood in its way.
    fn task(&mut self, task: &str, input: Value) -> Result<Value, String> {
        let wait_ms = u64::try_from(TASK_WAIT.as_millis()).expect("a minute");
        let words = json!({
            "script": SCRIPT, "args": [task, input], "sandbox": "system", "newSandbox": true, "scriptTimeout": wait_ms,
        });
        let done = self.say("WebDriver:ExecuteAsyncScript", words)["value"].clone();
        match done["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(done["value"].clone()),
        }
    }

    fn say(&mut self, command: &str, words: Value) -> Value {
        self.count += 1;
        let message = json!([0, self.count, command, words]).to_string();
        self.stream.write_all(format!("{}:{message}", message.len()).as_bytes()).expect("Thunderbird reads");
        let answer = self.hear().unwrap_or_else(|error| panic!("no answer to {command}: {error}"));
        assert_eq!(answer[2], Value::Null, "{command}");
        answer[3].clone()
    }

    fn hear(&mut self) -> io::Result<Value> {
        let (mut length, mut octet) = (0, [0]);
        loop {
            self.stream.read_exact(&mut octet)?;
            match octet[0] {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message)?;
        Ok(serde_json::from_slice(&message)?)
    }
}
