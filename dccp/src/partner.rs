//! The bundle: everything one organisation needs to know of another or of a person. As text to carry by hand it is
//! the partner file.
//!
//! ```text
//! Organisation: acme.example            ┐
//! DID: did:dccp:1…                      │ for people; never read back
//! Fingerprint: abcd efgh …              ┘
//! -----BEGIN DCCP PARTNER-----
//! base64 of {v, log, dm, nodes, pk}
//! -----END DCCP PARTNER-----
//! ```
//!
//! The file proves that it is consistent, not whose it is: that is what reading the fingerprint aloud is for.

use std::fmt::Write as _;

use data_encoding::BASE64;

use crate::cbor::{self, CborError, Fields, Value};
use crate::did::{Devices, DidDocument, Log, LogError, Manifest};
use crate::limits::{BUNDLE_BYTES_MAX, PARTNER_NODES_MAX, PARTNER_TEXT_BYTES_MAX, PREKEYS_MAX};
use crate::node::NodeRecord;
use crate::prekey::Prekey;
use crate::record::{RECORD_VERSION, RecordError};
use crate::{Did, UnixMillis};

const BEGIN: &str = "-----BEGIN DCCP PARTNER-----";
const END: &str = "-----END DCCP PARTNER-----";
/// Octets per line: 64 characters of base64, as in RFC 7468 §3.
const LINE_BYTES: usize = 48;

/// What a partner file contains; nothing of it is believed before [`PartnerFile::verify`].
#[derive(Clone, Debug)]
pub struct PartnerFile {
    /// The DID log.
    pub log: Log,
    /// The device manifest.
    pub manifest: Manifest,
    /// Signed node records.
    pub nodes: Vec<Vec<u8>>,
    /// Signed prekeys.
    pub prekeys: Vec<Vec<u8>>,
}

/// The contents of a partner file after every signature in it was verified.
#[derive(Clone, Debug)]
pub struct VerifiedPartner {
    /// The organisation.
    pub document: DidDocument,
    /// Its devices.
    pub devices: Devices,
    /// Its nodes that count now.
    pub nodes: Vec<NodeRecord>,
    /// Its prekeys that count now; none when the file is older than two days.
    pub prekeys: Vec<Prekey>,
}

