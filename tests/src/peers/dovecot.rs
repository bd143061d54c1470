//! Dovecot: IMAP, LMTP and SASL of an organisation, with a mailbox for every local part.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use super::{await_within, free_port, imap_fetch_all, process};

const PACKAGES: &str = "dovecot-core dovecot-imapd dovecot-lmtpd";

/// A running Dovecot. Every local part is a user, whatever the domain, with the password `pw-` and the local
/// part; mail is kept with the octets that came in by LMTP, after the trace headers that Dovecot prepends.
pub struct Dovecot {
    imap_port: u16,
    lmtp_port: u16,
    sasl_port: u16,
    // Before the folder: processes end before their files go.
    _server: process::Server,
    folder: TempDir,
}

impl Dovecot {
    /// Starts it and waits until IMAP and LMTP greet.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The same, offering STARTTLS with this certificate and key in PEM.
    pub fn start_secured(certificate: &str, key: &str) -> Self {
        Self::start_with(Some((certificate, key)))
    }

    fn start_with(tls: Option<(&str, &str)>) -> Self {
        let mut command = process::command("dovecot", PACKAGES);
        let folder = open_folder("dovecot");
        let [imap_port, lmtp_port, sasl_port] = [free_port(), free_port(), free_port()];
        let config = folder.path().join("dovecot.conf");
        let tls = tls.map_or_else(
            || "ssl = no".to_owned(),
            |(certificate, key)| write_tls(folder.path(), certificate, key),
        );
        fs::write(&config, configuration(folder.path(), imap_port, lmtp_port, sasl_port, &tls))
            .expect("a config file");
        let mailboxes = folder.path().join("mailboxes");
        fs::create_dir(&mailboxes).expect("a folder");
        std::os::unix::fs::chown(&mailboxes, Some(MAIL_UID), Some(MAIL_UID)).expect("tests run as root");
        let log = folder.path().join("dovecot.log");
        let mut server = process::Server::start("dovecot", command.arg("-F").arg("-c").arg(&config), &log);
        server.await_greeting(imap_port, "* OK");
        server.await_greeting(lmtp_port, "220");
        // The log is written behind: whoever counts connections in it must find our own greeting there already.
        server.await_log("(state=GREETING)");
        Self { imap_port, lmtp_port, sasl_port, _server: server, folder }
    }

    /// IMAP without TLS.
    pub fn imap_port(&self) -> u16 {
        self.imap_port
    }

    /// Where mail is handed in.
    pub fn lmtp_port(&self) -> u16 {
        self.lmtp_port
    }

    /// Dovecot's authentication protocol, for Postfix.
    pub fn sasl_port(&self) -> u16 {
        self.sasl_port
    }

    /// The messages in a user's inbox as they lie in the Maildir, oldest first.
    pub fn mailbox(&self, user: &str) -> Vec<Vec<u8>> {
        self.mail_files(user).iter().map(|file| fs::read(file).expect("a message")).collect()
    }

    /// Waits until the inbox holds `count` messages, and gives them.
    pub fn await_mail(&self, user: &str, count: usize, deadline: Duration) -> Vec<Vec<u8>> {
        await_within(deadline, &format!("{user} has {count} messages"), || {
            (self.mail_files(user).len() >= count).then_some(())
        });
        self.mailbox(user)
    }

    /// The messages of a user as IMAP gives them.
    pub fn imap_fetch_all(&self, user: &str) -> Vec<Vec<u8>> {
        imap_fetch_all(self.imap_port, user)
    }

    /// Dovecot's log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("dovecot.log")).unwrap_or_default()
    }

    fn mail_files(&self, user: &str) -> Vec<PathBuf> {
        let inbox = self.folder.path().join("mailboxes").join(user);
        let files =
            ["new", "cur"].into_iter().filter_map(|part| fs::read_dir(inbox.join(part)).ok()).flatten();
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("a readable folder").path()).collect();
        files.sort_by_key(|file| arrival(file));
        files
    }
}

/// Neither root, which Dovecot refuses, nor anyone who exists.
const MAIL_UID: u32 = 5000;

/// A Maildir file name begins with seconds and microseconds: `1700000000.M123456P…`.
fn arrival(file: &Path) -> (u64, u64) {
    let name = file.file_name().expect("a file").to_string_lossy();
    let mut fields = name.split('.');
    let seconds = fields.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let micros = fields.next().and_then(|field| field.strip_prefix('M')?.split('P').next()?.parse().ok());
    (seconds, micros.unwrap_or(0))
}

/// A folder that daemons which are not root can pass through.
pub(super) fn open_folder(name: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix(name).tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
    folder
}

/// Gives the settings that name the two files.
fn write_tls(folder: &Path, certificate: &str, key: &str) -> String {
    let (certificate_file, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    fs::write(&certificate_file, certificate).expect("a certificate file");
    fs::write(&key_file, key).expect("a key file");
    format!("ssl = yes\nssl_cert = <{}\nssl_key = <{}", certificate_file.display(), key_file.display())
}

fn configuration(folder: &Path, imap: u16, lmtp: u16, sasl: u16, tls: &str) -> String {
    let folder = folder.display();
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
{tls}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_format = %Ln
mail_location = maildir:{folder}/mailboxes/%n
# Without this Dovecot stores LF, and the octets could not be compared.
mail_save_crlf = yes
mail_uid = {MAIL_UID}
mail_gid = {MAIL_UID}
first_valid_uid = {MAIL_UID}
passdb {{
  driver = static
  args = password=pw-%n
}}
userdb {{
  driver = static
  args = uid={MAIL_UID} gid={MAIL_UID} home={folder}/mailboxes/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service auth {{
  inet_listener sasl {{
    address = 127.0.0.1
    port = {sasl}
  }}
}}
"
    )
}
