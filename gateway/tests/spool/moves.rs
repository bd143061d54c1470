//! Who may move a row where, and what becomes durable together.

use gateway::spool::{
    Count, Direction, Kind, Learned, Moved, NewRow, Note, Partly, PendingReceipt, RowId, Settlement,
    SpoolError, Stage, State,
};

/// What the sender calls its message.
const SENDERS_ID: uuid::Uuid = uuid::Uuid::max();

use crate::fixture::{GLOBEX, House, NOW, TTL_MS, arrival, later, mail, note};

#[tokio::test]
async fn the_table_of_moves_is_the_whole_truth() {
    let house = House::new();
    for from in State::ALL.iter().copied() {
        for verb in ["sent", "defer", "progress", "hold", "settle"] {
            let id = house.keep(mail()).await;
            house.bring_to(id, from).await;
            let moved = match verb {
                "sent" => house.spool.sent(id, vec![]).await,
                "defer" => house.spool.defer(id, NOW, vec![]).await,
                "progress" => house.spool.progress(id, NOW, Partly::of(vec![]), vec![]).await,
                "hold" => house.spool.hold(id, None, vec![]).await,
                _ => house.spool.settle(Settlement::plain(id, State::Failed, vec![])).await,
            };
            let expected = match (from, verb) {
                (State::Queued | State::Sent, "sent") => Some(State::Sent),
                (State::Queued | State::Sent, "defer" | "progress") => Some(State::Queued),
                (State::Queued | State::Held, "hold") => Some(State::Held),
                (State::Queued | State::Sent | State::Held, "settle") => Some(State::Failed),
                _ => None,
            };
            let to = expected.unwrap_or(from);
            match moved {
                Ok(Moved::Done) => assert!(expected.is_some(), "{verb} from {from}"),
                Ok(Moved::AlreadyFinal(state)) => {
                    assert!(from.is_final() && state == from, "{verb} from {from}")
                }
                Err(SpoolError::ImpossibleMove { .. }) => {
                    assert!(expected.is_none() && !from.is_final(), "{verb} from {from}");
                }
                Err(other) => panic!("{verb} from {from}: {other}"),
            }
            assert_eq!(house.state(id).await, to, "{verb} from {from}");
        }
    }
}

#[tokio::test]
async fn only_what_goes_out_waits_for_a_receipt() {
    let house = House::new();
    let row = arrival();
    house.spool.arrive(row.clone(), vec![]).await.unwrap();
    let refused = house.spool.sent(row.id, vec![]).await;
    assert_eq!(refused, Err(SpoolError::ImpossibleMove { from: "queued", to: State::Sent }));
}

#[tokio::test]
async fn a_settlement_must_be_an_end() {
    let house = House::new();
    let id = house.keep(mail()).await;
    let refused = house.spool.settle(Settlement::plain(id, State::Held, vec![])).await;
    assert_eq!(refused, Err(SpoolError::ImpossibleMove { from: "queued", to: State::Held }));
}

#[tokio::test]
async fn nobody_moves_a_row_that_is_not_there() {
    let house = House::new();
    let id = RowId::fresh();
    let unknown = Err(SpoolError::UnknownRow(id));
    assert_eq!(house.spool.sent(id, vec![]).await, unknown);
    assert_eq!(house.spool.defer(id, NOW, vec![]).await, unknown);
    assert_eq!(house.spool.progress(id, NOW, Partly::of(vec![]), vec![]).await, unknown);
    assert_eq!(house.spool.settle(Settlement::plain(id, State::Failed, vec![])).await, unknown);
}

