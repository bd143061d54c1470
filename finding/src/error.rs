//! Why nothing is found.

use dccp::Did;

use crate::resolver::Refusal;
use crate::{BadDomain, BadWellKnown, FetchError, NameError};

/// Why a domain leads to no organisation that may be believed. Whatever it is, plaintext is not the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// Ours: not a domain.
    #[error(transparent)]
    Domain(#[from] BadDomain),
    /// Theirs or an attacker's: the TXT record and the HTTPS page name different DIDs.
    #[error("DNS names {dns}, HTTPS names {https}: one of them is forged or out of date")]
    Forged {
        /// What the TXT record names.
        dns: Did,
        /// What the HTTPS page names.
        https: Did,
    },
    /// Theirs or an attacker's: the DID's own log does not name the domain.
    #[error("{did} does not name the domain back")]
    NoBackLink {
        /// What the domain names.
        did: Did,
    },
    /// Theirs: two logs of the DID contradict each other.
    #[error("two logs of {did} contradict each other from operation {at_seq} on")]
    Duplicity {
        /// What the domain names.
        did: Did,
        /// The first operation in which they differ.
        at_seq: u64,
    },
    /// Theirs: the organisation gave its identity up.
    #[error("{did} was deactivated by its owner")]
    Deactivated {
        /// What the domain names.
        did: Did,
    },
    /// Theirs or an attacker's: no source has acceptable records of the DID that the domain names.
    #[error("no acceptable records of {did}: {}", records(.refusals))]
    Records {
        /// What the domain names.
        did: Did,
        /// What each source answered.
        refusals: Vec<(&'static str, Refusal)>,
    },
    /// Theirs, or the network's: DNS gives no answer that may be used.
    #[error("DNS: {0}")]
    Dns(#[from] NameError),
    /// Theirs, or the network's: no host of the domain serves an acceptable page.
    #[error("HTTPS: {}", pages(.tried))]
    Https {
        /// Each host that was asked, and what it answered.
        tried: Vec<(String, PageError)>,
    },
    /// Nobody's: DNS and HTTPS both say, reliably, that the domain has no identity of this kind.
    #[error("the domain publishes no identity")]
    NotFound,
    /// The network's or somebody's: all together took too long.
    #[error("too slow")]
    TooSlow,
}

impl DiscoverError {
    /// Whether asking again later may help without anybody repairing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::TooSlow => true,
            Self::Dns(error) => error.is_temporary(),
            Self::Https { tried } => tried.iter().any(|(_, error)| error.is_temporary()),
            Self::Records { refusals, .. } => refusals.iter().any(|(_, refusal)| refusal.is_temporary()),
            _ => false,
        }
    }
}

/// Why a host serves no acceptable page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It serves something else.
    #[error("no acceptable page: {0}")]
    Bad(#[from] BadWellKnown),
    /// It serves nothing.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl PageError {
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.is_temporary())
    }

    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.is_absence())
    }
}

fn pages(tried: &[(String, PageError)]) -> String {
    tried.iter().map(|(host, error)| format!("{host}: {error}")).collect::<Vec<_>>().join("; ")
}

fn records(refusals: &[(&'static str, Refusal)]) -> String {
    refusals.iter().map(|(name, refusal)| format!("{name}: {refusal}")).collect::<Vec<_>>().join("; ")
}
