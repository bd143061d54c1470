//! The journal: what happened to a row, step by step, without content and without addresses.

use rusqlite::{Connection, params};

use super::config::REASON_CHARS_MAX;
use super::{RowId, SpoolError, UnixMillis, stored::stored_as, time};

stored_as! {
    /// A step in the life of a message.
    Stage {
        /// SMTP or the overlay gave it to us.
        Received = 0 "received",
        /// The rules were asked.
        Decided = 1 "decided",
        /// Sealed to its recipient.
        Sealed = 2 "sealed",
        /// Waits for the courier or for delivery.
        Queued = 3 "queued",
        /// Given to the overlay.
        Sent = 4 "sent",
        /// Durable at the next hop.
        Acknowledged = 5 "acknowledged",
        /// Durable here, from the overlay.
        Arrived = 6 "arrived",
        /// Unsealed and its signatures verified.
        Opened = 7 "opened",
        /// Accepted by the internal mail server.
        HandedOver = 8 "handed over",
        /// The end: delivered.
        Delivered = 9 "delivered",
        /// Put off; the reason says why.
        Deferred = 10 "deferred",
        /// The end: refused for good.
        Failed = 11 "failed",
        /// The end: out of time.
        Expired = 12 "expired",
        /// Waits for a person.
        Held = 13 "held",
        /// A person or a changed partner let it go on.
        Released = 14 "released",
        /// A signed receipt came in, or one is owed.
        Receipt = 15 "receipt",
        /// The sender was told by a delivery status notification.
        Reported = 16 "reported",
        /// The same message came again and was not kept twice.
        Duplicate = 17 "duplicate",
        /// It takes long; its sender was told, unless nobody wants to be.
        Late = 18 "late",
        /// A person changed where it stands; the reason says who.
        Ordered = 19 "ordered",
    }
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub stage: Stage,
    /// Why, for people. Never content, never an address: those go to `sealed`. Long reasons are cut.
    pub reason: String,
    /// What only we may read, sealed to ourselves.
    pub sealed: Option<Vec<u8>>,
}

impl Note {
    /// A note without a sealed part.
    pub fn new(at: UnixMillis, stage: Stage, reason: impl Into<String>) -> Self {
        Self { at, stage, reason: reason.into(), sealed: None }
    }

    /// The same note with a sealed part.
    #[must_use]
    pub fn with_sealed(mut self, sealed: Vec<u8>) -> Self {
        self.sealed = Some(sealed);
        self
    }
}

/// Writes notes behind those that the row already has.
pub(super) fn append<'a>(
    conn: &Connection,
    row: i64,
    notes: impl IntoIterator<Item = &'a Note>,
) -> Result<(), SpoolError> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO journal (row, n, at, stage, reason, sealed)
         SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3, ?4, ?5 FROM journal WHERE row = ?1",
    )?;
    for note in notes {
        insert.execute(params![row, time::to_sql(note.at), note.stage, cut(&note.reason), note.sealed])?;
    }
    Ok(())
}

/// The notes of a row, oldest first.
pub(super) fn read(conn: &Connection, id: RowId) -> rusqlite::Result<Vec<Note>> {
    conn.prepare_cached(
        "SELECT at, stage, reason, sealed FROM journal
         WHERE row = (SELECT seq FROM rows WHERE id = ?1) ORDER BY n",
    )?
    .query_map([id], |row| {
        Ok(Note {
            at: time::from_sql(row.get(0)?),
            stage: row.get(1)?,
            reason: row.get(2)?,
            sealed: row.get(3)?,
        })
    })?
    .collect()
}

/// A reason may repeat what a peer said; the journal does not grow with it.
fn cut(reason: &str) -> &str {
    match reason.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => reason.get(..end).unwrap_or(reason),
        None => reason,
    }
}
