//! The end of a row, and everything that becomes durable with it or not at all.

use rusqlite::params;

use super::bell::Work;
use super::config::MOVE_BYTES;
use super::desk::Desk;
use super::entry::weight;
use super::moves::moment;
use super::writer::Demand;
use super::{
    Declined, Direction, Kind, Moved, NewRow, Note, PendingReceipt, RowId, Settlement, Spool, SpoolError,
    Stage, time,
};

impl Spool {
    /// The end of a row, with all that belongs to it: the body goes; the journal, the evidence, the replay key, the
    /// receipt and any new rows come, in one step. After it the receipt or the report cannot be lost, and the message
    /// cannot be delivered twice.
    ///
    /// # Errors
    /// [`SpoolError::UnknownRow`], [`SpoolError::ImpossibleMove`] for a state that is no end, or temporary ones.
    pub async fn settle(&self, settlement: Settlement) -> Result<Moved, SpoolError> {
        let skew_ms = self.config().replay_skew_ms;
        self.submit(weight_of(&settlement), Demand::Housework, move |desk| desk.settle(&settlement, skew_ms))
            .await
    }

    /// Several ends in one step, answered in order: what a batch of receipts settles costs one wait for the disk.
    ///
    /// # Errors
    /// As [`settle`](Self::settle); then none of them is kept.
    pub async fn settle_all(&self, settlements: Vec<Settlement>) -> Result<Vec<Moved>, SpoolError> {
        let skew_ms = self.config().replay_skew_ms;
        let bytes = settlements.iter().map(weight_of).sum();
        self.submit(bytes, Demand::Housework, move |desk| {
            settlements.iter().map(|end| desk.settle(end, skew_ms)).collect()
        })
        .await
    }
}

impl Desk<'_> {
    fn settle(&mut self, end: &Settlement, skew_ms: u64) -> Result<Moved, SpoolError> {
        let row = self.standing(end.id)?;
        if let Some(ended) = row.ended() {
            self.give_back(end.id);
            return Ok(ended);
        }
        if !end.state.is_final() {
            return Err(SpoolError::ImpossibleMove { from: row.state.as_str(), to: end.state });
        }
        if let Some(order) = &end.order {
            if self.leases.is_held(end.id) {
                return Err(Declined::InHands.into());
            }
            self.note_order(&row, order)?;
        }
        self.conn
            .prepare_cached(
                "UPDATE rows SET state = ?2, body_bytes = 0, remaining = NULL, progress_at = max(progress_at, ?3)
                 WHERE seq = ?1",
            )?
            .execute(params![row.seq, end.state, moment(&end.notes)])?;
        if row.direction == Direction::In {
            self.destroy_claimed(row.seq)?;
        }
        self.learn(row.seq, end.learned.as_ref())?;
        if let Some(key) = &end.replay_key {
            let until = row.expires_at.max(moment(&end.notes)).saturating_add(time::count_to_sql(skew_ms));
            self.remember(key, until)?;
        }
        if let Some(evidence) = &end.evidence {
            self.conn
                .prepare_cached("INSERT INTO evidence (row, sealed) VALUES (?1, ?2)")?
                .execute(params![row.seq, evidence])?;
        }
        self.owe(end.receipt.as_ref())?;
        self.beget(end.id, &end.new_rows)?;
        self.leave(&row)?; // after what was begotten, which may refer to its large body
        self.finish_move(end.id, &row, end.state, &end.notes)
    }

    /// Recognises the message if it comes again in another seal.
    fn remember(&self, key: &[u8; 32], until: i64) -> Result<(), SpoolError> {
        self.conn
            .prepare_cached("INSERT INTO replays (key, until) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![key, until])?;
        Ok(())
    }

    /// The receipt waits for company from now on.
    pub(super) fn owe(&mut self, receipt: Option<&PendingReceipt>) -> Result<(), SpoolError> {
        let Some(receipt) = receipt else { return Ok(()) };
        self.conn
            .prepare_cached("INSERT INTO receipts (partner, sealed) VALUES (?1, ?2)")?
            .execute(params![receipt.partner, receipt.sealed_receipt])?;
        self.ring_for(Work::Receipts);
        Ok(())
    }

    /// Rows that the row `id` leaves to be done. A draft is the same mail on another way: what a person approved stays
    /// approved. A report is another mail.
    pub(super) fn beget(&mut self, id: RowId, new_rows: &[NewRow]) -> Result<(), SpoolError> {
        for new in new_rows {
            let note = Note::new(new.now, Stage::Queued, format!("begotten by {id}"));
            self.insert(new, [&note])?.ok_or(SpoolError::RowExists(new.id))?;
            if new.kind == Kind::Draft {
                self.conn
                    .prepare_cached(
                        "UPDATE rows SET approved_by = (SELECT approved_by FROM rows WHERE id = ?1) WHERE id = ?2",
                    )?
                    .execute(params![id, new.id])?;
            }
        }
        Ok(())
    }
}

fn weight_of(end: &Settlement) -> usize {
    MOVE_BYTES + end.evidence.as_ref().map_or(0, Vec::len) + end.new_rows.iter().map(weight).sum::<usize>()
}
