//! What the archive needs by the clock: old copies forgotten, and somebody told before there is no room.

use std::sync::Arc;

use crate::clock::Clock;
use crate::custody::Vault;
use crate::flows::records::purpose;
use crate::spool::{ArchiveTally, Order, Spool, SpoolError};

/// Percent of the archive's room from which on somebody must know.
const ALARM_PERCENT: u64 = 80;

/// Forgets what is over and warns of what is full.
pub struct Keeper {
    /// Where copies rest.
    pub spool: Spool,
    /// Seals the reason in the audit.
    pub vault: Arc<Vault>,
    /// Time.
    pub clock: Clock,
}

impl Keeper {
    /// Once an hour.
    ///
    /// # Errors
    /// The spool's.
    pub async fn look_after(&self) -> Result<(), SpoolError> {
        let order = Order {
            act: "archive-purge",
            by: "the gateway".to_owned(),
            at: (self.clock)(),
            why: self.vault.seal(purpose::NOTE, b"their time is over, and no hold keeps them"),
        };
        let gone = self.spool.purge_archive(order).await?;
        if gone > 0 {
            tracing::info!(copies = gone, "forgot archived copies whose time is over");
        }
        if let Some(words) = trouble(self.spool.archive_tally().await?) {
            tracing::error!("{words}");
        }
        Ok(())
    }
}

/// What is said of an archive that has, or soon has, no room.
pub fn trouble(tally: ArchiveTally) -> Option<String> {
    let percent = tally.bytes.saturating_mul(100).checked_div(tally.bytes_max)?;
    (percent >= ALARM_PERCENT).then(|| {
        format!(
            "The archive takes {percent} % of its room (archive.bytes_max). When it is full, mail that must be archived is put \
             off: raise the limit, or let retention take its course."
        )
    })
}
