//! What an administrator does to the queue of a running gateway, by the command line, and what people notice of it.

use serde_json::Value;
use tests::peers::{SmtpSink, free_port};
use tests::site::{Site, TwoSites, eventually};
use tests::submit::{letter, submitted};

/// Acme and globex with a mail server each; what acme's people are told arrives in the first.
struct Scene {
    sites: TwoSites,
    acme_mail: SmtpSink,
    globex_mail: SmtpSink,
}

impl Scene {
    fn set() -> Self {
        let [acme_mail, globex_mail] = [(); 2].map(|()| SmtpSink::start_on(free_port()));
        let at = |sink: &SmtpSink| format!("smtp:127.0.0.1:{}", sink.port());
        let sites = TwoSites::found(&at(&acme_mail), &at(&globex_mail));
        Self { sites, acme_mail, globex_mail }
    }

    fn mail(&self, message_id: &str) -> String {
        submitted(self.sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter(message_id, "Hello"))
    }
}

/// Lets the courier try and fail, so that the row rests in the spool.
fn put_off(site: &Site, queue_id: &str) {
    eventually("the courier has tried", || {
        let trace = site.trace(queue_id)?;
        let stages = trace["messages"][0]["stages"].as_array()?.clone();
        stages.iter().any(|stage| stage["stage"] == "deferred").then_some(())
    });
}

#[test]
fn a_held_mail_waits_for_its_release_through_restarts_and_everybody_can_see_who_held_it() {
    let mut scene = Scene::set();
    scene.sites.acme.start();
    let queue_id = scene.mail("held@acme.test");
    put_off(&scene.sites.acme, &queue_id);
    scene.sites.acme.obeyed(&["hold", &queue_id, "--by", "carol", "--why", "asked by alice@acme.test"]);
    assert!(scene.sites.acme.terminate().success());
    scene.sites.acme.start();
    scene.sites.globex.start();
    scene.sites.acme.await_links();

    let listed = scene.sites.acme.done(&["queue", "list", "--from", "acme.test", "--state", "held"]);
    assert!(listed.contains(&queue_id) && listed.contains("held by carol"), "{listed}");
    assert!(!scene.sites.acme.done(&["queue", "list", "--from", "globex.test"]).contains(&queue_id));
    let after = scene.mail("after@acme.test");
    scene.sites.acme.await_state(&after, "delivered");
    assert_eq!(scene.sites.acme.await_state(&queue_id, "held")["state"], "held", "later mail passes it");

    scene.sites.acme.obeyed(&["release", "--held-by", "carol", "--by", "dave"]);
    let trace = scene.sites.acme.await_state(&queue_id, "delivered");
    let orders: Vec<&Value> =
        trace["stages"].as_array().unwrap().iter().filter(|stage| stage["stage"] == "ordered").collect();
    assert_eq!(orders[0]["reason"], "hold by carol");
    assert_eq!(orders[0]["detail"], "asked by alice@acme.test");
    assert_eq!(orders[1]["reason"], "release by dave");
    assert!(scene.sites.acme.done(&["queue", "audit", "--verify"]).starts_with("2 entries, unbroken"));
    assert_eq!(scene.globex_mail.messages().len(), 2);
    scene.sites.settled();
}

#[test]
fn an_expired_mail_is_reported_to_its_sender_and_a_dropped_one_to_nobody() {
    let mut scene = Scene::set();
    scene.sites.acme.start();
    let [expired, dropped] = ["expired@acme.test", "dropped@acme.test"].map(|id| scene.mail(id));
    [&expired, &dropped].into_iter().for_each(|id| put_off(&scene.sites.acme, id));
    let unexplained = scene.sites.acme.command(&["queue", "drop", &dropped]);
    assert!(String::from_utf8_lossy(&unexplained.stderr).contains("say why"), "{unexplained:?}");
    scene.sites.acme.obeyed(&["drop", &dropped, "--why", "a test", "--by", "carol"]);
    scene.sites.acme.obeyed(&["expire", &expired, "--by", "carol"]);
    scene.sites.acme.await_state(&dropped, "failed");
    scene.sites.acme.await_state(&expired, "expired");
    scene.sites.acme.settled();
    let told = scene.acme_mail.messages();
    assert_eq!(told.len(), 1, "one report");
    let report = String::from_utf8_lossy(&told[0]);
    assert!(report.contains("expired@acme.test") && report.contains("administrator"), "{report}");
}

