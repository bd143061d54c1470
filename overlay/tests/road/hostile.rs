//! Nodes that mean ill, or are broken: each is refused by name, counted, and the node goes on.

use std::time::Duration;

use bytes::Bytes;
use dccp::frame::{Frame, GoodbyeCode, Refusal, RefusalCode, VERSION};
use overlay::{Limits, SendError, peer_id_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::forwarder::socket_of;
use crate::fixture::hostile::{Mallory, RawStream};
use crate::fixture::{Node, Org, QUIC, TCP, letter, now, quick, two_nodes, within};

/// Acme, listening, with Globex as its only partner.
pub(crate) async fn acme_with(limits: Limits, globex: &Org) -> Node {
    let acme = Node::start(Org::found("acme", 1), &[TCP], limits).await;
    acme.overlay.set_partners(vec![globex.partner(&[])]);
    acme
}

pub(crate) fn hello_of(org: &Org) -> Frame {
    let hello = org.hello(&[]);
    Frame::Hello {
        version: VERSION,
        node_record: hello.node_record.into(),
        prekeys: vec![],
        head: Bytes::new(),
    }
}

/// Proves that the node still serves its partner.
pub(crate) async fn still_serves(acme: &Node, globex: &Org) {
    let mut partner = Mallory::connect(globex.node_seed, acme).await;
    let mut stream = partner.open().await;
    stream.say(&hello_of(globex)).await;
    assert!(matches!(stream.hear().await, Some(Frame::Hello { .. })));
    let sealed = globex.seal_for(&acme.org, Bytes::from_static(b"honest")).bytes().clone();
    stream.say(&Frame::Message { seq: 1, sealed }).await;
    assert_eq!(stream.hear().await, Some(Frame::Ack { upto: 1, refused: vec![] }));
}

/// Says this as the first words on a stream; returns the goodbye after the disconnection.
async fn refused(seed: [u8; 32], first: &[u8], acme: &Node) -> (GoodbyeCode, String) {
    let mut mallory = Mallory::connect(seed, acme).await;
    let mut stream = mallory.open().await;
    stream.say_raw(first).await;
    let goodbye = stream.hear_goodbye().await;
    drop(stream);
    mallory.disconnected().await;
    goodbye
}

pub(crate) async fn refused_by_name(
    seed: [u8; 32],
    first: &Frame,
    acme: &Node,
    code: GoodbyeCode,
    reason: &str,
) {
    let (said, words) = refused(seed, &dccp::frame::encode(first), acme).await;
    assert_eq!(said, code, "{words}");
    let counter = format!("dccp_overlay_peers_refused_total{{reason=\"{reason}\"}}");
    assert_eq!(acme.metric(&counter), 1.0, "{counter} {words}");
}

#[tokio::test]
async fn an_unknown_organisation_is_told_so_and_disconnected() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let mallory = Org::found("mallory", 3);
    let hello = hello_of(&mallory);
    refused_by_name(mallory.node_seed, &hello, &acme, GoodbyeCode::UnknownPeer, "unknown_partner").await;
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn a_record_signed_by_another_operator_is_refused() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let mallory = Org::found("mallory", 3);
    // Globex's name, Mallory's node, Mallory's signature.
    let mut record = mallory.record(&[]);
    record.did = globex.did.clone();
    let node_record = record.sign(&mallory.operator).expect("signed").into();
    let hello = Frame::Hello { version: VERSION, node_record, prekeys: vec![], head: Bytes::new() };
    refused_by_name(mallory.node_seed, &hello, &acme, GoodbyeCode::Unverified, "record_forged").await;
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn a_replayed_hello_of_another_node_is_refused() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    // Word for word what Globex would say, from a node with another key.
    refused_by_name([66; 32], &hello_of(&globex), &acme, GoodbyeCode::Unverified, "record_of_another_node")
        .await;
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn an_expired_record_is_refused() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let mut record = globex.record(&[]);
    record.expires = now().saturating_sub_ms(24 * 3_600_000);
    let node_record = record.sign(&globex.operator).expect("signed").into();
    let hello = Frame::Hello { version: VERSION, node_record, prekeys: vec![], head: Bytes::new() };
    refused_by_name(globex.node_seed, &hello, &acme, GoodbyeCode::Unverified, "record_forged").await;
}

