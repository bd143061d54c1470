//! A second node of mallory's, below the overlay: one stream, over which the test says frames as it likes.

use std::collections::HashMap;

use bytes::Bytes;
use dccp::frame::{Frame, decode, encode};
use dccp::node::NodeRecord;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, tcp, tls, yamux};
use overlay::peer_id_of;

use super::{LIFE_MS, Mallory, now};
use crate::site::{PATIENCE, Site};

impl Mallory {
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
