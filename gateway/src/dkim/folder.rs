//! Key pairs on disk.
//!
//! ```text
//! keys/dkim/<domain>/<selector>.key      Vault(keys.storage, domain ‖ 0 ‖ selector ‖ 0 ‖ secret)
//!                    signing             the selector of the pair that signs
//!                    <selector>.retired  when another one took over, in milliseconds since 1970
//! ```
//!
//! Selectors are ordered by time, so what is newer than the one that signs is waiting and what is older is over.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dccp::UnixMillis;
use keystore::durable;
use smtp::authenticity::{KeyError, KeyPair};
use zeroize::Zeroizing;

use crate::custody::Vault;

/// Its name, beside `keys.storage`.
const NAME: &str = "dkim";

const PURPOSE: &str = "dkim-key";
const SIGNING: &str = "signing";

/// A sealed pair has about 1,400 octets; more is another file.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Pairs made for one domain on one day: more is a script that runs wild.
const PER_DAY_MAX: usize = 20;

/// Why key pairs cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DkimError {
    /// The person's who asked.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The person's who asked.
    #[error("{PER_DAY_MAX} key pairs were made for {0} today; wait until tomorrow")]
    TooMany(String),
    /// Somebody altered it, renamed it, or it was sealed under another storage key.
    #[error("{} does not open: it was altered or renamed, or sealed under another storage key", .0.display())]
    Altered(PathBuf),
    /// The machine's.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// From the operating system.
        source: io::Error,
    },
}

/// The folder of all pairs. Cheap to clone; two processes may use it, one of which signs.
#[derive(Clone)]
pub struct KeyFolder {
    path: PathBuf,
    vault: Arc<Vault>,
}

/// The pairs of one domain.
pub struct Pairs {
    /// The one that signs; none before the first was visible.
    pub signing: Option<KeyPair>,
    /// Newer ones, the newest last.
    pub waiting: Vec<KeyPair>,
    /// Older ones.
    pub retired: Vec<Retired>,
}

/// A pair whose private keys are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Its name.
    pub selector: String,
    /// Since when.
    pub at: UnixMillis,
}

impl KeyFolder {
    /// The folder beside the storage key at `storage`, its files sealed under it. Need not exist.
    pub fn beside(storage: &Path, vault: Arc<Vault>) -> KeyFolder {
        KeyFolder { path: storage.with_file_name(NAME), vault }
    }

    /// Every domain that has pairs, in order.
    ///
    /// # Errors
    /// [`DkimError::Io`].
    pub fn domains(&self) -> Result<Vec<String>, DkimError> {
        names_in(&self.path)
    }

    /// Makes a pair that waits; `day` (as `20261123`) begins its selector.
    ///
    /// # Errors
    /// See [`DkimError`].
    pub fn add(&self, domain: &str, day: &str) -> Result<KeyPair, DkimError> {
        let domain = domain.to_ascii_lowercase();
        let folder = self.path.join(&domain);
        let secret = KeyPair::generate()?;
        // Checks the names before anything is written under them.
        KeyPair::of_secret(&domain, &selector(day, 0), &secret)?;
        fs::create_dir_all(&folder).map_err(|source| io(&folder, source))?;
        for number in 0..PER_DAY_MAX {
            let selector = selector(day, number);
            let pair = KeyPair::of_secret(&domain, &selector, &secret)?;
            let clear = Zeroizing::new([tag(&domain, &selector).as_slice(), &secret].concat());
            let path = file(&folder, &selector, "key");
            if file(&folder, &selector, "retired").exists() {
                continue;
            }
            match durable::write_new(&path, &self.vault.seal(PURPOSE, &clear), 0o600) {
                Ok(()) => return Ok(pair),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(io(&path, source)),
            }
        }
        Err(DkimError::TooMany(domain))
    }

