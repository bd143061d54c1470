//! Share files: how a key is divided for officers, written for them, and read back from what they bring.

use std::fmt::Write;
use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;
use keystore::durable;
use keystore::shares::{self, Divided, Scheme, Share};
use zeroize::Zeroizing;

use super::Failure;

/// A share has some 2,000 bytes; more is the wrong file.
const SHARE_BYTES_MAX: u64 = 16 * 1024;

/// How a key is divided.
#[derive(Args)]
pub(super) struct Division {
    /// How many shares there are, one for each officer.
    #[arg(long, value_name = "N", default_value_t = 3)]
    shares: u8,
    /// How many of them bring the key back.
    #[arg(long, value_name = "K", default_value_t = 2)]
    threshold: u8,
}

impl Division {
    pub(super) fn scheme(&self) -> Result<Scheme, Failure> {
        Scheme::new(self.shares, self.threshold).map_err(Failure::said)
    }
}

/// Share files as they were written.
pub(super) struct Written {
    /// The name of their set.
    pub(super) set: String,
    files: Vec<PathBuf>,
}

impl Written {
    /// Writes each share to a file of its own below `out`, under `heading`; never over an existing file.
    pub(super) fn write(
        shares: &[Share],
        out: &Path,
        name: &str,
        heading: impl Fn(&Share) -> String,
    ) -> Result<Written, Failure> {
        let unwritable =
            |path: &Path, error: std::io::Error| Failure::Said(format!("{}: {error}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(out).map_err(|error| unwritable(out, error))?;
        let mut files = Vec::new();
        for share in shares {
            // The set is part of the name: a second attempt does not stumble over the files of the first.
            let (set, number, count) = (share.set_id(), share.number(), share.scheme().count());
            let path = out.join(format!("{name}-{set}-share-{number}-of-{count}.txt"));
            let text = share.to_text(&heading(share));
            durable::write_new(&path, text.as_bytes(), 0o600).map_err(|error| unwritable(&path, error))?;
            files.push(path);
        }
        Ok(Written { set: shares.first().map(Share::set_id).unwrap_or_default(), files })
    }

    /// The files, one per line.
    pub(super) fn list(&self) -> String {
        self.files.iter().fold(String::new(), |mut list, file| {
            let _ = writeln!(list, "  {}", file.display());
            list
        })
    }
}

/// What share files bring back, and the first of them; whether it is the right secret is for the caller to prove by the
/// commitment of that share.
pub(super) fn gathered(paths: &[PathBuf], of: Divided) -> Result<(Share, Zeroizing<Vec<u8>>), Failure> {
    let shares = paths.iter().map(|path| share(path, of)).collect::<Result<Vec<_>, _>>()?;
    let secret = shares::combine(&shares).map_err(Failure::said)?;
    let first = shares.into_iter().next().ok_or_else(|| Failure::Said("no share is given".into()))?;
    Ok((first, secret))
}

/// What is said where a commitment does not prove the secret.
pub(super) fn altered() -> Failure {
    Failure::Said(
        "the shares do not bring back the key they were made from: one of them was altered. Try another share."
            .into(),
    )
}

fn share(path: &Path, of: Divided) -> Result<Share, Failure> {
    let bytes = read(path, SHARE_BYTES_MAX)?;
    let named = |error: &dyn std::fmt::Display| Failure::Said(format!("{}: {error}", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|_| named(&"this is not text"))?;
    let share = Share::from_text(text).map_err(|error| named(&error))?;
    match (share.of() == of, of) {
        (true, _) => Ok(share),
        (false, Divided::RecoveryKey) => {
            Err(named(&"this is a share of an archive key, not of a recovery key"))
        }
        (false, Divided::ArchiveKey) => {
            Err(named(&"this is a share of a recovery key, not of an archive key"))
        }
    }
}

/// Officers' media know no permission bits, so none are asked for.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |error: std::io::Error| Failure::Said(format!("{}: {error}", path.display()));
    // Room for everything at once: a growing buffer would leave copies of a share behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SHARE_BYTES_MAX as usize));
    let file = File::open(path).map_err(unreadable)?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > bytes_max {
        true => Err(Failure::Said(format!("{} is larger than {bytes_max} bytes", path.display()))),
        false => Ok(bytes),
    }
}
