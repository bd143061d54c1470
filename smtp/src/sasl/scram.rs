//! `SCRAM-SHA-256` (RFC 7677, RFC 5802), the server's side: password and proof never travel together, and the server
//! proves that it knows the user too.
//!
//! ```text
//! client-first   n,,n=user,r=its nonce           ClientFirst::read
//! server-first   r=both nonces,s=salt,i=rounds   ClientFirst::challenge
//! client-final   c=biws,r=both nonces,p=proof    Challenged::verify
//! server-final   v=signature
//! ```
//!
//! Which password became the keys, and how it was prepared (RFC 4013), is the house's matter.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::exchange::Fault;
use super::{AuthRefusal, ScramKeys, gs2};

/// Octets of a client's nonce. With it the server's first message must still fit a reply line; clients use 18 to 64.
const NONCE_OCTETS_MAX: usize = 128;

/// The client's first message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst {
    /// Who it wants to be.
    pub(super) user: String,
    header: String,
    bare: String,
    nonce: String,
}

/// The server has answered it, and waits for the proof.
pub(super) struct Challenged {
    keys: ScramKeys,
    header: String,
    nonce: String,
    /// `AuthMessage` (RFC 5802 §3) up to the client's final message.
    said: String,
}

impl ClientFirst {
    pub(super) fn read(message: &[u8]) -> Result<Self, Fault> {
        let text = str::from_utf8(message).map_err(|_| Fault::Malformed)?;
        let header = gs2::header(text)?;
        let mut attributes = header.rest.split(',');
        // `m=` in front would be an extension that must be understood, and none is (RFC 5802 §5.1).
        let user = attributes.next().and_then(|first| first.strip_prefix("n=")).ok_or(Fault::Malformed)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(Fault::Malformed)?;
        let user = gs2::saslname(user)?;
        let nonce_ok =
            (1..=NONCE_OCTETS_MAX).contains(&nonce.len()) && nonce.bytes().all(|b| b.is_ascii_graphic());
        if !nonce_ok || !attributes.all(is_extension) {
            return Err(Fault::Malformed);
        }
        if header.act_as.is_some_and(|act_as| act_as != user) {
            return Err(Fault::Refused(AuthRefusal::Wrong)); // nobody may act for another
        }
        let (header, bare, nonce) = (header.text.to_owned(), header.rest.to_owned(), nonce.to_owned());
        Ok(Self { user, header, bare, nonce })
    }

    /// The server's first message. `random` makes this exchange unlike every other.
    pub(super) fn challenge(self, keys: ScramKeys, random: &[u8]) -> (Challenged, String) {
        self.challenge_with(keys, &BASE64.encode(random))
    }

    fn challenge_with(self, keys: ScramKeys, own_nonce: &str) -> (Challenged, String) {
        let nonce = self.nonce + own_nonce;
        let message = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        let said = format!("{},{message},", self.bare);
        (Challenged { keys, header: self.header, nonce, said }, message)
    }
}

impl Challenged {
    /// Checks the client's final message; answers the user's name and the server's final message.
    pub(super) fn verify(self, message: &[u8]) -> Result<(String, String), Fault> {
        let text = str::from_utf8(message).map_err(|_| Fault::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Fault::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|first| first.strip_prefix("c=")).ok_or(Fault::Malformed)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(Fault::Malformed)?;
        let proof: [u8; 32] =
            BASE64.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(Fault::Malformed)?;
        if !attributes.all(is_extension) {
            return Err(Fault::Malformed);
        }
        // A header other than the first time means that someone in the middle changed it (RFC 5802 §6).
        let same = binding == BASE64.encode(&self.header) && nonce == self.nonce;
        let said = self.said + without_proof;
        if !proves(&proof, &self.keys, said.as_bytes()) || !same {
            return Err(Fault::Refused(AuthRefusal::Wrong));
        }
        let signature = mac(&*self.keys.server_key, said.as_bytes());
        Ok((self.keys.user, format!("v={}", BASE64.encode(signature))))
    }
}

/// Whether the proof is of someone who knows the client key: `H(proof XOR signature)` is the stored key.
fn proves(proof: &[u8; 32], keys: &ScramKeys, said: &[u8]) -> bool {
    let signature = mac(&*keys.stored_key, said);
    let mut client_key = Zeroizing::new([0; 32]);
    for ((key, proof), signature) in client_key.iter_mut().zip(proof).zip(signature) {
        *key = proof ^ signature;
    }
    verify_slices_are_equal(&hash(&*client_key), &*keys.stored_key).is_ok()
}

/// `attr-val` (RFC 5802 §7) that we need not understand.
fn is_extension(attribute: &str) -> bool {
    let (name, value) = attribute.split_once('=').unwrap_or_default();
    name.len() == 1
        && name.bytes().all(|b| b.is_ascii_alphabetic())
        && !value.is_empty()
        && !value.contains('\0')
}

/// `HMAC` of RFC 5802 §2.2, with SHA-256 (RFC 7677).
pub(crate) fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    sized(tag.as_ref())
}

/// `H` of RFC 5802 §2.2, which is SHA-256 (RFC 7677).
pub(crate) fn hash(octets: &[u8]) -> [u8; 32] {
    sized(digest::digest(&digest::SHA256, octets).as_ref())
}

/// SHA-256 and HMAC with it have 32 octets.
fn sized(octets: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    array
}

#[cfg(test)]
pub(crate) mod tests;
