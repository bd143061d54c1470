//! The archive: kept with the mail or not at all, forgotten by time alone, kept longer by a legal hold.

use bytes::Bytes;
use gateway::spool::{
    CopyQuery, CopyWay, KeptHold, NewCopy, Order, RowId, Spool, SpoolConfig, SpoolError, UnixMillis,
};

use crate::fixture::{House, NOW, later, mail};

const DAY_MS: u64 = 86_400_000;
const ALICE: [u8; 16] = [1; 16];
const BOB: [u8; 16] = [2; 16];

pub(crate) fn copy(people: &[[u8; 16]], at: UnixMillis, days: u64) -> NewCopy {
    NewCopy {
        id: RowId::fresh(),
        queue_id: "Q1".to_owned(),
        way: CopyWay::Out,
        at,
        rule: "all".to_owned(),
        keep_until: at.saturating_add_ms(days * DAY_MS),
        key_id: [9; 16],
        message_id_tag: Some([8; 16]),
        people: people.to_vec(),
        sealed: Bytes::from(vec![0xCD; 10_000]),
        large: None,
    }
}

pub(crate) fn order(at: UnixMillis) -> Order {
    Order { act: "archive-test", by: "a test".to_owned(), at, why: b"sealed".to_vec() }
}

fn hold(name: &str, people: &[[u8; 16]], from: UnixMillis, until: UnixMillis) -> KeptHold {
    KeptHold { name: name.to_owned(), from, until, people: people.to_vec(), sealed: vec![7] }
}

const EVER: UnixMillis = UnixMillis(u64::MAX);

async fn queue_length(spool: &Spool) -> usize {
    spool.recent(100, None).await.unwrap().len()
}

async fn ids(spool: &Spool, query: CopyQuery) -> Vec<RowId> {
    spool.copies(query, 0, 100).await.unwrap().iter().map(|copy| copy.id).collect()
}

#[tokio::test]
async fn a_mail_and_its_copy_are_kept_together_and_survive_a_restart() {
    let mut house = House::new();
    let kept = copy(&[ALICE, BOB], NOW, 1);
    house.spool.accept_archived(vec![mail()], vec![], Some(kept.clone())).await.unwrap();
    house.restart().await;
    let found = house.spool.copies(CopyQuery::default(), 0, 10).await.unwrap();
    assert_eq!((found.len(), found[0].id, found[0].bytes), (1, kept.id, 10_000));
    assert_eq!(house.spool.sealed_copy(found[0].seq).await.unwrap().unwrap(), kept.sealed);
    let tally = house.spool.archive_tally().await.unwrap();
    assert_eq!((tally.copies, tally.bytes), (1, 10_000));
}

#[tokio::test]
async fn a_full_archive_takes_neither_the_copy_nor_its_mail_and_other_mail_goes_on() {
    let config = SpoolConfig { free_bytes_min: 0, archive_bytes_max: 25_000, ..SpoolConfig::default() };
    let house = House::with(config);
    for _ in 0..2 {
        house.spool.accept_archived(vec![mail()], vec![], Some(copy(&[ALICE], NOW, 1))).await.unwrap();
    }
    let refused = house.spool.accept_archived(vec![mail()], vec![], Some(copy(&[ALICE], NOW, 1))).await;
    assert_eq!(refused, Err(SpoolError::ArchiveFull));
    assert!(SpoolError::ArchiveFull.is_temporary());
    assert_eq!(house.spool.archive(copy(&[BOB], NOW, 1)).await, Err(SpoolError::ArchiveFull));
    assert_eq!(queue_length(&house.spool).await, 2, "no mail without its copy");
    assert_eq!(house.spool.archive_tally().await.unwrap().bytes, 20_000, "nothing of it is counted");
    house.spool.accept(vec![mail()], vec![]).await.unwrap();
    house.spool.purge_archive(order(later(DAY_MS))).await.unwrap();
    house.spool.archive(copy(&[BOB], NOW, 1)).await.unwrap();
}

#[tokio::test]
async fn the_copy_of_a_mail_that_is_tried_again_is_kept_once() {
    let house = House::new();
    let kept = copy(&[ALICE], NOW, 1);
    house.spool.archive(kept.clone()).await.unwrap();
    house.spool.archive(kept).await.unwrap();
    assert_eq!(house.spool.archive_tally().await.unwrap().copies, 1);
}

#[tokio::test]
async fn copies_are_found_by_person_time_and_id_and_everything_given_must_fit() {
    let house = House::new();
    let [first, second] = [copy(&[ALICE, BOB], NOW, 1), copy(&[BOB], later(DAY_MS), 1)];
    for one in [&first, &second] {
        house.spool.archive(one.clone()).await.unwrap();
    }
    let of = |people: &[[u8; 16]]| CopyQuery { people: people.to_vec(), ..CopyQuery::default() };
    assert_eq!(ids(&house.spool, of(&[ALICE])).await, [first.id]);
    assert_eq!(ids(&house.spool, of(&[ALICE, BOB])).await, [first.id, second.id]);
    assert_eq!(ids(&house.spool, CopyQuery { from: Some(later(1)), ..of(&[BOB]) }).await, [second.id]);
    assert_eq!(ids(&house.spool, CopyQuery { until: Some(later(1)), ..of(&[BOB]) }).await, [first.id]);
    assert_eq!(ids(&house.spool, CopyQuery { id: Some(second.id), ..of(&[]) }).await, [second.id]);
    assert!(ids(&house.spool, CopyQuery { id: Some(second.id), ..of(&[ALICE]) }).await.is_empty());
    assert_eq!(house.spool.count_copies(of(&[BOB])).await.unwrap(), (2, 20_000));
}

