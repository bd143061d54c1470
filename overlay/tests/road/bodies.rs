//! Bodies between two honest partners: chunks before the message, small messages between chunks, and every way to
//! break off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{FutureExt, StreamExt, stream};
use overlay::{Chunks, HopAck, SendError};

use crate::fixture::{Node, QUIC, TCP, letter, two_nodes, two_nodes_on_a_road, within};

/// Three chunks.
const SIZE: usize = 700_000;

fn from_memory(chunks: &[Bytes]) -> Chunks {
    stream::iter(chunks.to_vec()).map(Ok).boxed()
}

/// A source that has the next chunk when the test says so.
fn by_hand() -> (UnboundedSender<Bytes>, Chunks) {
    let (to, from): (_, UnboundedReceiver<Bytes>) = unbounded();
    (to, from.map(Ok).boxed())
}

/// Waits until this many chunks are with the house.
async fn with_the_house(node: &Node, chunks: usize) {
    within("chunks", async {
        while node.house.chunks_asked() < chunks {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn a_body_crosses(listen: &str) {
    let (acme, globex) = two_nodes(listen).await;
    for size in [1, SIZE, 20 << 20] {
        let (mail, chunks) = acme.org.seal_large_for(&globex.org, size);
        let sent = acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_memory(&chunks));
        assert_eq!(within("ack", sent).await, Ok(HopAck { duplicate: false }));
        assert!(globex.arrival().await.1 == mail);
        assert!(globex.house.chunks_of(mail.body().expect("a body").digest) == chunks);
    }
    let sent = acme.metric("dccp_overlay_chunks_sent_total");
    assert_eq!((sent, globex.metric("dccp_overlay_chunks_received_total")), (84.0, 84.0));
}

#[tokio::test]
async fn a_body_crosses_before_its_message_on_tcp() {
    a_body_crosses(TCP).await;
}

#[tokio::test]
async fn a_body_crosses_before_its_message_on_quic() {
    a_body_crosses(QUIC).await;
}

#[tokio::test]
async fn small_messages_pass_between_the_chunks_of_a_body() {
    let (acme, globex) = two_nodes(TCP).await;
    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let (source, from_source) = by_hand();
    let sending = acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_source);
    let meanwhile = async {
        let (last, before) = chunks.split_last().expect("chunks");
        for (sent, chunk) in before.iter().enumerate() {
            source.unbounded_send(chunk.clone()).expect("asked for");
            with_the_house(&globex, sent + 1).await;
            let small = letter(&acme, &globex, &format!("behind chunk {sent}"));
            within("ack", acme.overlay.send(&globex.org.did, small.clone())).await.expect("kept");
            assert!(globex.arrival().await.1 == small);
        }
        source.unbounded_send(last.clone()).expect("asked for");
    };
    let (sent, ()) = within("the body", futures::future::join(sending, meanwhile)).await;
    sent.expect("kept");
    assert!(globex.arrival().await.1 == mail);
}

#[tokio::test]
async fn two_bodies_cross_one_after_the_other() {
    let (acme, globex) = two_nodes(TCP).await;
    let large = || acme.org.seal_large_for(&globex.org, SIZE);
    let ((one, first), (other, second)) = (large(), large());
    let did = &globex.org.did;
    let (one, other) = within(
        "acks",
        futures::future::join(
            acme.overlay.send_with_body(did, one, from_memory(&first)),
            acme.overlay.send_with_body(did, other, from_memory(&second)),
        ),
    )
    .await;
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_source_is_asked_for_a_chunk_only_when_the_one_before_was_written() {
    let (acme, globex) = two_nodes(TCP).await;
    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (source, waiting) = by_hand();
    // Asked: counts, and then waits for the test.
    let counted = stream::unfold(waiting, move |mut waiting| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { Some((waiting.next().await?, waiting)) }
    });
    let sending = acme.overlay.send_with_body(&globex.org.did, mail, counted.boxed());
    let watching = async {
        for (sent, chunk) in chunks.iter().enumerate() {
            within("the question", async {
                while asked.load(Ordering::SeqCst) <= sent {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(asked.load(Ordering::SeqCst), sent + 1);
            source.unbounded_send(chunk.clone()).expect("asked for");
            with_the_house(&globex, sent + 1).await;
        }
    };
    let (sent, ()) = within("the body", futures::future::join(sending, watching)).await;
    sent.expect("kept");
}

#[tokio::test]
async fn a_source_that_fails_or_lies_costs_its_own_message_only() {
    let (acme, globex) = two_nodes(TCP).await;
    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let send =
        |chunks: Chunks| within("answer", acme.overlay.send_with_body(&globex.org.did, mail.clone(), chunks));
    let broken = [Ok(chunks[0].clone()), Err("the disk is gone".to_owned())];
    assert_eq!(send(stream::iter(broken).boxed()).await, Err(SendError::Body("the disk is gone".to_owned())));
    for lie in [vec![chunks[0].clone()], vec![chunks[2].clone()], vec![chunks[0].clone(), Bytes::new()]] {
        let sent = send(from_memory(&lie)).await;
        assert!(matches!(sent, Err(SendError::Body(_))), "{sent:?}");
    }
    // The partner saw bodies that broke off, and nothing else wrong.
    send(from_memory(&chunks)).await.expect("kept");
    assert_eq!(acme.metric("dccp_overlay_link_downs_total"), 0.0);
}

#[tokio::test]
async fn a_body_whose_sender_gave_up_breaks_off_and_the_next_one_crosses() {
    let (acme, globex) = two_nodes(TCP).await;
    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let (source, from_source) = by_hand();
    source.unbounded_send(chunks[0].clone()).expect("asked for");
    let mut given_up = Box::pin(acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_source));
    tokio::select! {
        sent = &mut given_up => panic!("{sent:?} without its chunks"),
        () = with_the_house(&globex, 1) => {}
    }
    drop(given_up);
    let again = acme.overlay.send_with_body(&globex.org.did, mail, from_memory(&chunks));
    source.unbounded_send(chunks[1].clone()).expect("still there");
    within("ack", again).await.expect("kept");
    assert_eq!(acme.metric("dccp_overlay_link_downs_total"), 0.0);
}

#[tokio::test]
async fn a_message_whose_body_the_partner_lacks_is_answered_so_and_crosses_with_its_chunks() {
    let (acme, globex) = two_nodes(TCP).await;
    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let alone = within("answer", acme.overlay.send(&globex.org.did, mail.clone())).await;
    assert!(matches!(alone, Err(SendError::BodyMissing(_))), "{alone:?}");
    let reason = "{reason=\"body_missing\"}";
    assert_eq!(globex.metric(&format!("dccp_overlay_messages_refused_by_us_total{reason}")), 1.0);

    let whole = acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_memory(&chunks));
    within("ack", whole).await.expect("kept");
    let again = within("ack", acme.overlay.send(&globex.org.did, mail)).await;
    assert_eq!(again, Ok(HopAck { duplicate: true }), "now it has the body");
}

#[tokio::test]
async fn a_house_that_declines_a_body_is_asked_no_more_about_it_and_its_words_reach_the_sender() {
    let (acme, globex) = two_nodes(TCP).await;
    globex.house.take_chunks(1);
    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let send =
        || within("answer", acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_memory(&chunks)));
    assert_eq!(send().await, Err(SendError::BodyMissing("the shelves are full".to_owned())));
    assert_eq!(globex.house.chunks_asked(), 2, "the first it took, the second it declined");

    within("ack", acme.overlay.send(&globex.org.did, letter(&acme, &globex, "small"))).await.expect("kept");
    globex.house.take_chunks(usize::MAX);
    send().await.expect("kept");
    assert_eq!(acme.metric("dccp_overlay_link_downs_total"), 0.0);
}

#[tokio::test]
async fn nothing_is_acknowledged_and_nothing_more_is_read_while_the_house_keeps_a_chunk() {
    let (acme, globex) = two_nodes(TCP).await;
    globex.house.shut();
    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let mut sending =
        Box::pin(acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_memory(&chunks)));
    tokio::select! {
        sent = &mut sending => panic!("{sent:?} before anything was kept"),
        () = with_the_house(&globex, 1) => {}
    }
    // Time enough for a second chunk: a message the other way and back.
    within("ack", globex.overlay.send(&acme.org.did, letter(&globex, &acme, "hi"))).await.expect("kept");
    assert_eq!(globex.house.chunks_asked(), 1);
    assert!(sending.as_mut().now_or_never().is_none());
    globex.house.open();
    within("ack", sending).await.expect("kept");
    assert!(globex.arrival().await.1 == mail);
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_body_interrupts_and_the_body_begins_anew() {
    let (acme, globex, road) = two_nodes_on_a_road().await;

    let (mail, chunks) = acme.org.seal_large_for(&globex.org, SIZE);
    let (source, from_source) = by_hand();
    source.unbounded_send(chunks[0].clone()).expect("asked for");
    let sending = acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_source);
    let cutting = async {
        with_the_house(&globex, 1).await;
        road.cut();
    };
    let (sent, ()) = within("the interruption", futures::future::join(sending, cutting)).await;
    assert_eq!(sent, Err(SendError::Interrupted));

    acme.link_up(&globex.org.did).await;
    let again = acme.overlay.send_with_body(&globex.org.did, mail.clone(), from_memory(&chunks));
    within("ack", again).await.expect("kept");
    assert!(globex.house.chunks_of(mail.body().expect("a body").digest) == chunks);
}
