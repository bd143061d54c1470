//! What lets a waiting row go on.

use bytes::Bytes;
use gateway::spool::config::SWEEP_ROWS_MAX;
use gateway::spool::{
    Count, Direction, Kind, Moved, NewRow, RowId, Settlement, SpoolError, Stage, State, Work,
};

use crate::fixture::{GLOBEX, House, INITECH, NOW, later, mail, note};
use crate::moves::tallies_are_true;

#[tokio::test]
async fn what_is_held_goes_on_when_its_domain_is_released() {
    let house = House::new();
    let ours = house.keep(NewRow { state: State::Held, ..mail() }).await;
    let other = NewRow { state: State::Held, partner_domain: "initech.example".to_owned(), ..mail() };
    let other = house.keep(other).await;
    assert!(house.due_ids(Direction::Out, later(1)).await.is_empty());

    assert_eq!(house.spool.release_held("globex.example", later(1)).await, Ok(1));
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [], "not before the release");
    assert_eq!(house.due_ids(Direction::Out, later(1)).await, [ours]);
    assert_eq!(house.stages(ours).await, [Stage::Received, Stage::Released]);
    assert_eq!(house.state(other).await, State::Held);
    house.spool.release_held("initech.example", later(2)).await.unwrap();
    assert_eq!(house.due_ids(Direction::Out, later(2)).await, [other]);
}

#[tokio::test]
async fn a_held_draft_is_readdressed_and_a_sealed_mail_is_not() {
    let house = House::new();
    let held = NewRow { state: State::Held, ..mail() };
    let sealed = house.keep(held.clone()).await;
    let draft = house.keep(NewRow { id: RowId::fresh(), kind: Kind::Draft, ..held }).await;
    house.spool.readdress_held("globex.example", INITECH).await.unwrap();
    for (id, partner) in [(sealed, GLOBEX), (draft, INITECH)] {
        let row = house.spool.by_row_id(id).await.unwrap().unwrap();
        assert_eq!(row.partner.as_deref(), Some(partner));
    }
}

#[tokio::test]
async fn a_large_release_goes_in_steps_and_forgets_nothing() {
    let house = House::new();
    let held = SWEEP_ROWS_MAX * 2 + 1;
    let rows = (0..held).map(|_| NewRow { state: State::Held, body: b"x"[..].into(), ..mail() }).collect();
    house.spool.accept(rows, vec![]).await.unwrap();
    assert_eq!(house.spool.release_held("globex.example", NOW).await, Ok(held as u64));
    let counts = house.spool.counts().await.unwrap();
    assert_eq!(
        counts.get(&(Direction::Out, State::Queued)),
        Some(&Count { rows: held as u64, bytes: held as u64 })
    );
    assert_eq!(counts.len(), 1);
}

#[tokio::test]
async fn when_a_partner_is_back_what_was_put_off_for_it_is_due_at_once() {
    let house = House::new();
    let ours = house.keep(NewRow { next_at: later(900_000), ..mail() }).await;
    let other = NewRow { next_at: later(900_000), partner: Some(INITECH.to_owned()), ..mail() };
    let other = house.keep(other).await;
    let mut bell = house.spool.listen(Work::Out);
    house.spool.hasten(GLOBEX, later(5)).await.unwrap();
    bell.changed().await.unwrap();
    assert_eq!(house.spool.next_due_at(Direction::Out, None).await, Ok(Some(later(5))));
    assert_eq!(house.due_ids(Direction::Out, later(5)).await, [ours]);
    assert_eq!(house.due_ids(Direction::Out, later(900_000)).await, [other]);
    house.spool.hasten(GLOBEX, later(6)).await.unwrap();
    assert!(!bell.has_changed().unwrap(), "nothing to hasten, nothing to tell");
}

#[tokio::test]
async fn a_draft_that_is_released_is_sealed_in_place_and_stays_in_hand() {
    let mut house = House::new();
    let draft = NewRow { kind: Kind::Draft, state: State::Held, digest: [1; 32], ..mail() };
    let id = house.keep(draft).await;
    let sealed = Bytes::from(vec![0xCD; 20_000]);
    let too_early = house.spool.reseal(id, sealed.clone(), [2; 32], None, vec![]).await;
    assert!(matches!(too_early, Err(SpoolError::Refused(_))), "{too_early:?}");

    house.spool.release_held("globex.example", NOW).await.unwrap();
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [id]);
    let done = house.spool.reseal(id, sealed.clone(), [2; 32], None, note(Stage::Sealed)).await;
    assert_eq!(done, Ok(Moved::Done));
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [], "the caller goes on with it");
    tallies_are_true(&house).await;

    house.restart().await;
    let due = house.spool.due(Direction::Out, None, NOW, 1, usize::MAX).await.unwrap();
    assert_eq!((due[0].row.kind, due[0].row.digest, &due[0].body), (Kind::Mail, [2; 32], &sealed));
    assert_eq!(due[0].slip.as_deref(), Some(&b"a sealed slip"[..]));
    let twice = house.spool.reseal(id, sealed, [3; 32], None, vec![]).await;
    assert!(matches!(twice, Err(SpoolError::Refused(_))), "a mail is sealed once");
    house.spool.settle(Settlement::plain(id, State::Delivered, vec![])).await.unwrap();
    tallies_are_true(&house).await;
}
