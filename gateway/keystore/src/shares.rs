//! Shares: a secret divided by Shamir's scheme, in texts that people keep and may have to type.
//!
//! ```text
//! -----BEGIN DCCP RECOVERY SHARE-----          (or ARCHIVE)
//! Set: 9f02-41bc-77d0-e315
//! Share: 1 of 3, 2 needed
//! Key: 4b1f… (64 hexadecimal digits: the commitment to the key, public)
//! 1: abcd efgh ijkl mnop qrst uvwx = k7qz      15 bytes in base32, then 20 bits of a hash over them
//! …
//! Check: abcd efgh                             40 bits of a hash over everything above
//! -----END DCCP RECOVERY SHARE-----
//! ```
//!
//! Upper or lower case, blanks and hyphens do not matter; 0, 1 and 8, which base32 has not, are read as the letters
//! they look like. A slip of the pen is found and its line named. The hashes find accidents, not forgery: that the
//! combined secret is the right one, its commitment proves.

mod text;

use blahaj::Sharks;
use rand::CryptoRng;
use zeroize::Zeroizing;

/// More officers than this cannot meet, and a DID names at most 16 keys as well.
pub const SHARES_MAX: u8 = 16;

/// With one share enough, each would be the key.
pub const THRESHOLD_MIN: u8 = 2;

/// What is divided; shares of one never pass for shares of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divided {
    /// The recovery key of an organisation: its signing seed.
    RecoveryKey,
    /// The key that opens an archive: its KEM seed.
    ArchiveKey,
}

/// How many shares there are, and how many of them bring the secret back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    count: u8,
    threshold: u8,
}

impl Scheme {
    /// `threshold` of `count`.
    ///
    /// # Errors
    /// [`ShareError::Scheme`] unless [`THRESHOLD_MIN`] ≤ `threshold` ≤ `count` ≤ [`SHARES_MAX`].
    pub fn new(count: u8, threshold: u8) -> Result<Scheme, ShareError> {
        match THRESHOLD_MIN <= threshold && threshold <= count && count <= SHARES_MAX {
            true => Ok(Scheme { count, threshold }),
            false => Err(ShareError::Scheme),
        }
    }

    /// How many shares there are.
    pub fn count(self) -> u8 {
        self.count
    }

    /// How many bring the secret back.
    pub fn threshold(self) -> u8 {
        self.threshold
    }
}

/// One share. Has no `Debug`.
#[derive(Clone)]
pub struct Share {
    of: Divided,
    set: [u8; SET_BYTES],
    number: u8,
    scheme: Scheme,
    commitment: [u8; COMMITMENT_BYTES],
    points: Zeroizing<Vec<u8>>,
}

const SET_BYTES: usize = 8;
const COMMITMENT_BYTES: usize = 32;

/// Why shares are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Ours: such a division makes no sense.
    #[error(
        "at least {THRESHOLD_MIN} shares must be needed, and there can be at most {SHARES_MAX}, not fewer than are needed"
    )]
    Scheme,
    /// The text has no share in it.
    #[error(
        "this is no share: one block from `-----BEGIN DCCP … SHARE-----` to `-----END DCCP … SHARE-----` is needed"
    )]
    NotAShare,
    /// A line of the share was mistyped.
    #[error("line {line} of the share is mistyped: compare it letter by letter with the original")]
    Mistyped {
        /// The number in front of the line.
        line: usize,
    },
    /// Set, number, key or check were mistyped, or lines were exchanged.
    #[error(
        "the share does not fit its check line: compare `Set`, `Share`, `Key` and `Check` with the original"
    )]
    Altered,
    /// Shares from different occasions.
    #[error("the shares belong to different sets ({0} and {1}); shares of different sets never fit together")]
    OtherSet(String, String),
    /// The same share twice.
    #[error("share {0} is given twice; each officer has another number")]
    Twice(u8),
    /// Fewer than needed.
    #[error("{have} shares are too few: {needed} of the {count} are needed")]
    TooFew {
        /// Given.
        have: usize,
        /// Needed.
        needed: u8,
        /// There are.
        count: u8,
    },
}

/// Divides `secret`; `commitment` is what its owner can prove the result by.
pub fn split(
    of: Divided,
    secret: &[u8],
    scheme: Scheme,
    commitment: [u8; COMMITMENT_BYTES],
    rng: &mut impl CryptoRng,
) -> Vec<Share> {
    let mut set = [0; SET_BYTES];
    rng.fill_bytes(&mut set);
    let points = Sharks(scheme.threshold).dealer_rng(secret, rng).take(usize::from(scheme.count));
    let share = |(number, points): (u8, blahaj::Share)| Share {
        of,
        set,
        number,
        scheme,
        commitment,
        points: Zeroizing::new(points.y.iter().map(|point| point.0).collect()),
    };
    (1..=scheme.count).zip(points).map(share).collect()
}

/// The secret of at least as many shares as are needed. The caller proves it by [`Share::commitment`].
///
/// # Errors
/// [`ShareError`] when the shares do not belong together or are too few.
pub fn combine(shares: &[Share]) -> Result<Zeroizing<Vec<u8>>, ShareError> {
    let nothing = ShareError::TooFew { have: 0, needed: THRESHOLD_MIN, count: SHARES_MAX };
    let first = shares.first().ok_or(nothing)?;
    for (at, share) in shares.iter().enumerate() {
        if !first.is_of_the_set_of(share) {
            return Err(ShareError::OtherSet(first.set_id(), share.set_id()));
        }
        if shares.iter().take(at).any(|before| before.number == share.number) {
            return Err(ShareError::Twice(share.number));
        }
    }
    let Scheme { threshold, count } = first.scheme;
    let too_few = ShareError::TooFew { have: shares.len(), needed: threshold, count };
    let points: Vec<blahaj::Share> = shares.iter().filter_map(Share::to_points).collect();
    let secret = Sharks(threshold).recover(&points).map_err(|_| too_few)?;
    Ok(Zeroizing::new(secret))
}

impl Share {
    /// What it is a share of.
    pub fn of(&self) -> Divided {
        self.of
    }

    /// Which one this is, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// How many there are, and how many are needed.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The name of the set, the same on all its shares: `9f02-41bc-77d0-e315`.
    pub fn set_id(&self) -> String {
        text::set_id(&self.set)
    }

    /// The commitment to the divided key.
    pub fn commitment(&self) -> &[u8; COMMITMENT_BYTES] {
        &self.commitment
    }

    fn is_of_the_set_of(&self, other: &Share) -> bool {
        (self.of, self.set, self.scheme, self.commitment, self.points.len())
            == (other.of, other.set, other.scheme, other.commitment, other.points.len())
    }

    /// As the crate of the scheme takes it: the number, then a point for each byte of the secret.
    fn to_points(&self) -> Option<blahaj::Share> {
        let bytes = Zeroizing::new([&[self.number], self.points.as_slice()].concat());
        blahaj::Share::try_from(bytes.as_slice()).ok()
    }
}

#[cfg(test)]
mod tests;
