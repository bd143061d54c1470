//! The log and the manifest of each person: made when first asked for, changed here, served as bundles.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dccp::did::{Commitment, Device, Devices, DidDocument, HeldBy, Log, Manifest, Quorum, Rotation};
use dccp::keys::{DeviceVerifier, SigningKey, VerifyingKey};
use dccp::limits::DEVICES_MAX;
use dccp::partner::PartnerFile;
use dccp::xwing::EncapsulationKey;
use dccp::{Did, Suite, UnixMillis};
use rusqlite::Connection;
use serde::Deserialize;

use super::keys::PersonId;
use super::newcomers::genesis;
use super::registrar::{PeopleError, Registrar};
use super::table::{self, Records, Row};
use crate::custody::DEVICE_LIFETIME_MS;

/// The public keys of a device that a person holds, as a file that the device writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceFile {
    /// A short name, unique among the person's devices.
    pub id: String,
    /// Ed25519 ‖ ML-DSA-65, in base64.
    signing: String,
    /// X-Wing, in base64.
    kem: String,
}

/// Why a file is not one of a device.
#[derive(Debug, thiserror::Error)]
#[error("not a device file ({{\"id\": …, \"signing\": base64, \"kem\": base64}}): {0}")]
pub struct DeviceFileError(String);

impl DeviceFile {
    /// Reads the JSON.
    ///
    /// # Errors
    /// [`DeviceFileError`].
    pub fn from_json(text: &str) -> Result<DeviceFile, DeviceFileError> {
        let file: DeviceFile =
            serde_json::from_str(text).map_err(|error| DeviceFileError(error.to_string()))?;
        file.keys().map(|_| file)
    }

    fn keys(&self) -> Result<(VerifyingKey, EncapsulationKey), DeviceFileError> {
        let bytes = |field: &str, text: &str| {
            BASE64.decode(text).map_err(|error| DeviceFileError(format!("{field}: {error}")))
        };
        let bad = |field: &'static str| {
            move |error: dccp::keys::BadKey| DeviceFileError(format!("{field}: {error}"))
        };
        let signing = VerifyingKey::from_bytes(&bytes("signing", &self.signing)?).map_err(bad("signing"))?;
        let kem = EncapsulationKey::from_bytes(&bytes("kem", &self.kem)?).map_err(bad("kem"))?;
        Ok((signing, kem))
    }

    fn device(&self, now: UnixMillis) -> Result<Device, PeopleError> {
        let (signing, kem) = self.keys().map_err(|error| PeopleError::Device(error.to_string()))?;
        Ok(Device {
            id: self.id.clone(),
            signing: DeviceVerifier::new(signing, None),
            kem,
            held_by: HeldBy::Device,
            not_before: now,
            expires: now.saturating_add_ms(DEVICE_LIFETIME_MS),
            revoked: None,
        })
    }
}

/// A person's log and manifest, before they are kept.
pub(super) struct RecordsOf {
    id: PersonId,
    /// What the database has.
    before: Option<Records>,
    log: Log,
    document: DidDocument,
    manifest: Manifest,
    devices: Devices,
}

/// What signs a manifest, and for which suites.
struct Hand {
    operator: SigningKey,
    suites: Vec<Suite>,
}

impl Registrar {
    /// What `/dccp/did/1` and the HTTPS mirror serve for a person whom we know, published or not: who asks has the DID
    /// already. `None` when the DID is nobody's here.
    ///
    /// # Errors
    /// [`PeopleError::Records`], or the database's.
    pub async fn bundle(&self, did: &Did, now: UnixMillis) -> Result<Option<Vec<u8>>, PeopleError> {
        let text = did.to_string();
        let Some(row) = self.spool.read(move |database| table::of_did(database, &text)).await? else {
            return Ok(None);
        };
        let records = self.records_of(&row, now).await?;
        let (log, manifest) = (records.log.clone(), records.manifest.clone());
        if records.differ() {
            // Another process may have kept its own at the same time: both are right, and the next one to ask sees one.
            self.spool.write(move |database| records.keep(database, now)).await?;
        }
        Ok(Some(PartnerFile { log, manifest, nodes: Vec::new(), prekeys: Vec::new() }.to_bytes()))
    }

