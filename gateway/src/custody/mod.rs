//! Custody: the only room that holds private keys. Others ask it to sign, to open, to seal what rests.
//!
//! ```text
//! keys.master ── opens the four key files below (crate keystore)
//! keys/operator.key (L1) ── signs ──► manifest, node records, prekeys
//! keys/device.key        ── signs messages; opens those sealed to the manifest's key (no forward secrecy)
//! epoch prekeys          ── open messages; made daily, destroyed 72 h after their day
//! one-time keys          ── open one message each; made in batches, destroyed with the end of that message
//! keys/day.key           ── seals the storage keys that both rest under; replaced daily, by the gateway itself
//! keys/node.key          ── proves the PeerId on the road
//! keys/storage.key       ── Vault: seals what rests in the database
//! recovery.key (L0)      ── never read here: it belongs offline
//! ```
//!
//! Invariants:
//! - Nothing here has a `Debug` that shows a secret, and every copy of one is wiped when it is dropped.
//! - A key file that others may read is refused, not read.
//! - Keys, DID log and manifest agree, or the gateway does not start.
//!
//! Deliberately absent: a process of its own, and signing inside a PKCS#11 token (no token on the market speaks
//! ML-DSA-65; a token guards the master key instead). `Custody` is built so that its callers need not change.

mod day;
mod epochs;
mod identity;
pub mod prekeys;
mod stock;
mod storage;
pub mod takeover;
mod vault;

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use dccp::did::{Device, Devices, DidDocument, Log, Manifest};
use dccp::kem::DecapsulationKey;
use dccp::keys::{DeviceSigner, DeviceVerifier, SigningKey, falcon};
use dccp::node::NodeRecord;
use dccp::session::OpenCache;
use dccp::suite::KemAlgorithm;
use dccp::{Did, Suite, UnixMillis, xwing};
use keystore::keyfile::{self, KeyFileError, Kind};
use keystore::{MasterError, MasterKey};
use zeroize::Zeroizing;

pub use identity::{DEVICE_LIFETIME_MS, Identity, IdentityPaths};
pub(crate) use vault::key_and_nonce;
pub use vault::{OVERHEAD_BYTES, Vault, VaultError};

use crate::config::{Config, Master};
use crate::spool::{Spool, SpoolError};
use day::DayFile;
use epochs::{Epochs, kems_of};

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The database does not answer.
    #[error("the database: {0}")]
    Spool(#[from] SpoolError),
    /// The master key is missing, or whoever has it does not give it.
    #[error("the master key (keys.master): {0}")]
    Master(#[from] MasterError),
    /// A key file is missing, exposed or not what it should be.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// DID log, manifest, keys and configuration do not agree.
    #[error("the organisation's identity: {0}")]
    Identity(String),
    /// The identity was ended by its recovery key.
    #[error("{0} has ended for ever; found a new organisation in an empty folder with `dccp-gateway init`")]
    Ended(dccp::Did),
    /// A recovery was interrupted when it had been decided but not every file was in its place.
    #[error("a recovery was interrupted; run `dccp-gateway recovery use` again, it finishes what was begun")]
    Unfinished,
    /// A prekey in the database was not sealed under this storage key.
    #[error(
        "the prekeys in the database do not open; is keys.storage the file that belongs to this data_dir?"
    )]
    Prekeys,
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

impl CustodyError {
    /// The spool's fault, or one that the spool's users see as a broken record of it.
    pub(crate) fn into_spool(self) -> SpoolError {
        match self {
            CustodyError::Spool(error) => error,
            other => SpoolError::Corrupt(other.to_string()),
        }
    }
}

/// The private keys, and what is done with them. Has no `Debug`.
pub struct Custody {
    operator: SigningKey,
    device: DeviceSigner,
    device_kem: Arc<DecapsulationKey>,
    node_seed: Zeroizing<[u8; 32]>,
    vault: Arc<Vault>,
    identity: Identity,
    day: DayFile,
    /// The mechanisms of the suites that we accept.
    kems: Vec<KemAlgorithm>,
    epochs: RwLock<Epochs>,
    sessions: OpenCache,
}

/// The long-lived keys of one gateway, as `init` makes them and `load` reads them.
pub struct KeySet {
    /// L1.
    pub operator: SigningKey,
    /// Signs messages.
    pub device: SigningKey,
    /// Opens messages that were sealed without a prekey.
    pub device_kem: xwing::DecapsulationKey,
    /// Ed25519 seed of the overlay node.
    pub node_seed: Zeroizing<[u8; 32]>,
    /// The vault's key.
    pub storage: Zeroizing<[u8; 32]>,
}

