//! Cipher suites. Agility is by suite id in signed records only; there is no negotiation in band.

use std::fmt;

/// A suite this version can seal and open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// 0x0001: X-Wing, AES-256-GCM, ML-DSA-65 and Ed25519. The default.
    X0001,
}

impl Suite {
    /// The id on the wire and inside signatures.
    pub const fn id(self) -> u32 {
        match self {
            Self::X0001 => 0x0001,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.id())
    }
}

/// A suite id that this version does not speak; known ids of the design (0x0002, 0x0101, 0x0102) included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("suite {0:#06x} is not supported")]
pub struct UnsupportedSuite(pub u32);

impl TryFrom<u32> for Suite {
    type Error = UnsupportedSuite;

    fn try_from(id: u32) -> Result<Self, UnsupportedSuite> {
        match id {
            0x0001 => Ok(Self::X0001),
            other => Err(UnsupportedSuite(other)),
        }
    }
}
