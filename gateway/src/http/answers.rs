//! The control API answered from the living parts of the gateway: journal, vault, partners, links, counters.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use control::{
    AddressView, Alarm, Check, Control, ControlError, Direction, IdentityQuery, IdentityView, LargeDepth,
    LargeStanding, LinkState, MessageTrace, Overview, PartnerList, PartnerView, QueueDepth, RECENT_LIMIT_MAX,
    Readiness, RecentPage, RecentQuery, Standing, State, Traces, Trust, normal_id,
};
use dccp::partner::fingerprint;
use dccp::{Did, UnixMillis};
use futures::future::BoxFuture;
use tokio::sync::watch;
use uuid::Uuid;

use super::traces::{stages_of, summary_of, trace_of};
use super::words;
use crate::archive;
use crate::clock::Clock;
use crate::custody::Vault;
use crate::flows::records::{Summary, purpose};
use crate::housekeeping::STUCK_AFTER_MS;
use crate::metrics::Metrics;
use crate::partners::{Partner, Partners};
use crate::people;
use crate::spool::{ArchiveTally, Counts, LargeCounts, Row, Spool, SpoolError};

/// Rows that one page of the journal looks at when it filters: bounds a request for what is rare. The page then
/// says where to read on.
const RECENT_ROWS_READ_MAX: usize = 5_000;

/// Rows that a filter takes from the journal in one look: a few hundred kilobytes.
const FILTERED_ROWS_AT_ONCE: usize = 500;

/// Stuck messages that are counted; more is not worse.
const STUCK_COUNTED_MAX: usize = 1_000;

/// Octets of an id: RFC 5322 §2.1.1 allows no longer line.
const ID_BYTES_MAX: usize = 998;

/// Says for one part of the gateway whether it can do its work now. Must not wait.
pub type Vouch = Box<dyn Fn() -> Check + Send + Sync>;

/// Names the workers that fell: what they do is not done any more.
pub type FallenWorkers = Box<dyn Fn() -> Vec<&'static str> + Send + Sync>;

/// Resolves a DID for [`Control::identity`]; the texts are addresses of nodes that may know it.
pub type Identify =
    Box<dyn Fn(Did, Vec<String>) -> BoxFuture<'static, Result<IdentityView, ControlError>> + Send + Sync>;

/// Asks a partner whom an address leads to, for [`Control::address`].
pub type Seek = Box<dyn Fn(String) -> BoxFuture<'static, Result<AddressView, ControlError>> + Send + Sync>;

/// [`Control`] over the living parts.
pub struct Answers {
    /// The domain our organisation is known by.
    pub domain: String,
    /// Our DID.
    pub did: Did,
    /// The journal.
    pub spool: Spool,
    /// Opens summaries and details.
    pub vault: Arc<Vault>,
    /// Who is known.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Who is connected.
    pub links: watch::Receiver<BTreeMap<Did, overlay::LinkState>>,
    /// What happened since the start.
    pub metrics: Metrics,
    /// The parts that vouch for themselves, beside the spool, in the order mail passes them.
    pub vouches: Vec<Vouch>,
    /// Who does not work any more.
    pub fallen: FallenWorkers,
    /// Resolves what is asked for by DID.
    pub identify: Identify,
    /// Asks whom an address leads to.
    pub seek: Seek,
    /// When this process started.
    pub started_at: UnixMillis,
    /// Time.
    pub clock: Clock,
}

