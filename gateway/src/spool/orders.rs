//! What people do to rows: hold, release, try again, send another way. Each act, its note in the journal and its entry in the
//! audit are one step. The ends that people order (expire, drop) are settlements with an [`Order`].

use rusqlite::{Connection, params};

use super::config::MOVE_BYTES;
use super::desk::{Desk, Standing};
use super::look::{row_columns, row_of};
use super::writer::Demand;
use super::{Kind, Note, Row, RowId, Spool, SpoolError, Stage, State, UnixMillis, journal, time};

/// A person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What was ordered, as the audit calls it.
    pub act: &'static str,
    /// Who wants it, as they called themselves.
    pub by: String,
    /// When.
    pub at: UnixMillis,
    /// Why, sealed to ourselves.
    pub why: Vec<u8>,
}

/// What may be done to a row that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nobody works on it until a person releases it.
    Hold,
    /// It goes on, whatever held it, and the judge does not hold it again.
    Release,
    /// It is due now.
    Retry,
    /// A relay row goes to this next hop (`host:port`); `None`: to wherever its domain leads, asked anew.
    Reroute(Option<String>),
    /// A draft is for this partner, who is pinned for its domain now; it is decided anew.
    Readdress(String),
}

/// Why an act was not done to a row. Nothing of it is kept then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// There is none.
    #[error("it is not there any more")]
    Unknown,
    /// It has ended.
    #[error("it has ended: {0}")]
    Ended(State),
    /// It is being sent or delivered at this moment.
    #[error("it is on its way at this moment; try again in a minute")]
    InHands,
    /// It stands where this act makes no sense.
    #[error("only a {wants} message can be given this order; this one is {is}")]
    Elsewhere {
        /// Where it would have to stand.
        wants: &'static str,
        /// Where it stands.
        is: State,
    },
    /// What it is does not allow it.
    #[error("{0}")]
    Unfit(&'static str),
}

impl Spool {
    /// Does `act` to each of `ids` that allows it; the answers come in their order.
    ///
    /// # Errors
    /// Temporary ones; then nothing was done to any of them.
    pub async fn order(
        &self,
        ids: Vec<RowId>,
        act: Act,
        order: Order,
    ) -> Result<Vec<Result<(), Declined>>, SpoolError> {
        self.submit(MOVE_BYTES * ids.len(), Demand::Housework, move |desk| {
            ids.iter().map(|id| desk.obey(*id, &act, &order)).collect()
        })
        .await
    }

    /// Writes to the rules of the queue, with an entry in the audit.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_audited<T: Send + 'static>(
        &self,
        order: Order,
        subject: String,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.submit(MOVE_BYTES, Demand::Housework, move |desk| {
            desk.audit(order.at, &order.by, order.act, &subject, &order.why)?;
            Ok(work(desk.conn)?)
        })
        .await
    }

    /// Rows that have not ended, oldest first, from behind `after` on.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn open_rows(&self, after: i64, limit: usize) -> Result<Vec<Row>, SpoolError> {
        const SQL: &str = concat!(
            "SELECT ",
            row_columns!(),
            " FROM rows INDEXED BY rows_waiting WHERE state < 3 AND seq > ?1 ORDER BY seq LIMIT ?2"
        );
        self.read(move |conn| {
            conn.prepare_cached(SQL)?.query_map(params![after, time::len_to_sql(limit)], row_of)?.collect()
        })
        .await
    }

    /// What was noted last about a row.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn last_note(&self, id: RowId) -> Result<Option<Note>, SpoolError> {
        self.read(move |conn| Ok(journal::read(conn, id)?.pop())).await
    }
}

impl Desk<'_> {
    /// The row changes, or the answer says why not; only a failing database fails the whole job.
    fn obey(&mut self, id: RowId, act: &Act, order: &Order) -> Result<Result<(), Declined>, SpoolError> {
        let row = match self.standing(id) {
            Ok(row) => row,
            Err(SpoolError::UnknownRow(_)) => return Ok(Err(Declined::Unknown)),
            Err(error) => return Err(error),
        };
        if let Err(declined) = self.allows(id, &row, act) {
            return Ok(Err(declined));
        }
        let to = self.change(&row, act, order)?;
        self.note_order(&row, order)?;
        self.finish_move(id, &row, to, &[])?;
        Ok(Ok(()))
    }

    /// The table of orders (docs/SPOOL.md).
    fn allows(&self, id: RowId, row: &Standing, act: &Act) -> Result<(), Declined> {
        let stands = |wants: &'static str, well: bool| match well {
            true => Ok(()),
            false => Err(Declined::Elsewhere { wants, is: row.state }),
        };
        if row.state.is_final() {
            return Err(Declined::Ended(row.state));
        }
        if self.leases.is_held(id) {
            return Err(Declined::InHands);
        }
        let waits = matches!(row.state, State::Queued | State::Held);
        match act {
            Act::Hold => stands("queued", waits),
            Act::Release => stands("held", row.state == State::Held),
            Act::Retry => stands("queued", row.state == State::Queued),
            Act::Reroute(_) if row.kind != Kind::Relay => Err(Declined::Unfit(
                "it is sealed to its partner, or is for our own people: no other next hop could do anything with it",
            )),
            Act::Reroute(_) => stands("queued or held", waits),
            Act::Readdress(_) if row.kind != Kind::Draft => {
                Err(Declined::Unfit("it is sealed already: only that partner can open it"))
            }
            Act::Readdress(_) => stands("held", row.state == State::Held),
        }
    }

    /// Changes the row and says where it stands now.
    fn change(&self, row: &Standing, act: &Act, order: &Order) -> Result<State, SpoolError> {
        let now = time::to_sql(order.at);
        let update = |set: &str, value: Option<&str>| -> Result<(), SpoolError> {
            let sql = format!("UPDATE rows SET progress_at = max(progress_at, ?2), {set} WHERE seq = ?1");
            self.conn.prepare_cached(&sql)?.execute(params![row.seq, now, value])?;
            Ok(())
        };
        match act {
            Act::Hold => {
                update("state = 2, held_by = ?3, approved_by = NULL", Some(&order.by))?;
                Ok(State::Held)
            }
            Act::Release => {
                update("state = 0, next_at = ?2, held_by = NULL, approved_by = ?3", Some(&order.by))?;
                Ok(State::Queued)
            }
            Act::Retry => {
                // No progress: it only does not wait any longer.
                self.conn
                    .prepare_cached("UPDATE rows SET next_at = ?2 WHERE seq = ?1")?
                    .execute(params![row.seq, now])?;
                Ok(State::Queued)
            }
            Act::Reroute(next_hop) => {
                update("next_hop = ?3, next_at = min(next_at, ?2)", next_hop.as_deref())?;
                Ok(row.state)
            }
            Act::Readdress(partner) => {
                // What was approved was the other way.
                update(
                    "state = 0, next_at = ?2, held_by = NULL, approved_by = NULL, partner = ?3",
                    Some(partner),
                )?;
                Ok(State::Queued)
            }
        }
    }

    /// Who ordered it and why, in the journal of the row and in the audit.
    pub(super) fn note_order(&self, row: &Standing, order: &Order) -> Result<(), SpoolError> {
        let note = Note::new(order.at, Stage::Ordered, format!("{} by {}", order.act, order.by));
        journal::append(self.conn, row.seq, [&note.with_sealed(order.why.clone())])?;
        self.audit(order.at, &order.by, order.act, &row.queue_id, &order.why)
    }
}
