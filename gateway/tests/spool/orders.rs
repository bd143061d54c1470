//! What people order: who may move a row where, what is noted about it, and an audit that shows every change.

use gateway::spool::{
    Act, AuditFault, Declined, Direction, Kind, Lane, NewRow, Order, RowId, Settlement, Source, SpoolError,
    Stage, State, Turn,
};

use crate::fixture::{GLOBEX, House, INITECH, NOW, later, mail};
use crate::moves::tallies_are_true;

fn order(act: &'static str) -> Order {
    Order { act, by: "carol".to_owned(), at: later(7), why: b"a sealed reason".to_vec() }
}

impl House {
    async fn obeys(&self, id: RowId, act: Act) -> Result<(), Declined> {
        let mut answers = self.spool.order(vec![id], act, order("ordered")).await.unwrap();
        answers.pop().unwrap()
    }

    async fn audited(&self) -> u64 {
        let found = self.spool.verify_audit().await.unwrap();
        assert_eq!(found.fault, None);
        found.entries
    }
}

fn acts() -> [Act; 5] {
    [Act::Hold, Act::Release, Act::Retry, Act::Reroute(None), Act::Readdress(INITECH.to_owned())]
}

#[tokio::test]
async fn the_table_of_orders_is_the_whole_truth() {
    let house = House::new();
    let mut done = 0;
    for kind in [Kind::Mail, Kind::Relay, Kind::Draft] {
        for from in State::ALL.iter().copied().filter(|from| (kind, *from) != (Kind::Relay, State::Sent)) {
            for act in acts() {
                let id = house.keep(NewRow { kind, ..mail() }).await;
                house.bring_to(id, from).await;
                let expected = match (&act, from, kind) {
                    (Act::Hold, State::Queued | State::Held, _) => Some(State::Held),
                    (Act::Release, State::Held, _) | (Act::Retry, State::Queued, _) => Some(State::Queued),
                    (Act::Reroute(_), State::Queued | State::Held, Kind::Relay) => Some(from),
                    (Act::Readdress(_), State::Held, Kind::Draft) => Some(State::Queued),
                    _ => None,
                };
                let obeyed = house.obeys(id, act.clone()).await;
                assert_eq!(obeyed.is_ok(), expected.is_some(), "{act:?} of a {kind} from {from}: {obeyed:?}");
                assert_eq!(
                    house.state(id).await,
                    expected.unwrap_or(from),
                    "{act:?} of a {kind} from {from}"
                );
                done += u64::from(obeyed.is_ok());
                let noted = house.stages(id).await.contains(&Stage::Ordered);
                assert_eq!(noted, obeyed.is_ok(), "what was done is in the journal, and nothing else");
            }
        }
    }
    assert_eq!(house.audited().await, done, "and in the audit");
    tallies_are_true(&house).await;
}

#[tokio::test]
async fn what_somebody_works_on_is_not_moved_under_their_hands() {
    let house = House::new();
    let id = house.keep(mail()).await;
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
    for act in acts().into_iter().take(3) {
        assert_eq!(house.obeys(id, act).await, Err(Declined::InHands));
    }
    let end = Settlement { order: Some(order("drop")), ..Settlement::plain(id, State::Failed, vec![]) };
    assert_eq!(house.spool.settle(end.clone()).await, Err(SpoolError::Declined(Declined::InHands)));
    house.spool.sent(id, vec![]).await.unwrap();
    house.spool.settle(end).await.unwrap();
    assert_eq!((house.state(id).await, house.audited().await), (State::Failed, 1));
}

#[tokio::test]
async fn what_a_person_holds_is_released_by_a_person_only() {
    let mut house = House::new();
    let by_judge = house.keep(NewRow { state: State::Held, ..mail() }).await;
    let rule = NewRow { state: State::Held, held_by: Some("no-globex".to_owned()), ..mail() };
    let by_rule = house.keep(rule).await;
    let by_person = house.keep(mail()).await;
    house.obeys(by_person, Act::Hold).await.unwrap();
    house.restart().await;

    assert_eq!(house.spool.release_held("globex.example", later(8)).await, Ok(1));
    assert_eq!(house.due_ids(Direction::Out, later(8)).await, [by_judge]);
    let row = house.spool.by_row_id(by_person).await.unwrap().unwrap();
    assert_eq!(row.held_by.as_deref(), Some("carol"));
    for id in [by_rule, by_person] {
        house.obeys(id, Act::Release).await.unwrap();
        assert_eq!(house.spool.by_row_id(id).await.unwrap().unwrap().held_by, None);
    }
    let mut due = house.due_ids(Direction::Out, later(8)).await;
    due.sort();
    assert_eq!(due, [by_rule, by_person]);
}

#[tokio::test]
async fn who_released_a_mail_is_known_until_somebody_holds_it_again() {
    let mut house = House::new();
    let id = house.keep(NewRow { state: State::Held, ..mail() }).await;
    let approved = async |house: &House| house.spool.by_row_id(id).await.unwrap().unwrap().approved_by;
    assert_eq!(approved(&house).await, None);
    house.obeys(id, Act::Release).await.unwrap();
    house.restart().await;
    assert_eq!(approved(&house).await.as_deref(), Some("carol"));
    house.obeys(id, Act::Hold).await.unwrap();
    assert_eq!(approved(&house).await, None);
    assert_eq!(house.spool.release_held("globex.example", later(8)).await, Ok(0), "hers to release");
    // What goes on by itself was not looked at by anybody.
    let doubt = house.keep(NewRow { state: State::Held, ..mail() }).await;
    assert_eq!(house.spool.release_held("globex.example", later(8)).await, Ok(1));
    assert_eq!(house.spool.by_row_id(doubt).await.unwrap().unwrap().approved_by, None);
}

