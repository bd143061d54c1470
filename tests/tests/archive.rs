//! Mail that must be kept: two companies archive what alice and bob write, officers take it out with two of three shares,
//! and nobody else ever reads it.

use std::fs;

use gateway::archive::key::{PrivateKey, PublicKey};
use keystore::keyfile::{self, Kind};
use keystore::{MasterKey, MasterSource};
use tempfile::TempDir;
use tests::office::{
    exported, left_in_a_hundred_years, manifest_in, refused, said, text, two_shares, with_officers, words,
};
use tests::peers::{SmtpSink, free_port};
use tests::site::{PATIENCE, Site, TwoSites, eventually};
use tests::submit::{letter, submit, submitted};

const EVERYTHING: &str = "\n  rules:\n    - { name: everything, days: 30 }";

/// Acme and globex, each with a mail server and with officers who hold the key of its archive.
struct Scene {
    sites: TwoSites,
    globex_mail: SmtpSink,
    acme_office: TempDir,
    globex_office: TempDir,
}

impl Scene {
    /// `acme` and `globex` are what stands in `archive:` beside the key.
    fn set(acme: &str, globex: &str) -> Self {
        let globex_mail = SmtpSink::start_on(free_port());
        let sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("smtp:127.0.0.1:{}", globex_mail.port()));
        let [acme_office, globex_office] =
            [(&sites.acme, acme), (&sites.globex, globex)].map(|(site, words)| with_officers(site, words));
        Self { sites, globex_mail, acme_office, globex_office }
    }
}

/// A mail with octets that a careless copy would change.
fn odd_letter(message_id: &str) -> Vec<u8> {
    let mut octets = letter(message_id, "We prepare the takeover of Initech.");
    octets.extend_from_slice(b".\r\n..two dots\r\n\xff\xfe trailing blanks  \t\r\n\r\n");
    octets
}

#[test]
fn both_sides_keep_the_whole_mail_and_two_of_three_shares_give_every_octet_back() {
    let mut scene = Scene::set(EVERYTHING, EVERYTHING);
    scene.sites.start();
    let octets = odd_letter("secret-plan@acme.test");
    let everybody = ["bob@globex.test", "blind-copy@globex.test"]; // the second is in no header
    let queue_id = submitted(scene.sites.acme.smtp, "alice@acme.test", &everybody, &octets);
    let trace = scene.sites.acme.await_state(&queue_id, "delivered");
    assert!(trace.to_string().contains("archived under rule everything for 30 days"), "{trace}");
    scene.sites.settled();

    for (site, office) in
        [(&scene.sites.acme, &scene.acme_office), (&scene.sites.globex, &scene.globex_office)]
    {
        let listed = said(site, &["archive", "list", "--address", "blind-copy@globex.test"]);
        assert!(listed.contains("Copies 1,") && listed.contains("everything"), "{listed}");
        assert_eq!(site.metric("dccp_archive_copies"), 1.0);
        let (folder, manifest) = exported(site, &words(&two_shares(office)));
        let (export, copy) = (&manifest[0], &manifest[1]);
        assert_eq!(
            (manifest.len(), &export["reason"], &export["by"]),
            (2, &"claim 7".into(), &"carol".into())
        );
        assert_eq!(copy["mail"]["from"], "alice@acme.test");
        assert_eq!(copy["mail"]["to"], serde_json::json!(everybody), "the whole envelope");
        let kept = fs::read(folder.path().join(copy["file"].as_str().expect("a name"))).expect("the mail");
        match site.domain {
            "acme.test" => assert_eq!(kept, octets, "octet for octet as alice's client sent it"),
            // As acme's gateway sent it: with its trace in front.
            _ => assert!(kept.ends_with(&octets) && kept.starts_with(b"Received: "), "{kept:?}"),
        }
        assert!(copy["mail"]["legs"].to_string().contains("suite 0x0001"), "{copy}");
        let audit = said(site, &["queue", "audit"]);
        assert!(audit.contains("archive-export") && audit.contains("claim 7"), "{audit}");
        assert!(audit.contains(export["audit_head"].as_str().expect("a hash")), "{audit}");
    }
}

