//! The mail edge: takes mail from SMTP clients, hands mail to mail servers, and writes reports, in the words of
//! the RFCs.
//!
//! ```text
//!  a mail client or server                                   the internal mail server
//!        │ SMTP                                                     ▲ SMTP or LMTP
//!        ▼                                                          │
//!   server::serve ──questions──► Reception (the house)      client::Pool::hand_over ◄── the house
//!        │   one session,           │      ▲
//!        │   pure octets            │      └── message::read   facts, malformed mail
//!        └── octets, unchanged ─────┘          trace::received the header a relay prepends
//!                                              dsn::failure    the report when it did not work
//! ```
//!
//! Words (RFC 5321, RFC 5322): an [`address::Address`] is a mailbox, an envelope is the reverse path and the
//! forward paths, a message is the octets between `DATA` and the final dot or
//! in the chunks of `BDAT`, a [`reply::Reply`] is what a server
//! says. The house is whoever implements [`server::Reception`].
//!
//! Invariants:
//! - The octets of a message go in and come out as they are; what a relay must add stands in front of them.
//! - Only CRLF ends a line, and only CRLF.CRLF or a count of octets a message, on both sides; a message with any
//!   other line end is refused as a whole, or mended before anyone reads it, and never passed on as it is.
//! - A positive reply to a message comes from the house, after it has kept the message.
//! - Everything that grows has a named limit, and nothing panics on what comes from outside.
//!
//! Deliberately absent: DIDs, partners, policies and storage (the house knows them), DNS and MX look-up (the
//! peer is configured), and BINARYMIME (the lines of a message end in CRLF, whatever carries it).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod address;
pub mod authenticity;
pub mod client;
pub mod compose;
pub mod dsn;
pub mod message;
pub mod reply;
pub mod route;
pub mod sasl;
pub mod server;
pub mod tls;
pub mod trace;
