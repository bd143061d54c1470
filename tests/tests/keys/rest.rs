//! What a thief of the folder, or of what is printed, finds.

use keystore::{MasterKey, MasterSource};
use tests::site::Site;

use crate::*;

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
