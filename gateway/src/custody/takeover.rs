//! The organisation takes its identity back: new operator key, new recovery key, by the authority of the old recovery
//! key.
//!
//! ```text
//! old L0 ── signs ──► rotate { next L0, new L1 } ──► log        the thief's operations after this point are void
//! new L1 ── signs ──► manifest { same devices, next epoch }
//!
//! stage:         operator.key.next, device.key.next, manifest.next, organisation.did.next   (in this order, synced)
//! put in place:  operator.key,      device.key,      manifest,      organisation.did        (in this order)
//! ```
//!
//! `organisation.did.next` is the word that counts: while it is there, everything else is complete and only has to
//! be put in place, by whoever comes next; before it is there, nothing has happened.

use std::fs;
use std::path::{Path, PathBuf};

use dccp::UnixMillis;
use dccp::did::{Commitment, DidDocument, Log, Manifest, Quorum, Rotation};
use dccp::keys::SigningKey;
use dccp::xwing::DecapsulationKey;
use keystore::keyfile::{self, Kind};
use keystore::{MasterKey, durable};
use zeroize::Zeroizing;

use super::{CustodyError, Identity, identity_paths};
use crate::config::Config;

/// What is decided by those who recover.
pub struct Decision {
    /// The commitment to the next recovery key.
    pub recovery_next: Commitment,
    /// Whether the gateway's device gets new keys too: the old ones may be known.
    pub renew_device: bool,
    /// How many operations of our log were ours; a thief may have appended others. All of them without a word.
    pub operations_kept: Option<usize>,
}

/// An identity under new keys, not yet in force.
pub struct Takeover {
    log: Log,
    manifest: Manifest,
    operator: SigningKey,
    device: Option<(SigningKey, DecapsulationKey)>,
}

impl Takeover {
    /// Rotates the log and signs the manifest anew. Changes nothing on disk.
    ///
    /// # Errors
    /// [`CustodyError::Identity`], above all when `recovery` is not the key that the log committed to.
    pub fn prepare(
        identity: &Identity,
        recovery: &SigningKey,
        decision: &Decision,
        now: UnixMillis,
        rng: &mut impl rand::CryptoRng,
    ) -> Result<Takeover, CustodyError> {
        let log = match decision.operations_kept {
            None => identity.log.clone(),
            Some(operations) => identity
                .log
                .beginning(operations)
                .ok_or_else(|| wrong(format!("the log has no {operations} operations")))?,
        };
        let document = log.verify().map_err(wrong)?;
        if !document.is_committed_recovery(recovery.verifying_key()) {
            return Err(wrong("this is not the recovery key that the organisation's log committed to"));
        }
        let operator = SigningKey::generate(rng);
        let rotation = Rotation {
            recovery_next: Quorum::one(decision.recovery_next),
            operators: Quorum::one(operator.verifying_key().clone()),
            org: document.org().cloned(),
            change: document.change().clone(),
        };
        let log = log.rotate(&rotation, &[recovery], &[&operator]).map_err(wrong)?;
        let document = log.verify().map_err(wrong)?;
        let device =
            decision.renew_device.then(|| (SigningKey::generate(rng), DecapsulationKey::generate(rng)));
        let manifest = identity.resigned(&document, &operator, device.as_ref(), now)?;
        Ok(Takeover { log, manifest, operator, device })
    }

    /// What the new log resolves to.
    ///
    /// # Errors
    /// [`CustodyError::Identity`].
    pub fn document(&self) -> Result<DidDocument, CustodyError> {
        self.log.verify().map_err(wrong)
    }

    /// Writes everything beside its place, the log last. [`finish`] does the rest.
    ///
    /// # Errors
    /// [`CustodyError::Io`]; nothing is in force then.
    pub fn stage(&self, config: &Config, master: Option<&MasterKey>) -> Result<(), CustodyError> {
        discard(config)?;
        let [operator, device, manifest, log] = places(config);
        let line = keyfile::text(Kind::Operator, self.operator.seed().as_slice(), master);
        write_next(&operator, line.as_bytes(), 0o600)?;
        if let Some((signing, kem)) = &self.device {
            let secret = Zeroizing::new([signing.seed().as_slice(), kem.seed().as_slice()].concat());
            write_next(&device, keyfile::text(Kind::Device, &secret, master).as_bytes(), 0o600)?;
        }
        write_next(&manifest, &self.manifest.to_bytes(), 0o644)?;
        write_next(&log, &self.log.to_bytes(), 0o644)
    }
}

/// Whether a takeover is staged that was not put in place.
pub fn is_unfinished(config: &Config) -> bool {
    let [.., log] = places(config);
    next_of(&log).exists()
}

/// Puts in place what is staged. Says whether there was anything.
///
/// # Errors
/// [`CustodyError::Io`]; calling again goes on where it ended.
pub fn finish(config: &Config) -> Result<bool, CustodyError> {
    if !is_unfinished(config) {
        return Ok(false);
    }
    for place in places(config) {
        let next = next_of(&place);
        if next.exists() {
            durable::rename(&next, &place).map_err(|source| io(&place, source))?;
        }
    }
    Ok(true)
}

/// Takes away what an attempt left that never came to count.
fn discard(config: &Config) -> Result<(), CustodyError> {
    for place in places(config) {
        let next = next_of(&place);
        match fs::remove_file(&next) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(io(&next, source)),
            _ => {}
        }
    }
    Ok(())
}

/// The files that change, in the order in which they do.
fn places(config: &Config) -> [PathBuf; 4] {
    let identity = identity_paths(config);
    [config.keys.operator.clone(), config.keys.device.clone(), identity.manifest, identity.log]
}

fn next_of(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

fn write_next(place: &Path, bytes: &[u8], mode: u32) -> Result<(), CustodyError> {
    let next = next_of(place);
    durable::write_new(&next, bytes, mode).map_err(|source| io(&next, source))
}

fn wrong(why: impl ToString) -> CustodyError {
    CustodyError::Identity(why.to_string())
}

fn io(path: &Path, source: std::io::Error) -> CustodyError {
    CustodyError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
