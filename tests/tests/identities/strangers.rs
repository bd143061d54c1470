//! From a domain to a pinned partner, and what becomes of the pin when the domain says something else.

use std::process::Command;

use tests::peers::{Dovecot, Zone};
use tests::site::{Site, eventually};
use tests::submit::submit;

use super::network::{Host, Network, zone_of};
use crate::{await_standing, in_database, lmtp, nothing_clear_rests_at, to_alice, to_bob};

const AT_ACME: Host = Host(1);
const AT_GLOBEX: Host = Host(2);
const AT_FORGER: Host = Host(3);

/// Two organisations that publish, run, and have not met.
struct Strangers {
    network: Network,
    acme: Site,
    globex: Site,
    alice: Dovecot,
    bob: Dovecot,
}

impl Strangers {
    fn new() -> Strangers {
        let (alice, bob) = (Dovecot::start(), Dovecot::start());
        let mut acme = Site::found("acme.test", &lmtp(&alice));
        let mut globex = Site::found("globex.test", &lmtp(&bob));
        let network = Network::of(&[zone_of(&acme, AT_ACME), zone_of(&globex, AT_GLOBEX)]);
        for (site, host) in [(&mut acme, AT_ACME), (&mut globex, AT_GLOBEX)] {
            network.join(site);
            network.publish(site, host);
            site.start();
        }
        Strangers { network, acme, globex, alice, bob }
    }

    /// Each has found and pinned the other.
    fn acquainted() -> Strangers {
        let strangers = Strangers::new();
        let Strangers { acme, globex, .. } = &strangers;
        acme.done(&["partner", "add", "globex.test", "--yes"]);
        globex.done(&["partner", "add", "acme.test", "--yes"]);
        eventually("the pins are noticed", || {
            let both = [acme.partner("globex.test"), globex.partner("acme.test")];
            both.iter().all(|partner| partner["link"] == "up").then_some(())
        });
        strangers
    }

    /// A day later, acme looks at the domain of its partner again: these are the names that it sees.
    fn a_day_later(&mut self, zones: &[Zone]) {
        self.network.rename(zones);
        assert!(self.acme.terminate().success());
        self.network.join(&self.acme);
        in_database(
            &self.acme,
            "UPDATE partners SET added_at = added_at - 86400000; UPDATE footings SET checked_at = NULL;",
        );
        self.acme.start();
    }

    fn settled(&self) {
        self.acme.settled();
        self.globex.settled();
    }
}

#[test]
fn a_stranger_is_found_by_dns_and_https_pinned_and_written_to() {
    let strangers = Strangers::new();
    let Strangers { network, acme, globex, alice, bob } = &strangers;
    let (letter, did) = (tests::submit::letter("early@acme.test", "Hello"), globex.did());
    let early = submit(acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter);
    assert!(early.starts_with("550 5.7.1") && early.contains("no-gateway-known"), "{early}");

    let shown = acme.refused(&["partner", "add", "globex.test"]);
    let facts = [
        did.as_str(),
        &format!("DNS          {did} (DNSSEC: secure)"),
        &format!("HTTPS        {did} (https://globex.test)"),
        "names globex.test back",
        "Trust        2 (DNSSEC, HTTPS and back-link)",
        "There is no terminal to ask on",
    ];
    facts.iter().for_each(|fact| assert!(shown.contains(fact), "{fact} is on the page:\n{shown}"));
    assert!(acme.done(&["partner", "list"]).contains("No partners yet"), "asking changed nothing");
    let wrong = acme.refused(&["partner", "add", "globex.test", "--fingerprint", "aaaa bbbb", "--yes"]);
    assert!(wrong.contains("the fingerprint is another one"), "{wrong}");
    assert!(acme.done(&["partner", "list"]).contains("No partners yet"), "nor did a wrong fingerprint");

    assert!(acme.done(&["partner", "add", "globex.test", "--yes"]).contains("Pinned globex.test"));
    globex.done(&["partner", "add", "acme.test", "--yes"]);
    let partner = await_standing(acme, "globex.test", "pinned");
    assert_eq!((partner["did"].as_str(), partner["trust"].as_str()), (Some(did.as_str()), Some("dnssec")));
    await_standing(globex, "acme.test", "pinned");
    let queue_id = to_bob(acme, "now@acme.test");
    assert!(acme.await_state(&queue_id, "delivered").to_string().contains("\"sealed\""));
    globex.await_state(&to_alice(globex, "back@globex.test"), "delivered");
    assert_eq!((alice.mailbox("alice").len(), bob.mailbox("bob").len()), (1, 1));

    let resolved = acme.done(&["did", "resolve", did.as_str()]);
    assert!(resolved.contains("active, operation 0") && resolved.contains("from the cache"), "{resolved}");
    let file = fetched_by_curl(network, globex);
    for words in [
        vec!["did", "verify", &file],
        vec!["did", "show", "--file", &file],
        vec!["did", "log", "--file", &file],
    ] {
        let page = acme.done(&words);
        assert!(page.contains(did.as_str()), "{words:?}: {page}");
    }
    assert!(acme.done(&["did", "verify", &file]).contains("Every signature holds: log and records."));
    strangers.settled();
}

