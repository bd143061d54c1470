//! Permission as a value.

use dccp::Did;

use crate::facts::{
    Client, Demand, Destination, Direction, MailFacts, Marks, PartnerStanding, RecipientFacts,
};

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
    /// Relay the mail to the servers of a domain that has no gateway.
    Relay {
        /// That domain.
        domain: String,
        /// What their TLS must be like, at least.
        demand: Demand,
    },
}

/// What of the facts decides which ways are safe at all.
pub(crate) struct Course<'a> {
    direction: Direction,
    destination: Destination<'a>,
    client: Client<'a>,
    marks: Marks,
    outside: Option<Demand>,
}

impl<'a> Course<'a> {
    pub(crate) fn of_recipient(facts: &RecipientFacts<'a>) -> Self {
        let RecipientFacts { direction, destination, client, marks, outside, .. } = *facts;
        Self { direction, destination, client, marks, outside }
    }

    /// A sender who insists on TLS (RFC 8689) raises the demand; it opens no way.
    pub(crate) fn of_mail(facts: &MailFacts<'a>) -> Self {
        let MailFacts { direction, destination, client, marks, outside, require_tls, .. } = *facts;
        let outside = outside.map(|demand| if require_tls { Demand::Verified } else { demand });
        Self { direction, destination, client, marks, outside }
    }
}

impl Purpose {
    /// The one safe way to carry such a mail, if there is one: sealing needs a pinned partner, clear text goes to our
    /// own server, and to the outside only where the configuration opened it, for clients that may send, and never
    /// when the mail must be encrypted. Rules may say what they like; without a way there is no permit.
    pub(crate) fn of(course: &Course<'_>) -> Option<Self> {
        match (course.direction, course.destination) {
            (Direction::Outbound, _) if !course.client.may_send() => None,
            (Direction::Outbound, Destination::Partner { did, standing: PartnerStanding::Pinned }) => {
                Some(Self::Seal { to: did.clone() })
            }
            (Direction::Outbound, Destination::Outside { domain }) if !course.marks.must_encrypt => {
                course.outside.map(|demand| Self::Relay { domain: domain.to_lowercase(), demand })
            }
            (Direction::Inbound | Direction::FromOutside, Destination::Ours) => Some(Self::HandOver),
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
