//! Large mail for an agent: it waits where it rests already, and the agent reads it as a stream.

use std::fs;

use tests::agent::{Agent, open_to_agents};
use tests::peers::await_within;
use tests::site::{Site, TwoSites};
use tests::submit::{submitted, without_trace};

use super::super::{MAIL_OCTETS, Memory, PATIENCE, at_rest, mail, nothing_rests, takes_large_mail, turn};

#[test]
fn a_mail_of_50_mb_for_an_agent_crosses_in_64_mb_of_memory_and_rests_once() {
    let _turn = turn();
    let acme = Site::found("acme.test", "lmtp:127.0.0.1:9");
    let globex = Site::found_with("globex.test", "lmtp:127.0.0.1:9", &["--also", "agents.globex.test"]);
    let door = open_to_agents(&globex);
    globex.set("agents.message_bytes_max", "52428800");
    [&acme, &globex].into_iter().for_each(takes_large_mail);
    let [a1, a2] = ["a1", "a2"].map(|name| Agent::add(&globex, door, name, ""));
    acme.introduce(&globex);
    globex.introduce(&acme);
    let mut sites = TwoSites { acme, globex };
    sites.start();
    submitted(sites.acme.smtp, "alice@acme.test", &[&a1.address], &mail("small", 2_000));
    a1.take();
    sites.settled();

    let octets = mail("large", MAIL_OCTETS);
    let destination = Memory::of(&sites.globex);
    submitted(sites.acme.smtp, "alice@acme.test", &[&a1.address, &a2.address], &octets);
    let told = a1.waiting().remove(0);
    destination.is_within_the_promise("arrived, opened and put into two inboxes");
    sites.settled();
    assert_eq!(at_rest(&sites.globex).kept.rows, 1, "once for both agents, after its message has ended");
    let database = fs::metadata(sites.globex.data().join("gateway.db")).expect("the database").len();
    assert!(database < MAIL_OCTETS as u64 + 12_000_000, "at rest once: {database}");

    let reading = Memory::of(&sites.globex);
    for agent in [&a1, &a2] {
        let (mail, taken) = agent.take();
        assert_eq!((&mail["subject"], &mail["id"]), (&"large".into(), &told["id"]));
        assert_eq!(mail["size"], taken.len());
        assert!(without_trace(&taken) == octets, "every octet, behind the trace");
        assert!(agent.ask("GET", mail["payload"].as_str().expect("a path"), b"").status == 404, "taken");
    }
    reading.is_within_the_promise("read by two agents");
    await_within(PATIENCE, "all is settled", || {
        (sites.acme.unsettled() + sites.globex.unsettled() == 0).then_some(())
    });
    nothing_rests(&sites.globex);
}
