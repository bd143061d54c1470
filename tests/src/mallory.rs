//! A partner who means ill: an organisation with real keys, whose node runs in the test and says what it likes.
//!
//! ```text
//! Mallory::among([&globex]) ─► draft() ─► seal() ─► send()      through the overlay, as a gateway would
//!                                            └────► raw() ─► say() frames that no overlay would send
//! globex ─► receipts ─► Mallory::verdict_on(sealed)
//! ```
//!
//! Forged here, because no honest software does it: what is sealed to whom, in whose name, signed by which key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dccp::body::BodyDigest;
use dccp::frame::{Frame, decode, encode};
use dccp::keys::DeviceSigner;
use dccp::mail::{self, Content, Mail, MailEnvelope};
use dccp::message::{Class, FsClass, Message};
use dccp::node::NodeRecord;
use dccp::partner::{PartnerFile, VerifiedPartner};
use dccp::receipt::{self, Receipt};
use dccp::seal::{RecipientKey, SealedMessage, seal, unseal};
use dccp::{Did, Suite, UnixMillis};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use gateway::config::Config;
use gateway::custody::Custody;
use gateway::spool::{Spool, SpoolConfig};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, tcp, tls, yamux};
use overlay::{
    Asker, ChunkKept, HeadVerdict, Hello, HopAck, House, Kept, Limits, Overlay, Partner, SendError, Topic,
    peer_id_of,
};
use prometheus_client::registry::Registry;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::site::{PATIENCE, Site};

/// An hour: a life long enough for a test and short enough for any limit.
const LIFE_MS: u64 = 3_600_000;

/// The organisation mallory.test and its node.
pub struct Mallory {
    runtime: Runtime,
    /// Its folder, keys and addresses. Its gateway never runs.
    pub site: Site,
    /// Its keys.
    pub custody: Custody,
    victims: HashMap<&'static str, VerifiedPartner>,
    overlay: Option<Overlay>,
    mailbag: mpsc::UnboundedReceiver<SealedMessage>,
    receipts: Vec<Receipt>,
}

impl Mallory {
    /// Founded; the victims, whose gateways need not run yet, have imported its partner file.
    pub fn among(victims: &[&Site]) -> Self {
        // libp2p brings a second provider of cryptography, so one must be chosen.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let site = Site::found("mallory.test", "lmtp:127.0.0.1:9");
        victims.iter().for_each(|victim| victim.introduce(&site));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config = Config::load(&site.config()).expect("the configuration of init");
        let custody = runtime.block_on(async {
            let (spool, guard) =
                Spool::open_offline(config.database_path(), SpoolConfig::default()).expect("a spool");
            let custody = Custody::load(&config, &spool, now()).await.expect("the keys of init");
            guard.close().await;
            custody
        });
        let victims: HashMap<_, _> =
            victims.iter().map(|victim| (victim.domain, identity_of(victim))).collect();
        let (bag, mailbag) = mpsc::unbounded_channel();
        let overlay = runtime.block_on(node(&custody, &config, &victims, bag));
        Self { runtime, site, custody, victims, overlay: Some(overlay), mailbag, receipts: Vec::new() }
    }

    /// Waits until the links to all victims are up.
    pub fn await_links(&self) {
        let mut links = self.overlay().links();
        let count = self.victims.len();
        let all_up = links.wait_for(|links| links.len() == count && links.values().all(|link| link.up));
        self.within("links to the victims", all_up).expect("the overlay runs");
    }

    /// The DID of a victim.
    pub fn did_of(&self, victim: &Site) -> Did {
        self.victims[victim.domain].document.did().clone()
    }

    /// The victim's prekey of the day, as any partner knows it.
    pub fn prekey_of(&self, victim: &Site) -> RecipientKey {
        let victim = &self.victims[victim.domain];
        let prekey =
            victim.prekeys.iter().find(|prekey| prekey.is_current_at(now())).expect("a prekey of today");
        RecipientKey {
            did: victim.document.did().clone(),
            suite: Suite::X0001,
            key_id: prekey.key_id,
            kem: prekey.kem.clone(),
            fs_class: FsClass::Epoch,
        }
    }

    /// An ordinary message to the owner of `key`, to be spoiled by the test.
    pub fn draft(&self, key: &RecipientKey, content_type: &str, payload: impl Into<Bytes>) -> Message {
        Message {
            sender: self.custody.did().clone(),
            message_id: Uuid::now_v7(),
            payload: payload.into(),
            recipients: vec![key.did.clone()],
            content_type: content_type.to_owned(),
            timestamp: now(),
            expires: now().saturating_add_ms(LIFE_MS),
            class: Class::Normal,
            fs_class: key.fs_class,
            suite: Suite::X0001,
            own_tree: None,
            your_tree: None,
        }
    }

    /// A mail to the victim, sealed as it should be.
    pub fn mail(&self, victim: &Site, from: &str, to: &str, octets: &[u8]) -> SealedMessage {
        let key = self.prekey_of(victim);
        self.seal(&self.draft(&key, mail::CONTENT_TYPE, payload(from, to, octets)), &key)
    }

