//! Identities from end to end, with real gateways, a signed DNS and HTTPS: strangers are found, forgeries are stopped,
//! thieves are overruled, devices and people end, and no mail is ever in clear or lost on the way.

mod identities {
    mod ending;
    pub(crate) mod network;
    mod renewal;
    mod strangers;
    mod suites;
    mod theft;
    mod thief;
}

use std::fs;

use serde_json::Value;
use tests::peers::Dovecot;
use tests::site::{Site, eventually};
use tests::submit::{letter, submitted};

const SECRET: &str = "The secret of the merger";

/// Exit code of the command line (gateway/src/cli/mod.rs).
const CONFLICT: Option<i32> = Some(4);

fn lmtp(dovecot: &Dovecot) -> String {
    format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port())
}

/// Alice writes to bob; the queue id at acme.
fn to_bob(acme: &Site, message_id: &str) -> String {
    submitted(acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter(message_id, SECRET))
}

/// Bob writes to alice; the queue id at globex.
fn to_alice(globex: &Site, message_id: &str) -> String {
    submitted(globex.smtp, "bob@globex.test", &["alice@acme.test"], &letter(message_id, SECRET))
}

fn await_standing(site: &Site, domain: &str, wanted: &str) -> Value {
    eventually(&format!("{domain} is {wanted} at {}", site.domain), || {
        let partner = site.partner(domain);
        (partner["standing"] == wanted).then_some(partner)
    })
}

/// Restarts a gateway.
fn restart(site: &mut Site) {
    assert!(site.terminate().success());
    site.start();
}

/// Changes the database of a gateway, as time would.
fn in_database(site: &Site, statement: &str) {
    let database = rusqlite::Connection::open(site.data().join("gateway.db")).expect("a database");
    database.busy_timeout(tests::site::PATIENCE).expect("a database");
    database.execute_batch(statement).expect("the statement");
}

fn nothing_clear_rests_at(site: &Site) {
    for entry in fs::read_dir(site.data()).expect("the data folder") {
        let path = entry.expect("an entry").path();
        let octets = fs::read(&path).unwrap_or_default();
        for secret in [SECRET, "alice@acme.test", "bob@globex.test"] {
            let found = octets.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} contains {secret:?}", path.display());
        }
    }
}
