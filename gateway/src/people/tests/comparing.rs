//! Two partners of one organisation, who do not know of each other, and what it publishes.

use std::sync::atomic::Ordering;

use dccp::tree::TreeHead;

use super::asking::Acme;
use super::*;

const HOUR_MS: u64 = 3_600_000;

fn in_hours(hours: u64) -> UnixMillis {
    NOW.saturating_add_ms(hours * HOUR_MS)
}

/// Two databases of one Globex, and somebody who is shown one of them each.
async fn two_books() -> [Acme; 2] {
    let office = Arc::new(Office::of("globex.test"));
    let [one, other] = [Desk::at(office.clone()).await, Desk::at(office).await];
    [Acme::named("acme.test", one).await, Acme::named("initech.test", other).await]
}

/// Adds people at the desk that this reader is shown, and has the last of them looked up.
async fn shown(reader: &Acme, people: &[&str]) -> TreeHead {
    for address in people {
        reader.road.honest.publish(address).await;
        reader.seek(address, NOW).await.unwrap();
    }
    tree_of(reader).await
}

async fn tree_of(reader: &Acme) -> TreeHead {
    reader.road.honest.registry.own_tree().await.unwrap()
}

/// What a reader of the board does with a record that says this of Globex.
async fn reads(reader: &Acme, published: TreeHead, since: UnixMillis) -> Result<(), AskError> {
    reader.watch.observe_published(&reader.globex(), published, since, since).await.unwrap();
    reader.settle().await
}

async fn close(readers: [Acme; 2]) {
    for reader in readers {
        reader.close().await;
    }
}

#[tokio::test]
async fn who_shows_two_trees_of_one_size_is_found_out_by_whom_the_published_one_was_not_shown() {
    let readers = two_books().await;
    let [acme, initech] = &readers;
    let (to_acme, to_initech) = (shown(acme, &[BOB]).await, shown(initech, &[EVE]).await);
    for reader in &readers {
        reads(reader, to_acme, in_hours(2)).await.unwrap();
    }
    assert_eq!(acme.alarms().await, []);
    let [alarm] = initech.alarms().await.try_into().unwrap();
    assert_eq!((alarm.partner, alarm.kept, alarm.seen), (initech.globex(), to_initech, to_acme));
    assert_eq!(initech.watch.kept(&initech.globex()).await.unwrap(), Some(to_initech), "nothing is replaced");
    close(readers).await;
}

#[tokio::test]
async fn who_shows_two_trees_of_two_sizes_cannot_prove_the_published_one_to_both() {
    let readers = two_books().await;
    let [acme, initech] = &readers;
    let to_acme = shown(acme, &[BOB, "carol@globex.test", "dave@globex.test"]).await;
    shown(initech, &[EVE]).await;
    for reader in &readers {
        reads(reader, to_acme, in_hours(2)).await.unwrap();
    }
    assert_eq!(acme.alarms().await, []);
    assert_eq!(initech.alarms().await.len(), 1);
    close(readers).await;
}

#[tokio::test]
async fn a_tree_that_grows_is_published_in_any_order_without_alarm() {
    let readers = two_books().await;
    let [acme, initech] = &readers;
    let mut published = vec![];
    for hour in 0..6_u64 {
        let tree = shown(acme, &[format!("person{hour}@globex.test").as_str()]).await;
        // Signed now, and true since an hour ago at least, as the real ones.
        published.push((tree, NOW.saturating_sub_ms((6 - hour) * HOUR_MS)));
    }
    // The other reader asks the same desk, and finds records of every age on the shelves.
    let devices = &acme.road.honest.office.devices;
    for (tree, since) in published.iter().rev().chain(&published) {
        initech.watch.observe_published(&acme.globex(), *tree, *since, in_hours(9)).await.unwrap();
        initech.watch.settle(&acme.globex(), devices, &acme.road, NOW).await.unwrap();
        reads(acme, *tree, *since).await.unwrap();
    }
    assert_eq!((acme.alarms().await, initech.alarms().await), (vec![], vec![]));
    close(readers).await;
}

#[tokio::test]
async fn who_publishes_less_than_it_showed_before_is_found_out() {
    for published in [Some(BOB), None] {
        let acme = Acme::named("acme.test", Desk::open().await).await;
        let first = shown(&acme, published.as_slice()).await;
        let all = shown(&acme, &[EVE, "carol@globex.test"]).await;
        reads(&acme, first, in_hours(1)).await.unwrap();
        let [alarm] = acme.alarms().await.try_into().unwrap();
        assert_eq!((alarm.kept, alarm.seen), (all, first));
        acme.close().await;
    }
}

/// Somebody brings back what Globex published when its tree was smaller: it is signed, and it was true.
#[tokio::test]
async fn who_brings_back_an_old_record_accuses_nobody() {
    let acme = Acme::named("acme.test", Desk::open().await).await;
    let first = shown(&acme, &[BOB]).await;
    shown(&acme, &[EVE]).await;
    for (tree, since) in [(first, NOW), (TreeHead::EMPTY, NOW), (first, UnixMillis(0))] {
        reads(&acme, tree, since).await.unwrap();
    }
    assert_eq!(acme.alarms().await, []);
    acme.close().await;
}

#[tokio::test]
async fn who_leaves_what_it_publishes_unproven_for_days_is_found_out_and_who_is_away_is_not() {
    let acme = Acme::named("acme.test", Desk::open().await).await;
    shown(&acme, &[BOB]).await;
    acme.road.honest.publish(EVE).await;
    acme.road.closed.store(true, Ordering::Relaxed);
    assert!(reads(&acme, tree_of(&acme).await, in_hours(1)).await.is_err());
    let globex = acme.globex();
    let expect = |spoke_at| acme.watch.expect_proof(&globex, spoke_at, in_hours(500));
    // It is away: the newest that it signed is from before, however late it is by now.
    expect(in_hours(1)).await.unwrap();
    expect(in_hours(73)).await.unwrap();
    assert_eq!(acme.alarms().await, []);
    expect(in_hours(74)).await.unwrap();
    expect(in_hours(75)).await.unwrap();
    assert_eq!(acme.alarms().await.len(), 1);
    acme.close().await;
}
