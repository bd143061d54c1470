//! Partners: the organisations we exchange mail with, each pinned to one DID by an administrator.
//!
//! ```text
//! partner file ─► import ─► new domain            → pinned
//!                        ├► same DID              → refreshed
//!                        └► another DID           → candidate; the partner is in conflict, its mail is held
//!                                                   └► accept (with the fingerprint) or reject
//! newer records ─► keep ─► a longer or overruling history is taken; a contradiction freezes the partner
//! database ─► load ─► Partners (immutable snapshot) ─► flows, overlay, console
//! ```
//!
//! Words: a *pin* is the DID that a domain had when an administrator first imported it; a *candidate* is another DID
//! that came for a pinned domain; a *fingerprint* is the DID in groups for reading aloud; a *footing* is how we came to
//! believe a partner, and whether it contradicts itself.
//!
//! Invariants:
//! - A pin never changes without a person who names the fingerprint (protocol §3).
//! - Everything in a snapshot was verified against the pinned DID's log when it was imported.
//! - A partner whose records have lapsed stays a partner: its mail is held, never refused as unknown.
//!
//! Deliberately absent: looking for partners and their records (`finding`, `introductions`).

mod minimum;
mod newcomer;
mod registry;
mod renewal;
mod snapshot;
mod table;

pub use minimum::set_suite_minimum;
pub use registry::{
    AcceptError, Accepted, Clash, ImportError, Imported, Ourselves, accept, import, is_spoken, looked_at,
    reject, remove, take_in,
};
pub use renewal::{keep, recall};
pub use snapshot::{Candidate, LearnError, Partner, Partners};

#[cfg(test)]
mod tests;
