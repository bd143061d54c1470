//! Partners as an administrator handles them: files exchanged while gateways run, an identity that changes, files that
//! are not what they seem, and what a gateway refuses to start with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dccp::partner::PartnerFile;
use serde_json::Value;
use tests::peers::Dovecot;
use tests::site::{Site, eventually, gateway_binary, said};
use tests::submit::{letter, submit, submitted};

const NOWHERE: &str = "lmtp:127.0.0.1:9";

/// Exit codes of the command line (gateway/src/cli/mod.rs).
const REFUSED: Option<i32> = Some(1);
const PROBLEMS: Option<i32> = Some(3);
const CONFLICT: Option<i32> = Some(4);

fn lmtp(dovecot: &Dovecot) -> String {
    format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port())
}

/// `partner import` of a file with these octets.
fn import(site: &Site, octets: &[u8]) -> Output {
    let file = site.folder().join("received.partner");
    fs::write(&file, octets).expect("a file");
    site.command(&["partner", "import", file.to_str().expect("a path")])
}

/// The fingerprint in the readable head of a partner file.
fn fingerprint(file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file);
    text.lines().find_map(|line| line.strip_prefix("Fingerprint: ")).expect("a fingerprint").to_owned()
}

fn send(site: &Site, message_id: &str) -> String {
    let octets = letter(message_id, "The secret of the merger");
    submitted(site.smtp, "alice@acme.test", &["bob@globex.test"], &octets)
}

fn standing(site: &Site, domain: &str) -> Option<String> {
    let partners: Value = serde_json::from_str(&site.get("/api/v1/partners").1).expect("JSON");
    let partners = partners["partners"].as_array().expect("a list").clone();
    let partner = partners.into_iter().find(|partner| partner["domain"] == domain)?;
    Some(partner["standing"].as_str().expect("a standing").to_owned())
}

fn await_standing(site: &Site, domain: &str, wanted: &str) {
    eventually(&format!("{domain} is {wanted} at {}", site.domain), || {
        (standing(site, domain).as_deref() == Some(wanted)).then_some(())
    });
}

fn nothing_clear_rests_at(site: &Site) {
    for entry in
        fs::read_dir(site.data()).expect("the data folder").map(|entry| entry.expect("an entry").path())
    {
        let octets = fs::read(&entry).unwrap_or_default();
        for secret in ["secret of the merger", "alice@acme.test", "bob@globex.test"] {
            let found = octets.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} contains {secret:?}", entry.display());
        }
    }
}

#[test]
fn a_partner_imported_while_running_is_noticed_and_mail_flows_without_restart() {
    let dovecot = Dovecot::start();
    let (mut acme, mut globex) =
        (Site::found("acme.test", NOWHERE), Site::found("globex.test", &lmtp(&dovecot)));
    acme.start();
    globex.start();
    let refused =
        submit(acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter("early@acme.test", "Hello"));
    assert!(refused.starts_with("550 5.7.1") && refused.contains("no-gateway-known"), "{refused}");
    assert!(acme.done(&["partner", "list"]).contains("No partners yet"));

    globex.introduce(&acme);
    acme.introduce(&globex);
    await_standing(&acme, "globex.test", "pinned");
    let queue_id = send(&acme, "now@acme.test");
    acme.await_state(&queue_id, "delivered");
    assert_eq!(dovecot.mailbox("bob").len(), 1);
    let list = acme.done(&["partner", "list"]);
    assert!(list.contains("globex.test  pinned") && list.contains(&fingerprint(&globex.export())), "{list}");
    let again = import(&acme, &globex.export());
    assert!(again.status.success() && said(&again).contains("Refreshed globex.test"), "{}", said(&again));
    acme.settled();
    globex.settled();
}

/// Acme and globex, and a globex that was founded anew: same domain, another DID, another mail server.
struct Refounded {
    acme: Site,
    old: Site,
    new: Site,
    old_mail: Dovecot,
    new_mail: Dovecot,
    acme_mail: Dovecot,
}

