//! Keys at rest, seen from outside: what a thief of the folder finds, what a gateway needs to start, and how officers
//! take an identity back.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dccp::did::Log;
use keystore::keyfile::{self, Kind};
use keystore::{MasterKey, MasterSource};
use tempfile::TempDir;
use tests::peers::SoftHsm;
use tests::site::{Site, gateway_binary};

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

#[test]
fn the_folder_without_the_master_key_and_all_that_is_printed_show_no_secret() {
    let mut site = Site::found("acme.test", NOWHERE);
    let master =
        MasterKey::open(&MasterSource::File(site.folder().join("master.key"))).expect("a master key");
    let mut secrets = Vec::new();
    for (name, kind) in KEY_FILES {
        let secret = keyfile::read(&site.folder().join(name), kind, Some(&master)).expect(name);
        // Every half and third of it: a device key is three seeds in a row.
        secret.chunks(32).for_each(|seed| secrets.extend(spellings(seed)));
    }
    let printed =
        [site.command(&["check"]), site.command(&["partner", "export"]), site.command(&["partner", "list"])];
    site.start();
    let (_, metrics) = site.get("/metrics");
    let (_, overview) = site.get("/api/v1/overview");
    assert!(site.terminate().success());

    for (done, name) in printed.iter().zip(["check", "export", "list"]) {
        expect_none(&secrets, said(done).as_bytes(), name);
    }
    expect_none(&secrets, metrics.as_bytes(), "/metrics");
    expect_none(&secrets, overview.as_bytes(), "the overview");
    let files = files_below(site.folder());
    assert!(files.iter().any(|path| path.ends_with("gateway.log")) && files.len() > 8, "{files:?}");
    for path in files {
        expect_none(&secrets, &fs::read(&path).expect("a file"), text(&path));
    }
}

#[test]
fn a_running_gateway_leaves_no_core_dump() {
    let mut site = Site::found("acme.test", NOWHERE);
    site.start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", site.pid())).expect("a process");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
}

#[test]
fn a_master_key_in_a_token_is_needed_at_each_start() {
    let token = SoftHsm::new("dccp-token");
    let mut house = House::empty();
    house.environment.push((token.environment().0, token.environment().1.into()));
    let uri = token.uri();
    house.must(&house.init_words(&["--master", &uri]));
    assert!(house.file_text("master.key").starts_with("dccp-master-token-v1:"));
    for (name, kind) in KEY_FILES {
        assert!(house.file_text(name).starts_with(kind.sealed_prefix()), "{name}");
    }
    let checked = house.must(&["check"]);
    assert!(!checked.contains("in the clear"), "{checked}");

    token.unplug();
    for command in ["check", "run"] {
        let refused = house.refusal(&[command]);
        assert!(refused.contains("shows no token `dccp-token`; is it plugged in"), "{refused}");
    }
    token.plug_in();
    fs::write(token.pin(), "wrong").expect("a PIN file");
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("the token `dccp-token` refuses the PIN"), "{refused}");
    fs::remove_file(token.pin()).expect("a PIN file");
    assert!(house.refusal(&["check"]).contains("pin does not exist"), "a missing PIN file is named");
}

#[test]
fn another_token_of_the_same_name_does_not_open_the_master_key() {
    let (token, other) = (SoftHsm::new("dccp-token"), SoftHsm::new("dccp-token"));
    let mut house = House::empty();
    house.environment.push((token.environment().0, token.environment().1.into()));
    house.must(&house.init_words(&["--master", &token.uri()]));
    house.environment = vec![(other.environment().0, other.environment().1.into())];
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("has no AES key `dccp-master`"), "{refused}");

    // Now it has a key of that label, but another one.
    let theirs = House { environment: house.environment.clone(), ..House::empty() };
    theirs.must(&theirs.init_words(&["--master", &other.uri()]));
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("does not open") && refused.contains("it is another key"), "{refused}");
}

