//! The language two nodes speak: identities, sealed messages, receipts and their encoding. Pure.
//!
//! # Words
//! [`Did`]: the name of an organisation or a person. [`did::Log`] and [`did::DidDocument`]: why we believe it. [`did::Manifest`]:
//! its devices. [`prekey::Prekey`] and [`prekey::Stock`]: its key of the day, its one-time keys. [`message::Message`]:
//! the clear form. [`seal::SealedMessage`]: the form that travels and rests. [`receipt::Receipt`]: what became of it.
//! [`frame::Frame`]: what carries it over a stream. [`Suite`]: which algorithms. [`batch`] and [`session::Session`]: what
//! many messages share, a signature and an encapsulation.
//!
//! # Flow
//! ```text
//! partner file ─ verify ─► DidDocument, Devices, Prekeys ──┐
//! Mail ─ encode ─► Message ────────────────────────────────┴─ seal ─► SealedMessage ─► Frame ─► network
//! network ─► Frame ─► SealedMessage ─ unseal (our key) ─► Unverified ─ verify (their key, now) ─► Opened
//! ```
//!
//! # Invariants
//! * **Pure**: no clock, no files, no network, no task. Time is an argument ([`UnixMillis`]); randomness is an
//!   argument (`rng`) with two exceptions: aws-lc-rs draws the randomness of ML-KEM encapsulation and the hedging of
//!   ML-DSA signatures from its own generator, and FN-DSA signatures draw from the same one. So a seeded `rng` repeats
//!   keys and X25519 ephemerals, but never a ciphertext or a signature.
//! * **Hybrid** unless a suite says otherwise: a record's and by default a message's signature is Ed25519 *and*
//!   ML-DSA-65, its secret X25519 *and* ML-KEM-768; breaking one of each pair gains nothing.
//! * **One encoding**: dCBOR is the strict subset of `cbor.rs`; protobuf is decoded strictly; a sealed message has
//!   exactly one byte string. What is signed is the exact bytes.
//! * **Bounded**: each decoder refuses by [`limits`] before it allocates, and never panics.
//! * **Typed refusal**: what this version does not speak is named in an error, never skipped.
//!
//! # Deliberately absent
//! Storage of keys and seen messages, which keys to trust (pinning), retries, transport; several recipients per
//! ciphertext (`docs/PROTOCOL.md` lists all that is not built). Clear payloads are not zeroed on drop: a mail exists in
//! clear in the mail server next door anyway. Private keys, seeds and shared secrets are.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod address;
pub mod batch;
pub mod body;
mod cbor;
pub mod did;
mod digest;
pub mod find;
pub mod frame;
pub mod kem;
pub mod keys;
pub mod limits;
pub mod mail;
pub mod message;
pub mod mlkem;
pub mod node;
mod padding;
pub mod partner;
pub mod prekey;
pub mod receipt;
mod recent;
mod record;
pub mod seal;
pub mod session;
pub mod stock;
pub mod succession;
pub mod suite;
mod time;
pub mod transparency;
pub mod tree;
mod wire;
pub mod xwing;

pub use cbor::CborError;
pub use did::{BadDid, Did};
pub use record::RecordError;
pub use suite::{NoCommonSuite, Suite, UnsupportedSuite};
pub use time::UnixMillis;
pub use wire::Malformed;
