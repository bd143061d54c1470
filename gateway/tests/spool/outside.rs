//! Rows of the outside world, and old databases that learn of it.

use gateway::spool::{
    Direction, Kind, Lane, NewRow, PendingReceipt, RowId, Settlement, Spool, SpoolConfig, SpoolError, Stage,
    State, Work,
};

use crate::fixture::{GLOBEX, House, NOW, TTL_MS, arrival, later, mail, note};
use crate::moves::tallies_are_true;

/// A mail to a domain that has no gateway, sealed to ourselves.
fn relay() -> NewRow {
    NewRow {
        kind: Kind::Relay,
        partner: None,
        partner_domain: "outside.example".to_owned(),
        digest: [0; 32],
        ..mail()
    }
}

/// A mail that a stranger sent us by SMTP, sealed to ourselves.
fn foreign() -> NewRow {
    NewRow { direction: Direction::In, kind: Kind::Foreign, ..relay() }
}

#[tokio::test]
async fn what_goes_outside_is_handed_to_the_relay_courier_alone() {
    let house = House::new();
    let [mut to_partners, mut outside] = [Work::Out, Work::Outside].map(|work| house.spool.listen(work));
    let id = house.keep(relay()).await;
    assert!(outside.has_changed().unwrap() && !to_partners.has_changed().unwrap());
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [], "no partner's courier sees it");
    assert_eq!(house.spool.next_due_outside_at().await, Ok(Some(NOW)));

    let due = house.spool.due_outside(NOW, 10, usize::MAX).await.unwrap();
    assert_eq!(due.iter().map(|due| due.row.id).collect::<Vec<_>>(), [id]);
    assert_eq!(due[0].slip.as_deref(), Some(&b"a sealed slip"[..]));
    assert!(house.spool.due_outside(NOW, 10, usize::MAX).await.unwrap().is_empty(), "somebody has it");
    assert_eq!(house.spool.next_due_outside_at().await, Ok(None));

    outside.mark_unchanged();
    house.spool.defer(id, later(5), note(Stage::Deferred)).await.unwrap();
    assert!(outside.has_changed().unwrap());
    assert_eq!(house.spool.next_due_outside_at().await, Ok(Some(later(5))));
    assert!(house.spool.due_outside(later(4), 10, usize::MAX).await.unwrap().is_empty());
    to_partners.mark_unchanged();
    house.spool.hasten(GLOBEX, NOW).await.unwrap();
    assert!(!to_partners.has_changed().unwrap());
}

#[tokio::test]
async fn a_mail_whose_turn_has_not_come_waits_without_an_attempt_and_without_a_note() {
    let house = House::new();
    let id = house.keep(relay()).await;
    let notes = house.spool.journal(id).await.unwrap().len();
    house.spool.due_outside(NOW, 1, usize::MAX).await.unwrap();
    house.spool.postpone(id, later(5)).await.unwrap();
    assert!(house.spool.due_outside(later(4), 1, usize::MAX).await.unwrap().is_empty());
    let due = house.spool.due_outside(later(5), 1, usize::MAX).await.unwrap();
    assert_eq!((due[0].row.id, due[0].row.attempts), (id, 0));
    assert_eq!(house.spool.journal(id).await.unwrap().len(), notes);
}

#[tokio::test]
async fn nobody_outside_sends_receipts_so_a_relayed_mail_just_ends() {
    let house = House::new();
    let id = house.keep(relay()).await;
    let waits = house.spool.sent(id, vec![]).await;
    assert_eq!(waits, Err(SpoolError::ImpossibleMove { from: "queued", to: State::Sent }));
    house.spool.hold(id, None, note(Stage::Held)).await.unwrap();
    house.spool.release_held("outside.example", later(1)).await.unwrap();
    assert_eq!(house.spool.due_outside(later(1), 1, 0).await.unwrap()[0].row.id, id);
    house.spool.settle(Settlement::plain(id, State::Delivered, note(Stage::Delivered))).await.unwrap();
    let expires = house.keep(relay()).await;
    assert_eq!(house.spool.expired(later(TTL_MS), 10).await.unwrap()[0].row.id, expires);
    tallies_are_true(&house).await;
}

