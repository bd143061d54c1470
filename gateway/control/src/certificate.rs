//! The certificates of the gateway's doors.

use serde::{Deserialize, Serialize};

/// Every certificate in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateList {
    /// Those of files in the order of their doors, the authority's last.
    pub certificates: Vec<CertificateView>,
}

/// One certificate as it is shown now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Its file, or `acme` for the one that an authority gives us.
    pub certificate: String,
    /// The names it is for; none while there is only one that the gateway made itself.
    pub names: Vec<String>,
    /// Who signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_ms: Option<u64>,
    /// Whole days until then; negative afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// SHA-256 of its public key in hex: the data of a TLSA record `3 1 1` (RFC 7672).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_sha256: Option<String>,
    /// Why it is not the one that it should be, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Of the authority's: how it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalView>,
}

/// How a certificate is renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalView {
    /// Attempts that ended since the gateway started, good or not.
    pub attempts: u64,
    /// When the next one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at_ms: Option<u64>,
}

/// A wish that is being fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalBegun {
    /// The attempt that does it: it has ended when [`RenewalView::attempts`] is as large.
    pub attempt: u64,
}

/// A person's wish for a new certificate now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalOrder {
    /// With a new key: TLSA records of the old one then fit no longer.
    #[serde(default)]
    pub new_key: bool,
}
