//! Two honest partners: what is promised to the house and to the courier.

use std::time::Duration;

use crate::fixture::{
    Node, Org, QUIC, TCP, config_of, letter, now, prepare, quick, two_nodes, two_nodes_on_a_road,
    two_nodes_with, within,
};
use bytes::Bytes;
use dccp::frame::RefusalCode;
use dccp::limits::PAYLOAD_BYTES_MAX;
use futures::future::join_all;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use overlay::{Kept, Limits, SendError};

async fn messages_cross(listen: &str, transport: &str) {
    let (acme, globex) = two_nodes(listen).await;
    let there = letter(&acme, &globex, "hello");
    let back = letter(&globex, &acme, "hello yourself");

    let ack = within("ack", acme.overlay.send(&globex.org.did, there.clone())).await.expect("kept");
    assert!(!ack.duplicate);
    within("ack", globex.overlay.send(&acme.org.did, back.clone())).await.expect("kept");

    assert!(globex.arrival().await == (acme.org.did.clone(), there));
    assert!(acme.arrival().await == (globex.org.did.clone(), back));
    let link = acme.link_up(&globex.org.did).await;
    assert_eq!(link.transport.as_deref(), Some(transport));
    assert!(link.address.is_some_and(|address| address.starts_with("/ip4/127.0.0.1/")));
    assert_eq!(acme.metric("dccp_overlay_messages_acknowledged_total"), 1.0);
    assert_eq!(globex.metric("dccp_overlay_messages_kept_total"), 1.0);
    assert_eq!(globex.metric("dccp_overlay_links_up"), 1.0);
}

#[tokio::test]
async fn messages_cross_on_tcp() {
    messages_cross(TCP, "tcp").await;
}

#[tokio::test]
async fn messages_cross_on_quic() {
    messages_cross(QUIC, "quic").await;
}

#[tokio::test]
async fn an_inbound_connection_carries_our_own_stream_too() {
    let acme = Node::start(Org::found("acme", 1), &[TCP], quick()).await;
    let globex = Node::start(Org::found("globex", 2), &[TCP], quick()).await;
    // Globex knows no address of Acme: it can answer only on the connection that Acme dialled.
    globex.overlay.set_partners(vec![acme.org.partner(&[])]);
    acme.overlay.set_partners(vec![globex.partner()]);

    globex.link_up(&acme.org.did).await;
    let sent = within("ack", globex.overlay.send(&acme.org.did, letter(&globex, &acme, "hi"))).await;
    sent.expect("kept");
    assert_eq!(acme.arrival().await.0, globex.org.did);
}

#[tokio::test]
async fn a_new_node_of_a_partner_is_recognised_by_its_record() {
    let acme = Node::start(Org::found("acme", 1), &[TCP], quick()).await;
    let globex = Node::start(Org::found("globex", 2), &[TCP], quick()).await;
    let mut stale = globex.org.partner(&[]);
    stale.nodes.clear();
    acme.overlay.set_partners(vec![stale]);
    globex.overlay.set_partners(vec![acme.partner()]);

    globex.link_up(&acme.org.did).await;
    acme.link_up(&globex.org.did).await;
}

#[tokio::test]
async fn no_acknowledgement_before_the_house_has_kept() {
    let (acme, globex) = two_nodes(TCP).await;
    globex.house.shut();
    let first = acme.overlay.send(&globex.org.did, letter(&acme, &globex, "one"));
    let second = acme.overlay.send(&globex.org.did, letter(&acme, &globex, "two"));
    let mut sending = Box::pin(futures::future::join(first, second));

    // Both messages are with the house, and the senders have heard nothing.
    assert!(sending.as_mut().now_or_never().is_none());
    tokio::select! {
        _ = &mut sending => panic!("acknowledged what was not kept"),
        _ = async { globex.arrival().await; globex.arrival().await } => {}
    }
    assert!(sending.as_mut().now_or_never().is_none());
    assert_eq!(acme.metric("dccp_overlay_messages_acknowledged_total"), 0.0);

    globex.house.open();
    let (first, second) = within("acks", sending).await;
    first.expect("kept");
    second.expect("kept");
}

#[tokio::test]
async fn a_partner_that_was_down_is_reached_again() {
    let (acme, globex) = two_nodes(TCP).await;
    let address = globex.overlay.listen_addresses().remove(0);
    globex.stop().await;

    let down = acme.link_down(&globex.org.did).await;
    assert!(down.last_error.is_some(), "{down:?}");
    let sent = acme.overlay.send(&globex.org.did, letter(&acme, &globex, "anyone?")).await;
    assert!(matches!(sent, Err(SendError::Unreachable(_))), "{sent:?}");
    acme.link(&globex.org.did, |link| link.last_error.as_deref().is_some_and(|e| e.contains("refused")))
        .await;

    let globex = globex.restart(&address).await;
    globex.overlay.set_partners(vec![acme.org.partner(&[])]);
    acme.link_up(&globex.org.did).await;
    within("ack", acme.overlay.send(&globex.org.did, letter(&acme, &globex, "again"))).await.expect("kept");
    globex.arrival().await;
    assert!(acme.metric("dccp_overlay_link_downs_total") >= 1.0);
}

