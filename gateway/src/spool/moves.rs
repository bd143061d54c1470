//! How rows move: sent, put off, partly done, held, released, settled. The table of moves is in docs/SPOOL.md.

use rusqlite::{named_params, params};

use super::bell::Work;
use super::config::SWEEP_ROWS_MAX;
use super::desk::{Desk, Standing};
use super::entry::weight;
use super::{
    Direction, Kind, Learned, Moved, Note, RowId, Settlement, Spool, SpoolError, Stage, State, UnixMillis,
    journal, time,
};

/// What a move adds to the log besides bodies: its notes and the row.
const MOVE_BYTES: usize = 512;

impl Spool {
    /// The next hop has it durably: waits for the receipt now, or for the end of its time.
    ///
    /// # Errors
    /// [`SpoolError::UnknownRow`], [`SpoolError::ImpossibleMove`], or temporary ones.
    pub async fn sent(&self, id: RowId, notes: Vec<Note>) -> Result<Moved, SpoolError> {
        self.step(id, notes, State::Sent, None).await
    }

    /// Put off: not handed out again before `next_at`. Counts an attempt, but is not progress.
    ///
    /// # Errors
    /// As [`sent`](Self::sent).
    pub async fn defer(&self, id: RowId, next_at: UnixMillis, notes: Vec<Note>) -> Result<Moved, SpoolError> {
        self.submit(MOVE_BYTES, false, move |desk| {
            let row = desk.standing(id)?;
            if let Some(ended) = row.ended() {
                desk.give_back(id);
                return Ok(ended);
            }
            row.may_become(State::Queued)?;
            desk.conn
                .prepare_cached(
                    "UPDATE rows SET state = 0, next_at = ?2, attempts = attempts + 1 WHERE seq = ?1",
                )?
                .execute(params![row.seq, time::to_sql(next_at)])?;
            desk.finish_move(id, &row, State::Queued, &notes)
        })
        .await
    }

    /// Some recipients are done, `remaining` says which are not. Handed out again from `next_at`.
    ///
    /// # Errors
    /// As [`sent`](Self::sent).
    pub async fn progress(
        &self,
        id: RowId,
        remaining: Vec<u8>,
        next_at: UnixMillis,
        notes: Vec<Note>,
    ) -> Result<Moved, SpoolError> {
        self.submit(MOVE_BYTES + remaining.len(), false, move |desk| {
            let row = desk.standing(id)?;
            if let Some(ended) = row.ended() {
                desk.give_back(id);
                return Ok(ended);
            }
            row.may_become(State::Queued)?;
            desk.conn
                .prepare_cached(
                    "UPDATE rows SET state = 0, next_at = ?2, remaining = ?3, attempts = attempts + 1,
                                     progress_at = max(progress_at, ?4) WHERE seq = ?1",
                )?
                .execute(params![row.seq, time::to_sql(next_at), remaining, moment(&notes)])?;
            desk.finish_move(id, &row, State::Queued, &notes)
        })
        .await
    }

    /// Waits for a person from now on.
    ///
    /// # Errors
    /// As [`sent`](Self::sent).
    pub async fn hold(
        &self,
        id: RowId,
        learned: Option<Learned>,
        notes: Vec<Note>,
    ) -> Result<Moved, SpoolError> {
        self.step(id, notes, State::Held, learned).await
    }

    /// Lets everything go on that is held for this domain. Returns how many rows.
    ///
    /// # Errors
    /// Temporary ones; what was released before the error stays released.
    pub async fn release_held(&self, partner_domain: &str, now: UnixMillis) -> Result<u64, SpoolError> {
        let mut released = 0;
        loop {
            let domain = partner_domain.to_owned();
            let some = self
                .submit(MOVE_BYTES * SWEEP_ROWS_MAX, false, move |desk| {
                    let ids: Vec<RowId> = desk
                        .conn
                        .prepare_cached(
                            "SELECT id FROM rows WHERE state = 2 AND partner_domain = ?1 LIMIT ?2",
                        )?
                        .query_map(params![domain, time::len_to_sql(SWEEP_ROWS_MAX)], |row| row.get(0))?
                        .collect::<Result<_, _>>()?;
                    for id in &ids {
                        desk.release(*id, now)?;
                    }
                    Ok(ids.len())
                })
                .await?;
            released += some as u64;
            if some < SWEEP_ROWS_MAX {
                return Ok(released);
            }
        }
    }

    /// Lets one held row go on.
    ///
    /// # Errors
    /// [`SpoolError::ImpossibleMove`] if it is not held.
    pub async fn release_held_row(&self, id: RowId, now: UnixMillis) -> Result<(), SpoolError> {
        self.submit(MOVE_BYTES, false, move |desk| desk.release(id, now)).await
    }

    /// The end of a row, with all that belongs to it: the body goes, the journal, the replay key, the receipt and any
    /// new rows come, in one step. After it the sender's acknowledgement, the receipt or the report cannot be lost, and
    /// the message cannot be delivered twice.
    ///
    /// # Errors
    /// As [`sent`](Self::sent).
    pub async fn settle(&self, settlement: Settlement) -> Result<Moved, SpoolError> {
        let bytes = MOVE_BYTES + settlement.new_rows.iter().map(weight).sum::<usize>();
        let skew_ms = self.config().replay_skew_ms;
        self.submit(bytes, false, move |desk| desk.settle(&settlement, skew_ms)).await
    }

