//! What is to be done now: rows handed out for work, one worker each.
//!
//! Two look-ups could see the same row as due. So candidates are first *taken* (leases), and only then read again in a
//! newer snapshot: a row that its former holder moved in between is seen as moved and let go.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::claim::claimed_by;
use super::desk::arrives;
use super::lease::Leases;
use super::look::{COLUMNS, row_columns, row_of, waiting_of};
use super::queues::{EXPIRED_SQL, Queue, heaps, walk, walk_heap};
use super::turns::Heap;
use super::{Direction, DueRow, RowId, Spool, SpoolError, UnixMillis, Waiting, time};

impl Spool {
    /// Hands out rows that are due, by turns between lanes and sources and oldest first within: at most `limit`, and no further row once their bodies reach
    /// `bytes_max` (the first is always handed out). Each is the caller's until it is moved or
    /// [released](Self::release).
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn due(
        &self,
        direction: Direction,
        partner: Option<&str>,
        now: UnixMillis,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<DueRow>, SpoolError> {
        self.hand_out(Queue::of(direction, partner), now, limit, bytes_max).await
    }

    /// As [`due`](Self::due), for what goes to the outside world.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn due_outside(
        &self,
        now: UnixMillis,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<DueRow>, SpoolError> {
        self.hand_out(Queue::Outside, now, limit, bytes_max).await
    }

    /// When the next row that nobody holds becomes due; `None` if nothing is queued.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn next_due_at(
        &self,
        direction: Direction,
        partner: Option<&str>,
    ) -> Result<Option<UnixMillis>, SpoolError> {
        self.first_free(Queue::of(direction, partner)).await
    }

    /// As [`next_due_at`](Self::next_due_at), for what goes to the outside world.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn next_due_outside_at(&self) -> Result<Option<UnixMillis>, SpoolError> {
        self.first_free(Queue::Outside).await
    }

    /// How many rows have been due since before `since` and are in nobody's hands: somebody does not do their work. Stops
    /// counting at `limit`.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn stuck(&self, since: UnixMillis, limit: usize) -> Result<Vec<RowId>, SpoolError> {
        self.look_up_with_leases(move |conn, leases| {
            let mut stuck = Vec::new();
            for queue in [Queue::Partners, Queue::Outside, Queue::Home] {
                for heap in heaps(conn, &queue)? {
                    walk_heap(conn, &queue, heap, time::to_sql(since), |id, _next_at| {
                        let room = stuck.len() < limit;
                        if room && !leases.is_held(id) {
                            stuck.push(id);
                        }
                        room
                    })?;
                }
            }
            Ok(stuck)
        })
        .await
    }

    async fn hand_out(
        &self,
        queue: Queue,
        now: UnixMillis,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<DueRow>, SpoolError> {
        let turns = Arc::clone(&self.0.turns);
        self.look_up_with_leases(move |conn, leases| {
            let mut due = Vec::new();
            for (lane, source) in heaps(conn, &queue)? {
                let mut ids = Vec::new();
                walk_heap(conn, &queue, (lane, source), time::to_sql(now), |id, _next_at| {
                    let room = ids.len() < limit;
                    if room && !leases.is_held(id) {
                        ids.push(id);
                    }
                    room
                })?;
                due.push(Heap { lane, source, ids });
            }
            let mut taken = Taken { leases, ids: Vec::new() };
            turns.deal(&queue.name(), due, limit, |id| taken.take(id));
            taken.read_due(conn, now, bytes_max)
        })
        .await
    }

    async fn first_free(&self, queue: Queue) -> Result<Option<UnixMillis>, SpoolError> {
        self.look_up_with_leases(move |conn, leases| {
            let mut first: Option<i64> = None;
            for heap in heaps(conn, &queue)? {
                walk_heap(conn, &queue, heap, i64::MAX, |id, next_at| {
                    let free = !leases.is_held(id);
                    if free {
                        first = Some(first.map_or(next_at, |first| first.min(next_at)));
                    }
                    !free
                })?;
            }
            Ok(first.map(time::from_sql))
        })
        .await
    }

    /// The partners for whom something is due, so that each can be served at its own pace.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn due_partners(&self, now: UnixMillis) -> Result<Vec<String>, SpoolError> {
        // A loose index scan: one probe per partner, however long their queues are.
        self.look_up(move |conn| {
            let partners = conn
                .prepare_cached(
                    "WITH RECURSIVE each (partner) AS (
                         SELECT min(partner) FROM rows WHERE state = 0 AND direction = 0
                         UNION ALL
                         SELECT (SELECT min(partner) FROM rows
                                 WHERE state = 0 AND direction = 0 AND partner > each.partner)
                         FROM each WHERE each.partner IS NOT NULL)
                     SELECT partner FROM each WHERE partner IS NOT NULL AND EXISTS (
                         SELECT 1 FROM rows WHERE state = 0 AND direction = 0 AND rows.partner = each.partner
                                              AND next_at <= ?1)",
                )?
                .query_map([time::to_sql(now)], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            Ok(partners)
        })
        .await
    }

    /// Hands out rows whose time ran out before they ended, so that their end can be settled. Rows in somebody's hands
    /// come later.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Waiting>, SpoolError> {
        self.look_up_with_leases(move |conn, leases| {
            let mut taken = Taken { leases, ids: Vec::new() };
            walk(conn, EXPIRED_SQL, &[&time::to_sql(now)], |id, _expires_at| {
                let room = taken.ids.len() < limit;
                if room {
                    taken.take(id); // one in other hands is passed over
                }
                room
            })?;
            taken.read_expired(conn, now)
        })
        .await
    }

    /// Gives a row back that was handed out, unchanged: it is due at once for somebody else.
    pub fn release(&self, id: RowId) {
        if self.leases().give_back(id) {
            self.bells().ring_all();
        }
    }

    async fn look_up_with_leases<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection, &Leases) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let leases = Arc::clone(self.leases());
        self.look_up(move |conn| look(conn, &leases)).await
    }
}

