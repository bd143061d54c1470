//! Receipts: what became of a mail at its destination, said by the destination's gateway.
//!
//! A batch of receipts is the payload of one sealed message; its hybrid signature is the signature of each receipt.

use bytes::Bytes;
use prost::Message as _;
use uuid::Uuid;

use crate::UnixMillis;
use crate::limits::{
    DIAGNOSTIC_BYTES_MAX, OUTCOMES_MAX, PATH_BYTES_MAX, RECEIPTS_BYTES_MAX, RECEIPTS_MAX, STATUS_BYTES_MAX,
};
use crate::wire::{self, Malformed};

/// The content type of a batch of receipts.
pub const CONTENT_TYPE: &str = "application/dccp-receipts";

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub message_id: Uuid,
    /// SHA-256 of its sealed bytes, as they arrived.
    pub digest: [u8; 32],
    /// When this was so.
    pub time: UnixMillis,
    /// What became of it per recipient.
    pub outcomes: Vec<Outcome>,
}

/// What became of a mail for one recipient (RFC 3464 §2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The forward path; empty: the whole message, whose recipients the speaker could not read.
    pub recipient: String,
    /// What happened.
    pub action: Action,
    /// The enhanced status code (RFC 3463), for example `2.1.5`.
    pub status: String,
    /// The answer of the mail server behind the gateway, or our own words.
    pub diagnostic: String,
}

/// RFC 3464 §2.3.3, as far as a gateway can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// In the recipient's mail system.
    Delivered = 1,
    /// Given up.
    Failed = 2,
    /// Not yet; tried again.
    Delayed = 3,
}

impl Action {
    fn from_number(number: u32) -> Option<Self> {
        [Self::Delivered, Self::Failed, Self::Delayed].into_iter().find(|action| *action as u32 == number)
    }
}

/// Why a payload is not a batch of receipts: the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not protobuf, too large, too many elements or unknown fields.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A field has a value that no receipt has.
    #[error("receipt field `{0}` is out of bounds")]
    OutOfBounds(&'static str),
}

/// Encodes a batch of at most [`RECEIPTS_MAX`] receipts. Diagnostics are foreign text: they are clipped to
/// [`DIAGNOSTIC_BYTES_MAX`] and their control characters become spaces.
pub fn encode(receipts: &[Receipt]) -> Vec<u8> {
    let outcome = |outcome: &Outcome| wire::Outcome {
        recipient: outcome.recipient.clone(),
        action: outcome.action as u32,
        status: outcome.status.clone(),
        diagnostic: one_line(&outcome.diagnostic, DIAGNOSTIC_BYTES_MAX),
    };
    let receipt = |receipt: &Receipt| wire::Receipt {
        message_id: Bytes::copy_from_slice(receipt.message_id.as_bytes()),
        digest: Bytes::copy_from_slice(&receipt.digest),
        time: i64::try_from(receipt.time.as_u64()).unwrap_or(i64::MAX),
        outcomes: receipt.outcomes.iter().map(outcome).collect(),
    };
    wire::Receipts { receipts: receipts.iter().map(receipt).collect() }.encode_to_vec()
}

/// Reads a batch.
///
/// # Errors
/// Any [`ReceiptError`]; one bad receipt refuses the batch, because no honest gateway makes one.
pub fn decode(payload: &[u8]) -> Result<Vec<Receipt>, ReceiptError> {
    if payload.len() > RECEIPTS_BYTES_MAX {
        return Err(Malformed.into());
    }
    let fields = wire::delimited_fields(Bytes::copy_from_slice(payload), RECEIPTS_MAX)?;
    fields.into_iter().map(|(number, bytes)| decode_receipt(number, bytes)).collect()
}

fn decode_receipt(number: u32, bytes: Bytes) -> Result<Receipt, ReceiptError> {
    const RECEIPT: u32 = 1;
    const OTHER_FIELDS: usize = 3;
    if number != RECEIPT {
        return Err(Malformed.into());
    }
    let receipt: wire::Receipt = wire::decode(bytes, OTHER_FIELDS + OUTCOMES_MAX)?;
    let message_id = receipt.message_id.as_ref();
    Ok(Receipt {
        message_id: Uuid::from_slice(message_id).map_err(|_| ReceiptError::OutOfBounds("message_id"))?,
        digest: receipt.digest.as_ref().try_into().map_err(|_| ReceiptError::OutOfBounds("digest"))?,
        time: UnixMillis(u64::try_from(receipt.time).map_err(|_| ReceiptError::OutOfBounds("time"))?),
        outcomes: receipt.outcomes.into_iter().map(check_outcome).collect::<Result<_, _>>()?,
    })
}

fn check_outcome(outcome: wire::Outcome) -> Result<Outcome, ReceiptError> {
    let one_line = |text: &str, bytes_max| text.len() <= bytes_max && !text.chars().any(char::is_control);
    if !one_line(&outcome.recipient, PATH_BYTES_MAX) {
        return Err(ReceiptError::OutOfBounds("recipient"));
    }
    if !is_status(&outcome.status) {
        return Err(ReceiptError::OutOfBounds("status"));
    }
    if !one_line(&outcome.diagnostic, DIAGNOSTIC_BYTES_MAX) {
        return Err(ReceiptError::OutOfBounds("diagnostic"));
    }
    Ok(Outcome {
        recipient: outcome.recipient,
        action: Action::from_number(outcome.action).ok_or(ReceiptError::OutOfBounds("action"))?,
        status: outcome.status,
        diagnostic: outcome.diagnostic,
    })
}

/// RFC 3463 §2: class 2, 4 or 5, then two numbers of up to three digits.
fn is_status(status: &str) -> bool {
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
    let mut parts = status.split('.');
    status.len() <= STATUS_BYTES_MAX
        && parts.next().is_some_and(|class| matches!(class, "2" | "4" | "5"))
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
        && parts.next().is_none()
}

/// Foreign text as one line of at most `bytes_max` octets.
pub(crate) fn one_line(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + character.len_utf8() > bytes_max {
            break;
        }
        line.push(character);
    }
    line
}
