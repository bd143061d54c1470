//! Head records at the node task: searches and publications of ours, records that others bring.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{
    self, GetRecordOk, InboundRequest, PutRecordError, QueryId, QueryResult, Quorum, Record, RecordKey,
};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Road;
use crate::config::{AskLimits, Rate};
use crate::desk::{Desk, Source};
use crate::directory::{HEAD_BYTES_MAX, HEAD_LIFE, Judged, Publication, Search, Shelf, key_of};
use crate::error::PublishError;
use crate::ground::Report;
use crate::house::House;
use crate::topic::HeadVerdict;

/// Searches and publications of ours at one time: each dials a few nodes at once.
const QUERIES_MAX: usize = 16;

/// How long the house may think about one record.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(10);

/// Records that are being judged for one asker: each costs a hybrid verification at least.
const JUDGED_PER_ASKER_MAX: usize = 4;

/// Records of strangers, and of partners, that are being judged.
const JUDGED_MAX: usize = 8;

/// Records that one asker may bring: a neighbour that comes back has its whole share to hand over.
const RECORDS_RATE: Rate = Rate { burst: 64, interval: Duration::from_millis(500) };

/// Records that all strangers together may bring.
const STRANGERS_RECORDS_RATE: Rate = Rate { burst: 256, interval: Duration::from_millis(50) };

/// What the node task remembers about records.
pub(super) struct Heads {
    bootstrap: Vec<(PeerId, Multiaddr)>,
    publications: HashMap<QueryId, oneshot::Sender<Result<(), PublishError>>>,
    searches: HashMap<QueryId, Hunt>,
    /// Names whose record is with the house: one at a time, so that none overtakes a newer one.
    judging: HashSet<RecordKey>,
    /// Who may bring records now.
    desk: Arc<Desk>,
}

/// One search and what it has found.
struct Hunt {
    key: RecordKey,
    found: mpsc::Sender<Bytes>,
}

impl Heads {
    pub(super) fn new(bootstrap: Vec<(PeerId, Multiaddr)>) -> Heads {
        let limits = AskLimits {
            per_asker_max: JUDGED_PER_ASKER_MAX,
            strangers_max: JUDGED_MAX,
            partners_max: JUDGED_MAX,
            stranger_rate: RECORDS_RATE,
            partner_rate: RECORDS_RATE,
            strangers_rate: STRANGERS_RECORDS_RATE,
            ..AskLimits::default()
        };
        Heads {
            bootstrap,
            publications: HashMap::new(),
            searches: HashMap::new(),
            judging: HashSet::new(),
            desk: Desk::new(limits, Instant::now()),
        }
    }
}

impl<H: House> Road<H> {
    fn kad(&mut self) -> Option<&mut kad::Behaviour<Shelf>> {
        self.swarm.behaviour_mut().kad.as_mut()
    }

    /// Names the nodes by which to enter the network. Kademlia forgets addresses that did not work.
    pub(super) fn remember_bootstrap(&mut self) {
        let bootstrap = self.heads.bootstrap.clone();
        let Some(kad) = self.kad() else { return };
        for (peer, address) in bootstrap {
            kad.add_address(&peer, address);
        }
    }

    /// Tells Kademlia where a partner's node is that speaks it. `identify` does not say where nodes
    /// listen; their verified records do.
    pub(super) fn introduce_to_kad(&mut self, peer: PeerId) {
        if !self.connections.values().any(|c| c.peer == peer && c.speaks_kad) {
            return;
        }
        let addresses: Vec<Multiaddr> =
            self.links.values().flat_map(|link| link.addresses_of(&peer)).collect();
        let Some(kad) = self.kad() else { return };
        for address in addresses {
            kad.add_address(&peer, address);
        }
    }

    pub(super) fn publish_head(&mut self, Publication { did, record, done }: Publication) {
        let crowded = self.heads.publications.len() >= QUERIES_MAX;
        self.remember_bootstrap();
        let Some(kad) = self.kad() else {
            let _ = done.send(Err(PublishError::Off));
            return;
        };
        if crowded {
            let _ = done.send(Err(PublishError::NobodyKept("too many publications at once".to_owned())));
            return;
        }
        let record = Record::new(key_of(&did), record.into());
        match kad.put_record(record, Quorum::One) {
            Ok(query) => drop(self.heads.publications.insert(query, done)),
            Err(error) => drop(done.send(Err(PublishError::NobodyKept(error.to_string())))),
        }
    }

