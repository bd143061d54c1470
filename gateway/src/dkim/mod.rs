//! The keys that sign our mail for the open Internet (DKIM, ARC): made, shown to DNS, taken into use, retired.
//!
//! ```text
//! dkim create, rotate ─► KeyFolder ─ a waiting pair ─┐                      ┌─► signs ─► retired, its private keys gone
//!                                                    └ Rotation asks DNS ───┘
//!                                                      both records visible?
//! ```
//!
//! Words: a *pair* is one Ed25519 and one RSA key under a common selector ([`smtp::authenticity::KeyPair`]); it *waits*
//! until its public keys stand in DNS, then it *signs*, and when a newer one signs it is *retired*.
//!
//! For the flows: [`Rotation::signer`] is a snapshot behind a `watch`; a flow takes one per message.
//!
//! Invariants:
//! - Nothing is signed with a key that nobody can look up, and DNS that does not answer changes nothing.
//! - There is no moment without a signing pair once there was one.
//! - Private keys lie sealed under the storage key, like everything else of ours that is made while the gateway runs; it
//!   is sealed under the master key itself. So a rotation needs nobody to type a passphrase.
//!
//! Deliberately absent: writing into DNS (its owner does), and which mail is signed (the flows).

mod folder;
mod rotation;

pub use folder::{DkimError, KeyFolder, Pairs, Retired};
pub use rotation::Rotation;
