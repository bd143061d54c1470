//! The end of large bodies: what no row refers to leaves the disk, a few chunks at a time, so that mail never waits behind it.

use rusqlite::params;

use super::{COMING, LargeBody, OVER};
use crate::spool::config::{MOVE_BYTES, STAGED_MS_MAX, SWEEP_CHUNKS_MAX};
use crate::spool::desk::Desk;
use crate::spool::writer::Demand;
use crate::spool::{Spool, SpoolError, UnixMillis, time};

impl Spool {
    /// Frees the bodies that are over, those of ours that nobody goes on writing, and those of partners that nobody went on
    /// sending for [`STAGED_MS_MAX`]. Says how many.
    ///
    /// # Errors
    /// Temporary ones; what was freed before the error stays free.
    pub async fn sweep(&self, now: UnixMillis) -> Result<u64, SpoolError> {
        let untouched_since = time::to_sql(now.saturating_sub_ms(STAGED_MS_MAX));
        let mut swept = 0;
        for body in self.litter(untouched_since).await? {
            while self.sweep_some(body, untouched_since).await? {}
            swept += 1;
        }
        Ok(swept)
    }

    /// What is to be swept. Reads what is not kept: as a rule nothing.
    async fn litter(&self, untouched_since: i64) -> Result<Vec<LargeBody>, SpoolError> {
        let loose: Vec<(LargeBody, bool)> = self
            .read(move |conn| {
                conn.prepare_cached(
                    "SELECT id, standing = 0 AND partner IS NULL FROM large_bodies
                     WHERE standing IN (0, 2) AND (partner IS NULL OR touched_at <= ?1)",
                )?
                .query_map([untouched_since], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
            })
            .await?;
        // Looked at after the read: a draft is in the set before its first chunk is on the disk.
        let drafts = self.drafts().lock();
        Ok(loose
            .into_iter()
            .filter(|(body, ours)| !(*ours && drafts.contains(body)))
            .map(|(body, _)| body)
            .collect())
    }

    async fn sweep_some(&self, body: LargeBody, untouched_since: i64) -> Result<bool, SpoolError> {
        let bytes = MOVE_BYTES * SWEEP_CHUNKS_MAX;
        self.submit(bytes, Demand::Housework, move |desk| desk.sweep_some(body, untouched_since)).await
    }
}

impl Desk<'_> {
    /// Whether there is more to do. A row may have come for the body, or a chunk, since somebody looked.
    fn sweep_some(&mut self, body: LargeBody, untouched_since: i64) -> Result<bool, SpoolError> {
        let over = self
            .conn
            .prepare_cached(
                "UPDATE large_bodies SET standing = ?2, partner = NULL, digest = NULL
                 WHERE id = ?1 AND (standing = ?2 OR standing = ?3 AND (partner IS NULL OR touched_at <= ?4))",
            )?
            .execute(params![body, OVER, COMING, untouched_since])?;
        if over == 0 {
            return Ok(false);
        }
        let gone = self
            .conn
            .prepare_cached(
                "DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE body = ?1 ORDER BY n LIMIT ?2)",
            )?
            .execute(params![body, time::len_to_sql(SWEEP_CHUNKS_MAX)])?;
        self.effects.pass_through();
        if gone == SWEEP_CHUNKS_MAX {
            return Ok(true);
        }
        self.conn.prepare_cached("DELETE FROM large_bodies WHERE id = ?1")?.execute([body])?;
        Ok(false)
    }
}