/// Rows taken for a caller who has not got them yet. Dropping it gives back those that were not handed over.
struct Taken<'a> {
    leases: &'a Leases,
    ids: Vec<RowId>,
}

impl Taken<'_> {
    /// Takes the row if it is free, and says whether it was.
    fn take(&mut self, id: RowId) -> bool {
        let free = self.leases.take(id);
        if free {
            self.ids.push(id);
        }
        free
    }

    /// Reads the taken rows that are still due, with their bodies.
    fn read_due(
        mut self,
        conn: &Connection,
        now: UnixMillis,
        bytes_max: usize,
    ) -> Result<Vec<DueRow>, SpoolError> {
        let snapshot = conn.unchecked_transaction()?;
        let mut read = snapshot.prepare_cached(concat!(
            "SELECT ",
            row_columns!(),
            ", slip, body FROM rows JOIN bodies ON bodies.row = rows.seq WHERE id = ?1 AND state = 0 AND next_at <= ?2"
        ))?;
        let mut due = Vec::with_capacity(self.ids.len());
        let mut bytes = 0;
        for id in &self.ids {
            if bytes >= bytes_max && !due.is_empty() {
                break;
            }
            let found = read
                .query_row(params![id, time::to_sql(now)], |row| {
                    let body = Bytes::copy_from_slice(row.get_ref(COLUMNS + 1)?.as_blob()?);
                    Ok(DueRow { row: row_of(row)?, slip: row.get(COLUMNS)?, body, claimed: None })
                })
                .optional()?;
            let found = found.map(|due| with_claimed(conn, due)).transpose()?;
            bytes += found.as_ref().map_or(0, |row| row.body.len());
            due.extend(found);
        }
        self.hand_over(|id| due.iter().any(|due| due.row.id == id));
        Ok(due)
    }

    /// Reads the taken rows that are still open, with their slips.
    fn read_expired(mut self, conn: &Connection, now: UnixMillis) -> Result<Vec<Waiting>, SpoolError> {
        let snapshot = conn.unchecked_transaction()?;
        let mut read = snapshot.prepare_cached(concat!(
            "SELECT ",
            row_columns!(),
            ", slip FROM rows JOIN bodies ON bodies.row = rows.seq WHERE id = ?1 AND state < 3 AND expires_at <= ?2"
        ))?;
        let mut expired = Vec::with_capacity(self.ids.len());
        for id in &self.ids {
            let found = read.query_row(params![id, time::to_sql(now)], waiting_of).optional()?;
            expired.extend(found);
        }
        self.hand_over(|id| expired.iter().any(|expired| expired.row.id == id));
        Ok(expired)
    }

    /// The caller gets these; the others go back.
    fn hand_over(&mut self, gets: impl Fn(RowId) -> bool) {
        self.ids.retain(|id| !gets(*id));
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.leases.give_back(*id);
        }
    }
}

/// Of our own rows and of what goes out nothing is claimed.
fn with_claimed(conn: &Connection, due: DueRow) -> Result<DueRow, SpoolError> {
    let claimed = match arrives(due.row.direction, due.row.kind) {
        true => claimed_by(conn, due.row.seq)?,
        false => None,
    };
    Ok(DueRow { claimed, ..due })
}