    /// The devices of a person.
    ///
    /// # Errors
    /// [`PeopleError::Unknown`], or the database's.
    pub async fn devices(&self, address: &str, now: UnixMillis) -> Result<Devices, PeopleError> {
        let row = self.latest(address).await?;
        Ok(self.records_of(&row, now).await?.devices)
    }

    /// Adds a device that the person holds: a new epoch of the manifest. Gives the epoch.
    ///
    /// # Errors
    /// [`PeopleError::Device`] when there is one of that name or there are too many; [`PeopleError::Unknown`]; the
    /// database's.
    pub async fn add_device(
        &self,
        address: &str,
        file: &DeviceFile,
        now: UnixMillis,
    ) -> Result<u64, PeopleError> {
        let device = file.device(now)?;
        self.change_devices(address, now, move |devices| {
            if devices.len() >= DEVICES_MAX {
                devices.retain(|device| device.revoked.is_none());
            }
            devices.push(device);
            Ok(())
        })
        .await
    }

    /// Revokes a device, which was lost or stolen: a new epoch of the manifest, by which nothing it signs counts. Gives
    /// the epoch.
    ///
    /// # Errors
    /// [`PeopleError::Device`] when there is none of that name, or it is this gateway; [`PeopleError::Unknown`]; the
    /// database's.
    pub async fn revoke_device(&self, address: &str, id: &str, now: UnixMillis) -> Result<u64, PeopleError> {
        let gateway = self.authority.device().id.clone();
        self.change_devices(address, now, move |devices| {
            if id == gateway {
                let why =
                    format!("{id} is this gateway, which operates the DID; it stays until the person leaves");
                return Err(PeopleError::Device(why));
            }
            let lost = devices.iter_mut().find(|device| device.id == id && device.revoked.is_none());
            let none = || PeopleError::Device(format!("there is no device {id} that counts"));
            lost.ok_or_else(none)?.revoked = Some(now);
            Ok(())
        })
        .await
    }

    async fn change_devices(
        &self,
        address: &str,
        now: UnixMillis,
        change: impl FnOnce(&mut Vec<Device>) -> Result<(), PeopleError>,
    ) -> Result<u64, PeopleError> {
        let row = self.latest(address).await?;
        if row.standing == super::Standing::Deactivated {
            return Err(PeopleError::WrongEnd("the DID of this person has ended"));
        }
        let mut records = self.records_of(&row, now).await?;
        let mut devices: Vec<Device> = records.devices.iter().cloned().collect();
        change(&mut devices)?;
        let epoch = records.devices.epoch() + 1;
        records.set_devices(epoch, &devices, &self.hand(&row), now)?;
        match self.spool.write(move |database| records.keep(database, now)).await? {
            true => Ok(epoch),
            false => Err(PeopleError::Changed(address.to_owned())),
        }
    }

    /// The records of a person, made from the row the first time, with this gateway as it is now among the devices.
    pub(super) async fn records_of(&self, row: &Row, now: UnixMillis) -> Result<RecordsOf, PeopleError> {
        let id = row.id;
        let before = self.spool.read(move |database| table::records(database, &id)).await?;
        let wrong = |why: &dyn std::fmt::Display| PeopleError::Records(row.did.clone(), why.to_string());
        let Some(before) = before else {
            return self.first_records(row, now);
        };
        let log = Log::from_bytes(&before.log).map_err(|error| wrong(&error))?;
        let document = log.verify().map_err(|error| wrong(&error))?;
        let manifest = Manifest::from_bytes(&before.manifest).map_err(|error| wrong(&error))?;
        let devices = match document.is_deactivated() {
            true => Devices::default(),
            false => manifest.verify(&document, now).map_err(|error| wrong(&error))?,
        };
        let mut records = RecordsOf { id, before: Some(before), log, document, manifest, devices };
        let gateway = self.authority.device();
        let is_there = records.devices.iter().any(|device| device == gateway);
        if !is_there && !records.document.is_deactivated() {
            let others = records.devices.iter().filter(|device| device.id != gateway.id);
            let devices: Vec<Device> = [gateway].into_iter().chain(others).cloned().collect();
            let epoch = records.devices.epoch() + 1;
            records.set_devices(epoch, &devices, &self.hand(row), now)?;
        }
        Ok(records)
    }