#[async_trait]
impl Control for Answers {
    async fn message(&self, id: &str) -> Result<Traces, ControlError> {
        let id = normal_id(id);
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(ControlError::Bad(format!("An id has 1 to {ID_BYTES_MAX} octets.")));
        }
        let mut messages = Vec::new();
        for row in self.rows_of(id).await? {
            messages.push(self.trace(&row).await?);
        }
        if messages.is_empty() {
            return Err(ControlError::NotFound(format!("No message is known as {id}.")));
        }
        Ok(Traces { messages })
    }

    async fn recent(&self, query: RecentQuery) -> Result<RecentPage, ControlError> {
        let wanted = Wanted::of(&query)?;
        let mut page = RecentPage::default();
        let (mut cursor, mut read) = (wanted.before, 0);
        while read < RECENT_ROWS_READ_MAX {
            let rows = self.spool.recent(wanted.rows_at_once(), cursor).await.map_err(silent)?;
            let ended = rows.len() < wanted.rows_at_once();
            for row in &rows {
                read += 1;
                cursor = Some(row.seq);
                if wanted.admits(row) {
                    page.messages.push(summary_of(row, self.opened(row)));
                }
                if page.messages.len() == wanted.limit {
                    page.next = Some(row.seq.to_string());
                    return Ok(page);
                }
            }
            if ended {
                return Ok(page);
            }
        }
        page.next = cursor.map(|seq| seq.to_string());
        Ok(page)
    }

    async fn readiness(&self) -> Readiness {
        // Asked of the writer, not of a reader: an empty transaction shows that mail can be kept.
        let spool = match self.spool.data_version().await {
            Ok(_) => Check::ok("spool", "keeps mail"),
            Err(error) => Check::failed("spool", error.to_string()),
        };
        let others = self.vouches.iter().map(|vouch| vouch());
        Readiness::of(std::iter::once(spool).chain(others).collect())
    }

    async fn overview(&self) -> Result<Overview, ControlError> {
        let now = (self.clock)();
        let counts = self.spool.counts().await.map_err(silent)?;
        let stuck = self.stuck(now).await?;
        let archive = self.spool.archive_tally().await.map_err(silent)?;
        Ok(Overview {
            domain: self.domain.clone(),
            did: self.did.to_string(),
            fingerprint: fingerprint(&self.did),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: self.started_at.0,
            now_ms: now.0,
            totals: self.metrics.totals(),
            queue: queue(&counts),
            oldest_without_progress_ms: self.spool.oldest_without_progress(now).await.map_err(silent)?,
            archive_copies: archive.copies,
            archive_bytes: archive.bytes,
            large_bodies: large_bodies(self.spool.large_counts().await.map_err(silent)?),
            partners: self.partner_views(),
            stuck,
            alarms: self.alarms(stuck, archive, now).await?,
        })
    }

    async fn identity(&self, did: &str, query: IdentityQuery) -> Result<IdentityView, ControlError> {
        match did.parse::<Did>() {
            Ok(did) => (self.identify)(did, query.nodes()).await,
            Err(_) => Err(ControlError::Bad(format!("{did} is not a did:dccp."))),
        }
    }

    async fn address(&self, address: &str) -> Result<AddressView, ControlError> {
        (self.seek)(address.to_owned()).await
    }

    async fn partners(&self) -> Result<PartnerList, ControlError> {
        Ok(PartnerList { partners: self.partner_views() })
    }
}

