//! What a sender asked to be told, and what of (RFC 3461): carried with the envelope from hop to hop.

/// `RET=`: how much of the message a report about failure returns (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Only its header.
    Headers,
}

/// `NOTIFY=`: when the sender wants a report about one recipient (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Notify {
    /// Not said: on failure, and on delay where the server likes to (RFC 3461 §4.1).
    #[default]
    Unspecified,
    /// `NEVER`: whatever happens.
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

/// `ORCPT=`: the recipient as the sender first wrote it, before anyone rewrote it (RFC 3461 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient {
    /// The type of the address: `rfc822`, `utf-8` (RFC 6533 §3) or another atom.
    pub kind: String,
    /// The address, decoded; printable, of at most 500 octets as it travelled.
    pub address: String,
}
