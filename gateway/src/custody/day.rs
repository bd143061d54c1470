//! The day key: the one key file that is replaced every day, so that yesterday's database is closed to today's keys.
//!
//! ```text
//! keys/day.key = Vault(keys.storage, "day-key", epoch ‖ uses ‖ day key ‖ the next one, while it is taken into use)
//! ```
//!
//! It has to lie outside the database: whoever copies the whole data directory yesterday and every key file today has
//! yesterday's sealed storage keys and today's day key, and these do not belong together. Replacing it takes three steps,
//! each durable before the next, so that a crash at any point leaves a file and a database that belong together:
//! write `old, next`; seal the storage keys anew under `next` (one transaction); write `next` alone.
//!
//! The file also remembers, to the minute, how many one-time keys were used up: a database that counts less comes out of
//! a backup. It may have keys that were used since, so all its one-time keys are destroyed: a copy of a message that was
//! delivered is then sealed to a key that nobody has.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::Rng;
use zeroize::Zeroizing;

use keystore::keyfile::KeyFileError;

use super::{CustodyError, Vault};

/// Its name, beside `keys.storage`.
const NAME: &str = "day.key";

const PURPOSE: &str = "day-key";
const NUMBER_BYTES: usize = 8;
const KEY_BYTES: usize = 32;

/// The longest of our files has far fewer bytes; more is another file.
const FILE_BYTES_MAX: u64 = 4096;

/// The file. Only one process may change it at a time: whoever holds the write lock of the database.
#[derive(Clone)]
pub(super) struct DayFile {
    path: PathBuf,
    vault: Arc<Vault>,
}

/// What the file says. Has no `Debug`.
pub(super) struct Days {
    /// The day on which the last of its keys was made.
    pub(super) epoch: u64,
    /// One-time keys that were used up, as far as the file knows.
    pub(super) uses: u64,
    /// The key in use, or the last one before `next`.
    pub(super) current: DayKey,
    /// The key that is being taken into use.
    pub(super) next: Option<DayKey>,
}

/// Seals storage keys for a day.
#[derive(Clone)]
pub(super) struct DayKey(Zeroizing<[u8; KEY_BYTES]>);

impl DayKey {
    pub(super) fn fresh() -> DayKey {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rand::rng().fill_bytes(key.as_mut());
        DayKey(key)
    }

    pub(super) fn vault(&self) -> Vault {
        Vault::new(self.0.clone())
    }
}

impl Days {
    /// The keys under which a storage key may rest, the newest first.
    pub(super) fn keys(&self) -> impl Iterator<Item = &DayKey> {
        self.next.iter().chain([&self.current])
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut clear = Zeroizing::new([self.epoch.to_be_bytes(), self.uses.to_be_bytes()].concat());
        clear.extend_from_slice(self.current.0.as_ref());
        self.next.iter().for_each(|next| clear.extend_from_slice(next.0.as_ref()));
        clear
    }

    fn decode(clear: &[u8]) -> Option<Days> {
        let (epoch, rest) = clear.split_first_chunk::<NUMBER_BYTES>()?;
        let (uses, keys) = rest.split_first_chunk::<NUMBER_BYTES>()?;
        let (current, rest) = keys.split_first_chunk::<KEY_BYTES>()?;
        let key = |bytes: &[u8; KEY_BYTES]| DayKey(Zeroizing::new(*bytes));
        let next = match rest {
            [] => None,
            rest => Some(key(rest.try_into().ok()?)),
        };
        let (epoch, uses) = (u64::from_be_bytes(*epoch), u64::from_be_bytes(*uses));
        Some(Days { epoch, uses, current: key(current), next })
    }
}

impl DayFile {
    /// The file beside the storage key at `storage`, sealed under it.
    pub(super) fn beside(storage: &Path, vault: Arc<Vault>) -> DayFile {
        DayFile { path: storage.with_file_name(NAME), vault }
    }

