//! What we answer to partners who ask for one-time keys.

use std::sync::Arc;

use dccp::Did;
use dccp::stock::Question;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::custody::Custody;
use crate::metrics::Metrics;
use crate::partners::{Partner, Partners};
use crate::spool::Spool;

/// Answers `/dccp/prekey/1`.
pub struct Prekeys {
    /// Has the stock.
    pub custody: Arc<Custody>,
    /// Where the stock is.
    pub spool: Spool,
    /// Who may ask.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Counters.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
}

impl Prekeys {
    /// Some one-time keys for the partner `from`. `None`, and the partner uses our epoch prekey: the question is none,
    /// it comes from nobody we exchange mail with, the partner has had enough for now, or the stock is empty.
    pub async fn answer(&self, from: &Did, question: &[u8]) -> Option<Vec<u8>> {
        let question = Question::from_bytes(question).ok()?;
        let in_doubt = self.partners.borrow().by_did(from).map(Partner::is_in_doubt);
        if in_doubt != Some(false) {
            return None;
        }
        match self.custody.serve(from, question, (self.clock)(), &self.spool).await {
            Ok(Some(stock)) => {
                self.metrics.one_time_keys_served.inc_by(stock.keys.len() as u64);
                Some(stock.to_bytes())
            }
            Ok(None) => {
                self.metrics.one_time_keys_denied.inc();
                tracing::debug!(partner = %from, "no one-time keys for this partner now; it goes on with the epoch prekey");
                None
            }
            Err(error) => {
                tracing::warn!(%error, partner = %from, "one-time keys cannot be served now");
                None
            }
        }
    }
}