#[tokio::test]
async fn a_release_counts_for_the_mail_that_is_sealed_instead_and_for_no_report_about_it() {
    let house = House::new();
    let relay = NewRow { kind: Kind::Relay, partner: None, state: State::Held, ..mail() };
    let id = house.keep(relay).await;
    house.obeys(id, Act::Release).await.unwrap();
    let [draft, report] = [Kind::Draft, Kind::Report].map(|kind| NewRow { kind, ..mail() });
    let ids = [draft.id, report.id];
    let end = Settlement::plain(id, State::Delivered, vec![]);
    house.spool.settle(Settlement { new_rows: vec![draft, report], ..end }).await.unwrap();
    let approved = async |id| house.spool.by_row_id(id).await.unwrap().unwrap().approved_by;
    assert_eq!(approved(ids[0]).await.as_deref(), Some("carol"));
    assert_eq!(approved(ids[1]).await, None);
}

#[tokio::test]
async fn a_relayed_mail_remembers_the_way_that_was_chosen_for_it() {
    let mut house = House::new();
    let relay = NewRow { kind: Kind::Relay, partner: None, next_at: later(900_000), ..mail() };
    let id = house.keep(relay).await;
    house.obeys(id, Act::Reroute(Some("relay.example:25".to_owned()))).await.unwrap();
    house.restart().await;
    let due = house.spool.due_outside(later(7), 1, 0).await.unwrap();
    assert_eq!(due[0].row.next_hop.as_deref(), Some("relay.example:25"), "and is due at once");
    house.spool.release(id);
    house.obeys(id, Act::Reroute(None)).await.unwrap();
    assert_eq!(house.spool.by_row_id(id).await.unwrap().unwrap().next_hop, None);
}

#[tokio::test]
async fn a_draft_that_is_decided_anew_is_for_the_partner_of_now() {
    let house = House::new();
    let draft = NewRow { kind: Kind::Draft, state: State::Held, digest: [0; 32], ..mail() };
    let id = house.keep(draft).await;
    house.obeys(id, Act::Readdress(INITECH.to_owned())).await.unwrap();
    let due = house.spool.due(Direction::Out, Some(INITECH), later(7), 1, 0).await.unwrap();
    assert_eq!(due[0].row.id, id);
    assert!(house.spool.due(Direction::Out, Some(GLOBEX), later(7), 1, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_is_append_only_and_shows_whoever_gets_around_that() {
    let mut house = House::new();
    for _ in 0..3 {
        let id = house.keep(mail()).await;
        house.obeys(id, Act::Hold).await.unwrap();
    }
    house.restart().await;
    assert_eq!(house.audited().await, 3);
    for statement in ["UPDATE audit SET who = 'nobody' WHERE seq = 2", "DELETE FROM audit WHERE seq = 2"] {
        let refused = house.spool.write(move |conn| conn.execute(statement, [])).await;
        assert!(matches!(refused, Err(SpoolError::Refused(_))), "{refused:?}");
    }
    assert_eq!(house.audited().await, 3);

    let tamper = async |statement: &'static str| {
        house
            .spool
            .write(move |conn| {
                conn.execute_batch(
                    "DROP TRIGGER IF EXISTS audit_is_not_changed; DROP TRIGGER IF EXISTS audit_is_not_cut",
                )?;
                conn.execute(statement, [])
            })
            .await
            .unwrap();
        house.spool.verify_audit().await.unwrap().fault
    };
    assert_eq!(tamper("UPDATE audit SET who = 'nobody' WHERE seq = 2").await, Some(AuditFault::Changed(2)));
    assert_eq!(tamper("DELETE FROM audit WHERE seq = 2").await, Some(AuditFault::Gap(3)));
}

#[tokio::test]
async fn ten_thousand_bulk_rows_delay_one_letter_by_a_row_or_two() {
    let house = House::new();
    let bulk = Turn { lane: Lane::Bulk, source: Source::of_tag([1; 16]) };
    let rows = (0..10_000).map(|_| NewRow { turn: bulk, body: b"x"[..].into(), ..mail() }).collect();
    house.spool.accept(rows, vec![]).await.unwrap();
    let letter = house.keep(NewRow { now: later(5), next_at: later(5), ..mail() }).await;
    let due = house.spool.due(Direction::Out, Some(GLOBEX), later(5), 3, usize::MAX).await.unwrap();
    let place = due.iter().position(|due| due.row.id == letter);
    assert!(place.is_some_and(|place| place <= 2), "{place:?}");
}

#[tokio::test]
async fn a_message_that_is_due_and_that_nobody_takes_is_found() {
    let house = House::new();
    let taken = house.keep(mail()).await;
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [taken]);
    house.keep(NewRow { next_at: later(60_001), ..mail() }).await;
    house.keep(NewRow { state: State::Held, ..mail() }).await;
    assert_eq!(house.spool.stuck(later(60_000), 10).await.unwrap(), []);
    let stuck = house.keep(mail()).await;
    let outside = house.keep(NewRow { kind: Kind::Relay, partner: None, ..mail() }).await;
    assert_eq!(house.spool.stuck(later(60_000), 10).await.unwrap(), [stuck, outside]);
    assert_eq!(house.spool.stuck(later(60_000), 1).await.unwrap().len(), 1);
}
