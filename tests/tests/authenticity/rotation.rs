//! Keys of our own: nothing signs before DNS shows it, and something always signs once something did.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dccp::UnixMillis;
use gateway::custody::Vault;
use gateway::dkim::{KeyFolder, Rotation};
use smtp::authenticity::Signer;
use tests::peers::{Judges, Zone};
use tokio::sync::watch;

use crate::{LETTER, names, publish, verifier};

const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

fn rotation(keys: &KeyFolder, dns: SocketAddr) -> Rotation {
    Rotation::new(keys.clone(), Arc::new(verifier(dns)), Duration::from_secs(600), || NOW)
        .expect("keys that open")
}

/// The selector that signs for acme.
fn selector(signer: &watch::Receiver<Arc<Signer>>) -> Option<String> {
    signer.borrow().key("acme.test").map(|pair| pair.selector().to_owned())
}

#[tokio::test]
async fn a_key_signs_when_dns_shows_it_and_the_old_one_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Vault::new([7; 32].into()));
    let keys = KeyFolder::beside(&folder.path().join("storage.key"), vault);
    let first = keys.add("acme.test", "20261123").unwrap();

    let empty = names([Zone::unsigned("acme.test")]);
    let unpublished = rotation(&keys, empty.address());
    unpublished.look().await.unwrap();
    assert_eq!(selector(&unpublished.signer()), None, "nobody could verify it");

    let dns = names([publish(Zone::unsigned("acme.test"), &first)]);
    let published = rotation(&keys, dns.address());
    let signer = published.signer();
    published.look().await.unwrap();
    assert_eq!(selector(&signer).as_deref(), Some("d20261123"));

    // A second key that DNS does not show yet; nor does it matter that DNS has lost the first.
    let second = keys.add("acme.test", "20261124").unwrap();
    let unpublished = rotation(&keys, empty.address());
    unpublished.look().await.unwrap();
    assert_eq!(selector(&unpublished.signer()).as_deref(), Some("d20261123"));

    let dns = names([publish(publish(Zone::unsigned("acme.test"), &first), &second)]);
    let both = rotation(&keys, dns.address());
    both.look().await.unwrap();
    assert_eq!(selector(&both.signer()).as_deref(), Some("d20261124"));
    assert_eq!(keys.pairs("acme.test").unwrap().retired.len(), 1);

    let signed =
        both.signer().borrow().sign("acme.test", LETTER.as_bytes(), SystemTime::now()).unwrap().unwrap();
    assert_eq!(Judges::new(dns.address()).dkim(format!("{signed}{LETTER}").as_bytes()), ["pass", "pass"]);
}

#[tokio::test]
async fn what_the_command_line_prints_is_what_dns_serves() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("acme");
    run(folder.path(), &["init", "--domain", "acme.test", "--dir", "acme", "--deliver", "lmtp:127.0.0.1:24"]);
    let dkim = |words: &[&str]| run(&home, &[&["dkim"], words].concat());
    assert!(dkim(&["list"]).contains("No domain has a key pair"));
    let created = dkim(&["create", "acme.test"]);
    let printed = dkim(&["dns", "acme.test"]);
    assert!(created.ends_with(&printed), "{created}");
    assert!(dkim(&["list"]).contains("waits until DNS shows it"));

    // The lines go into a zone file as they are: names are absolute.
    let zone = printed.lines().fold(Zone::unsigned("acme.test"), |zone, line| zone.line(line));
    let dns = names([zone]);
    let config = gateway::config::Config::read(&home.join("dccp-config.yaml")).unwrap();
    let custody = gateway::custody::Custody::open(&config, gateway::clock::system()).unwrap();
    let keys = KeyFolder::beside(&config.keys.storage, custody.vault().clone());
    let rotation = rotation(&keys, dns.address());
    rotation.look().await.unwrap();
    assert!(selector(&rotation.signer()).is_some());
    assert!(dkim(&["list"]).contains("signs"));

    assert!(dkim(&["rotate", "acme.test"]).contains("IN TXT"));
    for (words, why) in [
        (["rotate", "acme.test"], "still waits"),
        (["create", "acme.test"], "has a key pair already"),
        (["create", "globex.test"], "no mail domain of this organisation"),
        (["rotate", "mail.acme.test"], "has no key pair"),
    ] {
        let refused = command(&home, &[&["dkim"], words.as_slice()].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{words:?}: {refused:?}");
    }
    let rests: Vec<u8> = fs::read_dir(home.join("keys/dkim/acme.test"))
        .unwrap()
        .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!rests.windows(9).any(|window| window == b"acme.test"), "what rests is sealed");
}

fn command(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dccp-gateway-under-test"));
    command.current_dir(folder).args(words).output().expect("the gateway runs")
}

/// What a command prints that must succeed.
fn run(folder: &Path, words: &[&str]) -> String {
    let done = command(folder, words);
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}
