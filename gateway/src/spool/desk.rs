//! The desk a job works at: the connection inside its savepoint, and the list of what happens once it is durable.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::bell::{Bells, Work};
use super::claim::Wipe;
use super::lease::Leases;
use super::{Direction, Kind, LargeBody, NewRow, Note, RowId, SpoolError, State, journal, time};

/// Where a job does its work. Everything here is undone if the job or its batch fails.
pub(super) struct Desk<'a> {
    pub(super) conn: &'a Connection,
    pub(super) leases: &'a Leases,
    pub(super) effects: Effects,
}

/// What a job changes outside the database. Leases it took are given back if it fails; everything else happens after
/// the commit and before the answer.
#[derive(Default)]
pub(super) struct Effects {
    taken: Vec<RowId>,
    given_back: Vec<RowId>,
    rings: Vec<Work>,
    tallies: Tallies,
    wipe: Option<Wipe>,
    passes_through: bool,
}

/// Differences to the counts, per direction and state: (rows, bytes).
#[derive(Default)]
pub(super) struct Tallies(BTreeMap<(Direction, State), (i64, i64)>);

/// The part of a row that a move has to know.
pub(super) struct Standing {
    pub(super) seq: i64,
    pub(super) queue_id: String,
    pub(super) direction: Direction,
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) body_bytes: i64,
    pub(super) large: Option<LargeBody>,
    pub(super) expires_at: i64,
}

impl Desk<'_> {
    /// Puts a row in. `None`: the same message had arrived before.
    pub(super) fn insert<'n>(
        &mut self,
        new: &NewRow,
        notes: impl IntoIterator<Item = &'n Note>,
    ) -> Result<Option<i64>, SpoolError> {
        if !matches!(new.state, State::Queued | State::Held) {
            return Err(SpoolError::ImpossibleMove { from: "new", to: new.state });
        }
        let inserted = self
            .conn
            .prepare_cached(
                "INSERT INTO rows (id, queue_id, direction, kind, state, partner, partner_domain, message_id, message_id_tag,
                                   digest, size, body_bytes, accepted_at, progress_at, next_at, expires_at, summary,
                                   lane, source, held_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
                 ON CONFLICT (digest) WHERE direction = 1 AND kind NOT IN (2, 6) DO NOTHING",
            )?
            .execute(params![
                new.id,
                new.queue_id,
                new.direction,
                new.kind,
                new.state,
                new.partner,
                new.partner_domain,
                (new.direction == Direction::Out).then_some(new.id),
                new.message_id_tag,
                new.digest,
                time::count_to_sql(new.size),
                time::len_to_sql(new.body.len()),
                time::to_sql(new.now),
                time::to_sql(new.next_at),
                time::to_sql(new.expires_at),
                new.summary,
                new.turn.lane,
                new.turn.source.number(),
                new.held_by,
            ])
            .map_err(|error| already_kept(error, new.id))?;
        if inserted == 0 {
            return Ok(None);
        }
        let seq = self.conn.last_insert_rowid();
        self.conn
            .prepare_cached("INSERT INTO bodies (row, slip, body) VALUES (?1, ?2, ?3)")?
            .execute(params![seq, new.slip, new.body.as_ref()])?;
        if let Some(large) = new.large {
            self.refer(seq, large, new.partner.as_deref())?;
        }
        journal::append(self.conn, seq, notes)?;
        self.effects.tallies.add(new.direction, new.state, 1, time::len_to_sql(new.body.len()));
        self.announce(new);
        Ok(Some(seq))
    }

    /// A new row is either in its maker's hands or rings the bell of those who work on it.
    fn announce(&mut self, new: &NewRow) {
        if new.leased {
            if self.leases.take(new.id) {
                self.effects.taken.push(new.id);
            }
        } else if new.state == State::Queued {
            self.ring(new.direction, new.kind);
        }
    }

    /// Where the row stands now.
    pub(super) fn standing(&self, id: RowId) -> Result<Standing, SpoolError> {
        self.conn
            .prepare_cached(
                "SELECT seq, queue_id, direction, kind, state, body_bytes, large, expires_at FROM rows WHERE id = ?1",
            )?
            .query_row([id], |row| {
                Ok(Standing {
                    seq: row.get(0)?,
                    queue_id: row.get(1)?,
                    direction: row.get(2)?,
                    kind: row.get(3)?,
                    state: row.get(4)?,
                    body_bytes: row.get(5)?,
                    large: row.get(6)?,
                    expires_at: row.get(7)?,
                })
            })
            .optional()?
            .ok_or(SpoolError::UnknownRow(id))
    }

    /// Counts a row from one state into another; a row that ends leaves its bytes behind.
    pub(super) fn count_move(&mut self, row: &Standing, to: State) {
        let bytes = if to.is_final() { 0 } else { row.body_bytes };
        self.effects.tallies.add(row.direction, row.state, -1, -row.body_bytes);
        self.effects.tallies.add(row.direction, to, 1, bytes);
    }

    /// Counts a body that became longer or shorter where it is.
    pub(super) fn count_bytes(&mut self, row: &Standing, more: i64) {
        self.effects.tallies.add(row.direction, row.state, 0, more);
    }

    /// Counts rows out of the spool.
    pub(super) fn count_purged(&mut self, direction: Direction, state: State) {
        self.effects.tallies.add(direction, state, -1, 0);
    }

    /// After the commit the row is in nobody's hands.
    pub(super) fn give_back(&mut self, id: RowId) {
        self.effects.given_back.push(id);
    }

    /// After the commit there is work.
    pub(super) fn ring(&mut self, direction: Direction, kind: Kind) {
        self.ring_for(match (direction, kind) {
            (Direction::Out, Kind::Relay) => Work::Outside,
            (Direction::Out, _) => Work::Out,
            (Direction::In, _) => Work::In,
        });
    }

    /// After the commit there is work of this kind.
    pub(super) fn ring_for(&mut self, work: Work) {
        if !self.effects.rings.contains(&work) {
            self.effects.rings.push(work);
        }
    }
}

