//! Mail that takes long: found when its sender should hear of it, and told once.

use rusqlite::params;

use super::config::MOVE_BYTES;
use super::entry::weight;
use super::writer::Demand;
use super::{NewRow, Note, RowId, Spool, SpoolError, Stage, UnixMillis, journal, time};

impl Spool {
    /// Mail that came by SMTP and was accepted before `before`, still waits for another server, and whose sender was not told;
    /// the oldest first, at most `limit`. What has expired by `now` is left out: its sender is told that, and nothing before.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn late(
        &self,
        before: UnixMillis,
        now: UnixMillis,
        limit: usize,
    ) -> Result<Vec<RowId>, SpoolError> {
        let (before, now, limit) = (time::to_sql(before), time::to_sql(now), time::len_to_sql(limit));
        self.read(move |database| {
            // Queued or sent: what is held waits for our own people. Mail to partners, to the outside world, and from there.
            let mut late = database.prepare_cached(
                "SELECT id FROM rows INDEXED BY rows_waiting
                 WHERE state < 3 AND state <> 2 AND (direction = 0 AND kind IN (0, 5) OR kind = 6)
                   AND accepted_at < ?1 AND expires_at > ?2
                   AND NOT EXISTS (SELECT 1 FROM journal WHERE row = rows.seq AND stage = ?3)
                 ORDER BY seq LIMIT ?4",
            )?;
            late.query_map(params![before, now, Stage::Late, limit], |row| row.get(0))?.collect()
        })
        .await
    }

    /// Keeps a report about a row that goes on waiting where it stands, and notes in its journal that it was told;
    /// `remaining` says for whom it waits, if that has changed. A row that ended in the meantime needs none.
    ///
    /// # Errors
    /// [`SpoolError::UnknownRow`], [`SpoolError::RowExists`], or temporary ones.
    pub async fn tell(
        &self,
        about: RowId,
        report: Option<NewRow>,
        remaining: Option<Vec<u8>>,
        notes: Vec<Note>,
    ) -> Result<(), SpoolError> {
        let bytes = report.as_ref().map_or(0, weight) + MOVE_BYTES;
        self.submit(bytes, Demand::Housework, move |desk| {
            let row = desk.standing(about)?;
            if row.ended().is_some() {
                return Ok(());
            }
            if let Some(report) = &report {
                desk.insert(report, [])?.ok_or(SpoolError::RowExists(report.id))?;
            }
            if let Some(remaining) = &remaining {
                desk.conn
                    .prepare_cached("UPDATE rows SET remaining = ?2 WHERE seq = ?1")?
                    .execute(params![row.seq, remaining])?;
            }
            journal::append(desk.conn, row.seq, &notes)?;
            Ok(())
        })
        .await
    }
}
