//! Files that are whole or not there, and on disk when the call returns.
//!
//! The bytes go to `.NAME.PID.new` in the same folder, are synced, and get their name in one step. After a power cut
//! a folder may hold such a leftover, which nobody reads; it never holds half a file under a name that counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes `bytes` into a file that does not exist, with permission bits `mode`.
///
/// # Errors
/// The operating system's; `AlreadyExists` when there is something of that name, which is then untouched.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = NewFile::begin(path, mode)?;
    file.write_all(bytes)?;
    file.finish()
}

/// A file that comes piece by piece, and that has its name only when it is whole. Dropped before, nothing of it stays.
pub struct NewFile {
    file: File,
    beside: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file of this name, with permission bits `mode`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn begin(path: &Path, mode: u32) -> io::Result<Self> {
        let (beside, file) = open_beside(path, mode)?;
        Ok(Self { file, beside, path: path.to_owned() })
    }

    /// It is whole.
    ///
    /// # Errors
    /// The operating system's; `AlreadyExists` when there is something of that name, which is then untouched.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        // A link is refused where a name exists; a rename would replace it.
        fs::hard_link(&self.beside, &self.path)?;
        fs::remove_file(&self.beside)?;
        sync_folder(&self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already if it was finished. What cannot be removed is a leftover like that of a power cut.
        _ = fs::remove_file(&self.beside);
    }
}

/// Puts `bytes` in the place of whatever has this name.
///
/// # Errors
/// The operating system's; the old file is then still there, whole.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = write_beside(path, bytes, mode)?;
    if let Err(error) = fs::rename(&beside, path) {
        fs::remove_file(&beside)?;
        return Err(error);
    }
    sync_folder(path)
}

/// Gives a file that is on disk another name in its folder, in the place of whatever has that name.
///
/// # Errors
/// The operating system's.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let (beside, mut file) = open_beside(path, mode)?;
    match file.write_all(bytes).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(beside),
        Err(error) => {
            fs::remove_file(&beside)?;
            Err(error)
        }
    }
}

fn open_beside(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    // One of that name was left by a process that is gone: process ids are unique among those that live.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    Ok((beside, file))
}

/// A name is durable once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        fs::read_dir(folder).unwrap().map(name).collect()
    }

    #[test]
    fn a_new_file_has_its_mode_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_new(&path, b"one", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(folder.path()), ["a.key"]);
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.eml");
        let mut file = NewFile::begin(&path, 0o600).unwrap();
        file.write_all(b"half of").unwrap();
        assert!(!path.exists(), "it has no name yet");
        drop(file);
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn an_existing_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_new(&path, b"one", 0o600).unwrap();
        assert_eq!(write_new(&path, b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names_in(folder.path()), ["a.key"]);
    }

    #[test]
    fn a_dangling_link_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert_eq!(write_new(&path, b"one", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_replaced_file_is_the_new_one_with_the_new_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_new(&path, b"one", 0o644).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(folder.path()), ["a.key"]);
    }
}
