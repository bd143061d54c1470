//! The user file: who may submit mail, as whom, and how they prove who they are.
//!
//! ```text
//! users:
//!   - name: alice
//!     addresses: [alice@acme.test, info@acme.test]
//!     password: $argon2id$v=19$…
//!     scram: SCRAM-SHA-256$600000:…
//!     tokens: [{name: laptop, hash: sha256:…, until_ms: 1795435200000}]
//! ```
//!
//! It is read whole and replaced whole, so that whoever reads it sees one state; those who change it wait for each other at a
//! lock on its folder.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dccp::UnixMillis;
use keystore::durable;
use serde::{Deserialize, Serialize};

use super::User;
use super::entry::{Entry, WrittenEntry};
use super::token::TokenHash;

/// Some ten thousand users; whoever has more has a directory.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

const HEAD: &str = "\
# Who may submit mail, and as whom. Written by `dccp-gateway user`; the gateway reads it anew when it changes.
# The passwords themselves are not in here, but whoever reads this file can begin to guess them: keep its mode 0600.
";

/// The file at one moment.
#[derive(Clone, Default)]
pub struct UserFile {
    entries: Vec<Entry>,
}

/// Tells one state of the file from another without reading it. A replaced file has another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Why the file cannot be used or changed. Never contains a part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum UserFileError {
    /// There is somebody of this name.
    #[error("there is a user {0} already; `user passwd {0}` changes the password")]
    Taken(String),
    /// There is nobody of this name.
    #[error("there is no user {0}")]
    Nobody(String),
    /// A name that no client could send, or that could be read in two ways.
    #[error(
        "`{0}` is no name for a user or a token: printable characters without spaces, at most 254 octets"
    )]
    Name(String),
    /// Others on this machine may read it.
    #[error("{path} may be read by others (mode {mode:04o}); run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not what this program writes.
    #[error("{path}: {why}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// The person has a token of this name.
    #[error("{user} has a token {token} already; give this one another name, or revoke that one")]
    TokenTaken {
        /// The person.
        user: String,
        /// The name of the token.
        token: String,
    },
    /// The person has no token of this name.
    #[error("{user} has no token {token}; `user token list {user}` shows all")]
    NoToken {
        /// The person.
        user: String,
        /// The name of the token.
        token: String,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

impl UserFile {
    /// Reads the file. One that does not exist is empty: nobody was added yet.
    ///
    /// # Errors
    /// [`UserFileError`]; an entry that cannot be understood makes the whole file unusable, because it may be the one that
    /// was locked out.
    pub(super) fn read(path: &Path) -> Result<(UserFile, Option<Stamp>), UserFileError> {
        let io = |source| UserFileError::Io { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((UserFile::default(), None)),
            file => file.map_err(io)?,
        };
        // Asks the opened file, not its name: the name may point elsewhere a moment later.
        let metadata = file.metadata().map_err(io)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(UserFileError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(io)?;
        let shape = |why| UserFileError::Shape { path: path.to_owned(), why };
        if read as u64 > FILE_BYTES_MAX {
            return Err(shape(format!("is larger than {FILE_BYTES_MAX} octets")));
        }
        Ok((UserFile::parse(&text).map_err(shape)?, Some(Stamp::of(&metadata))))
    }

    /// The file as it is now; an empty one if there is none.
    ///
    /// # Errors
    /// [`UserFileError`].
    pub fn load(path: &Path) -> Result<UserFile, UserFileError> {
        UserFile::read(path).map(|(file, _)| file)
    }

    /// Changes the file: reads it, lets `change` work on it, and puts the new one in its place, mode 0600.
    ///
    /// # Errors
    /// [`UserFileError`], also that of `change`; the file is then as it was.
    pub fn change<T>(
        path: &Path,
        change: impl FnOnce(&mut UserFile) -> Result<T, UserFileError>,
    ) -> Result<T, UserFileError> {
        let io = |source| UserFileError::Io { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The folder, because the file itself is replaced. The lock ends with the handle.
        let folder = File::open(folder).map_err(io)?;
        folder.lock().map_err(io)?;
        let (mut file, _) = UserFile::read(path)?;
        let done = change(&mut file)?;
        durable::replace(path, file.to_text().as_bytes(), 0o600).map_err(io)?;
        Ok(done)
    }

    /// The person of this name.
    ///
    /// # Errors
    /// [`UserFileError::Nobody`].
    pub fn entry(&self, name: &str) -> Result<&Entry, UserFileError> {
        let canonical = User::canonical(name);
        let entry = self.entries.iter().find(|entry| entry.user().name() == canonical);
        entry.ok_or_else(|| UserFileError::Nobody(name.to_owned()))
    }

    /// Everybody.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.entries.iter().map(Entry::user)
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// [`UserFileError::Taken`].
    pub fn add(&mut self, entry: Entry) -> Result<(), UserFileError> {
        if self.entry(entry.user().name()).is_ok() {
            return Err(UserFileError::Taken(entry.user().name().to_owned()));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Gives somebody another password.
    ///
    /// # Errors
    /// [`UserFileError::Nobody`].
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<(), UserFileError> {
        self.entry_mut(name)?.set_password(password);
        Ok(())
    }

    /// The person of this name, to be changed.
    ///
    /// # Errors
    /// [`UserFileError::Nobody`].
    pub fn entry_mut(&mut self, name: &str) -> Result<&mut Entry, UserFileError> {
        let canonical = User::canonical(name);
        let entry = self.entries.iter_mut().find(|entry| entry.user().name() == canonical);
        entry.ok_or_else(|| UserFileError::Nobody(name.to_owned()))
    }

    /// Whoever has this token, if it counts at `now`.
    pub(super) fn bearer(&self, token: &str, now: UnixMillis) -> Option<&User> {
        let digest = TokenHash::of(token);
        self.entries.iter().find(|entry| entry.holds(&digest, now)).map(Entry::user)
    }

    /// Removes somebody.
    ///
    /// # Errors
    /// [`UserFileError::Nobody`].
    pub fn remove(&mut self, name: &str) -> Result<(), UserFileError> {
        let gone = self.entry(name)?.user().name().to_owned();
        self.entries.retain(|entry| entry.user().name() != gone);
        Ok(())
    }

    fn parse(text: &str) -> Result<UserFile, String> {
        if text.trim().is_empty() {
            return Ok(UserFile::default());
        }
        let written: Written = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut file = UserFile::default();
        for entry in written.users {
            let name = entry.name.clone();
            let entry = entry.read().map_err(|why| format!("user {name}: {why}"))?;
            file.add(entry).map_err(|_| format!("user {name} stands there twice"))?;
        }
        Ok(file)
    }

    fn to_text(&self) -> String {
        let written = Written { users: self.entries.iter().map(WrittenEntry::of).collect() };
        // Serialising these plain structs to memory has no failing case.
        HEAD.to_owned() + &serde_saphyr::to_string(&written).unwrap_or_default()
    }
}

impl Stamp {
    /// Of the file as it is now; `None` if there is none.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn now(path: &Path) -> io::Result<Option<Stamp>> {
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            metadata => metadata.map(|metadata| Some(Stamp::of(&metadata))),
        }
    }

    fn of(metadata: &std::fs::Metadata) -> Stamp {
        Stamp {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The file as YAML has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    users: Vec<WrittenEntry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Entry {
        let addresses = ["Alice@acme.test".to_owned(), "info@acme.test".to_owned()];
        Entry::new(User::new("Alice", addresses).unwrap(), "correct horse")
    }

    fn file_with_alice(folder: &Path) -> PathBuf {
        let path = folder.join("users.yaml");
        UserFile::change(&path, |file| file.add(alice())).unwrap();
        path
    }

    #[test]
    fn whoever_is_added_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_with_alice(folder.path());
        let (file, _) = UserFile::read(&path).unwrap();
        let entry = file.entry("aLICE").unwrap();
        assert_eq!(entry.user().addresses(), ["alice@acme.test", "info@acme.test"]);
        assert!(entry.has_password("correct horse"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_name_is_given_once_and_taken_away_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_with_alice(folder.path());
        let again = UserFile::change(&path, |file| file.add(alice()));
        assert!(matches!(again, Err(UserFileError::Taken(name)) if name == "alice"));
        UserFile::change(&path, |file| file.remove("alice")).ok().unwrap();
        let gone = UserFile::change(&path, |file| file.set_password("alice", "another one"));
        assert!(matches!(gone, Err(UserFileError::Nobody(_))));
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_with_alice(folder.path());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(UserFile::read(&path), Err(UserFileError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn one_entry_that_is_not_understood_closes_the_whole_file() {
        let right = UserFile { entries: vec![alice()] }.to_text();
        assert!(UserFile::parse(&right).is_ok());
        for (from, to) in [("password:", "passwd:"), ("$argon2id", "$argon2i"), ("name: alice", "name: a b")]
        {
            assert!(right.contains(from), "{right}");
            assert!(UserFile::parse(&right.replace(from, to)).is_err(), "{to}");
        }
        let twice = UserFile { entries: vec![alice(), alice()] }.to_text();
        assert_eq!(UserFile::parse(&twice).err().unwrap(), "user alice stands there twice");
    }

    #[test]
    fn no_file_and_an_empty_one_mean_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (file, stamp) = UserFile::read(&folder.path().join("users.yaml")).unwrap();
        assert!(file.entries.is_empty() && stamp.is_none());
        assert!(UserFile::parse("").unwrap().entries.is_empty());
    }

    #[test]
    fn two_who_change_it_at_once_both_have_their_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yaml");
        let entry = alice();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (path, user) = (&path, User::new(&format!("user{number}"), []).unwrap());
                let entry = entry.of_another(user);
                scope.spawn(move || UserFile::change(path, |file| file.add(entry)).unwrap());
            }
        });
        assert_eq!(UserFile::read(&path).unwrap().0.entries.len(), 8);
    }

    #[test]
    fn a_changed_file_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_with_alice(folder.path());
        let before = Stamp::now(&path).unwrap();
        assert_eq!(UserFile::read(&path).unwrap().1, before);
        UserFile::change(&path, |file| file.set_password("alice", "another one")).unwrap();
        assert_ne!(Stamp::now(&path).unwrap(), before);
    }
}