#[test]
fn the_gateway_itself_reads_nothing_of_its_archive_and_nothing_clear_rests() {
    let mut scene = Scene::set(EVERYTHING, EVERYTHING);
    scene.sites.start();
    let octets = odd_letter("secret-plan@acme.test");
    submitted(scene.sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &octets);
    scene.sites.settled();
    let acme = &mut scene.sites.acme;
    assert!(acme.terminate().success());

    let database = fs::read(acme.data().join("gateway.db")).expect("the database");
    for secret in ["takeover", "alice@acme", "bob@globex", "secret-plan"] {
        let found = database.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} rests in clear");
    }
    let (folder, manifest) = exported(acme, &[]);
    assert!(manifest[1]["mail"].is_null() && manifest[1]["file"].as_str().unwrap().ends_with(".sealed"));
    let storage = acme.folder().join("keys/storage.key");
    let with_ours = ["archive", "export", "--reason", "x", "--out", "/nonexistent", "--key", text(&storage)];
    assert!(refused(acme, &with_ours).contains("dccp-archive-passphrase-v1"));
    let archive_key = PublicKey::read(&acme.folder().join("archive.pub")).expect("the public half").key_id();
    for seed in every_secret_of(acme) {
        assert_ne!(
            PrivateKey::from_seed(&seed).key_id(),
            archive_key,
            "the gateway has the key of its archive"
        );
    }

    // The key never has to come to the gateway: what was exported sealed is opened where the key is.
    let opened = tempfile::tempdir().expect("a folder");
    let shares = two_shares(&scene.acme_office);
    let open = ["archive", "open", "--sealed", text(folder.path()), "--out", text(opened.path())];
    said(acme, &[&open, words(&shares).as_slice()].concat());
    let copy = &manifest_in(opened.path())[1];
    assert_eq!(fs::read(opened.path().join(copy["file"].as_str().unwrap())).expect("the mail"), octets);
    assert_eq!(copy["mail"]["to"][0], "bob@globex.test");

    let one = ["archive", "key", "check", shares[0].as_str(), shares[1].as_str()];
    assert!(refused(acme, &one).contains("too few"));
    let others = two_shares(&scene.globex_office);
    let (_folder, manifest) = exported(acme, &words(&others));
    let fault = manifest[1]["fault"].as_str().unwrap_or_default().to_owned();
    assert!(fault.contains("which was not given"), "the officers of globex: {fault}");
}

