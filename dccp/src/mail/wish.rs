//! What the sender asked to be told of one recipient (RFC 3461): carried with the envelope, acted on by whoever reports.

use super::MailError;
use crate::limits::{ADDRESS_TYPE_BYTES_MAX, ORIGINAL_RECIPIENT_BYTES_MAX};
use crate::wire;

/// How much of the message a report of failure returns (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// All of it.
    Full = 1,
    /// Its header.
    Headers = 2,
}

/// What the sender asked to be told of one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// When.
    pub notify: Notify,
    /// The recipient as the sender first wrote it (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
}

/// When the sender wants a report (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// Not said.
    #[default]
    Unspecified,
    /// Whatever happens, none.
    Never,
    /// Exactly for what is named; at least one is.
    On {
        /// It was delivered.
        success: bool,
        /// It was given up.
        failure: bool,
        /// It is late.
        delay: bool,
    },
}

/// An address of a named type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// `rfc822`, `utf-8` (RFC 6533 §3) or another: 1 to 32 letters, digits and hyphens.
    pub kind: String,
    /// The address, decoded: 1 to 500 octets without control characters.
    pub address: String,
}

const NEVER: u32 = 1;
const SUCCESS: u32 = 2;
const FAILURE: u32 = 4;
const DELAY: u32 = 8;

impl Return {
    pub(super) fn from_number(number: u32) -> Result<Option<Self>, MailError> {
        match number {
            0 => Ok(None),
            1 => Ok(Some(Self::Full)),
            2 => Ok(Some(Self::Headers)),
            _ => Err(MailError::Wish),
        }
    }
}

impl Wish {
    pub(super) fn to_wire(&self) -> wire::Wish {
        let (kind, address) = match &self.original {
            Some(original) => (original.kind.clone(), original.address.clone()),
            None => (String::new(), String::new()),
        };
        wire::Wish { notify: self.notify.number(), original_type: kind, original_recipient: address }
    }

    pub(super) fn from_wire(wish: wire::Wish) -> Result<Self, MailError> {
        let (kind, address) = (wish.original_type, wish.original_recipient);
        let original = match (kind.is_empty(), address.is_empty()) {
            (true, true) => None,
            (false, false) if is_kind(&kind) && is_address(&address) => {
                Some(OriginalRecipient { kind, address })
            }
            _ => return Err(MailError::Wish),
        };
        Ok(Self { notify: Notify::from_number(wish.notify)?, original })
    }
}

impl Notify {
    fn number(self) -> u32 {
        let flag = |wanted: bool, number: u32| if wanted { number } else { 0 };
        match self {
            Self::Unspecified => 0,
            Self::Never => NEVER,
            Self::On { success, failure, delay } => {
                flag(success, SUCCESS) | flag(failure, FAILURE) | flag(delay, DELAY)
            }
        }
    }

    fn from_number(number: u32) -> Result<Self, MailError> {
        let has = |flag: u32| number & flag != 0;
        match number {
            0 => Ok(Self::Unspecified),
            NEVER => Ok(Self::Never),
            _ if has(NEVER) || number > SUCCESS | FAILURE | DELAY => Err(MailError::Wish),
            _ => Ok(Self::On { success: has(SUCCESS), failure: has(FAILURE), delay: has(DELAY) }),
        }
    }
}

fn is_kind(kind: &str) -> bool {
    kind.len() <= ADDRESS_TYPE_BYTES_MAX && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_address(address: &str) -> bool {
    address.len() <= ORIGINAL_RECIPIENT_BYTES_MAX && !address.chars().any(char::is_control)
}
