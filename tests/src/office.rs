//! The officers of an organisation, who hold the key of its archive: made away from the gateway, and brought back in shares to take
//! mail out.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use gateway::spool::{Order, Spool, SpoolConfig, UnixMillis};
use serde_json::Value;
use tempfile::TempDir;

use crate::site::Site;

/// Shares made elsewhere; only the public half comes to the gateway.
pub fn with_officers(site: &Site, words: &str) -> TempDir {
    let office = tempfile::tempdir().expect("a folder");
    said(
        site,
        &["archive", "key", "create", "--shares", "3", "--threshold", "2", "--out", text(office.path())],
    );
    fs::copy(office.path().join("archive.pub"), site.folder().join("archive.pub")).expect("the public half");
    let config = fs::OpenOptions::new().append(true).open(site.config());
    writeln!(config.expect("the configuration"), "\narchive:\n  key: archive.pub{words}")
        .expect("it is writable");
    office
}

/// A path as a word of a command.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a printable path")
}

/// What the command says; it must succeed.
pub fn said(site: &Site, words: &[&str]) -> String {
    let done = site.command(words);
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// What the command complains of; it must fail.
pub fn refused(site: &Site, words: &[&str]) -> String {
    let done = site.command(words);
    assert!(!done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stdout));
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// `--share A --share B` for two of the three shares of an office.
pub fn two_shares(office: &TempDir) -> Vec<String> {
    let mut shares: Vec<PathBuf> = fs::read_dir(office.path())
        .expect("the office")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    shares.retain(|path| text(path).contains("-share-"));
    shares.sort();
    assert_eq!(shares.len(), 3);
    shares[1..].iter().flat_map(|share| ["--share".to_owned(), text(share).to_owned()]).collect()
}

/// The manifest of an export: about the export, then each copy.
pub fn exported(site: &Site, words: &[&str]) -> (TempDir, Vec<Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = ["archive", "export", "--reason", "claim 7", "--by", "carol", "--out", text(folder.path())];
    said(site, &[&out, words].concat());
    let manifest = manifest_in(folder.path());
    (folder, manifest)
}

/// The manifest in a folder.
pub fn manifest_in(folder: &Path) -> Vec<Value> {
    let manifest = fs::read_to_string(folder.join("manifest.jsonl")).expect("a manifest");
    manifest.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// As words of a command.
pub fn words(shares: &[String]) -> Vec<&str> {
    shares.iter().map(String::as_str).collect()
}

/// How many copies the housekeeping would leave by then.
pub fn left_in_a_hundred_years(site: &Site) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (spool, guard) =
            Spool::open(site.data().join("gateway.db"), SpoolConfig::default()).expect("the spool");
        let at = UnixMillis(4_900_000_000_000);
        let order = Order { act: "archive-purge", by: "a test".to_owned(), at, why: vec![] };
        spool.purge_archive(order).await.expect("a purge");
        let left = spool.archive_tally().await.expect("a tally").copies;
        guard.close().await;
        left
    })
}
