//! What partners answered about their people, and the asking behind the mail's back.
//!
//! ```text
//! a sender ─► known(address) ─► person │ nobody: seal to the organisation      (never waits, never fails)
//!          └► Sought ─► work ─► partner ─► verified, kept ─► known next time
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use dccp::address::{Answer, Mode, Person, Question, SALT_BYTES, canonical};
use dccp::did::{Devices, DidDocument};
use dccp::find::FindError;
use dccp::{Did, UnixMillis};
use rand::Rng;
use rusqlite::{Connection, OptionalExtension, params};

use super::table::{blob, did, number, unsigned};
use super::watch::{self, TreeAlarm, Watch};
use crate::custody::Vault;
use crate::spool::{Spool, SpoolError};

/// How long a person is believed without asking again.
const PERSON_FOR_MS: u64 = 24 * 3_600_000;
/// How long nobody is. Shorter: this is also the answer to one who asked too often.
const NOBODY_FOR_MS: u64 = 3_600_000;
/// How long the last person named is remembered after an answer ran out, so that a binding cannot go back unnoticed.
const MEMORY_MS: u64 = 400 * 24 * 3_600_000;

/// The purpose of the tag by which an address is found.
const CONTACT: &str = "contact-address";

/// The way to a partner.
#[async_trait]
pub trait Ask: Send + Sync {
    /// Puts a question of topic Find to any node of a partner.
    ///
    /// # Errors
    /// [`AskError::Unreachable`] when nobody answered in time.
    async fn ask(&self, partner: &Did, question: Vec<u8>) -> Result<Vec<u8>, AskError>;
}

/// Why a partner's answer is not known.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody's: the partner did not answer.
    #[error("the partner does not answer: {0}")]
    Unreachable(String),
    /// Theirs: the answer is not acceptable.
    #[error("the partner's answer: {0}")]
    Answer(#[from] FindError),
    /// Theirs: the answer contradicts an earlier one. An alarm was raised.
    #[error("the partner's answer contradicts what it said before")]
    Contradiction,
    /// Ours: the database does not answer.
    #[error("the database: {0}")]
    Spool(#[from] SpoolError),
}

/// Something to ask.
pub struct Sought {
    /// Whose address it is.
    pub partner: Did,
    /// The devices that may answer for the partner.
    pub devices: Devices,
    /// Whom we write to.
    pub address: String,
}

/// The person behind an address, as the organisation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correspondent {
    /// Who.
    pub did: Did,
    /// Opens the commitment to the address in the person's log.
    pub salt: [u8; SALT_BYTES],
}

impl Correspondent {
    /// Whether the person's own log names the address too: linkage is mutual or it is nothing.
    pub fn is_confirmed_by(&self, document: &DidDocument, address: &str) -> bool {
        let names = document.aka().iter().any(|aka| aka.matches(&self.salt, &canonical(address)));
        *document.did() == self.did && !document.is_deactivated() && names
    }
}

/// Whom an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A person that the partner named, not too long ago.
    Person(Correspondent),
    /// Nobody in particular: seal to the organisation.
    Nobody,
    /// Not known (any more): seal to the organisation, and ask.
    Unknown,
}

/// The people of partners.
#[derive(Clone)]
pub struct Contacts {
    spool: Spool,
    vault: Arc<Vault>,
    watch: Watch,
}

/// A row of `contacts`.
struct Row {
    person: Option<Correspondent>,
    named: Option<(Did, u64)>,
    expires: UnixMillis,
}

impl Contacts {
    /// Keeps what partners answer in this database.
    pub fn new(spool: Spool, vault: Arc<Vault>, watch: Watch) -> Contacts {
        Contacts { spool, vault, watch }
    }

    /// What is known about an address. A database that does not answer knows nothing.
    pub async fn known(&self, partner: &Did, address: &str, now: UnixMillis) -> Asked {
        match self.row(partner, address).await {
            Ok(Some(row)) if now < row.expires => row.person.map_or(Asked::Nobody, Asked::Person),
            Ok(_) => Asked::Unknown,
            Err(error) => {
                tracing::warn!(%error, "contacts cannot be read; sealing to the organisation");
                Asked::Unknown
            }
        }
    }

    /// Asks about an address unless the answer is known, keeps it, and has the partner prove its tree.
    ///
    /// # Errors
    /// [`AskError`]: the next mail asks again.
    pub async fn seek(&self, sought: &Sought, ask: &dyn Ask, now: UnixMillis) -> Result<Asked, AskError> {
        let known = self.known(&sought.partner, &sought.address, now).await;
        if known != Asked::Unknown {
            return Ok(known);
        }
        self.seek_anew(sought, ask, now).await
    }

