//! An organisation ends its identity, and its partners hear of it.

use std::net::TcpStream;

use tests::peers::await_within;
use tests::site::{Site, eventually, said};

use super::theft::{A_MINUTE, House, shares_in};
use crate::to_alice;

#[test]
fn partners_hold_mail_for_an_identity_that_has_ended_and_its_gateway_takes_none() {
    let mut house = House::new();
    house.globex.await_state(&to_alice(&house.globex, "before@globex.test"), "delivered");
    assert!(house.acme.terminate().success());
    let did = house.acme.did();
    let shares = shares_in(house.office.path());
    let ended = ["did", "deactivate", "--share", &shares[0], "--share", &shares[1], "--for-ever"];
    let theirs = house.globex.did();
    let mistaken = house.acme.refused(&[&ended[..], &[theirs.as_str()]].concat());
    assert!(mistaken.contains("names another DID than ours"), "{mistaken}");
    assert_eq!(house.acme.log_of_identity().verify().expect("a log").did(), &did, "nothing has ended yet");

    let farewell = house.acme.done(&[&ended[..], &[did.as_str()]].concat());
    assert!(farewell.contains("has ended"), "{farewell}");
    let shown = house.acme.done(&["did", "show"]);
    assert!(shown.contains("deactivated, for ever, operation 1") && !shown.contains("Manifest"), "{shown}");
    assert!(house.acme.done(&["did", "log"]).contains("1  deactivate"));
    house.acme.start_under(&[]);
    await_within(A_MINUTE, "globex knows of the end", || {
        (house.globex.partner("acme.test")["standing"] == "deactivated").then_some(())
    });
    house.globex.may_leave_mail();
    house.globex.await_state(&to_alice(&house.globex, "after@globex.test"), "held");
    let listed = house.globex.command(&["partner", "list"]);
    assert!(said(&listed).contains("ended this identity for ever"), "{}", said(&listed));
    assert_eq!(house.alice.mailbox("alice").len(), 1);
    assert!(house.acme.is_running() && TcpStream::connect(house.acme.smtp).is_err(), "no mail is taken");
    assert!(house.acme.terminate().success());

    let again = house.acme.refused(&[&ended[..], &[did.as_str()]].concat());
    assert!(again.contains("has ended for ever"), "{again}");
    house.acme.set("publication", "null");
    house.acme.start_under(&[]);
    assert!(!house.acme.await_end().success(), "a gateway that could tell nobody does not start");
}

#[test]
fn an_end_that_a_partner_hears_of_by_a_file_counts_at_once() {
    let [mut acme, mut globex] =
        ["acme.test", "globex.test"].map(|domain| Site::found(domain, "lmtp:127.0.0.1:9"));
    acme.introduce(&globex);
    globex.introduce(&acme);
    acme.start();
    globex.start();
    globex.await_links();
    let did = acme.did();
    let resolve = ["did", "resolve", did.as_str()];
    assert!(globex.done(&resolve).contains("active, operation 0"));

    assert!(acme.terminate().success());
    let key = acme.folder().join("recovery.key");
    acme.done(&["did", "deactivate", "--key", key.to_str().expect("a path"), "--for-ever", did.as_str()]);
    let file = acme.data().join("identity/ended.partner");
    let import = ["partner", "import", file.to_str().expect("a path")];
    assert!(globex.done(&import).contains("ENDED: acme.test has given up its identity"));
    eventually("the gateway says so, too", || {
        globex.done(&resolve).contains("deactivated, for ever, operation 1").then_some(())
    });

    globex.done(&["partner", "remove", "acme.test"]);
    let again = globex.refused(&import);
    assert!(again.contains("has ended for ever"), "nobody new: {again}");
}
