//! Every key of every person, derived when it is used and wiped after.
//!
//! ```text
//! registrar's secret (32 random bytes, sealed in the database) ─ HKDF-SHA256(salt: person id, info: label) ─►
//!     operator seed (L1) │ recovery seed (L0 share of the organisation) │ salt of the binding
//! ```
//!
//! 100,000 people cost no memory, and forgetting a person's id forgets the keys and the salt. The price: whoever has the
//! secret has them all. It rests under the vault like the prekeys, and the organisation's own DID does not depend on it.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use dccp::address::SALT_BYTES;
use dccp::keys::SigningKey;
use rand::Rng;
use rusqlite::{OptionalExtension, params};
use zeroize::Zeroizing;

use super::registrar::PeopleError;
use crate::custody::Vault;
use crate::spool::Spool;

/// The row of the table `settings` and the vault's purpose.
const SECRET: &str = "people-registrar";
/// Random, so that it says nothing, and long enough never to repeat.
pub(super) const PERSON_ID_BYTES: usize = 16;

/// Names a person in this database and nowhere else.
pub(super) type PersonId = [u8; PERSON_ID_BYTES];

/// The registrar's secret at work. Has no `Debug`.
pub(super) struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Reads the secret; the first time, makes it. Two processes that do so at once end with the same one.
    pub(super) async fn open(spool: &Spool, vault: &Vault) -> Result<Secret, PeopleError> {
        let look = "SELECT value FROM settings WHERE name = ?1";
        let kept = spool
            .read(move |database| {
                database.query_row(look, [SECRET], |row| row.get::<_, Vec<u8>>(0)).optional()
            })
            .await?;
        let sealed = match kept {
            Some(sealed) => sealed,
            None => {
                let mut fresh = Zeroizing::new([0; 32]);
                rand::rng().fill_bytes(fresh.as_mut());
                let sealed = vault.seal(SECRET, fresh.as_ref());
                spool
                    .write(move |database| {
                        let insert = "INSERT OR IGNORE INTO settings (name, value) VALUES (?1, ?2)";
                        database.execute(insert, params![SECRET, sealed])?;
                        database.query_row(look, [SECRET], |row| row.get(0))
                    })
                    .await?
            }
        };
        let clear = vault.open(SECRET, &sealed).map_err(|_| PeopleError::Secret)?;
        let mut secret = Zeroizing::new([0; 32]);
        if clear.len() != secret.len() {
            return Err(PeopleError::Secret);
        }
        secret.copy_from_slice(&clear);
        Ok(Secret(secret))
    }

    /// L1 of a person: signs the log and the manifest as long as we operate the DID.
    pub(super) fn operator(&self, person: &PersonId) -> SigningKey {
        SigningKey::from_seed(&self.derive(person, b"DCCP-PERSON-operator-v1\0"))
    }

    /// The organisation's L0 key of a person.
    pub(super) fn recovery(&self, person: &PersonId) -> SigningKey {
        SigningKey::from_seed(&self.derive(person, b"DCCP-PERSON-recovery-v1\0"))
    }

    /// Hides the person's address in the tree and in the log.
    pub(super) fn salt(&self, person: &PersonId) -> [u8; SALT_BYTES] {
        *self.derive(person, b"DCCP-PERSON-salt-v1\0")
    }

    fn derive<const N: usize>(&self, person: &PersonId, label: &[u8]) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        let info = [label];
        let pseudorandom = Salt::new(HKDF_SHA256, person).extract(self.0.as_ref());
        let filled = pseudorandom.expand(&info, Length(N)).and_then(|okm| okm.fill(out.as_mut()));
        #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
        filled.expect("a few dozen bytes");
        out
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