impl Custody {
    /// Reads the key files and the identity, checks that they agree, and makes the prekeys of the day.
    ///
    /// # Errors
    /// See [`CustodyError`]; each says what to look at.
    pub async fn load(config: &Config, spool: &Spool, now: UnixMillis) -> Result<Custody, CustodyError> {
        let custody = Custody::open(config, now)?;
        custody.rotate(now, spool).await?;
        Ok(custody)
    }

    /// Reads the key files and the identity and checks that they agree. Without prekeys: for commands.
    ///
    /// # Errors
    /// See [`CustodyError`].
    pub fn open(config: &Config, now: UnixMillis) -> Result<Custody, CustodyError> {
        let custody = Custody::open_with_any_domains(config, now)?;
        custody.identity.expect_domains(&config.domains())?;
        Ok(custody)
    }

    /// The same, even if the configuration names domains that the log does not: for the command that mends that.
    ///
    /// # Errors
    /// See [`CustodyError`].
    pub fn open_with_any_domains(config: &Config, now: UnixMillis) -> Result<Custody, CustodyError> {
        if takeover::is_unfinished(config) {
            return Err(CustodyError::Unfinished);
        }
        let keys = KeySet::read(config)?;
        let identity = Identity::load(&identity_paths(config), now)?;
        let device = (keys.device.verifying_key(), keys.device_kem.encapsulation_key());
        identity.expect_keys(keys.operator.verifying_key(), device)?;
        let vault = Arc::new(Vault::new(keys.storage));
        Ok(Custody {
            operator: keys.operator,
            device: signer(keys.device, &identity),
            device_kem: Arc::new(keys.device_kem.into()),
            node_seed: keys.node_seed,
            day: DayFile::beside(&config.keys.storage, vault.clone()),
            vault,
            kems: kems_of(&identity),
            identity,
            epochs: RwLock::default(),
            sessions: OpenCache::default(),
        })
    }

    /// Our DID.
    pub fn did(&self) -> &Did {
        self.identity.document.did()
    }

    /// What our DID log resolves to.
    pub fn document(&self) -> &DidDocument {
        &self.identity.document
    }

    /// Our DID log.
    pub fn log(&self) -> &Log {
        &self.identity.log
    }

    /// Our device manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.identity.manifest
    }

    /// The devices of our manifest.
    pub fn devices(&self) -> &Devices {
        &self.identity.devices
    }

    /// This gateway among them.
    pub fn own_device(&self) -> &Device {
        let own = self.identity.device(self.device.hybrid().verifying_key());
        #[expect(clippy::expect_used, reason = "`open` has checked that the manifest names the device key")]
        own.expect("a manifest that names us")
    }

    /// Signs the organisation's records.
    pub fn operator(&self) -> &SigningKey {
        &self.operator
    }

    /// Signs messages.
    pub fn device(&self) -> &DeviceSigner {
        &self.device
    }

    /// What a manifest that lists these suites says of this gateway's signing keys.
    pub fn public_keys_for(&self, suites: &[Suite]) -> DeviceVerifier {
        identity::public_keys(self.device.hybrid(), suites)
    }

    /// Whether our manifest lists exactly these suites, and our device can sign for all of them. It does not after a
    /// change of `suites.accept`, until `did devices renew` has signed another one.
    pub fn takes_part_in(&self, suites: &[Suite]) -> bool {
        let listed = self.devices().suites();
        listed.len() == suites.len()
            && suites.iter().all(|suite| listed.contains(suite) && self.device.signs_for(*suite))
    }

    /// The seed of the overlay node's key.
    pub fn node_seed(&self) -> Zeroizing<[u8; 32]> {
        self.node_seed.clone()
    }

    /// Seals what rests.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// A signed record that this node speaks for us at `addresses`, for as long as our device counts.
    ///
    /// # Errors
    /// [`CustodyError::Identity`] when there are too many addresses or one is too long.
    pub fn node_record(&self, addresses: &[String], now: UnixMillis) -> Result<Vec<u8>, CustodyError> {
        let device = self.identity.device(self.device.hybrid().verifying_key());
        let record = NodeRecord {
            did: self.did().clone(),
            peer_id: overlay::peer_id_of(&self.node_seed).to_bytes(),
            addresses: addresses.to_vec(),
            not_before: device.map_or(now, |device| device.not_before),
            expires: device.map_or(now, |device| device.expires),
        };
        record.sign(&self.operator).map_err(|error| CustodyError::Identity(format!("node record: {error}")))
    }
}