#[test]
fn a_passphrase_is_asked_for_and_only_the_right_one_opens() {
    let mut house = House::empty();
    house.stdin = "too short\n".into();
    let refused = house.refusal(&house.init_words(&["--master", "prompt"]));
    assert!(refused.contains("at least 12 characters"), "{refused}");
    assert!(files_below(house.folder.path()).is_empty(), "nothing was written");

    house.stdin = format!("{PASSPHRASE}\n");
    house.must(&house.init_words(&["--master", "prompt"]));
    let asked = house.must(&["check"]);
    assert!(asked.contains("read from standard input, which is not a terminal"), "{asked}");
    house.stdin = "another passphrase\n".into();
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("the passphrase does not open"), "{refused}");
    house.stdin = String::new();
    assert!(house.refusal(&["check"]).contains("cannot be read"));
    house.environment = vec![("PASSPHRASE", PASSPHRASE.into()), ("DCCP_PASSPHRASE", PASSPHRASE.into())];
    assert!(house.refusal(&["check"]).contains("cannot be read"), "the environment is not asked");
}

#[test]
fn a_master_key_of_systemd_is_found_where_systemd_puts_it() {
    let mut house = House::founded(&["--master", "systemd:dccp-master"]);
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("LoadCredential=dccp-master:FILE"), "{refused}");
    // As systemd does it: a folder for this unit, files of mode 0440.
    let credentials = tempfile::tempdir().expect("a folder");
    let credential = credentials.path().join("dccp-master");
    fs::rename(house.path("dccp-master.credential"), &credential).expect("init wrote it");
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).expect("our own file");
    house.environment.push(("CREDENTIALS_DIRECTORY", credentials.path().into()));
    house.must(&["check"]);
}

#[test]
fn exchanged_key_files_and_master_keys_are_called_by_their_name() {
    let (house, other) = (House::founded(&[]), House::founded(&[]));
    let exchange = |one: &Path, other: &Path| {
        let kept = fs::read(one).expect("a file");
        fs::copy(other, one).expect("a file");
        fs::write(other, kept).expect("a file");
    };
    exchange(&house.path("keys/node.key"), &house.path("keys/storage.key"));
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("node.key is not a key file that starts with `dccp-node-key-v2:`"), "{refused}");
    exchange(&house.path("keys/node.key"), &house.path("keys/storage.key"));
    house.must(&["check"]);

    exchange(&house.path("master.key"), &other.path("master.key"));
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("was sealed under another master key"), "{refused}");
    exchange(&house.path("master.key"), &other.path("master.key"));
    fs::copy(other.path("keys/node.key"), house.path("keys/node.key")).expect("a file");
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("node.key was sealed under another master key"), "{refused}");

    fs::set_permissions(house.path("master.key"), fs::Permissions::from_mode(0o644)).expect("our own file");
    assert!(house.refusal(&["check"]).contains("may be read by others"));
}

#[test]
fn keys_in_the_clear_are_warned_of_and_can_be_sealed() {
    let house = House::founded(&["--master", "none"]);
    let did = house.log().did();
    let warned = house.must(&["check"]);
    assert!(warned.contains("warning: the private keys lie in the clear"), "{warned}");
    let refused = house.refusal(&["keys", "seal"]);
    assert!(refused.contains("keys.master is not set"), "{refused}");

    let config = house.file_text("dccp-config.yaml");
    let with_master = config.replacen("keys:\n", "keys:\n  master: { from: file }\n", 1);
    fs::write(house.path("dccp-config.yaml"), with_master).expect("the configuration");
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("operator.key lies in the clear although `keys.master` is set"), "{refused}");

    let sealed = house.must(&["keys", "seal"]);
    assert_eq!(sealed.matches("  sealed").count(), 4, "{sealed}");
    for (name, kind) in KEY_FILES {
        assert!(house.file_text(name).starts_with(kind.sealed_prefix()), "{name}");
    }
    let checked = house.must(&["check"]);
    assert!(!checked.contains("warning") && checked.contains(did.as_str()), "{checked}");
    assert_eq!(house.must(&["keys", "seal"]).matches("was sealed already").count(), 4, "twice does no harm");
}

/// The share files of a folder, by set, in order of their numbers.
fn shares_in(folder: &Path) -> Vec<Vec<String>> {
    let mut files: Vec<String> = files_below(folder).iter().map(|path| text(path).to_owned()).collect();
    // A share that was killed before it had its name begins with a dot.
    files.retain(|path| path.contains("/recovery-"));
    files.sort();
    files
        .chunk_by(|one, other| one.split("-share-").next() == other.split("-share-").next())
        .map(<[_]>::to_vec)
        .collect()
}