#[tokio::test]
async fn another_version_is_refused_by_name() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let Frame::Hello { node_record, prekeys, head, .. } = hello_of(&globex) else { unreachable!() };
    let hello = Frame::Hello { version: VERSION + 1, node_record, prekeys, head };
    refused_by_name(globex.node_seed, &hello, &acme, GoodbyeCode::Version, "version").await;
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn a_message_before_the_hello_is_refused() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let sealed = globex.seal_for(&acme.org, Bytes::from_static(b"rude")).bytes().clone();
    let first = Frame::Message { seq: 1, sealed };
    refused_by_name(globex.node_seed, &first, &acme, GoodbyeCode::Protocol, "no_hello").await;
}

#[tokio::test]
async fn a_first_frame_that_is_too_large_is_refused_by_its_length_alone() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let (code, words) = refused(globex.node_seed, &u32::MAX.to_be_bytes(), &acme).await;
    assert_eq!(code, GoodbyeCode::Protocol);
    assert!(words.contains("4294967295"), "{words}");
    assert_eq!(acme.metric("dccp_overlay_streams_ended_total{reason=\"frame_too_large\"}"), 1.0);
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn silence_instead_of_a_hello_is_not_waited_for_long() {
    let globex = Org::found("globex", 2);
    let limits = Limits { hello_timeout: Duration::from_millis(100), ..quick() };
    let acme = acme_with(limits, &globex).await;
    // Half a length prefix: the stream is opened, nothing is said.
    let (code, _) = refused([66; 32], &[0, 0], &acme).await;
    assert_eq!(code, GoodbyeCode::Protocol);
    assert_eq!(acme.metric("dccp_overlay_peers_refused_total{reason=\"hello_timeout\"}"), 1.0);
}

/// A partner that has said Hello, on its stream.
pub(crate) async fn let_in(acme: &Node, globex: &Org) -> (Mallory, RawStream) {
    let mut partner = Mallory::connect(globex.node_seed, acme).await;
    let mut stream = partner.open().await;
    stream.say(&hello_of(globex)).await;
    assert!(matches!(stream.hear().await, Some(Frame::Hello { .. })));
    (partner, stream)
}

