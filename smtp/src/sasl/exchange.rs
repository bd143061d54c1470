//! The server's side of one authentication, whatever the mechanism: decoded responses in, turns out.
//!
//! ```text
//! begin ──► opening ─┐                      ┌─► Check ──► checked ─┐
//!                    ├─► hear(response) ──► ├─► Keys ───► keys ────┼─► Challenge ──► hear(response) …
//! initial response ──┘                      └─► Proven, Err ◄──────┘
//! ```

use std::fmt;

use super::scram::{Challenged, ClientFirst};
use super::{AuthRefusal, Credentials, Mechanism, ScramKeys, bearer, password};

/// One authentication that has begun.
pub(crate) struct Exchange {
    mechanism: Mechanism,
    next: Next,
}

/// What the next response, or the answer of the house, will be.
enum Next {
    First,
    /// `LOGIN`, after the name.
    Password {
        user: String,
    },
    /// The house checks credentials.
    Verdict,
    /// The house looks for keys.
    Keys(ClientFirst),
    Proof(Box<Challenged>),
    /// The client has the server's own proof, and says nothing more (RFC 4954 §4).
    Farewell {
        user: String,
    },
    /// The client has heard why its token is refused (RFC 7628 §3.2.3).
    Refusal,
}

impl fmt::Debug for Exchange {
    /// Without what was said in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({})", self.mechanism)
    }
}

/// What the exchange needs now.
pub(crate) enum Turn {
    /// Send these octets, and hear the response.
    Challenge(Vec<u8>),
    /// Ask the house, then [`Exchange::checked`].
    Check(Credentials),
    /// Ask the house for the keys of this user, then [`Exchange::keys`].
    Keys(String),
    /// Done: this is the user.
    Proven(String),
}

/// Why the exchange has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The response is not what the mechanism knows.
    Malformed,
    /// The client is not believed.
    Refused(AuthRefusal),
}

impl Exchange {
    pub(crate) fn begin(mechanism: Mechanism) -> Self {
        Self { mechanism, next: Next::First }
    }

    pub(crate) fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What to say to a client that sent no initial response. Only `LOGIN` asks for something.
    pub(crate) fn opening(&self) -> &'static [u8] {
        if self.mechanism == Mechanism::Login { b"Username:" } else { b"" }
    }

    /// The client's next response, decoded.
    pub(crate) fn hear(&mut self, response: &[u8]) -> Result<Turn, Fault> {
        match std::mem::replace(&mut self.next, Next::Refusal) {
            Next::First => self.first(response),
            Next::Password { user } => {
                let password = str::from_utf8(response).map_err(|_| Fault::Malformed)?;
                self.check(password::credentials(user, password)?)
            }
            Next::Proof(challenged) => {
                let (user, message) = challenged.verify(response)?;
                self.next = Next::Farewell { user };
                Ok(Turn::Challenge(message.into_bytes()))
            }
            Next::Farewell { user } if response.is_empty() => Ok(Turn::Proven(user)),
            Next::Farewell { .. } => Err(Fault::Malformed),
            Next::Refusal => Err(Fault::Refused(AuthRefusal::Wrong)),
            Next::Verdict | Next::Keys(_) => Err(Fault::Malformed), // the house was asked, not the client
        }
    }

    fn first(&mut self, response: &[u8]) -> Result<Turn, Fault> {
        match self.mechanism {
            Mechanism::Plain => self.check(password::plain(response)?),
            Mechanism::Login => {
                let user = str::from_utf8(response).map_err(|_| Fault::Malformed)?;
                self.next = Next::Password { user: password::name(user)? };
                Ok(Turn::Challenge(b"Password:".to_vec()))
            }
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => {
                self.check(bearer::credentials(self.mechanism, response)?)
            }
            Mechanism::ScramSha256 => {
                let first = ClientFirst::read(response)?;
                let user = first.user.clone();
                self.next = Next::Keys(first);
                Ok(Turn::Keys(user))
            }
        }
    }

    fn check(&mut self, credentials: Credentials) -> Result<Turn, Fault> {
        self.next = Next::Verdict;
        Ok(Turn::Check(credentials))
    }

    /// The house's answer to [`Turn::Check`].
    pub(crate) fn checked(&mut self, answer: Result<String, AuthRefusal>) -> Result<Turn, Fault> {
        let by_token = matches!(self.mechanism, Mechanism::XOAuth2 | Mechanism::OAuthBearer);
        match answer {
            Ok(user) => Ok(Turn::Proven(user)),
            Err(AuthRefusal::Wrong) if by_token => {
                self.next = Next::Refusal;
                Ok(Turn::Challenge(bearer::apology(self.mechanism).to_vec()))
            }
            Err(refusal) => Err(Fault::Refused(refusal)),
        }
    }

    /// The house's answer to [`Turn::Keys`], and octets that nobody can foretell.
    pub(crate) fn keys(
        &mut self,
        answer: Result<ScramKeys, AuthRefusal>,
        random: &[u8],
    ) -> Result<Turn, Fault> {
        let Next::Keys(first) = std::mem::replace(&mut self.next, Next::Refusal) else {
            return Err(Fault::Malformed);
        };
        let (challenged, message) = first.challenge(answer.map_err(Fault::Refused)?, random);
        self.next = Next::Proof(Box::new(challenged));
        Ok(Turn::Challenge(message.into_bytes()))
    }
}
