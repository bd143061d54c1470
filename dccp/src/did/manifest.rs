//! The device manifest: which devices of an organisation sign and open messages, and who holds their keys.

use super::DidDocument;
use super::authority::{key_from_bytes, key_to_value};
use crate::cbor::{self, CborError, Fields, Value};
use crate::keys::{ALGORITHM_FN_DSA_512, BadKey, DeviceVerifier, Domain, KeyId, SigningKey, falcon};
use crate::limits::{DEVICE_ID_BYTES_MAX, DEVICES_MAX, MANIFEST_BYTES_MAX};
use crate::record::{RECORD_VERSION, RecordError, SignedBody, check_time, expect_did, expect_version};
use crate::xwing::EncapsulationKey;
use crate::{Did, Suite, UnixMillis, UnsupportedSuite};

/// One device of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// A short name: 1 to 64 of `a-z 0-9 - _ .`.
    pub id: String,
    /// Signs messages.
    pub signing: DeviceVerifier,
    /// Opens messages when there is no prekey ([`FsClass::Static`](crate::message::FsClass::Static)).
    pub kem: EncapsulationKey,
    /// Who can use the private keys: shown to correspondents.
    pub held_by: HeldBy,
    /// From when it counts.
    pub not_before: UnixMillis,
    /// Until when it counts, exclusive.
    pub expires: UnixMillis,
    /// From when on nothing counts that it signed, whenever it says it did: it was lost or stolen.
    pub revoked: Option<UnixMillis>,
}

impl Device {
    /// Does this device count at `now`?
    pub fn is_valid_at(&self, now: UnixMillis) -> bool {
        self.check_at(now).is_ok()
    }

    /// A revocation is not softened by the skew of clocks.
    fn check_at(&self, now: UnixMillis) -> Result<(), RecordError> {
        if self.revoked.is_some_and(|revoked| revoked <= now) {
            return Err(RecordError::Expired);
        }
        check_time(self.not_before, self.expires, now)
    }
}

/// Who holds the private keys of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The person's own device.
    Device,
    /// A gateway of the organisation, in software.
    Gateway,
    /// A hardware security module.
    Hsm,
}

impl HeldBy {
    /// The word in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Gateway => "gateway",
            Self::Hsm => "hsm",
        }
    }

    fn from_text(text: &str) -> Result<Self, CborError> {
        [Self::Device, Self::Gateway, Self::Hsm]
            .into_iter()
            .find(|held_by| held_by.as_str() == text)
            .ok_or(CborError::Wrong("by"))
    }
}

/// A device manifest that is well formed but not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    signed: SignedBody,
}

impl Manifest {
    /// Signs a manifest with as many operators as the DID asks for. Epochs count up; the first is 1. `suites` are
    /// those that every device opens.
    ///
    /// # Errors
    /// [`RecordError::OutOfBounds`] when there are none or too many devices, an id is malformed or repeated, a device
    /// ends before it begins, a suite is named twice or none is.
    pub fn sign(
        did: &Did,
        epoch: u64,
        devices: &[Device],
        suites: &[Suite],
        operators: &[&SigningKey],
    ) -> Result<Self, RecordError> {
        check_devices(devices)?;
        let mut ids: Vec<u32> = suites.iter().map(|suite| suite.id()).collect();
        ids.sort_unstable();
        if ids.is_empty() || !ids.is_sorted_by(|one, next| one < next) {
            return Err(RecordError::OutOfBounds("su"));
        }
        let body = cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("did", Value::Text(did.to_string())),
            ("epoch", Value::Unsigned(epoch)),
            ("su", Value::Array(ids.into_iter().map(|id| Value::Unsigned(id.into())).collect())),
            ("dev", Value::Array(devices.iter().map(device_to_value).collect())),
        ]);
        Ok(Self { signed: SignedBody::sign_by(Domain::Manifest, &body, operators) })
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.signed.to_bytes()
    }

    /// Reads a manifest: size and outer shape.
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        Ok(Self { signed: SignedBody::from_bytes(bytes, MANIFEST_BYTES_MAX)? })
    }

    /// Verifies the signatures of the operators' threshold, the DID and the contents. The caller compares the epoch with the last one
    /// it saw: it never goes back.
    ///
    /// # Errors
    /// [`RecordError::Expired`] or [`RecordError::NotYetValid`] when no device counts at `now`; otherwise what is
    /// wrong with the bytes, the signature or the DID.
    pub fn verify(&self, document: &DidDocument, now: UnixMillis) -> Result<Devices, RecordError> {
        self.signed.verify_quorum(Domain::Manifest, document.operators())?;
        let mut fields = self.signed.fields()?;
        expect_version(&mut fields)?;
        expect_did(&mut fields, document.did())?;
        let suites = known_suites(&fields.unsigned_array("su", SUITES_MAX)?)?;
        let epoch = fields.unsigned("epoch")?;
        let devices = fields.array("dev", DEVICES_MAX)?;
        fields.finish()?;
        if epoch < document.manifest_epoch_min() {
            return Err(RecordError::OutOfBounds("epoch"));
        }

        let devices = devices.into_iter().map(device_from_value).collect::<Result<Vec<_>, _>>()?;
        check_devices(&devices)?;
        let checks = devices.iter().map(|device| device.check_at(now));
        checks.reduce(|one, other| one.or(other)).unwrap_or(Err(RecordError::OutOfBounds("dev")))?;
        Ok(Devices { epoch, suites, devices })
    }
}

