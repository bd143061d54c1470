//! The file, its neighbours and its guards.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use gateway::spool::{Direction, Spool, SpoolConfig, SpoolError};

use crate::fixture::{House, NOW, mail};

#[tokio::test]
async fn only_the_gateway_can_read_its_spool() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var/lib/gateway.db");
    let (spool, guard) = Spool::open(&path, SpoolConfig::default()).unwrap();
    spool.write(|conn| conn.execute("INSERT INTO settings VALUES ('a', x'00')", [])).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["gateway.db", "gateway.db-wal", "gateway.db-shm", "gateway.lock"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    guard.close().await;
}

#[tokio::test]
async fn a_directory_that_is_open_to_others_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let (_spool, _guard) = Spool::open(dir.path().join("gateway.db"), SpoolConfig::default()).unwrap();
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_shared_directory_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
    let refused = Spool::open(dir.path().join("gateway.db"), SpoolConfig::default()).err().unwrap();
    assert_eq!(refused, SpoolError::SharedDirectory { path: dir.path().to_path_buf() });
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777, 0o1777);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn two_gateways_never_work_on_one_spool_but_the_command_line_may_write_beside_one() {
    let house = House::new();
    let second = Spool::open(house.path(), SpoolConfig::default()).err().unwrap();
    assert!(matches!(second, SpoolError::InUse { .. }), "{second}");

    let (cli, guard) = Spool::open_offline(house.path(), SpoolConfig::default()).unwrap();
    let before = house.spool.data_version().await.unwrap();
    house.keep(mail()).await;
    assert_eq!(house.spool.data_version().await.unwrap(), before, "our own writes are no news");
    cli.write(|conn| conn.execute("INSERT INTO settings VALUES ('partner', x'01')", [])).await.unwrap();
    guard.close().await;
    assert_ne!(house.spool.data_version().await.unwrap(), before, "another process has written");
    let found: Vec<u8> = house
        .spool
        .read(|conn| conn.query_row("SELECT value FROM settings", [], |row| row.get(0)))
        .await
        .unwrap();
    assert_eq!(found, [1]);
    assert_eq!(house.due_ids(Direction::Out, NOW).await.len(), 1);
}

#[tokio::test]
async fn a_spool_of_a_newer_gateway_is_not_touched() {
    let house = House::new();
    let path = house.path();
    house.spool.write(|conn| conn.pragma_update(None, "user_version", 99)).await.unwrap();
    let refused = Spool::open_offline(path, SpoolConfig::default()).err().unwrap();
    assert!(matches!(refused, SpoolError::SchemaNewer { found: 99, .. }), "{refused}");
}

#[tokio::test]
async fn a_file_of_another_program_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let text = dir.path().join("text.db");
    fs::write(&text, "Dear diary, this is not a database at all. ".repeat(30)).unwrap();
    for path in [other, text] {
        let before = fs::read(&path).unwrap();
        let refused = Spool::open(&path, SpoolConfig::default()).err().unwrap();
        assert_eq!(refused, SpoolError::NotASpool { path: path.clone() });
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn every_commit_is_synced_and_foreign_keys_hold() {
    let house = House::new();
    let pragma = async |name: &'static str| -> i64 {
        house.spool.write(move |conn| conn.pragma_query_value(None, name, |row| row.get(0))).await.unwrap()
    };
    assert_eq!(pragma("synchronous").await, 2, "FULL");
    assert_eq!(pragma("foreign_keys").await, 1);
    assert_eq!(pragma("page_size").await, 4096);
    let orphan =
        house.spool.write(|conn| conn.execute("INSERT INTO bodies VALUES (77, NULL, x'00')", [])).await;
    assert!(matches!(orphan, Err(SpoolError::Refused(_))), "{orphan:?}");
}

#[tokio::test]
async fn a_look_up_cannot_write() {
    let house = House::new();
    let refused = house.spool.read(|conn| conn.execute("DELETE FROM rows", [])).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_clean_end_leaves_one_file_and_no_log() {
    let mut house = House::new();
    house.keep(mail()).await;
    let wal = house.path().with_file_name("gateway.db-wal");
    assert!(fs::metadata(&wal).unwrap().len() > 0);
    house.restart().await;
    assert_eq!(fs::metadata(&wal).map_or(0, |it| it.len()), 0);
}
