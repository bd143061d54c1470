//! How much a domain's word for a DID is worth.

use std::fmt;

/// The level of trust in the link between a domain and a DID. Ordered: more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// 0: no link; an administrator would have to compare the fingerprint.
    None,
    /// 1: the domain's HTTPS page and the log's back-link, believed at first use.
    FirstUse,
    /// 2: a DNS record secured by DNSSEC, the HTTPS page and the back-link.
    Secured,
    /// 3: an administrator imported the partner file or compared the fingerprint. Never computed.
    Manual,
}

impl Trust {
    /// The level as a number, 0 to 3.
    pub fn level(self) -> u8 {
        match self {
            Self::None => 0,
            Self::FirstUse => 1,
            Self::Secured => 2,
            Self::Manual => 3,
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "0 (none)",
            Self::FirstUse => "1 (HTTPS and back-link, first use)",
            Self::Secured => "2 (DNSSEC, HTTPS and back-link)",
            Self::Manual => "3 (by an administrator)",
        })
    }
}

/// What DNSSEC said of a record that was found. A record that *failed* validation was not found at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dnssec {
    /// A chain of signatures from the trust anchor to the record and to every alias on the way.
    Secure,
    /// The zone is proven not to be signed.
    Insecure,
    /// Nobody looked: validation is switched off.
    Unchecked,
}

impl fmt::Display for Dnssec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::Unchecked => "not checked",
        })
    }
}

/// What speaks for the link between a domain and a DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The TXT record names this DID, with this status; none if there is no record.
    pub dns: Option<Dnssec>,
    /// The HTTPS page of the domain, under its own certificate, names this DID.
    pub https: bool,
    /// The DID's verified log names the domain.
    pub back_link: bool,
}

/// The level that the evidence earns. A function of its argument alone.
pub fn trust(evidence: Evidence) -> Trust {
    match evidence {
        Evidence { dns: Some(Dnssec::Secure), https: true, back_link: true } => Trust::Secured,
        Evidence { https: true, back_link: true, .. } => Trust::FirstUse,
        _ => Trust::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_what_the_protocol_says_for_every_combination_of_evidence() {
        let dns = [None, Some(Dnssec::Secure), Some(Dnssec::Insecure), Some(Dnssec::Unchecked)];
        for dns in dns {
            for (https, back_link) in [(false, false), (false, true), (true, false), (true, true)] {
                let expected = match (dns, https && back_link) {
                    (_, false) => 0,
                    (Some(Dnssec::Secure), true) => 2,
                    (_, true) => 1,
                };
                let evidence = Evidence { dns, https, back_link };
                assert_eq!(trust(evidence).level(), expected, "{evidence:?}");
            }
        }
    }

    #[test]
    fn only_a_person_gives_the_highest_trust() {
        assert!(
            Trust::Manual > Trust::Secured
                && Trust::Secured > Trust::FirstUse
                && Trust::FirstUse > Trust::None
        );
    }
}
