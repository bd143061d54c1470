//! The audit: who did what to the queue, each entry chained to the one before.
//!
//! ```text
//! hash(n) = SHA-256( "DCCP-audit-v1\0" ‖ hash(n-1) ‖ n ‖ at ‖ |who| who ‖ |act| act ‖ |subject| subject ‖ |sealed| sealed )
//! ```
//!
//! hash(0) is 32 zeros; numbers and lengths are 8 octets, most significant first. Whoever changes or takes out an entry has
//! to make all later hashes anew; whoever noted a hash outside (`dccp-gateway queue audit` prints the newest) sees that.
//! Cutting off the newest entries is seen only by such a note.

use rusqlite::{OptionalExtension, params};

use super::desk::Desk;
use super::{Spool, SpoolError, UnixMillis, time};
use crate::flows::records::sha256;

const LABEL: &[u8] = b"DCCP-audit-v1\0";

/// One thing that a person did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number: 1, 2, 3 …
    pub seq: u64,
    /// When.
    pub at: UnixMillis,
    /// Who, as they called themselves.
    pub who: String,
    /// What: a word such as `hold`.
    pub act: String,
    /// To what: a queue id, or the name of a rule.
    pub subject: String,
    /// Why, sealed to ourselves.
    pub sealed: Vec<u8>,
    /// Of this entry and so of all before it.
    pub hash: [u8; 32],
}

/// What a look through the whole audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the newest: worth a note somewhere else.
    pub head: [u8; 32],
    /// Where the chain is broken first.
    pub fault: Option<AuditFault>,
}

/// An entry that was tampered with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// Entries are missing before this one.
    #[error("entry {0} does not follow the one before it: entries are missing")]
    Gap(u64),
    /// The entry, or one before it, is not what was written.
    #[error("entry {0} was changed after it was written")]
    Changed(u64),
}

impl Spool {
    /// Latest entries, newest first.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, SpoolError> {
        self.read(move |conn| {
            conn.prepare_cached(
                "SELECT seq, at, who, act, subject, sealed, hash FROM audit ORDER BY seq DESC LIMIT ?1",
            )?
            .query_map([time::len_to_sql(limit)], entry_of)?
            .collect()
        })
        .await
    }

    /// Computes every hash anew, entry by entry.
    ///
    /// # Errors
    /// Temporary ones. A broken chain is no error but a finding.
    pub async fn verify_audit(&self) -> Result<Audited, SpoolError> {
        self.read(|conn| {
            let mut found = Audited { entries: 0, head: [0; 32], fault: None };
            let mut statement = conn
                .prepare_cached("SELECT seq, at, who, act, subject, sealed, hash FROM audit ORDER BY seq")?;
            for entry in statement.query_map([], entry_of)? {
                let entry = entry?;
                if found.fault.is_none() {
                    found.fault = fault_of(&entry, found.entries, &found.head);
                }
                found.entries += 1;
                found.head = entry.hash;
            }
            Ok(found)
        })
        .await
    }
}

impl Desk<'_> {
    /// Writes the next entry.
    pub(super) fn audit(
        &self,
        at: UnixMillis,
        who: &str,
        act: &str,
        subject: &str,
        sealed: &[u8],
    ) -> Result<(), SpoolError> {
        let newest: Option<(i64, [u8; 32])> = self
            .conn
            .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (before, previous) = newest.unwrap_or((0, [0; 32]));
        let seq = time::count_from_sql(before) + 1;
        let mut entry = AuditEntry {
            seq,
            at,
            who: who.to_owned(),
            act: act.to_owned(),
            subject: subject.to_owned(),
            sealed: sealed.to_vec(),
            hash: [0; 32],
        };
        entry.hash = hash_of(&entry, &previous);
        self.conn
            .prepare_cached(
                "INSERT INTO audit (seq, at, who, act, subject, sealed, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                time::count_to_sql(entry.seq),
                time::to_sql(entry.at),
                entry.who,
                entry.act,
                entry.subject,
                entry.sealed,
                entry.hash,
            ])?;
        Ok(())
    }
}

fn fault_of(entry: &AuditEntry, before: u64, previous: &[u8; 32]) -> Option<AuditFault> {
    if entry.seq != before + 1 {
        return Some(AuditFault::Gap(entry.seq));
    }
    (entry.hash != hash_of(entry, previous)).then_some(AuditFault::Changed(entry.seq))
}

fn hash_of(entry: &AuditEntry, previous: &[u8; 32]) -> [u8; 32] {
    let (seq, at) = (entry.seq.to_be_bytes(), entry.at.0.to_be_bytes());
    let texts = [entry.who.as_bytes(), entry.act.as_bytes(), entry.subject.as_bytes(), &entry.sealed];
    let lengths = texts.map(|text| (text.len() as u64).to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![LABEL, previous, &seq, &at];
    for (length, text) in lengths.iter().zip(texts) {
        parts.extend([&length[..], text]);
    }
    sha256(&parts)
}

fn entry_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        seq: time::count_from_sql(row.get(0)?),
        at: time::from_sql(row.get(1)?),
        who: row.get(2)?,
        act: row.get(3)?,
        subject: row.get(4)?,
        sealed: row.get(5)?,
        hash: row.get(6)?,
    })
}
