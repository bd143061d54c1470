//! A key of 32 bytes wrapped by a passphrase: Argon2id (RFC 9106), then AES-256-GCM. The master key of a gateway rests so,
//! and the key of its archive, which an officer keeps elsewhere.
//!
//! ```text
//! dccp-master-passphrase-v1: (or dccp-archive-passphrase-v1:)
//!   base64 of memory KiB (4) ‖ passes (4) ‖ lanes (4) ‖ salt (16) ‖ ciphertext (32) ‖ tag (16)
//! ```
//!
//! Everything before the ciphertext is authenticated with it. The cost is read from the file, so that it can be raised
//! for new files; it is bounded, so that a file cannot stop the machine.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::line::Readers;
use crate::master::{MASTER_BYTES, MasterError, exact, read, refuse_existing, write_new};
use crate::prompt::{self, Asked};
use crate::{aead, line};

/// The fewest characters of a passphrase: what a few words have.
pub const PASSPHRASE_CHARACTERS_MIN: usize = 12;

const SALT_BYTES: usize = 16;
const COST_BYTES: usize = 12;
const HEAD_BYTES: usize = COST_BYTES + SALT_BYTES;

/// What a passphrase wraps; one never opens as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapped {
    /// The master key of a gateway.
    MasterKey,
    /// The private half of an archive's key.
    ArchiveKey,
}

impl Wrapped {
    /// The start of its line.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Wrapped::MasterKey => "dccp-master-passphrase-v1:",
            Wrapped::ArchiveKey => "dccp-archive-passphrase-v1:",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Wrapped::MasterKey => "Passphrase of the master key",
            Wrapped::ArchiveKey => "Passphrase of the archive key",
        }
    }
}

/// Asks a person for a new passphrase and keeps `secret` under it; never over an existing file.
///
/// # Errors
/// See [`MasterError`].
pub fn keep(
    of: Wrapped,
    path: &Path,
    secret: &[u8; MASTER_BYTES],
    rng: &mut impl CryptoRng,
) -> Result<(), MasterError> {
    refuse_existing(path)?;
    let chosen = ask(of, Asked::New)?;
    write_new(path, &wrap(of, &chosen, secret, rng))
}

/// Asks a person for the passphrase and gives what is kept under it.
///
/// # Errors
/// See [`MasterError`].
pub fn open(of: Wrapped, path: &Path) -> Result<Zeroizing<[u8; MASTER_BYTES]>, MasterError> {
    let text = read(path, Readers::Owner)?;
    if !text.starts_with(of.prefix()) {
        return Err(Closed::NotWrapped.at(of, path)); // before a person is troubled for nothing
    }
    unwrap(of, &text, &ask(of, Asked::Known)?).map_err(|why| why.at(of, path))
}

/// 64 MiB, 3 passes, 4 lanes: the second recommended choice of RFC 9106 §4, some 100 ms for the owner.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

/// No file of ours asks for more; one that does would be an attempt to exhaust the machine.
const COST_MAX: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

/// What guessing one passphrase takes.
#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Asks a person for the passphrase; see [`prompt`].
fn ask(of: Wrapped, asked: Asked) -> Result<Zeroizing<String>, MasterError> {
    Ok(prompt::secret(of.words(), asked, PASSPHRASE_CHARACTERS_MIN)?)
}

/// The line of a wrapped key.
fn wrap(
    of: Wrapped,
    passphrase: &str,
    secret: &[u8; MASTER_BYTES],
    rng: &mut impl CryptoRng,
) -> Zeroizing<String> {
    let mut salt = [0; SALT_BYTES];
    rng.fill_bytes(&mut salt);
    let cost = [COST.memory_kib, COST.passes, COST.lanes].map(u32::to_be_bytes).concat();
    let head = [cost.as_slice(), &salt].concat();
    #[expect(clippy::expect_used, reason = "our own cost is within the bounds of Argon2")]
    let derived = derive(passphrase, COST, &salt).expect("64 MiB, 3 passes, 4 lanes");
    let body = aead::seal(&derived, &context(of, &head), secret);
    line::encode(of.prefix(), &[head, body].concat())
}

/// Why a wrapped key stays closed.
#[derive(Debug, PartialEq)]
enum Closed {
    NotWrapped,
    WrongPassphrase,
}

impl Closed {
    fn at(self, of: Wrapped, path: &Path) -> MasterError {
        let path = path.to_owned();
        match self {
            Closed::NotWrapped => MasterError::NotAMasterKey { path, expected: of.prefix() },
            Closed::WrongPassphrase => MasterError::WrongPassphrase { path },
        }
    }
}

