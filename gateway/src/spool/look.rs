//! Look-ups for people and metrics: one message, the latest ones, how full the queue is.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Params, params};
use uuid::Uuid;

use super::{Direction, Note, Row, RowId, Spool, SpoolError, State, UnixMillis, Waiting, journal, time};

/// The columns that make a [`Row`], in the order of [`row_of`].
macro_rules! row_columns {
    () => {
        "seq, id, queue_id, direction, kind, state, partner, partner_domain, message_id, message_id_tag, digest, size, \
         body_bytes, attempts, accepted_at, progress_at, next_at, expires_at, summary, remaining, lane, next_hop, \
         held_by, large, approved_by"
    };
}
pub(super) use row_columns;

/// How many columns that is: the next one stands at this index.
pub(super) const COLUMNS: usize = 25;

/// How many rows stand in one state, and the bytes that rest for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows.
    pub rows: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// Rows per direction and state; what is absent is zero.
pub type Counts = BTreeMap<(Direction, State), Count>;

/// What waits for one domain in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The mail domain at the other end.
    pub partner_domain: String,
    /// Which way.
    pub direction: Direction,
    /// Which state that is not final.
    pub state: State,
    /// How many rows and bytes.
    pub count: Count,
    /// When the oldest of them was accepted.
    pub oldest_at: UnixMillis,
}

/// Why rows for one domain are put off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The mail domain at the other end.
    pub partner_domain: String,
    /// Which way.
    pub direction: Direction,
    /// When the first of them is tried again.
    pub next_at: UnixMillis,
    /// What the newest of them met, in words.
    pub why: String,
}

