//! The language two nodes speak: identities, sealed messages, receipts and their encoding. Pure.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod cbor;
pub mod did;
pub mod frame;
pub mod keys;
pub mod limits;
pub mod mail;
pub mod message;
pub mod node;
pub mod partner;
pub mod prekey;
pub mod receipt;
mod record;
pub mod seal;
mod suite;
mod time;
mod wire;
pub mod xwing;

pub use cbor::CborError;
pub use did::{BadDid, Did};
pub use record::RecordError;
pub use suite::{Suite, UnsupportedSuite};
pub use time::UnixMillis;
pub use wire::Malformed;
