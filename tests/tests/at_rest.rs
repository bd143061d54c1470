//! What rests is sealed, and what is answered for rests: seen from outside the gateway, with `grep` and `strace`.

use std::fs;
use std::path::Path;

use tests::peers::{Dovecot, free_port};
use tests::site::{Site, TwoSites, eventually};
use tests::submit::{Talk, letter, submitted};

const SECRETS: [&str; 5] = [
    "the takeover of Initech", // in the body
    "Strictly between us",     // in the subject
    "alice@acme.test",         // an address in the envelope and the header
    "bob@globex.test",
    "secret-plan@acme.test", // the Message-ID
];

/// Every file of a gateway's data folder, whole.
fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the data folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            files.extend(files_below(&entry));
        } else {
            files.push((entry.display().to_string(), fs::read(&entry).unwrap_or_default()));
        }
    }
    files
}

fn nothing_clear_rests_at(site: &Site, when: &str) {
    let files = files_below(&site.data());
    assert!(
        files.iter().any(|(name, octets)| name.ends_with("gateway.db") && !octets.is_empty()),
        "{files:?}"
    );
    for (name, octets) in files {
        for secret in SECRETS {
            let found =
                octets.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret.as_bytes()));
            assert!(!found, "{name} of {} contains {secret:?} {when}", site.domain);
        }
    }
}

fn secret_letter() -> Vec<u8> {
    String::from_utf8(letter("secret-plan@acme.test", "We prepare the takeover of Initech."))
        .expect("ASCII")
        .replace("A letter", "Strictly between us")
        .into_bytes()
}

#[test]
fn nothing_clear_ever_rests_on_either_side() {
    let mail_server = free_port();
    let mut sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("smtp:127.0.0.1:{mail_server}"));
    sites.acme.start();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &secret_letter());
    nothing_clear_rests_at(&sites.acme, "while the mail waits for the partner");

    sites.globex.start();
    eventually("delivery has tried", || {
        let trace = sites.globex.trace("secret-plan@acme.test")?;
        trace["messages"][0]["stages"]
            .as_array()?
            .iter()
            .any(|stage| stage["stage"] == "deferred")
            .then_some(())
    });
    nothing_clear_rests_at(&sites.globex, "while the mail waits for the mail server");
    nothing_clear_rests_at(&sites.acme, "while the mail waits for its receipt");

    let _sink = tests::peers::SmtpSink::start_on(mail_server);
    sites.acme.await_state("secret-plan@acme.test", "delivered");
    sites.settled();
    nothing_clear_rests_at(&sites.globex, "after delivery");
    nothing_clear_rests_at(&sites.acme, "after the receipt");
    for site in [&mut sites.acme, &mut sites.globex] {
        assert!(site.terminate().success());
        nothing_clear_rests_at(site, "after the end of the process");
        let log = site.log();
        assert!(
            SECRETS.iter().all(|secret| !log.contains(secret)),
            "the log of {} tells secrets:\n{log}",
            site.domain
        );
    }
}

/// The system calls of one gateway, in the order of their ends.
struct Calls(Vec<String>);

impl Calls {
    fn of(trace: &Path) -> Self {
        Self(fs::read_to_string(trace).expect("the trace of strace").lines().map(str::to_owned).collect())
    }

    fn position(&self, from: usize, what: impl Fn(&str) -> bool) -> Option<usize> {
        self.0.iter().skip(from).position(|call| what(call)).map(|at| at + from)
    }
}

#[test]
fn a_sync_precedes_every_250_that_promises_a_mail() {
    let dovecot = Dovecot::start();
    let mut acme = Site::found("acme.test", "lmtp:127.0.0.1:9");
    let globex = Site::found("globex.test", &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
    acme.introduce(&globex);
    acme.may_leave_mail();
    let trace = acme.folder().join("strace.out");
    let trace_words = trace.to_str().expect("a path").to_owned();
    acme.start_under(&[
        "strace",
        "-f",
        "-qq",
        "-s",
        "64",
        "-e",
        "trace=fsync,fdatasync,write,writev,sendto,sendmsg",
        "-o",
        &trace_words,
    ]);
    acme.await_ready();
    let mut talk = Talk::to(acme.smtp);
    for n in 0..10 {
        let reply = talk.mail(
            "alice@acme.test",
            &["bob@globex.test"],
            &letter(&format!("sync-{n}@acme.test"), "Hello"),
        );
        assert!(reply.starts_with("250 "), "{reply}");
    }
    talk.say("QUIT");
    acme.kill();

    let calls = Calls::of(&trace);
    let mut at = 0;
    for n in 0..10 {
        let asked = calls
            .position(at, |call| call.contains("\"354"))
            .unwrap_or_else(|| panic!("the 354 of mail {n}"));
        let promised = calls
            .position(asked, |call| call.contains("queued as"))
            .unwrap_or_else(|| panic!("the 250 of mail {n}"));
        let synced = calls.position(asked, |call| call.contains("sync") && call.ends_with("= 0"));
        assert!(synced.is_some_and(|synced| synced < promised), "mail {n} was promised before it was synced");
        at = promised;
    }
}

#[test]
fn a_sync_precedes_every_acknowledgement_on_the_overlay() {
    let dovecot = Dovecot::start();
    let mut sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
    // A gateway whose disk never answers a sync must never acknowledge: the origin's mail stays queued.
    sites.acme.start();
    let trace = sites.globex.folder().join("strace.out");
    let trace_words = trace.to_str().expect("a path").to_owned();
    sites.globex.start();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter("warm@acme.test", "Hello"));
    sites.acme.await_state("warm@acme.test", "delivered");
    sites.settled();
    sites.globex.kill();
    let slow = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        "inject=fdatasync,fsync:delay_enter=2000000",
        "-o",
        &trace_words,
    ];
    sites.globex.start_under(&slow);
    sites.globex.await_ready();
    sites.globex.await_links();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter("slow@acme.test", "Hello"));
    let trace = sites.acme.await_state("slow@acme.test", "delivered");
    let stages = trace["stages"].as_array().expect("stages").clone();
    let at = |name: &str| {
        stages.iter().find(|stage| stage["stage"] == name).expect("a stage")["at_ms"]
            .as_u64()
            .expect("a time")
    };
    let waited = at("acknowledged") - at("sent");
    assert!(waited >= 2_000, "acknowledged {waited} ms after sending, but each sync takes 2,000 ms");
    sites.settled();
    sites.globex.kill();
}
