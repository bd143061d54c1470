//! The overlay as a source of records, and as the way of every other question.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dccp::Did;
use dccp::did::{Head, HeadNode};
use finding::{Source, SourceError};
use overlay::{AskError, Overlay, Topic, Whom};
use tokio::sync::watch;

use crate::forward::AskPrekeys;
use crate::partners::Partners;
use crate::people;

/// How long one node may take to answer: a bundle of 3 MiB over a slow line.
const ANSWER_WAIT: Duration = Duration::from_secs(8);

/// How long the hash table is searched.
const SEARCH_WAIT: Duration = Duration::from_secs(5);

/// Partners that are asked for a DID of which nothing is known: one of them may be its organisation.
const PARTNERS_ASKED_MAX: usize = 8;

/// The overlay, once it runs: questions are needed to build what answers questions.
#[derive(Clone, Default)]
pub struct Road(Arc<OnceLock<Overlay>>);

impl Road {
    /// From now on questions can be asked.
    pub fn open(&self, overlay: Overlay) {
        // Opened once, by the wiring.
        _ = self.0.set(overlay);
    }

    /// Asks one question.
    ///
    /// # Errors
    /// [`AskError`]; [`AskError::Unreachable`] while the overlay is not up yet.
    pub async fn ask(&self, whom: &Whom, topic: Topic, question: Bytes) -> Result<Bytes, AskError> {
        match self.0.get() {
            Some(overlay) => overlay.ask(whom, topic, question, ANSWER_WAIT).await,
            None => Err(AskError::Unreachable("the overlay is not up yet".to_owned())),
        }
    }

    /// What lies under this DID on the shelves of others: a few candidates, none of them verified.
    pub(super) async fn heads(&self, did: &Did) -> Vec<Bytes> {
        match self.0.get() {
            Some(overlay) => overlay.find_heads(did, SEARCH_WAIT).await,
            None => Vec::new(),
        }
    }
}

/// The overlay as a source of bundles.
pub struct AskRoad {
    /// Where to ask.
    pub road: Road,
    /// Whom we know.
    pub partners: watch::Receiver<Arc<Partners>>,
}

#[async_trait]
impl Source for AskRoad {
    fn name(&self) -> &'static str {
        "overlay"
    }

    async fn fetch(&self, did: &Did, nodes: &[String]) -> Result<Vec<u8>, SourceError> {
        let question = Bytes::copy_from_slice(did.as_str().as_bytes());
        let mut last = SourceError::NotFound;
        for whom in self.whom(did, nodes).await {
            match self.road.ask(&whom, Topic::Did, question.clone()).await {
                Ok(bundle) => return Ok(bundle.to_vec()),
                // It closed the stream: it does not know the DID.
                Err(AskError::Refused) => {}
                Err(error) => last = SourceError::Unreachable(error.to_string()),
            }
        }
        Err(last)
    }
}

impl AskRoad {
    /// Its own nodes if we know any; else those that the hash table names; else our partners.
    async fn whom(&self, did: &Did, nodes: &[String]) -> Vec<Whom> {
        let is_partner = self.partners.borrow().by_did(did).is_some();
        let named = (!nodes.is_empty()).then(|| Whom::Addresses(nodes.to_vec()));
        let partner = is_partner.then(|| Whom::Partner(did.clone()));
        let known: Vec<Whom> = named.into_iter().chain(partner).collect();
        if !known.is_empty() {
            return known;
        }
        let heads = self.road.heads(did).await;
        let mut named =
            heads.iter().filter_map(|head| Head::claimed(head).ok()).filter(|head| head.did == *did);
        if let Some(head) = named.next() {
            return vec![Whom::Addresses(head.nodes.iter().flat_map(addresses_of).collect())];
        }
        let partners = self.partners.borrow();
        partners.iter().take(PARTNERS_ASKED_MAX).map(|partner| Whom::Partner(partner.did().clone())).collect()
    }
}

/// A node of a head record as addresses that end in `/p2p/…`.
pub(super) fn addresses_of(node: &HeadNode) -> Vec<String> {
    let with_peer = |address: &String| overlay::address_of_peer(address, &node.peer_id);
    node.addresses.iter().filter_map(with_peer).collect()
}

#[async_trait]
impl AskPrekeys for Road {
    async fn ask(&self, partner: &Did, question: Vec<u8>) -> Option<Vec<u8>> {
        let whom = Whom::Partner(partner.clone());
        Some(Road::ask(self, &whom, Topic::Prekey, question.into()).await.ok()?.to_vec())
    }
}

#[async_trait]
impl people::Ask for Road {
    async fn ask(&self, partner: &Did, question: Vec<u8>) -> Result<Vec<u8>, people::AskError> {
        let whom = Whom::Partner(partner.clone());
        let answer = Road::ask(self, &whom, Topic::Find, question.into()).await;
        answer.map(|answer| answer.to_vec()).map_err(|error| people::AskError::Unreachable(error.to_string()))
    }
}
