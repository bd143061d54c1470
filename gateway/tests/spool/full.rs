//! When the disk has no room, or fails.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use gateway::spool::{Arrival, Direction, NewRow, Settlement, Spool, SpoolConfig, SpoolError, State};

use crate::fixture::{House, NOW, arrival, mail};
use crate::moves::tallies_are_true;

#[tokio::test]
async fn a_nearly_full_disk_refuses_new_mail_and_still_finishes_the_old() {
    let mut house = House::new();
    let old = house.keep(mail()).await;
    house.restart_with(SpoolConfig { free_bytes_min: u64::MAX, ..SpoolConfig::default() }).await;
    assert_eq!(
        house.spool.accept(vec![NewRow { leased: true, ..mail() }], vec![]).await,
        Err(SpoolError::Full)
    );
    assert_eq!(house.spool.arrive(arrival(), vec![]).await, Err(SpoolError::Full));
    assert_eq!(house.spool.stats().refused_full, 2);
    assert_eq!(house.spool.leased(), 0);
    let report = NewRow { kind: gateway::spool::Kind::Report, ..arrival() };
    let end = Settlement { new_rows: vec![report], ..Settlement::plain(old, State::Failed, vec![]) };
    house.spool.settle(end).await.unwrap();
    assert_eq!(house.state(old).await, State::Failed);
}

#[tokio::test]
async fn receipts_still_arrive_when_mail_does_not_so_that_the_disk_can_empty() {
    let mut house = House::new();
    let free = disk_free(&house);
    house
        .restart_with(SpoolConfig { free_bytes_min: free.saturating_mul(2), ..SpoolConfig::default() })
        .await;
    assert_eq!(house.spool.arrive(arrival(), vec![]).await, Err(SpoolError::Full));
    assert_eq!(house.spool.arrive_control(arrival(), vec![]).await, Ok(Arrival::Fresh { claimed: None }));
    house.restart_with(SpoolConfig { free_bytes_min: u64::MAX, ..SpoolConfig::default() }).await;
    assert_eq!(house.spool.arrive_control(arrival(), vec![]).await, Err(SpoolError::Full));
}

fn disk_free(house: &House) -> u64 {
    let stat = rustix::fs::statvfs(house.path().parent().expect("a folder")).expect("a file system");
    stat.f_bavail * stat.f_frsize
}

