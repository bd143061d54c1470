//! What an administrator does with partners. Each decision is taken and written in one transaction.

use dccp::partner::{PartnerError, PartnerFile, fingerprint};
use dccp::{Did, UnixMillis};
use finding::Trust;
use rusqlite::Connection;

use super::newcomer::Newcomer;
use super::table::{self, Footing, Row};
use crate::spool::{Spool, SpoolError};

/// Who we are, so that nobody else is let in under our name.
pub struct Ourselves {
    /// Our DID.
    pub did: Did,
    /// Our domains, lower-case.
    pub domains: Vec<String>,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// A new partner (or new domains of a known one): pinned.
    Added {
        /// Who it is.
        did: Did,
        /// The domains that are now pinned to it.
        domains: Vec<String>,
    },
    /// The same DID again: its records were replaced by the newer ones.
    Refreshed {
        /// Who it is.
        did: Did,
        /// Its domains.
        domains: Vec<String>,
    },
    /// A partner has ended its DID for ever: what is for it is held.
    Ended {
        /// Who it was.
        did: Did,
        /// Its domains.
        domains: Vec<String>,
    },
    /// The file tells another history of a DID that we know than the one we know. The partner is frozen: mail is held
    /// until its recovery key has settled which history counts.
    Contradiction {
        /// Who it is.
        did: Did,
        /// The first operation in which the histories differ.
        at_seq: u64,
    },
    /// Domains are pinned to somebody else. The file is kept as a candidate, mail is held, nothing else changed.
    Conflict {
        /// Who wants the domains.
        candidate: Did,
        /// The domains and who has them.
        clashes: Vec<Clash>,
    },
}

/// A pinned domain that another DID claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The domain.
    pub domain: String,
    /// The DID it is pinned to.
    pub pinned: String,
}

/// Why a partner file was not imported. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database does not answer.
    #[error("the database: {0}")]
    Spool(#[from] SpoolError),
    /// Not a partner file, forged, or expired.
    #[error("the file is refused: {0}")]
    File(#[from] PartnerError),
    /// It is our own file.
    #[error("this is our own partner file; give it to your partner and import theirs")]
    Ourselves,
    /// Somebody claims a domain of ours.
    #[error("the file claims {0}, which is our own domain; ask whoever sent it")]
    OurDomain(String),
    /// Nobody whom we know, and it is over.
    #[error("this identity has ended for ever; nobody can be written to under it")]
    Ended,
    /// It would take the partner back to an earlier state.
    #[error(
        "the file is older than what is known of this partner (operation {}, device manifest {}; known are {} and {}); ask for a new one",
        theirs.0, theirs.1, known.0, known.1
    )]
    Older {
        /// The last operation of the log and the epoch of the manifest in the file.
        theirs: (u64, u64),
        /// What we have.
        known: (u64, u64),
    },
}

/// Why a candidate was not accepted. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The database does not answer.
    #[error("the database: {0}")]
    Spool(#[from] SpoolError),
    /// No partner has the domain.
    #[error("no partner has the domain {0}")]
    UnknownDomain(String),
    /// Nobody else claims it.
    #[error("nobody else claims {0}: there is no candidate")]
    NoCandidate(String),
    /// Not the fingerprint of the candidate.
    #[error("the fingerprint is not the candidate's; compare it once more with the partner, by voice")]
    OtherFingerprint,
    /// The candidate's file is not valid any more.
    #[error("the candidate's file is refused: {0}; ask for a new one and import it")]
    File(#[from] PartnerError),
}

/// A candidate that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The new pin.
    pub did: Did,
    /// The domains that are pinned to it now.
    pub domains: Vec<String>,
    /// Domains that it also claims and that stay pinned to others.
    pub clashes: Vec<Clash>,
}

/// Imports a partner file.
///
/// # Errors
/// [`ImportError`]; nothing changed then.
pub async fn import(
    spool: &Spool,
    text: &str,
    ourselves: &Ourselves,
    now: UnixMillis,
) -> Result<Imported, ImportError> {
    let newcomer = Newcomer::read(text.as_bytes(), now)?;
    introduce(spool, newcomer, Trust::Manual, ourselves, now).await
}

/// Takes in a partner whose records were found, at the level of trust that the finding has earned.
///
/// # Errors
/// As [`import`].
pub async fn take_in(
    spool: &Spool,
    file: PartnerFile,
    trust: Trust,
    ourselves: &Ourselves,
    now: UnixMillis,
) -> Result<Imported, ImportError> {
    introduce(spool, Newcomer::of(file, now)?, trust, ourselves, now).await
}

