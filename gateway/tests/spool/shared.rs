//! Large bodies that more than rows refer to: a copy in the archive, a mail in an agent's inbox. Whichever goes last frees the body.

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use gateway::spool::{
    Arrival, CopyQuery, KeptHold, LargeBody, NewCopy, NewRow, RowId, Spool, SpoolConfig, SpoolError,
    UnixMillis,
};
use rusqlite::params;

use crate::archive::{copy, order};
use crate::claims::{count, is_wiped, octets};
use crate::fixture::{GLOBEX, House, NOW, later, mail};
use crate::large::{
    body, bringing, counts, end, nothing_is_left, outline, read, referring, size, stage, written,
};

const DAY_MS: u64 = 86_400_000;
const ALICE: [u8; 16] = [1; 16];

/// A copy that is kept for a day and has its octets in this body.
fn copy_of(body: LargeBody) -> NewCopy {
    NewCopy { large: Some(body), ..copy(&[ALICE], NOW, 1) }
}

/// A mail whose body the archive keeps as well.
async fn archived(house: &House, chunks: &[Bytes]) -> (RowId, LargeBody) {
    let (_draft, name) = written(house, chunks).await;
    let row = referring(name);
    let id = row.id;
    house.spool.accept_archived(vec![row], vec![], Some(copy_of(name))).await.unwrap();
    (id, name)
}

async fn purge(house: &House, at: UnixMillis) -> u64 {
    let gone = house.spool.purge_archive(order(at)).await.unwrap();
    house.spool.sweep(at).await.unwrap();
    gone
}

