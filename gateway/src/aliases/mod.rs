//! Aliases: addresses of ours that stand for others, ours or foreign.
//!
//! ```text
//! file ─ read: places, addresses, no circle, not too deep, not too many ─► Aliases ─ expand ─► final recipients
//!   └─ watch: changed? read again; a mistake changes nothing and is said
//! ```
//!
//! Invariants: an alias is an address of a domain of ours, so nobody else's mail is turned; every expansion ends, which is
//! proven when the file is read; a file with a mistake is not taken, neither in part.
//!
//! Deliberately absent: patterns, programs and files as members; who may write to an alias (a rule in `policies` says
//! that); forwarding for mail from the Internet and from partners.

mod read;
mod watch;

use std::collections::{BTreeSet, HashMap};

use dccp::address::canonical;
use smtp::address::Address;

pub use read::{Mistake, load, read};
pub use watch::Watch;

/// Aliases that lead to aliases: an organisation, its department, its team, its people; more is a mistake.
pub const DEPTH_MAX: usize = 10;

/// Addresses that one alias may come to: as many as one mail may have recipients.
pub const MEMBERS_MAX: usize = 10_000;

/// All aliases at one moment.
#[derive(Debug, Default)]
pub struct Aliases {
    /// By [`canonical`] address. Free of circles.
    members: HashMap<String, Vec<Address>>,
}

impl Aliases {
    /// Whom mail to `to` is for, each once, in the order of the file; `None` when it is no alias.
    pub fn expand(&self, to: &Address) -> Option<Vec<Address>> {
        let members = self.members.get(&canonical(to.as_str()))?;
        let mut found = Found::default();
        members.iter().for_each(|member| self.follow(member, &mut found));
        Some(found.addresses)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Ends, because there is no circle and nothing is followed twice.
    fn follow(&self, address: &Address, found: &mut Found) {
        if !found.seen.insert(canonical(address.as_str())) {
            return;
        }
        match self.members.get(&canonical(address.as_str())) {
            Some(members) => members.iter().for_each(|member| self.follow(member, found)),
            None => found.addresses.push(address.clone()),
        }
    }
}

#[derive(Default)]
struct Found {
    seen: BTreeSet<String>,
    addresses: Vec<Address>,
}
