//! The queues as the database keeps them: who waits for whom, in which heap, in what order of time. Read from indexes alone, without
//! touching a row, however long they are.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::{Direction, Lane, RowId, SpoolError};

/// Whose rows are asked for.
pub(super) enum Queue {
    /// What goes to partners.
    Partners,
    /// What goes to one partner.
    Partner(String),
    /// What goes to the outside world.
    Outside,
    /// What is for our own people.
    Home,
    /// What came from one partner.
    HomeFrom(String),
}

impl Queue {
    pub(super) fn of(direction: Direction, partner: Option<&str>) -> Self {
        match (direction, partner.map(str::to_owned)) {
            (Direction::Out, None) => Self::Partners,
            (Direction::Out, Some(partner)) => Self::Partner(partner),
            (Direction::In, None) => Self::Home,
            (Direction::In, Some(partner)) => Self::HomeFrom(partner),
        }
    }

    /// Literals, so that the partial indexes apply. `?1` is the partner, where there is one.
    fn condition(&self) -> &'static str {
        match self {
            Self::Partners => "state = 0 AND kind <> 5 AND direction = 0",
            Self::Partner(_) => "state = 0 AND direction = 0 AND partner = ?1",
            Self::Outside => "state = 0 AND kind = 5",
            Self::Home => "state = 0 AND kind <> 5 AND direction = 1",
            Self::HomeFrom(_) => "state = 0 AND kind <> 5 AND direction = 1 AND partner = ?1",
        }
    }

    /// Named, because without statistics the planner takes lane and source for as telling as the partner.
    fn index(&self) -> &'static str {
        match self {
            Self::Partners | Self::Home | Self::HomeFrom(_) => "rows_due",
            Self::Partner(_) => "rows_due_partner",
            Self::Outside => "rows_due_outside",
        }
    }

    fn partner(&self) -> Option<&str> {
        match self {
            Self::Partner(partner) | Self::HomeFrom(partner) => Some(partner),
            Self::Partners | Self::Outside | Self::Home => None,
        }
    }

    /// By which its turns are remembered.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.condition(), self.partner().unwrap_or_default())
    }

    /// The next heap behind one.
    fn heap_sql(&self) -> String {
        format!(
            "SELECT lane, source FROM rows INDEXED BY {} WHERE {} AND (lane, source) > (?2, ?3)
             ORDER BY lane, source LIMIT 1",
            self.index(),
            self.condition()
        )
    }

    /// A heap in order of time; `id` is in the index, so no row is touched.
    fn rows_sql(&self) -> String {
        format!(
            "SELECT id, next_at FROM rows INDEXED BY {} WHERE {} AND lane = ?2 AND source = ?3 AND next_at <= ?4
             ORDER BY next_at, id",
            self.index(),
            self.condition()
        )
    }
}

/// The heaps in which something is queued: one probe for each, however long they are.
pub(super) fn heaps(conn: &Connection, queue: &Queue) -> Result<Vec<(Lane, i64)>, SpoolError> {
    let mut next = conn.prepare_cached(&queue.heap_sql())?;
    let mut heaps = Vec::new();
    let mut behind = (-1, -1);
    loop {
        let found = next
            .query_row(params![queue.partner(), behind.0, behind.1], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((lane, source)) = found else { return Ok(heaps) };
        behind = (Lane::number(lane), source);
        heaps.push((lane, source));
    }
}

/// Walks the queued rows of one heap in order of their time, for as long as `visit` says so.
pub(super) fn walk_heap(
    conn: &Connection,
    queue: &Queue,
    (lane, source): (Lane, i64),
    until: i64,
    visit: impl FnMut(RowId, i64) -> bool,
) -> Result<(), SpoolError> {
    walk(conn, &queue.rows_sql(), &[&queue.partner(), &lane, &source, &until], visit)
}

pub(super) const EXPIRED_SQL: &str =
    "SELECT id, expires_at FROM rows WHERE state < 3 AND expires_at <= ?1 ORDER BY expires_at";

/// Walks (id, time) pairs for as long as `visit` says so.
pub(super) fn walk(
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
        let one = || "did:dccp:1globex".to_owned();
        for (sql, index) in [
            (Queue::Partners.rows_sql(), "COVERING INDEX rows_due ("),
            (Queue::Partners.heap_sql(), "COVERING INDEX rows_due ("),
            (Queue::Home.rows_sql(), "COVERING INDEX rows_due ("),
            (Queue::Partner(one()).rows_sql(), "COVERING INDEX rows_due_partner ("),
            (Queue::Partner(one()).heap_sql(), "COVERING INDEX rows_due_partner ("),
            (Queue::HomeFrom(one()).rows_sql(), "INDEX rows_due ("),
            (Queue::Outside.rows_sql(), "COVERING INDEX rows_due_outside ("),
            (Queue::Outside.heap_sql(), "COVERING INDEX rows_due_outside ("),
            (EXPIRED_SQL.to_owned(), "COVERING INDEX rows_open ("),
        ] {
            let plan = plan(&sql);
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
