//! What an administrator does with people. Each change of an address and its leaf in the tree are one transaction.

use std::sync::Arc;

use dccp::address::canonical;
use dccp::did::{Commitment, Custody};
use dccp::limits::ADDRESS_BYTES_MAX;
use dccp::transparency::{Binding, BindingState};
use dccp::{Did, RecordError, UnixMillis};
use rusqlite::Connection;

use super::keys::Secret;
use super::newcomers::{make, settle};
use super::records::RecordsOf;
use super::table::{self, Person, Row, Standing};
use super::{Authority, tree};
use crate::spool::{Spool, SpoolError};

/// People of one transaction. Their keys are made before it begins, so it stays short: mail waits for it.
const BATCH: usize = 256;

/// The vault's purpose and the tag's.
pub(super) const ADDRESS: &str = "person-address";

/// Why something was not done with a person.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The administrator's: nobody has this address.
    #[error("nobody has the address {0}")]
    Unknown(String),
    /// The administrator's: not an address, or of a domain that is not ours.
    #[error("{0} is not an address of this organisation")]
    NotOurs(String),
    /// The administrator's: another kind of end fits this custody.
    #[error("{0}")]
    WrongEnd(&'static str),
    /// The administrator's: the devices of a person cannot be changed in this way.
    #[error("{0}")]
    Device(String),
    /// Nobody's: somebody else changed the same person at the same time.
    #[error("{0} was changed by somebody else just now; look again")]
    Changed(String),
    /// Ours: what the database says about people does not fit together.
    #[error("the records of {0} do not verify: {1}")]
    Records(Did, String),
    /// The registrar's secret was not sealed under this storage key.
    #[error(
        "the secret of the people does not open; is keys.storage the file that belongs to this data_dir?"
    )]
    Secret,
    /// The database does not answer.
    #[error("the database: {0}")]
    Spool(#[from] SpoolError),
}

/// Who holds the recovery keys of a new person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// The organisation.
    Org,
    /// Either of both can recover; leaving gives it all to the person, who keeps a key with this commitment.
    Joint(Commitment),
    /// The person, who keeps the key with this commitment.
    Own(Commitment),
}

/// A person to be added.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// The address, in any letter case.
    pub address: String,
    /// Who holds the recovery keys.
    pub holding: Holding,
}

/// What became of a new person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// In canonical spelling.
    pub address: String,
    /// Who it is.
    pub did: Did,
    /// False when the address was somebody's already: nothing was changed.
    pub fresh: bool,
}

/// Keeps the people of the organisation.
pub struct Registrar {
    pub(super) spool: Spool,
    pub(super) authority: Arc<dyn Authority>,
    pub(super) secret: Arc<Secret>,
}

impl Registrar {
    /// Opens the registrar; the first time, makes its secret.
    ///
    /// # Errors
    /// [`PeopleError::Secret`] or the database's.
    pub async fn open(spool: Spool, authority: Arc<dyn Authority>) -> Result<Registrar, PeopleError> {
        let secret = Arc::new(Secret::open(&spool, authority.vault()).await?);
        Ok(Registrar { spool, authority, secret })
    }

    /// Adds people, unlisted. An address that is somebody's already stays theirs.
    ///
    /// # Errors
    /// [`PeopleError::NotOurs`] before anything is done; otherwise the database's: batches that are done stay done.
    pub async fn add(&self, people: Vec<NewPerson>, now: UnixMillis) -> Result<Vec<Added>, PeopleError> {
        for person in &people {
            self.expect_ours(&person.address)?;
        }
        let mut added = Vec::with_capacity(people.len());
        for batch in people.chunks(BATCH) {
            added.extend(self.add_batch(batch, now).await?);
        }
        Ok(added)
    }

    /// Strangers who ask are told the person's DID from now on.
    ///
    /// # Errors
    /// [`PeopleError::Unknown`], or the database's.
    pub async fn publish(&self, address: &str) -> Result<Person, PeopleError> {
        self.show(address, Standing::Published).await
    }

