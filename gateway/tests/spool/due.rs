//! Who gets a row, and when.

use std::collections::HashSet;
use std::time::Duration;

use gateway::spool::{
    Direction, Kind, Moved, NewRow, Note, RowId, Settlement, SpoolConfig, SpoolError, Stage, State, Work,
};

use crate::fixture::{GLOBEX, House, INITECH, NOW, TTL_MS, arrival, later, mail, note};

#[tokio::test]
async fn a_row_is_in_one_pair_of_hands_until_it_is_moved_or_given_back() {
    let house = House::new();
    let id = house.keep(mail()).await;
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [], "somebody has it");
    house.spool.release(id);
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id], "given back");
    house.spool.defer(id, NOW, vec![]).await.unwrap();
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id], "put off until now");
    house.spool.sent(id, vec![]).await.unwrap();
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [], "it waits for its receipt");
    assert_eq!(house.spool.leased(), 0);
}

#[tokio::test]
async fn after_a_crash_nobody_has_anything_and_everything_is_due() {
    let mut house = House::new();
    let id = house.keep(NewRow { leased: true, ..mail() }).await;
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [], "its maker goes on with it");
    house.restart().await;
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
}

#[tokio::test]
async fn a_lease_that_was_forgotten_runs_out() {
    let house =
        House::with(SpoolConfig { lease: Duration::ZERO, free_bytes_min: 0, ..SpoolConfig::default() });
    let id = house.keep(mail()).await;
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_maker_went_away_is_simply_due() {
    let house = House::new();
    let mut bell = house.spool.listen(Work::Out);
    let (release, busy) = house.occupy_writer().await;
    let row = NewRow { leased: true, ..mail() };
    let id = row.id;
    {
        let mut accept = std::pin::pin!(house.spool.accept(vec![row], vec![]));
        let polled =
            std::future::poll_fn(|cx| std::task::Poll::Ready(accept.as_mut().poll(cx).is_ready())).await;
        assert!(!polled, "the job waits for the writer");
        // The session is cancelled here.
    }
    drop(release);
    busy.await.unwrap().unwrap();
    bell.changed().await.unwrap();
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
}

#[tokio::test]
async fn a_refused_job_takes_nothing() {
    let house = House::new();
    let old = house.keep(mail()).await;
    let rows = vec![NewRow { leased: true, ..mail() }, NewRow { id: old, ..mail() }];
    assert_eq!(house.spool.accept(rows, vec![]).await, Err(SpoolError::RowExists(old)));
    assert_eq!(house.spool.leased(), 0);
}

#[tokio::test]
async fn rows_come_in_the_order_of_their_time_and_not_before_it() {
    let house = House::new();
    let third = house.keep(NewRow { next_at: later(30), ..mail() }).await;
    let first = house.keep(NewRow { next_at: later(10), ..mail() }).await;
    let second = house.keep(NewRow { next_at: later(20), ..mail() }).await;
    assert_eq!(house.spool.next_due_at(Direction::Out, None).await, Ok(Some(later(10))));
    assert_eq!(house.due_ids(Direction::Out, later(9)).await, []);
    assert_eq!(house.due_ids(Direction::Out, later(20)).await, [first, second]);
    assert_eq!(
        house.spool.next_due_at(Direction::Out, None).await,
        Ok(Some(later(30))),
        "past those in hand"
    );
    assert_eq!(house.due_ids(Direction::Out, later(30)).await, [third]);
    assert_eq!(house.spool.next_due_at(Direction::Out, None).await, Ok(None));
}

#[tokio::test]
async fn a_worker_is_not_given_more_than_it_can_carry() {
    let house = House::new();
    for _ in 0..6 {
        house.keep(mail()).await;
    }
    let count = async |limit, bytes_max| {
        house.spool.due(Direction::Out, None, NOW, limit, bytes_max).await.unwrap().len()
    };
    assert_eq!(count(0, usize::MAX).await, 0);
    assert_eq!(count(1, 0).await, 1, "the first is always handed out");
    assert_eq!(count(10, 24_000).await, 2);
    assert_eq!(house.spool.leased(), 3, "those that were too much went back");
    assert_eq!(count(2, usize::MAX).await, 2);
    assert_eq!(count(10, usize::MAX).await, 1);
}

#[tokio::test]
async fn each_partner_is_served_at_its_own_pace() {
    let house = House::new();
    let globex = house.keep(mail()).await;
    let initech = house.keep(NewRow { partner: Some(INITECH.to_owned()), ..mail() }).await;
    house.keep(NewRow { partner: None, state: State::Held, ..mail() }).await;
    house.keep(NewRow { partner: Some("did:dccp:1later".to_owned()), next_at: later(1), ..mail() }).await;
    let inbound = arrival();
    house.spool.arrive(inbound.clone(), vec![]).await.unwrap();

    assert_eq!(house.spool.due_partners(NOW).await.unwrap(), [GLOBEX, INITECH]);
    assert_eq!(house.spool.next_due_at(Direction::Out, Some("did:dccp:1later")).await, Ok(Some(later(1))));
    let due = async |direction, partner| {
        let due = house.spool.due(direction, Some(partner), NOW, 10, usize::MAX).await.unwrap();
        due.iter().map(|due| due.row.id).collect::<Vec<_>>()
    };
    assert_eq!(due(Direction::Out, INITECH).await, [initech]);
    assert_eq!(due(Direction::Out, GLOBEX).await, [globex]);
    assert_eq!(due(Direction::In, GLOBEX).await, [inbound.id]);
}

#[tokio::test]
async fn what_ran_out_of_time_is_handed_out_for_its_end_with_its_slip() {
    let house = House::new();
    let in_hand = house.keep(NewRow { leased: true, ..mail() }).await;
    let mut ids = Vec::new();
    for state in State::ALL {
        let id = house.keep(mail()).await;
        house.bring_to(id, *state).await;
        ids.push(id);
    }
    assert!(house.spool.expired(later(TTL_MS - 1), 10).await.unwrap().is_empty());
    let expired = house.spool.expired(later(TTL_MS), 10).await.unwrap();
    let found: HashSet<RowId> = expired.iter().map(|it| it.row.id).collect();
    assert_eq!(found, ids[..3].iter().copied().collect(), "queued, sent, held");
    assert_eq!(expired[0].slip.as_deref(), Some(&b"a sealed slip"[..]));
    assert!(house.due_ids(Direction::Out, NOW).await.is_empty(), "nobody sends what is being ended");
    house.spool.release(in_hand);
    assert_eq!(house.spool.expired(later(TTL_MS), 10).await.unwrap()[0].row.id, in_hand);
}

#[tokio::test]
async fn who_will_hear_that_a_mail_expired_does_not_hear_first_that_it_is_late() {
    let house = House::new();
    let id = house.keep(mail()).await;
    assert!(house.spool.late(NOW, NOW, 10).await.unwrap().is_empty(), "accepted just now");
    assert_eq!(house.spool.late(later(1), later(TTL_MS - 1), 10).await, Ok(vec![id]));
    assert!(house.spool.late(later(1), later(TTL_MS), 10).await.unwrap().is_empty(), "it has expired");
    house.spool.tell(id, None, None, note(Stage::Late)).await.unwrap();
    assert!(house.spool.late(later(1), later(1), 10).await.unwrap().is_empty(), "told once");
}

#[tokio::test]
async fn late_is_what_waits_for_another_server_and_has_a_sender_who_gave_it_to_us() {
    let house = House::new();
    let foreign = NewRow { direction: Direction::In, kind: Kind::Foreign, ..mail() };
    let waits = house.keep(foreign.clone()).await;
    house.keep(NewRow { id: RowId::fresh(), state: State::Held, ..foreign }).await;
    house.spool.arrive(arrival(), vec![]).await.unwrap();
    assert_eq!(house.spool.late(later(1), later(1), 10).await, Ok(vec![waits]));
}

#[tokio::test]
async fn a_bell_rings_for_work_and_only_for_that() {
    let house = House::new();
    let bells = [Work::Out, Work::In, Work::Receipts].map(|work| house.spool.listen(work));
    let rung = || {
        let mut bells = bells.clone();
        bells.each_mut().map(|bell| bell.has_changed().unwrap())
    };
    house.keep(NewRow { leased: true, ..mail() }).await;
    house.keep(NewRow { state: State::Held, ..mail() }).await;
    assert_eq!(rung(), [false, false, false]);
    let id = house.keep(mail()).await;
    assert_eq!(rung(), [true, false, false]);
    let row = arrival();
    house.spool.arrive(row, vec![]).await.unwrap();
    assert_eq!(rung(), [true, true, false]);
    let receipt = gateway::spool::PendingReceipt { partner: GLOBEX.to_owned(), sealed_receipt: vec![] };
    let end = Settlement { receipt: Some(receipt), ..Settlement::plain(id, State::Delivered, vec![]) };
    house.spool.settle(end).await.unwrap();
    assert_eq!(rung(), [true, true, true]);
}

#[tokio::test]
async fn what_is_put_off_or_released_rings_too() {
    let house = House::new();
    let id = house.keep(mail()).await;
    let held = house.keep(NewRow { state: State::Held, ..mail() }).await;
    let mut bell = house.spool.listen(Work::Out);
    house.spool.defer(id, later(1), vec![]).await.unwrap();
    bell.changed().await.unwrap();
    house.spool.release_held("globex.example", NOW).await.unwrap();
    bell.changed().await.unwrap();
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [held]);
    house.spool.release(held);
    bell.changed().await.unwrap();
}

