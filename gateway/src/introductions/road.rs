//! The overlay as a source of records, and as the way of every other question.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dccp::Did;
use dccp::did::{Head, HeadNode};
use finding::{Source, SourceError, is_inside};
use overlay::{AskError, Overlay, Topic, Whom};
use tokio::sync::watch;

use crate::forward::AskPrekeys;
use crate::partners::Partners;
use crate::people;

/// How long one node may take to answer: a bundle of 3 MiB over a slow line.
const ANSWER_WAIT: Duration = Duration::from_secs(8);

/// How long the hash table is searched.
const SEARCH_WAIT: Duration = Duration::from_secs(5);

/// Addresses that are tried on the word of head records that nobody has verified: two of each of four nodes.
const UNVERIFIED_ADDRESSES_MAX: usize = 8;

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
    /// Whether strangers' records may lead us to addresses inside private networks: in laboratories.
    pub allow_private: bool,
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
        let named = heads.iter().filter_map(|head| Head::claimed(head).ok()).filter(|head| head.did == *did);
        let addresses = addresses_to_try(named, self.allow_private);
        if !addresses.is_empty() {
            return vec![Whom::Addresses(addresses)];
        }
        let partners = self.partners.borrow();
        partners.iter().take(PARTNERS_ASKED_MAX).map(|partner| Whom::Partner(partner.did().clone())).collect()
    }
}

/// Where unverified head records say that a DID is to be had. One of them may be honest and any may be a stranger's, who
/// must not choose whom we dial: the first address of each node comes before the second of any, and few are tried.
fn addresses_to_try(heads: impl Iterator<Item = Head>, allow_private: bool) -> Vec<String> {
    let mut nodes: Vec<_> = heads
        .flat_map(|head| head.nodes)
        .map(|node| addresses_of(&node).into_iter().filter(|address| allow_private || !is_inside(address)))
        .map(|addresses| addresses.collect::<VecDeque<_>>())
        .collect();
    let mut chosen: Vec<String> = Vec::new();
    while chosen.len() < UNVERIFIED_ADDRESSES_MAX && nodes.iter().any(|addresses| !addresses.is_empty()) {
        let round = nodes.iter_mut().filter_map(VecDeque::pop_front);
        chosen.extend(round.filter(|address| !chosen.contains(address)).collect::<Vec<_>>());
    }
    chosen.truncate(UNVERIFIED_ADDRESSES_MAX);
    chosen
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

#[cfg(test)]
mod tests {
    use dccp::UnixMillis;
    use dccp::tree::TreeHead;

    use super::*;

    fn head(nodes: &[&[&str]]) -> Head {
        let node = |(at, addresses): (usize, &&[&str])| HeadNode {
            peer_id: overlay::peer_id_of(&[at as u8 + 1; 32]).to_bytes(),
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        };
        Head {
            did: format!("did:dccp:1{}", "a".repeat(52)).parse().unwrap(),
            rotations: 0,
            seq: 0,
            hash: [0; 32],
            manifest_epoch: 1,
            tree: TreeHead::EMPTY,
            nodes: nodes.iter().enumerate().map(node).collect(),
            not_before: UnixMillis(0),
            expires: UnixMillis(1),
        }
    }

    fn tried(heads: Vec<Head>, allow_private: bool) -> Vec<String> {
        let chosen = addresses_to_try(heads.into_iter(), allow_private);
        chosen.iter().map(|address| address.split("/p2p/").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_honest_record_has_its_turn_beside_a_liars() {
        let many: Vec<String> = (1..=16).map(|port| format!("/ip4/9.9.9.9/tcp/{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let heads = vec![head(&[&many]), head(&[&["/ip4/1.1.1.1/tcp/4001"]])];
        let tried = tried(heads, false);
        assert_eq!(tried.len(), UNVERIFIED_ADDRESSES_MAX);
        assert_eq!(tried[..2], ["/ip4/9.9.9.9/tcp/1", "/ip4/1.1.1.1/tcp/4001"]);
    }

    #[test]
    fn a_strangers_record_leads_nowhere_inside_except_in_a_laboratory() {
        let inside = || vec![head(&[&["/ip4/10.0.0.1/tcp/22", "/ip6/::1/tcp/22", "/ip4/9.9.9.9/tcp/1"]])];
        assert_eq!(tried(inside(), false), ["/ip4/9.9.9.9/tcp/1"]);
        assert_eq!(tried(inside(), true).len(), 3);
    }
}
