//! Passwords as they rest: Argon2id (RFC 9106) in the PHC string form, so that other programs can read the file.
//!
//! ```text
//! $argon2id$v=19$m=19456,t=2,p=1$<salt, base64>$<hash, base64>
//! ```
//!
//! The cost stands beside the hash, so that it can be raised for new passwords; it is bounded, so that a line in a file
//! cannot stop the machine.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::Rng;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The fewest characters of a new password: below it, guessing over SMTP becomes a plan.
pub const PASSWORD_CHARACTERS_MIN: usize = 10;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// 19 MiB, 2 passes, 1 lane: some 20 ms, and little enough memory that a few at once are no burden.
const COST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

/// No line of ours asks for more; one that does would be an attempt to exhaust the machine.
const COST_MAX: Cost = Cost { memory_kib: 256 * 1024, passes: 16, lanes: 16 };

/// A password as the file keeps it. Has no `Debug`: who reads it can begin to guess.
#[derive(Clone)]
pub(super) struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// What guessing one password takes.
#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A text that is no hash of this form, or one whose cost no machine should bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a password is kept as $argon2id$v=19$m=…,t=…,p=…$salt$hash, with at most 256 MiB, 16 passes and 16 lanes"
)]
pub(super) struct NotAHash;

/// The form in which names and passwords are compared (SASLprep, RFC 4013 §2): every space is a space, and characters
/// that look and mean the same are the same. What SASLprep refuses altogether no keyboard types.
pub(super) fn prepared(text: &str) -> Zeroizing<String> {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    // Room for the whole at once: a growing string would leave copies of the secret behind.
    let mut prepared = Zeroizing::new(String::with_capacity(text.len() * 4));
    prepared.extend(spaced.nfkc());
    prepared
}

impl PasswordHash {
    /// The hash of a [`prepared`] password, at today's cost. Takes some 20 ms and 19 MiB.
    pub(super) fn of(password: &str) -> PasswordHash {
        let mut salt = vec![0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        #[expect(clippy::expect_used, reason = "our own cost is within the bounds of Argon2")]
        let hash = derive(password, COST, &salt, HASH_BYTES).expect("19 MiB, 2 passes, 1 lane");
        PasswordHash { cost: COST, salt, hash: hash.to_vec() }
    }

    /// Whether the [`prepared`] password is the one; takes as long for a wrong one.
    pub(super) fn is_of(&self, password: &str) -> bool {
        derive(password, self.cost, &self.salt, self.hash.len()).is_some_and(|derived| {
            aws_lc_rs::constant_time::verify_slices_are_equal(&derived, &self.hash).is_ok()
        })
    }

    /// The PHC string.
    pub(super) fn to_text(&self) -> String {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let (salt, hash) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.hash));
        format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }
}

impl std::str::FromStr for PasswordHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<PasswordHash, NotAHash> {
        let rest = text.strip_prefix("$argon2id$v=19$").ok_or(NotAHash)?;
        let mut parts = rest.split('$');
        let (cost, salt, hash) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(cost), Some(salt), Some(hash), None) => (cost, salt, hash),
            _ => return Err(NotAHash),
        };
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| NotAHash);
        let read = PasswordHash {
            cost: Cost::read(cost).filter(Cost::is_bearable).ok_or(NotAHash)?,
            salt: bytes(salt)?,
            hash: bytes(hash)?,
        };
        // What Argon2 itself takes (RFC 9106 §3.1); asked here, so that a check cannot fail later.
        let fits = (8..=64).contains(&read.salt.len()) && (16..=64).contains(&read.hash.len());
        if fits && params(read.cost, read.hash.len()).is_some() { Ok(read) } else { Err(NotAHash) }
    }
}

impl Cost {
    fn read(text: &str) -> Option<Cost> {
        let mut numbers = text.split(',').zip(["m=", "t=", "p="]);
        let mut next = || {
            let (number, name) = numbers.next()?;
            number.strip_prefix(name)?.parse().ok()
        };
        let cost = Cost { memory_kib: next()?, passes: next()?, lanes: next()? };
        (text.matches(',').count() == 2).then_some(cost)
    }

    fn is_bearable(&self) -> bool {
        self.memory_kib <= COST_MAX.memory_kib
            && self.passes <= COST_MAX.passes
            && self.lanes <= COST_MAX.lanes
    }
}

fn params(cost: Cost, bytes: usize) -> Option<Params> {
    Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(bytes)).ok()
}

fn derive(password: &str, cost: Cost, salt: &[u8], bytes: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut derived = Zeroizing::new(vec![0; bytes]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params(cost, bytes)?)
        .hash_password_into(password.as_bytes(), salt, &mut derived)
        .ok()?;
    Some(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another program: `echo -n 'correct horse' | argon2 somesaltsomesalt -id -t 2 -k 1024 -p 1 -l 32 -e`.
    const OF_ANOTHER_PROGRAM: &str =
        "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$4BnlcpLz5MRq0Izs2E2zIqpIFISeK/m9DFKmAc7uq5Y";

    #[test]
    fn the_right_password_is_known_by_its_hash_and_no_other_is() {
        let hash = PasswordHash::of("correct horse").to_text().parse::<PasswordHash>().ok().unwrap();
        assert!(hash.is_of("correct horse"));
        for wrong in ["", "correct hors", "Correct horse", "correct horse "] {
            assert!(!hash.is_of(wrong), "{wrong}");
        }
    }

    #[test]
    fn two_people_with_one_password_do_not_show_it() {
        assert_ne!(PasswordHash::of("correct horse").to_text(), PasswordHash::of("correct horse").to_text());
    }

    #[test]
    fn what_another_program_wrote_is_understood() {
        let hash: PasswordHash = OF_ANOTHER_PROGRAM.parse().ok().unwrap();
        assert!(hash.is_of("correct horse"));
        assert_eq!(hash.to_text(), OF_ANOTHER_PROGRAM);
    }

    #[test]
    fn a_line_that_asks_for_more_than_a_machine_bears_is_no_hash() {
        for (from, to) in
            [("m=1024", "m=4294967295"), ("t=2", "t=4000000000"), ("p=1", "p=255"), ("m=1024", "m=1")]
        {
            assert!(OF_ANOTHER_PROGRAM.replace(from, to).parse::<PasswordHash>().is_err(), "{to}");
        }
    }

    #[test]
    fn a_line_of_another_form_is_no_hash() {
        let cut = &OF_ANOTHER_PROGRAM[..40];
        let more = format!("{OF_ANOTHER_PROGRAM}$");
        let short_hash = OF_ANOTHER_PROGRAM.rsplit_once('$').unwrap().0.to_owned() + "$c2hvcnQ";
        let algorithm = OF_ANOTHER_PROGRAM.replace("argon2id", "argon2i");
        for wrong in ["", "plain", cut, &more, &short_hash, &algorithm] {
            assert!(wrong.parse::<PasswordHash>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_looks_the_same_is_the_same_password() {
        assert_eq!(prepared("Gr\u{fc}\u{df}e").as_str(), prepared("Gru\u{308}\u{df}e").as_str());
        assert_eq!(prepared("a\u{a0}b").as_str(), "a b");
        assert_ne!(prepared("a b").as_str(), prepared("ab").as_str());
    }
}
