//! Fetches partners' one-time keys in the background, when the shelf says that few are left.

use std::sync::Arc;

use async_trait::async_trait;
use dccp::limits::STOCK_SERVED_MAX;
use dccp::prekey::Stock;
use dccp::stock::Question;
use dccp::{Did, Suite};
use futures::StreamExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Shelf;
use crate::clock::Clock;
use crate::partners::Partners;

/// Partners asked at the same time: a slow one holds up nobody else.
const ASKED_AT_ONCE_MAX: usize = 8;

/// How a partner is asked.
#[async_trait]
pub trait AskPrekeys: Send + Sync {
    /// The partner's answer to a question on `/dccp/prekey/1`; `None` when there is none within seconds.
    async fn ask(&self, partner: &Did, question: Vec<u8>) -> Option<Vec<u8>>;
}

/// The task that keeps the shelf filled.
pub struct Refill {
    /// What it fills.
    pub shelf: Shelf,
    /// Whom it asks.
    pub asker: Arc<dyn AskPrekeys>,
    /// Partners' operators, who sign the keys.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Time.
    pub clock: Clock,
}

impl Refill {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                let wanted = self.shelf.wanted(self.clock).await;
                let fetching = futures::stream::iter(wanted);
                fetching.for_each_concurrent(ASKED_AT_ONCE_MAX, |(did, suite)| self.fetch(did, suite)).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn fetch(&self, did: Did, suite: Suite) {
        let question = Question { count: STOCK_SERVED_MAX, suite };
        let Some(answer) = self.asker.ask(&did, question.to_bytes()).await else {
            tracing::debug!(partner = %did, "no one-time keys from this partner; its epoch prekey is used");
            return;
        };
        let partners = self.partners.borrow().clone();
        let Some(partner) = partners.by_did(&did) else { return };
        let keys =
            Stock::from_bytes(&answer).and_then(|stock| stock.verify(partner.document(), (self.clock)()));
        match keys {
            Ok(keys) => self.shelf.put(partner, keys),
            Err(error) => {
                tracing::warn!(%error, partner = partner.domain(), "this partner's one-time keys are refused; its epoch prekey is used");
            }
        }
    }
}
