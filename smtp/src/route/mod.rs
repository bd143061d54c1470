//! The way of a mail to a domain outside of the overlay: from what DNS and HTTPS said to the hosts to try, in which
//! order, and under what protection. Pure: the hands that ask are elsewhere, `below` is the only chance.
//!
//! ```text
//! MX answer ──► candidates ──► hosts in order ──(addresses, TLSA of each)──┐
//! _mta-sts TXT ─► mta_sts::next_step ─► policy file ─► mta_sts::Finding ───┼─► plan ─► Plan { hops, skipped } | RouteError
//! the judge's Demand, REQUIRETLS ──────────────────────────────────────────┘
//! ```
//!
//! What protects a hop; the first line that fits decides:
//!
//! | the host | the domain's MTA-STS policy | the judge demands | the hop |
//! |---|---|---|---|
//! | MX, address, or TLSA: forged or unanswered | – | – | skipped (RFC 7672 §2.1.1); all skipped: try again later |
//! | secure TLSA, usable | – (DANE goes before, RFC 8461 §2) | any | DANE |
//! | – | enforce, host not named | any | skipped (RFC 8461 §5) |
//! | – | enforce, host named | any | certificate for the host |
//! | – | testing, host named | Opportunistic, Encrypted | certificate for the host, else as without a policy |
//! | no TLSA, or insecure | none, or testing | Opportunistic | TLS with any certificate, else clear |
//! | no TLSA, or insecure | none, or testing | Encrypted | TLS with any certificate |
//! | secure TLSA, none usable | none, or testing | Opportunistic, Encrypted | TLS with any certificate (RFC 7672 §2.2) |
//! | – | none, or testing | Verified | certificate for the host if DNSSEC or the policy vouches for its name, else for the domain |
//!
//! REQUIRETLS (RFC 8689 §2) on top: a host whose name neither DNSSEC nor an MTA-STS policy vouches for is skipped, the
//! others need DANE or a certificate for the host. Whether the server offers REQUIRETLS is seen when it is spoken to.
//!
//! Deliberately absent: `TLS-Required: No` (RFC 8689 §3). A sender's wish does not loosen what the recipient's domain
//! or our own law asks for.

pub mod mta_sts;
mod mx;
mod plan;
#[cfg(test)]
mod tests;
pub mod tls_report;
pub mod tlsa;

use std::net::IpAddr;

pub use mx::{Candidates, candidates, literal};
pub use plan::plan;
pub use tlsa::Tlsa;

use crate::reply::{Enhanced, Reply};

/// What DNS answered to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// None at all: DNS says that there is no such record.
    pub records: Vec<T>,
    /// DNSSEC secures every link of it, also that there is none (RFC 4033 §5).
    pub secure: bool,
    /// The name at the end of the aliases, where the records are, if the question had another.
    pub alias: Option<String>,
}

/// Why there is no answer that may be used. Never "there is no such record".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No server answered, or all of them failed.
    #[error("DNS gives no answer: {0}")]
    Silent(String),
    /// DNSSEC says forged.
    #[error("the answer of DNS fails DNSSEC validation")]
    Bogus,
}

/// One MX record (RFC 1035 §3.3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Lower ones first.
    pub preference: u16,
    /// In lower case, A-labels, without the final dot; empty for the root, which is a null MX (RFC 7505).
    pub host: String,
}

/// What was found of one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name as the MX record has it.
    pub name: String,
    /// Its addresses, IPv4 and IPv6.
    pub addresses: Result<Answer<IpAddr>, NoAnswer>,
    /// The answers for the names that [`Candidates::tlsa_bases`] gave, in that order, up to the first that has records.
    pub tlsa: Vec<(String, Result<Answer<Tlsa>, NoAnswer>)>,
}

/// The least protection that our own law asks of every hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// TLS where it can be had (RFC 7435).
    Opportunistic,
    /// TLS, with whatever certificate.
    Encrypted,
    /// TLS with a certificate that is verified.
    Verified,
}

/// What a mail asks of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Of our law.
    pub demand: Demand,
    /// Of the sender: the REQUIRETLS option of MAIL (RFC 8689).
    pub require_tls: bool,
}

/// The way to a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// At least one, the best first.
    pub hops: Vec<Hop>,
    /// Hosts that must not be used, and why.
    pub skipped: Vec<Skipped>,
}

