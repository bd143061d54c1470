//! Who answers an administrator: about everything, about the queue, about the archive.

use std::sync::Arc;

use control::Check;

use super::ground::Ground;
use super::workers::Fallen;
use crate::archive;
use crate::exchange::Exchange;
use crate::http::{Answers, Vouch};
use crate::introductions::{Room, Seeker};
use crate::queue::Administration;

impl Ground {
    pub(super) fn answers(&self, overlay: &overlay::Overlay, room: &Room, fallen: &Fallen) -> Answers {
        let fallen = fallen.clone();
        let listening = overlay.clone();
        let road: Vouch = Box::new(move || match listening.listen_addresses().len() {
            0 => Check::failed("overlay", "listens on no address (overlay.listen)"),
            addresses => Check::ok("overlay", format!("listens on {addresses} addresses")),
        });
        let (identify, clock) = (room.identify(), self.clock);
        let seeker =
            Seeker { partners: self.partners.clone(), contacts: self.contacts(), road: room.road.clone() };
        let links = overlay.links();
        let partners = self.partners.clone();
        let roads: Vouch = Box::new(move || {
            let (known, up) =
                (partners.borrow().iter().count(), links.borrow().values().filter(|link| link.up).count());
            // A partner that is away is no reason to refuse mail: it waits.
            Check::ok("partners", format!("{up} of {known} links are up"))
        });
        Answers {
            domain: self.config.organisation.domain.clone(),
            did: self.custody.did().clone(),
            spool: self.spool.clone(),
            vault: self.custody.vault().clone(),
            partners: self.partners.clone(),
            links: overlay.links(),
            metrics: self.metrics.clone(),
            vouches: vec![road, roads],
            fallen: Box::new(move || fallen.names()),
            identify: Box::new(move |did, nodes| {
                let identify = identify.clone();
                Box::pin(async move { identify.identify(did, nodes, clock()).await })
            }),
            seek: Box::new(move |address| {
                let seeker = seeker.clone();
                Box::pin(async move { seeker.seek(&address, clock()).await })
            }),
            started_at: (self.clock)(),
            clock: self.clock,
        }
    }

    pub(super) fn administration(
        &self,
        overlay: &overlay::Overlay,
        exchange: &Arc<Exchange>,
    ) -> Administration {
        Administration {
            spool: self.spool.clone(),
            vault: self.custody.vault().clone(),
            reporter: self.reporter(),
            partners: self.partners.clone(),
            links: overlay.links(),
            exchange: exchange.clone(),
            standing: self.standing.clone(),
            clock: self.clock,
        }
    }

    /// The archive as its administrator sees it.
    pub(super) fn archive(&self) -> archive::Administration {
        archive::Administration {
            spool: self.spool.clone(),
            vault: self.custody.vault().clone(),
            law: self.law.clone(),
            holds: self.holds.clone(),
            clock: self.clock,
        }
    }
}