#[tokio::test]
async fn copies_go_when_their_time_is_over_and_the_audit_says_how_many() {
    let house = House::new();
    for days in [1, 2, 3] {
        house.spool.archive(copy(&[ALICE], NOW, days)).await.unwrap();
    }
    assert_eq!(house.spool.purge_archive(order(later(DAY_MS - 1))).await, Ok(0));
    assert!(house.spool.audit(10).await.unwrap().is_empty(), "nothing happened, nothing is noted");
    assert_eq!(house.spool.purge_archive(order(later(2 * DAY_MS))).await, Ok(2));
    assert_eq!(house.spool.audit(10).await.unwrap()[0].subject, "2 copies");
    let tally = house.spool.archive_tally().await.unwrap();
    assert_eq!((tally.copies, tally.bytes), (1, 10_000));
    let left = house.spool.read(|conn| {
        conn.query_row(
            "SELECT (SELECT count(*) FROM archive_copies) + (SELECT count(*) FROM archive_people)",
            [],
            |row| row.get(0),
        )
    });
    assert_eq!(left.await, Ok(2_i64), "octets and tags go with their copy");
}

#[tokio::test]
async fn what_a_hold_names_stays_through_purges_and_restarts_until_every_hold_is_lifted() {
    let mut house = House::new();
    let [alices, bobs, later_alices] =
        [copy(&[ALICE, BOB], NOW, 1), copy(&[BOB], NOW, 1), copy(&[ALICE], later(5 * DAY_MS), 1)];
    for one in [&alices, &bobs, &later_alices] {
        house.spool.archive(one.clone()).await.unwrap();
    }
    let first = hold("case-1", &[ALICE], UnixMillis(0), later(DAY_MS));
    house.spool.add_archive_hold(first.clone(), order(NOW)).await.unwrap();
    house.spool.add_archive_hold(hold("case-2", &[ALICE], NOW, later(1)), order(NOW)).await.unwrap();
    assert!(matches!(
        house.spool.add_archive_hold(first.clone(), order(NOW)).await,
        Err(SpoolError::Refused(_))
    ));
    house.restart().await;
    let much_later = later(100 * DAY_MS);
    assert_eq!(
        house.spool.purge_archive(order(much_later)).await,
        Ok(2),
        "bob's, and alice's of another time"
    );
    let found = house.spool.copies(CopyQuery::default(), 0, 10).await.unwrap();
    assert_eq!((found.len(), found[0].id), (1, alices.id));
    assert_eq!(found[0].holds, ["case-1", "case-2"]);
    assert_eq!(house.spool.archive_holds().await.unwrap()[0], first);

    house.spool.lift_archive_hold("case-1".to_owned(), order(NOW)).await.unwrap();
    assert_eq!(house.spool.purge_archive(order(much_later)).await, Ok(0), "the other one stands");
    house.spool.lift_archive_hold("case-2".to_owned(), order(NOW)).await.unwrap();
    assert_eq!(house.spool.purge_archive(order(much_later)).await, Ok(1));
    assert_eq!(house.spool.verify_audit().await.unwrap().fault, None);
    let acts = house.spool.audit(10).await.unwrap();
    assert_eq!(acts.len(), 6, "two holds, two lifts, two purges that forgot something");
}

#[tokio::test]
async fn a_hold_that_names_nobody_is_about_everybody() {
    let house = House::new();
    house.spool.archive(copy(&[BOB], NOW, 1)).await.unwrap();
    house.spool.add_archive_hold(hold("all", &[], UnixMillis(0), EVER), order(NOW)).await.unwrap();
    assert_eq!(house.spool.purge_archive(order(later(9 * DAY_MS))).await, Ok(0));
}

#[tokio::test]
async fn no_statement_changes_a_copy_or_takes_out_one_that_is_held() {
    let house = House::new();
    house.spool.archive(copy(&[ALICE], NOW, 1)).await.unwrap();
    house.spool.add_archive_hold(hold("case", &[ALICE], UnixMillis(0), EVER), order(NOW)).await.unwrap();
    for statement in [
        "UPDATE archive SET keep_until = 0",
        "UPDATE archive_copies SET sealed = x'00'",
        "DELETE FROM archive",
    ] {
        let done = house.spool.write(move |conn| conn.execute(statement, [])).await;
        assert!(matches!(done, Err(SpoolError::Refused(_))), "{statement}: {done:?}");
    }
}
