//! A partner file that wants in: weighed against what is known and pinned, inside one transaction.
//!
//! ```text
//! settle_in: known and older → refused; contradicts → frozen; a domain is another's → candidate; else → pinned
//! ```

use dccp::did::DidDocument;
use dccp::partner::{PartnerError, PartnerFile, VerifiedPartner};
use dccp::{Did, UnixMillis};
use finding::Cached;
use rusqlite::Connection;

use super::registry::{Clash, ImportError, Imported, Ourselves};
use super::renewal::{Known, Verdict};
use super::snapshot::{parse, prekey_rows};
use super::table::{self, Footing, IdentityRow, PrekeyRow, Row};

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
    pub(super) fn read(text: &[u8], now: UnixMillis) -> Result<Newcomer, PartnerError> {
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

    pub(super) fn is_not(&self, ourselves: &Ourselves) -> Result<(), ImportError> {
        if *self.document.did() == ourselves.did {
            return Err(ImportError::Ourselves);
        }
        match self.document.domains().iter().find(|domain| ourselves.domains.contains(domain)) {
            Some(domain) => Err(ImportError::OurDomain(domain.clone())),
            None => Ok(()),
        }
    }

    /// Inside the transaction: all questions first, then all writes.
    pub(super) fn settle_in(
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
    pub(super) fn note_footing(
        &self,
        database: &Connection,
        trust: u8,
        is_new: bool,
    ) -> rusqlite::Result<()> {
        let before = table::footing(database, self.did().as_str())?;
        let trust = if is_new { trust } else { trust.max(before.trust) };
        table::put_footing(database, self.did().as_str(), &Footing { trust, notice: None, ..before })
    }

    /// Domains it claims that are pinned to others.
    pub(super) fn clashes(&self, database: &Connection) -> rusqlite::Result<Vec<Clash>> {
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
    pub(super) fn stand_for(&self, database: &Connection, clashes: &[Clash]) -> rusqlite::Result<()> {
        for clash in clashes {
            if let Some(row) = table::of_domain(database, &clash.domain)? {
                table::put(database, &Row { candidate: Some(self.text.clone()), ..row })?;
            }
        }
        Ok(())
    }

    /// Pins every domain it claims that is free or its own already. A candidate against it stays one.
    pub(super) fn pin(&self, database: &Connection, now: UnixMillis) -> rusqlite::Result<()> {
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
