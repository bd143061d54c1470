//! The payload of a mail: the SMTP envelope and the verbatim RFC 5322 octets, or where they are.
//!
//! Nothing of the octets is interpreted or changed here. Paths are bounded and free of control characters, so that a
//! hostile partner cannot smuggle an SMTP command in one; their syntax is for `smtp` to judge.

use bytes::Bytes;
use prost::Message as _;

use crate::body::{BodyOutline, BodyRef};
use crate::limits::{ENVELOPE_ID_BYTES_MAX, FORWARD_PATHS_MAX, PATH_BYTES_MAX};
use crate::wire::{self, Malformed};

mod wish;

pub use wish::{Notify, OriginalRecipient, Return, Wish};

/// The content type of a mail.
pub const CONTENT_TYPE: &str = "message/rfc822";

/// A mail between two organisations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Who sends to whom, as SMTP said it.
    pub envelope: MailEnvelope,
    /// The message, octet for octet.
    pub content: Content,
}

/// The octets of a mail (RFC 5322), or where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Few enough to travel inside: a sender keeps to [`INLINE_BYTES_MAX`](crate::limits::INLINE_BYTES_MAX).
    Inline(Bytes),
    /// They travel beside the message.
    Body(BodyRef),
}

impl Content {
    /// How many octets.
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline(octets) => octets.len() as u64,
            Self::Body(body) => body.size(),
        }
    }

    /// The octets, if they are here.
    pub fn inline(&self) -> Option<&Bytes> {
        match self {
            Self::Inline(octets) => Some(octets),
            Self::Body(_) => None,
        }
    }
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
    /// Beyond the receiver's own mail server it travels over verified TLS only (RFC 8689).
    pub require_tls: bool,
    /// How much a report of failure returns, if the sender said so.
    pub returns: Option<Return>,
    /// The sender's own name for this mail (ENVID, RFC 3461 §4.4), decoded: 1 to 100 printable ASCII characters.
    pub envelope_id: Option<String>,
    /// What the sender wants to be told of each forward path, in their order; empty when nothing was said.
    pub wishes: Vec<Wish>,
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
    /// What the sender asked to be told is out of bounds, or not said for each forward path.
    #[error("malformed request for reports in the envelope")]
    Wish,
    /// The reference to a body is out of bounds, or there are octets beside it.
    #[error("malformed reference to a body")]
    Body,
}

/// A wish for each forward path, the envelope's six other fields and the content.
const FIELDS_MAX: usize = 2 * FORWARD_PATHS_MAX + 7;

impl Mail {
    /// The payload. The octets are copied once. Receivers hold it to the limits of [`Mail::decode`].
    pub fn encode(&self) -> Bytes {
        let (octets, body) = match &self.content {
            Content::Inline(octets) => (octets.clone(), None),
            Content::Body(body) => (Bytes::new(), Some(body.to_wire())),
        };
        let MailEnvelope { reverse_path, forward_paths, body_8bit, smtputf8, .. } = self.envelope.clone();
        let mail = wire::Mail {
            reverse_path,
            forward_paths,
            body_8bit,
            smtputf8,
            require_tls: self.envelope.require_tls,
            r#return: self.envelope.returns.map_or(0, |returns| returns as u32),
            envelope_id: self.envelope.envelope_id.clone().unwrap_or_default(),
            wishes: self.envelope.wishes.iter().map(Wish::to_wire).collect(),
            octets,
            body,
        };
        mail.encode_to_vec().into()
    }

    /// Reads a payload; the octets stay a slice of it.
    ///
    /// # Errors
    /// Any [`MailError`].
    pub fn decode(payload: Bytes) -> Result<Self, MailError> {
        let mail: wire::Mail = wire::decode(payload, FIELDS_MAX)?;
        if !(1..=FORWARD_PATHS_MAX).contains(&mail.forward_paths.len()) {
            return Err(MailError::ForwardPaths);
        }
        let forward_paths_hold = mail.forward_paths.iter().all(|path| !path.is_empty() && is_path(path));
        if !forward_paths_hold || !is_path(&mail.reverse_path) {
            return Err(MailError::Path);
        }
        let told_of_each = mail.wishes.is_empty() || mail.wishes.len() == mail.forward_paths.len();
        if !told_of_each || !is_envelope_id(&mail.envelope_id) {
            return Err(MailError::Wish);
        }
        let envelope = MailEnvelope {
            reverse_path: mail.reverse_path,
            forward_paths: mail.forward_paths,
            body_8bit: mail.body_8bit,
            smtputf8: mail.smtputf8,
            require_tls: mail.require_tls,
            returns: Return::from_number(mail.r#return)?,
            envelope_id: (!mail.envelope_id.is_empty()).then_some(mail.envelope_id),
            wishes: mail.wishes.into_iter().map(Wish::from_wire).collect::<Result<_, _>>()?,
        };
        let content = match mail.body {
            None => Content::Inline(mail.octets),
            Some(body) if mail.octets.is_empty() => {
                Content::Body(BodyRef::from_wire(&body).ok_or(MailError::Body)?)
            }
            Some(_) => return Err(MailError::Body),
        };
        Ok(Self { envelope, content })
    }
}

impl MailEnvelope {
    /// What the sender wants to be told of the forward path at this place.
    pub fn wish(&self, at: usize) -> Wish {
        self.wishes.get(at).cloned().unwrap_or_default()
    }

    /// The same envelope for these of its forward paths only.
    pub fn narrowed(&self, forward_paths: &[String]) -> Self {
        let at = |path: &String| self.forward_paths.iter().position(|named| named == path);
        let wish = |path| at(path).map(|at| self.wish(at)).unwrap_or_default();
        let wishes = match self.wishes.is_empty() {
            true => Vec::new(),
            false => forward_paths.iter().map(wish).collect(),
        };
        Self { forward_paths: forward_paths.to_vec(), wishes, ..self.clone() }
    }
}

/// What shows of the body that this payload refers to.
pub(crate) fn outline_of(payload: &Bytes) -> Option<BodyOutline> {
    match Mail::decode(payload.clone()).ok()?.content {
        Content::Inline(_) => None,
        Content::Body(body) => Some(body.outline()),
    }
}

fn is_path(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX && !path.chars().any(char::is_control)
}

/// RFC 3461 §4.4; empty: none.
fn is_envelope_id(id: &str) -> bool {
    id.len() <= ENVELOPE_ID_BYTES_MAX && id.bytes().all(|b| (b' '..=b'~').contains(&b))
}
