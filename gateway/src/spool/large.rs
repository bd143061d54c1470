//! Large bodies: the octets of a large mail rest once, in chunks, and every row of the mail refers to them.
//!
//! ```text
//! draft ─ put(chunk) ─ put(chunk) ─ … ─ whole ─┐                          settle (the last row)
//!   a commit of its own for a few chunks        ├─► coming ─ a row ─► kept ──────────────────► over ─ sweep ─► gone
//! stage(chunk) ─ stage(chunk) ─ … ─ arrive ─────┘       │                                      ▲
//!   from a partner, ahead of its message                └── nobody came for it: sweep ─────────┘
//! ```
//!
//! What refers to a body is a row of a mail, a copy in the archive, or a mail in an agent's inbox; which of them ends last, and how, is
//! the schema's business (`schema_shared.sql`): the last reference that goes leaves the body over.
//!
//! Nobody ever has a whole body in one transaction or, on this side of the door, in memory. A body is seen by nobody before
//! a row refers to it, and that row is kept only if the body is whole. What a crash leaves between the chunks and the row
//! is swept: of ours at the next start, because drafts live in memory as leases do; of partners' after a time.

mod draft;
mod stage;
mod sweep;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dccp::body::{BodyOutline, Tally};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::claim::{Wipe, wiping};
use super::desk::{Desk, Standing};
use super::stored::uuid_name;
use super::{Count, Spool, SpoolError, time};

pub use draft::Draft;

uuid_name! {
    /// Names one large body.
    LargeBody
}

/// What a new row refers to besides its own body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Large {
    /// A body that is here: written as a [`Draft`] just now, or of another row.
    Kept(LargeBody),
    /// What the row's partner sent ahead in chunks, and all of it.
    Arrived(BodyOutline),
}

/// How many large bodies there are, and their bytes. They are in no [`Counts`](super::Counts): rows share them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LargeCounts {
    /// On their way in; no row refers to them yet.
    pub coming: Count,
    /// Rows, copies or inboxes refer to them.
    pub kept: Count,
    /// Ended, not swept yet.
    pub over: Count,
}

/// Where a body stands; the numbers are those of the schema.
const COMING: i64 = 0;
const KEPT: i64 = 1;
const OVER: i64 = 2;

/// The bodies that somebody is writing. In memory only: after a crash nobody is.
#[derive(Default)]
pub(super) struct Drafts(Mutex<HashSet<LargeBody>>);

impl Drafts {
    fn lock(&self) -> MutexGuard<'_, HashSet<LargeBody>> {
        // Every change is one step, so a panic leaves the set as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool {
    /// One chunk of a body, sealed; `None` behind its end.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn chunk(&self, body: LargeBody, n: u32) -> Result<Option<Bytes>, SpoolError> {
        self.look_up(move |conn| {
            let read = |row: &rusqlite::Row<'_>| Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?));
            let chunk = conn
                .prepare_cached("SELECT sealed FROM chunks WHERE body = ?1 AND n = ?2")?
                .query_row(params![body, n], read)
                .optional()?;
            forget_pages(conn)?;
            Ok(chunk)
        })
        .await
    }

    /// How many large bodies rest here.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn large_counts(&self) -> Result<LargeCounts, SpoolError> {
        self.look_up(|conn| {
            let mut counts = LargeCounts::default();
            let mut read = conn.prepare_cached(
                "SELECT standing, count(*), sum(bytes) FROM large_bodies GROUP BY standing",
            )?;
            let mut rows = read.query([])?;
            while let Some(row) = rows.next()? {
                let number = |at| row.get(at).map(time::count_from_sql);
                let count = Count { rows: number(1)?, bytes: number(2)? };
                match row.get(0)? {
                    COMING => counts.coming = count,
                    KEPT => counts.kept = count,
                    _ => counts.over = count,
                }
            }
            Ok(counts)
        })
        .await
    }
}

impl Desk<'_> {
    /// The row refers to the body from now on.
    pub(super) fn refer(&self, seq: i64, large: Large, partner: Option<&str>) -> Result<(), SpoolError> {
        let body = match large {
            Large::Kept(body) => Some(body),
            Large::Arrived(outline) => self.arrived(partner, outline)?,
        };
        self.keep_body(body.ok_or(SpoolError::BodyMissing)?)?;
        self.conn.prepare_cached("UPDATE rows SET large = ?2 WHERE seq = ?1")?.execute(params![seq, body])?;
        Ok(())
    }

    /// Somebody is about to refer to the body. Says how many bytes rest for it.
    pub(super) fn keep_body(&self, body: LargeBody) -> Result<u64, SpoolError> {
        self.conn
            .prepare_cached(
                "UPDATE large_bodies SET standing = 1 WHERE id = ?1 AND standing < 2 RETURNING bytes",
            )?
            .query_row([body], |row| row.get(0).map(time::count_from_sql))
            .optional()?
            .ok_or(SpoolError::BodyMissing)
    }

    /// The row has ended and has no body any more, neither its own nor a large one.
    pub(super) fn leave(&mut self, row: &Standing) -> Result<(), SpoolError> {
        self.forgetting(row.large, |conn| {
            conn.prepare_cached("DELETE FROM bodies WHERE row = ?1")?.execute([row.seq])?;
            conn.prepare_cached("UPDATE rows SET large = NULL WHERE seq = ?1 AND large IS NOT NULL")?
                .execute([row.seq])?;
            Ok(())
        })
    }

    /// Does work after which the row has the key of the large body no more. If the archive keeps that body, only its copy may have
    /// the key from now on: what the row had is wiped from the file and from the log, or a thief of both who comes years later
    /// would read the archive.
    pub(super) fn forgetting(
        &mut self,
        body: Option<LargeBody>,
        work: impl FnOnce(&Connection) -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        let archived = match body {
            Some(body) => {
                self.conn.prepare_cached("SELECT 1 FROM archive WHERE large = ?1")?.exists([body])?
            }
            None => false,
        };
        if !archived {
            return work(self.conn);
        }
        self.effects.demand(Wipe::Soon);
        wiping(self.conn, work)
    }

    /// The body that the partner's gateway brought under this name, if all of it is here.
    fn arrived(&self, partner: Option<&str>, outline: BodyOutline) -> Result<Option<LargeBody>, SpoolError> {
        let Some((body, _)) = self.known(partner, outline.digest.as_bytes())? else { return Ok(None) };
        let mut tally = Tally::default();
        let mut read = self
            .conn
            .prepare_cached("SELECT n, hash, length(sealed) FROM chunks WHERE body = ?1 ORDER BY n")?;
        let mut chunks = read.query([body])?;
        while let Some(chunk) = chunks.next()? {
            let (n, hash, length): (u32, [u8; 32], i64) = (chunk.get(0)?, chunk.get(1)?, chunk.get(2)?);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if n != tally.chunks() || tally.add_hash(hash, length).is_err() {
                return Ok(None);
            }
        }
        Ok((tally.finish() == outline).then_some(body))
    }

    /// The body that goes by this name, and where it stands.
    fn known(
        &self,
        partner: Option<&str>,
        digest: &[u8; 32],
    ) -> Result<Option<(LargeBody, i64)>, SpoolError> {
        let known = self
            .conn
            .prepare_cached("SELECT id, standing FROM large_bodies WHERE partner = ?1 AND digest = ?2")?
            .query_row(params![partner, digest], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(known)
    }
}

/// What goes through here once must not fill the page cache: it would hold a second copy of a mail that somebody has in
/// memory, and push the indexes out.
pub(super) fn forget_pages(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("PRAGMA shrink_memory")?.execute([])?;
    Ok(())
}
