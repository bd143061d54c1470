//! The clear form of a message: the fields of `AgentMessage` that this version speaks.

use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

use crate::body::BodyOutline;
use crate::limits::{CONTENT_TYPE_BYTES_MAX, LIFETIME_MS_MAX, PAYLOAD_BYTES_MAX, RECIPIENTS_MAX};
use crate::mail;
use crate::tree::TreeHead;
use crate::wire::{self, Malformed};
use crate::{Did, Suite, UnixMillis, UnsupportedSuite};

/// A message as its sender meant it. Who made it is known only after its signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The organisation that sends.
    pub sender: Did,
    /// A UUIDv7; with the sender, the name under which duplicates are recognised.
    pub message_id: Uuid,
    /// What is said, in the form that `content_type` names.
    pub payload: Bytes,
    /// The organisations it is for, 1 to 64: no one else may accept it.
    pub recipients: Vec<Did>,
    /// For example [`mail::CONTENT_TYPE`].
    pub content_type: String,
    /// When it was made.
    pub timestamp: UnixMillis,
    /// When it stops to count, at most 30 days after `timestamp`.
    pub expires: UnixMillis,
    /// How urgent it is.
    pub class: Class,
    /// Which protection its key had.
    pub fs_class: FsClass,
    /// The suite it was sealed with.
    pub suite: Suite,
    /// The sender's tree of addresses, as it shows it to everybody.
    pub own_tree: Option<TreeHead>,
    /// The recipient's tree of addresses, as the sender was last shown it.
    pub your_tree: Option<TreeHead>,
}

/// Urgency, from first to last. The number is on the wire, so that a relay can order what it cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Receipts and the protocol's own business.
    Control = 1,
    /// Useless when late.
    Realtime = 2,
    /// Before the rest.
    Priority = 3,
    /// Mail.
    Normal = 4,
    /// Whenever there is room.
    Bulk = 5,
}

impl Class {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The class of a number on the wire.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Control, Self::Realtime, Self::Priority, Self::Normal, Self::Bulk]
            .into_iter()
            .find(|class| class.number() == number)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Realtime => "realtime",
            Self::Priority => "priority",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        })
    }
}

/// What a thief of the recipient's keys could still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FsClass {
    /// Sealed to the key in the device manifest: open as long as that key exists.
    Static = 1,
    /// Sealed to an epoch prekey: closed for ever once the epoch's key is destroyed.
    Epoch = 2,
    /// Sealed to a one-time prekey: closed for ever once it was opened.
    OneTime = 3,
}

impl FsClass {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The class of a number on the wire.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Static, Self::Epoch, Self::OneTime].into_iter().find(|class| class.number() == number)
    }
}

impl fmt::Display for FsClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Epoch => "epoch",
            Self::OneTime => "one-time",
        })
    }
}