/// The records of a site as any web client gets them; the path of the file.
fn fetched_by_curl(network: &Network, site: &Site) -> String {
    let id = site.did().to_string().replace("did:dccp:", "");
    let (domain, port, Host(host)) = (site.domain, network.https_port(), AT_GLOBEX);
    let file = site.folder().join("fetched.cbor").to_str().expect("a path").to_owned();
    let curl = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--output", &file])
        .arg("--cacert")
        .arg(network.roots())
        .args(["--resolve", &format!("{domain}:{port}:127.0.0.{host}")])
        .arg(format!("https://{domain}:{port}/.well-known/dccp/did/{id}.cbor"))
        .output()
        .expect("curl: apt-get install curl");
    assert!(curl.status.success(), "{}", String::from_utf8_lossy(&curl.stderr));
    file
}

#[test]
fn a_forged_second_identity_for_a_pinned_domain_quarantines_mail() {
    let mut strangers = Strangers::acquainted();
    let loot = Dovecot::start();
    let mut forger = Site::found("globex.test", &lmtp(&loot));
    strangers.network.join(&forger);
    strangers.network.publish(&forger, AT_FORGER);
    forger.introduce(&strangers.acme);
    forger.start();
    let names = [zone_of(&strangers.acme, AT_ACME), zone_of(&forger, AT_FORGER)];
    strangers.a_day_later(&names);
    let Strangers { acme, globex, bob, .. } = &strangers;

    let partner = await_standing(acme, "globex.test", "conflict");
    assert_eq!(partner["did"], globex.did().as_str(), "the pin stays");
    let notice = partner["notice"].as_str().expect("a notice");
    assert!(notice.contains(forger.did().as_str()) && notice.contains("does not say so"), "{notice}");
    let queue_id = to_bob(acme, "doubtful@acme.test");
    assert!(acme.await_state(&queue_id, "held").to_string().contains("partner-in-conflict"));
    nothing_clear_rests_at(acme);
    assert!(bob.mailbox("bob").is_empty() && loot.mailbox("bob").is_empty());

    acme.done(&["partner", "reject", "globex.test"]);
    acme.await_state(&queue_id, "delivered");
    assert_eq!((bob.mailbox("bob").len(), loot.mailbox("bob").len()), (1, 0));
    strangers.settled();
    forger.settled();
}

#[test]
fn a_domain_that_names_nobody_any_more_keeps_its_pin_and_its_sealed_mail() {
    let mut strangers = Strangers::acquainted();
    let names = [zone_of(&strangers.acme, AT_ACME), Zone::signed("globex.test")];
    strangers.a_day_later(&names);
    let Strangers { acme, globex, bob, .. } = &strangers;
    let notice = eventually("an administrator is told", || {
        acme.partner("globex.test")["notice"].as_str().map(str::to_owned)
    });
    assert!(notice.contains("no longer names any identity") && notice.contains("stays sealed"), "{notice}");
    let partner = acme.partner("globex.test");
    assert_eq!((&partner["standing"], &partner["did"]), (&"pinned".into(), &globex.did().as_str().into()));
    let trace = acme.await_state(&to_bob(acme, "still@acme.test"), "delivered");
    assert!(trace.to_string().contains("\"sealed\""), "{trace}");
    assert_eq!(bob.mailbox("bob").len(), 1);
    nothing_clear_rests_at(acme);
    strangers.settled();
}
