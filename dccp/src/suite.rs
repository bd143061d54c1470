//! Cipher suites: which algorithms belong together. Agility is by suite id in signed records only; there is no
//! negotiation in band.

use std::fmt;

/// A set of algorithms that this version can seal and open with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// 0x0001: X-Wing, AES-256-GCM, ML-DSA-65 and Ed25519. The default.
    X0001,
    /// 0x0002: as 0x0001 with ChaCha20-Poly1305, for processors without AES instructions.
    X0002,
    /// 0x0101: ML-KEM-768, AES-256-GCM, ML-DSA-65. Post-quantum alone: nothing classical behind it.
    X0101,
    /// 0x0102: X-Wing, ChaCha20-Poly1305, FN-DSA-512 and Ed25519. Experimental until FIPS 206 is final.
    X0102,
}

/// What a suite is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choices {
    /// How a secret reaches the recipient.
    pub kem: KemAlgorithm,
    /// What encrypts and authenticates.
    pub aead: AeadAlgorithm,
    /// How the sender signs.
    pub signature: SignatureAlgorithm,
}

/// A key encapsulation mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KemAlgorithm {
    /// X25519 and ML-KEM-768 (draft-connolly-cfrg-xwing-kem-10).
    XWing,
    /// ML-KEM-768 alone (FIPS 203).
    MlKem768,
}

impl KemAlgorithm {
    /// Octets of an encapsulation key.
    pub const fn encapsulation_key_bytes(self) -> usize {
        match self {
            Self::XWing => 1216,
            Self::MlKem768 => 1184,
        }
    }

    /// Octets of a ciphertext.
    pub const fn ciphertext_bytes(self) -> usize {
        match self {
            Self::XWing => 1120,
            Self::MlKem768 => 1088,
        }
    }

    /// Octets of the seed that a private key is kept as.
    pub const fn seed_bytes(self) -> usize {
        match self {
            Self::XWing => 32,
            Self::MlKem768 => 64,
        }
    }
}

/// An authenticated cipher. Both take a key of 32, a nonce of 12 and a tag of 16 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AeadAlgorithm {
    /// NIST SP 800-38D.
    Aes256Gcm,
    /// RFC 8439.
    ChaCha20Poly1305,
}

/// How a message is signed. Of two algorithms both must verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RFC 8032 and FIPS 204.
    Ed25519MlDsa65,
    /// FIPS 204 alone.
    MlDsa65,
    /// RFC 8032 and the draft of FIPS 206.
    Ed25519FnDsa512,
}

impl SignatureAlgorithm {
    /// Octets of a signature.
    pub const fn signature_bytes(self) -> usize {
        match self {
            Self::Ed25519MlDsa65 => 64 + 3309,
            Self::MlDsa65 => 3309,
            Self::Ed25519FnDsa512 => 64 + 666,
        }
    }
}

/// How far a suite is to be trusted, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// Contains an algorithm whose standard is not final.
    Experimental,
    /// Final standards, but one broken algorithm is enough.
    PostQuantum,
    /// Final standards in pairs: breaking one of a pair gains nothing.
    Hybrid,
}

impl Suite {
    /// All suites of this version, in the order of their ids.
    pub const ALL: [Self; 4] = [Self::X0001, Self::X0002, Self::X0101, Self::X0102];

    /// The id on the wire and inside signatures.
    pub const fn id(self) -> u32 {
        match self {
            Self::X0001 => 0x0001,
            Self::X0002 => 0x0002,
            Self::X0101 => 0x0101,
            Self::X0102 => 0x0102,
        }
    }

    /// What it is made of.
    pub const fn choices(self) -> Choices {
        use {AeadAlgorithm as Aead, KemAlgorithm as Kem, SignatureAlgorithm as Sign};
        let (kem, aead, signature) = match self {
            Self::X0001 => (Kem::XWing, Aead::Aes256Gcm, Sign::Ed25519MlDsa65),
            Self::X0002 => (Kem::XWing, Aead::ChaCha20Poly1305, Sign::Ed25519MlDsa65),
            Self::X0101 => (Kem::MlKem768, Aead::Aes256Gcm, Sign::MlDsa65),
            Self::X0102 => (Kem::XWing, Aead::ChaCha20Poly1305, Sign::Ed25519FnDsa512),
        };
        Choices { kem, aead, signature }
    }

