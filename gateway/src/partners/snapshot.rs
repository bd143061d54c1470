//! The partners as flows see them: immutable, verified, looked up by domain or DID.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{Context, SHA256};
use dccp::did::{Device, Devices, DidDocument};
use dccp::kem::EncapsulationKey;
use dccp::keys::{DeviceVerifier, KeyId};
use dccp::limits::PREKEYS_MAX;
use dccp::message::FsClass;
use dccp::node::NodeRecord;
use dccp::partner::PartnerFile;
use dccp::prekey::Prekey;
use dccp::seal::RecipientKey;
use dccp::{Did, RecordError, Suite, UnixMillis};
use finding::Trust;
use policies::{Destination, PartnerStanding};

use super::minimum;
use super::table::{self, Footing, PrekeyRow, Row};
use crate::spool::{Spool, SpoolError};

/// All partners at one moment.
#[derive(Default)]
pub struct Partners {
    /// In order of their main domain.
    list: Vec<Partner>,
    by_domain: HashMap<String, usize>,
    by_did: HashMap<Did, usize>,
    generation: u64,
}

/// One organisation.
pub struct Partner {
    document: DidDocument,
    devices: Devices,
    nodes: Vec<NodeRecord>,
    prekeys: Vec<Prekey>,
    /// Pinned to this DID; the main one first.
    domains: Vec<String>,
    candidates: Vec<Candidate>,
    footing: Footing,
    frozen: bool,
    suite_minimum: Option<Suite>,
    added_at: UnixMillis,
    loaded_at: UnixMillis,
}

/// Another organisation that claims a domain of this partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The claimed domain.
    pub domain: String,
    /// Who claims it.
    pub did: Did,
}

/// Why presented prekeys were not taken.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The database does not answer.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// They come from nobody we know.
    #[error("not a partner")]
    NotAPartner,
    /// Theirs: a record is not acceptable.
    #[error("prekey: {0}")]
    Record(#[from] RecordError),
}

impl Partners {
    /// Reads and verifies what the database has. Prekeys of the past are left out.
    ///
    /// # Errors
    /// The spool's; [`SpoolError::Corrupt`] when a row does not verify: nothing is then known, rather than less.
    pub async fn load(spool: &Spool, now: UnixMillis) -> Result<Partners, SpoolError> {
        let look = |database: &rusqlite::Connection| {
            let (footings, frozen) = (table::footings(database)?, table::frozen(database)?);
            Ok((table::all(database)?, table::prekeys(database)?, footings, frozen, minimum::all(database)?))
        };
        let (rows, prekeys, footings, frozen, minimums) = spool.read(look).await?;
        let generation = generation(&rows, &footings, &frozen);
        let footings: HashMap<String, Footing> = footings.into_iter().collect();
        let mut by_organisation: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in rows {
            by_organisation.entry(row.did.clone()).or_default().push(row);
        }
        let partners = by_organisation.into_iter().map(|(did, rows)| {
            let footing = footings.get(&did).cloned().unwrap_or_default();
            let partner = Partner::of_rows(rows, footing, &prekeys, now)?;
            let suite_minimum = minimums.get(&did).copied();
            Ok::<_, SpoolError>(Partner { frozen: frozen.contains(&did), suite_minimum, ..partner })
        });
        let mut list = partners.collect::<Result<Vec<_>, _>>()?;
        list.sort_by(|a, b| a.domain().cmp(b.domain()));
        Ok(Partners::index(list, generation))
    }

    fn index(list: Vec<Partner>, generation: u64) -> Partners {
        let by_did = list.iter().enumerate().map(|(at, partner)| (partner.did().clone(), at)).collect();
        let domains =
            list.iter().enumerate().flat_map(|(at, p)| p.domains.iter().map(move |d| (d.clone(), at)));
        Partners { by_domain: domains.collect(), by_did, generation, list }
    }

    /// The partner to which `domain` is pinned; letter case does not matter.
    pub fn by_domain(&self, domain: &str) -> Option<&Partner> {
        self.by_domain.get(&domain.to_ascii_lowercase()).and_then(|at| self.list.get(*at))
    }

    /// The partner with this DID.
    pub fn by_did(&self, did: &Did) -> Option<&Partner> {
        self.by_did.get(did).and_then(|at| self.list.get(*at))
    }

    /// Every partner once, in order of its main domain.
    pub fn iter(&self) -> impl Iterator<Item = &Partner> {
        self.list.iter()
    }

