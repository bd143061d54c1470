//! Who is at the other end: SASL (RFC 4422) as SMTP uses it (RFC 4954), without a socket, a clock or a user list.
//!
//! The server's side of each mechanism is an `Exchange` between a session and the house.
//!
//! Deliberately absent: acting for another user, channel binding (`-PLUS`), security layers, and the mechanisms that
//! hash with MD5 or SHA-1.

mod bearer;
mod exchange;
mod gs2;
mod password;
mod scram;

use std::collections::BTreeSet;
use std::fmt;

use zeroize::Zeroizing;

pub(crate) use self::exchange::{Exchange, Fault, Turn};
#[cfg(test)]
pub(crate) use self::scram::tests::keys_of;
pub(crate) use self::scram::{hash, mac};

/// A way to prove who one is. The order is that in which a server offers them, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// `SCRAM-SHA-256` (RFC 7677): the password never travels, and the server proves itself too.
    ScramSha256,
    /// `OAUTHBEARER` (RFC 7628): a token of an identity provider.
    OAuthBearer,
    /// `XOAUTH2`: the same in the form that was there before the RFC, and that many clients still speak.
    XOAuth2,
    /// `PLAIN` (RFC 4616): name and password.
    Plain,
    /// `LOGIN`: name and password in two steps; never standardised, never died out.
    Login,
}

/// Those a server offers; none means that it offers no AUTH.
pub type Mechanisms = BTreeSet<Mechanism>;

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ScramSha256, Self::OAuthBearer, Self::XOAuth2, Self::Plain, Self::Login];

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// By its name, in any case (RFC 4954 §4).
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A password or token: wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it over.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself, for whoever checks or sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// What a client shows so that it is believed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `PLAIN` and `LOGIN`.
    Password {
        /// The name as the client spells it, UTF-8 of at most 255 octets, not empty.
        user: String,
        /// Not empty.
        password: Secret,
    },
    /// `OAUTHBEARER` and `XOAUTH2`.
    Token {
        /// Whom the client says the token is about; the token decides.
        user: Option<String>,
        /// A bearer token (RFC 6750 §2.1).
        token: Secret,
    },
}

impl fmt::Debug for Credentials {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "the password of {user:?}"),
            Self::Token { user, .. } => write!(f, "a token of {user:?}"),
        }
    }
}

/// Why a client is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthRefusal {
    /// Name, password, token or proof is not right, or the account may not be used. Which of them is not said.
    #[error("the credentials are not valid")]
    Wrong,
    /// Credentials of this kind are not checked here.
    #[error("credentials of this kind are not accepted here")]
    NotHere,
    /// Whoever knows cannot be asked now; says nothing about the credentials.
    #[error("credentials cannot be checked now")]
    Unavailable,
}

/// What a server keeps of a password for SCRAM-SHA-256 (RFC 5802 §3): enough to check a proof, not enough to make one.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The user's name as the house spells it; the client's spelling is only how it was found.
    pub user: String,
    /// Sent to the client.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2; RFC 7677 §4 wants at least 4096.
    pub iterations: u32,
    /// `H(ClientKey)`.
    pub stored_key: Zeroizing<[u8; 32]>,
    /// `ServerKey`.
    pub server_key: Zeroizing<[u8; 32]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_are_known_by_name_in_any_case() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::by_name(&mechanism.name().to_lowercase()), Some(mechanism));
        }
        for unknown in ["", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN "] {
            assert_eq!(Mechanism::by_name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn credentials_are_shown_without_their_secret() {
        let password = Secret::new("tr0ub4dor".into());
        let shown = format!("{:?}", Credentials::Password { user: "alice".into(), password });
        assert!(shown.contains("alice") && !shown.contains("tr0ub4dor"), "{shown}");
        let token = Credentials::Token { user: None, token: Secret::new("tr0ub4dor".into()) };
        assert!(!format!("{token:?}").contains("tr0ub4dor"));
    }
}