    /// How far it is to be trusted.
    pub const fn strength(self) -> Strength {
        match self {
            Self::X0001 | Self::X0002 => Strength::Hybrid,
            Self::X0101 => Strength::PostQuantum,
            Self::X0102 => Strength::Experimental,
        }
    }

    /// Does it contain an algorithm whose standard is not final? Whoever shows the suite to a person says so.
    pub const fn is_experimental(self) -> bool {
        matches!(self.strength(), Strength::Experimental)
    }

    /// Is it at least as strong as `minimum`?
    pub fn meets(self, minimum: Self) -> bool {
        self.strength() >= minimum.strength()
    }

    /// The suite to seal with: the strongest that the recipient's signed record offers and that is ours, of equal
    /// ones the first of ours. `minimum` is what was agreed for this partner.
    ///
    /// # Errors
    /// [`NoCommonSuite::BelowMinimum`] when a suite is common but weaker: somebody may be trying to downgrade.
    pub fn choose(offered: &[Self], ours: &[Self], minimum: Self) -> Result<Self, NoCommonSuite> {
        let common = ours.iter().copied().filter(|suite| offered.contains(suite));
        let stronger = |best: Self, next: Self| if next.strength() > best.strength() { next } else { best };
        match common.reduce(stronger) {
            None => Err(NoCommonSuite::Disjoint),
            Some(best) if best.meets(minimum) => Ok(best),
            Some(best) => Err(NoCommonSuite::BelowMinimum { best, minimum }),
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.id())
    }
}

/// Two organisations cannot talk: not a fault of the network, and never a reason to send in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCommonSuite {
    /// The recipient offers none of ours.
    #[error("the recipient accepts none of our suites")]
    Disjoint,
    /// The best common suite is weaker than the partner's minimum.
    #[error("the recipient offers at best suite {best}, which is below the minimum {minimum}")]
    BelowMinimum {
        /// The strongest common suite.
        best: Suite,
        /// What was agreed for this partner.
        minimum: Suite,
    },
}

/// A suite id that this version does not speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("suite {0:#06x} is not supported")]
pub struct UnsupportedSuite(pub u32);

impl TryFrom<u32> for Suite {
    type Error = UnsupportedSuite;

    fn try_from(id: u32) -> Result<Self, UnsupportedSuite> {
        Self::ALL.into_iter().find(|suite| suite.id() == id).ok_or(UnsupportedSuite(id))
    }
}

#[cfg(test)]
mod tests {
    use super::Suite::{X0001, X0002, X0101, X0102};
    use super::*;

    #[test]
    fn the_strongest_common_suite_is_chosen_and_our_order_decides_between_equals() {
        let choose = |offered: &[Suite], ours: &[Suite]| Suite::choose(offered, ours, X0102);
        assert_eq!(choose(&Suite::ALL, &[X0102, X0101, X0002, X0001]), Ok(X0002));
        assert_eq!(choose(&[X0002, X0001], &[X0001, X0002]), Ok(X0001));
        assert_eq!(choose(&[X0102, X0101], &Suite::ALL), Ok(X0101));
        assert_eq!(choose(&[X0102], &Suite::ALL), Ok(X0102));
    }

    #[test]
    fn a_record_stripped_of_the_strong_suites_is_refused_as_below_the_minimum() {
        let below = NoCommonSuite::BelowMinimum { best: X0101, minimum: X0001 };
        assert_eq!(Suite::choose(&[X0101, X0102], &Suite::ALL, X0001), Err(below));
        assert_eq!(Suite::choose(&[], &Suite::ALL, X0102), Err(NoCommonSuite::Disjoint));
        assert_eq!(
            Suite::choose(&[X0002], &Suite::ALL, X0001),
            Ok(X0002),
            "equal strength meets the minimum"
        );
    }

    #[test]
    fn ids_name_suites_and_nothing_else_does() {
        for suite in Suite::ALL {
            assert_eq!(Suite::try_from(suite.id()), Ok(suite));
        }
        for unknown in [0, 3, 0x0100, 0x0103, u32::MAX] {
            assert_eq!(Suite::try_from(unknown), Err(UnsupportedSuite(unknown)));
        }
        assert_eq!(Suite::ALL.map(Suite::is_experimental), [false, false, false, true]);
    }
}