impl Answers {
    /// The rows an id names: a queue id, else a DCCP message id, else a Message-ID.
    async fn rows_of(&self, id: &str) -> Result<Vec<Row>, ControlError> {
        let rows = self.spool.by_queue_id(id).await.map_err(silent)?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        if let Ok(uuid) = Uuid::try_parse(id) {
            let rows = self.spool.by_message_id(uuid).await.map_err(silent)?;
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        let tag = self.vault.tag(purpose::MESSAGE_ID, id.as_bytes());
        self.spool.by_message_id_tag(tag).await.map_err(silent)
    }

    async fn trace(&self, row: &Row) -> Result<MessageTrace, ControlError> {
        let notes = self.spool.journal(row.id).await.map_err(silent)?;
        let open = |sealed: &[u8]| {
            let clear = self.vault.open(purpose::NOTE, sealed).ok()?;
            Some(String::from_utf8_lossy(&clear).into_owned())
        };
        Ok(trace_of(row, self.opened(row), stages_of(&notes, open)))
    }

    /// What the row's summary says. One that does not open is a fault of the storage key, which `custody` reports;
    /// the rest of the row is worth showing all the same.
    fn opened(&self, row: &Row) -> Summary {
        Summary::open(&self.vault, &row.summary).unwrap_or_else(|error| {
            tracing::warn!(%error, queue_id = %row.queue_id, "a summary does not open");
            Summary::unread()
        })
    }

    /// Messages that a worker should have taken up long ago.
    async fn stuck(&self, now: UnixMillis) -> Result<u64, ControlError> {
        let since = now.saturating_sub_ms(STUCK_AFTER_MS);
        Ok(self.spool.stuck(since, STUCK_COUNTED_MAX).await.map_err(silent)?.len() as u64)
    }

    /// Contradictions in partners' trees of bindings, and a worker that does not work. Contradictions in partners'
    /// identities are shown with the partner.
    async fn alarms(
        &self,
        stuck: u64,
        archive: ArchiveTally,
        now: UnixMillis,
    ) -> Result<Vec<Alarm>, ControlError> {
        let alarms = people::alarms(&self.spool).await.map_err(silent)?;
        let shown = |alarm: people::TreeAlarm| {
            let partners = self.partners.borrow();
            let domain = partners.by_did(&alarm.partner).map(|partner| partner.domain().to_owned());
            let about = domain.unwrap_or_else(|| alarm.partner.to_string());
            Alarm { at_ms: alarm.at.0, about, words: alarm.what }
        };
        let hangs = (stuck > 0).then(|| Alarm {
            at_ms: now.0,
            about: "queue".to_owned(),
            words: format!(
                "{stuck} messages have been due for more than {} minutes, and nobody takes them up. `dccp-gateway queue \
                 destinations` shows where they lead; if it does not end, restart the gateway.",
                STUCK_AFTER_MS / 60_000
            ),
        });
        let crowded = archive::trouble(archive);
        let crowded = crowded.map(|words| Alarm { at_ms: now.0, about: self.domain.clone(), words });
        let fell = |worker| Alarm {
            at_ms: now.0,
            about: "workers".to_owned(),
            words: format!(
                "“{worker}” has ended by a fault, which the log tells, and is not done any more: restart the gateway."
            ),
        };
        let fallen = (self.fallen)().into_iter().map(fell);
        Ok(fallen.chain(hangs).chain(crowded).chain(alarms.into_iter().map(shown)).collect())
    }

    fn partner_views(&self) -> Vec<PartnerView> {
        let links = self.links.borrow();
        let partners = self.partners.borrow();
        partners.iter().map(|partner| partner_view(partner, links.get(partner.did()))).collect()
    }
}

fn standing(partner: &Partner) -> Standing {
    if partner.is_deactivated() {
        Standing::Deactivated
    } else if partner.is_frozen() {
        Standing::Frozen
    } else if partner.is_in_conflict() {
        Standing::Conflict
    } else if partner.has_lapsed() {
        Standing::Lapsed
    } else {
        Standing::Pinned
    }
}

fn trust(partner: &Partner) -> Trust {
    match partner.trust() {
        finding::Trust::Manual => Trust::Manual,
        finding::Trust::Secured => Trust::Dnssec,
        _ => Trust::FirstUse,
    }
}

fn partner_view(partner: &Partner, link: Option<&overlay::LinkState>) -> PartnerView {
    let link = LinkView::of(link);
    PartnerView {
        domain: partner.domain().to_owned(),
        did: partner.did().to_string(),
        fingerprint: fingerprint(partner.did()),
        standing: standing(partner),
        trust: trust(partner),
        version: partner.document().seq(),
        notice: partner.notice().map(str::to_owned),
        link: link.state,
        address: link.address,
        transport: link.transport,
        since_ms: link.since_ms,
        last_error: link.last_error,
    }
}

/// What is shown of a link: where it leads while it is up, why not while it is down.
struct LinkView {
    state: LinkState,
    address: Option<String>,
    transport: Option<String>,
    since_ms: Option<u64>,
    last_error: Option<String>,
}

impl LinkView {
    fn of(link: Option<&overlay::LinkState>) -> Self {
        let (up, down) = (link.filter(|link| link.up), link.filter(|link| !link.up));
        Self {
            state: if up.is_some() { LinkState::Up } else { LinkState::Down },
            address: up.and_then(|link| link.address.clone()),
            transport: up.and_then(|link| link.transport.clone()),
            since_ms: link.map(|link| link.since.0),
            last_error: down.and_then(|link| link.last_error.clone()),
        }
    }
}

fn large_bodies(counts: LargeCounts) -> Vec<LargeDepth> {
    let LargeCounts { coming, kept, over } = counts;
    let standings =
        [(LargeStanding::Coming, coming), (LargeStanding::Kept, kept), (LargeStanding::Over, over)];
    standings.map(|(standing, count)| LargeDepth { standing, bodies: count.rows, bytes: count.bytes }).into()
}

/// Every direction and state, zeros included, so that a graph does not break off.
fn queue(counts: &Counts) -> Vec<QueueDepth> {
    let messages = |direction: Direction, state: State| {
        let counted = counts
            .iter()
            .filter(|((way, at), _)| words::direction(*way) == direction && words::state(*at) == state);
        counted.map(|(_, count)| count.rows).sum()
    };
    Direction::ALL
        .into_iter()
        .flat_map(|direction| State::ALL.map(|state| (direction, state)))
        .map(|(direction, state)| QueueDepth { direction, state, messages: messages(direction, state) })
        .collect()
}

/// A query in the spool's terms.
struct Wanted {
    limit: usize,
    before: Option<i64>,
    partner: Option<String>,
    state: Option<State>,
}

impl Wanted {
    fn of(query: &RecentQuery) -> Result<Self, ControlError> {
        if !(1..=RECENT_LIMIT_MAX).contains(&query.limit) {
            return Err(ControlError::Bad(format!("“limit” is a number from 1 to {RECENT_LIMIT_MAX}.")));
        }
        let cursor = |text: &str| {
            text.parse::<i64>()
                .map_err(|_| ControlError::Bad("“before” is not a cursor of this journal.".to_owned()))
        };
        Ok(Self {
            limit: usize::try_from(query.limit).unwrap_or(usize::MAX),
            before: query.before.as_deref().map(cursor).transpose()?,
            partner: query.partner.as_deref().map(str::to_ascii_lowercase),
            state: query.state,
        })
    }

    /// Without a filter every row counts; with one, most are passed over.
    fn rows_at_once(&self) -> usize {
        let narrow = self.partner.is_some() || self.state.is_some();
        if narrow { FILTERED_ROWS_AT_ONCE } else { self.limit }
    }

    fn admits(&self, row: &Row) -> bool {
        self.partner.as_ref().is_none_or(|partner| row.partner_domain == *partner)
            && self.state.is_none_or(|state| words::state(row.state) == state)
    }
}

/// The journal does not answer: temporary, and nothing the caller could do about it.
fn silent(error: SpoolError) -> ControlError {
    ControlError::Unavailable(format!("The journal does not answer: {error}."))
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
