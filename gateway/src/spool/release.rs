//! Letting rows go on: held ones when a person or a changed partner says so, put-off ones when the partner is back.

use rusqlite::params;

use super::bell::Work;
use super::config::{MOVE_BYTES, SWEEP_ROWS_MAX};
use super::desk::Desk;
use super::writer::Demand;
use super::{Note, RowId, Spool, SpoolError, Stage, State, UnixMillis, time};

impl Spool {
    /// Lets everything go on that the judge holds for this domain; what a person or a standing rule holds waits for a
    /// person. Returns how many rows.
    ///
    /// # Errors
    /// Temporary ones; what was released before the error stays released.
    pub async fn release_held(&self, partner_domain: &str, now: UnixMillis) -> Result<u64, SpoolError> {
        let domain = partner_domain.to_owned();
        self.in_steps(move |desk| desk.release_domain(&domain, now)).await
    }

    /// What is held for this domain and not sealed yet is for `partner` from now on, who has been pinned in place of
    /// the one it was accepted for. Sealed rows stay with whom they are sealed to.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn readdress_held(&self, partner_domain: &str, partner: &str) -> Result<(), SpoolError> {
        let (domain, partner) = (partner_domain.to_owned(), partner.to_owned());
        self.write(move |conn| {
            conn.prepare_cached(
                "UPDATE rows SET partner = ?2 WHERE state = 2 AND partner_domain = ?1 AND kind = 4 AND partner <> ?2",
            )?
            .execute(params![domain, partner])
        })
        .await
        .map(|_rows| ())
    }

    /// The partner is reachable again: what was put off for it is due now.
    ///
    /// # Errors
    /// Temporary ones; what was hastened before the error stays hastened.
    pub async fn hasten(&self, partner: &str, now: UnixMillis) -> Result<(), SpoolError> {
        let partner = partner.to_owned();
        self.in_steps(move |desk| desk.hasten(&partner, now)).await?;
        Ok(())
    }

    /// Works in steps of at most [`SWEEP_ROWS_MAX`] rows, so that mail never waits long behind it.
    async fn in_steps<W>(&self, step: W) -> Result<u64, SpoolError>
    where
        W: Fn(&mut Desk<'_>) -> Result<usize, SpoolError> + Clone + Send + 'static,
    {
        let mut all = 0;
        loop {
            let rows = self.submit(MOVE_BYTES * SWEEP_ROWS_MAX, Demand::Housework, step.clone()).await?;
            all += rows as u64;
            if rows < SWEEP_ROWS_MAX {
                return Ok(all);
            }
        }
    }
}

impl Desk<'_> {
    fn release_domain(&mut self, domain: &str, now: UnixMillis) -> Result<usize, SpoolError> {
        let ids: Vec<RowId> = self
            .conn
            .prepare_cached(
                "SELECT id FROM rows WHERE state = 2 AND partner_domain = ?1 AND held_by IS NULL LIMIT ?2",
            )?
            .query_map(params![domain, time::len_to_sql(SWEEP_ROWS_MAX)], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in &ids {
            self.release(*id, now)?;
        }
        Ok(ids.len())
    }

    fn release(&mut self, id: RowId, now: UnixMillis) -> Result<(), SpoolError> {
        let row = self.standing(id)?;
        if row.state != State::Held {
            return Err(SpoolError::ImpossibleMove { from: row.state.as_str(), to: State::Queued });
        }
        self.conn
            .prepare_cached(
                "UPDATE rows SET state = 0, next_at = ?2, progress_at = max(progress_at, ?2) WHERE seq = ?1",
            )?
            .execute(params![row.seq, time::to_sql(now)])?;
        self.finish_move(id, &row, State::Queued, &[Note::new(now, Stage::Released, "")])?;
        Ok(())
    }

    fn hasten(&mut self, partner: &str, now: UnixMillis) -> Result<usize, SpoolError> {
        let hastened = self
            .conn
            .prepare_cached(
                "UPDATE rows SET next_at = ?2 WHERE seq IN (
                     SELECT seq FROM rows
                     WHERE state = 0 AND direction = 0 AND kind <> 5 AND partner = ?1 AND next_at > ?2 LIMIT ?3)",
            )?
            .execute(params![partner, time::to_sql(now), time::len_to_sql(SWEEP_ROWS_MAX)])?;
        if hastened > 0 {
            self.ring_for(Work::Out);
        }
        Ok(hastened)
    }
}
