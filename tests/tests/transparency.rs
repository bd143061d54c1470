//! Key transparency among partners: an organisation that keeps two books of its people is found out by those to whom
//! it shows one each, though they never speak about it.

use std::fs;
use std::path::Path;

use keystore::keyfile::{self, Kind};
use keystore::{MasterKey, MasterSource};
use serde_json::Value;
use tests::site::{Site, eventually};

const NOWHERE: &str = "lmtp:127.0.0.1:9";

/// A command of the administrator that must be done.
fn done(site: &Site, words: &[&str]) -> String {
    let done = site.command(words);
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{words:?} failed: {said}");
    said
}

/// A second gateway of the same organisation: the same keys, but a node and a database of its own.
fn second_books(of: &Site) -> Site {
    let second = Site::found(of.domain, NOWHERE);
    let node_key = second.folder().join("keys/node.key");
    let node = keyfile::read(&node_key, Kind::Node, Some(&master_of(&second))).expect("a key");
    copy(of.folder(), second.folder(), &of.config());
    fs::remove_file(&node_key).expect("the copied key");
    keyfile::write(&node_key, Kind::Node, &node, Some(&master_of(of))).expect("a key");
    second
}

fn master_of(site: &Site) -> MasterKey {
    MasterKey::open(&MasterSource::File(site.folder().join("master.key"))).expect("a master key")
}

fn copy(from: &Path, to: &Path, except: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &copied, except),
            false if path == except => {}
            false => _ = fs::copy(&path, &copied).expect("a copy"),
        }
    }
}

fn alarms(site: &Site) -> Vec<Value> {
    let overview: Value = serde_json::from_str(&site.get("/api/v1/overview").1).expect("JSON");
    overview["alarms"].as_array().cloned().unwrap_or_default()
}

fn partners(one: &Site, other: &Site) {
    one.introduce(other);
    other.introduce(one);
}

#[test]
fn who_keeps_two_books_is_found_out_by_both_of_its_partners() {
    let [mut acme, mut initech, mut globex] =
        ["acme.test", "initech.test", "globex.test"].map(|domain| Site::found(domain, NOWHERE));
    let mut second = second_books(&globex);
    partners(&acme, &initech);
    partners(&acme, &globex);
    partners(&initech, &second);
    done(&globex, &["person", "add", "bob@globex.test", "--publish"]);
    done(&second, &["person", "add", "eve@globex.test", "--publish"]);

    for site in [&mut acme, &mut initech, &mut globex] {
        site.start();
    }
    for site in [&acme, &initech] {
        eventually("the head record of globex lies here", || {
            (site.metric("dccp_overlay_heads_kept_total") >= 2.0).then_some(())
        });
        assert_eq!(alarms(site), Vec::<Value>::new(), "{} has nothing to compare", site.domain);
    }

    second.start();
    for site in [&acme, &initech] {
        let cry = eventually("an alarm", || alarms(site).into_iter().next());
        assert_eq!(
            (&cry["about"], &cry["words"]),
            (&"globex.test".into(), &"two heads that are not of one tree".into())
        );
        assert!(site.metric("dccp_alarms") >= 1.0);
        let refused = "dccp_overlay_heads_refused_total{reason=\"contradiction\"}";
        eventually("the shelf keeps the first record", || (site.metric(refused) >= 1.0).then_some(()));
        assert!(site.log().contains("KEY TRANSPARENCY"), "the log says so");
        assert!(done(site, &["partner", "clear-alarms", "globex.test"]).contains("alarms cleared"));
    }

    // It finds the record of the first gateway on the shelves, which is not of its own books.
    let cry = eventually("an alarm about itself", || alarms(&second).into_iter().next());
    assert_eq!(cry["words"], "a tree is published as ours that we do not have");
    assert!(done(&second, &["partner", "clear-alarms", "globex.test"]).contains("alarms cleared"));
}