impl Refounded {
    /// Everything runs, and acme's administrator has imported both files for globex.test.
    fn in_conflict() -> Self {
        let [acme_mail, old_mail, new_mail] = [(); 3].map(|()| Dovecot::start());
        let mut acme = Site::found("acme.test", &lmtp(&acme_mail));
        let [mut old, mut new] = [&old_mail, &new_mail].map(|mail| Site::found("globex.test", &lmtp(mail)));
        acme.introduce(&old);
        [&old, &new].into_iter().for_each(|globex| globex.introduce(&acme));
        [&mut acme, &mut old].into_iter().for_each(Site::start);
        old.await_links();
        new.start();

        let (first, second) = (old.export(), new.export());
        let conflict = import(&acme, &second);
        assert_eq!(conflict.status.code(), CONFLICT, "{}", said(&conflict));
        let page = String::from_utf8_lossy(&conflict.stderr).into_owned();
        for fact in [
            "CONFLICT",
            "globex.test",
            &fingerprint(&first),
            &fingerprint(&second),
            "partner accept",
            "partner reject",
        ] {
            assert!(page.contains(fact), "{fact} is on the page:\n{page}");
        }
        await_standing(&acme, "globex.test", "conflict");
        Self { acme, old, new, old_mail, new_mail, acme_mail }
    }

    /// A mail that is accepted and held; its queue id.
    fn held(&self) -> String {
        let queue_id = send(&self.acme, "doubtful@acme.test");
        let trace = self.acme.await_state(&queue_id, "held");
        assert!(trace.to_string().contains("partner-in-conflict"), "{trace}");
        self.acme.await_metric("dccp_held_total", 1.0);
        nothing_clear_rests_at(&self.acme);
        assert!(self.acme.done(&["partner", "list"]).contains("CONFLICT, mail is held"));
        assert!(self.old_mail.mailbox("bob").is_empty() && self.new_mail.mailbox("bob").is_empty());
        queue_id
    }

    fn settled(&self) {
        for site in [&self.acme, &self.old, &self.new] {
            site.settled();
        }
    }
}

#[test]
fn after_reject_what_was_held_goes_to_the_identity_that_was_pinned() {
    let house = Refounded::in_conflict();
    let queue_id = house.held();
    assert!(house.acme.done(&["partner", "reject", "globex.test"]).contains("globex.test stays pinned"));
    let trace = house.acme.await_state(&queue_id, "delivered").to_string();
    assert!(trace.contains("\"released\"") && trace.contains("\"sealed\""), "{trace}");
    assert_eq!((house.old_mail.mailbox("bob").len(), house.new_mail.mailbox("bob").len()), (1, 0));
    let again = house.acme.command(&["partner", "reject", "globex.test"]);
    assert!(
        again.status.code() == REFUSED && said(&again).contains("there is no candidate"),
        "{}",
        said(&again)
    );
    house.settled();
}

#[test]
fn after_accept_what_was_held_goes_to_the_new_identity_and_not_to_the_old_one() {
    let house = Refounded::in_conflict();
    let queue_id = house.held();
    let wrong = fingerprint(&house.old.export());
    let refused = house.acme.command(&["partner", "accept", "globex.test", "--fingerprint", &wrong]);
    assert_eq!(refused.status.code(), REFUSED, "{}", said(&refused));
    assert!(said(&refused).contains("the fingerprint is not the candidate's"), "{}", said(&refused));
    house.acme.await_state(&queue_id, "held");

    let right = fingerprint(&house.new.export());
    assert!(
        house
            .acme
            .done(&["partner", "accept", "globex.test", "--fingerprint", &right])
            .contains("Pinned globex.test anew")
    );
    house.acme.await_state(&queue_id, "delivered");
    let later = send(&house.acme, "later@acme.test");
    house.acme.await_state(&later, "delivered");
    assert_eq!((house.old_mail.mailbox("bob").len(), house.new_mail.mailbox("bob").len()), (0, 2));
    house.settled();
}

#[test]
fn a_decision_taken_while_the_gateway_is_down_counts_when_it_is_back() {
    let mut house = Refounded::in_conflict();
    let queue_id = house.held();
    assert!(house.acme.terminate().success());
    let right = fingerprint(&house.new.export());
    house.acme.done(&["partner", "accept", "globex.test", "--fingerprint", &right]);
    house.acme.start();
    house.acme.await_state(&queue_id, "delivered");
    assert_eq!((house.old_mail.mailbox("bob").len(), house.new_mail.mailbox("bob").len()), (0, 1));
    house.settled();
}

