//! Large mail that must be kept: it rests once on each side, costs no more memory, and officers get every octet of it back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use gateway::spool::LargeCounts;
use serde_json::Value;
use tests::office::{left_in_a_hundred_years, manifest_in, said, text, two_shares, with_officers, words};
use tests::peers::{Dovecot, await_within};
use tests::site::{Site, gateway_binary};
use tests::submit::submitted;

use super::super::{
    MAIL_OCTETS, MEMORY_BYTES_MAX, Memory, PATIENCE, arrives_as_it_was, at_rest, mail, nothing_rests, status,
    turn, two_sites,
};

const EVERYTHING: &str = "\n  rules:\n    - { name: everything, days: 30 }";

/// What a database may have beside the octets of the mail: padding, tags, indexes, and the log.
const BESIDE_BYTES_MAX: u64 = 12_000_000;

#[test]
fn an_archived_mail_of_50_mb_crosses_in_64_mb_rests_once_and_comes_back_octet_for_octet() {
    let _turn = turn();
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    let offices = [&sites.acme, &sites.globex].map(|site| with_officers(site, EVERYTHING));
    sites.start();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &mail("small", 2_000));
    dovecot.await_mail("bob", 1, PATIENCE);
    sites.settled();

    let octets = mail("kept", MAIL_OCTETS);
    let (origin, destination) = (Memory::of(&sites.acme), Memory::of(&sites.globex));
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &octets);
    arrives_as_it_was(&dovecot, 2, &octets);
    origin.is_within_the_promise("taken, archived, sealed and sent");
    destination.is_within_the_promise("arrived, opened, archived and handed over");
    sites.settled();
    for site in [&sites.acme, &sites.globex] {
        let LargeCounts { coming, kept, over } = at_rest(site);
        assert_eq!((coming.rows, kept.rows, over.rows), (0, 1, 0), "the archive keeps it");
        assert!(site.metric("dccp_archive_bytes") > MAIL_OCTETS as f64, "and says what it takes");
        assert!(site.metric("dccp_large_bytes{standing=\"kept\"}") > MAIL_OCTETS as f64);
        let database = fs::metadata(site.data().join("gateway.db")).expect("the database").len();
        assert!(database < MAIL_OCTETS as u64 + BESIDE_BYTES_MAX, "at rest once: {database}");
    }

    let [acme_shares, globex_shares] = offices.each_ref().map(two_shares);
    let (folder, copy) = taken_out(&sites.acme, &words(&acme_shares));
    let kept = fs::read(folder.path().join(file(&copy))).expect("the mail");
    assert!(kept == octets, "as alice's client sent it");
    assert_eq!(copy["bytes"], MAIL_OCTETS);
    // Globex keeps the key of its archive away from its gateway: first sealed, then opened elsewhere.
    let (sealed, copy) = taken_out(&sites.globex, &[]);
    assert!(file(&copy).ends_with(".sealed") && copy["body"].as_str().expect("a name").ends_with(".body"));
    let opened = tempfile::tempdir().expect("a folder");
    let open = ["archive", "open", "--sealed", text(sealed.path()), "--out", text(opened.path())];
    let peak = peak_of(&sites.globex, &[&open[..], &words(&globex_shares)].concat());
    assert!(peak <= MEMORY_BYTES_MAX, "archive open: {peak} bytes");
    let copy = largest(manifest_in(opened.path()));
    let kept = fs::read(opened.path().join(file(&copy))).expect("the mail");
    assert!(kept.ends_with(&octets) && kept.starts_with(b"Received: "), "as acme's gateway sent it");

    // An altered chunk is no mail: what is left is the sealed copy, and why.
    let body = sealed.path().join(file(&copy).replace(".eml", ".body"));
    let mut altered = fs::read(&body).expect("the body");
    *altered.last_mut().expect("an octet") ^= 1;
    fs::write(&body, altered).expect("a file");
    let refused = tempfile::tempdir().expect("a folder");
    let open = ["archive", "open", "--sealed", text(sealed.path()), "--out", text(refused.path())];
    said(&sites.globex, &[&open[..], &words(&globex_shares)].concat());
    let copy = largest_fault(refused.path());
    assert!(copy["fault"].as_str().expect("a reason").contains("does not open"), "{copy}");
    assert!(!refused.path().join(file(&copy).replace(".sealed", ".eml")).exists(), "no half mail");

    retention_frees_it_and_a_hold_keeps_it(&mut sites.acme);
}

/// The body goes with its copy, and not before.
fn retention_frees_it_and_a_hold_keeps_it(site: &mut Site) {
    let hold =
        ["archive", "hold", "add", "--name", "case-7", "--address", "bob@globex.test", "--reason", "claim"];
    said(site, &hold);
    assert!(site.terminate().success());
    assert_eq!(left_in_a_hundred_years(site), 2, "held");
    site.start();
    assert_eq!(at_rest(site).kept.rows, 1);
    said(site, &["archive", "hold", "lift", "case-7", "--reason", "settled"]);
    assert!(site.terminate().success());
    assert_eq!(left_in_a_hundred_years(site), 0);
    site.start();
    nothing_rests(site);
    await_within(PATIENCE, "the archive is empty", || {
        (site.metric("dccp_archive_bytes") == 0.0).then_some(())
    });
}

/// Exports everything within the memory of the promise; the large copy's line in the manifest.
fn taken_out(site: &Site, shares: &[&str]) -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let export = ["archive", "export", "--reason", "claim 7", "--by", "carol", "--out", text(folder.path())];
    let peak = peak_of(site, &[&export, shares].concat());
    eprintln!("{}: archive export: {:.1} MB", site.domain, peak as f64 / 1e6);
    assert!(peak <= MEMORY_BYTES_MAX, "archive export: {peak} bytes");
    let copy = largest(manifest_in(folder.path()));
    (folder, copy)
}

fn largest(manifest: Vec<Value>) -> Value {
    let copies = manifest.into_iter().skip(1);
    // Of a sealed one the octets are beside it.
    copies.max_by_key(|copy| (copy["body"].is_string(), copy["bytes"].as_u64())).expect("a copy")
}

fn largest_fault(folder: &Path) -> Value {
    manifest_in(folder).into_iter().find(|line| line["fault"].is_string()).expect("a copy with a fault")
}

fn file(copy: &Value) -> &str {
    copy["file"].as_str().expect("a name")
}

/// The most memory that a command needs in all; it must succeed.
fn peak_of(site: &Site, words: &[&str]) -> u64 {
    let mut command = Command::new(gateway_binary());
    let mut child =
        command.args(words).arg("--config").arg(site.config()).spawn().expect("dccp-gateway starts");
    let mut peak = 0;
    loop {
        // The peak only grows, so the last look is as good as the end, but for what comes in the last moment.
        if let Some(done) = child.try_wait().expect("a process") {
            assert!(done.success(), "{words:?}: {done}");
            return peak;
        }
        peak = status(child.id(), "VmHWM:").unwrap_or(peak);
        thread::sleep(Duration::from_millis(2));
    }
}
