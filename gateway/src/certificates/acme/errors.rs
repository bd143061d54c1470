//! Why there is no new certificate, by whose fault, and what to do.

use std::path::PathBuf;

use instant_acme::Problem;

use super::client::ClientError;

/// Why there is no new certificate. The one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority's word: it does not serve us, or not these names, or not now.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// The authority asked under a name and did not find our answer.
    #[error("the authority did not find us under {name}: {why}")]
    Unproven {
        /// The name.
        name: String,
        /// What the authority found instead.
        why: String,
    },
    /// The authority wants a proof that we cannot give.
    #[error("the authority does not offer {wanted} for {name}")]
    NoWay {
        /// The name.
        name: String,
        /// The challenge that we can answer.
        wanted: &'static str,
    },
    /// The authority does not know our account any more; another one is made at once.
    #[error("the authority does not know our account any more")]
    AccountGone,
    /// The authority's, for now: it took none of our nonces (RFC 8555 §6.5).
    #[error("the authority takes none of its own nonces")]
    Nonces,
    /// The network's, or the authority's.
    #[error("the authority cannot be asked: {0}")]
    Unreachable(String),
    /// The authority's.
    #[error("the authority did not finish in time")]
    Slow,
    /// The authority's: it says what none should say.
    #[error("the authority's answer makes no sense: {0}")]
    Senseless(String),
    /// Ours: the MAC key of the external account.
    #[error("{path} holds no MAC key in base64url (acme.external_account.key): {why}")]
    ExternalKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Ours: the authorities that we trust.
    #[error("the authorities that vouch for the directory's server: {0}")]
    Roots(String),
    /// Ours: a key could not be made or used.
    #[error("the key of the certificate: {0}")]
    Key(String),
    /// Somebody altered a file of ours, or it was sealed under another storage key.
    #[error("{} does not open: it was altered, or sealed under another storage key", .0.display())]
    Altered(PathBuf),
    /// The machine's.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
}

impl AcmeError {
    /// What a person may do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Refused(_) => {
                "read what it says; acme.names and acme.external_account are what it may mean, and a CAA record in DNS"
            }
            Self::Unproven { .. } => {
                "every name must lead here in DNS, and port 80 to acme.listen (or 443 to publication.listen) through firewalls"
            }
            Self::NoWay { .. } => {
                "with acme.listen it may ask by http-01, without it by tls-alpn-01 at publication.listen"
            }
            Self::AccountGone | Self::Nonces | Self::Slow => "nothing: it is asked again",
            Self::Unreachable(_) => {
                "check acme.directory, that firewalls let us out to it, and acme.ca if it is an internal one"
            }
            Self::Senseless(_) => "check that acme.directory is the address of an ACME directory",
            Self::ExternalKey { .. } | Self::Roots(_) => "put the right file there",
            Self::Key(_) => "ask for a new key: dccp-gateway certificate renew --new-key",
            Self::Altered(_) => "put the right file back, or remove it: another one is made",
            Self::Io { .. } => "check the folder and its disk",
        }
    }
}

/// RFC 8555 §6.7: the account that signed is not there.
const ACCOUNT_GONE: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// RFC 8555 §6.5: whoever hears this may try again with another nonce.
const BAD_NONCE: &str = "urn:ietf:params:acme:error:badNonce";

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        use instant_acme::Error;
        match error {
            Error::Api(problem) if problem.r#type.as_deref() == Some(ACCOUNT_GONE) => Self::AccountGone,
            Error::Api(problem) if problem.r#type.as_deref() == Some(BAD_NONCE) => Self::Nonces,
            Error::Api(problem) => Self::Refused(words(&problem)),
            Error::Timeout(_) => Self::Slow,
            Error::Other(other) => match other.downcast::<ClientError>() {
                Ok(error) => Self::Unreachable(error.to_string()),
                Err(other) => Self::Senseless(other.to_string()),
            },
            other => Self::Senseless(other.to_string()),
        }
    }
}

/// What a problem document (RFC 8555 §6.7) says to a person: `rejectedIdentifier: … (mx.acme.test: …)`.
pub(super) fn words(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let detail = problem.detail.as_deref().unwrap_or("no reason given");
    let below: Vec<String> = problem.subproblems.iter().map(|sub| sub.to_string()).collect();
    let below = if below.is_empty() { String::new() } else { format!(" ({})", below.join("; ")) };
    format!("{kind}: {detail}{below}")
}