/// Why some clear bytes or fields are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The maker's: a field exceeds its limit or contradicts another.
    #[error("message field `{0}` is out of bounds")]
    OutOfBounds(&'static str),
    /// The maker's: not protobuf, or fields that this version does not know.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Nobody's: a suite we do not speak.
    #[error(transparent)]
    UnsupportedSuite(#[from] UnsupportedSuite),
}

/// The ten scalar fields of old, two tree heads and the recipients; anything more is not ours.
const FIELDS_MAX: usize = 12 + RECIPIENTS_MAX;

impl Message {
    /// What shows of the body that the payload refers to; a mail may have one.
    pub(crate) fn body(&self) -> Option<BodyOutline> {
        if self.content_type == mail::CONTENT_TYPE { mail::outline_of(&self.payload) } else { None }
    }

    /// Checks a message of ours before it is sealed.
    pub(crate) fn check(&self) -> Result<(), MessageError> {
        match self.payload.len() <= PAYLOAD_BYTES_MAX {
            true => self.check_claims(),
            false => Err(MessageError::OutOfBounds("payload")),
        }
    }

    /// Checks what a signature cannot: bounds that both sides must agree on. How large the payload may be is decided
    /// before it is read, by the octets of the sealed message.
    fn check_claims(&self) -> Result<(), MessageError> {
        let within = |holds: bool, field| if holds { Ok(()) } else { Err(MessageError::OutOfBounds(field)) };
        let printable = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ');
        within(self.message_id.get_version_num() == 7, "message_id")?;
        within((1..=RECIPIENTS_MAX).contains(&self.recipients.len()), "recipient_did")?;
        within((1..=CONTENT_TYPE_BYTES_MAX).contains(&self.content_type.len()), "content_type")?;
        within(printable(&self.content_type), "content_type")?;
        within(i64::try_from(self.timestamp.as_u64()).is_ok(), "timestamp")?;
        within(self.expires > self.timestamp, "expires")?;
        within(self.expires <= self.timestamp.saturating_add_ms(LIFETIME_MS_MAX), "expires")
    }

    pub(crate) fn to_wire(&self) -> wire::AgentMessage {
        wire::AgentMessage {
            sender_did: self.sender.to_string(),
            message_id: self.message_id.to_string(),
            payload: self.payload.clone(),
            timestamp: to_int64(self.timestamp),
            recipient_did: self.recipients.iter().map(Did::to_string).collect(),
            content_type: self.content_type.clone(),
            expires: to_int64(self.expires),
            class: self.class.number(),
            fs_class: self.fs_class.number(),
            suite: self.suite.id(),
            own_tree: self.own_tree.map(tree_to_wire),
            your_tree: self.your_tree.map(tree_to_wire),
        }
    }

    pub(crate) fn from_wire(bytes: Bytes) -> Result<Self, MessageError> {
        let from: wire::AgentMessage = wire::decode(bytes, FIELDS_MAX)?;
        let did = |text: &str, field| text.parse::<Did>().map_err(|_| MessageError::OutOfBounds(field));
        let message = Self {
            sender: did(&from.sender_did, "sender_did")?,
            message_id: parse_uuid(&from.message_id).ok_or(MessageError::OutOfBounds("message_id"))?,
            payload: from.payload,
            recipients: from
                .recipient_did
                .iter()
                .map(|text| did(text, "recipient_did"))
                .collect::<Result<_, _>>()?,
            content_type: from.content_type,
            timestamp: from_int64(from.timestamp).ok_or(MessageError::OutOfBounds("timestamp"))?,
            expires: from_int64(from.expires).ok_or(MessageError::OutOfBounds("expires"))?,
            class: Class::from_number(from.class).ok_or(MessageError::OutOfBounds("class"))?,
            fs_class: FsClass::from_number(from.fs_class).ok_or(MessageError::OutOfBounds("fs_class"))?,
            suite: Suite::try_from(from.suite)?,
            own_tree: tree_from_wire(from.own_tree, "own_tree")?,
            your_tree: tree_from_wire(from.your_tree, "your_tree")?,
        };
        message.check_claims()?;
        Ok(message)
    }
}

/// Only the 36-character lower-case form: one spelling per id.
fn parse_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|uuid| uuid.to_string() == text)
}

fn tree_to_wire(head: TreeHead) -> wire::TreeHead {
    wire::TreeHead { size: head.size, root: Bytes::copy_from_slice(&head.root) }
}

fn tree_from_wire(
    head: Option<wire::TreeHead>,
    field: &'static str,
) -> Result<Option<TreeHead>, MessageError> {
    let Some(wire::TreeHead { size, root }) = head else { return Ok(None) };
    let root = root.as_ref().try_into().map_err(|_| MessageError::OutOfBounds(field))?;
    Ok(Some(TreeHead { size, root }))
}

fn to_int64(time: UnixMillis) -> i64 {
    i64::try_from(time.as_u64()).unwrap_or(i64::MAX)
}

fn from_int64(time: i64) -> Option<UnixMillis> {
    u64::try_from(time).ok().map(UnixMillis)
}
