//! Who is an agent, and which token is whose: what an administrator changes, and what the door asks.

use dccp::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use smtp::address::Address;
use smtp::compose::{self, ComposeError};
use uuid::Uuid;

use super::{ADDRESS, Agent, AgentId, Agents, Token};
use crate::spool::SpoolError;

/// Why something was not done with an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The administrator's: no agent has this address.
    #[error("no agent has the address {0}")]
    Unknown(Address),
    /// The administrator's: there is one already.
    #[error("{0} is an agent already; `agent token` gives it another token")]
    Taken(Address),
    /// The administrator's: the address is of no agents' domain.
    #[error("{0} is not in a domain of agents (agents.domains)")]
    NotHere(Address),
    /// The administrator's: a name that cannot stand in a mail.
    #[error(transparent)]
    Name(#[from] ComposeError),
    /// The database does not answer.
    #[error("the database: {0}")]
    Spool(#[from] SpoolError),
}

/// An agent as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Who.
    pub agent: Agent,
    /// Mails that wait for it.
    pub messages: u64,
    /// Octets of them.
    pub bytes: u64,
}

/// What rests sealed of an agent.
#[derive(Serialize, Deserialize)]
struct Card {
    address: String,
    name: String,
}

/// A row of `agents`.
struct Row {
    id: AgentId,
    sealed: Vec<u8>,
    token: [u8; 32],
    added_at: u64,
}

impl Agents {
    /// Makes an address an agent's. Gives its token.
    ///
    /// # Errors
    /// [`AgentError::NotHere`], [`AgentError::Taken`], [`AgentError::Name`], or the database's.
    pub async fn add(&self, address: &Address, name: &str, now: UnixMillis) -> Result<Token, AgentError> {
        if !self.own(address.as_str()) {
            return Err(AgentError::NotHere(address.clone()));
        }
        compose::name_fits(name)?;
        let token = Token::fresh(*Uuid::now_v7().as_bytes(), &mut rand::rng());
        let card = Card { address: address.to_string(), name: name.to_owned() };
        // Two texts always become JSON.
        let sealed = self.0.vault.seal(ADDRESS, &serde_json::to_vec(&card).unwrap_or_default());
        let (id, hash, tag) = (token.id(), token.hash(), self.tag(address.as_str()));
        let insert =
            "INSERT OR IGNORE INTO agents (id, tag, sealed, token, added_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let added = self
            .0
            .spool
            .write(move |database| database.execute(insert, params![id, tag, sealed, hash, millis(now)]));
        if added.await? == 0 { Err(AgentError::Taken(address.clone())) } else { Ok(token) }
    }

    /// Gives an agent another token; the one before counts no longer.
    ///
    /// # Errors
    /// [`AgentError::Unknown`], or the database's.
    pub async fn renew(&self, address: &Address) -> Result<Token, AgentError> {
        let agent = self.agent(address).await?.agent;
        let token = Token::fresh(agent.id, &mut rand::rng());
        let (id, hash) = (agent.id, token.hash());
        let update = "UPDATE agents SET token = ?2 WHERE id = ?1";
        let changed = self.0.spool.write(move |database| database.execute(update, params![id, hash])).await?;
        if changed == 0 { Err(AgentError::Unknown(address.clone())) } else { Ok(token) }
    }

    /// Removes an agent and what waits for it. Whether it was one.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove(&self, address: &Address) -> Result<bool, AgentError> {
        let tag = self.tag(address.as_str());
        let delete =
            move |database: &Connection| database.execute("DELETE FROM agents WHERE tag = ?1", [tag]);
        // With the keys of large bodies that the archive may keep for years.
        Ok(self.0.spool.destroy(delete).await? > 0)
    }

    /// The agent that has this address.
    ///
    /// # Errors
    /// [`AgentError::Unknown`], or the database's.
    pub async fn agent(&self, address: &Address) -> Result<Registered, AgentError> {
        let tag = self.tag(address.as_str());
        let found = self.rows("WHERE tag = ?1", Some(tag)).await?;
        found.into_iter().next().ok_or_else(|| AgentError::Unknown(address.clone()))
    }

    /// All agents, in the order they were added.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self) -> Result<Vec<Registered>, AgentError> {
        self.rows("ORDER BY seq", None).await
    }

    /// Whether an agent has this address.
    ///
    /// # Errors
    /// The database's: then nobody knows.
    pub async fn knows(&self, address: &str) -> Result<bool, SpoolError> {
        let tag = self.tag(address);
        self.0.spool.read(move |database| Ok(of_tag(database, &tag)?.is_some())).await
    }

    /// The agent whose token this is.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_token(&self, token: &Token) -> Result<Option<Agent>, SpoolError> {
        let id = token.id();
        let query = "SELECT id, sealed, token, added_at FROM agents WHERE id = ?1";
        let look = move |database: &Connection| database.query_row(query, [id], Row::read).optional();
        let row = self.0.spool.read(look).await?;
        // An unknown agent is compared like a known one.
        let is_it = token.is_of(row.as_ref().map_or(&[0; 32], |row| &row.token));
        row.filter(|_| is_it).map(|row| self.opened(&row)).transpose()
    }

    async fn rows(
        &self,
        condition: &'static str,
        tag: Option<[u8; 16]>,
    ) -> Result<Vec<Registered>, AgentError> {
        let query = format!("SELECT id, sealed, token, added_at FROM agents {condition}");
        let look = move |database: &Connection| {
            let mut statement = database.prepare(&query)?;
            let rows = statement.query_map(rusqlite::params_from_iter(tag), Row::read)?;
            rows.map(|row| row.and_then(|row| Ok((super::inbox::depth(database, &row.id)?, row)))).collect()
        };
        let found: Vec<((u64, u64), Row)> = self.0.spool.read(look).await?;
        let registered = |((messages, bytes), row): &((u64, u64), Row)| {
            Ok(Registered { agent: self.opened(row)?, messages: *messages, bytes: *bytes })
        };
        found.iter().map(registered).collect()
    }

    fn opened(&self, row: &Row) -> Result<Agent, SpoolError> {
        let corrupt = || SpoolError::Corrupt("the record of an agent does not open".to_owned());
        let clear = self.0.vault.open(ADDRESS, &row.sealed).map_err(|_| corrupt())?;
        let card: Card = serde_json::from_slice(&clear).map_err(|_| corrupt())?;
        let address = card.address.parse().map_err(|_| corrupt())?;
        Ok(Agent { id: row.id, address, name: card.name, added_at: UnixMillis(row.added_at) })
    }
}

impl Row {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let added_at: i64 = row.get(3)?;
        Ok(Self {
            id: row.get(0)?,
            sealed: row.get(1)?,
            token: row.get(2)?,
            added_at: u64::try_from(added_at).unwrap_or_default(),
        })
    }
}

/// The agent whose address has this tag.
pub(super) fn of_tag(database: &Connection, tag: &[u8; 16]) -> rusqlite::Result<Option<AgentId>> {
    let query = "SELECT id FROM agents WHERE tag = ?1";
    database.prepare_cached(query)?.query_row([tag], |row| row.get(0)).optional()
}

/// SQLite's integers are signed; our times stay far below the sign bit.
pub(super) fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.as_u64()).unwrap_or(i64::MAX)
}
