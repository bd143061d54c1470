//! Large bodies: whole or not there, once however many rows, gone with the last of them.

use bytes::{Bytes, BytesMut};
use dccp::body::{BodyOutline, CHUNK_BYTES, Tally};
use gateway::spool::{
    Arrival, Count, Direction, Draft, Large, LargeBody, LargeCounts, NewRow, RowId, Settlement, SpoolError,
    State,
};

use crate::fixture::{GLOBEX, House, INITECH, NOW, arrival, later, mail};
use crate::full::limit_pages;
use crate::moves::tallies_are_true;

/// As the spool keeps it.
const STAGED_MS_MAX: u64 = 3_600_000;

/// A sealed chunk in the place `n` of a body: full ones, but the last.
fn chunk(n: u8, last: bool) -> Bytes {
    let octets = if last { 5_000 } else { CHUNK_BYTES + 16 };
    BytesMut::from_iter(std::iter::repeat_n(n, octets)).freeze()
}

/// The chunks of a body.
pub(crate) fn body(chunks: u8) -> Vec<Bytes> {
    (0..chunks).map(|n| chunk(n, n + 1 == chunks)).collect()
}

pub(crate) fn outline(chunks: &[Bytes]) -> BodyOutline {
    let mut tally = Tally::default();
    chunks.iter().for_each(|chunk| tally.add(chunk).unwrap());
    tally.finish()
}

pub(crate) fn size(chunks: &[Bytes]) -> u64 {
    chunks.iter().map(|chunk| chunk.len() as u64).sum()
}

/// A body of ours, whole and without a row.
pub(crate) async fn written(house: &House, chunks: &[Bytes]) -> (Draft, LargeBody) {
    let mut draft = house.spool.draft();
    for chunk in chunks {
        draft.put(chunk.clone()).await.unwrap();
    }
    let body = draft.whole().await.unwrap();
    (draft, body)
}

pub(crate) fn referring(body: LargeBody) -> NewRow {
    NewRow { large: Some(Large::Kept(body)), ..mail() }
}

pub(crate) fn bringing(outline: BodyOutline) -> NewRow {
    NewRow { large: Some(Large::Arrived(outline)), ..arrival() }
}

pub(crate) async fn stage(
    house: &House,
    partner: &str,
    chunks: &[Bytes],
    which: impl IntoIterator<Item = usize>,
) {
    let digest = outline(chunks).digest;
    for n in which {
        let staged = house
            .spool
            .stage(partner.to_owned(), digest, u32::try_from(n).unwrap(), chunks[n].clone(), NOW)
            .await;
        staged.unwrap();
    }
}

pub(crate) async fn read(house: &House, body: LargeBody) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while let Some(chunk) = house.spool.chunk(body, u32::try_from(chunks.len()).unwrap()).await.unwrap() {
        chunks.push(chunk);
    }
    chunks
}

pub(crate) async fn counts(house: &House) -> [(u64, u64); 3] {
    let LargeCounts { coming, kept, over } = house.spool.large_counts().await.unwrap();
    [coming, kept, over].map(|Count { rows, bytes }| (rows, bytes))
}

const NOTHING: [(u64, u64); 3] = [(0, 0); 3];

pub(crate) async fn end(house: &House, id: RowId) {
    house.spool.settle(Settlement::plain(id, State::Delivered, vec![])).await.unwrap();
}

pub(crate) async fn nothing_is_left(house: &House) {
    assert_eq!(counts(house).await, NOTHING);
    let chunks =
        house.spool.read(|conn| conn.query_row("SELECT count(*) FROM chunks", [], |row| row.get(0))).await;
    assert_eq!(chunks, Ok(0_i64));
}

