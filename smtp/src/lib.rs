//! The mail edge: RFC 5321 sessions, RFC 5322 messages, RFC 3464 reports. Knows nothing of DIDs.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod address;
pub mod client;
pub mod dsn;
pub mod message;
pub mod reply;
pub mod server;
pub mod trace;
