//! What this room needs of custody: it never holds the organisation's keys itself.

use dccp::did::Device;
use dccp::keys::SigningKey;
use dccp::{Did, Suite};

use crate::custody::{Custody, Vault};

/// Who acts for the organisation.
pub trait Authority: Send + Sync {
    /// The organisation.
    fn did(&self) -> &Did;

    /// The domains whose addresses are its own.
    fn domains(&self) -> &[String];

    /// This gateway as the manifest shows it: the device that people's mail is sealed to.
    fn device(&self) -> &Device;

    /// The suites that this gateway opens: those of people's manifests too.
    fn suites(&self) -> Vec<Suite>;

    /// The key of that device: signs answers and heads of the tree.
    fn device_key(&self) -> &SigningKey;

    /// Seals what rests.
    fn vault(&self) -> &Vault;
}

impl Authority for Custody {
    fn did(&self) -> &Did {
        Custody::did(self)
    }

    fn domains(&self) -> &[String] {
        self.document().domains()
    }

    fn device(&self) -> &Device {
        self.own_device()
    }

    fn suites(&self) -> Vec<Suite> {
        self.devices().suites().to_vec()
    }

    fn device_key(&self) -> &SigningKey {
        Custody::device(self).hybrid()
    }

    fn vault(&self) -> &Vault {
        Custody::vault(self)
    }
}
