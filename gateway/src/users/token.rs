//! Access tokens: what a program of a person shows instead of the password (RFC 6750), and how they rest.
//!
//! A token is random, so nobody guesses it, and its digest alone is kept; a slow hash would protect nothing more.
//!
//! ```text
//! token    dccp-user-<52 letters and digits: 256 bits in base32>       told once
//! at rest  sha256:<hex>
//! ```

use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use rand::Rng;
use zeroize::Zeroizing;

/// Stands before every token, so that scanners for leaked secrets know one when they see it.
const MARK: &str = "dccp-user-";
const SECRET_BYTES: usize = 32;
const FORM: &str = "sha256:";

/// A token as the file keeps it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct TokenHash([u8; 32]);

/// A text that is no hash of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is kept as sha256: and 64 hexadecimal digits")]
pub(super) struct NotATokenHash;

impl TokenHash {
    /// A new token, and what is kept of it.
    pub(super) fn fresh() -> (Zeroizing<String>, TokenHash) {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        rand::rng().fill_bytes(&mut *secret);
        let letters = Zeroizing::new(BASE32_NOPAD.encode(&*secret));
        let token = Zeroizing::new(format!("{MARK}{}", letters.as_str()));
        let hash = TokenHash::of(&token);
        (token, hash)
    }

    /// What would be kept of this token.
    pub(super) fn of(token: &str) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        TokenHash(hash)
    }

    /// Whether both are of the same token.
    pub(super) fn is(&self, other: &TokenHash) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// As it stands in the file.
    pub(super) fn to_text(&self) -> String {
        format!("{FORM}{}", HEXLOWER.encode(&self.0))
    }
}

impl FromStr for TokenHash {
    type Err = NotATokenHash;

    fn from_str(text: &str) -> Result<Self, NotATokenHash> {
        let digits = text.strip_prefix(FORM).ok_or(NotATokenHash)?;
        let hash = HEXLOWER.decode(digits.as_bytes()).map_err(|_| NotATokenHash)?;
        hash.try_into().map(TokenHash).map_err(|_| NotATokenHash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_are_the_same_and_each_is_known_by_what_is_kept() {
        let [(first, kept), (second, other)] = [(); 2].map(|()| TokenHash::fresh());
        assert_ne!(*first, *second);
        assert!(TokenHash::of(&first).is(&kept) && !TokenHash::of(&first).is(&other));
        // RFC 6750 §2.1: a client must be able to send it.
        assert!(first.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-'), "{}", *first);
    }

    #[test]
    fn what_is_kept_is_read_back_and_nothing_else_is() {
        let (_, kept) = TokenHash::fresh();
        assert!(kept.to_text().parse() == Ok(kept.clone()));
        let short = kept.to_text()[..40].to_owned();
        for wrong in ["", "sha256:", "md5:00", short.as_str(), &kept.to_text().to_uppercase()] {
            assert!(wrong.parse::<TokenHash>().err() == Some(NotATokenHash), "{wrong}");
        }
    }
}
