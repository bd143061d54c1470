//! Where messages wait for, how it is with that place, and who says so.

use std::collections::BTreeMap;

use control::{ControlError, DestinationList, DestinationView};

use super::{Administration, silent};
use crate::spool::{Backlog, Direction, State, Trouble};

impl Administration {
    /// Partners with or without mail, then every other place that something waits for.
    pub(super) async fn places(&self) -> Result<DestinationList, ControlError> {
        let mut places: BTreeMap<String, DestinationView> = BTreeMap::new();
        self.add_partners(&mut places);
        for backlog in self.spool.backlog().await.map_err(silent)? {
            let place = match backlog.direction {
                Direction::Out => places
                    .entry(backlog.partner_domain.clone())
                    .or_insert_with(|| empty(&backlog.partner_domain, "outside")),
                Direction::In => places.entry(String::new()).or_insert_with(|| empty("", "home")),
            };
            count(place, &backlog);
        }
        for known in self.exchange.destinations() {
            if let (Some(place), Some(error)) = (places.get_mut(&known.domain), known.last_error) {
                place.until_ms = known.until.map(|until| until.0);
                place.state = "backing-off".to_owned();
                place.error = Some(error);
                place.error_from = Some("connection".to_owned());
            }
        }
        for trouble in self.spool.troubles().await.map_err(silent)? {
            let name = if trouble.direction == Direction::Out { trouble.partner_domain.as_str() } else { "" };
            if let Some(place) = places.get_mut(name) {
                complain(place, &trouble);
            }
        }
        Ok(DestinationList { destinations: places.into_values().collect() })
    }

    fn add_partners(&self, places: &mut BTreeMap<String, DestinationView>) {
        let (partners, links) = (self.partners.borrow(), self.links.borrow());
        for partner in partners.iter() {
            let mut place = empty(partner.domain(), "partner");
            if let Some(link) = links.get(partner.did()) {
                place.state = if link.up { "up" } else { "down" }.to_owned();
                place.error = link.last_error.clone().filter(|_| !link.up);
                place.error_from = place.error.as_ref().map(|_| "connection".to_owned());
            }
            places.insert(partner.domain().to_owned(), place);
        }
    }
}

fn empty(name: &str, kind: &str) -> DestinationView {
    DestinationView {
        name: name.to_owned(),
        kind: kind.to_owned(),
        state: "quiet".to_owned(),
        until_ms: None,
        error: None,
        error_from: None,
        queued: 0,
        sent: 0,
        held: 0,
        oldest_at_ms: None,
    }
}

fn count(place: &mut DestinationView, backlog: &Backlog) {
    match backlog.state {
        State::Queued => place.queued += backlog.count.rows,
        State::Sent => place.sent += backlog.count.rows,
        State::Held => place.held += backlog.count.rows,
        State::Delivered | State::Failed | State::Expired => return,
    }
    let oldest = place.oldest_at_ms.unwrap_or(u64::MAX).min(backlog.oldest_at.0);
    place.oldest_at_ms = Some(oldest);
}

/// What the last attempt met says more than a link that is up; a link that is down says it itself.
fn complain(place: &mut DestinationView, trouble: &Trouble) {
    place.until_ms = Some(place.until_ms.unwrap_or(u64::MAX).min(trouble.next_at.0));
    if place.error.is_none() {
        place.state = "backing-off".to_owned();
        place.error = Some(trouble.why.clone());
        place.error_from = Some("last attempt".to_owned());
    }
}
