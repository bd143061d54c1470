//! One person in the user file, and how the person proves who it is: a password in two forms, and tokens for programs.

use dccp::UnixMillis;
use serde::{Deserialize, Serialize};
use smtp::server::ScramKeys;
use zeroize::Zeroizing;

use super::password::{NotAHash, PasswordHash, prepared};
use super::scram::{self, NotKeys};
use super::token::{NotATokenHash, TokenHash};
use super::{User, UserFileError};

/// The longest name, in octets: that of a mailbox (RFC 5321 §4.5.3.1.3).
const NAME_BYTES_MAX: usize = 254;

/// One person in the file.
#[derive(Clone)]
pub struct Entry {
    user: User,
    /// For mechanisms in which the password is sent.
    pub(super) password: PasswordHash,
    /// For SCRAM-SHA-256, in which it is not.
    scram: scram::Keys,
    /// For programs that show a token instead.
    tokens: Vec<AccessToken>,
}

/// What one program of a person shows.
#[derive(Clone)]
struct AccessToken {
    name: String,
    hash: TokenHash,
    until: UnixMillis,
}

impl Entry {
    /// Somebody with this password, hashed in both ways. Takes some 200 ms.
    pub fn new(user: User, password: &str) -> Entry {
        let password = prepared(password);
        let (password, scram) = (PasswordHash::of(&password), scram::Keys::of(&password));
        Entry { user, password, scram, tokens: Vec::new() }
    }

    /// Another password from now on. Tokens stay: each is taken away on its own.
    pub(super) fn set_password(&mut self, password: &str) {
        let Entry { password, scram, .. } = Entry::new(self.user.clone(), password);
        (self.password, self.scram) = (password, scram);
    }

    /// Who it is.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether this is the password. Takes some 20 ms and 19 MiB.
    pub fn has_password(&self, password: &str) -> bool {
        self.password.is_of(&prepared(password))
    }

    /// Gives the person a new token and tells it: it is kept as a hash only, and nobody can be told again.
    ///
    /// # Errors
    /// [`UserFileError::Name`], [`UserFileError::TokenTaken`].
    pub fn issue(&mut self, name: &str, until: UnixMillis) -> Result<Zeroizing<String>, UserFileError> {
        let name = canonical_name(name)?;
        if self.tokens.iter().any(|token| token.name == name) {
            return Err(UserFileError::TokenTaken { user: self.user.name().to_owned(), token: name });
        }
        let (token, hash) = TokenHash::fresh();
        self.tokens.push(AccessToken { name, hash, until });
        Ok(token)
    }

    /// Takes a token away: it counts no longer.
    ///
    /// # Errors
    /// [`UserFileError::NoToken`].
    pub fn revoke(&mut self, name: &str) -> Result<(), UserFileError> {
        let canonical = User::canonical(name);
        let had = self.tokens.len();
        self.tokens.retain(|token| token.name != canonical);
        if self.tokens.len() == had {
            return Err(UserFileError::NoToken { user: self.user.name().to_owned(), token: name.to_owned() });
        }
        Ok(())
    }

    /// The tokens: their names, and until when each counts.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, UnixMillis)> {
        self.tokens.iter().map(|token| (token.name.as_str(), token.until))
    }

    /// Whether this is one of the person's tokens, and counts at `now`.
    pub(super) fn holds(&self, token: &TokenHash, now: UnixMillis) -> bool {
        self.tokens.iter().any(|held| held.hash.is(token) && now < held.until)
    }

    /// The same proofs for somebody else.
    #[cfg(test)]
    pub(super) fn of_another(&self, user: User) -> Entry {
        Entry { user, ..self.clone() }
    }

    /// What a SCRAM exchange needs.
    pub(super) fn scram_keys(&self) -> ScramKeys {
        let scram::Keys { salt, iterations, stored_key, server_key } = self.scram.clone();
        let (stored_key, server_key) = (Zeroizing::new(stored_key), Zeroizing::new(server_key));
        ScramKeys { user: self.user.name().to_owned(), salt, iterations, stored_key, server_key }
    }
}

impl User {
    /// A user of this name who may send as these addresses.
    ///
    /// # Errors
    /// [`UserFileError::Name`].
    pub fn new(name: &str, addresses: impl IntoIterator<Item = String>) -> Result<User, UserFileError> {
        let name = canonical_name(name)?;
        let addresses = addresses.into_iter().map(|address| address.to_lowercase()).collect();
        Ok(User { name, addresses })
    }
}

/// The one spelling of a name of a user or of a token.
fn canonical_name(name: &str) -> Result<String, UserFileError> {
    let canonical = User::canonical(name);
    let plain = !canonical.is_empty() && canonical.len() <= NAME_BYTES_MAX;
    if !plain || canonical.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UserFileError::Name(name.to_owned()));
    }
    Ok(canonical)
}

/// A person as YAML has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenEntry {
    pub(super) name: String,
    addresses: Vec<String>,
    password: String,
    scram: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<WrittenToken>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenToken {
    name: String,
    hash: String,
    until_ms: u64,
}

impl WrittenEntry {
    pub(super) fn of(entry: &Entry) -> WrittenEntry {
        WrittenEntry {
            name: entry.user.name().to_owned(),
            addresses: entry.user.addresses().to_vec(),
            password: entry.password.to_text(),
            scram: entry.scram.to_text(),
            tokens: entry.tokens.iter().map(WrittenToken::of).collect(),
        }
    }

    pub(super) fn read(self) -> Result<Entry, String> {
        Ok(Entry {
            user: User::new(&self.name, self.addresses).map_err(|error| error.to_string())?,
            password: self.password.parse().map_err(|error: NotAHash| error.to_string())?,
            scram: self.scram.parse().map_err(|error: NotKeys| error.to_string())?,
            tokens: self.tokens.into_iter().map(WrittenToken::read).collect::<Result<_, _>>()?,
        })
    }
}

impl WrittenToken {
    fn of(token: &AccessToken) -> WrittenToken {
        WrittenToken { name: token.name.clone(), hash: token.hash.to_text(), until_ms: token.until.as_u64() }
    }

    fn read(self) -> Result<AccessToken, String> {
        Ok(AccessToken {
            name: canonical_name(&self.name).map_err(|error| error.to_string())?,
            hash: self.hash.parse().map_err(|error: NotATokenHash| error.to_string())?,
            until: UnixMillis(self.until_ms),
        })
    }
}