    /// The pairs of a domain.
    ///
    /// # Errors
    /// [`DkimError::Io`] or [`DkimError::Altered`].
    pub fn pairs(&self, domain: &str) -> Result<Pairs, DkimError> {
        let folder = self.path.join(domain);
        let in_use = self.in_use(&folder)?;
        let mut pairs = Pairs { signing: None, waiting: Vec::new(), retired: Vec::new() };
        for name in names_in(&folder)? {
            if let Some(selector) = name.strip_suffix(".retired") {
                let at = text(&folder.join(&name))?.parse().unwrap_or_default();
                pairs.retired.push(Retired { selector: selector.to_owned(), at: UnixMillis(at) });
            }
            let Some(selector) = name.strip_suffix(".key") else { continue };
            match in_use.as_deref().map(|in_use| selector.cmp(in_use)) {
                Some(std::cmp::Ordering::Less) => {} // a crash cut its retirement short; `sign_with` ends it
                Some(std::cmp::Ordering::Equal) => {
                    pairs.signing = Some(self.open(&folder, domain, selector)?)
                }
                Some(std::cmp::Ordering::Greater) | None => {
                    pairs.waiting.push(self.open(&folder, domain, selector)?);
                }
            }
        }
        Ok(pairs)
    }

    /// From now on this pair signs for the domain; older ones are retired and their private keys destroyed.
    ///
    /// # Errors
    /// [`DkimError::Io`]; what was done stays done, and asking again does the rest.
    pub fn sign_with(&self, domain: &str, selector: &str, now: UnixMillis) -> Result<(), DkimError> {
        let folder = self.path.join(domain);
        if self.in_use(&folder)?.as_deref() != Some(selector) {
            replace(&folder.join(SIGNING), selector)?;
        }
        let older = |name: &String| name.strip_suffix(".key").is_some_and(|other| other < selector);
        for name in names_in(&folder)?.into_iter().filter(older) {
            let path = folder.join(&name);
            replace(&path.with_extension("retired"), &now.as_u64().to_string())?;
            fs::remove_file(&path).map_err(|source| io(&path, source))?;
        }
        Ok(())
    }

    /// The selector of the pair that signs.
    fn in_use(&self, folder: &Path) -> Result<Option<String>, DkimError> {
        match text(&folder.join(SIGNING)) {
            Ok(selector) => Ok(Some(selector)),
            Err(DkimError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Name and domain are sealed in: a file cannot be passed off as another.
    fn open(&self, folder: &Path, domain: &str, selector: &str) -> Result<KeyPair, DkimError> {
        let path = file(folder, selector, "key");
        let mut sealed = Vec::new();
        let read = fs::File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut sealed));
        read.map_err(|source| io(&path, source))?;
        let clear = self.vault.open(PURPOSE, &sealed).map_err(|_| DkimError::Altered(path.clone()))?;
        let secret = clear.strip_prefix(tag(domain, selector).as_slice());
        secret
            .and_then(|secret| KeyPair::of_secret(domain, selector, secret).ok())
            .ok_or(DkimError::Altered(path))
    }
}

/// `20261123`, `20261123b`, `20261123c` …: in the order of time.
fn selector(day: &str, number: usize) -> String {
    let letter = ('b'..='z').nth(number.wrapping_sub(1));
    format!("d{day}{}", letter.map(String::from).unwrap_or_default())
}

fn tag(domain: &str, selector: &str) -> Vec<u8> {
    [domain.as_bytes(), &[0], selector.as_bytes(), &[0]].concat() // neither can contain a zero octet
}

fn file(folder: &Path, selector: &str, extension: &str) -> PathBuf {
    folder.join(format!("{selector}.{extension}"))
}

/// The names in a folder, in order; of one that does not exist none. Hidden files are half-written ones.
fn names_in(folder: &Path) -> Result<Vec<String>, DkimError> {
    let failed = |source| io(folder, source);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

fn text(path: &Path) -> Result<String, DkimError> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|source| io(path, source))?;
    Ok(text.trim_end().to_owned())
}

fn replace(path: &Path, line: &str) -> Result<(), DkimError> {
    durable::replace(path, format!("{line}\n").as_bytes(), 0o600).map_err(|source| io(path, source))
}

