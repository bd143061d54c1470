//! Chunks that come from a partner's gateway, ahead of the message that names their body.

use bytes::Bytes;
use dccp::body::{BodyDigest, chunk_hash};
use rusqlite::params;

use super::{COMING, LargeBody};
use crate::spool::config::{
    MOVE_BYTES, STAGED_BODIES_PER_PARTNER_MAX, STAGED_BYTES_MAX, STAGED_BYTES_PER_PARTNER_MAX,
};
use crate::spool::desk::Desk;
use crate::spool::writer::Demand;
use crate::spool::{Spool, SpoolError, UnixMillis, time};

/// A chunk on its way in.
struct Arriving {
    partner: String,
    digest: BodyDigest,
    n: u32,
    hash: [u8; 32],
    sealed: Bytes,
    now: UnixMillis,
}

impl Spool {
    /// Keeps a chunk of the body that the gateway of `partner` sends under this digest, durably. The same chunk again is
    /// no error, and writes nothing: whoever does not know what we have may send all of it again.
    ///
    /// # Errors
    /// [`SpoolError::StagedEnough`] while too much of what this partner or all of them sent is not whole; temporary ones.
    pub async fn stage(
        &self,
        partner: String,
        digest: BodyDigest,
        n: u32,
        sealed: Bytes,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let bytes = MOVE_BYTES + sealed.len();
        let hash = chunk_hash(&sealed);
        let chunk = Arriving { partner, digest, n, hash, sealed, now };
        self.submit(bytes, Demand::Mail, move |desk| desk.stage(&chunk)).await
    }
}

impl Desk<'_> {
    fn stage(&mut self, chunk: &Arriving) -> Result<(), SpoolError> {
        let body = match self.known(Some(&chunk.partner), chunk.digest.as_bytes())? {
            Some((body, COMING)) => body,
            Some(_kept) => return Ok(()),
            None => self.begin_staged(chunk)?,
        };
        let length = time::len_to_sql(chunk.sealed.len());
        let fresh = self
            .conn
            .prepare_cached(
                "INSERT INTO chunks (body, n, hash, sealed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            )?
            .execute(params![body, chunk.n, chunk.hash, chunk.sealed.as_ref()])?;
        self.conn
            .prepare_cached(
                "UPDATE large_bodies SET bytes = bytes + ?2, touched_at = max(touched_at, ?3) WHERE id = ?1",
            )?
            .execute(params![body, if fresh == 0 { 0 } else { length }, time::to_sql(chunk.now)])?;
        self.effects.pass_through();
        if self.staged(Some(&chunk.partner))?.1 > STAGED_BYTES_PER_PARTNER_MAX
            || self.staged(None)?.1 > STAGED_BYTES_MAX
        {
            return Err(SpoolError::StagedEnough);
        }
        Ok(())
    }

    fn begin_staged(&self, chunk: &Arriving) -> Result<LargeBody, SpoolError> {
        if self.staged(Some(&chunk.partner))?.0 >= STAGED_BODIES_PER_PARTNER_MAX {
            return Err(SpoolError::StagedEnough);
        }
        let body = LargeBody::fresh();
        self.conn
            .prepare_cached(
                "INSERT INTO large_bodies (id, standing, partner, digest, bytes, touched_at) VALUES (?1, 0, ?2, ?3, 0, 0)",
            )?
            .execute(params![body, chunk.partner, chunk.digest.as_bytes()])?;
        Ok(body)
    }

    /// Bodies, and their bytes, that came from one partner or from all of them, and that no row refers to.
    fn staged(&self, partner: Option<&str>) -> Result<(u64, u64), SpoolError> {
        let number = |row: &rusqlite::Row<'_>, at| row.get(at).map(time::count_from_sql);
        let staged = self
            .conn
            .prepare_cached(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM large_bodies
                 WHERE standing = 0 AND (partner = ?1 OR ?1 IS NULL AND partner IS NOT NULL)",
            )?
            .query_row([partner], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
        Ok(staged)
    }
}