/// `recovery WORD --share … --share …`.
fn with_shares<'a>(word: &'a str, shares: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let shares = shares.iter().flat_map(|share| ["--share", share]);
    ["recovery", word].into_iter().chain(shares).chain(more.iter().copied()).collect()
}

/// Shares made offline, and an organisation founded on their commitment.
fn with_officers() -> (House, TempDir) {
    let office = tempfile::tempdir().expect("a folder");
    let nowhere = House::empty();
    let made = nowhere.must(&[
        "recovery",
        "create",
        "--shares",
        "3",
        "--threshold",
        "2",
        "--out",
        text(office.path()),
    ]);
    let commitment =
        made.lines().find_map(|line| line.trim().strip_prefix("Commitment   ")).expect("a commitment");
    let house = House::founded(&["--recovery-commitment", commitment]);
    (house, office)
}

#[test]
fn officers_take_the_identity_back_with_two_of_three_shares() {
    let (house, office) = with_officers();
    let shares = shares_in(office.path()).remove(0);
    assert_eq!(shares.len(), 3);
    for share in &shares {
        assert_eq!(fs::metadata(share).expect("a share").permissions().mode() & 0o777, 0o600);
    }
    assert!(!house.path("recovery.key").exists(), "the gateway never had the recovery key");
    let log_path = house.path("data/identity/organisation.did");
    let log = text(&log_path);
    let before = house.log();
    let counts = house.must(&with_shares("check", &shares[1..], &["--log", log]));
    assert!(counts.contains("It counts for did:dccp:1"), "{counts}");

    let next = tempfile::tempdir().expect("a folder");
    let out = ["--out", text(next.path()), "--new-device"];
    let done = house.must(&with_shares("use", &shares[1..], &out));
    let after = house.log();
    assert_eq!(after.did(), before.did());
    let (old, new) = (before.verify().expect("a log"), after.verify().expect("a log"));
    assert_ne!(old.operator(), new.operator());
    assert!(
        done.contains("Took the identity back")
            && done.contains(&new.recovery_commitments().members[0].to_string())
    );
    let checked = house.must(&["check"]);
    assert!(checked.contains("is in order"), "{checked}");
    house.must(&["partner", "export"]);

    let spent = house.refusal(&with_shares("use", &shares[1..], &out));
    assert!(spent.contains("not the recovery key that the organisation's log committed to"), "{spent}");
    let spent = house.refusal(&with_shares("check", &shares[..2], &["--log", log]));
    assert!(spent.contains("It does NOT count"), "{spent}");
    let fresh = shares_in(next.path()).remove(0);
    house.must(&with_shares("check", &fresh[..2], &["--log", log]));
    let again = tempfile::tempdir().expect("a folder");
    house.must(&with_shares("use", &fresh[..2], &["--out", text(again.path())]));
    house.must(&["check"]);
}

#[test]
fn shares_that_do_not_fit_say_why_and_change_nothing() {
    let (house, office) = with_officers();
    let (_, other_office) = with_officers();
    let (shares, others) = (shares_in(office.path()).remove(0), shares_in(other_office.path()).remove(0));
    let before = fs::read(house.path("data/identity/organisation.did")).expect("a log");
    let next = tempfile::tempdir().expect("a folder");
    let refused =
        |shares: &[String]| house.refusal(&with_shares("use", shares, &["--out", text(next.path())]));

    assert!(refused(&shares[..1]).contains("1 shares are too few: 2 of the 3 are needed"));
    assert!(refused(&[shares[0].clone(), shares[0].clone()]).contains("share 1 is given twice"));
    assert!(refused(&[shares[0].clone(), others[1].clone()]).contains("belong to different sets"));
    assert!(refused(&others[..2]).contains("not the recovery key that the organisation's log committed to"));
    assert!(
        refused(&[text(&house.path("dccp-config.yaml")).to_owned()]).contains("this is no recovery share")
    );

    let slip = fs::read_to_string(&shares[0]).expect("a share");
    let line = slip.lines().find(|line| line.starts_with("3: ")).expect("a line");
    let letters: Vec<char> = line.chars().collect();
    let at =
        (3..9).find(|at| letters[*at] != letters[at + 1] && letters[*at] != ' ' && letters[at + 1] != ' ');
    let mut swapped = letters.clone();
    swapped.swap(at.expect("two letters"), at.expect("two letters") + 1);
    fs::write(&shares[0], slip.replace(line, &swapped.iter().collect::<String>())).expect("a share");
    let mistyped = refused(&shares[..2]);
    assert!(mistyped.contains("line 3 of the share is mistyped"), "{mistyped}");

    assert_eq!(fs::read(house.path("data/identity/organisation.did")).expect("a log"), before);
    assert!(shares_in(next.path()).is_empty(), "no officer gets a share of a recovery that did not happen");
    house.must(&["check"]);
}

