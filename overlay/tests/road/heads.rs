//! Head records: presented by partners, published, found through others, and never believed.

use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dccp::Did;
use overlay::{AskError, Kad, PublishError, Topic, Whom};

use crate::fixture::hostile::{Mallory, RawStream};
use crate::fixture::{Node, Org, QUIC, TCP, head, quick, two_nodes, within};
use crate::hostile::{acme_with, hello_of, still_serves};

const KAD: &str = "/dccp/kad/1.0.0";
const SOON: Duration = Duration::from_secs(10);

async fn a_head_is_found_through_a_third_node(listen: &str) {
    let hub = Node::start_in_network(Org::found("hub", 9), listen, Kad::Server, &[]).await;
    let entrance = hub.addresses();
    let acme = Node::start_in_network(Org::found("acme", 1), listen, Kad::Client, &entrance).await;
    let globex = Node::start_in_network(Org::found("globex", 2), listen, Kad::Client, &entrance).await;

    let record = head(&globex.org.did, 4);
    let published = globex.overlay.publish_head(&globex.org.did, record.clone());
    within("a publication", published).await.expect("the hub has taken it");
    hub.counts("dccp_overlay_heads_kept_total", 1.0).await;
    assert_eq!(acme.overlay.find_heads(&globex.org.did, SOON).await, [record]);
    assert_eq!(hub.house.heads_judged(), 1);

    // The next head takes its place, and comes alone.
    let newer = head(&globex.org.did, 5);
    globex.overlay.publish_head(&globex.org.did, newer.clone()).await.expect("taken");
    hub.counts("dccp_overlay_heads_kept_total", 2.0).await;
    assert_eq!(acme.overlay.find_heads(&globex.org.did, SOON).await, [newer]);
    assert!(acme.overlay.find_heads(&acme.org.did, SOON).await.is_empty());
}

#[tokio::test]
async fn a_head_is_found_through_a_third_node_on_tcp() {
    a_head_is_found_through_a_third_node(TCP).await;
}

#[tokio::test]
async fn a_head_is_found_through_a_third_node_on_quic() {
    a_head_is_found_through_a_third_node(QUIC).await;
}

