//! Messages per second between two nodes in one process, for profiling.
//!
//! `cargo run --release -p overlay --example pump -- [tcp|quic] [messages] [bytes]`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use dccp::body::BodyDigest;
use dccp::did::{Commitment, DidDocument, Founding, found};
use dccp::keys::SigningKey;
use dccp::message::{Class, FsClass, Message};
use dccp::node::NodeRecord;
use dccp::seal::{RecipientKey, SealedMessage, seal};
use dccp::{Did, Suite, UnixMillis, xwing};
use futures::{StreamExt, stream};
use overlay::{
    Asker, ChunkKept, Config, HeadVerdict, Hello, House, Kad, Kept, Limits, LinkState, Overlay, Partner,
    Topic, peer_id_of, start,
};
use prometheus_client::registry::Registry;
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

/// Keeps nothing, at once: what is measured is the road.
struct Void;

impl House for Void {
    async fn keep(&self, _: &Did, _: SealedMessage) -> Kept {
        Kept::Durable
    }

    async fn chunk(&self, _: &Did, _: BodyDigest, _: u32, _: Bytes) -> ChunkKept {
        ChunkKept::Durable
    }

    fn prekeys(&self, _: &Did, _: Vec<Vec<u8>>) {}

    fn presented_head(&self, _: &Did, _: Vec<u8>) {}

    async fn unproven(&self, _: &Did, _: Vec<u8>) {}

    async fn answer(&self, _: Asker, _: Topic, _: Bytes) -> Option<Bytes> {
        None
    }

    async fn accept_head(&self, _: &[u8], _: Option<&[u8]>) -> HeadVerdict {
        HeadVerdict::Drop
    }
}

struct Org {
    document: DidDocument,
    operator: SigningKey,
    seed: [u8; 32],
}

#[tokio::main]
async fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("first");
    let mut words = std::env::args().skip(1);
    let listen = match words.next().as_deref() {
        Some("quic") => "/ip4/127.0.0.1/udp/0/quic-v1",
        _ => "/ip4/127.0.0.1/tcp/0",
    };
    let messages: usize = words.next().map_or(20_000, |text| text.parse().expect("a number of messages"));
    let size: usize = words.next().map_or(12_000, |text| text.parse().expect("a number of bytes"));

    let (acme, globex) = (Org::found(1), Org::found(2));
    let (from, to) = (acme.start(listen).await, globex.start(listen).await);
    from.set_partners(vec![globex.partner(to.listen_addresses())]);
    to.set_partners(vec![acme.partner(vec![])]);
    let did = globex.document.did().clone();
    let up = |links: &BTreeMap<Did, LinkState>| links.get(&did).is_some_and(|link| link.up);
    from.links().wait_for(up).await.expect("node lives");

    let sealed = acme.seal_for(&globex, size);
    let length = sealed.bytes().len();
    let begun = Instant::now();
    stream::iter(0..messages)
        .map(|_| from.send(&did, sealed.clone()))
        .buffer_unordered(1024)
        .for_each(|sent| async {
            sent.expect("kept");
        })
        .await;
    let seconds = begun.elapsed().as_secs_f64();
    let rate = messages as f64 / seconds;
    eprintln!("{listen}: {messages} × {length} B in {seconds:.2} s = {rate:.0} msg/s");
    from.shutdown(Duration::from_secs(2)).await;
    to.shutdown(Duration::from_secs(2)).await;
}

fn now() -> UnixMillis {
    UnixMillis(SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as u64)
}

impl Org {
    fn found(number: u8) -> Org {
        let mut rng = StdRng::seed_from_u64(number.into());
        let operator = SigningKey::generate(&mut rng);
        let recovery = Commitment::of(SigningKey::generate(&mut rng).verifying_key());
        let domains = vec![format!("org{number}.example")];
        let founding =
            Founding::organisation(domains, operator.verifying_key().clone(), recovery, UnixMillis(0));
        let document = found(&founding, &[&operator]).expect("founded").verify().expect("verifies");
        Org { document, operator, seed: [number; 32] }
    }

    fn record(&self, addresses: Vec<String>) -> NodeRecord {
        NodeRecord {
            did: self.document.did().clone(),
            peer_id: peer_id_of(&self.seed).to_bytes(),
            addresses,
            not_before: UnixMillis(0),
            expires: now().saturating_add_ms(3_600_000),
        }
    }

    fn partner(&self, addresses: Vec<String>) -> Partner {
        let did = self.document.did().clone();
        Partner { did, document: self.document.clone(), nodes: vec![self.record(addresses)] }
    }

    async fn start(&self, listen: &str) -> Overlay {
        let config = Config {
            node_key_seed: self.seed.into(),
            listen: vec![listen.to_owned()],
            mdns: false,
            kad: Kad::Off,
            bootstrap: vec![],
            limits: Limits::default(),
        };
        let node_record = self.record(vec![]).sign(&self.operator).expect("signed");
        let hello = Hello { node_record, prekeys: vec![], head: vec![] };
        let started = start(config, hello, vec![], Arc::new(Void), &mut Registry::default(), now).await;
        started.expect("started")
    }

    fn seal_for(&self, to: &Org, size: usize) -> SealedMessage {
        let kem = xwing::DecapsulationKey::from_seed(&[9; 32]).encapsulation_key().clone();
        let did = to.document.did().clone();
        let key = RecipientKey {
            did: did.clone(),
            suite: Suite::X0001,
            key_id: kem.key_id(),
            kem: kem.into(),
            fs_class: FsClass::Static,
        };
        let message = Message {
            sender: self.document.did().clone(),
            message_id: Uuid::now_v7(),
            payload: Bytes::from(vec![0x61; size]),
            recipients: vec![did],
            content_type: "text/plain".to_owned(),
            timestamp: now(),
            expires: now().saturating_add_ms(3_600_000),
            class: Class::Normal,
            fs_class: FsClass::Static,
            suite: Suite::X0001,
            own_tree: None,
            your_tree: None,
        };
        let device = SigningKey::from_seed(&self.operator.seed()).into();
        seal(&message, &key, &device, now(), &mut rand::rng()).expect("sealed")
    }
}