fn io(path: &Path, source: io::Error) -> DkimError {
    DkimError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

    fn key_folder() -> (tempfile::TempDir, KeyFolder) {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::new(Zeroizing::new([7; 32])));
        let keys = KeyFolder::beside(&folder.path().join("storage.key"), vault);
        (folder, keys)
    }

    fn names(pairs: &[KeyPair]) -> Vec<&str> {
        pairs.iter().map(KeyPair::selector).collect()
    }

    #[test]
    fn a_pair_waits_then_signs_then_is_retired_without_its_private_keys() {
        let (folder, keys) = key_folder();
        assert_eq!(keys.domains().unwrap(), [""; 0]);
        let first = keys.add("ACME.test", "20261123").unwrap();
        assert_eq!((first.domain(), first.selector()), ("acme.test", "d20261123"));
        assert_eq!(keys.domains().unwrap(), ["acme.test"]);
        let pairs = keys.pairs("acme.test").unwrap();
        assert!(pairs.signing.is_none() && names(&pairs.waiting) == ["d20261123"]);

        keys.sign_with("acme.test", "d20261123", NOW).unwrap();
        let second = keys.add("acme.test", "20261123").unwrap();
        assert_eq!(second.selector(), "d20261123b");
        let pairs = keys.pairs("acme.test").unwrap();
        assert_eq!(pairs.signing.unwrap().published(), first.published());
        assert_eq!(names(&pairs.waiting), ["d20261123b"]);

        keys.sign_with("acme.test", "d20261123b", NOW).unwrap();
        let pairs = keys.pairs("acme.test").unwrap();
        assert_eq!(pairs.signing.unwrap().selector(), "d20261123b");
        assert_eq!(pairs.retired, [Retired { selector: "d20261123".into(), at: NOW }]);
        assert!(!folder.path().join("dkim/acme.test/d20261123.key").exists());
        assert_eq!(
            keys.add("acme.test", "20261123").unwrap().selector(),
            "d20261123c",
            "no name is used twice"
        );
    }

    #[test]
    fn a_file_that_was_altered_renamed_or_brought_from_elsewhere_does_not_open() {
        let (folder, keys) = key_folder();
        keys.add("acme.test", "20261123").unwrap();
        let path = folder.path().join("dkim/acme.test/d20261123.key");
        let renamed = path.with_file_name("d20261124.key");
        fs::rename(&path, &renamed).unwrap();
        assert!(matches!(keys.pairs("acme.test"), Err(DkimError::Altered(_))));
        fs::create_dir(folder.path().join("dkim/globex.test")).unwrap();
        fs::rename(&renamed, folder.path().join("dkim/globex.test/d20261123.key")).unwrap();
        assert!(matches!(keys.pairs("globex.test"), Err(DkimError::Altered(_))));
        let other = KeyFolder { vault: Arc::new(Vault::new(Zeroizing::new([8; 32]))), ..keys.clone() };
        other.add("initech.test", "20261123").unwrap();
        assert!(matches!(keys.pairs("initech.test"), Err(DkimError::Altered(_))));
    }

    #[test]
    fn a_retirement_that_a_crash_cut_short_is_ended_by_the_next_one() {
        let (folder, keys) = key_folder();
        keys.add("acme.test", "20261122").unwrap();
        keys.add("acme.test", "20261123").unwrap();
        fs::write(folder.path().join("dkim/acme.test/signing"), "d20261123\n").unwrap();
        let pairs = keys.pairs("acme.test").unwrap();
        assert!(pairs.signing.is_some() && pairs.waiting.is_empty() && pairs.retired.is_empty());
        keys.sign_with("acme.test", "d20261123", NOW).unwrap();
        assert_eq!(keys.pairs("acme.test").unwrap().retired.len(), 1);
    }

    #[test]
    fn a_name_that_is_no_domain_makes_no_folder() {
        let (folder, keys) = key_folder();
        for bad in ["../../etc", "acme", "", "acme.test/x"] {
            assert!(matches!(keys.add(bad, "20261123"), Err(DkimError::Key(_))), "{bad}");
        }
        assert!(!folder.path().join("dkim").exists());
    }
}