async fn introduce(
    spool: &Spool,
    newcomer: Newcomer,
    trust: Trust,
    ourselves: &Ourselves,
    now: UnixMillis,
) -> Result<Imported, ImportError> {
    newcomer.is_not(ourselves)?;
    spool.write(move |database| newcomer.settle_in(database, trust.level().max(1), now)).await?
}

/// Pins the candidate of `domain`. `spoken` is its fingerprint or DID, as compared by voice.
///
/// # Errors
/// [`AcceptError`]; nothing changed then.
pub async fn accept(
    spool: &Spool,
    domain: &str,
    spoken: &str,
    now: UnixMillis,
) -> Result<Accepted, AcceptError> {
    let (domain, spoken) = (domain.to_ascii_lowercase(), spoken.to_owned());
    spool.write(move |database| accept_in(database, &domain, &spoken, now)).await?
}

/// Drops the candidate of `domain`. Gives the DID that stays pinned.
///
/// # Errors
/// [`AcceptError::UnknownDomain`], [`AcceptError::NoCandidate`], or the database's.
pub async fn reject(spool: &Spool, domain: &str) -> Result<String, AcceptError> {
    let domain = domain.to_ascii_lowercase();
    let dropped = spool.write(move |database| {
        let row = match with_candidate(database, &domain)? {
            Ok(row) => Row { candidate: None, ..row },
            Err(error) => return Ok(Err(error)),
        };
        table::put(database, &row)?;
        Ok(Ok(row.did))
    });
    dropped.await?
}

/// Forgets the partner that has `domain`, with all its domains. Gives them; none when nobody has it.
///
/// # Errors
/// The database's.
pub async fn remove(spool: &Spool, domain: &str) -> Result<Vec<String>, SpoolError> {
    let domain = domain.to_ascii_lowercase();
    let removed = spool.write(move |database| {
        let Some(row) = table::of_domain(database, &domain)? else { return Ok(Vec::new()) };
        let domains = table::of_did(database, &row.did)?.into_iter().map(|row| row.domain).collect();
        table::delete(database, &row.did)?;
        Ok(domains)
    });
    removed.await
}

/// Notes that the domain of a partner was looked at, and what was found: `None` leaves an earlier notice as it is. Says
/// whether the notice changed.
///
/// # Errors
/// The database's.
pub async fn looked_at(
    spool: &Spool,
    did: &Did,
    at: UnixMillis,
    notice: Option<Option<String>>,
) -> Result<bool, SpoolError> {
    let did = did.to_string();
    let noted = spool.write(move |database| {
        let before = table::footing(database, &did)?;
        let notice = notice.unwrap_or_else(|| before.notice.clone());
        let changed = notice != before.notice;
        let is_known = !table::of_did(database, &did)?.is_empty();
        if is_known {
            table::put_footing(database, &did, &Footing { checked_at: Some(at), notice, ..before })?;
        }
        Ok(changed && is_known)
    });
    noted.await
}

fn accept_in(
    database: &Connection,
    domain: &str,
    spoken: &str,
    now: UnixMillis,
) -> rusqlite::Result<Result<Accepted, AcceptError>> {
    let row = match with_candidate(database, domain)? {
        Ok(row) => row,
        Err(error) => return Ok(Err(error)),
    };
    let newcomer = match Newcomer::read(row.candidate.as_deref().unwrap_or_default(), now) {
        Ok(newcomer) => newcomer,
        Err(error) => return Ok(Err(error.into())),
    };
    let did = newcomer.did().clone();
    if !is_spoken(&did, spoken) {
        return Ok(Err(AcceptError::OtherFingerprint));
    }
    let (new_did, file) = (did.to_string(), newcomer.text.clone());
    table::put(database, &Row { did: new_did, file, candidate: None, changed_at: now, ..row })?;
    newcomer.pin(database, now)?;
    newcomer.note_footing(database, table::TRUST_MANUAL, true)?;
    let clashes = newcomer.clashes(database)?;
    newcomer.stand_for(database, &clashes)?;
    table::delete_strays(database)?;
    let domains = table::of_did(database, did.as_str())?.into_iter().map(|row| row.domain).collect();
    Ok(Ok(Accepted { did, domains, clashes }))
}

fn with_candidate(database: &Connection, domain: &str) -> rusqlite::Result<Result<Row, AcceptError>> {
    Ok(match table::of_domain(database, domain)? {
        None => Err(AcceptError::UnknownDomain(domain.to_owned())),
        Some(row) if row.candidate.is_none() => Err(AcceptError::NoCandidate(domain.to_owned())),
        Some(row) => Ok(row),
    })
}

/// Whether a person's words name this DID: its fingerprint with any grouping, or the whole DID.
pub fn is_spoken(did: &Did, spoken: &str) -> bool {
    let letters = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    letters(spoken) == letters(&fingerprint(did)) || spoken.trim() == did.as_str()
}
