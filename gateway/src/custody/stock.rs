//! One-time keys.

use dccp::UnixMillis;
use dccp::keys::KeyId;
use dccp::kem::DecapsulationKey;
use dccp::suite::KemAlgorithm;

use super::Vault;
use super::prekeys::KEPT_AFTER_EPOCH_MS;
use super::storage::end_of;

const PURPOSE: &str = "one-time-key";

/// How long a partner may use a key after it was made.
pub(super) const USABLE_MS: u64 = 7 * 24 * 3_600_000;

/// When the one-time keys that were made on this day are destroyed, all together.
pub(super) fn destroyed_at(epoch: u64) -> UnixMillis {
    end_of(epoch).saturating_add_ms(USABLE_MS + KEPT_AFTER_EPOCH_MS)
}

/// The key that rests sealed, if it is the one that is asked for: a row cannot be passed off as another.
pub(super) fn open(vault: &Vault, key_id: &KeyId, sealed: &[u8]) -> Option<DecapsulationKey> {
    let clear = vault.open(PURPOSE, sealed).ok()?;
    let key = DecapsulationKey::from_seed(KemAlgorithm::XWing, &clear).ok()?;
    (key.encapsulation_key().key_id() == *key_id).then_some(key)
}
