//! One identity: what its DID resolves to, and where that was learned.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a DID resolves to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityView {
    /// The DID.
    pub did: String,
    /// In groups for reading aloud.
    pub fingerprint: String,
    /// The sequence number of its newest operation.
    pub version: u64,
    /// Who holds its recovery keys: `org`, `joint` or `self`.
    pub custody: String,
    /// Whether it has been ended for ever.
    pub deactivated: bool,
    /// Where the records came from: the names of the sources that agreed, or `cache`.
    pub sources: Vec<String>,
    /// How old the records are; 0 when they were fetched for this answer.
    pub age_ms: u64,
    /// The W3C DID document, a projection of the log.
    pub document: Value,
}
