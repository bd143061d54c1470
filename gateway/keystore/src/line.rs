//! A secret file: one line of text that only its owner may read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The longest of our lines has about 300 characters; more is the wrong file.
const FILE_BYTES_MAX: u64 = 4096;

/// Who may read a secret file.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Readers {
    /// Nobody but the owner.
    Owner,
    /// systemd shows its access list in the group's bits (`0440`) and keeps the folder closed to all others.
    OwnerAndGroup,
}

/// Why a line cannot be read.
pub(crate) enum LineError {
    /// Its permission bits, which let others read it.
    Exposed(u32),
    /// The operating system refused.
    Io(io::Error),
}

/// The text of a secret file, without its line end.
pub(crate) fn read(path: &Path, readers: Readers) -> Result<Zeroizing<String>, LineError> {
    let file = File::open(path).map_err(LineError::Io)?;
    check_mode(&file, readers)?;
    // Room for the whole file at once: a growing string would leave copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(LineError::Io)?;
    let length = text.trim_end().len();
    text.truncate(length);
    Ok(text)
}

/// Asks the opened file, not its name: the name may point elsewhere a moment later.
pub(crate) fn check_mode(file: &File, readers: Readers) -> Result<(), LineError> {
    let mode = file.metadata().map_err(LineError::Io)?.permissions().mode() & 0o7777;
    let forbidden = match readers {
        Readers::Owner => 0o077,
        Readers::OwnerAndGroup => 0o037,
    };
    if mode & forbidden == 0 { Ok(()) } else { Err(LineError::Exposed(mode)) }
}

/// `prefix`, the bytes in base64, and a line end.
pub(crate) fn encode(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
    line.push_str(prefix);
    STANDARD.encode_string(bytes, &mut line);
    line.push('\n');
    line
}

/// The bytes of a line that starts with `prefix`.
pub(crate) fn decode(line: &str, prefix: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(line.strip_prefix(prefix)?).ok().map(Zeroizing::new)
}
