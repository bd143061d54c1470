//! Our link in the chain of those who handled a mail (ARC, RFC 8617): whoever stands behind us and trusts our seal learns what
//! we found when it came in, although it comes from our address then.

use std::sync::Arc;

use dccp::UnixMillis;
use smtp::authenticity::{Signer, Verdicts};
use tokio::sync::watch;

use crate::clock::system_time;

/// Seals verdicts in the name of one domain.
pub struct Chain {
    /// The keys that sign now, and when they change.
    pub signer: watch::Receiver<Arc<Signer>>,
    /// Whose keys.
    pub domain: String,
}

impl Chain {
    /// The three fields to be put in front of `octets`, with their CRLF; nothing while no key of ours can be looked up, or
    /// where the chain may not go on. A mail without our link is as good as it came.
    pub(super) fn link(
        &self,
        octets: &[u8],
        verdicts: &Verdicts,
        authserv_id: &str,
        now: UnixMillis,
    ) -> String {
        let signer = self.signer.borrow().clone();
        let sealed = signer.seal(&self.domain, octets, verdicts, authserv_id, system_time(now));
        sealed
            .unwrap_or_else(|error| {
                tracing::debug!(%error, "a mail from outside goes home without our ARC seal");
                None
            })
            .unwrap_or_default()
    }
}
