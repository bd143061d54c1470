//! Promises of the command line, kept by the real program.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;

use tempfile::TempDir;

/// One founded gateway in a folder of its own.
struct Site {
    folder: TempDir,
    domain: &'static str,
}

impl Site {
    fn found(domain: &'static str) -> Site {
        let site = Site { folder: tempfile::tempdir().unwrap(), domain };
        let done = site.init(&[]);
        assert_eq!(code(&done), 0, "{}", stderr(&done));
        site
    }

    fn init(&self, words: &[&str]) -> Output {
        let folder = self.folder.path().to_str().unwrap();
        gateway(&[&["init", "--domain", self.domain, "--dir", folder], words].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Output {
        let config = self.path("dccp-config.yaml");
        gateway(&[words, &["--config", config.to_str().unwrap()]].concat())
    }

    /// Exports our partner file to a file.
    fn export(&self) -> PathBuf {
        let done = self.command(&["partner", "export"]);
        assert_eq!(code(&done), 0, "{}", stderr(&done));
        let path = self.path("exported.partner");
        fs::write(&path, &done.stdout).unwrap();
        path
    }

    fn import(&self, file: &Path) -> Output {
        self.command(&["partner", "import", file.to_str().unwrap()])
    }

    fn fingerprint(&self) -> String {
        let exported = fs::read_to_string(self.export()).unwrap();
        let line = exported.lines().find_map(|line| line.strip_prefix("Fingerprint: ")).unwrap();
        line.to_owned()
    }
}

fn gateway(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dccp-gateway")).args(words).env_remove("SSLKEYLOGFILE").output().unwrap()
}

fn stdout(done: &Output) -> String {
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn stderr(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

fn code(done: &Output) -> i32 {
    done.status.code().unwrap()
}

#[test]
fn init_founds_a_gateway_that_passes_check() {
    let site = Site { folder: tempfile::tempdir().unwrap(), domain: "acme.test" };
    let done = site.init(&["--also", "ACME.example", "--deliver", "smtp:mail.acme.test:25"]);
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let said = stdout(&done);
    for expected in
        ["Founded acme.test.", "DID          did:dccp:1", "Fingerprint  ", "Move ", "recovery.key"]
    {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let config = fs::read_to_string(site.path("dccp-config.yaml")).unwrap();
    assert!(
        config.contains("  protocol: smtp\n") && config.contains("  address: \"mail.acme.test:25\"\n"),
        "{config}"
    );
    let checked = site.command(&["check"]);
    assert_eq!(code(&checked), 0, "{}", stderr(&checked));
    assert!(
        stdout(&checked).contains("is in order: acme.test, acme.example, did:dccp:1"),
        "{}",
        stdout(&checked)
    );
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let site = Site::found("acme.test");
    for name in [
        "keys/operator.key",
        "keys/device.key",
        "keys/node.key",
        "keys/storage.key",
        "keys/control.token",
        "tls/smtp.key",
        "recovery.key",
    ] {
        let mode = site.path(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    for name in ["keys", "data"] {
        assert_eq!(site.path(name).metadata().unwrap().permissions().mode() & 0o777, 0o700, "{name}");
    }
    fs::set_permissions(site.path("keys/node.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let checked = site.command(&["check"]);
    assert_eq!(code(&checked), 3);
    assert!(stderr(&checked).contains("keys.node: "), "{}", stderr(&checked));
}

#[test]
fn init_never_overwrites() {
    let site = Site::found("acme.test");
    let before = fs::read(site.path("keys/operator.key")).unwrap();
    let again = site.init(&[]);
    assert_eq!(code(&again), 1);
    assert!(
        stderr(&again).contains("exist already") && stderr(&again).contains("operator.key"),
        "{}",
        stderr(&again)
    );
    fs::remove_file(site.path("dccp-config.yaml")).unwrap();
    assert_eq!(code(&site.init(&[])), 1, "keys alone are protected too");
    assert_eq!(fs::read(site.path("keys/operator.key")).unwrap(), before);
}

#[test]
fn init_refuses_what_check_would_refuse_and_writes_nothing() {
    let site = Site { folder: tempfile::tempdir().unwrap(), domain: "acme_test" };
    let refused = site.init(&["--control-listen", "0.0.0.0:8480"]);
    assert_eq!(code(&refused), 3);
    let said = stderr(&refused);
    assert!(said.contains("organisation.domain") && said.contains("control.listen"), "{said}");
    assert_eq!(site.folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn two_organisations_exchange_files_and_see_the_same_fingerprint() {
    let (acme, globex) = (Site::found("acme.test"), Site::found("globex.test"));
    let imported = acme.import(&globex.export());
    assert_eq!(code(&imported), 0, "{}", stderr(&imported));
    assert!(stdout(&imported).contains(&globex.fingerprint()), "{}", stdout(&imported));
    let listed = stdout(&acme.command(&["partner", "list"]));
    assert!(
        listed.starts_with("globex.test  pinned\n") && listed.contains(&globex.fingerprint()),
        "{listed}"
    );
    assert!(listed.contains("/ip4/127.0.0.1/udp/4001/quic-v1"), "{listed}");
    let again = acme.import(&globex.export());
    assert!(code(&again) == 0 && stdout(&again).contains("Refreshed globex.test"), "{}", stdout(&again));
}

#[test]
fn a_changed_identity_is_impossible_to_overlook() {
    let (acme, globex, impostor) =
        (Site::found("acme.test"), Site::found("globex.test"), Site::found("globex.test"));
    acme.import(&globex.export());
    let conflict = acme.import(&impostor.export());
    assert_eq!(code(&conflict), 4);
    assert_eq!(stdout(&conflict), "");
    let said = stderr(&conflict);
    for expected in [
        "CONFLICT",
        &globex.fingerprint(),
        &impostor.fingerprint(),
        "mail to this partner is held",
        "partner reject",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(stdout(&acme.command(&["partner", "list"])).starts_with("globex.test  CONFLICT, mail is held"));

    let wrong = acme.command(&["partner", "accept", "globex.test", "--fingerprint", &globex.fingerprint()]);
    assert_eq!(code(&wrong), 1);
    let accepted =
        acme.command(&["partner", "accept", "globex.test", "--fingerprint", &impostor.fingerprint()]);
    assert_eq!(code(&accepted), 0, "{}", stderr(&accepted));
    assert_eq!(code(&acme.import(&globex.export())), 4);
    let rejected = acme.command(&["partner", "reject", "globex.test"]);
    assert!(stdout(&rejected).contains(&impostor.fingerprint()), "{}", stdout(&rejected));
}

#[test]
fn our_own_file_and_no_file_are_refused() {
    let acme = Site::found("acme.test");
    let own = acme.import(&acme.export());
    assert!(code(&own) == 1 && stderr(&own).contains("our own partner file"), "{}", stderr(&own));
    let other = acme.import(&Site::found("acme.test").export());
    assert!(
        code(&other) == 1 && stderr(&other).contains("claims acme.test, which is our own"),
        "{}",
        stderr(&other)
    );
    assert_eq!(code(&acme.import(Path::new("/nonexistent"))), 1);
    assert_eq!(code(&acme.import(&acme.path("dccp-config.yaml"))), 1);
}

#[test]
fn a_removed_partner_is_not_listed() {
    let (acme, globex) = (Site::found("acme.test"), Site::found("globex.test"));
    acme.import(&globex.export());
    assert_eq!(code(&acme.command(&["partner", "remove", "globex.test"])), 0);
    assert_eq!(code(&acme.command(&["partner", "remove", "globex.test"])), 1);
    assert!(stdout(&acme.command(&["partner", "list"])).starts_with("No partners yet."));
}

/// Answers one request of `trace` with `status` and `body`; gives the request's head.
fn answering(status: &'static str, body: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answered = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let length = body.len();
        write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
        head.join("\n")
    });
    (address, answered)
}

#[test]
fn trace_asks_the_running_gateway_with_its_token_and_prints_a_table() {
    let site = Site { folder: tempfile::tempdir().unwrap(), domain: "acme.test" };
    let (address, answered) = answering(
        "200 OK",
        r#"{"messages":[{"queue_id":"4f2a","kind":"mail","direction":"outbound","state":"delivered",
            "partner_domain":"globex.test","sender":"alice@acme.test","recipients":["bob@globex.test"],"size":7,
            "accepted_at_ms":0,"total_ms":12,
            "stages":[{"at_ms":0,"stage":"accepted","reason":"from the internal network","elapsed_ms":0}]}]}"#,
    );
    site.init(&["--control-listen", &address.to_string()]);
    let asked = site.command(&["trace", "<1/2@acme.test>"]);
    assert_eq!(code(&asked), 0, "{}", stderr(&asked));
    assert!(
        stdout(&asked).starts_with("4f2a  outbound mail, globex.test: delivered after 12 ms\n"),
        "{}",
        stdout(&asked)
    );
    let request = answered.join().unwrap();
    assert!(request.starts_with("GET /api/v1/messages/%3C1%2F2%40acme.test%3E HTTP/1.1\n"), "{request}");
    let token = fs::read_to_string(site.path("keys/control.token")).unwrap();
    assert!(request.contains(&format!("authorization: Bearer {}", token.trim())), "{request}");
}

#[test]
fn trace_passes_on_why_there_is_no_trace() {
    let site = Site { folder: tempfile::tempdir().unwrap(), domain: "acme.test" };
    let (address, answered) =
        answering("404 Not Found", r#"{"status":404,"detail":"nothing is known of 4f2a"}"#);
    site.init(&["--control-listen", &address.to_string()]);
    let asked = site.command(&["trace", "4f2a"]);
    assert_eq!((code(&asked), stderr(&asked).as_str()), (1, "dccp-gateway: nothing is known of 4f2a\n"));
    answered.join().unwrap();
}

#[test]
fn trace_says_when_no_gateway_runs() {
    let site = Site { folder: tempfile::tempdir().unwrap(), domain: "acme.test" };
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.init(&["--control-listen", &nobody.to_string()]);
    let asked = site.command(&["trace", "4f2a"]);
    assert_eq!(code(&asked), 1);
    assert!(stderr(&asked).contains("Is it running?"), "{}", stderr(&asked));
}

#[test]
fn a_key_log_is_refused_before_anything_else() {
    let program = env!("CARGO_BIN_EXE_dccp-gateway");
    let refused = Command::new(program).arg("version").env("SSLKEYLOGFILE", "/tmp/keys").output().unwrap();
    assert!(code(&refused) == 1 && stderr(&refused).contains("SSLKEYLOGFILE"), "{}", stderr(&refused));
}

#[test]
fn descriptions_are_printed_and_nonsense_is_refused() {
    assert!(stdout(&gateway(&["config", "--markdown"])).starts_with("# dccp-config.yaml\n"));
    let schema = stdout(&gateway(&["config", "--schema"]));
    assert!(serde_json::from_str::<serde_json::Value>(&schema).unwrap()["properties"]["smtp"].is_object());
    assert!(stdout(&gateway(&["version"])).starts_with("dccp-gateway 0."));
    assert_eq!(code(&gateway(&["config"])), 2);
    assert_eq!(code(&gateway(&["frobnicate"])), 2);
    assert_eq!(code(&gateway(&["check", "--config", "/nonexistent.yaml"])), 3);
}