#[tokio::test]
async fn a_full_database_answers_full_and_recovers_when_room_returns() {
    let house = House::new();
    let kept = house.keep(mail()).await;
    limit_pages(&house.spool, 60).await;
    let big = || NewRow { body: Bytes::from(vec![1; 1 << 20]), leased: true, ..mail() };
    for _ in 0..3 {
        assert_eq!(house.spool.accept(vec![big()], vec![]).await, Err(SpoolError::Full));
    }
    assert_eq!(house.spool.leased(), 0, "a refused mail is in nobody's hands");
    let stats = house.spool.stats();
    assert_eq!(
        (stats.refused_full, stats.last_error.as_deref()),
        (3, Some("the spool has no room for more mail"))
    );

    limit_pages(&house.spool, 1 << 30).await;
    let row = NewRow { leased: false, ..big() };
    let fresh = house.keep(row).await;
    assert_eq!(house.due_ids(Direction::Out, NOW).await, [kept, fresh]);
    tallies_are_true(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_disk_fills_in_the_middle_of_a_batch_all_of_it_is_refused_and_none_of_it_kept() {
    let house = House::new();
    limit_pages(&house.spool, 60).await;
    let (release, busy) = house.occupy_writer().await;
    let rows: Vec<NewRow> = vec![mail(), NewRow { body: Bytes::from(vec![1; 1 << 20]), ..mail() }, mail()];
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let accepts: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let spool = house.spool.clone();
            tokio::spawn(async move { spool.accept(vec![row], vec![]).await })
        })
        .collect();
    // All three are in the channel when the writer is let go: it takes them together.
    while house.spool.jobs_waiting() < 3 {
        tokio::task::yield_now().await;
    }
    drop(release);
    busy.await.unwrap().unwrap();
    for accept in accepts {
        assert_eq!(accept.await.unwrap(), Err(SpoolError::Full));
    }
    for id in ids {
        assert_eq!(house.spool.by_row_id(id).await, Ok(None));
    }
    tallies_are_true(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_disk_sinks_its_batch_and_not_the_next_one() {
    let house = House::new();
    let fails = |conn: &rusqlite::Connection| -> rusqlite::Result<()> {
        conn.execute("INSERT INTO settings VALUES ('half', x'00')", [])?;
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
        Err(rusqlite::Error::SqliteFailure(error, Some("disk I/O error".to_owned())))
    };
    let (release, busy) = house.occupy_writer().await;
    let spool = house.spool.clone();
    let beside = NewRow { leased: true, ..mail() };
    let (id, row) = (beside.id, beside.clone());
    let accept = tokio::spawn(async move { spool.accept(vec![row], vec![]).await });
    while house.spool.jobs_waiting() < 1 {
        tokio::task::yield_now().await;
    }
    let spool = house.spool.clone();
    let failing = tokio::spawn(async move { spool.write(fails).await });
    while house.spool.jobs_waiting() < 2 {
        tokio::task::yield_now().await;
    }
    drop(release);
    busy.await.unwrap().unwrap();
    assert!(matches!(accept.await.unwrap(), Err(SpoolError::Io(_))), "it cannot be promised");
    assert!(matches!(failing.await.unwrap(), Err(SpoolError::Io(_))));
    assert_eq!((house.spool.by_row_id(id).await, house.spool.leased()), (Ok(None), 0));

    house.spool.accept(vec![beside], vec![]).await.unwrap();
    assert_eq!(house.state(id).await, State::Queued);
    tallies_are_true(&house).await;
}

/// Needs root for the mount; elsewhere the page limit above stands for it.
#[tokio::test]
async fn a_real_disk_that_is_full_loses_nothing_that_was_promised() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path().join("spool/gateway.db");
    let config = SpoolConfig { free_bytes_min: 0, ..SpoolConfig::default() };
    let (spool, guard) = Spool::open(&path, config.clone()).unwrap();
    let mut kept = Vec::new();
    let refused = loop {
        let row = NewRow { body: Bytes::from(vec![2; 50_000]), ..mail() };
        let id = row.id;
        match spool.accept(vec![row], vec![]).await {
            Ok(()) => kept.push(id),
            Err(error) => break error,
        }
    };
    assert!(refused.is_temporary(), "{refused}");
    assert_eq!(refused, SpoolError::Full);
    assert!(kept.len() > 10, "{}", kept.len());

    disk.resize("64m");
    let row = mail();
    kept.push(row.id);
    spool.accept(vec![row], vec![]).await.unwrap();
    guard.close().await;
    let (spool, guard) = Spool::open(&path, config).unwrap();
    let due = spool.due(Direction::Out, None, NOW, 1_000, usize::MAX).await.unwrap();
    assert_eq!(due.iter().map(|due| due.row.id).collect::<Vec<_>>(), kept);
    let sound: String =
        spool.read(|conn| conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))).await.unwrap();
    assert_eq!(sound, "ok");
    guard.close().await;
}

pub(crate) async fn limit_pages(spool: &Spool, pages: u32) {
    spool
        .write(move |conn| {
            conn.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
        })
        .await
        .unwrap();
}

/// A disk of two megabytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done = run(&["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"], dir.path());
        done.then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn resize(&self, size: &str) {
        assert!(run(&["mount", "-o", &format!("remount,size={size}")], self.path()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: on a failing test the spool may still be open.
        run(&["umount", "-l"], self.path());
    }
}

fn run(command: &[&str], path: &Path) -> bool {
    Command::new(command[0]).args(&command[1..]).arg(path).output().is_ok_and(|done| done.status.success())
}
