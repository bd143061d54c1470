//! How rows move: sent, put off, partly done, held, sealed. The table of moves is in docs/SPOOL.md.

use bytes::Bytes;
use rusqlite::{named_params, params};

use super::config::MOVE_BYTES;
use super::desk::{Desk, Standing};
use super::entry::weight;
use super::writer::Demand;
use super::{
    Direction, Kind, Large, LargeBody, Learned, Moved, Note, Partly, RowId, Spool, SpoolError, State,
    UnixMillis, journal, time,
};

impl Spool {
    /// The next hop has it durably: waits for the receipt now, or for the end of its time.
    ///
    /// # Errors
    /// [`SpoolError::UnknownRow`], [`SpoolError::ImpossibleMove`], or temporary ones.
    pub async fn sent(&self, id: RowId, notes: Vec<Note>) -> Result<Moved, SpoolError> {
        self.step(id, MOVE_BYTES, State::Sent, notes, move |desk, row, at| {
            desk.conn
                .prepare_cached(
                    "UPDATE rows SET state = 1, progress_at = max(progress_at, ?2) WHERE seq = ?1",
                )?
                .execute(params![row.seq, at])?;
            Ok(())
        })
        .await
    }

    /// Put off: not handed out again before `next_at`. Counts an attempt, but is not progress.
    ///
    /// # Errors
    /// As [`sent`](Self::sent).
    pub async fn defer(&self, id: RowId, next_at: UnixMillis, notes: Vec<Note>) -> Result<Moved, SpoolError> {
        self.step(id, MOVE_BYTES, State::Queued, notes, move |desk, row, _at| {
            desk.conn
                .prepare_cached(
                    "UPDATE rows SET state = 0, next_at = ?2, attempts = attempts + 1 WHERE seq = ?1",
                )?
                .execute(params![row.seq, time::to_sql(next_at)])?;
            Ok(())
        })
        .await
    }

    /// Not its turn: not handed out again before `next_at`. No attempt was made, so none is counted, and no note is
    /// written: a long queue for one busy destination would fill the journal.
    ///
    /// # Errors
    /// As [`sent`](Self::sent).
    pub async fn postpone(&self, id: RowId, next_at: UnixMillis) -> Result<Moved, SpoolError> {
        self.step(id, MOVE_BYTES, State::Queued, Vec::new(), move |desk, row, _at| {
            desk.conn
                .prepare_cached("UPDATE rows SET state = 0, next_at = ?2 WHERE seq = ?1")?
                .execute(params![row.seq, time::to_sql(next_at)])?;
            Ok(())
        })
        .await
    }