/// Every 32 octets of the gateway's private keys that could be the seed of another key.
fn every_secret_of(site: &Site) -> Vec<[u8; 32]> {
    let master =
        MasterKey::open(&MasterSource::File(site.folder().join("master.key"))).expect("the master key");
    let kinds = [
        ("operator.key", Kind::Operator),
        ("device.key", Kind::Device),
        ("node.key", Kind::Node),
        ("storage.key", Kind::Storage),
    ];
    let secret = |(name, kind): (&str, Kind)| {
        keyfile::read(&site.folder().join("keys").join(name), kind, Some(&master)).expect("a key")
    };
    let seeds = |(name, kind)| {
        let octets = secret((name, kind));
        octets.chunks_exact(32).map(|seed| seed.try_into().expect("32 octets")).collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(seeds).collect()
}

#[test]
fn a_hold_archives_what_no_rule_asks_for_and_outlives_every_purge_until_it_is_lifted() {
    let mut scene = Scene::set("", "");
    scene.sites.start();
    let acme = &scene.sites.acme;
    let before = submitted(acme.smtp, "alice@acme.test", &["bob@globex.test"], &odd_letter("1@acme.test"));
    let unexplained =
        ["archive", "hold", "add", "--name", "case-7", "--address", "globex.test", "--reason", " "];
    assert!(refused(acme, &unexplained).contains("say why"));
    let hold = ["archive", "hold", "add", "--name", "case-7", "--address", "bob@globex.test"];
    let held = said(acme, &[&hold[..], &["--reason", "claim of globex", "--by", "carol"]].concat());
    assert!(held.contains("claim of globex"), "{held}");
    let after = submitted(acme.smtp, "alice@acme.test", &["bob@globex.test"], &odd_letter("2@acme.test"));
    let other = submitted(acme.smtp, "alice@acme.test", &["carla@globex.test"], &odd_letter("3@acme.test"));
    scene.sites.settled();
    let acme = &mut scene.sites.acme;
    let listed = said(acme, &["archive", "list"]);
    assert!(listed.contains(&after) && !listed.contains(&before) && !listed.contains(&other), "{listed}");
    assert!(said(acme, &["archive", "show", &after]).contains("Holds       case-7"));

    assert!(acme.terminate().success());
    assert_eq!(left_in_a_hundred_years(acme), 1, "held, through the stop of the gateway");
    acme.start();
    let lift = ["archive", "hold", "lift", "case-7", "--reason", "settled", "--by", "carol"];
    assert!(!said(acme, &lift).contains("case-7"));
    let audit = said(acme, &["queue", "audit"]);
    for act in ["archive-hold", "archive-lift", "claim of globex", "settled"] {
        assert!(audit.contains(act), "{act} is not in the audit: {audit}");
    }
    assert!(acme.terminate().success());
    assert_eq!(left_in_a_hundred_years(acme), 0);
}

#[test]
fn a_full_archive_puts_mail_off_at_both_ends_and_loses_neither_mail_nor_copy() {
    let small = &format!("{EVERYTHING}\n  bytes_max: 65536");
    let mut scene = Scene::set(small, &format!("{EVERYTHING}\n  bytes_max: 70000"));
    scene.sites.start();
    let body = "All work and no play. ".repeat(1_300);
    let mail = |id: &str| letter(id, &body);
    let from_alice = |id| submit(scene.sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &mail(id));
    assert!(from_alice("1@acme.test").starts_with("250"));
    assert!(from_alice("2@acme.test").starts_with("250"));
    let reply = from_alice("3@acme.test");
    assert!(reply.starts_with("452 4.3.1") && reply.contains("archive is full"), "{reply}");
    assert!(scene.sites.acme.get("/api/v1/overview").1.contains("The archive takes"), "an alarm");
    scene.sites.settled();

    // Room at the origin, none at the destination: the mail waits there, unopened to anybody.
    scene.sites.acme.set("bytes_max", "6553600");
    assert!(scene.sites.acme.terminate().success());
    scene.sites.acme.start();
    scene.sites.acme.await_links();
    let waiting =
        submitted(scene.sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &mail("4@acme.test"));
    eventually("the mail waits at globex", || {
        let trace = scene.sites.globex.trace("4@acme.test")?;
        trace.to_string().contains("its copy is not in the archive").then_some(())
    });
    assert_eq!(scene.globex_mail.messages().len(), 2, "nothing was handed over without a copy");
    scene.sites.globex.set("bytes_max", "7000000");
    assert!(scene.sites.globex.terminate().success());
    scene.sites.globex.start();
    scene.sites.acme.await_state(&waiting, "delivered");
    scene.globex_mail.await_messages(3, PATIENCE);
    assert!(
        said(&scene.sites.globex, &["archive", "list"]).contains("Copies 3,"),
        "one copy, however often tried"
    );
    scene.sites.settled();
}

#[test]
fn an_archive_without_a_key_and_a_hold_without_an_archive_are_told_at_the_start() {
    let mut site = Site::found("acme.test", "lmtp:127.0.0.1:9");
    let plain = fs::read_to_string(site.config()).expect("the configuration");
    fs::write(site.config(), format!("{plain}\narchive:{EVERYTHING}\n")).expect("it is writable");
    let told = refused(&site, &["check"]);
    assert!(told.contains("archive.key") && told.contains("is missing"), "{told}");
    fs::write(site.config(), format!("{plain}\narchive:\n  key: keys/storage.key\n"))
        .expect("it is writable");
    assert!(refused(&site, &["check"]).contains("not the public half of an archive key"));

    fs::write(site.config(), &plain).expect("it is writable");
    let _office = with_officers(&site, "");
    site.start();
    said(&site, &["archive", "hold", "add", "--name", "all", "--from", "2020-01-01", "--reason", "x"]);
    assert!(site.terminate().success());
    fs::write(site.config(), &plain).expect("it is writable");
    let told = refused(&site, &["run"]);
    assert!(told.contains("legal holds stand") && told.contains("archive.key"), "{told}");
}