    /// What it says; `None` when there is none yet.
    ///
    /// # Errors
    /// [`CustodyError::Prekeys`] when it was sealed under another storage key, otherwise the file system's.
    pub(super) fn read(&self) -> Result<Option<Days>, CustodyError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let sealed = self.read_open(file)?;
        let clear = self.vault.open(PURPOSE, &sealed).map_err(|_| CustodyError::Prekeys)?;
        Ok(Some(Days::decode(&clear).ok_or(CustodyError::Prekeys)?))
    }

    fn read_open(&self, file: File) -> Result<Vec<u8>, CustodyError> {
        let mode = file.metadata().map_err(|error| self.failed(error))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: self.path.clone(), mode }.into());
        }
        let mut sealed = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut sealed).map_err(|error| self.failed(error))?;
        Ok(sealed)
    }

    /// Replaces what it says: on disk when this returns, whole or not at all.
    ///
    /// # Errors
    /// The file system's; the file then says what it said before, or `days`.
    pub(super) fn write(&self, days: &Days) -> Result<(), CustodyError> {
        self.replace(&self.vault.seal(PURPOSE, &days.encode())).map_err(|error| self.failed(error))
    }

    fn replace(&self, sealed: &[u8]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        // Left there by a crash; nothing depends on it before it has its name.
        _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(sealed)?;
        file.sync_all()?;
        let before = OpenOptions::new().write(true).open(&self.path).ok();
        fs::rename(&fresh, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        // The old file has no name any more. What it said is overwritten too, as far as the disk lets us.
        before.map_or(Ok(()), |old| overwrite(old, sealed.len()))
    }

    fn failed(&self, source: io::Error) -> CustodyError {
        CustodyError::Io { path: self.path.clone(), source }
    }
}

fn overwrite(mut file: File, bytes: usize) -> io::Result<()> {
    let length = file.metadata()?.len().max(bytes as u64);
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, DayFile) {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::new(Zeroizing::new([7; 32])));
        let file = DayFile::beside(&folder.path().join("storage.key"), vault);
        (folder, file)
    }

    #[test]
    fn what_was_written_is_read_and_replaced() {
        let (_folder, file) = file();
        assert!(file.read().unwrap().is_none());
        let (first, second) = (DayKey::fresh(), DayKey::fresh());
        file.write(&Days { epoch: 1, uses: 0, current: first.clone(), next: Some(second.clone()) }).unwrap();
        let days = file.read().unwrap().unwrap();
        assert_eq!(
            (days.epoch, &days.current.0, days.next.as_ref().map(|key| &key.0)),
            (1, &first.0, Some(&second.0))
        );
        file.write(&Days { epoch: 2, uses: 7, current: second.clone(), next: None }).unwrap();
        let days = file.read().unwrap().unwrap();
        assert_eq!((days.epoch, days.uses, &days.current.0, days.next.is_none()), (2, 7, &second.0, true));
    }

    #[test]
    fn the_key_that_was_replaced_is_overwritten_where_it_lay() {
        let (folder, file) = file();
        file.write(&Days { epoch: 1, uses: 0, current: DayKey::fresh(), next: None }).unwrap();
        let held = folder.path().join("held");
        fs::hard_link(&file.path, &held).unwrap();
        file.write(&Days { epoch: 2, uses: 7, current: DayKey::fresh(), next: None }).unwrap();
        assert!(fs::read(held).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_file_of_another_house_or_open_to_others_is_refused() {
        let (_folder, file) = file();
        file.write(&Days { epoch: 1, uses: 0, current: DayKey::fresh(), next: None }).unwrap();
        let other = DayFile { vault: Arc::new(Vault::new(Zeroizing::new([8; 32]))), ..file.clone() };
        assert!(matches!(other.read(), Err(CustodyError::Prekeys)));
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(file.read(), Err(CustodyError::KeyFile(KeyFileError::Exposed { .. }))));
    }
}