    /// Some recipients are done, and whoever is to know of them is told. Handed out again from `next_at`.
    ///
    /// # Errors
    /// As [`sent`](Self::sent), and [`SpoolError::RowExists`].
    pub async fn progress(
        &self,
        id: RowId,
        next_at: UnixMillis,
        partly: Partly,
        notes: Vec<Note>,
    ) -> Result<Moved, SpoolError> {
        let bytes = MOVE_BYTES + partly.report.as_ref().map_or(0, weight);
        self.step(id, bytes, State::Queued, notes, move |desk, row, at| {
            desk.conn
                .prepare_cached(
                    "UPDATE rows SET state = 0, next_at = ?2, remaining = ?3, attempts = attempts + 1,
                                     progress_at = max(progress_at, ?4) WHERE seq = ?1",
                )?
                .execute(params![row.seq, time::to_sql(next_at), partly.remaining, at])?;
            desk.learn(row.seq, partly.learned.as_ref())?;
            desk.owe(partly.receipt.as_ref())?;
            desk.beget(id, partly.report.as_slice())
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
        self.step(id, MOVE_BYTES, State::Held, notes, move |desk, row, at| {
            desk.conn
                .prepare_cached(
                    "UPDATE rows SET state = 2, progress_at = max(progress_at, ?2) WHERE seq = ?1",
                )?
                .execute(params![row.seq, at])?;
            desk.learn(row.seq, learned.as_ref())
        })
        .await
    }

    /// A draft becomes a mail: its body is now sealed to the partner, and names `large` if that is a new one. It stays in the
    /// caller's hands.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] if the row is not a queued draft, or as [`sent`](Self::sent).
    pub async fn reseal(
        &self,
        id: RowId,
        body: Bytes,
        digest: [u8; 32],
        large: Option<LargeBody>,
        notes: Vec<Note>,
    ) -> Result<Moved, SpoolError> {
        self.submit(MOVE_BYTES + body.len(), Demand::Housework, move |desk| {
            let row = desk.standing(id)?;
            if let Some(ended) = row.ended() {
                desk.give_back(id);
                return Ok(ended);
            }
            let moved = desk.reseal(&row, &body, digest, &notes)?;
            if let Some(large) = large {
                desk.refer(row.seq, Large::Kept(large), None)?;
            }
            Ok(moved)
        })
        .await
    }

    /// A move between states that are not final: checks it, does it, and lets the row out of the caller's hands.
    async fn step<W>(
        &self,
        id: RowId,
        bytes: usize,
        to: State,
        notes: Vec<Note>,
        change: W,
    ) -> Result<Moved, SpoolError>
    where
        W: FnOnce(&mut Desk<'_>, &Standing, i64) -> Result<(), SpoolError> + Send + 'static,
    {
        self.submit(bytes, Demand::Housework, move |desk| {
            let row = desk.standing(id)?;
            if let Some(ended) = row.ended() {
                desk.give_back(id);
                return Ok(ended);
            }
            row.may_become(to)?;
            change(desk, &row, moment(&notes))?;
            desk.finish_move(id, &row, to, &notes)
        })
        .await
    }
}

impl Desk<'_> {
    fn reseal(
        &mut self,
        row: &Standing,
        body: &Bytes,
        digest: [u8; 32],
        notes: &[Note],
    ) -> Result<Moved, SpoolError> {
        let bytes = time::len_to_sql(body.len());
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE rows SET kind = 0, digest = ?2, body_bytes = ?3, progress_at = max(progress_at, ?4)
                 WHERE seq = ?1 AND kind = 4 AND state = 0",
            )?
            .execute(params![row.seq, digest, bytes, moment(notes)])?;
        if changed == 0 {
            return Err(SpoolError::Refused("only a queued draft can be sealed".to_owned()));
        }
        self.forgetting(row.large, |conn| {
            let mut reseal = conn.prepare_cached("UPDATE bodies SET body = ?2 WHERE row = ?1")?;
            Ok(reseal.execute(params![row.seq, body.as_ref()]).map(drop)?)
        })?;
        journal::append(self.conn, row.seq, notes)?;
        self.count_bytes(row, bytes - row.body_bytes);
        Ok(Moved::Done)
    }

    /// Fills in what only opening could tell.
    pub(super) fn learn(&self, seq: i64, learned: Option<&Learned>) -> Result<(), SpoolError> {
        let Some(learned) = learned else { return Ok(()) };
        if matches!(learned.kind, Kind::Report | Kind::Draft | Kind::Relay | Kind::Foreign) {
            return Err(SpoolError::Refused(format!("a {} does not arrive", learned.kind)));
        }
        self.conn
            .prepare_cached(
                "UPDATE rows SET kind = :kind, message_id = :message_id, message_id_tag = :tag, summary = :summary,
                                 size = :size WHERE seq = :seq",
            )?
            .execute(named_params! {
                ":seq": seq,
                ":kind": learned.kind,
                ":message_id": RowId(learned.message_id),
                ":tag": learned.message_id_tag,
                ":summary": learned.summary,
                ":size": time::count_to_sql(learned.size),
            })?;
        Ok(())
    }

    /// What every move does at its end: journal, counts, and the row is in nobody's hands.
    pub(super) fn finish_move(
        &mut self,
        id: RowId,
        row: &Standing,
        to: State,
        notes: &[Note],
    ) -> Result<Moved, SpoolError> {
        journal::append(self.conn, row.seq, notes)?;
        self.count_move(row, to);
        self.give_back(id);
        if to == State::Queued {
            self.ring(row.direction, row.kind);
        }
        Ok(Moved::Done)
    }
}

impl Standing {
    /// What a move of a row that has ended is answered.
    pub(super) fn ended(&self) -> Option<Moved> {
        self.state.is_final().then_some(Moved::AlreadyFinal(self.state))
    }

    /// The table of moves between states that are not final. Held rows leave only by release or settlement; only what
    /// goes to a partner waits for a receipt.
    fn may_become(&self, to: State) -> Result<(), SpoolError> {
        let may = match (self.state, to) {
            (State::Queued | State::Sent, State::Queued) => true,
            (State::Queued | State::Sent, State::Sent) => {
                self.direction == Direction::Out && self.kind != Kind::Relay
            }
            (State::Queued | State::Held, State::Held) => true,
            _ => false,
        };
        if may { Ok(()) } else { Err(SpoolError::ImpossibleMove { from: self.state.as_str(), to }) }
    }
}

/// The time of a move is the time of its last note.
pub(super) fn moment(notes: &[Note]) -> i64 {
    notes.last().map_or(0, |note| time::to_sql(note.at))
}
