//! What an administrator does with partners. Each decision is taken and written in one transaction.

use dccp::did::DidDocument;
use dccp::partner::{PartnerError, PartnerFile, VerifiedPartner, fingerprint};
use dccp::{Did, UnixMillis};
use finding::{Cached, Trust};
use rusqlite::Connection;

use super::renewal::{Known, Verdict};
use super::snapshot::{parse, prekey_rows};
use super::table::{self, Footing, IdentityRow, PrekeyRow, Row};
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

/// A verified partner file that wants in.
pub(super) struct Newcomer {
    pub(super) file: PartnerFile,
    /// The file as it is kept: what is outside the armour is not signed.
    pub(super) text: Vec<u8>,
    document: DidDocument,
    pub(super) manifest_epoch: u64,
    pub(super) prekeys: Vec<PrekeyRow>,
}

impl Newcomer {
    fn read(text: &[u8], now: UnixMillis) -> Result<Newcomer, PartnerError> {
        Newcomer::of(parse(text)?, now)
    }

    pub(super) fn of(file: PartnerFile, now: UnixMillis) -> Result<Newcomer, PartnerError> {
        let VerifiedPartner { document, devices, .. } = file.verify(now)?;
        let prekeys = prekey_rows(&document, file.prekeys.iter(), now).map_err(PartnerError::Prekey)?;
        let text = file.to_text().into_bytes();
        Ok(Newcomer { text, manifest_epoch: devices.epoch(), document, prekeys, file })
    }

    pub(super) fn did(&self) -> &Did {
        self.document.did()
    }

    pub(super) fn document(&self) -> &DidDocument {
        &self.document
    }

    fn is_not(&self, ourselves: &Ourselves) -> Result<(), ImportError> {
        if *self.document.did() == ourselves.did {
            return Err(ImportError::Ourselves);
        }
        match self.document.domains().iter().find(|domain| ourselves.domains.contains(domain)) {
            Some(domain) => Err(ImportError::OurDomain(domain.clone())),
            None => Ok(()),
        }
    }

    /// Inside the transaction: all questions first, then all writes.
    fn settle_in(
        &self,
        database: &Connection,
        trust: u8,
        now: UnixMillis,
    ) -> rusqlite::Result<Result<Imported, ImportError>> {
        let did = self.document.did();
        let rows = table::of_did(database, did.as_str())?;
        let before = table::identity(database, did.as_str())?;
        if let Some(known) = Known::of(&rows) {
            match self.judged_against(&known, before.as_ref().and_then(|row| row.kept.frozen.as_ref())) {
                Verdict::Newer => {}
                Verdict::Older => {
                    let theirs = (self.file.log.seq(), self.manifest_epoch);
                    let known = (known.file.log.seq(), known.manifest_epoch);
                    return Ok(Err(ImportError::Older { theirs, known }));
                }
                Verdict::Duplicity { at_seq } => {
                    self.freeze_in(database, &known, at_seq)?;
                    return Ok(Ok(Imported::Contradiction { did: did.clone(), at_seq }));
                }
            }
        }
        if rows.is_empty() && self.document.is_deactivated() {
            return Ok(Err(ImportError::Ended));
        }
        let clashes = self.clashes(database)?;
        if !clashes.is_empty() {
            self.stand_for(database, &clashes)?;
            return Ok(Ok(Imported::Conflict { candidate: did.clone(), clashes }));
        }
        self.pin(database, now)?;
        self.note_footing(database, trust, rows.is_empty())?;
        let (did, domains) = (did.clone(), self.document.domains().to_vec());
        Ok(Ok(match rows.is_empty() {
            true => Imported::Added { did, domains },
            false if self.document.is_deactivated() => Imported::Ended { did, domains },
            false => Imported::Refreshed { did, domains },
        }))
    }

    /// A partner that was introduced by hand once stays so when it is found by itself later.
    fn note_footing(&self, database: &Connection, trust: u8, is_new: bool) -> rusqlite::Result<()> {
        let before = table::footing(database, self.did().as_str())?;
        let trust = if is_new { trust } else { trust.max(before.trust) };
        table::put_footing(database, self.did().as_str(), &Footing { trust, notice: None, ..before })
    }

    /// Domains it claims that are pinned to others.
    fn clashes(&self, database: &Connection) -> rusqlite::Result<Vec<Clash>> {
        let mut clashes = Vec::new();
        for domain in self.document.domains() {
            if let Some(row) = table::of_domain(database, domain)?
                && row.did != self.document.did().as_str()
            {
                clashes.push(Clash { domain: domain.clone(), pinned: row.did });
            }
        }
        Ok(clashes)
    }

    /// Becomes the candidate for domains that are pinned to others.
    fn stand_for(&self, database: &Connection, clashes: &[Clash]) -> rusqlite::Result<()> {
        for clash in clashes {
            if let Some(row) = table::of_domain(database, &clash.domain)? {
                table::put(database, &Row { candidate: Some(self.text.clone()), ..row })?;
            }
        }
        Ok(())
    }

    /// Pins every domain it claims that is free or its own already. A candidate against it stays one.
    fn pin(&self, database: &Connection, now: UnixMillis) -> rusqlite::Result<()> {
        let did = self.document.did().to_string();
        for domain in self.document.domains() {
            let before = table::of_domain(database, domain)?;
            if before.as_ref().is_some_and(|row| row.did != did) {
                continue;
            }
            let (added_at, candidate) = before.map_or((now, None), |row| (row.added_at, row.candidate));
            let (domain, did, file) = (domain.clone(), did.clone(), self.text.clone());
            table::put(database, &Row { domain, did, file, candidate, added_at, changed_at: now })?;
        }
        table::add_prekeys(database, &self.prekeys, now)?;
        let (bundle, manifest_epoch) = (self.file.to_bytes(), self.manifest_epoch);
        let kept = Cached { bundle, manifest_epoch, fetched_at: now, frozen: None };
        table::put_identity(database, &IdentityRow { did, kept })
    }
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
    let did = newcomer.document.did().clone();
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