/// One host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its name, for the greeting, SNI and people.
    pub host: String,
    /// At least one.
    pub addresses: Vec<IpAddr>,
    /// How the connection is protected.
    pub security: Security,
    /// What will do if that fails: only under a policy in testing, whose failures are reported and pass.
    pub or_else: Option<Security>,
    /// Which policy of the domain stands behind it.
    pub policy: tls_report::Policy,
    /// What a policy in testing has against the host: to be reported, and no hindrance.
    pub fault: Option<Unusable>,
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS with any certificate if it can be had, else clear (RFC 7435).
    Opportunistic,
    /// TLS with any certificate.
    Encrypted,
    /// TLS with a certificate of a known authority for one of these names.
    Pkix {
        /// At least one.
        names: Vec<String>,
    },
    /// TLS with a certificate that one of these records names (RFC 7672).
    Dane {
        /// The whole set; at least one is usable.
        records: Vec<Tlsa>,
        /// Which names a certificate under a DANE-TA(2) record may have, the TLSA base domain first (RFC 7672 §3.2.2).
        names: Vec<String>,
    },
}

/// A host that must not be used for this mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub host: String,
    /// Why.
    pub why: Unusable,
    /// Which policy of the domain it fell under.
    pub policy: tls_report::Policy,
}

/// Why a host must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Theirs: DNS says that the host has no address.
    #[error("no such host, or no address for it")]
    NoAddress,
    /// Theirs or an attacker's: the MTA-STS policy of the domain does not name the host.
    #[error("the domain's MTA-STS policy does not name this host")]
    NotInPolicy,
    /// Theirs: REQUIRETLS needs a name that somebody vouches for (RFC 8689 §2).
    #[error("neither DNSSEC nor an MTA-STS policy vouches for this host, as REQUIRETLS needs")]
    NotVouchedFor,
    /// Theirs: an address literal has no name that a certificate could be for.
    #[error("an address literal has no name to verify")]
    NoName,
    /// Nobody's: asked again later, DNS may answer.
    #[error(transparent)]
    Dns(#[from] NoAnswer),
}

/// Why there is no way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Theirs: the domain takes no mail (RFC 7505).
    #[error("the domain says that it takes no mail (null MX)")]
    NullMx,
    /// Nobody's: no MX and no address under that name.
    #[error("no such domain, or one that takes no mail")]
    NoSuchDomain,
    /// Theirs: MX records whose hosts have no addresses.
    #[error("none of the domain's mail servers has an address")]
    NoHost,
    /// Ours or theirs: the domain's mail leads back to us (RFC 5321 §5.1).
    #[error("the best mail server of the domain is this one")]
    Loop,
    /// Theirs: the sender asked for REQUIRETLS, or our law for verification, and the domain offers nothing to check.
    #[error("no mail server of the domain can be verified: {0}")]
    NotVerifiable(Unusable),
    /// Theirs or an attacker's: all hosts contradict the domain's MTA-STS policy. May be repaired at any time.
    #[error("{0}")]
    AgainstPolicy(Unusable),
    /// Nobody's: DNS did not answer.
    #[error(transparent)]
    Dns(#[from] NoAnswer),
}

impl RouteError {
    /// The words for a report, with the code that decides whether the mail is tried again.
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            Self::NullMx => (556, Enhanced(5, 1, 10)),           // RFC 7505 §4
            Self::NoSuchDomain => (550, Enhanced(5, 1, 2)),      // RFC 3463 §3.2
            Self::NoHost => (550, Enhanced(5, 4, 4)),            // RFC 3463 §3.5: unable to route
            Self::Loop => (554, Enhanced(5, 4, 6)),              // RFC 3463 §3.5: routing loop
            Self::NotVerifiable(_) => (550, Enhanced(5, 7, 10)), // RFC 8689 §4.2.1: encryption needed
            Self::AgainstPolicy(_) => (451, Enhanced(4, 7, 5)),  // RFC 3463 §3.8: cryptographic failure
            Self::Dns(_) => (451, Enhanced(4, 4, 3)),            // RFC 3463 §3.5: directory server failure
        };
        Reply::new(code, enhanced, self.to_string())
    }
}
