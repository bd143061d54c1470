//! Forgetting: rows whose journal is old enough, and replay keys that nobody could replay any more.

use rusqlite::params;

use super::config::SWEEP_ROWS_MAX;
use super::desk::Desk;
use super::writer::Demand;
use super::{Direction, Spool, SpoolError, State, UnixMillis, time};

/// What a purge forgot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Rows with their journals.
    pub rows: u64,
    /// Replay keys.
    pub replay_keys: u64,
}

impl Spool {
    /// Forgets ended rows that are older than the journal's retention and can no longer arrive again, and replay keys
    /// that ran out. Works in small steps, so that mail never waits behind it.
    ///
    /// # Errors
    /// Temporary ones; what was forgotten before the error stays forgotten.
    pub async fn purge(&self, now: UnixMillis) -> Result<Purged, SpoolError> {
        let ended_before = time::to_sql(now.saturating_sub_ms(self.config().journal_retention_ms));
        let expired_before = time::to_sql(now.saturating_sub_ms(self.config().replay_skew_ms));
        let mut purged = Purged::default();
        loop {
            let (rows, replay_keys) = self
                .submit(0, Demand::Housework, move |desk| {
                    Ok((desk.purge_rows(ended_before, expired_before)?, desk.purge_replay_keys(now)?))
                })
                .await?;
            purged.rows += rows as u64;
            purged.replay_keys += replay_keys as u64;
            if rows < SWEEP_ROWS_MAX && replay_keys < SWEEP_ROWS_MAX {
                return Ok(purged);
            }
        }
    }
}

impl Desk<'_> {
    /// Journals go with their rows (foreign key).
    fn purge_rows(&mut self, ended_before: i64, expired_before: i64) -> Result<usize, SpoolError> {
        let gone: Vec<(Direction, State)> = self
            .conn
            .prepare_cached(
                "DELETE FROM rows WHERE seq IN (
                     SELECT seq FROM rows WHERE state >= 3 AND progress_at <= ?1 AND expires_at <= ?2
                     ORDER BY progress_at LIMIT ?3)
                 RETURNING direction, state",
            )?
            .query_map(params![ended_before, expired_before, time::len_to_sql(SWEEP_ROWS_MAX)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        for (direction, state) in &gone {
            self.count_purged(*direction, *state);
        }
        Ok(gone.len())
    }

    fn purge_replay_keys(&self, now: UnixMillis) -> Result<usize, SpoolError> {
        Ok(self
            .conn
            .prepare_cached(
                "DELETE FROM replays WHERE key IN (SELECT key FROM replays WHERE until <= ?1 LIMIT ?2)",
            )?
            .execute(params![time::to_sql(now), time::len_to_sql(SWEEP_ROWS_MAX)])?)
    }
}
