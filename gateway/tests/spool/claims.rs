//! One-time keys in the spool: claimed with the row that needs them, destroyed with its end, found nowhere afterwards.

use std::fs;
use std::time::Instant;

use gateway::spool::config::WIPE_DELAY;
use gateway::spool::{Arrival, ClaimedKey, Direction, NewRow, RowId, Settlement, Spool, SpoolConfig, State};
use rusqlite::params;

use crate::fixture::{GLOBEX, House, INITECH, NOW, arrival, later};

const KEY_ID: [u8; 16] = [7; 16];

/// A key that was served to `partner`, sealed as `sealed`.
async fn serve(house: &House, key_id: [u8; 16], sealed: &[u8], partner: &str) {
    let (sealed, partner) = (sealed.to_vec(), partner.to_owned());
    let put = house.spool.write(move |conn| {
        conn.execute(
            "INSERT OR IGNORE INTO one_time_batches (id, kem, epoch, expires, root) VALUES (1, 1, 20000, 0, x'')",
            [],
        )?;
        conn.execute(
            "INSERT INTO one_time_keys (key_id, batch, sealed, served_to) VALUES (?1, 1, ?2, ?3)",
            params![key_id, sealed, partner],
        )
    });
    put.await.unwrap();
}

fn sealed_to(key_id: [u8; 16]) -> NewRow {
    NewRow { sealed_to: Some(key_id), leased: false, ..arrival() }
}

async fn arrive(house: &House, row: NewRow) -> Option<ClaimedKey> {
    match house.spool.arrive(row, vec![]).await.unwrap() {
        Arrival::Fresh { claimed } => claimed,
        Arrival::Duplicate => panic!("a duplicate"),
    }
}

async fn keys(house: &House) -> i64 {
    let count = "SELECT count(*) FROM one_time_keys";
    house.spool.read(|conn| conn.query_row(count, [], |row| row.get(0))).await.unwrap()
}

#[tokio::test]
async fn the_first_row_claims_the_key_and_a_second_one_gets_none() {
    let house = House::new();
    serve(&house, KEY_ID, b"sealed", GLOBEX).await;
    let first = arrive(&house, sealed_to(KEY_ID)).await.expect("claimed");
    assert_eq!((first.epoch, first.sealed.as_slice()), (20_000, b"sealed".as_slice()));
    assert_eq!(arrive(&house, sealed_to(KEY_ID)).await, None);
    assert_eq!(arrive(&house, sealed_to([8; 16])).await, None, "an epoch key is not claimed");
}

#[tokio::test]
async fn a_key_cannot_be_claimed_by_a_partner_that_it_was_not_served_to() {
    let house = House::new();
    serve(&house, KEY_ID, b"sealed", GLOBEX).await;
    let squatter = NewRow { partner: Some(INITECH.to_owned()), ..sealed_to(KEY_ID) };
    assert_eq!(arrive(&house, squatter).await, None);
    assert!(arrive(&house, sealed_to(KEY_ID)).await.is_some(), "it is still there for its owner");
}

#[tokio::test]
async fn a_row_keeps_its_key_over_a_restart_until_it_ends() {
    let mut house = House::new();
    serve(&house, KEY_ID, b"sealed", GLOBEX).await;
    let row = sealed_to(KEY_ID);
    let id = row.id;
    arrive(&house, row).await;
    house.restart().await;
    let due = house.spool.due(Direction::In, None, NOW, 10, usize::MAX).await.unwrap();
    assert_eq!(due[0].claimed.as_ref().map(|key| key.sealed.as_slice()), Some(b"sealed".as_slice()));
    house.spool.defer(id, later(10), vec![]).await.unwrap();
    assert_eq!(keys(&house).await, 1, "putting off is no end");

    house.spool.settle(Settlement::plain(id, State::Failed, vec![])).await.unwrap();
    assert_eq!(keys(&house).await, 0);
    assert_eq!(arrive(&house, sealed_to(KEY_ID)).await, None, "nobody claims it again");
}

