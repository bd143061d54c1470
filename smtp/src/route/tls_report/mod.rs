//! What a domain is told, once a day, of how TLS with its mail servers went (RFC 8460).
//!
//! ```text
//! a connection ─► Tally { policy, result, host, … } ─► counted per domain and day (by the house)
//! TXT _smtp._tls.<domain> ─► record ─► rua        counted ─► Report::json ─► mail ─► one mail per address
//! ```
//! A tally holds no address, subject or size of any mail.

mod json;
mod mail;
mod record;

use std::net::IpAddr;

pub use json::Report;
pub use mail::mail;
pub use record::{BadRecord, Rua, record};

use serde::{Deserialize, Serialize};

use super::{Tlsa, Unusable, mta_sts};
/// Which policy of a domain a connection was under (RFC 8460 §4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Policy {
    /// DANE, MTA-STS, or none.
    pub kind: PolicyKind,
    /// The policy in its own words: TLSA records, or the lines of the file.
    pub strings: Vec<String>,
    /// The host patterns of an MTA-STS policy.
    pub hosts: Vec<String>,
}

/// `policy-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PolicyKind {
    /// The domain has none.
    NoPolicyFound,
    /// MTA-STS.
    Sts,
    /// DANE.
    Tlsa,
}

impl PolicyKind {
    /// The word of the standard.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoPolicyFound => "no-policy-found",
            Self::Sts => "sts",
            Self::Tlsa => "tlsa",
        }
    }
}

impl Policy {
    /// The domain has none.
    pub fn none() -> Self {
        Self { kind: PolicyKind::NoPolicyFound, strings: Vec::new(), hosts: Vec::new() }
    }

    /// This policy of MTA-STS.
    pub fn sts(policy: &mta_sts::Policy) -> Self {
        Self { kind: PolicyKind::Sts, strings: policy.lines(), hosts: policy.hosts.clone() }
    }

    /// These TLSA records, as a zone file has them.
    pub fn tlsa(records: &[Tlsa]) -> Self {
        let text = |record: &Tlsa| {
            let digits: String = record.data.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{} {} {} {digits}", record.usage, record.selector, record.matching)
        };
        Self { kind: PolicyKind::Tlsa, strings: records.iter().map(text).collect(), hosts: Vec::new() }
    }
}

/// How one connection, or the preparation for one, went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tally {
    /// Under which policy.
    pub policy: Policy,
    /// What failed; `None`: TLS was as the policy asks for, or in clear where there is no policy.
    pub failure: Option<Failure>,
}

/// What failed (RFC 8460 §4.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// `result-type`.
    pub result: String,
    /// The host, if it came as far as that.
    pub host: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// `failure-reason-code`: words for people.
    pub reason: String,
}

impl Failure {
    /// A host that was not spoken to.
    pub fn unusable(host: &str, why: &Unusable) -> Option<Self> {
        let result = match why {
            Unusable::Dns(super::NoAnswer::Bogus) => "dnssec-invalid",
            Unusable::NotInPolicy => "validation-failure",
            // Names without addresses, silent servers and our own law are no matter of TLS.
            _ => return None,
        };
        Some(Self {
            result: result.to_owned(),
            host: host.to_owned(),
            address: None,
            reason: why.to_string(),
        })
    }

    /// A policy file that could not be fetched, or is none.
    pub fn policy(result: StsFailure, reason: String) -> Self {
        let result = match result {
            StsFailure::Fetch => "sts-policy-fetch-error",
            StsFailure::Invalid => "sts-policy-invalid",
            StsFailure::WebPki => "sts-webpki-invalid",
        };
        Self { result: result.to_owned(), host: String::new(), address: None, reason }
    }
}

/// What went wrong with an MTA-STS policy (RFC 8460 §4.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsFailure {
    /// No server, no page, too slow, too large.
    Fetch,
    /// A page that is no policy.
    Invalid,
    /// A web server without a proper certificate.
    WebPki,
}

#[cfg(test)]
mod tests;