    /// Nobody is told the person's DID from now on.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn unlist(&self, address: &str) -> Result<Person, PeopleError> {
        self.show(address, Standing::Unlisted).await
    }

    /// Ends a person's DID for ever, and the binding of the address. Only with custody `org`: the DIDs of others are
    /// not ours to end.
    ///
    /// # Errors
    /// [`PeopleError::WrongEnd`] for another custody; [`PeopleError::Unknown`]; the database's.
    pub async fn deactivate(&self, address: &str, now: UnixMillis) -> Result<Person, PeopleError> {
        let row = self.bound(address).await?;
        if row.custody != Custody::Org {
            return Err(PeopleError::WrongEnd(
                "this person holds the recovery key, so the DID is not ours to end: use `person leave`",
            ));
        }
        let records = self.records_of(&row, now).await?.deactivated(&self.secret.recovery(&row.id))?;
        self.unbind(row, records, Standing::Deactivated, now).await
    }

    /// A person leaves with the DID and without the address. The organisation gives up its own recovery key, so that
    /// only the person decides who operates the DID next.
    ///
    /// # Errors
    /// [`PeopleError::WrongEnd`] with custody `org`; [`PeopleError::Unknown`]; the database's.
    pub async fn leave(&self, address: &str, now: UnixMillis) -> Result<Person, PeopleError> {
        let row = self.bound(address).await?;
        let records = self.records_of(&row, now).await?;
        let records = match (row.custody, row.recovery) {
            (Custody::Joint, Some(theirs)) => {
                let (ours, operator) = (self.secret.recovery(&row.id), self.secret.operator(&row.id));
                records.released(theirs, &ours, &operator)?
            }
            (Custody::Own, Some(_)) => records,
            _ => {
                return Err(PeopleError::WrongEnd(
                    "the organisation holds the recovery key, so nobody can take this DID along: use `person deactivate`",
                ));
            }
        };
        self.unbind(row, records, Standing::Left, now).await
    }

    /// The person who has or had this address last.
    ///
    /// # Errors
    /// [`PeopleError::Unknown`], or the database's.
    pub async fn person(&self, address: &str) -> Result<Person, PeopleError> {
        self.clear(&self.latest(address).await?)
    }

    /// At most `limit` people in the order they were added, after the `after`-th row; with the row to go on after.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, after: i64, limit: u32) -> Result<Vec<(i64, Person)>, PeopleError> {
        let rows = self.spool.read(move |database| table::page(database, after, limit)).await?;
        rows.iter().map(|(seq, row)| Ok((*seq, self.clear(row)?))).collect()
    }

    pub(super) async fn latest(&self, address: &str) -> Result<Row, PeopleError> {
        let tag = self.tag(address);
        let row = self.spool.read(move |database| table::latest(database, &tag)).await?;
        row.ok_or_else(|| PeopleError::Unknown(canonical(address)))
    }

    pub(super) fn tag(&self, address: &str) -> [u8; 16] {
        tag(self.authority.as_ref(), address)
    }

    async fn bound(&self, address: &str) -> Result<Row, PeopleError> {
        let tag = self.tag(address);
        let row = self.spool.read(move |database| table::bound(database, &tag)).await?;
        row.ok_or_else(|| PeopleError::Unknown(canonical(address)))
    }

    fn expect_ours(&self, address: &str) -> Result<(), PeopleError> {
        if is_ours(self.authority.as_ref(), &canonical(address)) {
            Ok(())
        } else {
            Err(PeopleError::NotOurs(address.to_owned()))
        }
    }

    async fn add_batch(&self, batch: &[NewPerson], now: UnixMillis) -> Result<Vec<Added>, PeopleError> {
        let addresses: Vec<String> = batch.iter().map(|person| canonical(&person.address)).collect();
        let tags: Vec<[u8; 16]> = addresses.iter().map(|address| self.tag(address)).collect();
        let known = self.spool.read(move |database| {
            tags.iter().map(|tag| table::bound(database, tag)).collect::<rusqlite::Result<Vec<_>>>()
        });
        let known = known.await?;
        let strangers: Vec<NewPerson> = batch
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(person, _)| person.clone())
            .collect();
        let (authority, secret) = (self.authority.clone(), self.secret.clone());
        let made = tokio::task::spawn_blocking(move || make(authority.as_ref(), &secret, &strangers, now));
        let made = made.await.map_err(|_panicked| SpoolError::Panicked)??;

        let (authority, secret) = (self.authority.clone(), self.secret.clone());
        let settle =
            move |database: &Connection| settle(database, made, &addresses, authority.as_ref(), &secret, now);
        Ok(self.spool.write(settle).await?)
    }

    async fn show(&self, address: &str, standing: Standing) -> Result<Person, PeopleError> {
        let before = self.bound(address).await?;
        let row = before.clone();
        let (generation, leaf) = (row.generation, row.leaf);
        let moved = self
            .spool
            .write(move |database| table::move_on(database, &row, standing, generation, leaf))
            .await?;
        if !moved {
            return Err(PeopleError::Changed(canonical(address)));
        }
        self.clear(&Row { standing, ..before })
    }

    async fn unbind(
        &self,
        before: Row,
        records: RecordsOf,
        standing: Standing,
        now: UnixMillis,
    ) -> Result<Person, PeopleError> {
        let address = self.address(&before)?;
        let generation = before.generation + 1;
        let salt = self.secret.salt(&before.id);
        let state = BindingState::Unbound;
        let leaf = Binding { salt: &salt, address: &address, did: &before.did, generation, state }.leaf();
        let (row, authority) = (before.clone(), self.authority.clone());
        let done = self.spool.write(move |database| {
            let at = tree::head(database)?.size;
            let unchanged = table::bound(database, &row.tag)?
                .is_some_and(|now| now.id == row.id && now.standing == row.standing);
            let done = unchanged
                && records.keep(database, now)?
                && table::move_on(database, &row, standing, generation, at)?;
            if done {
                tree::append(database, &[leaf], authority.as_ref(), now)?;
            }
            Ok(done)
        });
        match done.await? {
            true => self.clear(&Row { standing, ..before }),
            false => Err(PeopleError::Changed(address)),
        }
    }

    pub(super) fn clear(&self, row: &Row) -> Result<Person, PeopleError> {
        Ok(Person {
            address: self.address(row)?,
            did: row.did.clone(),
            custody: row.custody,
            standing: row.standing,
            added_at: row.added_at,
        })
    }

    fn address(&self, row: &Row) -> Result<String, PeopleError> {
        let clear = self.authority.vault().open(ADDRESS, &row.address).map_err(|_| PeopleError::Secret)?;
        Ok(String::from_utf8_lossy(&clear).into_owned())
    }
}

/// By which a person is found from an address.
pub(super) fn tag(authority: &dyn Authority, address: &str) -> [u8; 16] {
    authority.vault().tag(ADDRESS, canonical(address).as_bytes())
}

/// Whether an address in canonical spelling is of one of our domains.
pub(super) fn is_ours(authority: &dyn Authority, address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let has_shape = !local.is_empty()
        && address.len() <= ADDRESS_BYTES_MAX
        && !address.chars().any(|c| c.is_control() || c.is_whitespace());
    has_shape && authority.domains().iter().any(|ours| ours == domain)
}

impl From<RecordError> for PeopleError {
    fn from(error: RecordError) -> PeopleError {
        PeopleError::Device(error.to_string())
    }
}
