//! Officers take an identity back with shares of its recovery key.

use tests::site::Site;

use crate::*;

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
    assert!(refused(&[text(&house.path("dccp-config.yaml")).to_owned()]).contains("this is no share"));

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
