//! SCRAM-SHA-256 keys as they rest (RFC 5803 §3, RFC 7677): enough to check a proof and to prove ourselves, not enough to log
//! in with.
//!
//! ```text
//! SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>          all in base64
//! ```

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use zeroize::Zeroizing;

/// RFC 7677 §4 asks for 4,096 at least; a stolen file is guessed at by graphics cards today, which takes far more. The client
/// does this work at each login, a few hundred milliseconds.
pub(super) const ITERATIONS: u32 = 600_000;

/// Below this a file was made by a program of another time.
const ITERATIONS_MIN: u32 = 4_096;

/// A client would compute for minutes; no program of ours asks for more.
const ITERATIONS_MAX: u32 = 10_000_000;

/// Octets of a salt of ours: those of a vault's tag, from which the salts of nobody are made.
const SALT_BYTES: usize = 16;

/// Octets of the keys: SHA-256's.
const KEY_BYTES: usize = 32;

/// The keys of one person. Has no `Debug`: who reads them can begin to guess.
#[derive(Clone)]
pub(super) struct Keys {
    /// Random, told to the client.
    pub(super) salt: Vec<u8>,
    /// How often the client hashes.
    pub(super) iterations: u32,
    /// Checks the client's proof.
    pub(super) stored_key: [u8; KEY_BYTES],
    /// Proves us to the client.
    pub(super) server_key: [u8; KEY_BYTES],
}

/// A text that is no such record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "SCRAM keys are kept as SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, with 4,096 to 10,000,000 iterations"
)]
pub(super) struct NotKeys;

impl Keys {
    /// The keys of a [prepared](super::password::prepared) password, with a fresh salt. Takes some 200 ms.
    pub(super) fn of(password: &str) -> Keys {
        let mut salt = vec![0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        Keys::derive(password, salt, ITERATIONS)
    }

    /// RFC 5802 §3.
    fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> Keys {
        let mut salted = Zeroizing::new([0; KEY_BYTES]);
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), salted.as_mut());
        let salted = hmac::Key::new(hmac::HMAC_SHA256, salted.as_ref());
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let server_key = hmac::sign(&salted, b"Server Key");
        Keys {
            salt,
            iterations,
            stored_key: exact(stored_key.as_ref()),
            server_key: exact(server_key.as_ref()),
        }
    }

    /// The record.
    pub(super) fn to_text(&self) -> String {
        let [salt, stored, server] =
            [self.salt.as_slice(), &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        format!("SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl std::str::FromStr for Keys {
    type Err = NotKeys;

    fn from_str(text: &str) -> Result<Keys, NotKeys> {
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(NotKeys)?;
        let (head, keys) = rest.split_once('$').ok_or(NotKeys)?;
        let (iterations, salt) = head.split_once(':').ok_or(NotKeys)?;
        let (stored, server) = keys.split_once(':').ok_or(NotKeys)?;
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| NotKeys);
        let key = |text: &str| <[u8; KEY_BYTES]>::try_from(bytes(text)?).map_err(|_| NotKeys);
        let iterations = iterations.parse().map_err(|_| NotKeys)?;
        let salt = bytes(salt)?;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) || !(8..=64).contains(&salt.len()) {
            return Err(NotKeys);
        }
        Ok(Keys { salt, iterations, stored_key: key(stored)?, server_key: key(server)? })
    }
}

/// SHA-256 and its HMAC have 32 octets.
fn exact(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 §3.
    const AUTH_MESSAGE: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn of_the_rfc() -> Keys {
        Keys::derive("pencil", STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4_096)
    }

    fn signature(key: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, AUTH_MESSAGE.as_bytes()).as_ref().to_vec()
    }

    #[test]
    fn the_example_of_rfc_7677_proves_both_sides() {
        let keys = of_the_rfc();
        assert_eq!(
            STANDARD.encode(signature(&keys.server_key)),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let client_key: Vec<u8> = proof.iter().zip(signature(&keys.stored_key)).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest::digest(&digest::SHA256, &client_key).as_ref(), keys.stored_key);
    }

    #[test]
    fn keys_survive_the_file() {
        let text = of_the_rfc().to_text();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
        assert_eq!(text.parse::<Keys>().ok().unwrap().to_text(), text);
    }

    #[test]
    fn a_record_of_another_form_is_none() {
        let right = of_the_rfc().to_text();
        let weak = right.replace("$4096:", "$1:");
        let endless = right.replace("$4096:", "$4294967295:");
        let sha1 = right.replace("SHA-256", "SHA-1");
        let cut = &right[..right.len() - 8];
        for wrong in ["", "SCRAM-SHA-256$", &weak, &endless, &sha1, cut] {
            assert!(wrong.parse::<Keys>().is_err(), "{wrong}");
        }
    }
}