    /// A step that only changes the state (and what was learned on the way).
    async fn step(
        &self,
        id: RowId,
        notes: Vec<Note>,
        to: State,
        learned: Option<Learned>,
    ) -> Result<Moved, SpoolError> {
        self.submit(MOVE_BYTES, false, move |desk| {
            let row = desk.standing(id)?;
            if let Some(ended) = row.ended() {
                desk.give_back(id);
                return Ok(ended);
            }
            row.may_become(to)?;
            desk.conn
                .prepare_cached(
                    "UPDATE rows SET state = ?2, progress_at = max(progress_at, ?3) WHERE seq = ?1",
                )?
                .execute(params![row.seq, to, moment(&notes)])?;
            desk.learn(row.seq, learned.as_ref())?;
            desk.finish_move(id, &row, to, &notes)
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
        self.conn
            .prepare_cached(
                "UPDATE rows SET state = ?2, body_bytes = 0, remaining = NULL, progress_at = max(progress_at, ?3)
                 WHERE seq = ?1",
            )?
            .execute(params![row.seq, end.state, moment(&end.notes)])?;
        self.conn.prepare_cached("DELETE FROM bodies WHERE row = ?1")?.execute([row.seq])?;
        self.learn(row.seq, end.learned.as_ref())?;
        if let Some(key) = &end.replay_key {
            let until = row.expires_at.max(moment(&end.notes)).saturating_add(time::count_to_sql(skew_ms));
            self.conn
                .prepare_cached("INSERT INTO replays (key, until) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute(params![key, until])?;
        }
        if let Some(receipt) = &end.receipt {
            self.conn
                .prepare_cached("INSERT INTO receipts (partner, sealed) VALUES (?1, ?2)")?
                .execute(params![receipt.partner, receipt.sealed_receipt])?;
            self.ring_for(Work::Receipts);
        }
        for new in &end.new_rows {
            let note = Note::new(new.now, Stage::Queued, format!("begotten by {}", end.id));
            self.insert(new, &[&note])?.ok_or(SpoolError::RowExists(new.id))?;
        }
        self.finish_move(end.id, &row, end.state, &end.notes)
    }

    fn release(&mut self, id: RowId, now: UnixMillis) -> Result<(), SpoolError> {
        let row = self.standing(id)?;
        if row.state != State::Held {
            return Err(SpoolError::ImpossibleMove { from: row.state.as_str(), to: State::Queued });
        }
        self.conn
            .prepare_cached("UPDATE rows SET state = 0, next_at = ?2, progress_at = ?2 WHERE seq = ?1")?
            .execute(params![row.seq, time::to_sql(now)])?;
        self.finish_move(id, &row, State::Queued, &[Note::new(now, Stage::Released, "")])?;
        Ok(())
    }

    /// Fills in what only opening could tell.
    fn learn(&self, seq: i64, learned: Option<&Learned>) -> Result<(), SpoolError> {
        let Some(learned) = learned else { return Ok(()) };
        if learned.kind == Kind::Report {
            return Err(SpoolError::Refused("a report does not arrive".to_owned()));
        }
        self.conn
            .prepare_cached(
                "UPDATE rows SET kind = :kind, message_id_tag = :tag, summary = :summary, size = :size WHERE seq = :seq",
            )?
            .execute(named_params! {
                ":seq": seq,
                ":kind": learned.kind,
                ":tag": learned.message_id_tag,
                ":summary": learned.summary,
                ":size": time::count_to_sql(learned.size),
            })?;
        Ok(())
    }

    /// What every move does at its end: journal, counts, and the row is in nobody's hands.
    fn finish_move(
        &mut self,
        id: RowId,
        row: &Standing,
        to: State,
        notes: &[Note],
    ) -> Result<Moved, SpoolError> {
        let notes: Vec<&Note> = notes.iter().collect();
        journal::append(self.conn, row.seq, &notes)?;
        self.count_move(row, to);
        self.give_back(id);
        if to == State::Queued {
            self.ring(row.direction);
        }
        Ok(Moved::Done)
    }
}

impl Standing {
    fn ended(&self) -> Option<Moved> {
        self.state.is_final().then_some(Moved::AlreadyFinal(self.state))
    }

    /// The table of moves between states that are not final. Held rows leave only by release or settlement; only what
    /// goes out waits for a receipt.
    fn may_become(&self, to: State) -> Result<(), SpoolError> {
        let may = match (self.state, to) {
            (State::Queued | State::Sent, State::Queued) => true,
            (State::Queued | State::Sent, State::Sent) => self.direction == Direction::Out,
            (State::Queued | State::Held, State::Held) => true,
            _ => false,
        };
        if may { Ok(()) } else { Err(SpoolError::ImpossibleMove { from: self.state.as_str(), to }) }
    }
}

/// The time of a move is the time of its last note.
fn moment(notes: &[Note]) -> i64 {
    notes.last().map_or(0, |note| time::to_sql(note.at))
}