/// Why a partner file is not accepted. All of it is the fault of whoever made or changed the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartnerError {
    /// No armour, two armours, or no base64 in it.
    #[error("this is not a partner file: one block from `{BEGIN}` to `{END}` is needed")]
    NotAPartnerFile,
    /// Larger than any partner file.
    #[error("partner file is larger than {PARTNER_TEXT_BYTES_MAX} octets")]
    TooLarge,
    /// The block is not what a partner file contains.
    #[error("malformed partner file: {0}")]
    Malformed(#[from] CborError),
    /// A later version of the format.
    #[error("partner file version {0} is not supported")]
    UnsupportedVersion(u64),
    /// The DID log is not acceptable.
    #[error("identity: {0}")]
    Log(#[from] LogError),
    /// The device manifest is not acceptable.
    #[error("device manifest: {0}")]
    Manifest(RecordError),
    /// A node record is not acceptable.
    #[error("node record: {0}")]
    Node(RecordError),
    /// A prekey is not acceptable.
    #[error("prekey: {0}")]
    Prekey(RecordError),
}

impl PartnerFile {
    /// The file as text.
    pub fn to_text(&self) -> String {
        let did = self.log.did();
        let domains = self.log.claimed_domains().join(", ");
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "DCCP partner file. Compare the fingerprint by voice before you trust it.");
        let _ = writeln!(text, "Organisation: {domains}\nDID: {did}\nFingerprint: {}", fingerprint(&did));
        let _ = writeln!(text, "Nodes: {}\n\n{BEGIN}", self.nodes.len());
        for line in self.to_bytes().chunks(LINE_BYTES) {
            BASE64.encode_append(line, &mut text);
            text.push('\n');
        }
        text + END + "\n"
    }

    /// The bundle: what the armour contains, and what the overlay and the HTTPS mirror serve.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&self.to_value())
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// Any [`PartnerError`] that does not need a signature to be checked, but for the armour.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PartnerError> {
        Self::from_value(cbor::decode(bytes, BUNDLE_BYTES_MAX)?)
    }

    /// Reads a file. Everything outside the block is ignored.
    ///
    /// # Errors
    /// Any [`PartnerError`] that does not need a signature to be checked.
    pub fn from_text(text: &str) -> Result<Self, PartnerError> {
        if text.len() > PARTNER_TEXT_BYTES_MAX {
            return Err(PartnerError::TooLarge);
        }
        let (_, after) = text.split_once(BEGIN).ok_or(PartnerError::NotAPartnerFile)?;
        let (block, rest) = after.split_once(END).ok_or(PartnerError::NotAPartnerFile)?;
        if rest.contains(BEGIN) || block.contains(BEGIN) {
            return Err(PartnerError::NotAPartnerFile);
        }
        let block: String = block.split_ascii_whitespace().collect();
        let bytes = BASE64.decode(block.as_bytes()).map_err(|_| PartnerError::NotAPartnerFile)?;
        Self::from_bytes(&bytes)
    }

    /// Verifies everything inside against the log. Nodes and prekeys that have expired are left out, as a file may
    /// be some days old; anything else that is wrong refuses the whole file. People have no nodes. Of a deactivated
    /// DID only the log is looked at, and neither devices nor nodes nor prekeys come out.
    ///
    /// # Errors
    /// Any [`PartnerError`]; [`PartnerError::Node`] with [`RecordError::Expired`] when no node counts any more.
    pub fn verify(&self, now: UnixMillis) -> Result<VerifiedPartner, PartnerError> {
        let document = self.log.verify()?;
        if document.is_deactivated() {
            let devices = Devices::default();
            return Ok(VerifiedPartner { document, devices, nodes: Vec::new(), prekeys: Vec::new() });
        }
        let devices = self.manifest.verify(&document, now).map_err(PartnerError::Manifest)?;
        let nodes = self.nodes.iter().map(|bytes| NodeRecord::verify(bytes, &document, now));
        let nodes = current(nodes).map_err(PartnerError::Node)?;
        if nodes.is_empty() && !self.nodes.is_empty() {
            return Err(PartnerError::Node(RecordError::Expired));
        }
        let prekeys = self.prekeys.iter().map(|bytes| Prekey::verify(bytes, &document, now));
        let prekeys = current(prekeys).map_err(PartnerError::Prekey)?;
        Ok(VerifiedPartner { document, devices, nodes, prekeys })
    }

    fn to_value(&self) -> Value {
        cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("log", Value::Bytes(self.log.to_bytes())),
            ("dm", Value::Bytes(self.manifest.to_bytes())),
            ("nodes", cbor::byte_strings(self.nodes.iter().map(Vec::as_slice))),
            ("pk", cbor::byte_strings(self.prekeys.iter().map(Vec::as_slice))),
        ])
    }

    fn from_value(value: Value) -> Result<Self, PartnerError> {
        let mut fields = Fields::of(value, "partner")?;
        match fields.unsigned("v")? {
            RECORD_VERSION => {}
            other => return Err(PartnerError::UnsupportedVersion(other)),
        }
        let file = Self {
            log: Log::from_bytes(&fields.bytes("log")?)?,
            manifest: Manifest::from_bytes(&fields.bytes("dm")?).map_err(PartnerError::Manifest)?,
            nodes: fields.bytes_array("nodes", PARTNER_NODES_MAX)?,
            prekeys: fields.bytes_array("pk", PREKEYS_MAX)?,
        };
        fields.finish()?;
        Ok(file)
    }
}

/// The DID for reading aloud: its 52 characters in 13 groups of 4.
pub fn fingerprint(did: &Did) -> String {
    let mut groups = String::new();
    for (at, character) in did.hash_characters().chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            groups.push(' ');
        }
        groups.push(character);
    }
    groups
}

fn current<T>(records: impl Iterator<Item = Result<T, RecordError>>) -> Result<Vec<T>, RecordError> {
    records.filter(|record| !matches!(record, Err(RecordError::Expired))).collect()
}