    /// A short hash of all pins, files and candidates. Prekeys come and go without changing it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Verifies prekeys that `did` presented and stores the new ones. Says whether there were any: then load again.
    ///
    /// # Errors
    /// [`LearnError`]; nothing is stored when a record is not acceptable.
    pub async fn learn_prekeys(
        &self,
        did: &Did,
        records: &[Vec<u8>],
        now: UnixMillis,
        spool: &Spool,
    ) -> Result<bool, LearnError> {
        let partner = self.by_did(did).ok_or(LearnError::NotAPartner)?;
        let rows = prekey_rows(&partner.document, records.iter().take(PREKEYS_MAX), now)?;
        Ok(spool.write(move |database| table::add_prekeys(database, &rows, now)).await? > 0)
    }
}

impl Partner {
    /// Who it is.
    pub fn did(&self) -> &Did {
        self.document.did()
    }

    /// Its main domain: the first one that its DID log names and that is pinned to it.
    pub fn domain(&self) -> &str {
        self.domains.first().map_or("", String::as_str)
    }

    /// Every domain that is pinned to it, the main one first.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Whether `domain` is pinned to it; letter case does not matter.
    pub fn owns(&self, domain: &str) -> bool {
        self.domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
    }

    /// What its DID log resolves to.
    pub fn document(&self) -> &DidDocument {
        &self.document
    }

    /// Its devices.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Its nodes that count.
    pub fn nodes(&self) -> &[NodeRecord] {
        &self.nodes
    }

    /// When it was first imported.
    pub fn added_at(&self) -> UnixMillis {
        self.added_at
    }

    /// Others who claim one of its domains.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Whether another DID claims one of its domains: mail to it waits for an administrator.
    pub fn is_in_conflict(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Whether none of its devices counts any more: only a new partner file helps.
    pub fn has_lapsed(&self) -> bool {
        self.devices.valid_at(self.loaded_at).next().is_none()
    }

    /// Whether its operator signed two histories of its identity: nothing of it is believed until its recovery key
    /// has settled which one counts.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whether it has ended its identity for ever.
    pub fn is_deactivated(&self) -> bool {
        self.document.is_deactivated()
    }

    /// How we came to believe that its domains are its own.
    pub fn trust(&self) -> Trust {
        match self.footing.trust {
            0 | 1 => Trust::FirstUse,
            2 => Trust::Secured,
            _ => Trust::Manual,
        }
    }

    /// What the last look at its domain found, when it was not the same as ever.
    pub fn notice(&self) -> Option<&str> {
        self.footing.notice.as_deref()
    }

    /// When its domain was last looked at.
    pub fn checked_at(&self) -> Option<UnixMillis> {
        self.footing.checked_at
    }

    /// Whether mail to and from it waits for a person, or for its recovery key.
    pub fn is_in_doubt(&self) -> bool {
        self.is_in_conflict() || self.has_lapsed() || self.is_frozen() || self.is_deactivated()
    }

    /// What the judge is told. A partner in doubt, for whatever reason, is held, not refused.
    pub fn destination(&self) -> Destination<'_> {
        let standing = if self.is_in_doubt() { PartnerStanding::Conflict } else { PartnerStanding::Pinned };
        Destination::Partner { did: self.did(), standing }
    }

    /// The key of its device that signs with this id.
    pub fn signing_key(&self, key_id: &KeyId) -> Option<&DeviceVerifier> {
        self.devices.signer(*key_id, self.loaded_at)
    }

    /// The weakest suite for it, when an administrator has set one.
    pub fn suite_minimum(&self) -> Option<Suite> {
        self.suite_minimum
    }

    /// The key to seal to at `now`, as far as one-time keys do not help: today's prekey, else the key of its device.
    /// `None` when it has published none of the mechanism that the suite chooses.
    pub fn recipient_key(&self, suite: Suite, now: UnixMillis) -> Option<RecipientKey> {
        let (did, mechanism) = (self.did().clone(), suite.choices().kem);
        let is_usable = |prekey: &&Prekey| prekey.is_current_at(now) && prekey.kem.algorithm() == mechanism;
        // Learned last wins: a partner that made a new key for today cannot open with the old one.
        if let Some(Prekey { key_id, kem, .. }) = self.prekeys.iter().rev().find(is_usable) {
            let kem = kem.clone();
            return Some(RecipientKey { did, suite, key_id: *key_id, kem, fs_class: FsClass::Epoch });
        }
        let kem = EncapsulationKey::from(self.device(now).kem.clone());
        let fs_class = FsClass::Static;
        (kem.algorithm() == mechanism).then(|| RecipientKey {
            did,
            suite,
            key_id: kem.key_id(),
            kem,
            fs_class,
        })
    }

