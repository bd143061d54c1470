//! What a thief took away.

use std::fs;
use std::path::{Path, PathBuf};

use dccp::UnixMillis;
use dccp::seal::{SealedMessage, unseal};
use gateway::config::Config;
use gateway::custody::Custody;
use gateway::spool::Direction;
use tempfile::TempDir;
use tests::mallory::now;
use tests::site::Site;

use crate::open;

/// A folder of a gateway that somebody took away: configuration, keys and data.
pub(crate) struct Loot(TempDir);

impl Loot {
    pub(crate) fn of(site: &Site) -> Loot {
        site.at_one_moment(|| Loot::of_folder(site.folder()))
    }

    fn of_folder(folder: &Path) -> Loot {
        let loot = Loot(tempfile::tempdir().expect("a folder"));
        copy(folder, loot.0.path());
        let text = fs::read_to_string(loot.config_path()).expect("a configuration");
        let (there, here) = (folder.display().to_string(), loot.0.path().display().to_string());
        fs::write(loot.config_path(), text.replace(&there, &here)).expect("written");
        loot
    }

    /// The same once more, to live on elsewhere.
    pub(crate) fn copied(&self) -> Loot {
        Loot::of_folder(self.0.path())
    }

    /// The same with the data directory of another day.
    pub(crate) fn with_data(self, of: &Loot) -> Loot {
        fs::remove_dir_all(self.data()).expect("removed");
        copy(&of.data(), &self.data());
        self
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn config_path(&self) -> PathBuf {
        self.0.path().join("dccp-config.yaml")
    }

    fn config(&self) -> Config {
        Config::load(&self.config_path()).expect("a configuration")
    }

    /// What the gateway itself would do here at `at`, its daily work included.
    pub(crate) async fn live_on(&self, at: UnixMillis) {
        let (spool, guard) = open(&self.config());
        Custody::load(&self.config(), &spool, at).await.expect("the gateway starts");
        guard.close().await;
    }

    /// Whether any key in here opens the message.
    pub(crate) async fn opens(&self, sealed: &SealedMessage) -> bool {
        let (spool, guard) = open(&self.config());
        let custody = Custody::open(&self.config(), now()).expect("key files");
        custody.take_stored_prekeys(now(), &spool).await.expect("what is stored");
        let device = custody.own_device().kem.key_id();
        let keys = [custody.device_kem(&sealed.key_id()), custody.device_kem(&device)];
        let claimed =
            spool.due(Direction::In, None, UnixMillis(u64::MAX >> 1), 100, usize::MAX).await.expect("rows");
        let mut opens = keys.into_iter().flatten().any(|key| unseal(sealed, &key).is_ok());
        for row in claimed {
            let key =
                custody.opening_key(&sealed.key_id(), row.claimed.as_ref(), &spool).await.expect("a look");
            opens |= key.is_some_and(|(key, _)| unseal(sealed, &key).is_ok());
        }
        guard.close().await;
        opens
    }
}

/// Everything under a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let there = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &there),
            false => drop(fs::copy(entry.path(), there).expect("copied")),
        }
    }
}
