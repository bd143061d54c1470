//! Where a recipient is: found out once, at `RCPT TO`, and remembered for the end of the message.

use std::collections::BTreeMap;

use dccp::Did;
use dccp::limits::FORWARD_PATHS_MAX;
use federation::Recognition;
use policies::{Destination, Direction};
use smtp::address::Address;
use smtp::server::RcptTo;

use crate::flows::Snapshot;
use crate::introductions::Gateway;
use crate::partners::Partner;

/// Where one recipient is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In our own organisation.
    Ours,
    /// At this partner.
    Partner(Did),
    /// At a domain that certainly has no gateway, or that nothing is sent to anyway.
    Outside(String),
    /// At a domain that has a gateway and is no partner.
    Stranger,
    /// Nowhere that we carry mail to.
    Unknown,
}

/// One final recipient: what is left when no alias is.
#[derive(Clone, Debug)]
pub(super) struct Recipient {
    pub(super) to: RcptTo,
    pub(super) place: Place,
}

/// The recipients of one row: the same place, as many as one mail may name.
pub(super) struct Group {
    pub(super) place: Place,
    pub(super) recipients: Vec<RcptTo>,
}

impl Place {
    /// What is known without asking anybody; `None`: the network has to be asked.
    pub(super) fn known(snapshot: &Snapshot, to: &Address) -> Option<Self> {
        if let Recognition::Ours(_) = snapshot.directory.recognise(to.as_str()) {
            return Some(Self::Ours);
        }
        let partner = snapshot.partners.by_domain(to.domain());
        let unasked = || to.domain().parse::<finding::DomainName>().is_err().then_some(Self::Unknown);
        partner.map(|partner| Self::Partner(partner.did().clone())).or_else(unasked)
    }

    /// What the network says of `domain`; `None`: nothing, for now.
    pub(super) fn found(gateway: Gateway, domain: &str) -> Option<Self> {
        match gateway {
            Gateway::Nothing => Some(Self::Outside(domain.to_owned())),
            Gateway::Stranger => Some(Self::Stranger),
            Gateway::Unclear => None,
        }
    }

    /// In the words of the judge. A partner that is none any more is nowhere.
    pub(super) fn destination<'a>(&'a self, snapshot: &'a Snapshot) -> Destination<'a> {
        match self {
            Self::Ours => Destination::Ours,
            Self::Partner(did) => {
                snapshot.partners.by_did(did).map_or(Destination::Unknown, Partner::destination)
            }
            Self::Outside(domain) => Destination::Outside { domain },
            Self::Stranger => Destination::Stranger,
            Self::Unknown => Destination::Unknown,
        }
    }

    /// Which way across the house leads there.
    pub(super) fn direction(&self) -> Direction {
        if *self == Self::Ours { Direction::FromOutside } else { Direction::Outbound }
    }
}

/// The recipients by place. Each group becomes one row: sealed once, relayed as one mail, handed over as one.
pub(super) fn groups(recipients: &[Recipient]) -> Vec<Group> {
    let mut places: BTreeMap<&Place, Vec<&RcptTo>> = BTreeMap::new();
    for recipient in recipients {
        places.entry(&recipient.place).or_default().push(&recipient.to);
    }
    let portions = |(place, all): (&Place, Vec<&RcptTo>)| {
        let group = |some: &[&RcptTo]| Group {
            place: place.clone(),
            recipients: some.iter().map(|to| (*to).clone()).collect(),
        };
        all.chunks(FORWARD_PATHS_MAX).map(group).collect::<Vec<_>>()
    };
    places.into_iter().flat_map(portions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smtp::dsn::Notify;

    fn at(place: Place, number: usize) -> Recipient {
        let address = format!("p{number}@somewhere.test").parse().unwrap();
        Recipient { to: RcptTo { address, notify: Notify::default(), orcpt: None }, place }
    }

    #[test]
    fn ten_thousand_recipients_are_one_group_for_each_organisation_or_what_one_mail_may_name() {
        let outside = |number: usize| Place::Outside(format!("d{}.test", number % 7));
        let mut recipients: Vec<_> = (0..7_000).map(|number| at(outside(number), number)).collect();
        recipients.extend((7_000..10_000).map(|number| at(Place::Ours, number)));
        let groups = groups(&recipients);
        assert_eq!(groups.len(), 7 + 3_000_usize.div_ceil(FORWARD_PATHS_MAX));
        assert_eq!(groups.iter().map(|group| group.recipients.len()).sum::<usize>(), 10_000);
        assert!(groups.iter().all(|group| group.recipients.len() <= FORWARD_PATHS_MAX));
    }

    #[test]
    fn only_a_certain_answer_opens_the_way_outside() {
        assert_eq!(Place::found(Gateway::Nothing, "a.test"), Some(Place::Outside("a.test".to_owned())));
        assert_eq!(Place::found(Gateway::Stranger, "a.test"), Some(Place::Stranger));
        assert_eq!(Place::found(Gateway::Unclear, "a.test"), None);
    }
}
