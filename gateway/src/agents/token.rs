//! The token of an agent: which agent, and the proof that it is the one.
//!
//! ```text
//! dccp-agent-<base64url of: agent id (16) ‖ secret (32)>          at rest: SHA-256 of the secret
//! ```
//!
//! A plain hash is enough for a secret of 256 random bits: there is nothing to guess.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL_NOPAD;
use rand::Rng;
use zeroize::Zeroizing;

use super::AgentId;
use crate::flows::records::sha256;

/// What a token looks like to those who search for lost ones.
const PREFIX: &str = "dccp-agent-";

const SECRET_BYTES: usize = 32;

/// A token. Has no `Debug`.
pub struct Token {
    id: AgentId,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl Token {
    /// A new token of this agent.
    pub(super) fn fresh(id: AgentId, rng: &mut impl Rng) -> Self {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        rng.fill_bytes(secret.as_mut());
        Self { id, secret }
    }

    /// Reads what [`reveal`](Self::reveal) wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?);
        let (id, secret) = bytes.split_first_chunk()?;
        Some(Self { id: *id, secret: Zeroizing::new(secret.try_into().ok()?) })
    }

    /// As text, for whoever runs the agent.
    pub fn reveal(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([self.id.as_slice(), self.secret.as_slice()].concat());
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + bytes.len() * 2));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&bytes, &mut text);
        text
    }

    pub(super) fn id(&self) -> AgentId {
        self.id
    }

    /// What rests of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(&[b"DCCP-agent-token-v1\0", self.secret.as_slice()])
    }

    /// Whether this is the token that `hash` rests of; takes as long for every wrong one.
    pub(super) fn is_of(&self, hash: &[u8; 32]) -> bool {
        verify_slices_are_equal(&self.hash(), hash).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_no_other_fits_its_hash() {
        let token = Token::fresh([7; 16], &mut rand::rng());
        let read = Token::read(&token.reveal()).unwrap();
        assert!(read.id() == [7; 16] && read.is_of(&token.hash()));
        assert!(!Token::fresh([7; 16], &mut rand::rng()).is_of(&token.hash()));
    }

    #[test]
    fn what_is_not_a_token_is_none() {
        let token = Token::fresh([7; 16], &mut rand::rng()).reveal();
        for wrong in ["", PREFIX, &token[1..], &token[..token.len() - 1], &format!("{}AAAA", *token)] {
            assert!(Token::read(wrong).is_none(), "{wrong}");
        }
    }
}
