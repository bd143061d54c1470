//! What partners come to know by themselves: devices, domains and people that come and go.

use dccp::did::{Commitment, Device, HeldBy, Manifest};
use dccp::keys::{DeviceSigner, SigningKey};
use dccp::seal::RecipientKey;
use dccp::{Suite, UnixMillis, mail, xwing};
use gateway::config::Config;
use gateway::custody::{Custody, Identity, IdentityPaths};
use serde_json::Value;
use tests::mallory::{Mallory, now, payload, seal_as};
use tests::peers::Dovecot;
use tests::site::{Site, TwoSites, eventually, said};
use tests::submit::{letter, submitted};

use crate::{SECRET, in_database, lmtp, restart};

const NOWHERE: &str = "lmtp:127.0.0.1:9";
const LAPTOP: &str = "laptop-2";
const AN_HOUR_MS: u64 = 3_600_000;

/// A second device in the manifest of a site, whose gateway is down: what it signs with.
fn second_device(site: &Site) -> DeviceSigner {
    let signer = SigningKey::generate(&mut rand::rng());
    let device = Device {
        id: LAPTOP.to_owned(),
        signing: signer.verifying_key().clone().into(),
        kem: xwing::DecapsulationKey::generate(&mut rand::rng()).encapsulation_key().clone(),
        held_by: HeldBy::Device,
        not_before: UnixMillis(now().as_u64() - AN_HOUR_MS),
        expires: now().saturating_add_ms(24 * AN_HOUR_MS),
        revoked: None,
    };
    let config = Config::load(&site.config()).expect("the configuration of init");
    let custody = Custody::open(&config, now()).expect("the keys of init");
    let devices: Vec<Device> = custody.devices().iter().cloned().chain([device]).collect();
    let epoch = custody.devices().epoch() + 1;
    let manifest = Manifest::sign(custody.did(), epoch, &devices, &[Suite::X0001], &[custody.operator()]);
    let identity = site.data().join("identity");
    let paths = IdentityPaths { log: identity.join("organisation.did"), manifest: identity.join("manifest") };
    Identity::replace(&paths, custody.log(), &manifest.expect("a manifest")).expect("files");
    signer.into()
}

/// A mail in acme's name, signed by a device of acme's, brought to globex by mallory's node.
fn bring(mallory: &Mallory, acme: &Site, globex: &Site, signer: &DeviceSigner) {
    let key: RecipientKey = mallory.prekey_of(globex);
    let content = payload("alice@acme.test", "bob@globex.test", &letter("carried@acme.test", SECRET));
    let mut message = mallory.draft(&key, mail::CONTENT_TYPE, content);
    message.sender = acme.did();
    mallory.send(globex, seal_as(&message, &key, signer, now())).expect("kept");
}

#[test]
fn a_revoked_device_is_believed_no_more() {
    let bob = Dovecot::start();
    let mut sites = TwoSites::found(NOWHERE, &lmtp(&bob));
    let laptop = second_device(&sites.acme);
    let mallory = Mallory::among(&[&sites.globex]);
    sites.acme.start();
    sites.globex.start();
    mallory.await_links();
    let TwoSites { acme, globex } = &mut sites;
    let refusals = |globex: &Site| globex.metric("dccp_unopened_total");
    // Globex hears of the new device as soon as the link is up; until then its mail is refused.
    eventually("globex believes the new device", || {
        let (mailbox, before) = (bob.mailbox("bob").len(), refusals(globex));
        bring(&mallory, acme, globex, &laptop);
        eventually("a verdict", || {
            (bob.mailbox("bob").len() > mailbox || refusals(globex) > before).then_some(())
        });
        (bob.mailbox("bob").len() > mailbox).then_some(())
    });

    let revoked = acme.done(&["did", "devices", "revoke", LAPTOP]);
    assert!(revoked.contains("REVOKED") && revoked.contains("Manifest 3 is signed"), "{revoked}");
    restart(acme);
    eventually("globex believes it no more", || {
        let (mailbox, before) = (bob.mailbox("bob").len(), refusals(globex));
        bring(&mallory, acme, globex, &laptop);
        eventually("a verdict", || {
            (bob.mailbox("bob").len() > mailbox || refusals(globex) > before).then_some(())
        });
        (refusals(globex) > before).then_some(())
    });
    assert!(globex.log().contains("is not one of the sender's devices"), "{}", globex.log());
    let delivered = bob.mailbox("bob").len();
    bring(&mallory, acme, globex, &laptop);
    globex.settled();
    assert_eq!(bob.mailbox("bob").len(), delivered, "and never again");
    // The other device goes on.
    acme.await_links();
    acme.await_state(&crate::to_bob(acme, "gateway@acme.test"), "delivered");
    let own = acme.refused(&["did", "devices", "revoke", "gateway-1"]);
    assert!(own.contains("revoke it from another gateway"), "{own}");
}

