//! Keep, then answer.

use bytes::Bytes;
use gateway::spool::config::{BATCH_JOBS_MAX, REASON_CHARS_MAX};
use gateway::spool::{Arrival, Direction, Kind, NewRow, Note, RowId, Settlement, SpoolError, Stage, State};

use crate::fixture::{House, NOW, arrival, later, mail, note};

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart_byte_for_byte() {
    let mut house = House::new();
    let row = NewRow {
        body: Bytes::from_iter((0..200_000_u32).map(|i| i as u8)),
        message_id_tag: Some([7; 16]),
        ..mail()
    };
    house.keep(row.clone()).await;
    house.restart().await;

    let due = house.spool.due(Direction::Out, None, NOW, 10, usize::MAX).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].body, row.body);
    assert_eq!(due[0].slip, row.slip);
    let kept = &due[0].row;
    assert_eq!((kept.id, &kept.queue_id, kept.digest), (row.id, &row.queue_id, row.digest));
    assert_eq!((kept.direction, kept.kind, kept.state), (row.direction, row.kind, row.state));
    assert_eq!((&kept.partner, &kept.partner_domain), (&row.partner, &row.partner_domain));
    assert_eq!((kept.size, kept.body_bytes), (11_000, 200_000));
    assert_eq!((kept.accepted_at, kept.next_at, kept.expires_at), (row.now, row.next_at, row.expires_at));
    assert_eq!((&kept.summary, kept.remaining.as_ref(), kept.attempts), (&row.summary, None, 0));
    assert_eq!(house.spool.by_message_id_tag([7; 16]).await.unwrap(), vec![kept.clone()]);
    assert_eq!(house.spool.by_queue_id(&row.queue_id).await.unwrap(), vec![kept.clone()]);
    assert_eq!(house.stages(row.id).await, [Stage::Received]);
}

