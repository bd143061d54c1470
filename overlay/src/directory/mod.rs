//! The network of head records: a private Kademlia, `/dccp/kad/1.0.0`.
//!
//! It is a hint where a newer head of a DID may be had, and trusted for nothing: what is found is
//! verified by the house, and what others want kept here is verified before it is stored. A
//! Kademlia can be eclipsed; then nothing is found, and nothing false is believed.

mod shelf;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use dccp::Did;
use libp2p::kad::{self, RecordKey};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol};
use tokio::sync::{mpsc, oneshot};

use crate::config::Kad;
use crate::error::PublishError;
use crate::topic::HeadVerdict;

pub(crate) use shelf::Shelf;

/// Protocol of the network: private, because records of other networks are none of ours.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/dccp/kad/1.0.0");

/// A head record, as published: with the rest of a Kademlia message it stays below 16 KiB.
pub(crate) const HEAD_BYTES_MAX: usize = 12 * 1024;

/// Candidates of one search: of more, most are copies or lies.
pub(crate) const CANDIDATES_MAX: usize = 16;

/// How long a record is kept unless it is published again; publishing again happens twice within.
pub(crate) const HEAD_LIFE: Duration = Duration::from_secs(48 * 3600);

/// A search or publication that takes longer has failed.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The Kademlia of this node, or none.
pub(crate) fn behaviour(local: PeerId, kad: Kad, heads_max: usize) -> Toggle<kad::Behaviour<Shelf>> {
    let mode = match kad {
        Kad::Off => return None.into(),
        Kad::Client => kad::Mode::Client,
        Kad::Server => kad::Mode::Server,
    };
    let mut config = kad::Config::new(PROTOCOL);
    config
        // Nothing is stored before the house has verified it; provider records never.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_record_ttl(Some(HEAD_LIFE))
        .set_provider_publication_interval(None)
        .set_caching(kad::Caching::Disabled)
        .set_query_timeout(QUERY_TIMEOUT)
        // A liar on one path does not decide where the other paths lead.
        .disjoint_query_paths(true);
    let mut behaviour = kad::Behaviour::with_config(local, Shelf::new(local, heads_max), config);
    behaviour.set_mode(Some(mode));
    Some(behaviour).into()
}

/// Where the head record of this DID is kept: SHA-256 of its text.
pub(crate) fn key_of(did: &Did) -> RecordKey {
    RecordKey::new(&digest(&SHA256, did.as_str().as_bytes()))
}

/// A record to be published.
pub(crate) struct Publication {
    pub(crate) did: Did,
    pub(crate) record: Bytes,
    pub(crate) done: oneshot::Sender<Result<(), PublishError>>,
}

/// A search. It is over when `found` is dropped by either side.
pub(crate) struct Search {
    pub(crate) did: Did,
    pub(crate) found: mpsc::Sender<Bytes>,
}

/// What the house thinks of a record that a node brought.
pub(crate) struct Judged {
    pub(crate) key: RecordKey,
    pub(crate) record: Vec<u8>,
    pub(crate) verdict: HeadVerdict,
}
