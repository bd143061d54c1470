//! What a partner's signed word ends, and what we owe partners.

use gateway::spool::{
    Direction, Kind, Moved, NewRow, PendingReceipt, RowId, Settlement, SpoolError, Stage, State,
};
use uuid::Uuid;

use crate::fixture::{GLOBEX, House, INITECH, NOW, arrival, mail, note};
use crate::moves::tallies_are_true;

#[tokio::test]
async fn receipts_travel_together_and_once() {
    let house = House::new();
    for partner in [GLOBEX, INITECH, GLOBEX] {
        let row = arrival();
        house.spool.arrive(row.clone(), vec![]).await.unwrap();
        let receipt =
            PendingReceipt { partner: partner.to_owned(), sealed_receipt: partner.as_bytes().to_vec() };
        let end =
            Settlement { receipt: Some(receipt), ..Settlement::plain(row.id, State::Delivered, vec![]) };
        house.spool.settle(end).await.unwrap();
    }
    assert_eq!(house.spool.partners_with_receipts().await.unwrap(), [GLOBEX, INITECH]);
    let pending = house.spool.receipts_pending(GLOBEX, 10).await.unwrap();
    let ids: Vec<i64> = pending.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [1, 3]);

    let bundle = NewRow { kind: Kind::Receipts, ..mail() };
    house.spool.accept_receipts(bundle.clone(), vec![], ids.clone()).await.unwrap();
    assert!(house.spool.receipts_pending(GLOBEX, 10).await.unwrap().is_empty());
    let twice = house
        .spool
        .accept_receipts(NewRow { id: RowId::fresh(), ..bundle.clone() }, vec![], vec![2, 3])
        .await;
    assert_eq!(twice, Err(SpoolError::ReceiptsGone));
    assert_eq!(
        house.spool.receipts_pending(INITECH, 10).await.unwrap().len(),
        1,
        "a refused bundle consumes nothing"
    );
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [bundle.id]);
}

#[tokio::test]
async fn a_receipt_finds_its_mail_by_digest_and_only_for_the_partner_it_was_sent_to() {
    let house = House::new();
    let row = mail();
    let id = house.keep(row.clone()).await;
    house.spool.sent(id, vec![]).await.unwrap();
    let ask = async |message_id, digest, partner| {
        let found = house.spool.awaiting_receipt(message_id, digest, partner).await.unwrap();
        found.map(|waiting| (waiting.row.id, waiting.slip))
    };
    let found = Some((id, row.slip.clone()));
    assert_eq!(ask(id.0, row.digest, GLOBEX).await, found);
    assert_eq!(
        ask(Uuid::nil(), row.digest, GLOBEX).await,
        found,
        "a partner that could not open it knows no id"
    );
    assert_eq!(ask(id.0, row.digest, INITECH).await, None);
    assert_eq!(ask(id.0, [9; 32], GLOBEX).await, None);
    assert_eq!(ask(Uuid::max(), row.digest, GLOBEX).await, None);
    assert_eq!(house.spool.waiting(id).await.unwrap().map(|waiting| waiting.slip), Some(row.slip));

    house.spool.settle(Settlement::plain(id, State::Delivered, vec![])).await.unwrap();
    assert_eq!(ask(id.0, row.digest, GLOBEX).await, None, "it has ended");
    assert!(house.spool.waiting(id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_batch_of_receipts_ends_its_mails_with_one_sync() {
    let house = House::new();
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(house.keep(mail()).await);
    }
    house.spool.settle(Settlement::plain(ids[3], State::Expired, vec![])).await.unwrap();
    let before = house.spool.stats().commits;
    let ends = ids.iter().map(|id| Settlement::plain(*id, State::Delivered, note(Stage::Delivered)));
    let moved = house.spool.settle_all(ends.collect()).await.unwrap();
    assert_eq!(house.spool.stats().commits - before, 1);
    assert_eq!(moved.iter().filter(|moved| **moved == Moved::Done).count(), 63);
    assert_eq!(moved[3], Moved::AlreadyFinal(State::Expired));
    tallies_are_true(&house).await;

    let open = house.keep(mail()).await;
    let unknown = RowId::fresh();
    let ends = [open, unknown].map(|id| Settlement::plain(id, State::Delivered, vec![]));
    assert_eq!(house.spool.settle_all(ends.to_vec()).await, Err(SpoolError::UnknownRow(unknown)));
    assert_eq!(house.state(open).await, State::Queued, "all of it or nothing");
}
