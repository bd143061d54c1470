//! Keys at rest, seen from outside: what a thief of the folder finds, what a gateway needs to start, and how officers
//! take an identity back.

mod keys {
    mod masters;
    mod officers;
    mod rest;
}

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dccp::did::Log;
use keystore::keyfile::{self, Kind};
use tempfile::TempDir;
use tests::site::gateway_binary;

const NOWHERE: &str = "lmtp:127.0.0.1:9";
const PASSPHRASE: &str = "rather many words";

const KEY_FILES: [(&str, Kind); 4] = [
    ("keys/operator.key", Kind::Operator),
    ("keys/device.key", Kind::Device),
    ("keys/node.key", Kind::Node),
    ("keys/storage.key", Kind::Storage),
];

/// A folder with a founded gateway that never runs, and what its commands need around them.
struct House {
    folder: TempDir,
    environment: Vec<(&'static str, OsString)>,
    stdin: String,
}

impl House {
    fn empty() -> House {
        House {
            folder: tempfile::tempdir().expect("a folder"),
            environment: Vec::new(),
            stdin: String::new(),
        }
    }

    fn founded(words: &[&str]) -> House {
        let house = House::empty();
        house.must(&house.init_words(words));
        house
    }

    fn init_words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [&["init", "--domain", "acme.test", "--dir", text(self.folder.path())], words].concat()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(gateway_binary());
        command.args(words).args(["--config", text(&self.path("dccp-config.yaml"))]);
        command.envs(self.environment.iter().cloned());
        output(command, &self.stdin)
    }

    fn must(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert!(done.status.success(), "{words:?}: {}", said(&done));
        said(&done)
    }

    /// Why the command was not done.
    fn refusal(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert_ne!(done.status.code(), Some(0), "{words:?} was done: {}", said(&done));
        said(&done)
    }

    fn log(&self) -> Log {
        Log::from_bytes(&fs::read(self.path("data/identity/organisation.did")).expect("a log"))
            .expect("a log")
    }

    fn file_text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect(name)
    }
}

fn output(mut command: Command, stdin: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    // A command that asks for nothing may have ended before it is told.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    child.wait_with_output().expect("the command ends")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a printable path")
}

fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// The ways in which a secret could be written down.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hexadecimal: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let clear = keyfile::text(Kind::Node, secret, None);
    // Base64 of the middle, whatever stands before it: three bytes are four characters.
    let base64 = clear.trim_end().trim_end_matches('=').strip_prefix(Kind::Node.prefix()).expect("the line");
    vec![
        secret[..16].to_vec(),
        hexadecimal.as_bytes()[..32].to_vec(),
        hexadecimal.to_uppercase().into_bytes()[..32].to_vec(),
        base64.as_bytes()[..20].to_vec(),
    ]
}

fn expect_none(secrets: &[Vec<u8>], octets: &[u8], place: &str) {
    for secret in secrets {
        let found = octets.windows(secret.len()).any(|window| window == secret.as_slice());
        assert!(!found, "{place} shows a secret");
    }
}
