//! The organisation as partners know it: its DID log and its device manifest, founded once and kept in `data_dir`.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use dccp::did::{Commitment, Device, Devices, DidDocument, Founding, HeldBy, Log, Manifest, found};
use dccp::keys::{DeviceVerifier, SigningKey, VerifyingKey, falcon};
use dccp::limits::{DID_LOG_BYTES_MAX, MANIFEST_BYTES_MAX};
use dccp::xwing::{DecapsulationKey, EncapsulationKey};
use dccp::{Suite, UnixMillis};
use keystore::durable::{self, write_new};

use super::CustodyError;

/// The name of the gateway's device in the manifest.
const DEVICE_ID: &str = "gateway-1";

/// How long a device counts after it was founded or renewed: five years, like the machine it runs on.
pub const DEVICE_LIFETIME_MS: u64 = 5 * 365 * 24 * 3_600_000;

/// A partner whose clock is behind must not find our records in its future.
const BACKDATED_MS: u64 = 3_600_000;

/// Log and manifest, verified against each other.
pub struct Identity {
    /// The DID log.
    pub log: Log,
    /// What it resolves to.
    pub document: DidDocument,
    /// The device manifest.
    pub manifest: Manifest,
    /// Its devices.
    pub devices: Devices,
}

/// The files of an identity.
pub struct IdentityPaths {
    /// The DID log (dCBOR).
    pub log: PathBuf,
    /// The manifest (dCBOR).
    pub manifest: PathBuf,
}

impl Identity {
    /// Founds an organisation: its genesis and its first manifest with one device, this gateway, which accepts
    /// `suites`.
    ///
    /// # Errors
    /// [`CustodyError::Identity`] when the domains are not ones a DID can name.
    pub fn found(
        domains: Vec<String>,
        recovery: Commitment,
        operator: &SigningKey,
        device: (&SigningKey, &EncapsulationKey),
        suites: &[Suite],
        now: UnixMillis,
    ) -> Result<(Log, Manifest), CustodyError> {
        let not_before = now.saturating_sub_ms(BACKDATED_MS);
        let founding =
            Founding::organisation(domains, operator.verifying_key().clone(), recovery, not_before);
        let log = found(&founding, &[operator]).map_err(|error| CustodyError::Identity(error.to_string()))?;
        let device = Device {
            id: DEVICE_ID.into(),
            signing: public_keys(device.0, suites),
            kem: device.1.clone(),
            held_by: HeldBy::Gateway,
            not_before,
            expires: now.saturating_add_ms(DEVICE_LIFETIME_MS),
            revoked: None,
        };
        let manifest = Manifest::sign(&log.did(), 1, &[device], suites, &[operator])
            .map_err(|error| CustodyError::Identity(error.to_string()))?;
        Ok((log, manifest))
    }

