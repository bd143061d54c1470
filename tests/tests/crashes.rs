//! `kill -9` at any moment loses nothing that was acknowledged. Every test ends with full accounting: sent,
//! acknowledged, delivered, lost, duplicated.

use std::collections::BTreeMap;

use tests::peers::Dovecot;
use tests::site::{Site, TwoSites};
use tests::submit::{Talk, letter};

/// What became of the mails of a test.
struct Account {
    sent: usize,
    acknowledged: Vec<String>,
}

impl Account {
    fn new() -> Self {
        Self { sent: 0, acknowledged: Vec::new() }
    }

    /// Sends `count` mails one after the other; a gateway that dies in between is an answer too.
    fn send(&mut self, site: &Site, series: &str, count: usize) {
        let Some(mut talk) = Talk::try_to(site.smtp) else { return };
        for n in 0..count {
            let id = format!("{series}-{n}@acme.test");
            self.sent += 1;
            match talk.try_mail("alice@acme.test", "bob@globex.test", &letter(&id, "Hello")) {
                Some(reply) if reply.starts_with("250 ") => self.acknowledged.push(id),
                Some(reply) => {
                    assert!(reply.starts_with('4'), "only temporary refusals while a gateway dies: {reply}")
                }
                None => return,
            }
        }
    }

    /// Compares with the mailbox: nothing acknowledged may be missing. Duplicates are possible only for a mail that was
    /// being handed over at the moment of a kill.
    fn settle(&self, dovecot: &Dovecot, duplicates_max: usize) {
        let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
        for mail in dovecot.mailbox("bob") {
            let text = String::from_utf8_lossy(&mail).into_owned();
            let id = text
                .split("Message-ID: <")
                .nth(1)
                .and_then(|rest| rest.split('>').next())
                .expect("a Message-ID");
            *delivered.entry(id.to_owned()).or_default() += 1;
        }
        let lost: Vec<_> = self.acknowledged.iter().filter(|id| !delivered.contains_key(*id)).collect();
        let duplicated: usize = delivered.values().map(|copies| copies - 1).sum();
        eprintln!(
            "sent {}, acknowledged {}, delivered {}, lost {}, duplicated {duplicated}",
            self.sent,
            self.acknowledged.len(),
            delivered.len(),
            lost.len(),
        );
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        assert!(
            duplicated <= duplicates_max,
            "{duplicated} duplicates, at most {duplicates_max} can be explained"
        );
    }
}

fn two_sites(dovecot: &Dovecot) -> TwoSites {
    let sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
    for site in [&sites.acme, &sites.globex] {
        site.set("queue.retry_delay_ms_max", "1000");
    }
    sites
}

/// Starts a gateway that dies at its `n`-th sync, before the sync is done.
fn start_to_die_at(site: &mut Site, n: usize) {
    let inject = format!("inject=fdatasync,fsync:signal=KILL:when={n}");
    site.start_under(&[
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        &inject,
    ]);
}

#[test]
fn the_origin_may_die_at_any_sync() {
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    sites.globex.start();
    let mut account = Account::new();
    for n in 1..=20 {
        start_to_die_at(&mut sites.acme, n);
        sites.acme.await_ready_or_end();
        account.send(&sites.acme, &format!("origin-{n}"), 5);
        sites.acme.kill();
    }
    sites.acme.start();
    sites.settled();
    assert!(account.acknowledged.len() < account.sent, "the gateway died with mails under way");
    assert!(account.acknowledged.len() >= 6, "the test is worth something only if mails were acknowledged");
    account.settle(&dovecot, 0);
}

#[test]
fn the_destination_may_die_at_any_sync() {
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    sites.acme.start();
    let mut account = Account::new();
    for n in 1..=12 {
        account.send(&sites.acme, &format!("destination-{n}"), 3);
        start_to_die_at(&mut sites.globex, n);
        sites.globex.await_end_within_seconds(4);
        sites.globex.kill();
    }
    sites.globex.start();
    sites.settled();
    assert_eq!(account.acknowledged.len(), 36, "the origin never stopped");
    // A mail that Dovecot took while the settlement was not synced yet is handed over again: at most the mails that
    // were under way at each death.
    account.settle(&dovecot, 36);
}

#[test]
fn both_may_be_killed_at_random_under_load() {
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    let mut account = Account::new();
    for round in 0..6u64 {
        sites.acme.start();
        sites.globex.start();
        let pause = std::time::Duration::from_millis(rand::random_range(20..400));
        let (acme, globex) = (sites.acme.pid(), sites.globex.pid());
        let victims = match round % 3 {
            0 => vec![acme],
            1 => vec![globex],
            _ => vec![acme, globex],
        };
        let killer = std::thread::spawn(move || {
            std::thread::sleep(pause); // the moment of the kill is the randomness of this test
            for pid in victims {
                _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            }
        });
        account.send(&sites.acme, &format!("random-{round}"), 60);
        killer.join().expect("the killer");
        sites.acme.kill();
        sites.globex.kill();
    }
    sites.acme.start();
    sites.globex.start();
    sites.settled();
    assert!(account.acknowledged.len() > 60);
    account.settle(&dovecot, 6 * 16);
}

#[test]
fn a_full_disk_refuses_for_now_and_loses_nothing() {
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    let disk = TinyDisk::mount(&sites.acme.data(), 128);
    sites.acme.set("disk_free_bytes_min", "67108864");
    let mut account = Account::new();
    sites.acme.start();
    let big = "x".repeat(70).to_owned() + "\r\n";
    let mut refused = String::new();
    for n in 0..120 {
        let id = format!("full-{n}@acme.test");
        let reply = tests::submit::submit(
            sites.acme.smtp,
            "alice@acme.test",
            &["bob@globex.test"],
            &letter(&id, &big.repeat(14_000)),
        );
        account.sent += 1;
        if reply.starts_with("250 ") {
            account.acknowledged.push(id);
        } else {
            refused = reply;
            break;
        }
    }
    assert!(refused.starts_with("452 4.3.1"), "a full disk is a temporary refusal: {refused:?}");
    assert!(!account.acknowledged.is_empty());
    sites.globex.start();
    sites.settled();
    account.send(&sites.acme, "room-again", 1);
    sites.settled();
    account.settle(&dovecot, 0);
    assert_eq!(account.acknowledged.last().map(String::as_str), Some("room-again-0@acme.test"));
    sites.acme.kill();
    drop(disk);
}

/// A file system of `mib` MiB on the spool's folder; unmounted on drop. Needs root, as CI has.
struct TinyDisk(std::path::PathBuf);

impl TinyDisk {
    fn mount(folder: &std::path::Path, mib: usize) -> Self {
        let copy = folder.with_extension("copy");
        std::fs::rename(folder, &copy).expect("the data folder moves");
        std::fs::create_dir(folder).expect("a mount point");
        let options = format!("size={mib}m,mode=0700");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(folder)
            .status();
        assert!(mounted.expect("mount").success(), "this test mounts a tiny disk and needs root");
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(format!("{}/.", copy.display()))
            .arg(folder)
            .status();
        assert!(copied.expect("cp").success());
        Self(folder.to_owned())
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