#[tokio::test]
async fn a_duplicate_claims_nothing() {
    let house = House::new();
    let row = sealed_to(KEY_ID);
    assert_eq!(arrive(&house, row.clone()).await, None);
    serve(&house, KEY_ID, b"sealed", GLOBEX).await;
    let again = NewRow { id: RowId::fresh(), ..row };
    assert_eq!(house.spool.arrive(again, vec![]).await, Ok(Arrival::Duplicate));
    assert!(arrive(&house, sealed_to(KEY_ID)).await.is_some());
}

#[tokio::test]
async fn two_processes_never_let_two_rows_claim_one_key() {
    let house = House::new();
    let (beside, guard) = Spool::open_offline(house.path(), SpoolConfig::default()).unwrap();
    for n in 0..20u8 {
        serve(&house, [n; 16], &[n; 64], GLOBEX).await;
        let (here, there) = tokio::join!(
            house.spool.arrive(sealed_to([n; 16]), vec![]),
            beside.arrive(sealed_to([n; 16]), vec![])
        );
        let claims = [here.unwrap(), there.unwrap()]
            .into_iter()
            .filter(|arrival| matches!(arrival, Arrival::Fresh { claimed: Some(_) }));
        assert_eq!(claims.count(), 1, "key {n}");
    }
    guard.close().await;
}

/// Every byte of the database and of its log.
pub(crate) fn octets(house: &House) -> Vec<u8> {
    let log = house.path().with_extension("db-wal");
    [fs::read(house.path()).unwrap(), fs::read(log).unwrap_or_default()].concat()
}

/// How often something of this kind is there.
pub(crate) fn count(octets: &[u8], needle: &[u8]) -> usize {
    octets.windows(needle.len()).filter(|window| *window == needle).count()
}

#[tokio::test]
async fn a_key_that_was_used_is_found_in_no_byte_of_the_file_and_its_log() {
    let house = House::new();
    let mark = b"a sealed one-time key";
    let mut rows = Vec::new();
    // Enough for a tree of several pages, so that keys move between pages before they are deleted.
    for n in 0..200u32 {
        let key_id = u128::from(n.wrapping_mul(0x9E37_79B9)).to_be_bytes();
        let secret = [mark.as_slice(), &n.to_be_bytes(), &[7; 60]].concat();
        serve(&house, key_id, &secret, GLOBEX).await;
        let row = NewRow { body: b"x"[..].into(), ..sealed_to(key_id) };
        rows.push(row.id);
        arrive(&house, row).await.expect("claimed");
    }
    assert!(count(&octets(&house), mark) >= 200, "the test can see what is there");
    for id in &rows {
        house.spool.settle(Settlement::plain(*id, State::Delivered, vec![])).await.unwrap();
    }
    is_wiped(&house, mark).await;
}

/// Nothing of this kind is left in the file and its log, at once or soon.
pub(crate) async fn is_wiped(house: &House, mark: &[u8]) {
    let end = Instant::now() + 10 * WIPE_DELAY;
    loop {
        let left = count(&octets(house), mark);
        if left == 0 {
            break;
        }
        assert!(Instant::now() < end, "{left} of them are left in the file or its log");
        // What the gateway's housekeeping does each second.
        house.spool.data_version().await.unwrap();
        tokio::time::sleep(WIPE_DELAY / 4).await;
    }
}

#[tokio::test]
async fn what_is_destroyed_is_gone_when_the_call_returns() {
    let house = House::new();
    let secret = b"the sealed storage key of a day that is over";
    serve(&house, KEY_ID, secret, GLOBEX).await;
    assert_eq!(count(&octets(&house), secret), 1);
    house.spool.destroy(|conn| conn.execute("DELETE FROM one_time_keys", [])).await.unwrap();
    assert_eq!(count(&octets(&house), secret), 0);
}