    /// Asks about an address even if an answer is known: for an administrator who wants to know what is said now.
    ///
    /// # Errors
    /// As [`seek`](Self::seek).
    pub async fn seek_anew(
        &self,
        sought: &Sought,
        ask: &dyn Ask,
        now: UnixMillis,
    ) -> Result<Asked, AskError> {
        let Sought { partner, devices, address } = sought;
        let mut nonce = [0; 16];
        rand::rng().fill_bytes(&mut nonce);
        let question = Question::new(address, nonce)?;
        let bytes = ask.ask(partner, question.to_bytes()).await?;
        let answer = Answer::verify(&bytes, &question, partner, devices, now)?;
        let answered = self.keep(partner, address, &answer, now).await?;
        self.watch.observe(partner, answer.tree, now).await?;
        self.watch.settle(partner, devices, ask, now).await?;
        Ok(answered)
    }

    /// Forgets what ran out long ago.
    ///
    /// # Errors
    /// The database's.
    pub async fn purge(&self, now: UnixMillis) -> Result<usize, SpoolError> {
        let before = number(now.saturating_sub_ms(MEMORY_MS).as_u64());
        self.spool
            .write(move |database| database.execute("DELETE FROM contacts WHERE expires < ?1", [before]))
            .await
    }

    async fn row(&self, partner: &Did, address: &str) -> Result<Option<Row>, SpoolError> {
        let (tag, partner) = (self.tag(address), partner.clone());
        self.spool.read(move |database| row(database, &tag, &partner)).await
    }

    async fn keep(
        &self,
        partner: &Did,
        address: &str,
        answer: &Answer,
        now: UnixMillis,
    ) -> Result<Asked, AskError> {
        let (tag, about, answer) = (self.tag(address), partner.clone(), answer.clone());
        let kept = self.spool.write(move |database| keep(database, &tag, &about, &answer, now)).await?;
        match kept {
            Ok(asked) => Ok(asked),
            Err(alarm) => {
                watch::report(alarm);
                Err(AskError::Contradiction)
            }
        }
    }

    fn tag(&self, address: &str) -> [u8; 16] {
        self.vault.tag(CONTACT, canonical(address).as_bytes())
    }
}

/// Inside a transaction: keeps an answer, or gives the alarm that it raised.
fn keep(
    database: &Connection,
    tag: &[u8; 16],
    partner: &Did,
    answer: &Answer,
    now: UnixMillis,
) -> rusqlite::Result<Result<Asked, Option<TreeAlarm>>> {
    let named = row(database, tag, partner)?.and_then(|row| row.named);
    let (person, named, lasts_ms) = match (&answer.mode, named) {
        (Mode::Domain, named) => (None, named, NOBODY_FOR_MS),
        (Mode::User(person), Some((known, generation)))
            if person.generation < generation || (person.generation == generation && person.did != known) =>
        {
            let what = format!("the binding of an address went back to generation {}", person.generation);
            let kept = watch::kept(database, partner)?.unwrap_or(answer.tree);
            let alarm = TreeAlarm { partner: partner.clone(), what, kept, seen: answer.tree, at: now };
            return Ok(Err(watch::raise(database, alarm)?));
        }
        (Mode::User(person), _) => {
            let Person { did, salt, .. } = person.as_ref();
            let correspondent = Correspondent { did: did.clone(), salt: *salt };
            (Some(correspondent), Some((person.did.clone(), person.generation)), PERSON_FOR_MS)
        }
    };
    database.execute(
        "INSERT OR REPLACE INTO contacts (tag, partner, did, salt, generation, named, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            tag,
            partner.as_str(),
            person.as_ref().map(|person| person.did.as_str()),
            person.as_ref().map(|person| person.salt),
            named.as_ref().map(|(_, generation)| number(*generation)),
            named.as_ref().map(|(did, _)| did.as_str()),
            number(now.saturating_add_ms(lasts_ms).as_u64())
        ],
    )?;
    Ok(Ok(person.map_or(Asked::Nobody, Asked::Person)))
}

/// What was answered by this partner: an address that moved to another organisation starts anew.
fn row(database: &Connection, tag: &[u8; 16], partner: &Did) -> rusqlite::Result<Option<Row>> {
    let read = |row: &rusqlite::Row<'_>| {
        let is_null = |column| row.get_ref(column).map(|value| value == rusqlite::types::ValueRef::Null);
        let named = if is_null(2)? { None } else { Some((did(row, 2)?, unsigned(row, 1)?)) };
        let person = match is_null(0)? {
            true => None,
            false => Some(Correspondent { did: did(row, 0)?, salt: blob(row, 4)? }),
        };
        Ok(Row { person, named, expires: UnixMillis(unsigned(row, 3)?) })
    };
    let query = "SELECT did, generation, named, expires, salt FROM contacts WHERE tag = ?1 AND partner = ?2";
    database.prepare_cached(query)?.query_row(params![tag, partner.as_str()], read).optional()
}