/// What a partner that was let in says next must end its stream with these words.
async fn ends_the_stream(next: &[u8], label: &str) {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let (mut partner, mut stream) = let_in(&acme, &globex).await;
    stream.say_raw(next).await;
    let (code, words) = stream.hear_goodbye().await;
    assert_eq!(code, GoodbyeCode::Protocol, "{words}");
    drop(stream);
    partner.disconnected().await;
    let counter = format!("dccp_overlay_streams_ended_total{{reason=\"{label}\"}}");
    assert_eq!(acme.metric(&counter), 1.0, "{counter}");
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn a_message_out_of_order_ends_the_stream() {
    let sealed = Org::found("globex", 2).seal_for(&Org::found("acme", 1), Bytes::new()).bytes().clone();
    ends_the_stream(&dccp::frame::encode(&Frame::Message { seq: 2, sealed }), "out_of_order").await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_stream() {
    let length = u32::try_from(dccp::limits::FRAME_BYTES_MAX + 1).expect("fits");
    ends_the_stream(&length.to_be_bytes(), "frame_too_large").await;
}

#[tokio::test]
async fn garbage_ends_the_stream() {
    ends_the_stream(b"\0\0\0\x08GET / HT", "malformed_frame").await;
}

#[tokio::test]
async fn an_acknowledgement_on_the_wrong_side_ends_the_stream() {
    ends_the_stream(&dccp::frame::encode(&Frame::Ack { upto: 1, refused: vec![] }), "misplaced_frame").await;
}

#[tokio::test]
async fn a_flood_of_hellos_ends_the_stream() {
    let hello = dccp::frame::encode(&hello_of(&Org::found("globex", 2)));
    ends_the_stream(&hello.repeat(9), "hello_flood").await;
}

#[tokio::test]
async fn a_partner_that_stalls_in_a_frame_is_cut() {
    let globex = Org::found("globex", 2);
    let limits = Limits { stall_timeout: Duration::from_millis(100), ..quick() };
    let acme = acme_with(limits, &globex).await;
    let (_partner, mut stream) = let_in(&acme, &globex).await;
    stream.say_raw(b"\0\x10\0\0only the beginning").await;
    let (code, words) = stream.hear_goodbye().await;
    assert_eq!(code, GoodbyeCode::Protocol);
    assert!(words.contains("stalled"), "{words}");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_refused_and_the_stream_goes_on() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let (_partner, mut stream) = let_in(&acme, &globex).await;
    stream.say(&Frame::Message { seq: 1, sealed: Bytes::from_static(b"not sealed") }).await;
    let Some(Frame::Ack { upto: 1, refused }) = stream.hear().await else { panic!("no ack") };
    let [Refusal { seq: 1, code: RefusalCode::Malformed, reason }] = &refused[..] else {
        panic!("{refused:?}")
    };
    assert!(!reason.is_empty());

    let sealed = globex.seal_for(&acme.org, Bytes::from_static(b"better")).bytes().clone();
    stream.say(&Frame::Message { seq: 2, sealed }).await;
    assert_eq!(stream.hear().await, Some(Frame::Ack { upto: 2, refused: vec![] }));
}

#[tokio::test]
async fn a_third_stream_on_one_connection_is_dropped() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let (mut partner, _first) = let_in(&acme, &globex).await;
    let _second = partner.open().await;
    let mut third = partner.open().await;
    third.say(&hello_of(&globex)).await;
    assert_eq!(third.hear().await, None);
    assert_eq!(acme.metric("dccp_overlay_peers_refused_total{reason=\"too_many_streams\"}"), 1.0);
}

/// The other side of our own stream: a partner's node that answers as it likes.
async fn our_stream(acme: &Node, globex: &Org) -> (Mallory, RawStream) {
    let (mut partner, theirs) = let_in(acme, globex).await;
    let mut ours = partner.accept().await;
    assert!(matches!(ours.hear().await, Some(Frame::Hello { .. })));
    drop(theirs);
    (partner, ours)
}

#[tokio::test]
async fn a_partner_that_calls_us_is_called_back_at_once() {
    let globex = Org::found("globex", 2);
    let hour = Duration::from_secs(3600);
    let limits = Limits { redial_delay_min: hour, redial_delay_max: hour, ..quick() };
    let acme = acme_with(limits, &globex).await;
    let mut partner = Mallory::connect(globex.node_seed, &acme).await;
    let mut ours = partner.accept().await;
    ours.say(&Frame::Goodbye { code: GoodbyeCode::NotNow, reason: "moving house".to_owned() }).await;
    drop(ours);
    acme.link(&globex.did, |l| l.last_error.as_deref().is_some_and(|e| e.contains("moving house"))).await;

    let mut theirs = partner.open().await;
    theirs.say(&hello_of(&globex)).await;
    let mut again = partner.accept().await;
    again.say(&hello_of(&globex)).await;
    acme.link_up(&globex.did).await;
}

#[tokio::test]
async fn an_acknowledgement_of_what_was_never_sent_ends_the_stream() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let (_partner, mut ours) = our_stream(&acme, &globex).await;
    ours.say(&hello_of(&globex)).await;
    acme.link_up(&globex.did).await;
    let message = globex.seal_for(&acme.org, Bytes::new());
    let lying = async {
        assert!(matches!(ours.hear().await, Some(Frame::Message { seq: 1, .. })));
        ours.say(&Frame::Ack { upto: 2, refused: vec![] }).await;
        ours.hear_goodbye().await
    };
    let (sent, (code, _)) =
        within("both", futures::future::join(acme.overlay.send(&globex.did, message), lying)).await;
    assert_eq!(sent, Err(SendError::Interrupted));
    assert_eq!(code, GoodbyeCode::Protocol);
    drop(ours);
    acme.link_down(&globex.did).await;
    assert_eq!(acme.metric("dccp_overlay_streams_ended_total{reason=\"ack_out_of_range\"}"), 1.0);
}

