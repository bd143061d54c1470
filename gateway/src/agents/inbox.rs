//! The mail that waits for agents: put in by delivery, taken over HTTP, gone when it is acknowledged.

use bytes::Bytes;
use dccp::UnixMillis;
use futures::Stream;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::register::{millis, of_tag};
use super::{AgentId, Agents, Bounds};
use crate::flows::bodies::{self, RenderError, Rendition, Stored};
use crate::flows::records::purpose;
use crate::spool::{LargeBody, RowId, SpoolError};

/// How long an acknowledged mail is remembered, without its content: twice the longest time that a delivery is tried.
const REMEMBERED_MS: u64 = 6 * 24 * 3_600_000;

/// The vault's purposes.
const FACTS: &str = "agent-message-facts";
const OCTETS: &str = "agent-message";
const RENDITION: &str = "agent-message-rendition";

/// A mail on its way into inboxes.
pub struct Incoming<'a> {
    /// The row that brings it.
    pub id: RowId,
    /// What the agent reads about it; `to` is filled in.
    pub facts: Facts,
    /// The mail.
    pub octets: Stored<'a>,
    /// When.
    pub now: UnixMillis,
}

/// What became of a mail for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is in the inbox, or was there before.
    Taken,
    /// There is no such agent.
    Unknown,
    /// As much waits for the agent as may: later there may be room.
    Full,
    /// It is larger than an agent takes.
    TooLarge,
}

/// What an agent is told of a mail. All of it but `sender_did` and `sealed` is what the mail says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The DCCP message id; of a mail that did not come sealed, the id of the row that brought it.
    pub message_id: Uuid,
    /// The organisation whose signature counted; none for what came in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_did: Option<String>,
    /// How it was protected on its way; none for what came in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Protection>,
    /// Reverse-path: where an answer to the envelope goes; empty for reports.
    pub from: String,
    /// The address in its `From` field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Forward-path: the agent, or the address of it that an alias came to.
    pub to: String,
    /// Its subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its `Message-ID`, without angle brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internet_message_id: Option<String>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The beginning of the conversation (the first of `References`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// No person wrote it (RFC 3834 §5), or it is a report.
    pub automatic: bool,
    /// How many machines answered each other before it.
    pub answers: u32,
}

/// How a mail was protected between organisations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// The suite.
    pub suite: String,
    /// The kind of key it was sealed to.
    pub key: String,
    /// The partner who signed it.
    pub partner: String,
}

/// The octets of a mail that waits.
pub(super) enum Content {
    /// All of them.
    Octets(Zeroizing<Vec<u8>>),
    /// How they are read from a large body.
    Body(LargeBody, Rendition),
}

/// A mail that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) id: Uuid,
    pub(super) arrived_at: u64,
    pub(super) bytes: u64,
    pub(super) facts: Facts,
}

impl Agents {
    /// Puts a mail into the inboxes of `recipients`, durably, and says of each what became of it.
    ///
    /// # Errors
    /// The database's: then nobody has it.
    pub async fn put(
        &self,
        mail: Incoming<'_>,
        recipients: Vec<String>,
    ) -> Result<Vec<(String, Put)>, SpoolError> {
        let bounds = self.0.bounds;
        let bytes = mail.octets.size();
        if bytes > bounds.message_bytes_max {
            return Ok(recipients.into_iter().map(|recipient| (recipient, Put::TooLarge)).collect());
        }
        let vault = &self.0.vault;
        let octets = match &mail.octets {
            Stored::Whole(octets) => vault.seal(OCTETS, octets),
            Stored::Beside(_, rendition) => vault.seal(RENDITION, &rendition.encode()),
        };
        let places: Vec<_> = recipients
            .iter()
            .map(|to| {
                let facts = Facts { to: to.clone(), ..mail.facts.clone() };
                // Texts and numbers always become JSON.
                (self.tag(to), vault.seal(FACTS, &serde_json::to_vec(&facts).unwrap_or_default()))
            })
            .collect();
        let name = mail.facts.internet_message_id.as_ref();
        let entry = Entry {
            id: mail.id,
            name_tag: name.map(|name| vault.tag(purpose::MESSAGE_ID, name.as_bytes())),
            answers: mail.facts.answers,
            bytes,
            octets,
            large: mail.octets.large(),
            now: mail.now,
        };
        let put = self.0.spool.write(move |database| {
            forget(database, entry.now)?;
            places.iter().map(|(tag, facts)| entry.put(database, tag, facts, &bounds)).collect()
        });
        let put: Vec<Put> = put.await?;
        self.0.bell.send_modify(|rings| *rings = rings.wrapping_add(1));
        Ok(recipients.into_iter().zip(put).collect())
    }

