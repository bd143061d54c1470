//! Permission as a value.

use dccp::Did;

use crate::facts::{Destination, Direction, PartnerStanding};

/// Proof that the judge allowed one mail to go to one destination.
///
/// Sealing and handing over take a `Permit` by value, so forgetting to ask does not compile, and one permit serves one
/// act: it is neither `Clone` nor `Copy`, its fields are private, and only [`decide_mail`](crate::decide_mail) makes
/// one.
///
/// ```compile_fail,E0451
/// let forged = policies::Permit { purpose: policies::Purpose::HandOver, rules: Vec::new() };
/// ```
///
/// ```compile_fail,E0277
/// fn is_clone<T: Clone>() {}
/// is_clone::<policies::Permit>();
/// ```
///
/// ```compile_fail,E0277
/// fn is_default<T: Default>() {}
/// is_default::<policies::Permit>();
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is dropped means a mail that was allowed and did not go"]
pub struct Permit {
    purpose: Purpose,
    rules: Vec<String>,
}

/// The one act a [`Permit`] is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Seal the mail to this pinned partner.
    Seal {
        /// The partner's DID.
        to: Did,
    },
    /// Hand the mail to our own mail server.
    HandOver,
}

impl Purpose {
    /// The one safe way to carry such a mail, if there is one: sealing needs a pinned partner, and clear text goes to
    /// our own server only. Rules may say what they like; without a way there is no permit.
    pub(crate) fn of(direction: Direction, destination: Destination<'_>) -> Option<Self> {
        match (direction, destination) {
            (Direction::Outbound, Destination::Partner { did, standing: PartnerStanding::Pinned }) => {
                Some(Self::Seal { to: did.clone() })
            }
            (Direction::Inbound, Destination::Ours) => Some(Self::HandOver),
            _ => None,
        }
    }
}

impl Permit {
    /// Only the judge calls this, after the rules said yes.
    pub(crate) fn new(purpose: Purpose, rules: Vec<String>) -> Self {
        Self { purpose, rules }
    }

    /// What this permit is good for.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Ids of the rules that allowed it.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }
}