#[tokio::test]
async fn a_partner_that_never_acknowledges_is_given_up() {
    let globex = Org::found("globex", 2);
    let limits = Limits { ack_timeout: Duration::from_millis(200), ..quick() };
    let acme = acme_with(limits, &globex).await;
    let (_partner, mut ours) = our_stream(&acme, &globex).await;
    ours.say(&hello_of(&globex)).await;
    acme.link_up(&globex.did).await;
    let message = globex.seal_for(&acme.org, Bytes::new());
    let sent = within("the end of patience", acme.overlay.send(&globex.did, message)).await;
    assert_eq!(sent, Err(SendError::Interrupted));
}

#[tokio::test]
async fn a_dialled_node_that_presents_anothers_record_gets_no_message() {
    let globex = Org::found("globex", 2);
    let initech = Org::found("initech", 4);
    let acme = Node::start(Org::found("acme", 1), &[TCP], quick()).await;
    acme.overlay.set_partners(vec![globex.partner(&[]), initech.partner(&[])]);
    let (_partner, mut ours) = our_stream(&acme, &globex).await;
    // The stream was opened for Globex; Initech's record does not even fit the PeerId.
    ours.say(&hello_of(&initech)).await;
    assert_eq!(ours.hear_goodbye().await.0, GoodbyeCode::Unverified);
    assert!(!acme.link_down(&globex.did).await.up);
}

#[tokio::test]
async fn a_partner_whose_record_claims_anothers_node_does_not_cost_the_other_its_link() {
    let acme = Node::start(Org::found("acme", 1), &[TCP], quick()).await;
    let globex = Node::start(Org::found("globex", 2), &[TCP], quick()).await;
    let mallory = Org::found("mallory", 3);
    let mut lie = mallory.partner(&globex.overlay.listen_addresses());
    lie.nodes[0].peer_id = peer_id_of(&globex.org.node_seed).to_bytes();
    acme.overlay.set_partners(vec![lie, globex.partner()]);
    globex.overlay.set_partners(vec![acme.org.partner(&[])]);

    acme.link_up(&globex.org.did).await;
    acme.link(&mallory.did, |l| l.last_error.as_deref().is_some_and(|e| e.contains("was expected"))).await;
    within("ack", acme.overlay.send(&globex.org.did, letter(&acme, &globex, "safe"))).await.expect("kept");
    assert_eq!(acme.metric("dccp_overlay_link_downs_total"), 0.0);
}

#[tokio::test]
async fn garbage_on_the_tcp_port_is_refused_and_the_node_goes_on() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let mut socket =
        tokio::net::TcpStream::connect(socket_of(&acme.overlay.listen_addresses()[0])).await.unwrap();
    socket.write_all(&b"GET / HTTP/1.1\r\nHost: acme.example\r\n".repeat(10)).await.unwrap();
    within("the end", async {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    })
    .await;
    within("the counter", async {
        while acme.metric("dccp_overlay_peers_refused_total{reason=\"handshake\"}") < 1.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn strangers_cannot_keep_a_partner_out() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(Limits { strangers_max: 1, ..quick() }, &globex).await;
    let _stranger = Mallory::connect([66; 32], &acme).await;
    let mut second = Mallory::connect([67; 32], &acme).await;
    second.disconnected().await;
    assert_eq!(acme.metric("dccp_overlay_peers_refused_total{reason=\"too_many_strangers\"}"), 1.0);
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn garbage_on_the_quic_port_changes_nothing() {
    let (acme, globex) = two_nodes(QUIC).await;
    let address = acme.overlay.listen_addresses().remove(0);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for size in [0, 1, 20, 1200, 9000] {
        socket.send_to(&vec![0xc5; size], socket_of(&address)).await.unwrap();
    }
    within("ack", globex.overlay.send(&acme.org.did, letter(&globex, &acme, "fine"))).await.expect("kept");
}