#[tokio::test]
async fn a_mail_to_three_organisations_has_one_body_at_rest_until_the_last_of_them_has_it() {
    let mut house = House::new();
    let chunks = body(40);
    let (draft, name) = written(&house, &chunks).await;
    assert_eq!(counts(&house).await, [(1, size(&chunks)), (0, 0), (0, 0)]);
    let rows: Vec<_> = (0..3).map(|_| referring(name)).collect();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    house.spool.accept(rows, vec![]).await.unwrap();
    drop(draft);

    house.restart().await;
    let due = house.spool.due(Direction::Out, None, NOW, 10, usize::MAX).await.unwrap();
    assert!(due.len() == 3 && due.iter().all(|due| due.row.large == Some(name)));
    for id in ids {
        assert_eq!(house.spool.sweep(later(u64::MAX / 2)).await.unwrap(), 0);
        assert_eq!(counts(&house).await, [(0, 0), (1, size(&chunks)), (0, 0)]);
        assert_eq!(read(&house, name).await, chunks);
        end(&house, id).await;
        tallies_are_true(&house).await;
    }
    assert_eq!(counts(&house).await, [(0, 0), (0, 0), (1, size(&chunks))]);
    assert_eq!(house.spool.sweep(NOW).await, Ok(1));
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn a_row_that_an_end_begets_takes_the_body_over() {
    let house = House::new();
    let chunks = body(2);
    let (_draft, name) = written(&house, &chunks).await;
    let relayed = house.keep(referring(name)).await;
    let sealed_instead = referring(name);
    let id = sealed_instead.id;
    let plain = Settlement::plain(relayed, State::Delivered, vec![]);
    house.spool.settle(Settlement { new_rows: vec![sealed_instead], ..plain }).await.unwrap();
    assert_eq!(house.spool.sweep(NOW).await, Ok(0));
    assert_eq!(read(&house, name).await, chunks);
    end(&house, id).await;
    assert_eq!(house.spool.sweep(NOW).await, Ok(1));
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn a_body_that_its_maker_gave_up_is_swept_and_one_in_the_making_is_not() {
    let house = House::new();
    let (draft, name) = written(&house, &body(3)).await;
    assert_eq!(house.spool.sweep(later(u64::MAX / 2)).await, Ok(0), "somebody is writing it");
    drop(draft);
    assert_eq!(house.spool.sweep(NOW).await, Ok(1));
    nothing_is_left(&house).await;
    let late = referring(name);
    assert_eq!(house.spool.accept(vec![late.clone()], vec![]).await, Err(SpoolError::BodyMissing));
    assert_eq!(house.spool.by_row_id(late.id).await, Ok(None), "no row without its body");
    tallies_are_true(&house).await;
}

#[tokio::test]
async fn what_a_crash_left_between_the_chunks_and_the_row_is_swept_at_the_next_start() {
    let mut house = House::new();
    let (draft, _name) = written(&house, &body(3)).await;
    std::mem::forget(draft);
    house.restart().await;
    assert_eq!(counts(&house).await[0].0, 1);
    assert_eq!(house.spool.sweep(NOW).await, Ok(1));
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn a_message_is_taken_only_with_all_of_its_body() {
    let house = House::new();
    let chunks = body(4);
    let row = bringing(outline(&chunks));
    for missing in [vec![0, 1, 2], vec![0, 1, 3], vec![1, 2, 3]] {
        stage(&house, GLOBEX, &chunks, missing.clone()).await;
        assert_eq!(
            house.spool.arrive(row.clone(), vec![]).await,
            Err(SpoolError::BodyMissing),
            "{missing:?}"
        );
        assert_eq!(house.spool.by_row_id(row.id).await, Ok(None));
        house.spool.sweep(later(STAGED_MS_MAX)).await.unwrap();
        nothing_is_left(&house).await;
    }
    stage(&house, INITECH, &chunks, 0..4).await;
    assert_eq!(house.spool.arrive(row.clone(), vec![]).await, Err(SpoolError::BodyMissing), "another's");
    stage(&house, GLOBEX, &chunks, 0..4).await;
    assert_eq!(house.spool.arrive(row.clone(), vec![]).await, Ok(Arrival::Fresh { claimed: None }));
    let name = house.spool.by_row_id(row.id).await.unwrap().unwrap().large.unwrap();
    assert_eq!(read(&house, name).await, chunks);
    tallies_are_true(&house).await;
}

#[tokio::test]
async fn chunks_that_are_not_those_of_the_digest_are_no_body() {
    let house = House::new();
    let chunks = body(3);
    let digest = outline(&chunks).digest;
    for (n, chunk) in [chunk(0, false), chunk(7, false), chunk(2, true)].into_iter().enumerate() {
        house.spool.stage(GLOBEX.to_owned(), digest, u32::try_from(n).unwrap(), chunk, NOW).await.unwrap();
    }
    let row = bringing(outline(&chunks));
    assert_eq!(house.spool.arrive(row, vec![]).await, Err(SpoolError::BodyMissing));
}

#[tokio::test]
async fn what_comes_again_changes_nothing_whether_the_message_was_kept_or_not() {
    let mut house = House::new();
    let chunks = body(3);
    let row = NewRow { leased: false, ..bringing(outline(&chunks)) };
    stage(&house, GLOBEX, &chunks, [0, 1]).await;
    house.restart().await;
    stage(&house, GLOBEX, &chunks, 0..3).await;
    assert_eq!(counts(&house).await, [(1, size(&chunks)), (0, 0), (0, 0)]);
    assert_eq!(house.spool.arrive(row.clone(), vec![]).await, Ok(Arrival::Fresh { claimed: None }));
    stage(&house, GLOBEX, &chunks, 0..3).await;
    let again = NewRow { id: RowId::fresh(), ..row.clone() };
    assert_eq!(house.spool.arrive(again.clone(), vec![]).await, Ok(Arrival::Duplicate));
    let second = NewRow { digest: [7; 32], ..again.clone() };
    assert_eq!(
        house.spool.arrive(second.clone(), vec![]).await,
        Ok(Arrival::Fresh { claimed: None }),
        "another message, the same body"
    );
    assert_eq!(counts(&house).await, [(0, 0), (1, size(&chunks)), (0, 0)]);

    end(&house, row.id).await;
    end(&house, second.id).await;
    house.spool.sweep(NOW).await.unwrap();
    nothing_is_left(&house).await;
    stage(&house, GLOBEX, &chunks, 0..3).await;
    assert_eq!(house.spool.arrive(again, vec![]).await, Ok(Arrival::Duplicate), "long delivered");
    assert_eq!(house.spool.sweep(later(STAGED_MS_MAX)).await, Ok(1), "and what came with it goes");
    nothing_is_left(&house).await;
}

#[tokio::test]
async fn a_body_that_goes_on_arriving_is_not_swept() {
    let house = House::new();
    let chunks = body(2);
    stage(&house, GLOBEX, &chunks, [0]).await;
    let digest = outline(&chunks).digest;
    let half = later(STAGED_MS_MAX / 2);
    house.spool.stage(GLOBEX.to_owned(), digest, 1, chunks[1].clone(), half).await.unwrap();
    assert_eq!(house.spool.sweep(later(STAGED_MS_MAX)).await, Ok(0));
    assert_eq!(
        house.spool.arrive(bringing(outline(&chunks)), vec![]).await,
        Ok(Arrival::Fresh { claimed: None })
    );
}

#[tokio::test]
async fn a_partner_that_never_finishes_a_body_is_stopped_and_others_are_not() {
    let house = House::new();
    let stage = async |partner: &str, n: u8| {
        let digest = dccp::body::BodyDigest::from_bytes([n; 32]);
        house.spool.stage(partner.to_owned(), digest, 0, chunk(n, true), NOW).await
    };
    for n in 0..64 {
        assert_eq!(stage(GLOBEX, n).await, Ok(()));
    }
    assert_eq!(stage(GLOBEX, 64).await, Err(SpoolError::StagedEnough));
    assert!(SpoolError::StagedEnough.is_temporary());
    assert_eq!(stage(GLOBEX, 0).await, Ok(()), "what was begun may be finished");
    assert_eq!(stage(INITECH, 0).await, Ok(()));
    assert_eq!(house.spool.sweep(later(STAGED_MS_MAX)).await, Ok(65));
    assert_eq!(stage(GLOBEX, 64).await, Ok(()));
}

#[tokio::test]
async fn a_disk_that_fills_under_a_body_refuses_the_mail_and_leaves_nothing() {
    let house = House::new();
    limit_pages(&house.spool, 400).await;
    let mut draft = house.spool.draft();
    let mut refused = Ok(());
    for chunk in body(40) {
        refused = refused.and(draft.put(chunk).await);
    }
    assert_eq!(refused.and(draft.whole().await.map(drop)), Err(SpoolError::Full));
    drop(draft);
    // What shares a transaction with the last chunks is refused with them, and comes again.
    while house.spool.sweep(NOW).await == Err(SpoolError::Full) {}
    house.spool.sweep(NOW).await.unwrap();
    nothing_is_left(&house).await;
    let (_draft, name) = written(&house, &body(2)).await;
    house.keep(referring(name)).await;
    tallies_are_true(&house).await;
}

#[tokio::test]
async fn a_partner_hears_that_there_is_no_room_for_a_chunk_and_sends_it_again() {
    let house = House::new();
    let chunks = body(2);
    limit_pages(&house.spool, 60).await;
    let digest = outline(&chunks).digest;
    let refused = house.spool.stage(GLOBEX.to_owned(), digest, 0, chunks[0].clone(), NOW).await;
    assert_eq!(refused, Err(SpoolError::Full));
    nothing_is_left(&house).await;
    limit_pages(&house.spool, 1 << 30).await;
    stage(&house, GLOBEX, &chunks, 0..2).await;
    assert_eq!(counts(&house).await[0], (1, size(&chunks)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_written_beside_other_mail_and_never_all_at_once() {
    let house = House::new();
    let before = house.spool.stats().commits;
    let chunks = body(100);
    let writing = async {
        let (draft, name) = written(&house, &chunks).await;
        house.keep(referring(name)).await;
        drop(draft);
    };
    let others = async {
        for _ in 0..20 {
            house.keep(mail()).await;
        }
    };
    tokio::join!(writing, others);
    let stats = house.spool.stats();
    assert!(stats.commits - before > 100 / 8, "a transaction holds what one window holds: {stats:?}");
}