/// The key of a line that [`wrap`] made.
fn unwrap(of: Wrapped, text: &str, passphrase: &str) -> Result<Zeroizing<[u8; MASTER_BYTES]>, Closed> {
    let bytes = line::decode(text, of.prefix()).ok_or(Closed::NotWrapped)?;
    let (head, body) = bytes.split_at_checked(HEAD_BYTES).ok_or(Closed::NotWrapped)?;
    let (cost, salt) = head.split_at_checked(COST_BYTES).ok_or(Closed::NotWrapped)?;
    let cost = Cost::read(cost).filter(Cost::is_bearable).ok_or(Closed::NotWrapped)?;
    let derived = derive(passphrase, cost, salt).ok_or(Closed::NotWrapped)?;
    let secret = aead::open(&derived, &context(of, head), body).ok_or(Closed::WrongPassphrase)?;
    exact(&secret).ok_or(Closed::NotWrapped)
}

impl Cost {
    fn read(bytes: &[u8]) -> Option<Cost> {
        let mut numbers = bytes.chunks_exact(4).map(|four| four.try_into().map(u32::from_be_bytes));
        let mut next = || numbers.next()?.ok();
        Some(Cost { memory_kib: next()?, passes: next()?, lanes: next()? })
    }

    fn is_bearable(&self) -> bool {
        self.memory_kib <= COST_MAX.memory_kib
            && self.passes <= COST_MAX.passes
            && self.lanes <= COST_MAX.lanes
    }
}

fn derive(passphrase: &str, cost: Cost, salt: &[u8]) -> Option<Zeroizing<[u8; aead::DERIVED_BYTES]>> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(aead::DERIVED_BYTES)).ok()?;
    let mut derived = Zeroizing::new([0; aead::DERIVED_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, derived.as_mut_slice())
        .ok()?;
    Some(derived)
}

fn context(of: Wrapped, head: &[u8]) -> Vec<u8> {
    [of.prefix().as_bytes(), head].concat()
}

#[cfg(test)]
mod tests {
    use super::Wrapped::{ArchiveKey, MasterKey};
    use super::*;

    const PREFIX: &str = "dccp-master-passphrase-v1:";
    const PASSPHRASE: &str = "four words are enough";

    #[test]
    fn the_right_passphrase_unwraps_and_another_does_not() {
        let line = wrap(MasterKey, PASSPHRASE, &[7; 32], &mut rand::rng());
        assert_eq!(unwrap(MasterKey, line.trim_end(), PASSPHRASE).unwrap().as_slice(), [7; 32]);
        for wrong in ["", "four words are enoug", "Four words are enough"] {
            assert_eq!(
                unwrap(MasterKey, line.trim_end(), wrong).unwrap_err(),
                Closed::WrongPassphrase,
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_key_of_one_use_does_not_open_as_another() {
        let line = wrap(MasterKey, PASSPHRASE, &[7; 32], &mut rand::rng());
        assert_eq!(unwrap(ArchiveKey, line.trim_end(), PASSPHRASE).unwrap_err(), Closed::NotWrapped);
        let renamed = line.replace("dccp-master-", "dccp-archive-");
        assert_eq!(unwrap(ArchiveKey, renamed.trim_end(), PASSPHRASE).unwrap_err(), Closed::WrongPassphrase);
    }

    #[test]
    fn the_cost_cannot_be_lowered_by_editing_the_file_nor_raised_beyond_what_a_machine_bears() {
        let line = wrap(MasterKey, PASSPHRASE, &[7; 32], &mut rand::rng());
        let bytes = line::decode(line.trim_end(), PREFIX).unwrap();
        let with_passes = |passes: u32| {
            let mut altered = bytes.to_vec();
            altered[4..8].copy_from_slice(&passes.to_be_bytes());
            unwrap(MasterKey, line::encode(PREFIX, &altered).trim_end(), PASSPHRASE).unwrap_err()
        };
        assert_eq!(with_passes(1), Closed::WrongPassphrase);
        assert_eq!(with_passes(u32::MAX), Closed::NotWrapped);
    }

    #[test]
    fn a_file_that_is_cut_off_is_named_for_what_it_is() {
        let line = wrap(MasterKey, PASSPHRASE, &[7; 32], &mut rand::rng());
        let bytes = line::decode(line.trim_end(), PREFIX).unwrap();
        for length in 0..HEAD_BYTES {
            let cut = line::encode(PREFIX, &bytes[..length]);
            assert_eq!(
                unwrap(MasterKey, cut.trim_end(), PASSPHRASE).unwrap_err(),
                Closed::NotWrapped,
                "{length}"
            );
        }
    }
}