#[tokio::test]
async fn partners_that_speak_kad_find_each_other_without_an_entrance() {
    let acme = Node::start_in_network(Org::found("acme", 1), TCP, Kad::Server, &[]).await;
    let globex = Node::start_in_network(Org::found("globex", 2), TCP, Kad::Server, &[]).await;
    acme.overlay.set_partners(vec![globex.partner()]);
    globex.overlay.set_partners(vec![acme.partner()]);
    acme.link_up(&globex.org.did).await;
    let record = head(&acme.org.did, 1);
    within("a publication", async {
        // Until `identify` has told both that the other speaks Kademlia.
        while acme.overlay.publish_head(&acme.org.did, record.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    globex.counts("dccp_overlay_heads_kept_total", 1.0).await;
    assert_eq!(globex.overlay.find_heads(&acme.org.did, SOON).await, [record]);
}

#[tokio::test]
async fn without_a_network_nothing_is_published_and_nothing_found() {
    let (acme, globex) = two_nodes(TCP).await;
    let published = acme.overlay.publish_head(&acme.org.did, head(&acme.org.did, 1)).await;
    assert_eq!(published, Err(PublishError::Off));
    assert!(within("nothing", acme.overlay.find_heads(&globex.org.did, SOON)).await.is_empty());

    let alone = Node::start_in_network(Org::found("alone", 3), TCP, Kad::Server, &[]).await;
    let published = within("an end", alone.overlay.publish_head(&acme.org.did, head(&acme.org.did, 1))).await;
    assert!(matches!(published, Err(PublishError::NobodyKept(_))), "{published:?}");
    let large = Bytes::from(vec![0; 12 * 1024 + 1]);
    let published = alone.overlay.publish_head(&acme.org.did, large).await;
    assert_eq!(published, Err(PublishError::TooLarge(12 * 1024 + 1)));
}

#[tokio::test]
async fn a_head_is_presented_with_the_hello_and_again_when_it_changes() {
    let (acme, globex) = two_nodes(TCP).await;
    let mut hello = acme.org.hello(&[]);
    hello.head = b"head 1".to_vec();
    acme.overlay.set_hello(hello.clone());
    assert_eq!(globex.head().await, (acme.org.did.clone(), b"head 1".to_vec()));
    hello.head = b"head 2".to_vec();
    acme.overlay.set_hello(hello);
    assert_eq!(globex.head().await, (acme.org.did.clone(), b"head 2".to_vec()));
}

#[tokio::test]
async fn whoever_proved_itself_by_replaced_operator_keys_has_to_prove_itself_anew() {
    let (acme, globex) = two_nodes(TCP).await;
    acme.link_up(&globex.org.did).await;
    globex.link_up(&acme.org.did).await;

    // The officers of acme have spoken, and globex has heard of it.
    let back = Org::taken_back("acme", 1);
    globex.overlay.set_partners(vec![back.partner(&acme.overlay.listen_addresses())]);
    globex.link_down(&acme.org.did).await;
    let refused = acme.link(&globex.org.did, |link| {
        link.last_error.as_ref().is_some_and(|error| error.contains("does not verify"))
    });
    assert!(!refused.await.up, "the old key opens no stream any more");

    // The same node, under the new key.
    acme.overlay.set_hello(back.hello(&[]));
    acme.link_up(&globex.org.did).await;
    globex.link_up(&acme.org.did).await;
}

#[tokio::test]
async fn a_caller_whose_keys_are_not_known_yet_is_asked_where_it_stands() {
    let (acme, globex) = two_nodes(TCP).await;
    globex.house.shut();
    acme.overlay.set_hello(Org::taken_back("acme", 1).hello(&[]));
    let (claimed, node) = globex.claim().await;
    assert_eq!(claimed, acme.org.did);
    let question = Bytes::from_static(b"who?");
    let answer = globex.overlay.ask(&Whom::Node(node), Topic::Did, question.clone(), SOON).await;
    assert_eq!(answer, Ok(question));
    globex.house.open();
    acme.link_down(&globex.org.did).await;
}

#[tokio::test]
async fn who_claims_to_be_a_partner_again_and_again_is_heard_a_few_times() {
    const CLAIMS: usize = 12;
    let started = Instant::now();
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    for _ in 0..CLAIMS {
        let mut mallory = Mallory::connect([66; 32], &acme).await;
        mallory.open().await.say(&hello_of(&Org::taken_back("globex", 2))).await;
        mallory.disconnected().await;
    }
    assert_eq!(acme.metric("dccp_overlay_peers_refused_total{reason=\"record_forged\"}"), CLAIMS as f64);
    let (heard, earned) = (acme.house.claims(), started.elapsed().as_secs() as usize / 10);
    assert!((4..=4 + earned).contains(&heard), "{heard}");
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn a_node_that_is_not_connected_is_not_dialled_for_a_question_to_it() {
    let (acme, globex) = (
        Node::start(Org::found("acme", 1), &[TCP], quick()).await,
        Node::start(Org::found("globex", 2), &[TCP], quick()).await,
    );
    let peer = libp2p::PeerId::from_str(&globex.overlay.peer_id()).expect("a PeerId").to_bytes();
    let asked = acme.overlay.ask(&Whom::Node(peer), Topic::Did, Bytes::from_static(b"who?"), SOON).await;
    assert!(matches!(asked, Err(AskError::Unreachable(_))), "{asked:?}");
}

/// A hub and a raw node that speaks Kademlia to it.
async fn hub_and_mallory() -> (Node, Mallory) {
    let hub = Node::start_in_network(Org::found("hub", 9), TCP, Kad::Server, &[]).await;
    let mallory = Mallory::connect([66; 32], &hub).await;
    (hub, mallory)
}

fn refused(reason: &str) -> String {
    format!("dccp_overlay_heads_refused_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn forged_foreign_and_stale_records_are_not_kept() {
    let (hub, mut mallory) = hub_and_mallory().await;
    let (acme, globex) = (Org::found("acme", 1).did, Org::found("globex", 2).did);

    mallory.put(&acme, b"not signed").await;
    hub.counts(&refused("dropped"), 1.0).await;
    assert_eq!(mallory.look_up(&acme).await, None);

    // A valid record of Globex under the name of Acme.
    mallory.put(&acme, &head(&globex, 1)).await;
    hub.counts(&refused("foreign_key"), 1.0).await;
    assert_eq!(mallory.look_up(&acme).await, None);

    mallory.put(&acme, &head(&acme, 5)).await;
    hub.counts("dccp_overlay_heads_kept_total", 1.0).await;
    mallory.put(&acme, &head(&acme, 4)).await;
    hub.counts(&refused("dropped"), 2.0).await;
    assert_eq!(mallory.look_up(&acme).await.as_deref(), Some(&head(&acme, 5)[..]));

    // The same again costs the house nothing.
    let judged = hub.house.heads_judged();
    mallory.put(&acme, &head(&acme, 5)).await;
    mallory.put(&acme, &head(&acme, 6)).await;
    hub.counts("dccp_overlay_heads_kept_total", 2.0).await;
    assert_eq!(hub.house.heads_judged(), judged + 1);
}

#[tokio::test]
async fn a_record_that_is_too_large_never_reaches_the_house() {
    let (hub, mut mallory) = hub_and_mallory().await;
    let acme = Org::found("acme", 1).did;
    mallory.put(&acme, &vec![7; 12 * 1024 + 1]).await;
    hub.counts(&refused("too_large"), 1.0).await;
    // Beyond the 16 KiB of a Kademlia message nothing is even read.
    mallory.put(&acme, &vec![7; 64 * 1024]).await;
    assert_eq!(mallory.look_up(&acme).await, None);
    assert_eq!(hub.house.heads_judged(), 0);
}

#[tokio::test]
async fn nobody_replaces_the_record_that_we_publish_ourselves() {
    let (hub, mut mallory) = hub_and_mallory().await;
    let did = hub.org.did.clone();
    let _ = within("an end", hub.overlay.publish_head(&did, head(&did, 3))).await;
    mallory.put(&did, &head(&did, 9)).await;
    hub.counts(&refused("ours"), 1.0).await;
    assert_eq!(mallory.look_up(&did).await.as_deref(), Some(&head(&did, 3)[..]));
}

#[tokio::test]
async fn a_flood_of_records_costs_the_house_a_bounded_number_of_looks() {
    const FLOOD: usize = 1000;
    let (hub, mut mallory) = hub_and_mallory().await;
    let acme = Org::found("acme", 1).did;
    for number in 0..FLOOD {
        mallory.put(&acme, format!("forgery {number}").as_bytes()).await;
    }
    within("all to be counted", async {
        let all = ["dropped", "rate", "busy"];
        while all.iter().map(|reason| hub.metric(&refused(reason))).sum::<f64>() < FLOOD as f64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // The burst, and two a second.
    assert!(hub.house.heads_judged() < 64 + 100, "{}", hub.house.heads_judged());
    assert_eq!(mallory.look_up(&acme).await, None);
}

#[tokio::test]
async fn a_flood_of_provider_records_leaves_nothing_behind() {
    const FLOOD: usize = 1000;
    let (hub, mut mallory) = hub_and_mallory().await;
    let acme = Org::found("acme", 1).did;
    for _ in 0..FLOOD {
        mallory.provide(&acme).await;
    }
    hub.counts(&refused("provider"), FLOOD as f64).await;
    assert!(!mallory.has_providers(&acme).await);
    assert_eq!(mallory.look_up(&acme).await, None);
}

#[tokio::test]
async fn garbage_instead_of_a_kademlia_message_changes_nothing() {
    let (hub, mut mallory) = hub_and_mallory().await;
    for garbage in [&b"\xff\xff\xff\xff\xff\xff"[..], b"\x05hello", b"\x00", b"\x80"] {
        let mut stream = mallory.open_as(KAD).await.expect("offered");
        stream.say_raw(garbage).await;
    }
    let acme = Org::found("acme", 1).did;
    mallory.put(&acme, &head(&acme, 1)).await;
    hub.counts("dccp_overlay_heads_kept_total", 1.0).await;
}

#[tokio::test]
async fn a_client_keeps_nothing_for_others() {
    let client = Node::start_in_network(Org::found("client", 8), TCP, Kad::Client, &[]).await;
    let mut mallory = Mallory::connect([66; 32], &client).await;
    assert!(mallory.open_as(KAD).await.is_none());
    let (acme, _globex) = two_nodes(TCP).await;
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    assert!(mallory.open_as(KAD).await.is_none());
}

/// Kademlia by hand: the protobuf messages of the libp2p specification.
impl Mallory {
    async fn put(&mut self, did: &Did, value: &[u8]) {
        let record = [field(1, &key(did)), field(2, value)].concat();
        let mut stream = self.kad(&[field(2, &key(did)), field(3, &record)].concat()).await;
        let _ = stream.hear_varint_block().await;
    }

    async fn look_up(&mut self, did: &Did) -> Option<Vec<u8>> {
        let mut stream = self.kad(&[vec![0x08, 1], field(2, &key(did))].concat()).await;
        let answer = stream.hear_varint_block().await.expect("an answer");
        let record = find_field(&answer, 3)?;
        find_field(&record, 2)
    }

    async fn provide(&mut self, did: &Did) {
        let peer = libp2p::identity::Keypair::ed25519_from_bytes([66; 32]).expect("32").public().to_peer_id();
        let peer =
            field(9, &[field(1, &peer.to_bytes()), field(2, b"\x04\x7f\0\0\x01\x06\x10\x01")].concat());
        self.kad(&[vec![0x08, 2], field(2, &key(did)), peer].concat()).await;
    }

    async fn has_providers(&mut self, did: &Did) -> bool {
        let mut stream = self.kad(&[vec![0x08, 3], field(2, &key(did))].concat()).await;
        find_field(&stream.hear_varint_block().await.expect("an answer"), 9).is_some()
    }

    async fn kad(&mut self, message: &[u8]) -> RawStream {
        let mut stream = self.open_as(KAD).await.expect("offered");
        let mut octets = varint(message.len());
        octets.extend(message);
        stream.say_raw(&octets).await;
        stream
    }
}

impl RawStream {
    async fn hear_varint_block(&mut self) -> Option<Vec<u8>> {
        use futures::AsyncReadExt;
        within("a Kademlia message or the end", async {
            let (mut length, mut shift) = (0, 0);
            loop {
                let mut octet = [0];
                self.0.read_exact(&mut octet).await.ok()?;
                length |= usize::from(octet[0] & 0x7f) << shift;
                shift += 7;
                if octet[0] < 0x80 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.ok()?;
            Some(body)
        })
        .await
    }
}

fn key(did: &Did) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, did.as_str().as_bytes()).as_ref().to_vec()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    while number >= 0x80 {
        octets.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
    octets
}

fn field(number: usize, contents: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(contents.len()), contents.to_vec()].concat()
}

/// The contents of the first length-delimited field of this number.
fn find_field(mut message: &[u8], wanted: usize) -> Option<Vec<u8>> {
    loop {
        let tag = take_varint(&mut message)?;
        let value = take_varint(&mut message)?;
        match tag & 7 {
            2 if tag >> 3 == wanted => return Some(message[..value].to_vec()),
            2 => message = &message[value..],
            _ => {}
        }
    }
}

fn take_varint(message: &mut &[u8]) -> Option<usize> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (octet, rest) = message.split_first()?;
        *message = rest;
        value |= usize::from(octet & 0x7f) << shift;
        shift += 7;
        if *octet < 0x80 {
            return Some(value);
        }
    }
}
