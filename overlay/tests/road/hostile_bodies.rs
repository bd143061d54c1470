//! What a partner that means ill does with bodies.

use bytes::Bytes;
use dccp::body::{BodyDigest, CHUNK_SEALED_BYTES};
use dccp::frame::{Frame, GoodbyeCode, Refusal, RefusalCode, encode};
use dccp::limits::CHUNKS_MAX;

use crate::fixture::hostile::{Mallory, RawStream};
use crate::fixture::{Node, Org, quick};
use crate::hostile::{acme_with, hello_of, let_in, refused_by_name, still_serves};

const ONE: BodyDigest = BodyDigest::from_bytes([1; 32]);
const OTHER: BodyDigest = BodyDigest::from_bytes([2; 32]);

fn chunk(body: BodyDigest, index: u32) -> Frame {
    Frame::Chunk { body, index, octets: Bytes::from(vec![7; 2000]) }
}

async fn victim() -> (Node, Org, Mallory, RawStream) {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let (partner, stream) = let_in(&acme, &globex).await;
    (acme, globex, partner, stream)
}

/// The last of these frames must end the stream with this word.
async fn ends_the_stream(frames: &[Frame], label: &str) {
    let (acme, globex, mut partner, mut stream) = victim().await;
    for frame in frames {
        stream.say(frame).await;
    }
    assert_eq!(stream.hear_goodbye().await.0, GoodbyeCode::Protocol);
    drop(stream);
    partner.disconnected().await;
    let counter = format!("dccp_overlay_streams_ended_total{{reason=\"{label}\"}}");
    assert_eq!(acme.metric(&counter), 1.0, "{counter}");
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn a_chunk_with_a_wrong_index_ends_the_stream() {
    ends_the_stream(&[chunk(ONE, 1)], "chunk_out_of_order").await;
    ends_the_stream(&[chunk(ONE, 0), chunk(ONE, 2)], "chunk_out_of_order").await;
    ends_the_stream(&[chunk(ONE, 0), chunk(ONE, 1), chunk(ONE, 1)], "chunk_out_of_order").await;
}

#[tokio::test]
async fn two_bodies_through_each_other_end_the_stream() {
    ends_the_stream(&[chunk(ONE, 0), chunk(OTHER, 0), chunk(ONE, 1)], "chunk_out_of_order").await;
}

#[tokio::test]
async fn a_chunk_that_no_body_has_ends_the_stream() {
    let oversize = Frame::Chunk { body: ONE, index: 0, octets: vec![7; CHUNK_SEALED_BYTES + 1].into() };
    ends_the_stream(&[oversize], "malformed_frame").await;
    ends_the_stream(&[chunk(ONE, CHUNKS_MAX)], "malformed_frame").await;
    let nothing = Frame::Chunk { body: ONE, index: 0, octets: vec![7; 16].into() };
    ends_the_stream(&[nothing], "malformed_frame").await;
}

#[tokio::test]
async fn a_chunk_behind_the_message_that_names_its_body_ends_the_stream() {
    let (mail, chunks) = Org::found("globex", 2).seal_large_for(&Org::found("acme", 1), 300_000);
    let body = mail.body().expect("a body").digest;
    let chunk = |index: usize| Frame::Chunk { body, index: index as u32, octets: chunks[index].clone() };
    let message = Frame::Message { seq: 1, sealed: mail.bytes().clone() };
    ends_the_stream(&[chunk(0), chunk(1), message.clone(), chunk(1)], "chunk_out_of_order").await;
    ends_the_stream(&[chunk(0), message, chunk(1)], "chunk_out_of_order").await;
}

#[tokio::test]
async fn a_chunk_before_the_hello_is_refused() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    refused_by_name(globex.node_seed, &chunk(ONE, 0), &acme, GoodbyeCode::Protocol, "no_hello").await;
    assert_eq!(acme.house.chunks_asked(), 0);
}

#[tokio::test]
async fn a_chunk_on_the_wrong_side_ends_the_stream() {
    let (acme, globex, mut partner, theirs) = victim().await;
    let mut ours = partner.accept().await;
    assert!(matches!(ours.hear().await, Some(Frame::Hello { .. })));
    ours.say(&hello_of(&globex)).await;
    acme.link_up(&globex.did).await;
    ours.say(&chunk(ONE, 0)).await;
    assert_eq!(ours.hear_goodbye().await.0, GoodbyeCode::Protocol);
    drop((ours, theirs));
    assert_eq!(acme.house.chunks_asked(), 0);
}

#[tokio::test]
async fn chunks_without_end_cost_what_the_house_allows_and_the_stream_goes_on() {
    let (acme, globex, _partner, mut stream) = victim().await;
    acme.house.take_chunks(2);
    let endless: Vec<u8> = (0..CHUNKS_MAX).flat_map(|index| encode(&chunk(ONE, index)).to_vec()).collect();
    stream.say_raw(&endless).await;
    // And a body that never gets further than its first chunk.
    let restless = encode(&chunk(OTHER, 0)).repeat(50);
    stream.say_raw(&restless).await;

    let sealed = globex.seal_for(&acme.org, Bytes::from_static(b"by the way")).bytes().clone();
    stream.say(&Frame::Message { seq: 1, sealed }).await;
    assert_eq!(stream.hear().await, Some(Frame::Ack { upto: 1, refused: vec![] }));
    assert_eq!(acme.house.chunks_of(ONE).len(), 2);
    assert_eq!(acme.house.chunks_of(OTHER).len(), 1);
    assert_eq!(acme.house.chunks_asked(), 3 + 50, "after the first refusal nobody asks");
    assert_eq!(acme.metric("dccp_overlay_chunks_received_total"), f64::from(CHUNKS_MAX) + 50.0);
}

#[tokio::test]
async fn a_message_with_a_body_that_was_never_sent_is_answered_and_the_stream_goes_on() {
    let (acme, globex, _partner, mut stream) = victim().await;
    let (mail, chunks) = globex.seal_large_for(&acme.org, 1000);
    let message = |seq| Frame::Message { seq, sealed: mail.bytes().clone() };
    // Another body of the same length does not count as this one.
    stream.say(&Frame::Chunk { body: ONE, index: 0, octets: chunks[0].clone() }).await;
    stream.say(&message(1)).await;
    let Some(Frame::Ack { upto: 1, refused }) = stream.hear().await else { panic!("no ack") };
    assert!(matches!(&refused[..], [Refusal { seq: 1, code: RefusalCode::BodyMissing, .. }]), "{refused:?}");

    let body = mail.body().expect("a body").digest;
    stream.say(&Frame::Chunk { body, index: 0, octets: chunks[0].clone() }).await;
    stream.say(&message(2)).await;
    assert_eq!(stream.hear().await, Some(Frame::Ack { upto: 2, refused: vec![] }));
}