#[tokio::test]
async fn all_rows_of_a_mail_are_kept_or_none() {
    let house = House::new();
    let old = mail();
    house.keep(old.clone()).await;
    let new = mail();
    let refused = house.spool.accept(vec![new.clone(), old.clone()], vec![]).await;
    assert_eq!(refused, Err(SpoolError::RowExists(old.id)));
    assert_eq!(house.spool.by_row_id(new.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_row_cannot_enter_at_its_end() {
    let house = House::new();
    let row = NewRow { state: State::Delivered, ..mail() };
    let refused = house.spool.accept(vec![row], vec![]).await;
    assert_eq!(refused, Err(SpoolError::ImpossibleMove { from: "new", to: State::Delivered }));
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_that_wait_together_share_one_sync() {
    let house = House::new();
    let before = house.spool.stats().commits;
    let (release, busy) = house.occupy_writer().await;
    let accepts = ask_in_order(&house, (0..BATCH_JOBS_MAX).map(|_| mail()).collect()).await;
    drop(release);
    for accept in accepts {
        accept.await.unwrap().unwrap();
    }
    busy.await.unwrap().unwrap();
    let stats = house.spool.stats();
    assert_eq!(
        stats.commits - before,
        2,
        "one for the job that kept the writer busy, one for all the others"
    );
    assert_eq!(stats.batches[8], 1, "{stats:?}");
    assert!(stats.bytes > 12_000 * BATCH_JOBS_MAX as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_senders_need_far_fewer_syncs_than_mails() {
    let house = House::new();
    let senders = (0..20).map(|_| {
        let spool = house.spool.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                spool.accept(vec![mail()], vec![]).await.unwrap();
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    let stats = house.spool.stats();
    assert_eq!(stats.jobs, 400);
    assert!(stats.commits < 200, "{stats:?}");
    let counts = house.spool.counts().await.unwrap();
    assert_eq!(counts[&(Direction::Out, State::Queued)].rows, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_does_not_sink_its_batch() {
    let house = House::new();
    let twin = mail();
    house.keep(twin.clone()).await;
    let before = house.spool.stats();
    let (release, busy) = house.occupy_writer().await;
    let good = [mail(), mail()];
    let mut asked = ask_in_order(&house, vec![good[0].clone(), twin.clone()]).await;
    let panics = ask_to_write(&house, |conn| {
        conn.execute("INSERT INTO settings VALUES ('half', x'00')", [])?;
        panic!("a job that panics (this message is part of the test)")
    })
    .await;
    let wrong = ask_to_write(&house, |conn| {
        conn.execute("INSERT INTO settings VALUES ('half', x'00')", [])?;
        conn.execute("INSERT INTO no_such_table VALUES (1)", [])
    })
    .await;
    asked.extend(ask_in_order(&house, vec![good[1].clone()]).await);
    drop(release);

    let mut answers = Vec::new();
    for accept in asked {
        answers.push(accept.await.unwrap());
    }
    assert_eq!(answers, [Ok(()), Err(SpoolError::RowExists(twin.id)), Ok(())]);
    assert_eq!(panics.await.unwrap(), Err(SpoolError::Panicked));
    assert!(matches!(wrong.await.unwrap(), Err(SpoolError::Refused(_))));
    busy.await.unwrap().unwrap();
    let after = house.spool.stats();
    assert_eq!(after.commits - before.commits, 2);
    assert_eq!(after.jobs_failed - before.jobs_failed, 3);
    let halves: i64 = house
        .spool
        .read(|conn| conn.query_row("SELECT count(*) FROM settings", [], |r| r.get(0)))
        .await
        .unwrap();
    assert_eq!(halves, 0, "what a failed job wrote before it failed is gone");
    for row in good {
        assert_eq!(house.state(row.id).await, State::Queued);
    }
}

#[tokio::test]
async fn the_same_message_is_kept_once() {
    let house = House::new();
    let first = arrival();
    let again = NewRow { id: RowId::fresh(), ..first.clone() };
    assert_eq!(
        house.spool.arrive(first.clone(), note(Stage::Arrived)).await,
        Ok(Arrival::Fresh { claimed: None })
    );
    assert_eq!(house.spool.arrive(again.clone(), note(Stage::Arrived)).await, Ok(Arrival::Duplicate));
    assert_eq!(house.due_ids(Direction::In, NOW).await, [first.id]);
    assert_eq!(house.spool.by_row_id(again.id).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_in_one_batch_are_kept_once() {
    let house = House::new();
    let first = arrival();
    let again = NewRow { id: RowId::fresh(), leased: true, ..first.clone() };
    let (release, busy) = house.occupy_writer().await;
    let (spool, twin) = (house.spool.clone(), house.spool.clone());
    let one = tokio::spawn(async move { spool.arrive(first, vec![]).await.unwrap() });
    let two = tokio::spawn(async move { twin.arrive(again, vec![]).await.unwrap() });
    drop(release);
    busy.await.unwrap().unwrap();
    let answers = [one.await.unwrap(), two.await.unwrap()];
    assert!(
        answers.contains(&Arrival::Fresh { claimed: None }) && answers.contains(&Arrival::Duplicate),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_message_that_ended_is_recognised_until_it_could_not_come_again() {
    let house = House::new();
    let first = arrival();
    house.spool.arrive(first.clone(), vec![]).await.unwrap();
    house.spool.settle(Settlement::plain(first.id, State::Delivered, note(Stage::Delivered))).await.unwrap();
    let again = NewRow { id: RowId::fresh(), ..first.clone() };
    assert_eq!(house.spool.arrive(again.clone(), vec![]).await, Ok(Arrival::Duplicate));
    house.spool.purge(later(365 * 24 * 3_600_000)).await.unwrap();
    assert_eq!(house.spool.arrive(again, vec![]).await, Ok(Arrival::Fresh { claimed: None }));
}

#[tokio::test]
async fn reports_of_ours_do_not_arrive_and_are_not_deduplicated() {
    let house = House::new();
    let report = NewRow { kind: Kind::Report, digest: [0; 32], ..arrival() };
    assert!(matches!(house.spool.arrive(report.clone(), vec![]).await, Err(SpoolError::Refused(_))));
    let another = NewRow { id: RowId::fresh(), ..report.clone() };
    house.spool.accept(vec![report, another], vec![]).await.unwrap();
    assert_eq!(house.due_ids(Direction::In, NOW).await.len(), 2);
}

#[tokio::test]
async fn a_reason_explains_and_does_not_quote() {
    let house = House::new();
    let row = mail();
    let long = Note::new(NOW, Stage::Deferred, "é".repeat(10_000)).with_sealed(vec![1, 2, 3]);
    house.spool.accept(vec![row.clone()], vec![(row.id, long)]).await.unwrap();
    let kept = house.spool.journal(row.id).await.unwrap();
    assert_eq!(kept[0].reason, "é".repeat(REASON_CHARS_MAX));
    assert_eq!(kept[0].sealed, Some(vec![1, 2, 3]));
}

#[tokio::test]
async fn a_closed_spool_says_so_and_has_kept_what_it_promised() {
    let mut house = House::new();
    let old_door = house.spool.clone();
    let id = house.keep(mail()).await;
    house.restart().await;
    assert_eq!(old_door.accept(vec![mail()], vec![]).await, Err(SpoolError::Closed));
    assert_eq!(old_door.counts().await, Err(SpoolError::Closed));
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_the_spool_closes_is_still_kept() {
    let mut house = House::new();
    let (release, busy) = house.occupy_writer().await;
    let accepts = ask_in_order(&house, (0..50).map(|_| mail()).collect()).await;
    let door = house.spool.clone();
    let restart = tokio::spawn(async move {
        house.restart().await;
        house
    });
    // The order to stop stands behind the accepts once look-ups are refused.
    while door.counts().await != Err(SpoolError::Closed) {
        tokio::task::yield_now().await;
    }
    drop(release);
    let house = restart.await.unwrap();
    busy.await.unwrap().unwrap();
    for accept in accepts {
        accept.await.unwrap().unwrap();
    }
    assert_eq!(house.due_ids(Direction::Out, NOW).await.len(), 50);
}

type Asked<T> = tokio::task::JoinHandle<Result<T, SpoolError>>;

/// Asks for each row in a task of its own, one after the other. Returns when all of them wait for the writer.
async fn ask_in_order(house: &House, rows: Vec<NewRow>) -> Vec<Asked<()>> {
    let mut asked = Vec::new();
    for row in rows {
        let (spool, waiting) = (house.spool.clone(), house.spool.jobs_waiting());
        asked.push(tokio::spawn(async move { spool.accept(vec![row], vec![]).await }));
        until_waiting(house, waiting + 1).await;
    }
    asked
}

async fn ask_to_write(
    house: &House,
    work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<usize> + Send + 'static,
) -> Asked<usize> {
    let (spool, waiting) = (house.spool.clone(), house.spool.jobs_waiting());
    let asked = tokio::spawn(async move { spool.write(work).await });
    until_waiting(house, waiting + 1).await;
    asked
}

async fn until_waiting(house: &House, jobs: usize) {
    while house.spool.jobs_waiting() < jobs {
        tokio::task::yield_now().await;
    }
}