#[test]
fn a_new_domain_reaches_partners_and_counts_once_they_have_agreed() {
    let bob = Dovecot::start();
    let mut sites = TwoSites::found(NOWHERE, &lmtp(&bob));
    sites.start();
    let TwoSites { acme, globex } = &mut sites;
    assert!(acme.terminate().success());
    acme.set("also", "[acme-labs.test]");
    let unsaid = acme.command(&["check"]);
    assert!(said(&unsaid).contains("did update"), "{}", said(&unsaid));
    assert!(acme.done(&["did", "update"]).contains("Operation 1 names acme.test, acme-labs.test"));
    assert!(acme.done(&["did", "update"]).contains("Nothing to do"));
    acme.start();
    eventually("globex has the new log", || (globex.partner("acme.test")["version"] == 1).then_some(()));
    acme.await_links();

    let from_labs = |acme: &Site, id: &str| {
        let from = "carol@acme-labs.test";
        submitted(acme.smtp, from, &["bob@globex.test"], &letter(id, SECRET))
    };
    let early = acme.await_state(&from_labs(acme, "early@acme-labs.test"), "failed");
    assert!(early.to_string().contains("5.7.1"), "{early}");
    assert!(bob.mailbox("bob").is_empty(), "a partner does not get a domain by saying so");
    globex.introduce(acme);
    eventually("globex has the domain pinned", || {
        globex.done(&["partner", "list"]).contains("acme.test, acme-labs.test").then_some(())
    });
    eventually("mail from the new domain is taken", || {
        let queue_id = from_labs(acme, "later@acme-labs.test");
        eventually("it has ended", || {
            let state = acme.trace(&queue_id)?["messages"][0]["state"].clone();
            (state == "delivered" || state == "failed").then(|| state == "delivered")
        })
        .then_some(())
    });
    acme.may_leave_mail();
}

/// What acme finds behind an address of globex.
fn find(acme: &Site, address: &str) -> Option<String> {
    let page = acme.done(&["did", "find", address]);
    let person = page.lines().find_map(|line| line.trim().strip_prefix("Answer       person "));
    assert_eq!(person.is_none(), page.contains("nobody is named"), "{page}");
    person.map(str::to_owned)
}

fn resolved(acme: &Site, did: &str) -> Value {
    let (code, body) = acme.get(&format!("/api/v1/identities/{did}"));
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// A day later: what acme remembered of globex and its people has run out.
fn a_day_later(acme: &mut Site) {
    assert!(acme.terminate().success());
    let statement = "UPDATE contacts SET expires = expires - 86400000;
                     UPDATE identities SET fetched_at = fetched_at - 86400000;";
    in_database(acme, statement);
    acme.start();
    acme.await_links();
}

fn person_in(page: &str) -> String {
    let did = page.split_whitespace().find(|word| word.starts_with("did:dccp:1"));
    did.unwrap_or_else(|| panic!("no DID in {page:?}")).trim_end_matches('.').to_owned()
}

#[test]
fn a_deactivated_person_is_answered_like_nobody_across_organisations() {
    let mut sites = TwoSites::found(NOWHERE, NOWHERE);
    sites.start();
    let TwoSites { acme, globex } = &mut sites;
    let bob = person_in(&globex.done(&["person", "add", "bob@globex.test"]));
    assert_eq!(find(acme, "carl@globex.test"), None, "whom nobody ever was");
    assert_eq!(find(acme, "bob@globex.test"), None, "who is not published");
    globex.done(&["person", "publish", "bob@globex.test"]);
    a_day_later(acme);
    assert_eq!(find(acme, "Bob@Globex.Test"), Some(bob.clone()));
    assert_eq!(resolved(acme, &bob)["deactivated"], false);
    globex.done(&["person", "deactivate", "bob@globex.test"]);
    a_day_later(acme);
    assert_eq!(find(acme, "bob@globex.test"), None);
    let ended = resolved(acme, &bob);
    assert_eq!(ended["deactivated"], true, "{ended}");
}

#[test]
fn an_employee_with_joint_custody_leaves_with_the_did_but_without_the_address() {
    let mut sites = TwoSites::found(NOWHERE, NOWHERE);
    sites.start();
    let TwoSites { acme, globex } = &mut sites;
    let own = SigningKey::generate(&mut rand::rng());
    let commitment = Commitment::of(own.verifying_key()).to_string();
    let words = ["--custody", "joint", "--recovery-commitment", &commitment, "--publish"];
    let bob = person_in(&globex.done(&[&["person", "add", "bob@globex.test"], words.as_slice()].concat()));
    assert_eq!(find(acme, "bob@globex.test"), Some(bob.clone()));
    let before = resolved(acme, &bob);
    assert_eq!((&before["custody"], &before["sources"]), (&"joint".into(), &serde_json::json!(["overlay"])));

    globex.done(&["person", "leave", "bob@globex.test"]);
    let next = person_in(&globex.done(&["person", "add", "bob@globex.test", "--publish"]));
    assert_ne!(next, bob, "whoever has the address now is somebody else");
    a_day_later(acme);
    assert_eq!(find(acme, "bob@globex.test"), Some(next));
    let left = resolved(acme, &bob);
    assert_eq!(
        (&left["deactivated"], &left["custody"]),
        (&false.into(), &"joint".into()),
        "the DID lives on"
    );
    assert_eq!(left["version"], 1, "without the organisation's recovery key");
}