impl KeySet {
    /// A fresh set.
    pub fn generate(rng: &mut impl rand::CryptoRng) -> KeySet {
        let mut seed = || {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(seed.as_mut());
            seed
        };
        let (node_seed, storage) = (seed(), seed());
        KeySet {
            operator: SigningKey::generate(rng),
            device: SigningKey::generate(rng),
            device_kem: xwing::DecapsulationKey::generate(rng),
            node_seed,
            storage,
        }
    }

    /// Reads the files that `config` names, sealed under its master key if it names one. May ask a person.
    ///
    /// # Errors
    /// [`CustodyError::Master`] or [`CustodyError::KeyFile`].
    pub fn read(config: &Config) -> Result<KeySet, CustodyError> {
        let keys = &config.keys;
        let master = master_key(config)?;
        let read = |path: &Path, kind: Kind| keyfile::read(path, kind, master.as_ref());
        let operator = read(&keys.operator, Kind::Operator)?;
        let device = read(&keys.device, Kind::Device)?;
        let node = read(&keys.node, Kind::Node)?;
        let storage = read(&keys.storage, Kind::Storage)?;
        Ok(KeySet {
            operator: SigningKey::from_seed(&part(&operator, 0)),
            device: SigningKey::from_seed(&part(&device, 0)),
            device_kem: xwing::DecapsulationKey::from_seed(&part(&device, 64)),
            node_seed: part(&node, 0),
            storage: part(&storage, 0),
        })
    }

    /// Writes the files that `config` names, sealed if there is a `master`; never over an existing one.
    ///
    /// # Errors
    /// [`CustodyError::KeyFile`].
    pub fn write(&self, config: &Config, master: Option<&MasterKey>) -> Result<(), CustodyError> {
        let keys = &config.keys;
        let device =
            Zeroizing::new([self.device.seed().as_slice(), self.device_kem.seed().as_slice()].concat());
        keyfile::write(&keys.operator, Kind::Operator, self.operator.seed().as_slice(), master)?;
        keyfile::write(&keys.device, Kind::Device, &device, master)?;
        keyfile::write(&keys.node, Kind::Node, self.node_seed.as_slice(), master)?;
        keyfile::write(&keys.storage, Kind::Storage, self.storage.as_slice(), master)?;
        Ok(())
    }
}

/// Our device, with the FN-DSA key that the manifest lists for it. A key that this version's library does not make any
/// more signs nothing that anybody would believe.
fn signer(hybrid: SigningKey, identity: &Identity) -> DeviceSigner {
    let listed = identity.device(hybrid.verifying_key()).and_then(|device| device.signing.falcon());
    let ours = listed.map(|listed| (falcon::SigningKey::beside(&hybrid), listed));
    let falcon = ours.filter(|(key, listed)| key.verifying_key() == *listed).map(|(key, _)| key);
    DeviceSigner::new(hybrid, falcon)
}

/// The master key that `config` names, if it names one. May ask a person.
///
/// # Errors
/// [`CustodyError::Master`].
pub fn master_key(config: &Config) -> Result<Option<MasterKey>, CustodyError> {
    let source = config.keys.master.as_ref().and_then(Master::source);
    Ok(source.as_ref().map(MasterKey::open).transpose()?)
}

/// The vault alone, for what rests sealed where there is no identity to serve any more. May ask a person.
///
/// # Errors
/// [`CustodyError::Master`] or [`CustodyError::KeyFile`].
pub fn vault(config: &Config) -> Result<Arc<Vault>, CustodyError> {
    let storage = keyfile::read(&config.keys.storage, Kind::Storage, master_key(config)?.as_ref())?;
    Ok(Arc::new(Vault::new(part(&storage, 0))))
}

/// `N` bytes of a secret from `start`; `keyfile::read` has checked the length.
fn part<const N: usize>(secret: &[u8], start: usize) -> Zeroizing<[u8; N]> {
    let mut part = Zeroizing::new([0; N]);
    part.iter_mut().zip(secret.iter().skip(start)).for_each(|(to, from)| *to = *from);
    part
}

/// Where the identity of the configured gateway lies.
pub fn identity_paths(config: &Config) -> IdentityPaths {
    IdentityPaths { log: config.identity_log_path(), manifest: config.manifest_path() }
}

#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod tests;