#[tokio::test]
async fn a_connection_cut_in_flight_interrupts_and_the_repetition_is_a_duplicate() {
    let (acme, globex, road) = two_nodes_on_a_road().await;

    globex.house.shut();
    let message = letter(&acme, &globex, "cut");
    let sending = acme.overlay.send(&globex.org.did, message.clone());
    let cutting = async {
        globex.arrival().await;
        road.cut();
    };
    let (sent, ()) = within("the interruption", futures::future::join(sending, cutting)).await;
    assert_eq!(sent, Err(SendError::Interrupted));
    assert_eq!(acme.metric("dccp_overlay_messages_interrupted_total"), 1.0);

    globex.house.open();
    acme.link_up(&globex.org.did).await;
    let ack = within("ack", acme.overlay.send(&globex.org.did, message)).await.expect("kept");
    assert!(ack.duplicate);
}

#[tokio::test]
async fn a_refused_message_does_not_disturb_the_next_one() {
    let (acme, globex) = two_nodes(TCP).await;
    let reason = "never\r\nfrom you".to_owned();
    globex.house.answer(Some(Kept::Refused { code: RefusalCode::Policy, reason }));
    let sent = within("answer", acme.overlay.send(&globex.org.did, letter(&acme, &globex, "bad"))).await;
    let Err(SendError::Refused { code: RefusalCode::Policy, reason }) = sent else { panic!("{sent:?}") };
    assert!(reason.starts_with("never") && !reason.contains('\n'));

    globex.house.answer(None);
    within("ack", acme.overlay.send(&globex.org.did, letter(&acme, &globex, "good"))).await.expect("kept");
    assert_eq!(globex.metric("dccp_overlay_messages_refused_by_us_total{reason=\"policy\"}"), 1.0);
    assert_eq!(acme.metric("dccp_overlay_messages_refused_by_partner_total{reason=\"policy\"}"), 1.0);
}

#[tokio::test]
async fn a_house_that_says_not_now_ends_the_stream_and_is_tried_again() {
    let (acme, globex) = two_nodes(TCP).await;
    globex.house.answer(Some(Kept::NotNow("the disk is full".to_owned())));
    let message = letter(&acme, &globex, "patience");
    let sent = within("answer", acme.overlay.send(&globex.org.did, message.clone())).await;
    assert_eq!(sent, Err(SendError::Interrupted));
    acme.link(&globex.org.did, |l| l.last_error.as_deref().is_some_and(|e| e.contains("the disk is full")))
        .await;

    globex.house.answer(None);
    acme.link_up(&globex.org.did).await;
    within("ack", acme.overlay.send(&globex.org.did, message)).await.expect("kept");
}

#[tokio::test]
async fn the_largest_message_arrives_whole_on_both_transports() {
    for listen in [TCP, QUIC] {
        let (acme, globex) = two_nodes(listen).await;
        let large = acme.org.seal_for(&globex.org, Bytes::from(vec![0x61; PAYLOAD_BYTES_MAX]));
        let small = letter(&acme, &globex, "behind the large one");
        let did = &globex.org.did;
        let (first, second) = within(
            "acks",
            futures::future::join(
                acme.overlay.send(did, large.clone()),
                acme.overlay.send(did, small.clone()),
            ),
        )
        .await;
        first.expect("kept");
        second.expect("kept");
        assert!(globex.arrival().await.1 == large);
        assert!(globex.arrival().await.1 == small);
    }
}

async fn no_more_than_four_are_with_the_house(acme: Limits, globex: Limits) {
    const MESSAGES: usize = 40;
    let (acme, globex) = two_nodes_with(TCP, acme, globex).await;
    globex.house.shut();
    let letters: Vec<_> = (0..MESSAGES).map(|i| letter(&acme, &globex, &i.to_string())).collect();
    let mut sending: FuturesUnordered<_> =
        letters.iter().map(|letter| acme.overlay.send(&globex.org.did, letter.clone())).collect();

    // Four arrive. Then ten messages go the other way and are acknowledged: time enough for a fifth.
    let meanwhile = async {
        for _ in 0..4 {
            globex.arrival().await;
        }
        for i in 0..10 {
            let back = letter(&globex, &acme, &i.to_string());
            within("ack", globex.overlay.send(&acme.org.did, back)).await.expect("kept");
        }
    };
    tokio::select! {
        _ = sending.next() => panic!("acknowledged what was not kept"),
        () = meanwhile => {}
    }
    assert_eq!(globex.house.keeping_most(), 4);
    globex.house.open();
    let all = async {
        while let Some(sent) = sending.next().await {
            sent.expect("kept");
        }
    };
    within("all acks", all).await;
    assert_eq!(globex.house.keeping_most(), 4);
}

