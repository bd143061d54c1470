//! What all tasks of one node stand on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use dccp::node::NodeRecord;
use dccp::{Did, UnixMillis};
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Limits;
use crate::desk::Desk;
use crate::directory::Judged;
use crate::end::End;
use crate::error::SendError;
use crate::greeting::{Book, Caller, Hello};
use crate::link::Attempt;
use crate::metrics::Metrics;
use crate::opener::Lane;

/// Shared by the node task and the tasks of its streams.
pub(crate) struct Ground<H> {
    pub(crate) house: Arc<H>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) clock: fn() -> UnixMillis,
    /// What we present; a change is pushed on the streams we opened.
    pub(crate) hello: watch::Sender<Arc<Hello>>,
    /// Cancelled when the node shuts down: finish, then end.
    pub(crate) draining: CancellationToken,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) book: RwLock<Arc<Book>>,
    /// Whose claims to be a partner are looked into, although the record does not prove them.
    pub(crate) unproven: Arc<Desk>,
    /// Which connections have proved to be a partner's.
    pub(crate) recognised: Mutex<HashMap<ConnectionId, Recognition>>,
}

/// On one connection a node record of this partner held.
pub(crate) struct Recognition {
    did: Did,
    /// The record's own end.
    expires: UnixMillis,
}

/// What stream tasks tell the node task.
pub(crate) enum Report {
    /// A stream of ours is ready for messages.
    Up { did: Did, connection: ConnectionId, attempt: Attempt, lane: Lane, record: Box<NodeRecord> },
    /// A stream of ours ended, whether it ever was ready or not.
    Down { did: Did, peer: PeerId, connection: ConnectionId, attempt: Attempt, end: End },
    /// A partner's node proved itself on a stream it opened.
    Recognised { did: Did, peer: PeerId, connection: ConnectionId, record: Box<NodeRecord> },
    /// A stream that a peer opened ended.
    Left { peer: PeerId, connection: ConnectionId, end: End },
    /// The house has judged a head record.
    Judged(Judged),
}

impl<H> Ground<H> {
    pub(crate) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The caller proved itself on this connection. To be said before it is answered, so that it
    /// is known by the time it can ask.
    pub(crate) fn recognise(&self, connection: ConnectionId, caller: &Caller) {
        let recognition = Recognition { did: caller.known.did.clone(), expires: caller.record.expires };
        self.recognised.lock().unwrap_or_else(PoisonError::into_inner).insert(connection, recognition);
    }

    /// The partner whose node is at the other end of this connection, if it has proved itself and
    /// is still a partner.
    pub(crate) fn recognised(&self, connection: ConnectionId) -> Option<Did> {
        let recognised = self.recognised.lock().unwrap_or_else(PoisonError::into_inner);
        let Recognition { did, expires } = recognised.get(&connection)?;
        let holds = (self.clock)() < *expires && self.book().contains_key(did);
        holds.then(|| did.clone())
    }

    pub(crate) fn forget(&self, connection: ConnectionId) {
        self.recognised.lock().unwrap_or_else(PoisonError::into_inner).remove(&connection);
    }

    /// No connection counts as this partner's any more until it has proved itself again.
    pub(crate) fn forget_partner(&self, did: &Did) {
        self.recognised.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, known| known.did != *did);
    }

    pub(crate) async fn report(&self, report: Report) {
        // Fails only when the node task is gone, and with it everybody who wanted to know.
        let _ = self.reports.send(report).await;
    }
}

/// Where messages for each partner can go now: written by the node task, read by every `send`.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: RwLock<HashMap<Did, Result<Lane, String>>>,
}

impl Lanes {
    pub(crate) fn find(&self, did: &Did) -> Result<Lane, SendError> {
        match self.lanes.read().unwrap_or_else(PoisonError::into_inner).get(did) {
            Some(Ok(lane)) => Ok(lane.clone()),
            Some(Err(words)) => Err(SendError::Unreachable(words.clone())),
            None => Err(SendError::UnknownPartner),
        }
    }

    pub(crate) fn set(&self, did: &Did, lane: Result<Lane, String>) {
        self.lanes.write().unwrap_or_else(PoisonError::into_inner).insert(did.clone(), lane);
    }

    pub(crate) fn remove(&self, did: &Did) {
        self.lanes.write().unwrap_or_else(PoisonError::into_inner).remove(did);
    }
}