#[test]
fn what_a_person_releases_the_judge_does_not_hold_again() {
    let mut scene = Scene::set();
    let sites = &mut scene.sites;
    hold_everything(&sites.acme);
    hold_everything(&sites.globex);
    sites.start();
    // Before it is sealed, and again when it has arrived.
    let abroad = submitted(
        sites.acme.smtp,
        "alice@acme.test",
        &["bob@globex.test"],
        &letter("abroad@acme.test", "Hello"),
    );
    let at_home = submitted(
        sites.acme.smtp,
        "alice@acme.test",
        &["carol@acme.test"],
        &letter("home@acme.test", "Hello"),
    );
    for id in [&abroad, &at_home] {
        sites.acme.await_state(id, "held");
        sites.acme.obeyed(&["release", id, "--by", "dave"]);
    }
    sites.acme.await_state(&at_home, "delivered");
    sites.globex.await_state("abroad@acme.test", "held");
    sites.globex.obeyed(&["release", "--state", "held", "--by", "erin"]);
    sites.acme.await_state(&abroad, "delivered");
    for (site, id, who) in [
        (&sites.acme, &abroad, "dave"),
        (&sites.acme, &at_home, "dave"),
        (&sites.globex, &"abroad@acme.test".to_owned(), "erin"),
    ] {
        let journal = site.trace(id).expect("a trace").to_string();
        assert!(journal.contains(&format!("release by {who}")), "{journal}");
        assert!(journal.contains("approved, first-look"), "{journal}");
    }
    sites.settled();
}

fn hold_everything(site: &Site) {
    let rules = site.data().join("local.cedar");
    let rule = "@id(\"first-look\") @effect(\"hold\") @why(\"A person looks first.\")
        forbid (principal, action in [Action::\"mail-out\", Action::\"mail-in\", Action::\"mail-home\"], resource);";
    std::fs::write(&rules, rule).expect("a file");
    site.set("policies.rules", rules.to_str().expect("a path"));
}

#[test]
fn a_standing_rule_holds_what_it_names_from_the_next_mail_on_and_nothing_else() {
    let mut scene = Scene::set();
    scene.sites.start();
    let acme = &scene.sites.acme;
    acme.done(&[
        "queue",
        "rules",
        "add",
        "quiet",
        "--to",
        "bob@globex.test",
        "--by",
        "carol",
        "--why",
        "a lawsuit",
    ]);
    let held = scene.mail("quiet@acme.test");
    let passes =
        submitted(acme.smtp, "alice@acme.test", &["carla@globex.test"], &letter("loud@acme.test", "Hello"));
    acme.await_state(&passes, "delivered");
    acme.await_state(&held, "held");
    assert!(acme.done(&["queue", "list"]).contains("held by quiet"));
    assert!(acme.done(&["queue", "rules", "remove", "quiet", "--by", "carol"]).lines().count() == 1);
    acme.await_state(&held, "held");
    acme.obeyed(&["release", "--held-by", "quiet", "--by", "carol"]);
    acme.await_state(&held, "delivered");
    scene.sites.settled();
}

#[test]
fn an_order_that_makes_no_sense_says_why_and_the_destination_says_what_is_wrong() {
    let mut scene = Scene::set();
    scene.sites.acme.start();
    let queue_id = scene.mail("stuck@acme.test");
    let acme = &scene.sites.acme;
    put_off(acme, &queue_id);
    let sealed = eventually("the row rests", || {
        let words = ["queue", "reroute", &queue_id, "--to", "relay.test:25", "--by", "carol"];
        let declined = acme.command(&words);
        let why = String::from_utf8_lossy(&declined.stderr).into_owned();
        (!declined.status.success() && why.contains("sealed")).then_some(why)
    });
    assert!(sealed.contains("reroute: 0 done, not for these:"), "{sealed}");
    let everything = acme.command(&["queue", "hold", "--by", "carol"]);
    assert!(String::from_utf8_lossy(&everything.stderr).contains("Say which messages"), "{everything:?}");
    let unknown = acme.command(&["queue", "hold", "NOSUCHID", "--by", "carol"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("No waiting message"), "{unknown:?}");

    let places: Value = serde_json::from_str(&acme.get("/api/v1/queue/destinations").1).expect("JSON");
    let globex = &places["destinations"][0];
    assert_eq!(
        (&globex["name"], &globex["kind"], &globex["queued"]),
        (&"globex.test".into(), &"partner".into(), &1.into())
    );
    assert!(globex["error"].as_str().is_some_and(|error| !error.is_empty()), "{globex}");
    assert!(acme.done(&["queue", "destinations"]).contains("globex.test"));

    acme.obeyed(&["retry", &queue_id, "--by", "carol"]);
    scene.sites.globex.start();
    scene.sites.acme.await_state(&queue_id, "delivered");
    scene.sites.settled();
}
