//! `SCRAM-SHA-256` (RFC 5802, RFC 7677), the client's side, without channel binding. Pure: the nonce is an argument.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use zeroize::Zeroizing;

use crate::sasl::{Secret, hash, mac};

/// Rounds of PBKDF2 that a server may ask for. RFC 7677 §4 wants 4096 at least, lest the password be guessed from what
/// was overheard; far above what is advised today (600 000) a server only keeps us busy.
const ROUNDS_MIN: u32 = 4_096;
const ROUNDS_MAX: u32 = 1_000_000;

/// We bind to no channel: `n,,` in base64, repeated in the last message (RFC 5802 §6).
const NO_BINDING: &str = "c=biws";

/// The client's first message is made.
pub(super) struct First {
    nonce: String,
    bare: String,
}

impl First {
    /// `nonce` is fresh, of printable ASCII without a comma.
    pub(super) fn new(user: &str, nonce: &str) -> Self {
        Self { nonce: nonce.to_owned(), bare: format!("n={},r={nonce}", saslname(user)) }
    }

    pub(super) fn message(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The proof that we know the password, unless the server's message is not one to answer.
    pub(super) fn answer(&self, password: &Secret, challenge: &[u8]) -> Option<Last> {
        let challenge = str::from_utf8(challenge).ok()?;
        let mut attributes = challenge.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = BASE64.decode(attributes.next()?.strip_prefix("s=")?).ok()?;
        let rounds: NonZeroU32 = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
        let fresh = nonce.strip_prefix(&self.nonce).is_some_and(|theirs| !theirs.is_empty());
        if !fresh || !(ROUNDS_MIN..=ROUNDS_MAX).contains(&rounds.get()) {
            return None;
        }
        let without_proof = format!("{NO_BINDING},r={nonce}");
        let said = format!("{},{challenge},{without_proof}", self.bare);

        let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
        let password = password.reveal().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password, &mut *salted);
        let client_key = Zeroizing::new(mac(&*salted, b"Client Key"));
        let signature = mac(&hash(&*client_key), said.as_bytes());
        let proof: Vec<u8> =
            client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        let expected = mac(&mac(&*salted, b"Server Key"), said.as_bytes());
        Some(Last { message: format!("{without_proof},p={}", BASE64.encode(proof)), expected })
    }
}

/// The client's last message is made.
pub(super) struct Last {
    message: String,
    expected: [u8; 32],
}

impl Last {
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the server's last message is of one who knows our password, or what is kept of it.
    pub(super) fn proves_the_server(&self, message: &[u8]) -> bool {
        let first = message.split(|octet| *octet == b',').next();
        let signature = first.and_then(|first| BASE64.decode(first.strip_prefix(b"v=")?).ok());
        signature.is_some_and(|signature| {
            constant_time::verify_slices_are_equal(&signature, &self.expected).is_ok()
        })
    }
}

/// A name between commas (RFC 5801 §4).
pub(super) fn saslname(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn answer(challenge: &str) -> Option<Last> {
        First::new("user", NONCE).answer(&Secret::new("pencil".into()), challenge.as_bytes())
    }

    #[test]
    fn the_example_of_rfc_7677_comes_out() {
        assert_eq!(First::new("user", NONCE).message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = answer(CHALLENGE).unwrap();
        assert_eq!(
            last.message(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(last.proves_the_server(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_proves_nothing() {
        let last = answer(CHALLENGE).unwrap();
        for bad in ["", "v=", "v=AAAA", "e=other-error", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="] {
            assert!(!last.proves_the_server(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn what_is_no_challenge_to_us_is_not_answered() {
        for bad in [
            "",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", // adds nothing to our nonce
            "r=another%hvYDpWUa2RaTCAfuxFIlj,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "m=ext,r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO%hv,s=?,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
            "r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
            "r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==",
        ] {
            assert!(answer(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_name_cannot_bring_attributes_along() {
        assert_eq!(First::new("a,r=x=y", "n").message(), "n,,n=a=2Cr=3Dx=3Dy,r=n");
    }
}
