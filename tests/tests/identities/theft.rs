//! A stolen operator key, and the officers who take the identity back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tests::peers::{Dovecot, await_within};
use tests::site::{Site, eventually, gateway_binary, said};

use super::network::{Host, Network, zone_of};
use super::thief::thief_of;
use crate::{CONFLICT, await_standing, lmtp, nothing_clear_rests_at, restart, to_alice, to_bob};

/// How soon the thief's branch must be dead wherever the owner can be heard.
pub(super) const A_MINUTE: Duration = Duration::from_secs(60);

/// Two partners that publish; acme's officers hold its recovery key.
pub(super) struct House {
    pub(super) acme: Site,
    pub(super) globex: Site,
    pub(super) alice: Dovecot,
    pub(super) bob: Dovecot,
    pub(super) office: TempDir,
    _network: Network,
}

impl House {
    pub(super) fn new() -> House {
        let office = tempfile::tempdir().expect("a folder");
        let commitment = recovery_key_in(office.path());
        let (alice, bob) = (Dovecot::start(), Dovecot::start());
        let words = ["--recovery-commitment", &commitment];
        let mut acme = Site::found_with("acme.test", &lmtp(&alice), &words);
        let mut globex = Site::found("globex.test", &lmtp(&bob));
        let network = Network::of(&[zone_of(&acme, Host(1)), zone_of(&globex, Host(2))]);
        for (site, host) in [(&acme, Host(1)), (&globex, Host(2))] {
            network.join(site);
            network.publish(site, host);
        }
        acme.introduce(&globex);
        globex.introduce(&acme);
        acme.start();
        globex.start();
        acme.await_links();
        globex.await_links();
        House { acme, globex, alice, bob, office, _network: network }
    }

    /// Two of the three officers take acme's identity back, from its first operation on. Its gateway is down.
    fn recover(&self, more: &[&str]) {
        let shares = shares_in(self.office.path());
        assert_eq!(shares.len(), 3);
        let next = self.office.path().join("next");
        let (one, two, next) = (&shares[0], &shares[2], next.to_str().expect("a path"));
        let words = ["recovery", "use", "--share", one, "--share", two, "--out", next, "--keep", "1"];
        let words = [words.as_slice(), more].concat();
        assert!(self.acme.done(&words).contains("Took the identity back"));
    }

    fn settled(&self) {
        self.acme.settled();
        self.globex.settled();
    }
}

/// Makes a recovery key as officers do, on a machine with no gateway; the commitment to it.
fn recovery_key_in(folder: &Path) -> String {
    let made = Command::new(gateway_binary())
        .args(["recovery", "create", "--shares", "3", "--threshold", "2", "--out"])
        .arg(folder)
        .output()
        .expect("dccp-gateway starts");
    let made = said(&made);
    let commitment = made.lines().find_map(|line| line.trim().strip_prefix("Commitment   "));
    commitment.unwrap_or_else(|| panic!("no commitment: {made}")).to_owned()
}

pub(super) fn shares_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.filter(|path| path.is_file());
    let mut shares: Vec<String> = files.map(|path| path.to_str().expect("a path").to_owned()).collect();
    shares.sort();
    shares
}

/// The last operation of acme's log that globex believes.
fn believed(globex: &Site) -> u64 {
    globex.partner("acme.test")["version"].as_u64().expect("a number")
}

#[test]
fn a_stolen_operator_key_is_overruled_within_a_minute() {
    let mut house = House::new();
    house.globex.await_state(&to_alice(&house.globex, "before@globex.test"), "delivered");

    // At night the thief stands where acme stood, with the only key that globex can ask for.
    assert!(house.acme.terminate().success());
    let loot = Dovecot::start();
    let mut thief = thief_of(&house.acme, 2, &lmtp(&loot));
    thief.introduce(&house.globex);
    thief.start();
    eventually("globex follows the thief", || (believed(&house.globex) == 2).then_some(()));
    house.globex.await_state(&to_alice(&house.globex, "stolen@globex.test"), "delivered");
    assert_eq!((house.alice.mailbox("alice").len(), loot.mailbox("alice").len()), (1, 1));

    // The thief stays, and holds the line.
    house.recover(&["--new-device"]);
    house.acme.start();
    await_within(A_MINUTE, "globex is on acme's branch", || (believed(&house.globex) == 1).then_some(()));
    house.globex.await_state(&to_alice(&house.globex, "after@globex.test"), "delivered");
    house.acme.await_state(&to_bob(&house.acme, "after@acme.test"), "delivered");
    assert_eq!((house.alice.mailbox("alice").len(), loot.mailbox("alice").len()), (2, 1));
    assert_eq!(house.bob.mailbox("bob").len(), 1);

    let file = thief.folder().join("thief.partner");
    fs::write(&file, thief.export()).expect("a file");
    let void = house.globex.refused(&["partner", "import", file.to_str().expect("a path")]);
    assert!(void.contains("older than what is known"), "{void}");
    thief.may_leave_mail();
    to_bob(&thief, "forged@acme.test");
    eventually("the thief is turned away", || {
        let words = thief.partner("globex.test")["last_error"].as_str()?.to_owned();
        words.contains("does not verify").then_some(())
    });
    assert_eq!((believed(&house.globex), house.bob.mailbox("bob").len()), (1, 1));
    house.settled();
}

#[test]
fn a_contradiction_holds_mail_until_the_officers_have_spoken() {
    let mut house = House::new();
    house.acme.set("also", "[acme-labs.test]");
    house.acme.done(&["did", "update"]);
    restart(&mut house.acme);
    eventually("globex has acme's update", || (believed(&house.globex) == 1).then_some(()));

    // The thief has the key of yesterday's backup and continues yesterday's log.
    let thief = {
        let current = house.acme.log_of_identity();
        let log = house.acme.data().join("identity/organisation.did");
        fs::write(&log, current.beginning(1).expect("a genesis").to_bytes()).expect("a file");
        let thief = thief_of(&house.acme, 1, "lmtp:127.0.0.1:9");
        fs::write(&log, current.to_bytes()).expect("a file");
        thief
    };
    let file = thief.folder().join("thief.partner");
    fs::write(&file, thief.export()).expect("a file");
    let alarm = house.globex.command(&["partner", "import", file.to_str().expect("a path")]);
    assert_eq!(alarm.status.code(), CONFLICT, "{}", said(&alarm));
    assert!(
        said(&alarm).contains("CONTRADICTION") && said(&alarm).contains("recovery use"),
        "{}",
        said(&alarm)
    );

    await_standing(&house.globex, "acme.test", "frozen");
    let out = to_alice(&house.globex, "doubtful@globex.test");
    house.globex.await_state(&out, "held");
    let back = to_bob(&house.acme, "doubted@acme.test");
    eventually("acme's mail waits at globex", || {
        (house.globex.metric("dccp_held_total") >= 2.0).then_some(())
    });
    nothing_clear_rests_at(&house.globex);
    assert!(house.alice.mailbox("alice").is_empty() && house.bob.mailbox("bob").is_empty());

    assert!(house.acme.terminate().success());
    house.recover(&[]);
    house.acme.done(&["did", "update"]);
    house.acme.start();
    await_within(A_MINUTE, "globex believes acme again", || {
        let partner = house.globex.partner("acme.test");
        (partner["standing"] == "pinned" && partner["version"] == 2).then_some(())
    });
    house.globex.await_state(&out, "delivered");
    house.acme.await_state(&back, "delivered");
    assert_eq!(
        (house.alice.mailbox("alice").len(), house.bob.mailbox("bob").len()),
        (1, 1),
        "nothing is lost"
    );
    house.settled();
}
