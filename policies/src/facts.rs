//! What the house tells the judge: facts it has established itself, never opinions and never octets.
//!
//! Facts borrow from the transaction they describe. Addresses are read as the house wrote them; the judge compares
//! them in lower case, so that a rule about `alice@acme.example` also sees `Alice@ACME.example`.

use dccp::Did;

/// Which way the mail crosses the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From our own mail server to a partner: it leaves sealed.
    Outbound,
    /// From a partner to our own mail server: it arrived sealed and is handed over in the clear.
    Inbound,
}

/// Whose address the reverse-path is (RFC 5321 §4.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderStanding {
    /// A person or a domain of our own organisation.
    Ours,
    /// The empty reverse-path `<>` of reports (RFC 5321 §4.5.5).
    Null,
    /// Somebody else's address.
    Foreign,
    /// Inbound only: the address belongs to a domain of the very partner the mail came from.
    ThePartner,
}

/// Where the mail would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A recipient of our own organisation.
    Ours,
    /// A recipient of a partner whose DID we know.
    Partner {
        /// The DID the mail would be sealed to.
        did: &'a Did,
        /// Whether that DID is still the one we pinned.
        standing: PartnerStanding,
    },
    /// Certainly no gateway that we know. A look-up that *failed* is not `Unknown`: the house answers `451` to it
    /// without asking the judge, because a failed look-up is never "no such destination".
    Unknown,
}

/// Whether a partner still is who we pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartnerStanding {
    /// The DID equals the pin.
    Pinned,
    /// Another DID was presented for a pinned domain; an administrator has to look.
    Conflict,
}

/// One recipient of one transaction, asked at `RCPT TO` (outbound) or per forward-path (inbound).
#[derive(Clone, Copy, Debug)]
pub struct RecipientFacts<'a> {
    /// Which way the mail crosses the house.
    pub direction: Direction,
    /// The reverse-path without its angle brackets; empty when null.
    pub sender: &'a str,
    /// Whose address the sender is.
    pub sender_standing: SenderStanding,
    /// The forward-path's mailbox, `local@domain`.
    pub recipient: &'a str,
    /// The domain of `recipient`.
    pub recipient_domain: &'a str,
    /// Where this recipient is.
    pub destination: Destination<'a>,
    /// Outbound: the client connected from a trusted network or authenticated. Inbound: not looked at.
    pub client_trusted: bool,
}

/// One mail to one destination, asked once its octets are complete. Mail for three partners is three questions.
#[derive(Clone, Copy, Debug)]
pub struct MailFacts<'a> {
    /// Which way the mail crosses the house.
    pub direction: Direction,
    /// The reverse-path without its angle brackets; empty when null.
    pub sender: &'a str,
    /// Whose address the sender is. Asked again here: a [`Permit`](crate::Permit) never rests on the memory of an
    /// earlier answer.
    pub sender_standing: SenderStanding,
    /// Where this copy goes.
    pub destination: Destination<'a>,
    /// Outbound: the client connected from a trusted network or authenticated. Inbound: not looked at.
    pub client_trusted: bool,
    /// How many recipients this copy has.
    pub recipients: usize,
    /// Size of the message in octets.
    pub size: u64,
    /// The largest size we take, in octets.
    pub size_max: u64,
    /// Media type of the message's outermost part, such as `text/plain`; empty when it names none.
    pub content_type: &'a str,
}