    /// The oldest mails that wait for an agent, at most `max`.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn waiting(&self, agent: AgentId, max: u32) -> Result<Vec<Waiting>, SpoolError> {
        let query = "SELECT id, arrived_at, bytes, facts FROM agent_messages
                     WHERE agent = ?1 AND facts IS NOT NULL ORDER BY seq LIMIT ?2";
        let read = |row: &rusqlite::Row<'_>| {
            let (id, facts): (RowId, Vec<u8>) = (row.get(0)?, row.get(3)?);
            Ok((id, unsigned(row, 1)?, unsigned(row, 2)?, facts))
        };
        let look = move |database: &Connection| {
            database.prepare_cached(query)?.query_map(params![agent, max], read)?.collect()
        };
        let found: Vec<(RowId, u64, u64, Vec<u8>)> = self.0.spool.read(look).await?;
        let waiting = |(id, arrived_at, bytes, sealed): (RowId, u64, u64, Vec<u8>)| {
            let clear = self.0.vault.open(FACTS, &sealed).map_err(|_| corrupt())?;
            let facts = serde_json::from_slice(&clear).map_err(|_| corrupt())?;
            Ok(Waiting { id: id.0, arrived_at, bytes, facts })
        };
        found.into_iter().map(waiting).collect()
    }

    /// The octets of a mail that waits for an agent.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn content(&self, agent: AgentId, id: Uuid) -> Result<Option<Content>, SpoolError> {
        let query =
            "SELECT octets, large FROM agent_messages WHERE agent = ?1 AND id = ?2 AND octets IS NOT NULL";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?));
        let look = move |database: &Connection| {
            database.query_row(query, params![agent, RowId(id)], read).optional()
        };
        let Some((sealed, large)) = self.0.spool.read(look).await? else { return Ok(None) };
        let open = |purpose| self.0.vault.open(purpose, &sealed).map_err(|_| corrupt());
        Ok(Some(match large {
            None => Content::Octets(open(OCTETS)?),
            Some(large) => Content::Body(large, Rendition::decode(&open(RENDITION)?).ok_or_else(corrupt)?),
        }))
    }

    /// The octets of a mail, as they are read from a large body.
    ///
    /// # Errors
    /// [`SpoolError::Corrupt`]; in the stream, whatever ends it early: what came before counts for nothing.
    pub(super) fn rendered(
        &self,
        large: LargeBody,
        rendition: Rendition,
    ) -> Result<impl Stream<Item = Result<Bytes, RenderError>> + use<>, SpoolError> {
        bodies::rendered(self.0.spool.clone(), large, rendition).map_err(|_| corrupt())
    }

    /// A mail is in the agent's own hands: it is gone from here, durably. Whether there is or was such a mail; saying it
    /// twice is no mistake.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn acknowledge(&self, agent: AgentId, id: Uuid) -> Result<bool, SpoolError> {
        let update = "UPDATE agent_messages SET facts = NULL, octets = NULL, large = NULL, bytes = 0
                      WHERE agent = ?1 AND id = ?2";
        let taken = move |database: &Connection| database.execute(update, params![agent, RowId(id)]);
        // The archive may keep a large body for years: its key has to be gone from here.
        let taken = match self.content(agent, id).await? {
            Some(Content::Body(..)) => self.0.spool.destroy(taken).await?,
            _ => self.0.spool.write(taken).await?,
        };
        Ok(taken > 0)
    }

    /// How many machines answered each other before the mail of this name, as far as the agent got it.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn answers_before(&self, agent: AgentId, name: &str) -> Result<Option<u32>, SpoolError> {
        let tag = self.0.vault.tag(purpose::MESSAGE_ID, name.as_bytes());
        let query = "SELECT max(answers) FROM agent_messages WHERE agent = ?1 AND name_tag = ?2";
        let look =
            move |database: &Connection| database.query_row(query, params![agent, tag], |row| row.get(0));
        self.0.spool.read(look).await
    }
}

/// What all recipients of one mail share, sealed.
struct Entry {
    id: RowId,
    name_tag: Option<[u8; 16]>,
    answers: u32,
    bytes: u64,
    octets: Vec<u8>,
    large: Option<LargeBody>,
    now: UnixMillis,
}

impl Entry {
    fn put(
        &self,
        database: &Connection,
        tag: &[u8; 16],
        facts: &[u8],
        bounds: &Bounds,
    ) -> rusqlite::Result<Put> {
        let Some(agent) = of_tag(database, tag)? else { return Ok(Put::Unknown) };
        let before = "SELECT 1 FROM agent_messages WHERE agent = ?1 AND id = ?2";
        if database.prepare_cached(before)?.exists(params![agent, self.id])? {
            return Ok(Put::Taken);
        }
        let (messages, bytes) = depth(database, &agent)?;
        if messages >= bounds.messages_max || bytes.saturating_add(self.bytes) > bounds.bytes_max {
            return Ok(Put::Full);
        }
        let insert =
            "INSERT INTO agent_messages (agent, id, name_tag, answers, arrived_at, bytes, facts, octets, large)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let at = millis(self.now);
        let row =
            params![agent, self.id, self.name_tag, self.answers, at, bytes, facts, self.octets, self.large];
        database.prepare_cached(insert)?.execute(row)?;
        Ok(Put::Taken)
    }
}

/// Mails that wait for an agent, and their octets.
pub(super) fn depth(database: &Connection, agent: &AgentId) -> rusqlite::Result<(u64, u64)> {
    let query =
        "SELECT count(*), coalesce(sum(bytes), 0) FROM agent_messages WHERE agent = ?1 AND facts IS NOT NULL";
    let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?));
    database.prepare_cached(query)?.query_row([agent], read)
}

/// Drops what was acknowledged long ago.
fn forget(database: &Connection, now: UnixMillis) -> rusqlite::Result<()> {
    let delete = "DELETE FROM agent_messages WHERE facts IS NULL AND arrived_at < ?1";
    database.prepare_cached(delete)?.execute([millis(now.saturating_sub_ms(REMEMBERED_MS))])?;
    Ok(())
}

fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn corrupt() -> SpoolError {
    SpoolError::Corrupt("a mail in an agent's inbox does not open".to_owned())
}
