//! The gateway is killed at any moment: what was answered is there, and nothing is there by halves.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateway::spool::{
    Direction, Large, NewRow, Note, PendingReceipt, RowId, Settlement, Spool, SpoolConfig, Stage, State,
    UnixMillis,
};
use uuid::Uuid;

use crate::fixture::{GLOBEX, NOW, arrival, mail};

/// Names the spool that the child works on; without it the child's test does nothing.
const CHILD: &str = "SPOOL_CRASH_CHILD";

const KILLS: u64 = 6;

/// Of each large body.
const CHUNKS: usize = 20;

#[tokio::test]
async fn whatever_was_answered_survives_a_kill_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let mut answered = Vec::new();
    for round in 0..KILLS {
        let before = answered.len();
        answered.extend(run_child_and_kill_it(&path, Duration::from_millis(20 + 37 * round)));
        assert!(answered.len() > before, "the child got nothing done in round {round}");
        check(&path, &answered).await;
    }
}

/// Everything that was answered is there, and every row is whole.
async fn check(path: &Path, answered: &[Answer]) {
    let (spool, guard) =
        Spool::open(path, SpoolConfig { free_bytes_min: 0, ..SpoolConfig::default() }).unwrap();
    for answer in answered {
        match answer {
            Answer::Accepted(id) => {
                let row = spool
                    .by_row_id(*id)
                    .await
                    .unwrap()
                    .unwrap_or_else(|| panic!("{id} was answered and is gone"));
                let stages: Vec<Stage> =
                    spool.journal(*id).await.unwrap().iter().map(|note| note.stage).collect();
                assert_eq!((row.state, stages), (State::Queued, vec![Stage::Received]));
            }
            Answer::Settled(id) => {
                let row = spool
                    .by_row_id(*id)
                    .await
                    .unwrap()
                    .unwrap_or_else(|| panic!("{id} was settled and is gone"));
                assert_eq!(row.state, State::Delivered);
                assert!(spool.seen(key_of(*id)).await.unwrap(), "{id} could be delivered twice");
            }
        }
    }
    let halves = |sql: &'static str| {
        let spool = spool.clone();
        async move { spool.read(move |conn| conn.query_row(sql, [], |row| row.get::<_, i64>(0))).await.unwrap() }
    };
    let without =
        "SELECT count(*) FROM rows WHERE (state < 3) <> EXISTS (SELECT 1 FROM bodies WHERE row = seq)";
    assert_eq!(halves(without).await, 0, "open rows have bodies, ended ones have none");
    let unreceipted = "SELECT (SELECT count(*) FROM rows WHERE state = 3) - (SELECT count(*) FROM receipts)";
    assert_eq!(halves(unreceipted).await, 0, "each end has its receipt");
    let unkeyed = "SELECT (SELECT count(*) FROM rows WHERE state = 3) - (SELECT count(*) FROM replays)";
    assert_eq!(halves(unkeyed).await, 0, "each end has its replay key");
    let miscounted = "SELECT (SELECT count(*) FROM rows) - (SELECT sum(rows) FROM tallies)";
    assert_eq!(halves(miscounted).await, 0, "the counters are true");
    let torn = "SELECT count(*) FROM rows WHERE large IS NOT NULL
                AND (SELECT count(*) FROM chunks WHERE body = large) <> 20";
    assert_eq!((halves(torn).await, CHUNKS), (0, 20), "a row has all of its large body");
    spool.sweep(NOW).await.unwrap();
    let orphans =
        "SELECT count(*) FROM chunks WHERE body NOT IN (SELECT large FROM rows WHERE large IS NOT NULL)";
    assert_eq!(halves(orphans).await, 0, "a large body has a row");
    guard.close().await;
}

enum Answer {
    Accepted(RowId),
    Settled(RowId),
}

/// Starts this very test program as the child, lets it work for a while, kills it, and reads what it had answered.
fn run_child_and_kill_it(path: &Path, after: Duration) -> Vec<Answer> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::the_child_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut answers = Vec::new();
    // The moment of the kill counts from the first answer, however long the start takes.
    while answers.is_empty() {
        answers.extend(parse(&lines.next().expect("the child ended by itself")));
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    answers.extend(lines.filter_map(|line| parse(&line)));
    answers
}

fn parse(line: &str) -> Option<Answer> {
    let (word, id) = line.split_once(' ')?;
    let id = RowId(id.parse::<Uuid>().ok()?);
    match word {
        "accepted" => Some(Answer::Accepted(id)),
        "settled" => Some(Answer::Settled(id)),
        _ => None,
    }
}

/// Not a test of its own: the process that the test above kills.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_that_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let config = SpoolConfig { free_bytes_min: 0, ..SpoolConfig::default() };
    let (spool, _guard) = Spool::open(path, config).unwrap();
    let mut workers: Vec<_> =
        (0..8).map(|worker| tokio::spawn(work(spool.clone(), worker % 2 == 0))).collect();
    workers.push(tokio::spawn(work_on_large_mail(spool.clone())));
    for worker in workers {
        worker.await.unwrap();
    }
}

/// Accepts for ever, or receives and settles for ever, and says so only after the answer.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn work(spool: Spool, accepts: bool) {
    loop {
        if accepts {
            let row = mail();
            let id = row.id;
            let note = Note::new(NOW, Stage::Received, "");
            spool.accept(vec![row], vec![(id, note)]).await.unwrap();
            println!("accepted {id}");
        } else {
            let row = NewRow { leased: true, direction: Direction::In, ..arrival() };
            let id = row.id;
            spool.arrive(row, vec![]).await.unwrap();
            let receipt = PendingReceipt { partner: GLOBEX.to_owned(), sealed_receipt: vec![7; 300] };
            let note = Note::new(UnixMillis(NOW.0 + 1), Stage::Delivered, "");
            let end = Settlement {
                replay_key: Some(key_of(id)),
                receipt: Some(receipt),
                ..Settlement::plain(id, State::Delivered, vec![note])
            };
            spool.settle(end).await.unwrap();
            println!("settled {id}");
        }
    }
}

/// Writes large bodies for ever, each with its row, and says so only after the row is kept.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn work_on_large_mail(spool: Spool) {
    loop {
        let mut draft = spool.draft();
        for _ in 0..CHUNKS {
            draft.put(vec![3; 9_000].into()).await.unwrap();
        }
        let row = NewRow { large: Some(Large::Kept(draft.whole().await.unwrap())), ..mail() };
        let (id, note) = (row.id, Note::new(NOW, Stage::Received, ""));
        spool.accept(vec![row], vec![(id, note)]).await.unwrap();
        println!("accepted {id}");
    }
}

fn key_of(id: RowId) -> [u8; 32] {
    crate::fixture::digest_of(id.0)
}