    pub(super) fn search(&mut self, Search { did, found }: Search) {
        if self.heads.searches.len() >= QUERIES_MAX {
            return;
        }
        self.remember_bootstrap();
        let key = key_of(&did);
        let Some(kad) = self.kad() else { return };
        let query = kad.get_record(key.clone());
        self.heads.searches.insert(query, Hunt { key, found });
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request } => self.on_request(request),
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                match result {
                    QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                        self.found(id, found.record);
                    }
                    QueryResult::PutRecord(result) => self.published(id, result.err()),
                    _ => {}
                }
                if step.last {
                    self.heads.searches.remove(&id);
                }
            }
            _ => {}
        }
    }

    /// A candidate. The search ends when nobody wants more.
    fn found(&mut self, id: QueryId, record: Record) {
        let Some(hunt) = self.heads.searches.get(&id) else { return };
        if record.key != hunt.key || record.value.len() > HEAD_BYTES_MAX {
            return;
        }
        if hunt.found.try_send(record.value.into()).is_err() {
            self.heads.searches.remove(&id);
            if let Some(mut query) = self.kad().and_then(|kad| kad.query_mut(&id)) {
                query.finish();
            }
        }
    }

    fn published(&mut self, id: QueryId, error: Option<PutRecordError>) {
        let Some(done) = self.heads.publications.remove(&id) else { return };
        let outcome = match error {
            None => Ok(()),
            Some(error) => Err(PublishError::NobodyKept(error.to_string())),
        };
        let _ = done.send(outcome); // The publisher may have gone.
    }

    fn on_request(&mut self, request: InboundRequest) {
        match request {
            InboundRequest::PutRecord { connection, record: Some(record), .. } => {
                if let Err(reason) = self.brought(connection, record) {
                    self.ground.metrics.head_refused(reason);
                }
            }
            InboundRequest::AddProvider { .. } => self.ground.metrics.head_refused("provider"),
            _ => {}
        }
    }

    /// A node wants us to keep a record: what can be seen without the house comes first.
    fn brought(&mut self, connection: ConnectionId, record: Record) -> Result<(), &'static str> {
        let Record { key, value, .. } = record;
        if value.len() > HEAD_BYTES_MAX {
            return Err("too_large");
        }
        let source = match self.ground.recognised(connection) {
            Some(did) => Source::Partner(did),
            None => match self.connections.get(&connection) {
                Some(connection) => Source::stranger(&connection.address),
                None => return Err("lost"),
            },
        };
        let seat = self.heads.desk.admit(source, Instant::now()).map_err(|away| away.label())?;
        let Some(kad) = self.kad() else { return Err("off") };
        let shelf = kad.store_mut();
        let stored = shelf.get(&key).map(|stored| (shelf.is_ours(&stored), stored.value.clone()));
        let stored = match stored {
            Some((true, _)) => return Err("ours"),
            Some((false, stored)) if stored == value => return self.shelve(key, value),
            Some((false, stored)) => Some(stored),
            None => None,
        };
        if !self.heads.judging.insert(key.clone()) {
            return Err("busy");
        }
        let ground = Arc::clone(&self.ground);
        let judging = async move {
            let thinking = ground.house.accept_head(&value, stored.as_deref());
            let verdict = timeout(VERDICT_TIMEOUT, thinking).await.unwrap_or(HeadVerdict::Drop);
            drop(seat);
            ground.report(Report::Judged(Judged { key, record: value, verdict })).await;
        };
        self.streams.spawn(self.until_stopped(judging));
        Ok(())
    }

    pub(super) fn judged(&mut self, Judged { key, record, verdict }: Judged) {
        self.heads.judging.remove(&key);
        let outcome = match verdict {
            HeadVerdict::Drop => Err("dropped"),
            HeadVerdict::Contradicts => Err("contradiction"),
            HeadVerdict::Store(did) if key_of(&did) != key => Err("foreign_key"),
            HeadVerdict::Store(_) => self.shelve(key, record),
        };
        match outcome {
            Ok(()) => drop(self.ground.metrics.heads_kept.inc()),
            Err(reason) => self.ground.metrics.head_refused(reason),
        }
    }

    fn shelve(&mut self, key: RecordKey, value: Vec<u8>) -> Result<(), &'static str> {
        let Some(kad) = self.kad() else { return Err("off") };
        // How long and in whose name is not for the bringer to say.
        let record = Record { key, value, publisher: None, expires: Some(Instant::now() + HEAD_LIFE) };
        kad.store_mut().put(record).map_err(|_| "full")
    }
}