    /// Writes a founded identity; never over an existing one.
    ///
    /// # Errors
    /// [`CustodyError::Io`].
    pub fn write(paths: &IdentityPaths, log: &Log, manifest: &Manifest) -> Result<(), CustodyError> {
        for (path, bytes) in [(&paths.log, log.to_bytes()), (&paths.manifest, manifest.to_bytes())] {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
            }
            write_new(path, &bytes, 0o644).map_err(|source| io(path, source))?;
        }
        Ok(())
    }

    /// Puts a newer log or manifest in the place of the old one. The manifest goes first: if power is lost in between,
    /// the old log and the new manifest still agree, because both are signed by the same operator key.
    ///
    /// # Errors
    /// [`CustodyError::Io`].
    pub fn replace(paths: &IdentityPaths, log: &Log, manifest: &Manifest) -> Result<(), CustodyError> {
        for (path, bytes) in [(&paths.manifest, manifest.to_bytes()), (&paths.log, log.to_bytes())] {
            durable::replace(path, &bytes, 0o644).map_err(|source| io(path, source))?;
        }
        Ok(())
    }

    /// Reads and verifies both files.
    ///
    /// # Errors
    /// [`CustodyError::Io`], [`CustodyError::Ended`], or [`CustodyError::Identity`] with what is wrong.
    pub fn load(paths: &IdentityPaths, now: UnixMillis) -> Result<Identity, CustodyError> {
        let wrong = |path: &Path, why: String| CustodyError::Identity(format!("{}: {why}", path.display()));
        let of_log = |error: dccp::did::LogError| wrong(&paths.log, error.to_string());
        let of_manifest = |error: dccp::RecordError| wrong(&paths.manifest, error.to_string());
        let log = Log::from_bytes(&read(&paths.log, DID_LOG_BYTES_MAX)?).map_err(of_log)?;
        let document = log.verify().map_err(of_log)?;
        if document.is_deactivated() {
            return Err(CustodyError::Ended(document.did().clone()));
        }
        let manifest =
            Manifest::from_bytes(&read(&paths.manifest, MANIFEST_BYTES_MAX)?).map_err(of_manifest)?;
        let devices = manifest.verify(&document, now).map_err(of_manifest)?;
        Ok(Identity { log, document, manifest, devices })
    }

    /// The same devices in a manifest of the next epoch, under the operator of `document`; ours with a new life, and
    /// with new keys if there are some.
    ///
    /// # Errors
    /// [`CustodyError::Identity`] when the manifest would not be accepted.
    pub fn resigned(
        &self,
        document: &DidDocument,
        operator: &SigningKey,
        device: Option<&(SigningKey, DecapsulationKey)>,
        now: UnixMillis,
    ) -> Result<Manifest, CustodyError> {
        let wrong = |error: dccp::RecordError| CustodyError::Identity(error.to_string());
        let mut devices: Vec<Device> = self.devices.iter().cloned().collect();
        for ours in devices.iter_mut().filter(|device| device.id == DEVICE_ID) {
            ours.not_before = now.saturating_sub_ms(BACKDATED_MS);
            ours.expires = now.saturating_add_ms(DEVICE_LIFETIME_MS);
            if let Some((signing, kem)) = device {
                ours.signing = public_keys(signing, self.devices.suites());
                ours.kem = kem.encapsulation_key().clone();
            }
        }
        let epoch = self.devices.epoch().saturating_add(1).max(document.manifest_epoch_min());
        let signed = Manifest::sign(document.did(), epoch, &devices, self.devices.suites(), &[operator]);
        let manifest = signed.map_err(wrong)?;
        manifest.verify(document, now).map_err(wrong)?;
        Ok(manifest)
    }

    /// The keys must be the ones the identity names: another set of key files is another organisation.
    ///
    /// # Errors
    /// [`CustodyError::Identity`] naming the key.
    pub fn expect_keys(
        &self,
        operator: &VerifyingKey,
        device: (&VerifyingKey, &EncapsulationKey),
    ) -> Result<(), CustodyError> {
        let not_ours = |key: &str| {
            let why =
                format!("{key} is not the key that the organisation's records name; were key files swapped?");
            Err(CustodyError::Identity(why))
        };
        if self.document.operator() != operator {
            return not_ours("keys.operator");
        }
        match self.device(device.0) {
            Some(named) if named.kem == *device.1 => Ok(()),
            _ => not_ours("keys.device"),
        }
    }

    /// The DID log names the domains, so that partners can tell that they are ours: the configuration alone cannot add
    /// one.
    ///
    /// # Errors
    /// [`CustodyError::Identity`] naming the domain.
    pub fn expect_domains(&self, domains: &[String]) -> Result<(), CustodyError> {
        match domains.iter().find(|domain| !self.document.domains().contains(domain)) {
            None => Ok(()),
            Some(domain) => Err(CustodyError::Identity(format!(
                "the configuration names the domain {domain}, but the organisation's DID speaks for {} only; `dccp-gateway did update` writes the configured domains into the log",
                self.document.domains().join(", ")
            ))),
        }
    }

    /// The device that signs with this key.
    pub fn device(&self, signing: &VerifyingKey) -> Option<&Device> {
        self.devices.iter().find(|device| device.signing.hybrid() == signing)
    }
}

/// What a manifest says of our device's signing keys. FN-DSA is experimental: its key is listed where a suite asks for it,
/// and nowhere else.
pub(super) fn public_keys(device: &SigningKey, suites: &[Suite]) -> DeviceVerifier {
    let falcon = suites.contains(&Suite::X0102).then(|| falcon::SigningKey::beside(device));
    DeviceVerifier::new(device.verifying_key().clone(), falcon.map(|key| key.verifying_key().clone()))
}

fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, CustodyError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|source| io(path, source))?;
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|source| io(path, source))?;
    Ok(bytes)
}

fn io(path: &Path, source: std::io::Error) -> CustodyError {
    CustodyError::Io { path: path.to_owned(), source }
}
