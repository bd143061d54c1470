//! People who submit mail: who they are, how they prove it, and which addresses are theirs.
//!
//! ```text
//! smtp session ─ AUTH ─► flows::reception ─► Verifier ─► User
//!                                               ▲
//!                                          LocalUsers ◄── users.yaml ◄── dccp-gateway user add | passwd | token | remove
//! ```
//!
//! Words of this room: a *user* is a name with proofs (a password, and tokens for single programs), and the addresses that the
//! user may send as; the *verifier* is whoever can tell. [`LocalUsers`] reads a file; directories and identity providers can stand in its place.
//!
//! Invariants:
//! - A verifier that cannot tell says so ([`AuthRefusal::Unavailable`]): a broken file is never a wrong password.
//! - Nobody learns from an answer, or from how long it takes, whether a name exists.
//! - A change of the file counts from the next question on, without a restart.
//!
//! Deliberately absent: the mechanisms (`smtp::sasl`), people's mailboxes (the mail server behind us).

mod entry;
mod file;
mod local;
mod password;
mod scram;
mod token;

use async_trait::async_trait;
use smtp::server::{AuthRefusal, Credentials, Mechanisms, ScramKeys};

pub use entry::Entry;
pub use file::{UserFile, UserFileError};
pub use local::LocalUsers;
pub use password::PASSWORD_CHARACTERS_MIN;

/// Whoever can tell who somebody is.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// The mechanisms it can answer for; others are not offered.
    fn mechanisms(&self) -> Mechanisms;

    /// The user whose password or token this is.
    ///
    /// # Errors
    /// [`AuthRefusal::Wrong`] for an unknown user too.
    async fn authenticate(&self, credentials: Credentials) -> Result<User, AuthRefusal>;

    /// What a SCRAM-SHA-256 exchange with this user needs; of an unknown one, keys that no proof fits.
    ///
    /// # Errors
    /// [`AuthRefusal::Unavailable`].
    async fn scram(&self, user: &str) -> Result<ScramKeys, AuthRefusal>;

    /// The user of this name, as known now: asked when somebody who logged in begins a mail.
    ///
    /// # Errors
    /// [`AuthRefusal::Wrong`] if there is none any more.
    async fn user(&self, name: &str) -> Result<User, AuthRefusal>;
}

/// Somebody who may submit mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    addresses: Vec<String>,
}

impl User {
    /// How the name is compared and shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The addresses that the user may send as, in lower case.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Whether the user may send as this address. Without regard to case: RFC 5321 §2.4 leaves the local part to the mail
    /// server, but none gives two people addresses that differ in nothing else.
    pub fn owns(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        self.addresses.contains(&address)
    }

    /// The one spelling of a name.
    fn canonical(name: &str) -> String {
        password::prepared(name).to_lowercase()
    }
}
