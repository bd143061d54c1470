//! dkimpy and pyspf: DKIM, ARC and SPF by people who never saw our code.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::process;

const PACKAGES: &str = "python3 python3-dkim python3-spf python3-nacl python3-dnspython";

/// Debian's own: another Python in the PATH does not see Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = include_str!("judges.py");

/// Independent judges and signers that ask one DNS server.
pub struct Judges {
    folder: TempDir,
    dns: SocketAddr,
}

impl Judges {
    /// They ask the server at this address, which is on loopback.
    pub fn new(dns: SocketAddr) -> Self {
        let probe = Command::new(PYTHON).args(["-c", "import dkim, spf, nacl, dns"]).output();
        let is_there = probe.is_ok_and(|done| done.status.success());
        assert!(is_there, "dkimpy or pyspf is missing: apt-get install {PACKAGES}");
        Self { folder: tempfile::tempdir().expect("a temporary folder"), dns }
    }

    /// What dkimpy says of each signature, from the top: `pass`, or `fail` and why.
    pub fn dkim(&self, message: &[u8]) -> Vec<String> {
        self.ask(&["dkim"], message).lines().map(str::to_owned).collect()
    }

    /// What dkimpy says of the ARC chain: outcome, number of sets, why.
    pub fn arc(&self, message: &[u8]) -> String {
        self.ask(&["arc"], message).trim().to_owned()
    }

    /// What pyspf says.
    pub fn spf(&self, address: &str, sender: &str, hello: &str) -> String {
        self.ask(&["spf", address, sender, hello], b"").trim().to_owned()
    }

    /// The `DKIM-Signature` field that dkimpy makes; `canonicalization` of header and body.
    pub fn sign(&self, message: &[u8], key: &PeerKey, canonicalization: [&str; 2]) -> String {
        let [header, body] = canonicalization;
        let path = key.path.to_str().expect("a path");
        self.ask(&["sign", key.selector, key.domain, path, key.algorithm, header, body], message)
    }

    /// The fields of the ARC set that dkimpy makes. It judges by an `Authentication-Results` field of `authserv_id`.
    pub fn seal(&self, message: &[u8], key: &PeerKey, authserv_id: &str) -> String {
        let path = key.path.to_str().expect("a path");
        self.ask(&["seal", key.selector, key.domain, path, authserv_id], message)
    }

    fn ask(&self, words: &[&str], message: &[u8]) -> String {
        let script = self.folder.path().join("judges.py");
        fs::write(&script, SCRIPT).expect("a script");
        let mut command = Command::new(PYTHON);
        command.arg(script).arg(self.dns.port().to_string()).args(words);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        child.stdin.take().expect("its input").write_all(message).expect("it reads");
        let done = child.wait_with_output().expect("it ends");
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{words:?}: {error}");
        String::from_utf8(done.stdout).expect("text")
    }
}

/// A private key that OpenSSL made, for dkimpy to sign with.
pub struct PeerKey {
    domain: &'static str,
    selector: &'static str,
    algorithm: &'static str,
    path: PathBuf,
    record: String,
}

impl PeerKey {
    /// An RSA key of 2048 bits, for signatures with `algorithm`.
    pub fn rsa(folder: &Path, domain: &'static str, selector: &'static str, algorithm: &'static str) -> Self {
        let path = folder.join(format!("{domain}-{selector}.pem"));
        let file = path.to_str().expect("a path");
        let openssl = |arguments: &[&str]| {
            process::run(process::command("openssl", "openssl").args(arguments));
        };
        openssl(&["genrsa", "-traditional", "-out", file, "2048"]);
        let public = format!("{file}.pub");
        openssl(&["rsa", "-in", file, "-pubout", "-out", &public]);
        let pem = fs::read_to_string(public).expect("a public key");
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Self { domain, selector, algorithm, path, record: format!("v=DKIM1; k=rsa; p={base64}") }
    }

    /// The name below the domain, and the data of its TXT record as a zone file has it.
    pub fn record(&self) -> (String, String) {
        let (first, second) = self.record.split_at(self.record.len().min(255));
        (format!("{}._domainkey", self.selector), format!("\"{first}\" \"{second}\""))
    }
}