#[tokio::test]
async fn the_life_of_a_mail_is_in_the_journal_in_order() {
    let house = House::new();
    let id = house.keep(mail()).await;
    house.spool.defer(id, later(1_000), note(Stage::Deferred)).await.unwrap();
    house
        .spool
        .sent(id, vec![Note::new(later(1), Stage::Sent, ""), Note::new(later(2), Stage::Acknowledged, "")])
        .await
        .unwrap();
    let end = Note::new(later(5), Stage::Delivered, "receipt of globex");
    house.spool.settle(Settlement::plain(id, State::Delivered, vec![end.clone()])).await.unwrap();
    let notes = house.spool.journal(id).await.unwrap();
    let stages: Vec<Stage> = notes.iter().map(|note| note.stage).collect();
    assert_eq!(
        stages,
        [Stage::Received, Stage::Deferred, Stage::Sent, Stage::Acknowledged, Stage::Delivered]
    );
    assert_eq!(notes[4], end);
    let row = house.spool.by_row_id(id).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.progress_at, row.body_bytes), (1, later(5), 0));
}

#[tokio::test]
async fn an_end_drops_the_body_and_keeps_everything_that_follows_from_it() {
    let house = House::new();
    let row = arrival();
    house.spool.arrive(row.clone(), vec![]).await.unwrap();
    let report = NewRow { kind: Kind::Report, direction: Direction::In, ..mail() };
    let settlement = Settlement {
        replay_key: Some([5; 32]),
        receipt: Some(PendingReceipt { partner: GLOBEX.to_owned(), sealed_receipt: b"sealed".to_vec() }),
        new_rows: vec![report.clone()],
        evidence: Some(b"signed by globex".to_vec()),
        learned: Some(Learned {
            kind: Kind::Mail,
            message_id: SENDERS_ID,
            message_id_tag: Some([9; 16]),
            summary: vec![1],
            size: 42,
        }),
        ..Settlement::plain(row.id, State::Delivered, note(Stage::Delivered))
    };
    assert_eq!(house.spool.settle(settlement).await, Ok(Moved::Done));

    assert_eq!(bodies(&house).await, 1, "only the report has a body");
    assert!(house.spool.seen([5; 32]).await.unwrap());
    assert_eq!(house.spool.receipts_pending(GLOBEX, 10).await.unwrap(), [(1, b"sealed".to_vec())]);
    assert_eq!(house.due_ids(Direction::In, NOW).await, [report.id]);
    let learned = house.spool.by_message_id_tag([9; 16]).await.unwrap();
    assert_eq!((learned[0].id, learned[0].kind, learned[0].size), (row.id, Kind::Mail, 42));
    assert_eq!(house.spool.by_message_id(SENDERS_ID).await.unwrap(), learned);
    assert_eq!(house.spool.evidence(row.id).await.unwrap().as_deref(), Some(&b"signed by globex"[..]));
}

#[tokio::test]
async fn an_end_that_cannot_be_kept_whole_is_not_kept_at_all() {
    let house = House::new();
    let row = arrival();
    house.spool.arrive(row.clone(), vec![]).await.unwrap();
    let taken = house.keep(mail()).await;
    let settlement = Settlement {
        replay_key: Some([5; 32]),
        receipt: Some(PendingReceipt { partner: GLOBEX.to_owned(), sealed_receipt: b"sealed".to_vec() }),
        new_rows: vec![mail(), NewRow { id: taken, ..mail() }],
        ..Settlement::plain(row.id, State::Delivered, note(Stage::Delivered))
    };
    assert_eq!(house.spool.settle(settlement).await, Err(SpoolError::RowExists(taken)));

    assert_eq!(house.state(row.id).await, State::Queued);
    assert_eq!(bodies(&house).await, 2);
    assert!(!house.spool.seen([5; 32]).await.unwrap());
    assert!(house.spool.receipts_pending(GLOBEX, 10).await.unwrap().is_empty());
    assert!(house.stages(row.id).await.is_empty());
    tallies_are_true(&house).await;
}

#[tokio::test]
async fn a_receipt_may_overtake_the_acknowledgement() {
    let house = House::new();
    let id = house.keep(mail()).await;
    house.spool.settle(Settlement::plain(id, State::Delivered, note(Stage::Delivered))).await.unwrap();
    let late = house.spool.sent(id, note(Stage::Acknowledged)).await;
    assert_eq!(late, Ok(Moved::AlreadyFinal(State::Delivered)));
    let twice =
        Settlement { new_rows: vec![mail()], ..Settlement::plain(id, State::Failed, note(Stage::Failed)) };
    assert_eq!(house.spool.settle(twice).await, Ok(Moved::AlreadyFinal(State::Delivered)));
    assert_eq!(house.stages(id).await, [Stage::Received, Stage::Delivered]);
    assert!(house.due_ids(Direction::Out, NOW).await.is_empty(), "a second end begets nothing");
}