    /// Signed by mallory's own device.
    pub fn seal(&self, message: &Message, key: &RecipientKey) -> SealedMessage {
        seal_as(message, key, self.custody.device(), now())
    }

    /// Sends through the overlay and waits for the acknowledgement. As any node it sends again when the link breaks: right
    /// after a victim was killed, a link of its former life may still count as up.
    pub fn send(&self, victim: &Site, sealed: SealedMessage) -> Result<HopAck, SendError> {
        let to = self.did_of(victim);
        let sending = async {
            loop {
                match self.overlay().send(&to, sealed.clone()).await {
                    Err(SendError::Interrupted | SendError::Unreachable(_)) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    answer => return answer,
                }
            }
        };
        self.within("an acknowledgement", sending)
    }

    /// Sends a batch of receipts, as it is.
    pub fn say_receipts(&self, victim: &Site, receipts: &[Receipt]) {
        let key = self.prekey_of(victim);
        let batch = self.seal(&self.draft(&key, receipt::CONTENT_TYPE, receipt::encode(receipts)), &key);
        self.send(victim, batch).expect("kept");
    }

    /// Sends all at the same moment; all must be acknowledged.
    pub fn send_at_once(&self, victim: &Site, sealed: Vec<SealedMessage>) {
        let to = self.did_of(victim);
        let sending = sealed.into_iter().map(|sealed| self.overlay().send(&to, sealed));
        self.within("acknowledgements", futures::future::try_join_all(sending)).expect("all are kept");
    }

    /// Waits for the next message that a victim sends: for tests in which it is no receipt.
    pub fn next_arrival(&mut self) -> SealedMessage {
        let waiting = async { tokio::time::timeout(PATIENCE, self.mailbag.recv()).await };
        self.runtime.block_on(waiting).expect("a message in time").expect("the overlay runs")
    }

    /// The name that the sender gave to a message to us.
    pub fn message_id_of(&self, sealed: &SealedMessage) -> Uuid {
        let key = self.custody.device_kem(&sealed.key_id()).expect("sealed to a key of ours");
        let unverified = unseal(sealed, &key).expect("opens");
        let sender = self.victims.values().find(|victim| victim.document.did() == unverified.sender());
        let signer =
            sender.and_then(|sender| sender.devices.signer(unverified.signer(), now())).expect("known");
        unverified.verify(signer, self.custody.did(), now()).expect("verifies").message.message_id
    }

    /// Waits for the victim's signed word on this message: the first outcome of its receipt.
    pub fn verdict_on(&mut self, victim: &Site, sealed: &SealedMessage) -> receipt::Outcome {
        let digest = sealed.digest();
        loop {
            if let Some(receipt) = self.receipts.iter().find(|receipt| receipt.digest == digest) {
                return receipt.outcomes.first().expect("an outcome").clone();
            }
            let batch = self.next_arrival();
            let receipts = self.read_receipts(victim, &batch);
            self.receipts.extend(receipts);
        }
    }

    fn read_receipts(&self, victim: &Site, batch: &SealedMessage) -> Vec<Receipt> {
        let key = self.custody.device_kem(&batch.key_id()).expect("sealed to a key of ours");
        let unverified = unseal(batch, &key).expect("opens");
        let devices = &self.victims[victim.domain].devices;
        let signer =
            devices.signer(unverified.signer(), now()).expect("signed by a device of the victim").clone();
        let opened = unverified.verify(&signer, self.custody.did(), now()).expect("verifies");
        assert_eq!(opened.message.content_type, receipt::CONTENT_TYPE);
        receipt::decode(&opened.message.payload).expect("readable receipts")
    }

    /// A message stream of a second node of mallory's, over which the test says frames as it likes.
    pub fn raw(&self, victim: &Site) -> RawStream<'_> {
        let seed: [u8; 32] = rand::random();
        let record = NodeRecord {
            did: self.custody.did().clone(),
            peer_id: peer_id_of(&seed).to_bytes(),
            addresses: Vec::new(),
            not_before: now(),
            expires: now().saturating_add_ms(LIFE_MS),
        };
        let node_record = record.sign(self.custody.operator()).expect("a record");
        let peer = PeerId::from_bytes(&self.victims[victim.domain].nodes[0].peer_id).expect("a PeerId");
        let stream = self.within("a raw stream", dial(seed, victim.overlay_port, peer));
        let mut raw = RawStream { mallory: self, stream };
        raw.say(&Frame::Hello {
            version: dccp::frame::VERSION,
            node_record: node_record.into(),
            prekeys: Vec::new(),
            head: Bytes::new(),
        });
        assert!(matches!(raw.hear(), Some(Frame::Hello { .. })), "the victim greets its partner");
        raw
    }

    fn overlay(&self) -> &Overlay {
        self.overlay.as_ref().expect("running")
    }

    fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let patient = async { tokio::time::timeout(PATIENCE, future).await };
        self.runtime.block_on(patient).unwrap_or_else(|_| panic!("mallory waited in vain for {what}"))
    }
}

