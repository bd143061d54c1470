//! The two keys of one selector: made together, published together, retired together.
//!
//! ```text
//! secret = Ed25519 seed (32) ‖ RSA-2048 private key (PKCS#8, about 1,200 octets)
//!
//! <selector>-ed._domainkey.<domain>   TXT  "v=DKIM1; k=ed25519; p=…"     RFC 8463; few can verify it yet
//! <selector>-rsa._domainkey.<domain>  TXT  "v=DKIM1; k=rsa; p=…"         RFC 6376; everybody can
//! ```

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::address;

/// RFC 1035 §3.3.14: octets of one string of a TXT record; a longer text is several strings.
pub const TXT_STRING_OCTETS_MAX: usize = 255;

/// RFC 1035 §2.3.4: octets of a name.
const NAME_OCTETS_MAX: usize = 253;

const SEED_OCTETS: usize = 32;

/// Why there is no key pair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The caller's: not a domain of at least two labels, or not one label, or too long together.
    #[error("{0} is not a name that a key can be published under")]
    Name(String),
    /// The file's: these octets are no secret of ours.
    #[error("this is not the secret of a DKIM key pair")]
    Secret,
    /// The machine's: no randomness, or a library that refuses.
    #[error("no key could be made")]
    Generation,
}

/// Signs for one domain. Has no `Debug`.
pub struct KeyPair {
    domain: String,
    selector: String,
    ed25519: Ed25519KeyPair,
    rsa: RsaKeyPair,
}

/// A record that the domain's owner puts into DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The whole name, with a dot at its end.
    pub name: String,
    /// The text; in DNS split into strings of [`TXT_STRING_OCTETS_MAX`].
    pub value: String,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Ed25519,
    Rsa,
}

impl Algorithm {
    /// As `a=` names it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519-sha256",
            Self::Rsa => "rsa-sha256",
        }
    }
}

impl KeyPair {
    /// Makes the secret of a new pair. Takes up to a second: RSA looks for primes.
    ///
    /// # Errors
    /// [`KeyError::Generation`].
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let failed = |_| KeyError::Generation;
        let ed25519 = Ed25519KeyPair::generate().map_err(failed)?;
        let seed = ed25519.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let rsa: Pkcs8V1Der<'_> = rsa.as_der().map_err(failed)?;
        Ok(Zeroizing::new([seed.as_ref(), rsa.as_ref()].concat()))
    }

    /// The pair with this secret.
    ///
    /// # Errors
    /// [`KeyError::Name`] or [`KeyError::Secret`].
    pub fn of_secret(domain: &str, selector: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let domain = domain.to_ascii_lowercase();
        let longest = format!("{selector}-rsa._domainkey.{domain}");
        let is_label = !selector.contains('.') && address::is_domain(selector);
        let is_host = domain.is_ascii() && domain.contains('.') && !domain.starts_with('[');
        let fits = longest.is_ascii() && longest.len() <= NAME_OCTETS_MAX && selector.len() <= 59;
        if !(is_label && is_host && fits && address::is_domain(&domain)) {
            return Err(KeyError::Name(longest));
        }
        let (seed, rsa) = secret.split_at_checked(SEED_OCTETS).ok_or(KeyError::Secret)?;
        Ok(Self {
            domain,
            selector: selector.to_owned(),
            ed25519: Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Secret)?,
            rsa: RsaKeyPair::from_pkcs8(rsa).map_err(|_| KeyError::Secret)?,
        })
    }

    /// The domain it signs for (`d=`), lower-case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name of the pair, the common part of both selectors.
    #[must_use]
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// What has to stand in DNS before anybody can verify what it signs.
    ///
    /// # Errors
    /// [`KeyError::Secret`] when the library does not give the public key, which it always does.
    pub fn published(&self) -> Result<[Published; 2], KeyError> {
        let ed25519 = BASE64.encode(self.ed25519.public_key().as_ref());
        let rsa: PublicKeyX509Der<'_> = self.rsa.public_key().as_der().map_err(|_| KeyError::Secret)?;
        let rsa = BASE64.encode(rsa.as_ref());
        Ok([(Algorithm::Ed25519, "ed25519", ed25519), (Algorithm::Rsa, "rsa", rsa)].map(
            |(algorithm, k, p)| Published {
                name: format!("{}._domainkey.{}.", self.selector_of(algorithm), self.domain),
                value: format!("v=DKIM1; k={k}; p={p}"),
            },
        ))
    }

    /// As `s=` names it: one selector has one key, so each algorithm has its own.
    pub(super) fn selector_of(&self, algorithm: Algorithm) -> String {
        match algorithm {
            Algorithm::Ed25519 => format!("{}-ed", self.selector),
            Algorithm::Rsa => format!("{}-rsa", self.selector),
        }
    }

    /// The signature over canonical octets: RSA over them (RFC 6376 §3.3.1), Ed25519 over their SHA-256 (RFC 8463 §3).
    /// `None` when the library refuses, which it does only without randomness.
    pub(super) fn sign(&self, algorithm: Algorithm, octets: &[u8]) -> Option<Vec<u8>> {
        match algorithm {
            Algorithm::Ed25519 => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
                self.ed25519.try_sign(digest.as_ref()).ok().map(|signature| signature.as_ref().to_vec())
            }
            Algorithm::Rsa => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let signed = self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature);
                signed.ok().map(|()| signature)
            }
        }
    }
}

impl Published {
    /// The text in the strings of a TXT record.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.value.as_str(); // ASCII, so every octet is a character
        std::iter::from_fn(move || {
            let (string, behind) = rest.split_at_checked(TXT_STRING_OCTETS_MAX).unwrap_or((rest, ""));
            rest = behind;
            (!string.is_empty()).then_some(string)
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