/// Many workers take, put off and finish the same rows. A look-up that trusted an old snapshot would hand out a row
/// that its former holder has finished in the meantime.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_given_a_row_that_another_has_finished() {
    const ROWS: usize = 300;
    let house = House::new();
    let rows = (0..ROWS).map(|_| NewRow { body: b"x"[..].into(), ..mail() }).collect();
    house.spool.accept(rows, vec![]).await.unwrap();
    let workers = (0..8_u64).map(|worker| {
        let spool = house.spool.clone();
        tokio::spawn(async move {
            let mut done = 0;
            let mut turn = worker;
            loop {
                let due = spool.due(Direction::Out, None, NOW, 7, usize::MAX).await.unwrap();
                if due.is_empty()
                    && !spool.counts().await.unwrap().contains_key(&(Direction::Out, State::Queued))
                {
                    return done;
                }
                for due in due {
                    turn += 1;
                    let moved = match turn % 3 {
                        0 => spool.defer(due.row.id, NOW, note(Stage::Deferred)).await,
                        _ => {
                            done += 1;
                            spool.sent(due.row.id, vec![Note::new(NOW, Stage::Sent, "")]).await
                        }
                    };
                    assert_eq!(moved, Ok(Moved::Done));
                }
            }
        })
    });
    let mut done = 0;
    for worker in workers.collect::<Vec<_>>() {
        done += worker.await.unwrap();
    }
    assert_eq!(done, ROWS, "each row was sent exactly once");
}