#[test]
fn a_removed_partner_gets_no_mail_and_the_sender_of_held_mail_is_told() {
    let house = Refounded::in_conflict();
    let queue_id = house.held();
    assert!(house.acme.done(&["partner", "remove", "globex.test"]).contains("Removed globex.test"));
    house.acme.await_state(&queue_id, "failed");
    let report = eventually("alice has the report", || house.acme_mail.mailbox("alice").into_iter().next());
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains("Status: 5.7.1") && report.contains("bob@globex.test"), "{report}");
    let refused =
        submit(house.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter("late@acme.test", "Hello"));
    assert!(refused.starts_with("550 5.7.1") && refused.contains("no-gateway-known"), "{refused}");
    assert!(house.acme.done(&["partner", "list"]).contains("No partners yet"));
    let again = house.acme.command(&["partner", "remove", "globex.test"]);
    assert!(again.status.code() == REFUSED && said(&again).contains("no partner has the domain globex.test"));
    assert!(house.old_mail.mailbox("bob").is_empty() && house.new_mail.mailbox("bob").is_empty());
    house.settled();
}

#[test]
fn a_file_that_is_not_what_it_seems_is_refused_in_clear_words() {
    let (acme, globex, mallory) = (
        Site::found("acme.test", NOWHERE),
        Site::found("globex.test", NOWHERE),
        Site::found("globex.test", NOWHERE),
    );
    let impostor = Site::found("acme.test", NOWHERE);
    let text = String::from_utf8(globex.export()).expect("ASCII");
    let begin = text.find("DCCP PARTNER-----\n").expect("armour") + "DCCP PARTNER-----\n".len();
    let end = text.find("-----END").expect("armour");
    let spliced = |part: fn(&mut PartnerFile, PartnerFile)| {
        let mut file = PartnerFile::from_text(&text).expect("globex's file");
        let other = String::from_utf8(mallory.export()).expect("ASCII");
        part(&mut file, PartnerFile::from_text(&other).expect("mallory's file"));
        file.to_text().into_bytes()
    };
    let mut files: Vec<(String, Vec<u8>, &str)> = vec![
        ("empty".into(), Vec::new(), "this is not a partner file"),
        ("a letter".into(), b"Dear partner, call me.\n".to_vec(), "this is not a partner file"),
        (
            "cut in the middle".into(),
            text.as_bytes()[..text.len() / 2].to_vec(),
            "this is not a partner file",
        ),
        (
            "cut, with the end glued on".into(),
            [&text[..begin + 650], &text[end..]].concat().into_bytes(),
            "the file is refused",
        ),
        ("two files".into(), text.repeat(2).into_bytes(), "this is not a partner file"),
        ("not text".into(), vec![0xff; 100], "UTF-8"),
        ("endless".into(), "a".repeat(20 << 20).into_bytes(), "larger than"),
        ("our own".into(), acme.export(), "this is our own partner file"),
        ("of another acme.test".into(), impostor.export(), "which is our own domain"),
        ("foreign manifest".into(), spliced(|file, other| file.manifest = other.manifest), "device manifest"),
        ("foreign node".into(), spliced(|file, other| file.nodes = other.nodes), "node record"),
        ("foreign prekey".into(), spliced(|file, other| file.prekeys = other.prekeys), "prekey"),
        ("foreign identity".into(), spliced(|file, other| file.log = other.log), "the file is refused"),
    ];
    for at in (begin..end).step_by((end - begin) / 25) {
        let mut forged = text.clone().into_bytes();
        forged[at] = if forged[at] == b'Q' { b'R' } else { b'Q' };
        files.push((format!("one character changed at {at}"), forged, "the file is refused"));
    }
    for (name, octets, words) in files {
        let refused = import(&acme, &octets);
        assert_eq!(refused.status.code(), REFUSED, "{name}: {}", said(&refused));
        assert!(said(&refused).contains(words), "{name}: {}", said(&refused));
        assert!(!said(&refused).contains("panicked"), "{name}: {}", said(&refused));
    }
    let missing = acme.command(&["partner", "import", "/nowhere/globex.partner"]);
    assert!(
        missing.status.code() == REFUSED && said(&missing).contains("/nowhere/globex.partner"),
        "{}",
        said(&missing)
    );
    assert!(acme.done(&["partner", "list"]).contains("No partners yet"), "nothing of all this left a trace");

    // What stands outside the armour is for people and decides nothing.
    let dressed_up =
        text.replace("globex.test", "initech.test").replace(&fingerprint(text.as_bytes()), "aaaa bbbb");
    let taken = import(&acme, dressed_up.as_bytes());
    assert!(taken.status.success() && said(&taken).contains("Pinned globex.test"), "{}", said(&taken));
    assert!(said(&taken).contains(&fingerprint(text.as_bytes())), "{}", said(&taken));
}

