//! One-time keys between partners: what we give them, and what we have of theirs.
//!
//! ```text
//! theirs  sealing takes one ─► shelf (memory) ─ low ─► refill ─ ask ─► /dccp/prekey/1 ─► their stock, verified
//! ours    /dccp/prekey/1 ─► serving ─► custody's stock (database)
//! ```
//!
//! Nobody waits for a one-time key: without one a message is sealed to the epoch prekey.

mod refill;
mod serving;
mod shelf;

pub use refill::{AskPrekeys, Refill};
pub use serving::Prekeys;
pub use shelf::Shelf;
