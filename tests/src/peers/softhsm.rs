//! SoftHSM2: a PKCS#11 token, in software.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::process;

const PACKAGES: &str = "softhsm2";

/// Where Debian has the module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

const PIN: &str = "4711-0815";

/// One initialised token in a folder of its own.
pub struct SoftHsm {
    folder: TempDir,
    label: &'static str,
}

impl SoftHsm {
    /// A token with this label, without keys.
    pub fn new(label: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("softhsm").tempdir().expect("a temporary folder");
        let token = Self { folder, label };
        fs::create_dir(token.tokens()).expect("a folder");
        let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", token.tokens().display());
        fs::write(token.config(), config).expect("a config file");
        keystore::durable::write_new(&token.pin(), PIN.as_bytes(), 0o600).expect("a PIN file");
        process::run(token.util().args(["--init-token", "--free", "--label", label]).args([
            "--pin",
            PIN,
            "--so-pin",
            "security-officer",
        ]));
        token
    }

    /// What a process needs in its environment to see this token and no other.
    pub fn environment(&self) -> (&'static str, PathBuf) {
        ("SOFTHSM2_CONF", self.config())
    }

    /// The token as `init --master` is told.
    pub fn uri(&self) -> String {
        let pin = self.pin();
        format!("pkcs11:token={}?module-path={MODULE}&pin-source=file:{}", self.label, pin.display())
    }

    /// The file with the user PIN.
    pub fn pin(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    /// Takes the token away; what is on it stays.
    pub fn unplug(&self) {
        fs::rename(self.tokens(), self.drawer()).expect("the token is plugged in");
        fs::create_dir(self.tokens()).expect("a folder");
    }

    /// Brings it back.
    pub fn plug_in(&self) {
        fs::remove_dir_all(self.tokens()).expect("a folder without tokens");
        fs::rename(self.drawer(), self.tokens()).expect("the token is unplugged");
    }

    fn util(&self) -> Command {
        let mut util = process::command("softhsm2-util", PACKAGES);
        let (name, value) = self.environment();
        util.env(name, value);
        util
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn drawer(&self) -> PathBuf {
        self.folder.path().join("drawer")
    }
}
