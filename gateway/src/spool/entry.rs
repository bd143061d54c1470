//! How rows enter: mail accepted from our people, sealed messages arriving from partners, bundles of receipts.

use super::desk::arrives;
use super::writer::Demand;
use super::{Arrival, NewCopy, NewRow, Note, RowId, Spool, SpoolError};

impl Spool {
    /// Keeps the rows of one mail with their notes: all of them, durably, or none.
    ///
    /// # Errors
    /// [`SpoolError::is_temporary`] ones when the disk or the database is not ready; [`SpoolError::RowExists`] for an
    /// id that was used before.
    pub async fn accept(&self, rows: Vec<NewRow>, notes: Vec<(RowId, Note)>) -> Result<(), SpoolError> {
        self.accept_archived(rows, notes, None).await
    }

    /// As [`accept`](Self::accept), with the copy that must be kept of the mail: both or neither.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), and [`SpoolError::ArchiveFull`].
    pub async fn accept_archived(
        &self,
        rows: Vec<NewRow>,
        notes: Vec<(RowId, Note)>,
        copy: Option<NewCopy>,
    ) -> Result<(), SpoolError> {
        let bytes = rows.iter().map(weight).sum::<usize>() + copy.as_ref().map_or(0, |it| it.sealed.len());
        let archive_bytes_max = self.config().archive_bytes_max;
        self.submit(bytes, Demand::Mail, move |desk| {
            if let Some(copy) = &copy {
                desk.archive(copy, archive_bytes_max)?;
            }
            for row in &rows {
                let own = notes.iter().filter(|(id, _)| *id == row.id).map(|(_, note)| note);
                desk.insert(row, own)?.ok_or(SpoolError::RowExists(row.id))?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps a sealed message from the overlay, once: the same digest again is a [`Arrival::Duplicate`] for as long as
    /// the message could be sent again (its time to live and the skew). A duplicate writes nothing; the first copy is
    /// durable already, so both answers may be acknowledged.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn arrive(&self, row: NewRow, notes: Vec<Note>) -> Result<Arrival, SpoolError> {
        self.take_in(row, notes, Demand::Mail).await
    }

    /// As [`arrive`](Self::arrive), for what partners' gateways say about mail that is kept here: receipts end rows, so
    /// a disk too full for mail still takes them, or it would stay full.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn arrive_control(&self, row: NewRow, notes: Vec<Note>) -> Result<Arrival, SpoolError> {
        self.take_in(row, notes, Demand::Control).await
    }

    async fn take_in(&self, row: NewRow, notes: Vec<Note>, demand: Demand) -> Result<Arrival, SpoolError> {
        if !arrives(row.direction, row.kind) {
            return Err(SpoolError::Refused("only inbound messages arrive".to_owned()));
        }
        self.submit(weight(&row), demand, move |desk| {
            let Some(seq) = desk.insert(&row, &notes)? else { return Ok(Arrival::Duplicate) };
            let claim = row.sealed_to.map(|key_id| desk.claim(seq, key_id, row.partner.as_deref()));
            Ok(Arrival::Fresh { claimed: claim.transpose()?.flatten() })
        })
        .await
    }

    /// Puts pending receipts on their way: keeps the row that bundles them and forgets them, in one step.
    ///
    /// # Errors
    /// [`SpoolError::ReceiptsGone`] if any of them was consumed before; then nothing is kept.
    pub async fn accept_receipts(
        &self,
        row: NewRow,
        notes: Vec<Note>,
        consumed: Vec<i64>,
    ) -> Result<(), SpoolError> {
        // Not new mail: it shrinks the spool, so a nearly full disk does not refuse it.
        self.submit(weight(&row), Demand::Housework, move |desk| {
            let mut forget = desk.conn.prepare_cached("DELETE FROM receipts WHERE id = ?1")?;
            for id in &consumed {
                if forget.execute([id])? == 0 {
                    return Err(SpoolError::ReceiptsGone);
                }
            }
            drop(forget);
            desk.insert(&row, &notes)?.ok_or(SpoolError::RowExists(row.id))?;
            Ok(())
        })
        .await
    }
}

/// What a row adds to the log, roughly.
pub(super) fn weight(row: &NewRow) -> usize {
    row.body.len() + row.slip.as_ref().map_or(0, Vec::len) + row.summary.len()
}
