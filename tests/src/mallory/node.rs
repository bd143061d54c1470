//! Mallory's node on the overlay, which keeps the protocol.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use dccp::Did;
use dccp::body::BodyDigest;
use dccp::partner::VerifiedPartner;
use dccp::seal::SealedMessage;
use gateway::config::Config;
use gateway::custody::Custody;
use overlay::{Asker, ChunkKept, HeadVerdict, Hello, House, Kept, Limits, Overlay, Partner, Topic};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use super::now;

pub(super) async fn node(
    custody: &Custody,
    config: &Config,
    victims: &HashMap<&'static str, VerifiedPartner>,
    bag: mpsc::UnboundedSender<SealedMessage>,
) -> Overlay {
    let road = overlay::Config {
        node_key_seed: custody.node_seed(),
        listen: config.overlay.listen.clone(),
        mdns: false,
        kad: overlay::Kad::Off,
        bootstrap: Vec::new(),
        limits: Limits::default(),
    };
    let node_record = custody.node_record(config.announced_addresses(), now()).expect("a node record");
    let hello = Hello { node_record, prekeys: custody.current_prekey_records(), head: Vec::new() };
    let partner = |victim: &VerifiedPartner| Partner {
        did: victim.document.did().clone(),
        document: victim.document.clone(),
        nodes: victim.nodes.clone(),
    };
    let partners = victims.values().map(partner).collect();
    let started =
        overlay::start(road, hello, partners, Arc::new(Lair(bag)), &mut Registry::default(), now).await;
    started.expect("mallory's node starts")
}

/// Takes every receipt and keeps it in memory.
struct Lair(mpsc::UnboundedSender<SealedMessage>);

impl House for Lair {
    async fn keep(&self, _: &Did, sealed: SealedMessage) -> Kept {
        _ = self.0.send(sealed);
        Kept::Durable
    }

    async fn chunk(&self, _: &Did, _: BodyDigest, _: u32, _: Bytes) -> ChunkKept {
        ChunkKept::Durable
    }

    fn prekeys(&self, _: &Did, _: Vec<Vec<u8>>) {}

    fn presented_head(&self, _: &Did, _: Vec<u8>) {}

    async fn unproven(&self, _: &Did, _: Vec<u8>) {}

    async fn answer(&self, _: Asker, _: Topic, _: Bytes) -> Option<Bytes> {
        None
    }

    async fn accept_head(&self, _: &[u8], _: Option<&[u8]>) -> HeadVerdict {
        HeadVerdict::Drop
    }
}