#[tokio::test]
async fn recipients_that_are_done_stay_done() {
    let mut house = House::new();
    let row = arrival();
    house.spool.arrive(row.clone(), vec![]).await.unwrap();
    house
        .spool
        .progress(row.id, later(10), Partly::of(b"bob is left".to_vec()), note(Stage::HandedOver))
        .await
        .unwrap();
    house.restart().await;
    assert!(house.due_ids(Direction::In, NOW).await.is_empty());
    let due = house.spool.due(Direction::In, None, later(10), 1, usize::MAX).await.unwrap();
    assert_eq!(due[0].row.remaining.as_deref(), Some(&b"bob is left"[..]));
    assert_eq!(due[0].body, row.body);
}

#[tokio::test]
async fn who_is_told_meanwhile_is_told_in_the_same_step_or_not_at_all() {
    let house = House::new();
    let id = house.keep(mail()).await;
    let report = NewRow { direction: Direction::In, kind: Kind::Report, ..mail() };
    let told = report.id;
    let receipt = PendingReceipt { partner: GLOBEX.to_owned(), sealed_receipt: vec![7] };
    let partly =
        Partly { report: Some(report), receipt: Some(receipt), ..Partly::of(b"eve is left".to_vec()) };
    house.spool.progress(id, later(10), partly.clone(), note(Stage::Reported)).await.unwrap();
    assert_eq!(house.due_ids(Direction::In, NOW).await, [told]);
    assert_eq!(house.spool.receipts_pending(GLOBEX, 10).await.unwrap().len(), 1);
    assert_eq!(
        house.spool.waiting(id).await.unwrap().unwrap().row.remaining.as_deref(),
        Some(&b"eve is left"[..])
    );

    let again = house.spool.progress(id, later(20), partly.clone(), note(Stage::Reported)).await;
    assert_eq!(again, Err(SpoolError::RowExists(told)), "and nothing else of the step is kept");
    assert_eq!(house.spool.receipts_pending(GLOBEX, 10).await.unwrap().len(), 1);
    house.spool.settle(Settlement::plain(id, State::Delivered, note(Stage::Delivered))).await.unwrap();
    let late = house.spool.progress(id, later(20), partly, note(Stage::Reported)).await;
    assert_eq!(late, Ok(Moved::AlreadyFinal(State::Delivered)));
    assert_eq!(house.spool.receipts_pending(GLOBEX, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_waits_for_a_receipt_can_be_told_of_without_moving() {
    let house = House::new();
    let id = house.keep(mail()).await;
    house.bring_to(id, State::Sent).await;
    let report = NewRow { direction: Direction::In, kind: Kind::Report, ..mail() };
    let told = report.id;
    house.spool.tell(id, Some(report), Some(b"bob was told".to_vec()), note(Stage::Reported)).await.unwrap();
    let waiting = house.spool.waiting(id).await.unwrap().unwrap();
    assert_eq!(
        (waiting.row.state, waiting.row.remaining.as_deref()),
        (State::Sent, Some(&b"bob was told"[..]))
    );
    assert_eq!(house.due_ids(Direction::In, NOW).await, [told]);
}

#[tokio::test]
async fn putting_off_is_not_progress() {
    let house = House::new();
    let id = house.keep(mail()).await;
    assert_eq!(house.spool.oldest_without_progress(later(500)).await, Ok(Some(500)));
    house.spool.defer(id, later(900), vec![Note::new(later(400), Stage::Deferred, "")]).await.unwrap();
    assert_eq!(house.spool.oldest_without_progress(later(500)).await, Ok(Some(500)));
    house.spool.sent(id, vec![Note::new(later(450), Stage::Sent, "")]).await.unwrap();
    assert_eq!(house.spool.oldest_without_progress(later(500)).await, Ok(Some(50)));
    house.spool.settle(Settlement::plain(id, State::Delivered, vec![])).await.unwrap();
    let held = house.keep(NewRow { state: State::Held, ..mail() }).await;
    assert_eq!(house.spool.oldest_without_progress(later(500)).await, Ok(None), "{held} waits for a person");
}

#[tokio::test]
async fn the_journal_is_forgotten_after_its_time_and_not_before() {
    let house = House::new();
    let retention = 30 * 24 * 3_600_000;
    let open = house.keep(NewRow { expires_at: later(u64::MAX), ..mail() }).await;
    let ended = house.keep(mail()).await;
    let long_lived = house.keep(NewRow { expires_at: later(retention * 2), ..mail() }).await;
    for (id, key) in [(ended, 1), (long_lived, 2)] {
        let end = Settlement {
            replay_key: Some([key; 32]),
            ..Settlement::plain(id, State::Failed, note(Stage::Failed))
        };
        house.spool.settle(end).await.unwrap();
    }
    let kept = house.spool.purge(later(TTL_MS + 3_600_000 - 1)).await.unwrap();
    assert_eq!((kept.rows, kept.replay_keys), (0, 0));
    assert!(house.spool.seen([1; 32]).await.unwrap());
    let purged = house.spool.purge(later(retention - 1)).await.unwrap();
    assert_eq!(
        (purged.rows, purged.replay_keys),
        (0, 1),
        "a replay key lives as long as its message could, plus skew"
    );
    let purged = house.spool.purge(later(retention)).await.unwrap();
    assert_eq!((purged.rows, purged.replay_keys), (1, 0));
    assert_eq!(house.spool.by_row_id(ended).await, Ok(None));
    assert!(house.spool.journal(ended).await.unwrap().is_empty());
    assert_eq!(house.state(long_lived).await, State::Failed, "it could still come again");
    assert_eq!(house.state(open).await, State::Queued);
    tallies_are_true(&house).await;
}

#[tokio::test]
async fn a_page_of_the_latest_rows_starts_where_the_last_one_ended() {
    let house = House::new();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, house.keep(mail()).await);
    }
    let page = house.spool.recent(2, None).await.unwrap();
    let next = house.spool.recent(10, Some(page[1].seq)).await.unwrap();
    let seen: Vec<RowId> = page.iter().chain(&next).map(|row| row.id).collect();
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn the_backlog_is_told_by_domain() {
    let house = House::new();
    house.keep(NewRow { now: later(5), ..mail() }).await;
    house.keep(mail()).await;
    house.keep(NewRow { partner_domain: "initech.example".to_owned(), state: State::Held, ..mail() }).await;
    let backlog = house.spool.backlog().await.unwrap();
    let told: Vec<_> = backlog
        .iter()
        .map(|it| (it.partner_domain.as_str(), it.state, it.count.rows, it.count.bytes, it.oldest_at))
        .collect();
    assert_eq!(
        told,
        [("globex.example", State::Queued, 2, 24_000, NOW), ("initech.example", State::Held, 1, 12_000, NOW)]
    );
}

/// The counters that the writer keeps say what counting would say.
pub(crate) async fn tallies_are_true(house: &House) {
    let counted = house
        .spool
        .read(|conn| {
            conn.prepare("SELECT direction, state, count(*), sum(body_bytes) FROM rows GROUP BY 1, 2")?
                .query_map([], |row| {
                    let count =
                        Count { rows: row.get::<_, i64>(2)? as u64, bytes: row.get::<_, i64>(3)? as u64 };
                    Ok(((row.get(0)?, row.get(1)?), count))
                })?
                .collect::<Result<_, _>>()
        })
        .await
        .unwrap();
    assert_eq!(house.spool.counts().await.unwrap(), counted);
}

async fn bodies(house: &House) -> i64 {
    house
        .spool
        .read(|conn| conn.query_row("SELECT count(*) FROM bodies", [], |row| row.get(0)))
        .await
        .unwrap()
}
