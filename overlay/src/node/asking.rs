//! The door, for those who want to know: questions to other nodes, and head records.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use dccp::Did;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Overlay;
use crate::config::parse_node_address;
use crate::directory::{CANDIDATES_MAX, HEAD_BYTES_MAX, Publication, Search};
use crate::error::{AskError, PublishError};
use crate::questions;
use crate::road::Order;
use crate::road::asking::{Asking, Goal};
use crate::topic::{QUESTION_BYTES_MAX, Topic, Whom};

/// Addresses of a stranger that are tried: those of a few nodes.
const ADDRESSES_MAX: usize = 32;

impl Overlay {
    /// Asks a question and waits for the answer, for at most `within`. A partner is asked on a
    /// connection that exists, or on one to any of its nodes; a stranger is dialled, asked, and
    /// left. The question is put once, to one node; the answer is not verified.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(
        &self,
        whom: &Whom,
        topic: Topic,
        question: Bytes,
        within: Duration,
    ) -> Result<Bytes, AskError> {
        let answer = match timeout(within, self.ask_patiently(whom, topic, question)).await {
            Ok(answer) => answer,
            Err(_) => Err(AskError::TimedOut),
        };
        self.inner.metrics.asked(topic, answer.as_ref().map(drop));
        answer
    }

    async fn ask_patiently(&self, whom: &Whom, topic: Topic, question: Bytes) -> Result<Bytes, AskError> {
        if self.inner.draining.is_cancelled() {
            return Err(AskError::Closed);
        }
        if question.len() > QUESTION_BYTES_MAX {
            return Err(AskError::TooLong(question.len()));
        }
        let whom = goal_of(whom, topic)?;
        let _place = self.inner.asking.acquire().await.map_err(|_| AskError::Closed)?;
        let (ready, stream) = oneshot::channel();
        let order = Order::Ask(Asking { topic, whom, ready });
        self.inner.orders.send(order).await.map_err(|_| AskError::Closed)?;
        let (mut stream, _turn) = stream.await.unwrap_or(Err(AskError::Interrupted))?;
        questions::ask(&mut stream, topic, &question).await
    }

    /// Publishes a head record under the name of its DID, and again from time to time as long as
    /// this node lives. Resolves when another node has taken it.
    ///
    /// # Errors
    /// See [`PublishError`]; after [`PublishError::NobodyKept`] the record is offered again later.
    pub async fn publish_head(&self, did: &Did, record: Bytes) -> Result<(), PublishError> {
        if record.len() > HEAD_BYTES_MAX {
            return Err(PublishError::TooLarge(record.len()));
        }
        let (done, published) = oneshot::channel();
        let order = Order::Publish(Publication { did: did.clone(), record, done });
        self.inner.orders.send(order).await.map_err(|_| PublishError::Closed)?;
        published.await.unwrap_or(Err(PublishError::Closed))
    }

    /// Looks for head records of this DID for at most `within`: a few different candidates, none
    /// of them verified, in no order. Empty when there are none, or nobody to ask.
    pub async fn find_heads(&self, did: &Did, within: Duration) -> Vec<Bytes> {
        let mut candidates: Vec<Bytes> = Vec::new();
        let searching = async {
            let (found, mut finds) = mpsc::channel(CANDIDATES_MAX);
            let order = Order::Search(Search { did: did.clone(), found });
            if self.inner.orders.send(order).await.is_err() {
                return;
            }
            while let Some(candidate) = finds.recv().await {
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
                if candidates.len() >= CANDIDATES_MAX {
                    break;
                }
            }
        };
        let _ = timeout(within, searching).await; // What was found in time counts.
        candidates
    }
}

/// Whom the node task should look for.
fn goal_of(whom: &Whom, topic: Topic) -> Result<Goal, AskError> {
    let addresses = match whom {
        Whom::Partner(did) => return Ok(Goal::Partner(did.clone())),
        Whom::Node(_) | Whom::Addresses(_) if !topic.is_open_to_strangers() => {
            return Err(AskError::PartnersOnly);
        }
        Whom::Node(peer) => {
            let peer = PeerId::from_bytes(peer).map_err(|error| AskError::Address(error.to_string()))?;
            return Ok(Goal::Connected(peer));
        }
        Whom::Addresses(addresses) => addresses,
    };
    let mut nodes: VecDeque<(PeerId, Vec<Multiaddr>)> = VecDeque::new();
    for text in addresses.iter().take(ADDRESSES_MAX) {
        let (peer, address) = parse_node_address(text).map_err(AskError::Address)?;
        match nodes.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, addresses)) => addresses.push(address),
            None => nodes.push_back((peer, vec![address])),
        }
    }
    Ok(Goal::Nodes(nodes))
}
