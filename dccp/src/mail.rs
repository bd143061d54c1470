//! The payload of a mail: the SMTP envelope and the verbatim RFC 5322 octets.
//!
//! Nothing of the octets is interpreted or changed here. Paths are bounded and free of control characters, so that a
//! hostile partner cannot smuggle an SMTP command in one; their syntax is for `smtp` to judge.

use bytes::Bytes;
use prost::Message as _;

use crate::limits::{FORWARD_PATHS_MAX, PATH_BYTES_MAX};
use crate::wire::{self, Malformed};

/// The content type of a mail.
pub const CONTENT_TYPE: &str = "message/rfc822";

/// A mail between two organisations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Who sends to whom, as SMTP said it.
    pub envelope: MailEnvelope,
    /// The message, octet for octet.
    pub octets: Bytes,
}

/// The SMTP envelope (RFC 5321 §2.3.1) and the extensions that the message needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailEnvelope {
    /// The reverse path without brackets; empty is the null reverse path.
    pub reverse_path: String,
    /// The forward paths without brackets, 1 to 1000.
    pub forward_paths: Vec<String>,
    /// The octets need 8BITMIME (RFC 6152).
    pub body_8bit: bool,
    /// The envelope or header needs SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
}

/// Why a payload is not a mail: the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// Not protobuf, too many fields or unknown ones.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// No recipient, or more than [`FORWARD_PATHS_MAX`].
    #[error("a mail has 1 to {FORWARD_PATHS_MAX} forward paths")]
    ForwardPaths,
    /// A path is empty where it must not be, too long, or has control characters.
    #[error("malformed path in the envelope")]
    Path,
}

/// The envelope's three other fields and the octets.
const OTHER_FIELDS: usize = 4;

impl Mail {
    /// The payload. The octets are copied once. Receivers hold it to the limits of [`Mail::decode`].
    pub fn encode(&self) -> Bytes {
        let mail = wire::Mail {
            reverse_path: self.envelope.reverse_path.clone(),
            forward_paths: self.envelope.forward_paths.clone(),
            body_8bit: self.envelope.body_8bit,
            smtputf8: self.envelope.smtputf8,
            octets: self.octets.clone(),
        };
        mail.encode_to_vec().into()
    }

    /// Reads a payload; the octets stay a slice of it.
    ///
    /// # Errors
    /// Any [`MailError`].
    pub fn decode(payload: Bytes) -> Result<Self, MailError> {
        let mail: wire::Mail = wire::decode(payload, FORWARD_PATHS_MAX + OTHER_FIELDS)?;
        if !(1..=FORWARD_PATHS_MAX).contains(&mail.forward_paths.len()) {
            return Err(MailError::ForwardPaths);
        }
        let forward_paths_hold = mail.forward_paths.iter().all(|path| !path.is_empty() && is_path(path));
        if !forward_paths_hold || !is_path(&mail.reverse_path) {
            return Err(MailError::Path);
        }
        let envelope = MailEnvelope {
            reverse_path: mail.reverse_path,
            forward_paths: mail.forward_paths,
            body_8bit: mail.body_8bit,
            smtputf8: mail.smtputf8,
        };
        Ok(Self { envelope, octets: mail.octets })
    }
}

fn is_path(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX && !path.chars().any(char::is_control)
}