/// `dccp-gateway WORDS` six years ago by its own clock.
fn six_years_ago(words: &[&str]) -> Output {
    let done = Command::new("faketime").args(["-f", "-6y"]).arg(gateway_binary()).args(words).output();
    let done = done.expect("faketime: apt-get install faketime");
    assert!(done.status.success(), "{words:?}: {}", said(&done));
    done
}

#[test]
fn a_file_whose_records_have_expired_is_refused() {
    let acme = Site::found("acme.test", NOWHERE);
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, config) = (folder.path().to_str().expect("a path"), folder.path().join("dccp-config.yaml"));
    let config = config.to_str().expect("a path");
    six_years_ago(&["init", "--domain", "globex.test", "--dir", dir, "--deliver", NOWHERE]);
    let file = six_years_ago(&["partner", "export", "--config", config]).stdout;
    let refused = import(&acme, &file);
    assert_eq!(refused.status.code(), REFUSED, "{}", said(&refused));
    assert!(
        said(&refused).contains("the file is refused: ") && said(&refused).contains("expired"),
        "{}",
        said(&refused)
    );
}

#[test]
fn a_gateway_that_would_write_down_session_keys_refuses_to_start() {
    let mut acme = Site::found("acme.test", NOWHERE);
    let keys = acme.folder().join("session-keys");
    acme.start_under(&["env", &format!("SSLKEYLOGFILE={}", keys.display())]);
    assert_eq!(acme.await_end().code(), REFUSED);
    assert!(acme.log().contains("SSLKEYLOGFILE is set"), "{}", acme.log());
    assert!(!keys.exists());
}

#[test]
fn a_second_gateway_on_the_same_data_refuses_to_start() {
    let mut acme = Site::found("acme.test", NOWHERE);
    acme.start();
    let config = fs::read_to_string(acme.config()).expect("the configuration");
    let elsewhere =
        [acme.smtp.port(), acme.control.port(), acme.overlay_port].iter().fold(config, |config, port| {
            config.replace(&port.to_string(), &tests::peers::free_port().to_string())
        });
    let second = acme.folder().join("second.yaml");
    fs::write(&second, elsewhere).expect("a file");
    // If it did start, it would run for ever.
    let mut second_gateway = Command::new("timeout");
    second_gateway.args(["-s", "KILL", "20"]).arg(gateway_binary()).arg("run").arg("--config").arg(&second);
    let refused = second_gateway.output().expect("a gateway");
    assert_eq!(refused.status.code(), REFUSED, "{}", said(&refused));
    assert!(said(&refused).contains("another gateway is running on"), "{}", said(&refused));
    assert!(acme.is_running() && acme.get("/readyz").0 == 200, "the first one goes on");
}

#[test]
fn check_lists_every_problem_of_a_broken_configuration_at_once() {
    let acme = Site::found("acme.test", NOWHERE);
    let whole = acme.command(&["check"]);
    assert!(whole.status.success() && said(&whole).contains("is in order"), "{}", said(&whole));

    acme.set("size_bytes_max", "lots");
    acme.set("queue.retry_delay_ms_min", "-5");
    acme.set("protocol", "pigeon");
    acme.set("level", "loud");
    let config =
        fs::read_to_string(acme.config()).expect("the configuration").replace("  hostname: ", "  hostnam: ");
    fs::write(acme.config(), config).expect("the configuration is writable");
    let broken = acme.command(&["check"]);
    let page = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert_eq!(broken.status.code(), PROBLEMS, "{page}");
    for key in [
        "smtp.size_bytes_max",
        "queue.retry_delay_ms_min",
        "delivery.protocol",
        "log.level",
        "smtp.hostnam:",
        "smtp.hostname",
    ] {
        assert!(page.contains(key), "{key} is named:\n{page}");
    }
    assert!(page.starts_with("6 problems in "), "{page}");
    assert_eq!(acme.command(&["run"]).status.code(), PROBLEMS, "and the gateway does not start with it");
}

#[test]
fn check_names_keys_that_are_missing_or_open_to_others() {
    let acme = Site::found("acme.test", NOWHERE);
    let keys = acme.folder().join("keys");
    fs::remove_file(keys.join("device.key")).expect("a key");
    open_to_all(&keys.join("storage.key"));
    let broken = acme.command(&["check"]);
    let page = said(&broken);
    assert_eq!(broken.status.code(), PROBLEMS, "{page}");
    assert!(page.contains("device.key") && page.contains("storage.key"), "{page}");
}

fn open_to_all(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("our own file");
}