#[tokio::test]
async fn a_body_that_the_archive_keeps_outlives_its_mail_and_goes_with_the_copy() {
    let mut house = House::new();
    let chunks = body(20);
    let (row, name) = archived(&house, &chunks).await;
    end(&house, row).await;
    house.restart().await;
    assert_eq!(house.spool.sweep(later(DAY_MS / 2)).await, Ok(0));
    assert_eq!(counts(&house).await[1], (1, size(&chunks)), "at rest once");
    let found = house.spool.copies(CopyQuery::default(), 0, 10).await.unwrap();
    assert_eq!((found[0].large, found[0].bytes), (Some(name), 10_000 + size(&chunks)));
    assert_eq!(house.spool.archive_tally().await.unwrap().bytes, 10_000 + size(&chunks));
    assert_eq!(read(&house, name).await, chunks);

    assert_eq!(purge(&house, later(DAY_MS - 1)).await, 0);
    assert_eq!(read(&house, name).await, chunks);
    assert_eq!(purge(&house, later(DAY_MS)).await, 1);
    assert_eq!(house.spool.archive_tally().await.unwrap().bytes, 0);
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn a_body_outlives_its_copy_while_its_mail_waits() {
    let house = House::new();
    let chunks = body(3);
    let (row, name) = archived(&house, &chunks).await;
    assert_eq!(purge(&house, later(DAY_MS)).await, 1);
    assert_eq!(read(&house, name).await, chunks);
    end(&house, row).await;
    house.spool.sweep(NOW).await.unwrap();
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn a_legal_hold_keeps_the_body_until_it_is_lifted() {
    let house = House::new();
    let chunks = body(3);
    let (row, name) = archived(&house, &chunks).await;
    let (from, until) = (UnixMillis(0), later(1));
    let hold = KeptHold { name: "case-1".to_owned(), from, until, people: vec![ALICE], sealed: vec![7] };
    house.spool.add_archive_hold(hold, order(NOW)).await.unwrap();
    end(&house, row).await;
    assert_eq!(purge(&house, later(100 * DAY_MS)).await, 0);
    assert_eq!(read(&house, name).await, chunks);
    house.spool.lift_archive_hold("case-1".to_owned(), order(NOW)).await.unwrap();
    assert_eq!(purge(&house, later(100 * DAY_MS)).await, 1);
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn a_full_archive_takes_no_copy_for_its_body_either() {
    let config = SpoolConfig { free_bytes_min: 0, archive_bytes_max: 100_000, ..SpoolConfig::default() };
    let house = House::with(config);
    let (draft, name) = written(&house, &body(3)).await;
    let refused = house.spool.accept_archived(vec![referring(name)], vec![], Some(copy_of(name))).await;
    assert_eq!(refused, Err(SpoolError::ArchiveFull));
    drop(draft);
    house.spool.sweep(NOW).await.unwrap();
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn no_copy_refers_to_a_body_that_is_gone() {
    let house = House::new();
    let refused = house.spool.archive(copy_of(LargeBody::fresh())).await;
    assert_eq!(refused, Err(SpoolError::BodyMissing));
    assert_eq!(house.spool.archive_tally().await.unwrap().copies, 0);
}

#[tokio::test]
async fn of_a_body_that_only_the_archive_keeps_nobody_is_told_who_brought_it() {
    let house = House::new();
    let chunks = body(3);
    stage(&house, GLOBEX, &chunks, 0..3).await;
    let row = bringing(outline(&chunks));
    let id = row.id;
    assert!(matches!(house.spool.arrive(row, vec![]).await, Ok(Arrival::Fresh { .. })));
    let name = house.spool.by_row_id(id).await.unwrap().unwrap().large.unwrap();
    house.spool.archive(copy_of(name)).await.unwrap();
    let named = |spool: Spool| async move {
        let query = "SELECT count(*) FROM large_bodies WHERE partner IS NOT NULL OR digest IS NOT NULL";
        spool.read(|conn| conn.query_row(query, [], |row| row.get::<_, i64>(0))).await.unwrap()
    };
    assert_eq!(named(house.spool.clone()).await, 1, "while its mail is here");
    end(&house, id).await;
    assert_eq!(named(house.spool.clone()).await, 0);
    assert_eq!(read(&house, name).await, chunks);
}

#[tokio::test]
async fn what_an_ended_row_knew_of_a_body_that_the_archive_keeps_is_found_in_no_byte_of_the_file_and_its_log()
{
    let house = House::new();
    let mark = b"the key of a large body, sealed to ourselves";
    let (_draft, name) = written(&house, &body(3)).await;
    let row = NewRow { body: mark.repeat(40).into(), ..referring(name) };
    let id = row.id;
    house.spool.accept_archived(vec![row], vec![], Some(copy_of(name))).await.unwrap();
    assert!(count(&octets(&house), mark) >= 40, "the test can see what is there");
    end(&house, id).await;
    is_wiped(&house, mark).await;
}

/// An agent, and a mail of this body in its inbox.
async fn in_an_inbox(house: &House, name: LargeBody) -> Result<(), SpoolError> {
    let put = move |conn: &rusqlite::Connection| {
        conn.execute("INSERT INTO agents VALUES (1, zeroblob(16), zeroblob(16), x'', zeroblob(32), 0)", [])?;
        conn.execute(
            "INSERT INTO agent_messages (agent, id, answers, arrived_at, bytes, facts, octets, large)
             VALUES (zeroblob(16), zeroblob(16), 0, 0, 1, x'', x'', ?1)",
            params![name],
        )
    };
    house.spool.write(put).await.map(drop)
}

#[tokio::test]
async fn a_body_in_an_inbox_goes_when_it_is_acknowledged_or_its_agent_is_removed() {
    for last in ["UPDATE agent_messages SET facts = NULL, octets = NULL, large = NULL", "DELETE FROM agents"]
    {
        let house = House::new();
        let chunks = body(3);
        let (_draft, name) = written(&house, &chunks).await;
        let row = house.keep(referring(name)).await;
        in_an_inbox(&house, name).await.unwrap();
        end(&house, row).await;
        house.spool.sweep(NOW).await.unwrap();
        assert_eq!(read(&house, name).await, chunks, "it waits for the agent");
        house.spool.write(move |conn| conn.execute(last, [])).await.unwrap();
        assert_eq!(counts(&house).await[2], (1, size(&chunks)), "{last}");
        house.spool.sweep(NOW).await.unwrap();
        nothing_is_left(&house).await;
    }
}

#[tokio::test]
async fn an_inbox_takes_no_mail_whose_body_is_over() {
    let house = House::new();
    let (_draft, name) = written(&house, &body(3)).await;
    let row = house.keep(referring(name)).await;
    end(&house, row).await;
    assert!(matches!(in_an_inbox(&house, name).await, Err(SpoolError::Refused(_))));
}

#[tokio::test]
async fn what_refers_to_a_body_is_found_by_indexes_alone() {
    let house = House::new();
    let plan = "EXPLAIN QUERY PLAN SELECT EXISTS (SELECT 1 FROM large_referred WHERE body = x'00')";
    let plan: Vec<String> = house
        .spool
        .read(move |conn| conn.prepare(plan)?.query_map([], |row| row.get(3))?.collect())
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.matches("USING COVERING INDEX").count() == 3 && !plan.contains("SCAN rows"), "{plan}");
}

#[tokio::test]
async fn an_archive_of_an_older_gateway_climbs_with_every_copy_and_every_body() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
    as_version_9(&path);
    let config = SpoolConfig { free_bytes_min: 0, ..SpoolConfig::default() };
    let (spool, guard) = Spool::open(&path, config).unwrap();
    let found = spool.copies(CopyQuery::default(), 0, 10).await.unwrap();
    assert_eq!((found.len(), found[0].large, found[0].bytes), (1, None, 3));
    assert_eq!(spool.sealed_copy(found[0].seq).await.unwrap().unwrap(), b"abc");
    spool.accept(vec![mail()], vec![]).await.unwrap();
    let kept = spool.large_counts().await.unwrap().kept;
    assert_eq!((kept.rows, kept.bytes), (1, 5));
    spool.write(|conn| conn.execute("UPDATE rows SET large = NULL", [])).await.unwrap();
    assert_eq!(spool.large_counts().await.unwrap().over.rows, 1, "the new step minds the old bodies");
    assert_eq!(spool.purge_archive(order(later(0))).await, Ok(1));
    guard.close().await;
}

/// A database as the gateway before this one left it: a copy, and a mail with a large body.
fn as_version_9(path: &std::path::Path) {
    let conn = rusqlite::Connection::open(path).unwrap();
    for step in [
        include_str!("../../src/spool/schema.sql"),
        include_str!("../../src/spool/schema_keys.sql"),
        include_str!("../../src/spool/schema_people.sql"),
        include_str!("../../src/spool/schema_queue.sql"),
        include_str!("../../src/spool/schema_exchange.sql"),
        include_str!("../../src/spool/schema_large.sql"),
        include_str!("../../src/spool/schema_agents.sql"),
        include_str!("../../src/spool/schema_approval.sql"),
        include_str!("../../src/spool/schema_archive.sql"),
    ] {
        conn.execute_batch(step).unwrap();
    }
    conn.execute_batch(
        "PRAGMA user_version = 9; PRAGMA application_id = 0x44434350;
         INSERT INTO large_bodies VALUES (zeroblob(16), 1, NULL, NULL, 5, 0);
         INSERT INTO chunks VALUES (zeroblob(16), 0, NULL, CAST('fives' AS BLOB));
         INSERT INTO rows (id, queue_id, direction, kind, state, partner, partner_domain, digest, size, body_bytes, accepted_at,
                           progress_at, next_at, expires_at, summary, lane, source, large)
             VALUES (zeroblob(16), 'q', 0, 0, 0, 'did:dccp:1globex', 'globex.example', zeroblob(32), 5, 1, 0, 0, 0, 0, x'00', 0, 0, zeroblob(16));
         INSERT INTO archive VALUES (1, zeroblob(16), 'q', 0, 0, 'all', 0, zeroblob(16), NULL, 3);
         INSERT INTO archive_copies VALUES (1, CAST('abc' AS BLOB));",
    )
    .unwrap();
}