impl Spool {
    /// One row.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn by_row_id(&self, id: RowId) -> Result<Option<Row>, SpoolError> {
        let mut rows =
            self.rows(concat!("SELECT ", row_columns!(), " FROM rows WHERE id = ?1"), (id,)).await?;
        Ok(rows.pop())
    }

    /// The rows of one mail, oldest first: one per destination.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn by_queue_id(&self, queue_id: &str) -> Result<Vec<Row>, SpoolError> {
        const SQL: &str =
            concat!("SELECT ", row_columns!(), " FROM rows WHERE queue_id = ?1 ORDER BY seq LIMIT 1000");
        self.rows(SQL, (queue_id.to_owned(),)).await
    }

    /// The rows that carry this DCCP message, oldest first: what both ends of the road call it.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn by_message_id(&self, message_id: Uuid) -> Result<Vec<Row>, SpoolError> {
        const SQL: &str =
            concat!("SELECT ", row_columns!(), " FROM rows WHERE message_id = ?1 ORDER BY seq LIMIT 1000");
        self.rows(SQL, (message_id.into_bytes(),)).await
    }

    /// The rows with this Message-ID (by its keyed tag), oldest first.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn by_message_id_tag(&self, tag: [u8; 16]) -> Result<Vec<Row>, SpoolError> {
        const SQL: &str = concat!(
            "SELECT ",
            row_columns!(),
            " FROM rows WHERE message_id_tag = ?1 ORDER BY seq LIMIT 1000"
        );
        self.rows(SQL, (tag,)).await
    }

    /// The latest rows, newest first; the page before a row starts at its [`Row::seq`].
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn recent(&self, limit: usize, before: Option<i64>) -> Result<Vec<Row>, SpoolError> {
        const SQL: &str =
            concat!("SELECT ", row_columns!(), " FROM rows WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
        self.rows(SQL, (before.unwrap_or(i64::MAX), time::len_to_sql(limit))).await
    }

    /// What happened to a row, oldest first.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn journal(&self, id: RowId) -> Result<Vec<Note>, SpoolError> {
        self.look_up(move |conn| Ok(journal::read(conn, id)?)).await
    }

    /// The partner's signed words that came with the end of this row, sealed to ourselves.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn evidence(&self, id: RowId) -> Result<Option<Vec<u8>>, SpoolError> {
        self.read(move |conn| {
            conn.prepare_cached(
                "SELECT sealed FROM evidence WHERE row = (SELECT seq FROM rows WHERE id = ?1)",
            )?
            .query_row([id], |row| row.get(0))
            .optional()
        })
        .await
    }

    /// The row, if it has not ended, with what a report of its end needs.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn waiting(&self, id: RowId) -> Result<Option<Waiting>, SpoolError> {
        const SQL: &str = concat!(
            "SELECT ",
            row_columns!(),
            ", slip FROM rows JOIN bodies ON bodies.row = rows.seq WHERE id = ?1 AND state < 3"
        );
        self.read(move |conn| conn.prepare_cached(SQL)?.query_row([id], waiting_of).optional()).await
    }

    /// The outgoing row that a receipt of `partner` is about. A partner that could not open a message knows only its
    /// digest: then `message_id` is nil. `None` for anything that was not sent to this very partner, or has ended.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn awaiting_receipt(
        &self,
        message_id: Uuid,
        digest: [u8; 32],
        partner: &str,
    ) -> Result<Option<Waiting>, SpoolError> {
        const SQL: &str = concat!(
            "SELECT ",
            row_columns!(),
            ", slip FROM rows JOIN bodies ON bodies.row = rows.seq
             WHERE direction = 0 AND state < 3 AND digest = ?1 AND partner = ?2 AND (?3 OR id = ?4)"
        );
        let partner = partner.to_owned();
        self.read(move |conn| {
            conn.prepare_cached(SQL)?
                .query_row(params![digest, partner, message_id.is_nil(), message_id.into_bytes()], waiting_of)
                .optional()
        })
        .await
    }

    /// Whether a message with this (sender, message id) was settled here before.
    ///
    /// # Errors
    /// Temporary ones: then nobody knows, and the message has to wait.
    pub async fn seen(&self, replay_key: [u8; 32]) -> Result<bool, SpoolError> {
        self.look_up(move |conn| {
            Ok(conn.prepare_cached("SELECT 1 FROM replays WHERE key = ?1")?.exists([replay_key])?)
        })
        .await
    }

    /// The receipts that are owed to a partner, oldest first, with the ids that
    /// [`accept_receipts`](Self::accept_receipts) consumes.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn receipts_pending(
        &self,
        partner: &str,
        limit: usize,
    ) -> Result<Vec<(i64, Vec<u8>)>, SpoolError> {
        let partner = partner.to_owned();
        self.look_up(move |conn| {
            let pending = conn
                .prepare_cached("SELECT id, sealed FROM receipts WHERE partner = ?1 ORDER BY id LIMIT ?2")?
                .query_map(params![partner, time::len_to_sql(limit)], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            Ok(pending)
        })
        .await
    }

    /// The partners that are owed receipts.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn partners_with_receipts(&self) -> Result<Vec<String>, SpoolError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT DISTINCT partner FROM receipts")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// How many rows stand where. Reads a dozen counters, whatever the size of the spool.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn counts(&self) -> Result<Counts, SpoolError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT direction, state, rows, bytes FROM tallies WHERE rows <> 0")?
                .query_map([], |row| {
                    let count = Count { rows: count_at(row, 2)?, bytes: count_at(row, 3)? };
                    Ok(((row.get(0)?, row.get(1)?), count))
                })?
                .collect()
        })
        .await
    }

    /// What waits, per domain. Reads every row that has not ended.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn backlog(&self) -> Result<Vec<Backlog>, SpoolError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT partner_domain, direction, state, count(*), sum(body_bytes), min(accepted_at)
                 FROM rows WHERE state < 3 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            )?
            .query_map([], |row| {
                Ok(Backlog {
                    partner_domain: row.get(0)?,
                    direction: row.get(1)?,
                    state: row.get(2)?,
                    count: Count { rows: count_at(row, 3)?, bytes: count_at(row, 4)? },
                    oldest_at: time::from_sql(row.get(5)?),
                })
            })?
            .collect()
        })
        .await
    }

    /// Why queued rows were put off, per domain and direction. Reads every row that is queued.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn troubles(&self) -> Result<Vec<Trouble>, SpoolError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT partner_domain, direction, next_at, (SELECT reason FROM journal WHERE row = newest AND stage = 10
                                                             ORDER BY n DESC LIMIT 1)
                 FROM (SELECT partner_domain, direction, min(next_at) AS next_at, max(seq) AS newest FROM rows
                       WHERE state = 0 AND attempts > 0 GROUP BY 1, 2)",
            )?
            .query_map([], |row| {
                let why: Option<String> = row.get(3)?;
                Ok(Trouble {
                    partner_domain: row.get(0)?,
                    direction: row.get(1)?,
                    next_at: time::from_sql(row.get(2)?),
                    why: why.unwrap_or_default(),
                })
            })?
            .collect()
        })
        .await
    }

    /// How long the slowest message that is not waiting for a person has stood still, in milliseconds; `None` if no
    /// message is under way. This is the watchdog's number.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn oldest_without_progress(&self, now: UnixMillis) -> Result<Option<u64>, SpoolError> {
        self.read(move |conn| {
            let since: Option<i64> = conn
                .prepare_cached(
                    "SELECT min(progress_at) FROM rows INDEXED BY rows_open WHERE state < 3 AND state <> 2",
                )?
                .query_row([], |row| row.get(0))?;
            Ok(since.map(|since| now.0.saturating_sub(time::count_from_sql(since))))
        })
        .await
    }

    async fn rows<P>(&self, sql: &'static str, params: P) -> Result<Vec<Row>, SpoolError>
    where
        P: Params + Send + 'static,
    {
        self.read(move |conn| conn.prepare_cached(sql)?.query_map(params, row_of)?.collect()).await
    }
}

/// Reads a [`Row`] from the columns of [`row_columns`].
pub(super) fn row_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        seq: row.get(0)?,
        id: row.get(1)?,
        queue_id: row.get(2)?,
        direction: row.get(3)?,
        kind: row.get(4)?,
        state: row.get(5)?,
        partner: row.get(6)?,
        partner_domain: row.get(7)?,
        message_id: row.get::<_, Option<[u8; 16]>>(8)?.map(Uuid::from_bytes),
        message_id_tag: row.get(9)?,
        digest: row.get(10)?,
        size: count_at(row, 11)?,
        body_bytes: count_at(row, 12)?,
        attempts: row.get(13)?,
        accepted_at: time::from_sql(row.get(14)?),
        progress_at: time::from_sql(row.get(15)?),
        next_at: time::from_sql(row.get(16)?),
        expires_at: time::from_sql(row.get(17)?),
        summary: row.get(18)?,
        remaining: row.get(19)?,
        lane: row.get(20)?,
        next_hop: row.get(21)?,
        held_by: row.get(22)?,
        large: row.get(23)?,
        approved_by: row.get(24)?,
    })
}

/// Reads a [`Waiting`] from the columns of [`row_columns`] and the slip behind them.
pub(super) fn waiting_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting { row: row_of(row)?, slip: row.get(COLUMNS)? })
}

fn count_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(time::count_from_sql)
}