#[tokio::test]
async fn mail_of_strangers_is_delivered_with_the_rest_and_owes_nobody_a_receipt() {
    let mut house = House::new();
    let mut bell = house.spool.listen(Work::In);
    let rows = [foreign(), foreign()];
    let ids = rows.each_ref().map(|row| row.id);
    // Two of them have no digest to be recognised by, and both are kept.
    house.spool.accept(rows.to_vec(), vec![]).await.unwrap();
    bell.changed().await.unwrap();
    let arrived = house.spool.arrive(foreign(), vec![]).await;
    assert!(matches!(arrived, Err(SpoolError::Refused(_))), "it does not come from the overlay: {arrived:?}");
    house.restart().await;
    let mut due = house.due_ids(Direction::In, NOW).await;
    due.sort();
    assert_eq!(due, ids);
}

#[tokio::test]
async fn a_spool_of_an_older_gateway_climbs_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let [queued, held] = [mail(), NewRow { state: State::Held, ..mail() }];
    let arrived = arrival();
    as_version_3(&path, &[&queued, &held, &arrived]);

    let (spool, guard) = Spool::open(&path, SpoolConfig::default()).unwrap();
    let row = spool.by_row_id(queued.id).await.unwrap().unwrap();
    assert_eq!((row.queue_id, row.lane), (queued.queue_id, Lane::People));
    assert_eq!((row.held_by, row.approved_by), (None, None));
    assert_eq!(spool.journal(queued.id).await.unwrap().len(), 1, "journals stay");
    let due = spool.due(Direction::Out, Some(GLOBEX), NOW, 10, usize::MAX).await.unwrap();
    assert_eq!(due[0].body, queued.body, "bodies stay");
    let again = NewRow { id: RowId::fresh(), ..arrived };
    assert_eq!(spool.arrive(again, vec![]).await.unwrap(), gateway::spool::Arrival::Duplicate);
    let receipt = PendingReceipt { partner: GLOBEX.to_owned(), sealed_receipt: vec![] };
    let end = Settlement { receipt: Some(receipt), ..Settlement::plain(held.id, State::Failed, vec![]) };
    spool.settle(end).await.unwrap();
    let bodies = spool.read(|conn| conn.query_row("SELECT count(*) FROM bodies", [], |row| row.get(0))).await;
    assert_eq!(bodies, Ok(2_i64), "the body of what ended is gone, the others are there");
    let orphan = spool.write(|conn| conn.execute("INSERT INTO bodies VALUES (77, NULL, x'00')", [])).await;
    assert!(matches!(orphan, Err(SpoolError::Refused(_))), "foreign keys are on again");
    guard.close().await;
}

/// A database as the gateway before this one left it.
fn as_version_3(path: &std::path::Path, rows: &[&NewRow]) {
    std::fs::set_permissions(path.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    let conn = rusqlite::Connection::open(path).unwrap();
    for step in [
        include_str!("../../src/spool/schema.sql"),
        include_str!("../../src/spool/schema_keys.sql"),
        include_str!("../../src/spool/schema_people.sql"),
    ] {
        conn.execute_batch(step).unwrap();
    }
    conn.execute_batch(
        "PRAGMA user_version = 3; PRAGMA application_id = 0x44434350; PRAGMA foreign_keys = ON",
    )
    .unwrap();
    for row in rows {
        conn.execute(
            "INSERT INTO rows (id, queue_id, direction, kind, state, partner, partner_domain, digest, size, body_bytes,
                               accepted_at, progress_at, next_at, expires_at, summary)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?11, ?12, x'00')",
            rusqlite::params![
                row.id,
                row.queue_id,
                row.direction,
                row.kind,
                row.state,
                row.partner,
                row.partner_domain,
                row.digest,
                i64::try_from(row.size).unwrap(),
                i64::try_from(row.body.len()).unwrap(),
                i64::try_from(row.now.0).unwrap(),
                i64::try_from(row.expires_at.0).unwrap(),
            ],
        )
        .unwrap();
        let seq = conn.last_insert_rowid();
        conn.execute(
            "INSERT INTO bodies (row, body) VALUES (?1, ?2)",
            rusqlite::params![seq, row.body.as_ref()],
        )
        .unwrap();
        conn.execute("INSERT INTO journal (row, n, at, stage, reason) VALUES (?1, 1, 0, 0, '')", [seq])
            .unwrap();
        conn.execute(
            "INSERT INTO tallies VALUES (?1, ?2, 1, ?3)
             ON CONFLICT DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes",
            rusqlite::params![row.direction, row.state, i64::try_from(row.body.len()).unwrap()],
        )
        .unwrap();
    }
}
