//! What is known of each DID, partner's or stranger's, and which of two histories of one DID counts.
//!
//! ```text
//! offered log is ─► the same or longer, or wins the fork by its recovery key ─► taken; a frozen partner thaws
//!                ├► a beginning of what we know, or loses the fork            ─► passed over
//!                └► of the same rank but different (duplicity)                ─► the partner is frozen, mail is held
//! ```
//!
//! No clock and no source decides: whoever brings the records, only signatures count (protocol §2). What the resolver
//! (`finding`) found out is kept here; a file that an administrator imports is judged here by the same rule.

use dccp::did::{Comparison, DidDocument};
use dccp::partner::PartnerFile;
use dccp::{Did, UnixMillis};
use finding::{Cached, Frozen};
use rusqlite::Connection;

use super::newcomer::Newcomer;
use super::table::{self, IdentityRow, Row};
use crate::spool::{Spool, SpoolError};

/// Strangers whose records are kept: a busy agent's acquaintances. The oldest give way.
const STRANGERS_MAX: usize = 10_000;

/// How offered records stand to known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not newer in any way.
    Older,
    /// The same history, and at least as new a manifest; or a history that continues or overrules what is known.
    Newer,
    /// Two histories of the same rank.
    Duplicity { at_seq: u64 },
}

/// What is kept of a DID.
///
/// # Errors
/// The database's.
pub async fn recall(spool: &Spool, did: &Did) -> Result<Option<Cached>, SpoolError> {
    let did = did.to_string();
    let row = spool.read(move |database| table::identity(database, &did)).await?;
    Ok(row.map(|row| row.kept))
}

/// Keeps what the resolver found. If it is a partner's, mail follows it from the next look at the partners on.
///
/// # Errors
/// The database's; nothing is kept then.
pub async fn keep(spool: &Spool, did: &Did, found: &Cached) -> Result<(), SpoolError> {
    let row = IdentityRow { did: did.to_string(), kept: found.clone() };
    let fetched_at = found.fetched_at;
    // A bundle without valid devices is kept as history, but nobody can be written to with it.
    let newcomer =
        PartnerFile::from_bytes(&found.bundle).ok().and_then(|file| Newcomer::of(file, fetched_at).ok());
    spool
        .write(move |database| {
            table::put_identity(database, &row)?;
            let rows = table::of_did(database, &row.did)?;
            match newcomer {
                _ if rows.is_empty() => table::forget_strangers(database, STRANGERS_MAX),
                Some(newcomer) => newcomer.replace_in(database, &rows, fetched_at),
                None => Ok(()),
            }
        })
        .await
}

impl Newcomer {
    /// The verdict on us, given what is known and, while frozen, the other history too.
    pub(super) fn judged_against(&self, known: &Known, frozen: Option<&Frozen>) -> Verdict {
        let verdict = self.judged_against_one(known);
        let rival = frozen.and_then(|frozen| PartnerFile::from_bytes(&frozen.rival).ok());
        match rival {
            // Continuing one of two contradicting histories settles nothing: both must be overruled.
            Some(rival) if verdict == Verdict::Newer => match rival.log.compare(&self.file.log) {
                Comparison::Superseded { .. } => Verdict::Newer,
                Comparison::Duplicity { at_seq } => Verdict::Duplicity { at_seq },
                _ => Verdict::Older,
            },
            _ => verdict,
        }
    }

    fn judged_against_one(&self, known: &Known) -> Verdict {
        // Epochs never go back while the same keys act. Whoever took over with the recovery key counts anew:
        // otherwise a thief's last epoch would lock the owner out. An ended identity has no devices and no epoch.
        let goes_back = !self.document().is_deactivated()
            && self.document().era() == known.document.era()
            && self.manifest_epoch < known.manifest_epoch;
        match known.file.log.compare(&self.file.log) {
            Comparison::Same | Comparison::Newer if goes_back => Verdict::Older,
            Comparison::Same | Comparison::Newer | Comparison::Superseded { .. } => Verdict::Newer,
            Comparison::Older | Comparison::Supersedes { .. } | Comparison::Unrelated => Verdict::Older,
            Comparison::Duplicity { at_seq } => Verdict::Duplicity { at_seq },
        }
    }

    /// Notes the contradiction. The first one is kept: it is the evidence, and whatever settles it must overrule it.
    pub(super) fn freeze_in(
        &self,
        database: &Connection,
        known: &Known,
        at_seq: u64,
    ) -> rusqlite::Result<()> {
        let did = self.did().as_str();
        let before = table::identity(database, did)?.map(|row| row.kept);
        if before.as_ref().is_some_and(|kept| kept.frozen.is_some()) {
            return Ok(());
        }
        let kept = Cached {
            bundle: known.file.to_bytes(),
            manifest_epoch: known.manifest_epoch,
            fetched_at: before.map_or(UnixMillis(0), |kept| kept.fetched_at),
            frozen: Some(Frozen { at_seq, rival: self.file.to_bytes() }),
        };
        table::put_identity(database, &IdentityRow { did: did.to_owned(), kept })
    }

    fn replace_in(&self, database: &Connection, rows: &[Row], now: UnixMillis) -> rusqlite::Result<()> {
        for row in rows.iter().filter(|row| row.file != self.text) {
            let (domain, did, candidate) = (row.domain.clone(), row.did.clone(), row.candidate.clone());
            let (file, added_at) = (self.text.clone(), row.added_at);
            table::put(database, &Row { domain, did, file, candidate, added_at, changed_at: now })?;
        }
        table::add_prekeys(database, &self.prekeys, now)?;
        Ok(())
    }
}

/// What is known of a partner.
pub(super) struct Known {
    pub(super) file: PartnerFile,
    document: DidDocument,
    pub(super) manifest_epoch: u64,
}

impl Known {
    /// From the newest row of one DID; nothing when there is none, or when it does not verify (which loading reports).
    pub(super) fn of(rows: &[Row]) -> Option<Known> {
        let newest = rows.iter().max_by_key(|row| row.changed_at)?;
        let file = super::snapshot::parse(&newest.file).ok()?;
        let verified = file.verify(newest.changed_at).ok()?;
        Some(Known { file, manifest_epoch: verified.devices.epoch(), document: verified.document })
    }
}
