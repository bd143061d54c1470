//! A later look at a domain whose DID is pinned: the pin outlives whatever the domain says.

use ::finding::{DiscoverError, Recheck, Trust, recheck};
use dccp::UnixMillis;
use dccp::succession::{Notice, OVERLAP_MS, Succession};
use tests::peers::Zone;

use super::organisation::Organisation;
use super::web;
use crate::{Lab, at_home, now};

fn zone(organisation: &Organisation) -> Zone {
    at_home(Zone::signed("globex.test").names(organisation.did().as_str()))
}

fn notice(old: &Organisation, new: &Organisation, not_before: UnixMillis) -> Vec<u8> {
    let says = Succession { old: old.did(), new: new.did(), domain: "globex.test".into(), not_before };
    let [old, new] = [old, new].map(|side| says.sign(&[side.operator()]));
    Notice::join(&old, &new).expect("two halves").to_bytes()
}

#[tokio::test]
async fn a_domain_that_names_its_did_still_is_the_same() {
    let globex = Organisation::globex();
    let lab = Lab::new().names(&[zone(&globex)]).publishes(1, &["globex.test"], &globex).await;
    let found = lab.discover("globex.test").await;
    assert_eq!(recheck(&globex.log.verify().expect("a log"), &found, now()), Recheck::Same);
}

#[tokio::test]
async fn a_record_that_vanished_unpins_nothing() {
    let globex = Organisation::globex().log.verify().expect("a log");
    let nothing = web::status("404 Not Found");
    let lab = Lab::new()
        .names(&[at_home(Zone::signed("globex.test"))])
        .serves(1, &["globex.test", "dccp.globex.test"], move |_| nothing.clone())
        .await;
    assert_eq!(recheck(&globex, &lab.discover("globex.test").await, now()), Recheck::Vanished);
    // A server that is down says even less.
    let lab = Lab::new().names(&[at_home(Zone::signed("globex.test"))]);
    assert_eq!(recheck(&globex, &lab.discover("globex.test").await, now()), Recheck::Unanswered);
}

#[tokio::test]
async fn another_did_is_a_conflict_however_well_it_is_published() {
    let (globex, mallory) = (Organisation::globex(), Organisation::found("globex.test", 50));
    let lab = Lab::new().names(&[zone(&mallory)]).publishes(1, &["globex.test"], &mallory).await;
    let found = lab.discover("globex.test").await;
    assert_eq!(found.as_ref().expect("found").trust, Trust::Secured);
    let conflict = Recheck::Conflict { other: mallory.did() };
    assert_eq!(recheck(&globex.log.verify().expect("a log"), &found, now()), conflict);
    // So is a domain of two minds.
    let forged = Err(DiscoverError::Forged { dns: globex.did(), https: mallory.did() });
    assert_eq!(recheck(&globex.log.verify().expect("a log"), &forged, now()), conflict);
}

#[tokio::test]
async fn a_notice_of_both_owners_moves_the_pin_while_the_overlap_lasts() {
    let (old, new) = (Organisation::globex(), Organisation::found("globex.test", 50));
    let new = new.keeping(&old);
    let notice = notice(&old, &new, now());
    let new = new.saying(|page| page.succession = Some(notice));
    // DNS follows later than the page.
    for txt in [&old, &new] {
        let lab = Lab::new().names(&[zone(txt)]).publishes(1, &["globex.test"], &new).await;
        let found = lab.discover("globex.test").await;
        let pinned = old.log.verify().expect("a log");
        assert_eq!(recheck(&pinned, &found, now()), Recheck::Succession { to: new.did() });
        let too_late = now().saturating_add_ms(OVERLAP_MS + 3_600_000);
        assert_eq!(recheck(&pinned, &found, too_late), Recheck::Conflict { other: new.did() });
    }
}

#[tokio::test]
async fn a_notice_that_the_old_owner_did_not_sign_moves_nothing() {
    let (globex, mallory) = (Organisation::globex(), Organisation::found("globex.test", 50));
    let mallory = mallory.keeping(&globex);
    let says =
        Succession { old: globex.did(), new: mallory.did(), domain: "globex.test".into(), not_before: now() };
    let half = says.sign(&[mallory.operator()]);
    let forged = Notice::join(&half, &half).expect("two halves").to_bytes();
    let mallory = mallory.saying(|page| page.succession = Some(forged));
    let lab = Lab::new().names(&[zone(&mallory)]).publishes(1, &["globex.test"], &mallory).await;
    let found = lab.discover("globex.test").await;
    assert!(found.as_ref().expect("found").succession.is_none());
    assert_eq!(found.as_ref().expect("found").notes.len(), 1);
    let pinned = globex.log.verify().expect("a log");
    assert_eq!(recheck(&pinned, &found, now()), Recheck::Conflict { other: mallory.did() });
}