    fn hand(&self, row: &Row) -> Hand {
        Hand { operator: self.secret.operator(&row.id), suites: self.authority.suites() }
    }

    fn first_records(&self, row: &Row, now: UnixMillis) -> Result<RecordsOf, PeopleError> {
        let wrong = |why: &dyn std::fmt::Display| PeopleError::Records(row.did.clone(), why.to_string());
        let address = self.clear(row)?.address;
        let log =
            genesis(self.authority.as_ref(), &self.secret, row, &address).map_err(|error| wrong(&error))?;
        if log.did() != row.did {
            return Err(wrong(&"the secret of the people is another than when this person was added"));
        }
        let document = log.verify().map_err(|error| wrong(&error))?;
        let epoch = document.manifest_epoch_min();
        let devices = [self.authority.device().clone()];
        let (manifest, devices) = sign(&document, epoch, &devices, &self.hand(row), now)?;
        Ok(RecordsOf { id: row.id, before: None, log, document, manifest, devices })
    }
}

impl RecordsOf {
    /// The DID has ended.
    pub(super) fn deactivated(self, recovery: &SigningKey) -> Result<RecordsOf, PeopleError> {
        let log = self.log.deactivate(&[recovery]).map_err(|error| self.wrong(&error))?;
        self.continued(log)
    }

    /// The organisation's recovery key is revealed and with that spent; only the person's counts from now on.
    pub(super) fn released(
        self,
        theirs: Commitment,
        ours: &SigningKey,
        operator: &SigningKey,
    ) -> Result<RecordsOf, PeopleError> {
        let rotation = Rotation {
            recovery_next: Quorum::one(theirs),
            operators: Quorum::one(operator.verifying_key().clone()),
            org: self.document.org().cloned(),
            change: self.document.change().clone(),
        };
        let log = self.log.rotate(&rotation, &[ours], &[operator]).map_err(|error| self.wrong(&error))?;
        self.continued(log)
    }

    /// Keeps what is new. Inside a transaction; false when somebody else changed the records meanwhile.
    pub(super) fn keep(&self, database: &Connection, now: UnixMillis) -> rusqlite::Result<bool> {
        table::put_records(database, &self.id, self.before.as_ref(), &self.bytes(), now)
    }

    fn differ(&self) -> bool {
        let after = self.bytes();
        self.before.as_ref().is_none_or(|before| before.log != after.log || before.manifest != after.manifest)
    }

    fn bytes(&self) -> Records {
        Records { log: self.log.to_bytes(), manifest: self.manifest.to_bytes() }
    }

    fn continued(mut self, log: Log) -> Result<RecordsOf, PeopleError> {
        self.document = log.verify().map_err(|error| self.wrong(&error))?;
        self.log = log;
        Ok(self)
    }

    fn set_devices(
        &mut self,
        epoch: u64,
        devices: &[Device],
        hand: &Hand,
        now: UnixMillis,
    ) -> Result<(), PeopleError> {
        (self.manifest, self.devices) = sign(&self.document, epoch, devices, hand, now)?;
        Ok(())
    }

    fn wrong(&self, why: &dyn std::fmt::Display) -> PeopleError {
        PeopleError::Records(self.log.did(), why.to_string())
    }
}

fn sign(
    document: &DidDocument,
    epoch: u64,
    devices: &[Device],
    hand: &Hand,
    now: UnixMillis,
) -> Result<(Manifest, Devices), PeopleError> {
    let manifest = Manifest::sign(document.did(), epoch, devices, &hand.suites, &[&hand.operator])?;
    let devices = manifest.verify(document, now)?;
    Ok((manifest, devices))
}
