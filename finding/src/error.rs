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
    /// Whether the domain certainly names nobody: DNS says reliably that there is no record, and every host that could
    /// serve a page says reliably that it has none, or serves something that is none. A host that cannot be reached now
    /// says nothing.
    pub fn is_certain_absence(&self) -> bool {
        match self {
            Self::NotFound => true,
            Self::Https { tried } => tried.iter().all(|(_, error)| error.is_no_page_of_ours()),
            _ => false,
        }
    }

    /// Whether the domain does name an identity, although it may not be believed.
    pub fn names_an_identity(&self) -> bool {
        match self {
            Self::Forged { .. }
            | Self::NoBackLink { .. }
            | Self::Duplicity { .. }
            | Self::Deactivated { .. }
            | Self::Records { .. } => true,
            Self::Dns(error) => matches!(error, NameError::Several(_) | NameError::BadTxt(_)),
            Self::Https { tried } => tried.iter().any(|(_, error)| error.tries_to_be_ours()),
            _ => false,
        }
    }

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

    /// What answers is somebody else's page, or nothing; asking again changes nothing.
    fn is_no_page_of_ours(&self) -> bool {
        !self.is_temporary() && !self.tries_to_be_ours()
    }

    /// It is JSON of our kind, with a mistake in it.
    fn tries_to_be_ours(&self) -> bool {
        matches!(self, Self::Bad(bad) if !matches!(bad, BadWellKnown::TooLarge | BadWellKnown::Json(_)))
    }
}

fn pages(tried: &[(String, PageError)]) -> String {
    tried.iter().map(|(host, error)| format!("{host}: {error}")).collect::<Vec<_>>().join("; ")
}

fn records(refusals: &[(&'static str, Refusal)]) -> String {
    refusals.iter().map(|(name, refusal)| format!("{name}: {refusal}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reliable_answers_mean_that_a_domain_names_nobody() {
        let pages = |errors: [FetchError; 2]| DiscoverError::Https {
            tried: errors.map(|error| ("globex.test".to_owned(), error.into())).into(),
        };
        assert!(DiscoverError::NotFound.is_certain_absence());
        assert!(pages([FetchError::Redirect, FetchError::NotFound]).is_certain_absence());
        let page =
            |bad: BadWellKnown| DiscoverError::Https { tried: vec![("globex.test".into(), bad.into())] };
        assert!(page(BadWellKnown::Json("<html>".to_owned())).is_certain_absence());
        assert!(page(BadWellKnown::Did).names_an_identity() && !page(BadWellKnown::Did).is_certain_absence());
        for error in [
            pages([FetchError::NotFound, FetchError::Unreachable("refused".to_owned())]),
            pages([FetchError::Busy(503), FetchError::Redirect]),
            pages([FetchError::NotFound, FetchError::Name(NameError::Bogus)]),
            DiscoverError::TooSlow,
            NameError::Unanswered("too slow".to_owned()).into(),
            NameError::Several(2).into(),
        ] {
            assert!(!error.is_certain_absence(), "{error}");
        }
        assert!(DiscoverError::from(NameError::Several(2)).names_an_identity());
        assert!(!DiscoverError::NotFound.names_an_identity() && !DiscoverError::TooSlow.names_an_identity());
    }
}
