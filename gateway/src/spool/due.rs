//! What is to be done now: rows handed out for work, one worker each.
//!
//! Two look-ups could see the same row as due. So candidates are first *taken* (leases), and only then read again in a
//! newer snapshot: a row that its former holder moved in between is seen as moved and let go.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::claim::claimed_by;
use super::desk::arrives;
use super::lease::Leases;
use super::look::{COLUMNS, row_columns, row_of, waiting_of};
use super::{Direction, DueRow, RowId, Spool, SpoolError, UnixMillis, Waiting, time};

impl Spool {
    /// Hands out rows that are due, oldest first: at most `limit`, and no further row once their bodies reach
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
        let partner = partner.map(str::to_owned);
        self.look_up_with_leases(move |conn, leases| {
            let mut taken = Taken { leases, ids: Vec::new() };
            walk_queue(conn, direction, partner.as_deref(), time::to_sql(now), |id, _next_at| {
                taken.ids.len() < limit && taken.take(id)
            })?;
            taken.read_due(conn, now, bytes_max)
        })
        .await
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
        self.look_up_with_leases(move |conn, leases| {
            let mut taken = Taken { leases, ids: Vec::new() };
            walk(conn, OUTSIDE_SQL, &[&time::to_sql(now)], |id, _next_at| {
                taken.ids.len() < limit && taken.take(id)
            })?;
            taken.read_due(conn, now, bytes_max)
        })
        .await
    }

    /// As [`next_due_at`](Self::next_due_at), for what goes to the outside world.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn next_due_outside_at(&self) -> Result<Option<UnixMillis>, SpoolError> {
        self.look_up_with_leases(|conn, leases| {
            let mut first_free = None;
            walk(conn, OUTSIDE_SQL, &[&i64::MAX], |id, next_at| {
                if !leases.is_held(id) {
                    first_free = Some(time::from_sql(next_at));
                }
                first_free.is_none()
            })?;
            Ok(first_free)
        })
        .await
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
        let partner = partner.map(str::to_owned);
        self.look_up_with_leases(move |conn, leases| {
            let mut first_free = None;
            walk_queue(conn, direction, partner.as_deref(), i64::MAX, |id, next_at| {
                if !leases.is_held(id) {
                    first_free = Some(time::from_sql(next_at));
                }
                first_free.is_none()
            })?;
            Ok(first_free)
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
                         SELECT min(partner) FROM rows WHERE state = 0 AND direction = 0 AND kind <> 5
                         UNION ALL
                         SELECT (SELECT min(partner) FROM rows
                                 WHERE state = 0 AND direction = 0 AND kind <> 5 AND partner > each.partner)
                         FROM each WHERE each.partner IS NOT NULL)
                     SELECT partner FROM each WHERE partner IS NOT NULL AND EXISTS (
                         SELECT 1 FROM rows WHERE state = 0 AND direction = 0 AND kind <> 5 AND rows.partner = each.partner
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
                taken.ids.len() < limit && taken.take(id)
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
    /// Takes the row if it is free. Always goes on: a row in other hands is passed over.
    fn take(&mut self, id: RowId) -> bool {
        if self.leases.take(id) {
            self.ids.push(id);
        }
        true
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

/// Walks the queued rows in order of their time, for as long as `visit` says so.
fn walk_queue(
    conn: &Connection,
    direction: Direction,
    partner: Option<&str>,
    until: i64,
    visit: impl FnMut(RowId, i64) -> bool,
) -> Result<(), SpoolError> {
    let sql = queue_sql(direction, partner.is_some());
    match &partner {
        Some(partner) => walk(conn, sql, &[&until, partner], visit),
        None => walk(conn, sql, &[&until], visit),
    }
}

/// The direction is a literal so that the partial indexes apply; `id` is in them, so no row is touched.
fn queue_sql(direction: Direction, of_one_partner: bool) -> &'static str {
    match (direction, of_one_partner) {
        (Direction::Out, false) => {
            "SELECT id, next_at FROM rows WHERE state = 0 AND direction = 0 AND kind <> 5 AND next_at <= ?1 ORDER BY next_at, id"
        }
        (Direction::In, false) => {
            "SELECT id, next_at FROM rows WHERE state = 0 AND direction = 1 AND kind <> 5 AND next_at <= ?1 ORDER BY next_at, id"
        }
        (Direction::Out, true) => {
            "SELECT id, next_at FROM rows
             WHERE state = 0 AND direction = 0 AND kind <> 5 AND partner = ?2 AND next_at <= ?1 ORDER BY next_at, id"
        }
        (Direction::In, true) => {
            "SELECT id, next_at FROM rows
             WHERE state = 0 AND direction = 1 AND kind <> 5 AND partner = ?2 AND next_at <= ?1 ORDER BY next_at, id"
        }
    }
}

const OUTSIDE_SQL: &str =
    "SELECT id, next_at FROM rows WHERE state = 0 AND kind = 5 AND next_at <= ?1 ORDER BY next_at, id";

const EXPIRED_SQL: &str =
    "SELECT id, expires_at FROM rows WHERE state < 3 AND expires_at <= ?1 ORDER BY expires_at";

/// Walks (id, time) pairs for as long as `visit` says so.
fn walk(
    conn: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    mut visit: impl FnMut(RowId, i64) -> bool,
) -> Result<(), SpoolError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if !visit(row.get(0)?, row.get(1)?) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::database::LADDER;

    #[test]
    fn the_queue_is_read_from_its_indexes_alone_and_never_sorted() {
        let conn = Connection::open_in_memory().unwrap();
        LADDER.iter().for_each(|step| conn.execute_batch(step).unwrap());
        let plan = |sql: &str| -> String {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let mut statement = conn.prepare(&explain).unwrap();
            let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
            let lines = statement
                .query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3))
                .unwrap();
            lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        for (sql, index) in [
            (queue_sql(Direction::Out, false), "COVERING INDEX rows_due ("),
            (queue_sql(Direction::In, false), "COVERING INDEX rows_due ("),
            (queue_sql(Direction::Out, true), "COVERING INDEX rows_due_partner ("),
            (queue_sql(Direction::In, true), "INDEX rows_due ("),
            (OUTSIDE_SQL, "COVERING INDEX rows_due_outside ("),
            (EXPIRED_SQL, "COVERING INDEX rows_open ("),
        ] {
            let plan = plan(sql);
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