#[tokio::test]
async fn the_senders_window_holds_messages_back() {
    no_more_than_four_are_with_the_house(Limits { in_flight_messages_max: 4, ..quick() }, quick()).await;
}

#[tokio::test]
async fn the_receivers_window_holds_messages_back() {
    no_more_than_four_are_with_the_house(quick(), Limits { in_flight_messages_max: 4, ..quick() }).await;
}

#[tokio::test]
async fn the_receivers_bytes_hold_messages_back() {
    let (acme, globex) = two_nodes(TCP).await;
    let frame = letter(&acme, &globex, "39").bytes().len() as u32 + 32;
    drop((acme, globex));
    no_more_than_four_are_with_the_house(quick(), Limits { in_flight_bytes_max: frame * 4, ..quick() }).await;
}

#[tokio::test]
async fn the_partner_sees_our_prekeys_at_once_and_when_they_change() {
    let (acme, globex) = two_nodes(TCP).await;
    let (from, records) = globex.presented().await;
    assert_eq!(from, acme.org.did);
    assert_eq!(records, acme.org.hello(&[]).prekeys);

    let mut hello = acme.org.hello(&[]);
    hello.prekeys = vec![b"of tomorrow".to_vec()];
    acme.overlay.set_hello(hello.clone());
    while globex.presented().await.1 != hello.prekeys {}
}

#[tokio::test]
async fn a_removed_partner_is_told_and_unknown_from_then_on() {
    let (acme, globex) = two_nodes(TCP).await;
    acme.overlay.set_partners(Vec::new());

    globex
        .link(&acme.org.did, |l| l.last_error.as_deref().is_some_and(|e| e.contains("no longer a partner")))
        .await;
    within("the removal", acme.overlay.links().wait_for(|links| links.is_empty())).await.expect("lives");
    let sent = acme.overlay.send(&globex.org.did, letter(&acme, &globex, "still there?")).await;
    assert_eq!(sent, Err(SendError::UnknownPartner));
}

#[tokio::test]
async fn a_partner_that_is_added_again_is_reached_again() {
    let (acme, globex) = two_nodes(TCP).await;
    acme.overlay.set_partners(Vec::new());
    within("the removal", acme.overlay.links().wait_for(|links| links.is_empty())).await.expect("lives");
    acme.overlay.set_partners(vec![globex.partner()]);
    acme.link_up(&globex.org.did).await;
    globex.link_up(&acme.org.did).await;
}

#[tokio::test]
async fn shutdown_lets_what_has_arrived_be_acknowledged() {
    let (acme, globex) = two_nodes(TCP).await;
    globex.house.shut();
    let letters: Vec<_> = (0..3).map(|i| letter(&acme, &globex, &i.to_string())).collect();
    let sending = join_all(letters.iter().map(|letter| acme.overlay.send(&globex.org.did, letter.clone())));
    let shutting_down = async {
        for _ in 0..3 {
            globex.arrival().await;
        }
        let overlay = globex.overlay.clone();
        let shutdown = tokio::spawn(overlay.shutdown(Duration::from_secs(10)));
        within("a closed door", async {
            let sealed = letter(&globex, &acme, "too late");
            while globex.overlay.send(&acme.org.did, sealed.clone()).await != Err(SendError::Closed) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        globex.house.open();
        within("shutdown", shutdown).await.expect("no panic");
    };
    let (sent, ()) = within("acks", futures::future::join(sending, shutting_down)).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let down = acme.link_down(&globex.org.did).await;
    assert!(
        down.last_error.is_some_and(|error| error.contains("shutting down") || error.contains("refused"))
    );
}

#[tokio::test]
async fn shutdown_waits_for_answers_to_what_we_sent() {
    let (acme, globex) = two_nodes(TCP).await;
    globex.house.shut();
    let message = letter(&acme, &globex, "last words");
    let sending = acme.overlay.send(&globex.org.did, message);
    let shutting_down = async {
        globex.arrival().await;
        let shutdown = tokio::spawn(acme.overlay.clone().shutdown(Duration::from_secs(10)));
        within("the drain", async {
            while !acme.overlay.listen_addresses().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        globex.house.open();
        within("shutdown", shutdown).await.expect("no panic");
    };
    let (sent, ()) = futures::future::join(sending, shutting_down).await;
    sent.expect("acknowledged");
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named() {
    prepare();
    let taken = Node::start(Org::found("acme", 1), &[TCP], quick()).await;
    let address = taken.overlay.listen_addresses().remove(0);
    let (house, org) = (taken.house.clone(), Org::found("globex", 2));
    let config = config_of(&org, &[&address], quick());
    let mut registry = prometheus_client::registry::Registry::default();
    let started = overlay::start(config, org.hello(&[]), Vec::new(), house, &mut registry, now).await;
    let Err(overlay::StartError::Listen { address: named, reason }) = started else { panic!("started") };
    assert_eq!(named, address);
    assert!(!reason.is_empty());
}