impl Drop for Mallory {
    fn drop(&mut self) {
        if let Some(overlay) = self.overlay.take() {
            self.runtime.block_on(overlay.shutdown(Duration::from_secs(2)));
        }
    }
}

/// One stream of frames to a victim.
pub struct RawStream<'a> {
    mallory: &'a Mallory,
    stream: libp2p::Stream,
}

impl RawStream<'_> {
    /// One frame.
    pub fn say(&mut self, frame: &Frame) {
        let octets = encode(frame);
        let stream = &mut self.stream;
        let writing = async {
            stream.write_all(&octets).await?;
            stream.flush().await
        };
        self.mallory.within("the victim to read", writing).expect("the victim reads");
    }

    /// The next frame; `None` at the end of the stream.
    pub fn hear(&mut self) -> Option<Frame> {
        let stream = &mut self.stream;
        let reading = async {
            let mut prefix = [0; 4];
            stream.read_exact(&mut prefix).await.ok()?;
            let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
            stream.read_exact(&mut body).await.ok()?;
            Some(decode(Bytes::from(body)).expect("the victim's frames decode"))
        };
        self.mallory.within("a frame", reading)
    }

    /// Sends these octets as sealed messages and waits until all are acknowledged; gives the words of each refusal.
    pub fn deliver(&mut self, messages: impl IntoIterator<Item = Bytes>) -> HashMap<u64, String> {
        let mut last = 0;
        for sealed in messages {
            last += 1;
            self.say(&Frame::Message { seq: last, sealed });
        }
        let mut refusals = HashMap::new();
        loop {
            match self.hear() {
                Some(Frame::Ack { upto, refused }) => {
                    refusals.extend(
                        refused.into_iter().map(|no| (no.seq, format!("{:?}: {}", no.code, no.reason))),
                    );
                    if upto == last {
                        return refusals;
                    }
                }
                Some(Frame::Hello { .. }) => {}
                other => panic!("the victim says {other:?} instead of an acknowledgement"),
            }
        }
    }
}

/// Takes every receipt and keeps it in memory.
struct Lair(mpsc::UnboundedSender<SealedMessage>);

impl House for Lair {
    async fn keep(&self, _: &Did, sealed: SealedMessage) -> Kept {
        _ = self.0.send(sealed);
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

async fn node(
    custody: &Custody,
    config: &Config,
    victims: &HashMap<&'static str, VerifiedPartner>,
    bag: mpsc::UnboundedSender<SealedMessage>,
) -> Overlay {
    let road = overlay::Config {
        node_key_seed: custody.node_seed(),
        listen: config.overlay.listen.clone(),
        mdns: false,
        kad: overlay::Kad::Off,
        bootstrap: Vec::new(),
        limits: Limits::default(),
    };
    let node_record = custody.node_record(config.announced_addresses(), now()).expect("a node record");
    let hello = Hello { node_record, prekeys: custody.current_prekey_records(), head: Vec::new() };
    let partner = |victim: &VerifiedPartner| Partner {
        did: victim.document.did().clone(),
        document: victim.document.clone(),
        nodes: victim.nodes.clone(),
    };
    let partners = victims.values().map(partner).collect();
    let started =
        overlay::start(road, hello, partners, Arc::new(Lair(bag)), &mut Registry::default(), now).await;
    started.expect("mallory's node starts")
}

/// A bare libp2p node with one stream; its swarm runs in the background until the runtime ends.
async fn dial(seed: [u8; 32], port: u16, peer: PeerId) -> libp2p::Stream {
    let key = Keypair::ed25519_from_bytes(seed).expect("32 octets");
    let mut swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), tls::Config::new, yamux::Config::default)
        .expect("TCP")
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    let mut control = swarm.behaviour().new_control();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}").parse().expect("a multiaddr");
    swarm.dial(address).expect("dials");
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    control.open_stream(peer, StreamProtocol::new("/dccp/msg/1")).await.expect("a stream")
}

/// The payload of a mail with one recipient.
pub fn payload(from: &str, to: &str, octets: &[u8]) -> Bytes {
    let envelope = MailEnvelope {
        reverse_path: from.to_owned(),
        forward_paths: vec![to.to_owned()],
        body_8bit: false,
        smtputf8: false,
        ..MailEnvelope::default()
    };
    Mail { envelope, content: Content::Inline(Bytes::copy_from_slice(octets)) }.encode()
}

/// Seals with any signing key, at any time.
pub fn seal_as(
    message: &Message,
    key: &RecipientKey,
    signer: &DeviceSigner,
    at: UnixMillis,
) -> SealedMessage {
    seal(message, key, signer, at, &mut rand::rng()).expect("sealed")
}

/// The time.
pub fn now() -> UnixMillis {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    UnixMillis(u64::try_from(since.as_millis()).expect("not that far in the future"))
}

fn identity_of(site: &Site) -> VerifiedPartner {
    let text = String::from_utf8(site.export()).expect("a partner file");
    PartnerFile::from_text(&text).and_then(|file| file.verify(now())).expect("a valid partner file")
}
