//! What the methods say, in the words of RFC 8601 §2.7.

use std::net::IpAddr;

use super::results;

/// The result of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Proven.
    Pass,
    /// Disproven.
    Fail,
    /// SPF: probably disproven, the domain's owner is not sure (RFC 7208 §2.6.5).
    SoftFail,
    /// Nothing is claimed, or what is claimed cannot be judged (a signature that does not fit the body).
    Neutral,
    /// The method does not apply: no record, no signature.
    None,
    /// It would apply, but this house does not accept it (RFC 8601 §2.7.1): an outdated algorithm, too long.
    Policy,
    /// DNS gave no answer; later it may.
    TempError,
    /// What the domain's owner published, or the sender wrote, makes no sense.
    PermError,
}

impl Outcome {
    /// The keyword of the registry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// Everything that is known about who sent a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// Where the connection came from.
    pub ip: IpAddr,
    /// SPF of the name in `EHLO` (RFC 7208 §2.3).
    pub helo: Spf,
    /// SPF of `MAIL FROM` (RFC 7208 §2.4); for the null path the same as `helo`.
    pub mail_from: Spf,
    /// Each signature that was looked at, the last one added first. Empty: not signed.
    pub dkim: Vec<Dkim>,
    /// What the domain in `From` asks for, and whether the message is its own.
    pub dmarc: Dmarc,
    /// The chain of those who forwarded it.
    pub arc: Arc,
    /// DMARC would decide, but DNS did not answer: neither accept nor refuse now.
    pub temporary: bool,
}

impl Verdicts {
    /// The `Authentication-Results` field (RFC 8601), folded, with its CRLF, to be prepended.
    ///
    /// `authserv_id` names this house and is one that [`forged_results`](super::forged_results) was asked about.
    #[must_use]
    pub fn authentication_results(&self, authserv_id: &str) -> String {
        results::field("Authentication-Results: ", authserv_id, self)
    }
}

/// Whether a host may send for a domain (RFC 7208).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spf {
    /// Never [`Outcome::Policy`].
    pub outcome: Outcome,
    /// Whose record was asked.
    pub identity: SpfIdentity,
}

/// The name that SPF was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpfIdentity {
    /// The argument of `EHLO`.
    Helo(String),
    /// The address in `MAIL FROM`.
    MailFrom(String),
}

impl SpfIdentity {
    /// The domain whose record counts.
    #[must_use]
    pub fn domain(&self) -> &str {
        match self {
            Self::Helo(hello) => hello,
            Self::MailFrom(address) => address.rsplit_once('@').map_or("", |(_, domain)| domain),
        }
    }
}

/// One DKIM signature (RFC 6376).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dkim {
    /// Never [`Outcome::SoftFail`].
    pub outcome: Outcome,
    /// `d=`: who takes responsibility. Empty where the field could not be read.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// `a=`, for example `rsa-sha256`.
    pub algorithm: &'static str,
    /// The first octets of the signature in base64, to tell two of one domain apart (RFC 6008).
    pub signature: String,
    /// Why it is not a pass; empty if it is.
    pub why: String,
}

/// What the author's domain asks for (RFC 9989, which replaced RFC 7489).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dmarc {
    /// [`Outcome::Pass`]: SPF or DKIM proves the domain in `From`. [`Outcome::None`]: it publishes nothing.
    /// [`Outcome::PermError`] also where `From` names no domain. Where it names several, the strictest answer of all.
    pub outcome: Outcome,
    /// The domain in `From`, as an A-label. Empty where there is none, or too many.
    pub domain: String,
    /// What its owner asks to be done with what does not pass, for a subdomain the one that it asks for those.
    pub policy: Policy,
    /// Why it is not a pass; empty if it is.
    pub why: String,
}

/// What the owner of a domain asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Nothing; the owner watches.
    None,
    /// To be treated with suspicion.
    Quarantine,
    /// To be refused.
    Reject,
}

impl Policy {
    /// The keyword of the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// The chain of custody of forwarded mail (RFC 8617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arc {
    /// [`Outcome::None`]: no chain. Otherwise pass, fail or, without an answer of DNS, temperror.
    pub outcome: Outcome,
    /// How many sealed it.
    pub instances: usize,
    /// Who sealed it last (`d=`), proven only by a pass.
    pub sealer: Option<String>,
    /// Why it is not a pass; empty if it is.
    pub why: String,
}