impl Effects {
    /// The job is durable.
    pub(super) fn happen(&self, leases: &Leases, bells: &Bells) {
        for id in &self.given_back {
            leases.give_back(*id);
        }
        for work in &self.rings {
            bells.ring(*work);
        }
    }

    /// The job failed, so nobody took anything.
    pub(super) fn undo(&self, leases: &Leases) {
        for id in &self.taken {
            leases.give_back(*id);
        }
    }

    /// The job is durable but nobody waited for its answer: rows that were taken for the caller are simply due.
    pub(super) fn unclaimed(&self, leases: &Leases, bells: &Bells) {
        self.undo(leases);
        if !self.taken.is_empty() {
            bells.ring_all();
        }
    }

    /// What this job deletes has to be gone from the log too.
    pub(super) fn demand(&mut self, wipe: Wipe) {
        self.wipe = self.wipe.max(Some(wipe));
    }

    pub(super) fn wipe(&self) -> Option<Wipe> {
        self.wipe
    }

    /// What this job writes is large and is not looked at again soon: its pages need not stay in memory.
    pub(super) fn pass_through(&mut self) {
        self.passes_through = true;
    }

    pub(super) fn passes_through(&self) -> bool {
        self.passes_through
    }

    pub(super) fn tallies(&self) -> &Tallies {
        &self.tallies
    }
}

impl Tallies {
    fn add(&mut self, direction: Direction, state: State, rows: i64, bytes: i64) {
        let (all_rows, all_bytes) = self.0.entry((direction, state)).or_default();
        *all_rows += rows;
        *all_bytes += bytes;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for ((direction, state), (rows, bytes)) in &other.0 {
            self.add(*direction, *state, *rows, *bytes);
        }
    }

    /// Writes the differences of a whole batch: a handful of rows, once per commit.
    pub(super) fn write(&self, conn: &Connection) -> Result<(), SpoolError> {
        let mut add = conn.prepare_cached(
            "INSERT INTO tallies (direction, state, rows, bytes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, bytes = bytes + excluded.bytes",
        )?;
        for ((direction, state), (rows, bytes)) in self.0.iter().filter(|(_, change)| **change != (0, 0)) {
            add.execute(params![direction, state, rows, bytes])?;
        }
        Ok(())
    }
}

/// Whether a row comes from the overlay and is recognised by its digest when it comes again.
pub(super) fn arrives(direction: Direction, kind: Kind) -> bool {
    direction == Direction::In && !matches!(kind, Kind::Report | Kind::Foreign)
}

fn already_kept(error: rusqlite::Error, id: RowId) -> SpoolError {
    match error.sqlite_error().map(|it| it.extended_code) {
        Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) => SpoolError::RowExists(id),
        _ => error.into(),
    }
}
