//! People: their DIDs, their addresses, and who may learn of them.
//!
//! ```text
//! administrator ─► Registrar ── add, publish, unlist, leave, deactivate, devices ─► database
//!                                  └─ each change of an address is a leaf ─► tree ─► signed head
//! partners, strangers ── /dccp/find/1 ─► Registry ── person or "seal to us", on a fixed grid of time
//! our senders ─► Contacts ── asks partners behind the mail's back ─► cache ─► Watch ── one tree? ─► alarm
//! ```
//!
//! Words: a *binding* ties an address to a person; an address is *published* when strangers are told the person. The
//! *registrar's secret* is the one secret of this room: every key of every person derives from it when it is used.
//!
//! Invariants:
//! - Whoever is not published cannot be told from whoever does not exist: same bytes, same work, same grid.
//! - The tree only grows; a partner's head that does not continue the known one raises an alarm and replaces nothing.
//! - No question to a partner that fails ever delays mail or changes how it is sealed.
//!
//! Deliberately absent: sealing to a person's own devices (the flows decide); telling partners what we saw of others:
//! they read what is published, as we do ([`Watch::observe_published`]).

mod answers;
mod authority;
mod contacts;
mod grid;
mod keys;
mod newcomers;
mod quotas;
mod records;
mod registrar;
mod table;
mod tree;
mod watch;

pub use answers::{Asker, Registry};
pub use authority::Authority;
pub use contacts::{Ask, AskError, Asked, Contacts, Correspondent, Sought};
pub use records::{DeviceFile, DeviceFileError};
pub use registrar::{Added, Holding, NewPerson, PeopleError, Registrar};
pub use table::{Person, Standing};
pub use watch::{TreeAlarm, Watch, alarms, clear_alarms};

#[cfg(test)]
mod tests;
