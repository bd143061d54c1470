//! Private keys in the spool: a one-time key belongs to the first row that needs it and ends with that row.
//!
//! ```text
//! arrive ─ one transaction ─► row kept + its one-time key claimed ─► the sealed key goes along with the answer
//! settle ─ one transaction ─► row ended + its one-time key deleted ─► log folded back within about a second
//! ```
//!
//! What is deleted here must not be found again, neither in the pages of the file nor in its log. So a deletion runs
//! with `secure_delete=ON` (freed pages too are zeroed), and then the log, which still has the pages as they were, is
//! folded back and cut to nothing.

use rusqlite::{Connection, OptionalExtension, params};

use super::desk::Desk;
use super::writer::Demand;
use super::{Spool, SpoolError};

/// A one-time key that a row has claimed: sealed, only custody opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedKey {
    /// The day of the storage key that it rests under.
    pub epoch: u64,
    /// The sealed key.
    pub sealed: Vec<u8>,
}

/// How soon what was deleted has to be gone from the log too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wipe {
    /// With others: a log that is folded back after every mail would cost as much as the mail.
    Soon,
    /// Before the caller is answered.
    Now,
}

impl std::fmt::Debug for ClaimedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClaimedKey(of day {})", self.epoch)
    }
}

impl Spool {
    /// As [`write`](Self::write), for keys that are destroyed: when this returns, what `work` deleted is in neither the
    /// file nor its log, unless a look-up of this moment still needs the log: then it is gone within seconds.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn destroy<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.submit(0, Demand::Housework, move |desk| {
            desk.effects.demand(Wipe::Now);
            wiping(desk.conn, |conn| Ok(work(conn)?))
        })
        .await
    }
}

impl Desk<'_> {
    /// The one-time key that an arriving row is sealed to becomes that row's own. `None`: it is sealed to no one-time
    /// key, or to one that another row has, or to one that was given to another partner.
    pub(super) fn claim(
        &self,
        seq: i64,
        key_id: [u8; 16],
        partner: Option<&str>,
    ) -> Result<Option<ClaimedKey>, SpoolError> {
        let claimed = self
            .conn
            .prepare_cached(
                "UPDATE one_time_keys SET claimed_by = ?1
                 WHERE key_id = ?2 AND served_to = ?3 AND claimed_by IS NULL
                 RETURNING (SELECT epoch FROM one_time_batches WHERE id = batch), sealed",
            )?
            .query_row(params![seq, key_id, partner], claimed_key)
            .optional()?;
        Ok(claimed)
    }

    /// The row has ended: its one-time key, if it had one, is destroyed.
    pub(super) fn destroy_claimed(&mut self, seq: i64) -> Result<(), SpoolError> {
        if claimed_by(self.conn, seq)?.is_none() {
            return Ok(());
        }
        self.effects.demand(Wipe::Soon);
        wiping(self.conn, |conn| {
            conn.prepare_cached("DELETE FROM one_time_keys WHERE claimed_by = ?1")?.execute([seq])?;
            conn.prepare_cached("UPDATE one_time_uses SET uses = uses + 1")?.execute([])?;
            Ok(())
        })
    }
}

/// The one-time key that the row has claimed.
pub(super) fn claimed_by(conn: &Connection, seq: i64) -> rusqlite::Result<Option<ClaimedKey>> {
    conn.prepare_cached(
        "SELECT epoch, sealed FROM one_time_keys JOIN one_time_batches ON one_time_batches.id = batch
         WHERE claimed_by = ?1",
    )?
    .query_row([seq], claimed_key)
    .optional()
}

fn claimed_key(row: &rusqlite::Row<'_>) -> rusqlite::Result<ClaimedKey> {
    let epoch: i64 = row.get(0)?;
    Ok(ClaimedKey { epoch: u64::try_from(epoch).unwrap_or_default(), sealed: row.get(1)? })
}

/// Deletes with `secure_delete=ON`. Not set for good: it would also zero every page of every sealed body.
pub(super) fn wiping<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, SpoolError>,
) -> Result<T, SpoolError> {
    conn.pragma_update(None, "secure_delete", "ON")?;
    let done = work(conn);
    conn.pragma_update(None, "secure_delete", "FAST")?;
    done
}
