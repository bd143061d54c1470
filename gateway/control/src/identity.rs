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
    /// The records themselves, in base64: what every source serves, to be verified by whoever reads it.
    pub bundle: String,
}

/// Whom an address leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressView {
    /// The address, in its canonical spelling.
    pub address: String,
    /// The organisation that answered.
    pub organisation: String,
    /// The person's DID; absent when the organisation names nobody, which it does for unlisted and unknown addresses
    /// alike: mail is then sealed to the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
}

/// How to look an identity up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityQuery {
    /// Where nodes of a stranger may be found: multiaddrs that end in `/p2p/…`, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
}

impl IdentityQuery {
    /// The single addresses.
    pub fn nodes(&self) -> Vec<String> {
        let nodes = self.nodes.as_deref().unwrap_or_default().split(',');
        nodes.map(str::trim).filter(|node| !node.is_empty()).map(str::to_owned).collect()
    }
}