    /// What the overlay dials and recognises.
    pub fn for_overlay(&self) -> overlay::Partner {
        overlay::Partner {
            did: self.did().clone(),
            document: self.document.clone(),
            nodes: self.nodes.clone(),
        }
    }

    /// A device that counts; a lapsed partner's last one, which is asked for only while its mail is held.
    fn device(&self, now: UnixMillis) -> &Device {
        let device = self.devices.valid_at(now).next().or_else(|| self.devices.iter().last());
        #[expect(clippy::expect_used, reason = "a manifest without devices does not verify")]
        device.expect("a verified manifest has a device")
    }

    fn of_rows(
        rows: Vec<Row>,
        footing: Footing,
        prekeys: &[(String, Vec<u8>)],
        now: UnixMillis,
    ) -> Result<Partner, SpoolError> {
        let unreadable = |row: &Row, why: &dyn std::fmt::Display| {
            SpoolError::Corrupt(format!("the stored partner file of {} does not verify: {why}", row.domain))
        };
        let newest = rows.iter().max_by_key(|row| row.changed_at);
        let newest = newest.ok_or_else(|| SpoolError::Corrupt("a partner without a domain".into()))?;
        let file = parse(&newest.file).map_err(|why| unreadable(newest, &why))?;
        // As of its import: what has lapsed since then must not make the whole partner unknown.
        let verified = file.verify(newest.changed_at).map_err(|why| unreadable(newest, &why))?;
        if verified.document.did().as_str() != newest.did {
            return Err(unreadable(newest, &"it is of another DID"));
        }
        let mut candidates = Vec::new();
        for row in &rows {
            if let Some(text) = &row.candidate {
                let did = parse(text).map_err(|why| unreadable(row, &why))?.log.did();
                candidates.push(Candidate { domain: row.domain.clone(), did });
            }
        }
        let order = verified.document.domains();
        let mut domains: Vec<String> = rows.iter().map(|row| row.domain.clone()).collect();
        domains.sort_by_key(|domain| order.iter().position(|named| named == domain).unwrap_or(usize::MAX));
        let own = prekeys.iter().filter(|(did, _)| *did == newest.did);
        let prekeys =
            own.filter_map(|(_, record)| Prekey::verify(record, &verified.document, now).ok()).collect();
        let nodes = verified.nodes.into_iter().filter(|node| now < node.expires).collect();
        Ok(Partner {
            document: verified.document,
            devices: verified.devices,
            nodes,
            prekeys,
            domains,
            candidates,
            footing,
            frozen: false,
            suite_minimum: None,
            added_at: rows.iter().map(|row| row.added_at).min().unwrap_or(now),
            loaded_at: now,
        })
    }
}

pub(super) fn parse(file: &[u8]) -> Result<PartnerFile, dccp::partner::PartnerError> {
    PartnerFile::from_text(&String::from_utf8_lossy(file))
}

/// Verifies prekey records; those of past days are left out.
pub(super) fn prekey_rows<'a>(
    document: &DidDocument,
    records: impl Iterator<Item = &'a Vec<u8>>,
    now: UnixMillis,
) -> Result<Vec<PrekeyRow>, RecordError> {
    let verified = records.map(|record| Ok((Prekey::verify(record, document, now)?, record)));
    let current = verified.filter(|prekey| !matches!(prekey, Err(RecordError::Expired)));
    let row = |(prekey, record): (Prekey, &Vec<u8>)| PrekeyRow {
        did: document.did().to_string(),
        key_id: *prekey.key_id.as_bytes(),
        epoch: prekey.epoch,
        record: record.clone(),
        expires: prekey.expires,
    };
    current.map(|prekey| prekey.map(row)).collect()
}

fn generation(rows: &[Row], footings: &[(String, Footing)], frozen: &[String]) -> u64 {
    let mut hash = Context::new(&SHA256);
    let mut note = |part: &[u8]| {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    for row in rows {
        note(row.domain.as_bytes());
        note(row.did.as_bytes());
        note(&row.file);
        note(row.candidate.as_deref().unwrap_or_default());
    }
    for (did, footing) in footings {
        note(did.as_bytes());
        note(&[footing.trust]);
        note(footing.notice.as_deref().unwrap_or_default().as_bytes());
    }
    frozen.iter().for_each(|did| note(did.as_bytes()));
    hash.finish().as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