/// The devices of a verified manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    epoch: u64,
    suites: Vec<Suite>,
    devices: Vec<Device>,
}

impl Devices {
    /// The epoch of the manifest.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The suites that all devices open, as far as this version speaks them: what [`Suite::choose`] is offered.
    pub fn suites(&self) -> &[Suite] {
        &self.suites
    }

    /// All devices, in the order of the manifest, whether or not they count now.
    pub fn iter(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter()
    }

    /// The devices that count at `now`, in the order of the manifest.
    pub fn valid_at(&self, now: UnixMillis) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(move |device| device.is_valid_at(now))
    }

    /// The signing keys with this id, if their device counts at `now`.
    pub fn signer(&self, key_id: KeyId, now: UnixMillis) -> Option<&DeviceVerifier> {
        self.valid_at(now).map(|device| &device.signing).find(|key| key.key_id() == key_id)
    }
}

/// Room for suites that later versions list.
const SUITES_MAX: usize = 16;

/// Suites are listed once each and in order. Those of later versions are left out; one of them must be ours.
fn known_suites(ids: &[u64]) -> Result<Vec<Suite>, RecordError> {
    if !ids.is_sorted_by(|one, next| one < next) {
        return Err(RecordError::OutOfBounds("su"));
    }
    let known = |id: &u64| u32::try_from(*id).ok().and_then(|id| Suite::try_from(id).ok());
    let suites: Vec<Suite> = ids.iter().filter_map(known).collect();
    if suites.is_empty() {
        let offered = ids.first().copied().unwrap_or_default();
        return Err(UnsupportedSuite(u32::try_from(offered).unwrap_or(u32::MAX)).into());
    }
    Ok(suites)
}

fn check_devices(devices: &[Device]) -> Result<(), RecordError> {
    let is_id = |id: &str| {
        (1..=DEVICE_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
    };
    let ids: std::collections::BTreeSet<_> = devices.iter().map(|device| &device.id).collect();
    if !(1..=DEVICES_MAX).contains(&devices.len()) {
        return Err(RecordError::OutOfBounds("dev"));
    }
    if ids.len() != devices.len() || !ids.iter().all(|id| is_id(id)) {
        return Err(RecordError::OutOfBounds("id"));
    }
    if devices.iter().any(|device| device.expires <= device.not_before) {
        return Err(RecordError::OutOfBounds("exp"));
    }
    if devices.iter().any(|device| device.revoked.is_some_and(|revoked| revoked < device.not_before)) {
        return Err(RecordError::OutOfBounds("rev"));
    }
    Ok(())
}

fn device_to_value(device: &Device) -> Value {
    let mut fields = vec![
        ("id", Value::Text(device.id.clone())),
        ("sig", key_to_value(device.signing.hybrid())),
        ("kem", Value::Bytes(device.kem.to_bytes())),
        ("by", Value::Text(device.held_by.as_str().into())),
        ("nb", Value::Unsigned(device.not_before.as_u64())),
        ("exp", Value::Unsigned(device.expires.as_u64())),
    ];
    if let Some(key) = device.signing.falcon() {
        let algorithm = ALGORITHM_FN_DSA_512.to_be_bytes();
        fields.push(("fn", Value::Bytes([algorithm.as_slice(), key.as_bytes()].concat())));
    }
    if let Some(revoked) = device.revoked {
        fields.push(("rev", Value::Unsigned(revoked.as_u64())));
    }
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn device_from_value(value: Value) -> Result<Device, RecordError> {
    let mut fields = Fields::of(value, "dev")?;
    let hybrid = key_from_bytes(&fields.bytes("sig")?)?;
    let falcon = if_present(fields.bytes("fn"))?.map(|bytes| falcon_from_bytes(&bytes)).transpose()?;
    let device = Device {
        id: fields.text("id")?,
        signing: DeviceVerifier::new(hybrid, falcon),
        kem: EncapsulationKey::from_bytes(&fields.bytes("kem")?)?,
        held_by: HeldBy::from_text(&fields.text("by")?)?,
        not_before: UnixMillis(fields.unsigned("nb")?),
        expires: UnixMillis(fields.unsigned("exp")?),
        revoked: if_present(fields.unsigned("rev"))?.map(UnixMillis),
    };
    fields.finish()?;
    Ok(device)
}

fn if_present<T>(field: Result<T, CborError>) -> Result<Option<T>, CborError> {
    match field {
        Err(CborError::Missing(_)) => Ok(None),
        present => present.map(Some),
    }
}

fn falcon_from_bytes(bytes: &[u8]) -> Result<falcon::VerifyingKey, BadKey> {
    let (algorithm, key) = bytes.split_first_chunk().ok_or(BadKey)?;
    if u16::from_be_bytes(*algorithm) != ALGORITHM_FN_DSA_512 {
        return Err(BadKey);
    }
    falcon::VerifyingKey::from_bytes(key)
}