#[test]
fn a_next_key_that_was_made_offline_is_never_on_the_gateway() {
    let (house, office) = with_officers();
    let shares = shares_in(office.path()).remove(0);
    let vault = tempfile::tempdir().expect("a folder");
    let made = House::empty().must(&["recovery", "create", "--next", "--out", text(vault.path())]);
    let commitment =
        made.lines().find_map(|line| line.trim().strip_prefix("Commitment   ")).expect("a commitment");
    house.must(&with_shares("use", &shares, &["--next-commitment", commitment]));
    let next = shares_in(vault.path()).remove(0);
    let log = house.path("data/identity/organisation.did");
    house.must(&with_shares("check", &next[..2], &["--log", text(&log)]));
    assert!(fs::read_to_string(&next[0]).expect("a share").starts_with("NEXT RECOVERY KEY"));
}

#[test]
fn a_recovery_waits_until_the_gateway_has_ended() {
    let mut site = Site::found("acme.test", NOWHERE);
    site.start();
    let (key, out) = (site.folder().join("recovery.key"), site.folder().join("shares"));
    let words = ["recovery", "use", "--key", text(&key), "--out", text(&out)];
    let refused = site.command(&words);
    assert!(said(&refused).contains("the gateway must not run during a recovery"), "{}", said(&refused));
    assert!(site.terminate().success());
    let done = site.command(&words);
    assert!(done.status.success(), "{}", said(&done));
    site.start();
}

/// Copies what `cp -a` copies.
fn copy_of(house: &House) -> House {
    let copy = House::empty();
    let from = format!("{}/.", text(house.folder.path()));
    assert!(Command::new("cp").args(["-a", &from, text(copy.folder.path())]).status().expect("cp").success());
    copy
}

/// The system calls by which `recovery use` changes names on disk, and how often it makes each at least: 3 shares and
/// 4 staged files get a name, 4 files are put in place, 7 leftovers go.
const NAMING_CALLS: [(&str, usize); 3] = [("linkat", 7), ("rename", 4), ("unlink", 7)];

#[test]
fn a_recovery_that_is_killed_at_any_step_is_finished_by_running_it_again() {
    let (founded, office) = with_officers();
    let shares = shares_in(office.path()).remove(0);
    for (call, calls_min) in NAMING_CALLS {
        let killed = (1..).take_while(|when| survives_a_kill(&founded, &shares, call, *when)).count();
        assert!(killed >= calls_min, "strace saw only {killed} of {call}");
    }
}

/// Kills a recovery at the `when`-th `call`, runs it again and looks at what came of it. `false` when the first ended
/// before it could be killed.
fn survives_a_kill(founded: &House, shares: &[String], call: &str, when: usize) -> bool {
    let house = copy_of(founded);
    let out = tempfile::tempdir().expect("a folder");
    let words = with_shares("use", &shares[..2], &["--out", text(out.path()), "--new-device"]);
    if !was_killed(&house, &words, call, when) {
        return false;
    }
    let again = house.must(&words);
    let log = house.log().verify().expect("a log");
    assert_eq!(log.seq(), 1, "killed at {call} {when}: recovered once, not twice or never\n{again}");
    house.must(&["check"]);
    let log = house.path("data/identity/organisation.did");
    let counts =
        |set: &&Vec<String>| house.run(&with_shares("check", set, &["--log", text(&log)])).status.success();
    let sets = shares_in(out.path());
    assert_eq!(
        sets.iter().filter(counts).count(),
        1,
        "killed at {call} {when}: the officers hold what counts"
    );
    true
}

fn was_killed(house: &House, words: &[&str], call: &str, when: usize) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:signal=KILL:when={when}")]);
    strace.arg(gateway_binary()).args(words).args(["--config", text(&house.path("dccp-config.yaml"))]);
    let done = output(strace, "");
    assert!(!said(&done).contains("strace:"), "{}", said(&done));
    !done.status.success()
}
