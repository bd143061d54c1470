//! The daily look at whether a partner's domain still names the identity that we pinned.
//!
//! | the domain | what happens |
//! |---|---|
//! | names the pinned DID | nothing; an earlier notice goes away |
//! | says nothing any more | the pin stays, an administrator is told: never plaintext |
//! | cannot be asked | nothing: asked again later |
//! | names another DID, and the pinned one's owner says so too (succession) | the administrator is told what to accept |
//! | names another DID | the other becomes a candidate: mail is held until an administrator decides |

use std::sync::Arc;

use dccp::UnixMillis;
use finding::{DiscoverError, Discovered, Finder, Source, Trust, recheck};
use tokio::sync::watch;

use crate::partners::{self, Imported, Ourselves, Partner, Partners};
use crate::spool::Spool;

/// Domains looked at in one go: each may take seconds, and the day is long.
const LOOKED_AT_ONCE: usize = 4;

/// How soon a domain that did not answer is asked again.
const UNANSWERED_PAUSE_MS: u64 = 3_600_000;

/// Looks at the domains of partners.
pub struct Recheck {
    /// Asks DNS and HTTPS.
    pub finder: Arc<Finder>,
    /// Asks the overlay for records.
    pub overlay: Arc<dyn Source>,
    /// Where partners are kept.
    pub spool: Spool,
    /// Whom we know.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Who we are.
    pub ourselves: Ourselves,
    /// Between two looks at the same domain.
    pub every_ms: u64,
}

/// A domain whose time has come.
struct Due {
    domain: String,
    did: dccp::Did,
    document: dccp::did::DidDocument,
    trust: Trust,
}

impl Recheck {
    /// Looks at those that are due. Says whether anything about a partner changed.
    pub async fn look(&self, now: UnixMillis) -> bool {
        let mut changed = false;
        for due in self.due(now) {
            let found = self.finder.discover(&due.domain, Some(self.overlay.clone()), now).await;
            match self.note(&due, &found, now).await {
                Ok(news) => changed |= news,
                Err(error) => {
                    tracing::warn!(%error, domain = due.domain, "what a domain says cannot be kept now")
                }
            }
        }
        changed
    }

    fn due(&self, now: UnixMillis) -> Vec<Due> {
        let partners = self.partners.borrow();
        // Whoever was just introduced was just looked at, by a person or by the finder.
        let last = |partner: &Partner| partner.checked_at().unwrap_or(partner.added_at());
        let is_due = |partner: &&Partner| now >= last(partner).saturating_add_ms(self.every_ms);
        let due = partners.iter().filter(is_due).take(LOOKED_AT_ONCE);
        due.map(|partner| Due {
            domain: partner.domain().to_owned(),
            did: partner.did().clone(),
            document: partner.document().clone(),
            trust: partner.trust(),
        })
        .collect()
    }

    async fn note(
        &self,
        due: &Due,
        found: &Result<Discovered, DiscoverError>,
        now: UnixMillis,
    ) -> Result<bool, partners::ImportError> {
        let domain = &due.domain;
        let outcome = recheck(&due.document, found, now);
        let is_conflict = matches!(outcome, finding::Recheck::Conflict { .. });
        let (checked_at, notice) = match outcome {
            finding::Recheck::Same => (now, None),
            finding::Recheck::Unanswered => {
                // Counts as looked at for the most part of the time, and keeps what was known before.
                let early = self.every_ms.saturating_sub(UNANSWERED_PAUSE_MS);
                return Ok(
                    partners::looked_at(&self.spool, &due.did, now.saturating_sub_ms(early), None).await?
                );
            }
            // Whoever was introduced by hand need not publish anything.
            finding::Recheck::Vanished if due.trust == Trust::Manual => (now, None),
            finding::Recheck::Vanished => (
                now,
                Some(format!(
                    "{domain} no longer names any identity in DNS or on its web server. The pin stays and mail stays sealed; ask the partner whether that was meant."
                )),
            ),
            finding::Recheck::Succession { to } => (
                now,
                Some(format!(
                    "{domain} announces, signed by the identity we know, that it goes over to {to}. Run `dccp-gateway partner add {domain}` to see and accept it."
                )),
            ),
            finding::Recheck::Conflict { other } => (
                now,
                Some(format!(
                    "{domain} now names {other}, and the identity we know does not say so. Mail is held if its records verify; call somebody you know there, then `dccp-gateway partner accept` or `reject`."
                )),
            ),
            finding::Recheck::Refused { why } => (
                now,
                Some(format!("what {domain} says of its identity is not acceptable ({why}). The pin stays.")),
            ),
        };
        if let Some(notice) = &notice {
            tracing::warn!(domain, partner = %due.did, "{notice}");
        }
        let mut changed = is_conflict && self.challenge(found, now).await?;
        changed |= partners::looked_at(&self.spool, &due.did, checked_at, Some(notice)).await?;
        Ok(changed)
    }

    /// Another identity that verifies and names the domain back becomes a candidate: from then on mail waits.
    async fn challenge(
        &self,
        found: &Result<Discovered, DiscoverError>,
        now: UnixMillis,
    ) -> Result<bool, partners::ImportError> {
        let Ok(found) = found else { return Ok(false) };
        let imported =
            partners::take_in(&self.spool, found.bundle.clone(), found.trust, &self.ourselves, now).await?;
        Ok(matches!(imported, Imported::Conflict { .. }))
    }
}
