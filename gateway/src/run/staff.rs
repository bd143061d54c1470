//! The road and the workers that are employed on the ground.

use std::sync::Arc;

use dccp::batch::RootCache;
use prometheus_client::registry::Registry;
use smtp::authenticity::Verifier;
use tokio::sync::mpsc;

use super::ground::{Ground, TRACE_BYTES_MAX};
use super::{Error, mail_server};
use crate::acquaintance::{Acquaintance, Presented, hello};
use crate::archive;
use crate::courier::{self, Kit};
use crate::delivery::{self, Delivery};
use crate::dkim::{KeyFolder, Rotation};
use crate::flows::arrival::{Arrivals, House};
use crate::flows::mail_in::MailIn;
use crate::flows::receipts::{Answering, Receipts};
use crate::flows::release::Release;
use crate::flows::under_way::UnderWay;
use crate::forward::Refill;
use crate::housekeeping::Housekeeping;
use crate::introductions::{GossipTask, Heard, Room};
use crate::partners::Partner;

/// Connections to our mail server share this many messages in work for each of them, so that none idles.
const MESSAGES_PER_CONNECTION: usize = 2;

impl Ground {
    pub(super) async fn overlay(
        &self,
        room: &Room,
        presented: mpsc::Sender<Presented>,
        delivery: delivery::Handle,
        registry: &mut Registry,
    ) -> Result<overlay::Overlay, Error> {
        let arrivals = Arrivals {
            spool: self.spool.clone(),
            custody: self.custody.clone(),
            partners: self.partners.clone(),
            presented,
            delivery,
            metrics: self.metrics.clone(),
            lifetime_ms: self.config.queue.lifetime_ms(),
            clock: self.clock,
        };
        let overlay = &self.config.overlay;
        let config = overlay::Config {
            node_key_seed: self.custody.node_seed(),
            listen: overlay.listen.clone(),
            mdns: overlay.mdns,
            kad: if overlay.kad { overlay::Kad::Server } else { overlay::Kad::Off },
            bootstrap: overlay.bootstrap.clone(),
            limits: overlay::Limits::default(),
        };
        let partners = self.partners.borrow().iter().map(Partner::for_overlay).collect();
        let house = Arc::new(House { arrivals: Arc::new(arrivals), questions: room.answers.clone() });
        let hello = hello(&self.custody, &room.own);
        Ok(overlay::start(config, hello, partners, house, registry, self.clock).await?)
    }

    /// Looks into what messages tell of trees and people.
    pub(super) fn gossiping(&self, room: &Room, heard: mpsc::Receiver<Heard>) -> GossipTask {
        GossipTask {
            gossip: self.gossip.clone(),
            heard,
            road: room.road.clone(),
            contacts: self.contacts(),
            watch: self.watch(),
            registry: room.registry.clone(),
            own: room.own.clone(),
            partners: self.partners.clone(),
            clock: self.clock,
        }
    }

    /// Takes DKIM keys into use.
    pub(super) fn rotation(&self) -> Result<Rotation, Error> {
        let keys = KeyFolder::beside(&self.config.keys.storage, self.custody.vault().clone());
        let verifier = Arc::new(Verifier::new(self.config.verifier_settings())?);
        Ok(Rotation::new(keys, verifier, self.config.dkim.look_every(), self.clock)?)
    }

    /// Fetches partners' one-time keys.
    pub(super) fn refill(&self, room: &Room) -> Refill {
        Refill {
            shelf: self.shelf.clone(),
            asker: Arc::new(room.road.clone()),
            partners: self.partners.clone(),
            clock: self.clock,
        }
    }

    pub(super) fn kit(&self, overlay: &overlay::Overlay) -> Kit {
        let release = Release {
            knowledge: self.knowledge.clone(),
            sealer: self.sealer.clone(),
            reporter: self.reporter(),
            spool: self.spool.clone(),
            bodies: self.bodies.clone(),
            size_max: self.config.smtp.size_bytes_max + TRACE_BYTES_MAX,
            clock: self.clock,
        };
        Kit {
            spool: self.spool.clone(),
            overlay: overlay.clone(),
            release,
            reporter: self.reporter(),
            metrics: self.metrics.clone(),
            schedule: self.schedule(),
            clock: self.clock,
        }
    }

    /// Hands arrived mail over to our mail server.
    ///
    /// # Errors
    /// See [`mail_server::target`].
    pub(super) fn delivery(&self) -> Result<Delivery, Error> {
        let receipts = Receipts {
            spool: self.spool.clone(),
            custody: self.custody.clone(),
            reporter: self.reporter(),
            metrics: self.metrics.clone(),
            clock: self.clock,
        };
        let mail_in = MailIn {
            knowledge: self.knowledge.clone(),
            custody: self.custody.clone(),
            spool: self.spool.clone(),
            archivist: self.archivist(),
            bodies: self.bodies.apart(),
            pool: smtp::client::Pool::new(mail_server::target(&self.config)?),
            agents: self.agents.clone(),
            receipts,
            roots: RootCache::default(),
            suites: self.suites.clone(),
            gossip: self.gossip.clone(),
            under_way: UnderWay::default(),
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            authserv_id: self.config.authserv_id().to_owned(),
            schedule: self.schedule(),
            size_max: self.config.smtp.size_bytes_max + TRACE_BYTES_MAX,
            clock: self.clock,
        };
        let at_once_max = self.config.delivery.connections_max as usize * MESSAGES_PER_CONNECTION;
        Ok(Delivery { spool: self.spool.clone(), mail_in: Arc::new(mail_in), at_once_max, clock: self.clock })
    }

    pub(super) fn answering(&self, couriers: &courier::Handle) -> Answering {
        Answering {
            spool: self.spool.clone(),
            knowledge: self.knowledge.clone(),
            sealer: self.sealer.clone(),
            courier: couriers.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock,
        }
    }

    pub(super) fn housekeeping(&self, acquaintance: Acquaintance) -> Housekeeping {
        Housekeeping {
            spool: self.spool.clone(),
            acquaintance,
            contacts: self.contacts(),
            reporter: self.reporter(),
            late_after_ms: self.config.queue.late_after_ms(),
            archive: archive::Keeper {
                spool: self.spool.clone(),
                vault: self.custody.vault().clone(),
                clock: self.clock,
            },
            clock: self.clock,
        }
    }
}
