//! Legal holds as the flows see them.

use serde::{Deserialize, Serialize};

use crate::custody::Vault;
use crate::flows::records::{RecordError, purpose};
use crate::spool::{KeptHold, Spool, SpoolError, UnixMillis};

/// The holds of one moment. Asked by tags alone, so that a hold whose words do not open still holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    pub(super) kept: Vec<KeptHold>,
}

/// What rests sealed of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HoldWords {
    /// Addresses and domains that it names.
    pub(super) addresses: Vec<String>,
    /// Who ordered it.
    pub(super) by: String,
    /// Why.
    pub(super) why: String,
    /// When, Unix milliseconds.
    pub(super) at_ms: u64,
}

impl Holds {
    /// Reads the holds.
    ///
    /// # Errors
    /// The spool's.
    pub async fn load(spool: &Spool) -> Result<Self, SpoolError> {
        Ok(Self { kept: spool.archive_holds().await? })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The first hold that is about a mail of this time with these people.
    pub fn names(&self, people: &[[u8; 16]], at: UnixMillis) -> Option<&str> {
        let is_about = |hold: &&KeptHold| {
            hold.from <= at
                && at < hold.until
                && (hold.people.is_empty() || hold.people.iter().any(|tag| people.contains(tag)))
        };
        self.kept.iter().find(is_about).map(|hold| hold.name.as_str())
    }
}

impl HoldWords {
    pub(super) fn seal(&self, vault: &Vault) -> Vec<u8> {
        // Serialising this plain struct to memory has no failing case; an empty record would show as unreadable.
        vault.seal(purpose::LEGAL_HOLD, &serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn open(vault: &Vault, sealed: &[u8]) -> Result<Self, RecordError> {
        Ok(serde_json::from_slice(&vault.open(purpose::LEGAL_HOLD, sealed)?)?)
    }
}
