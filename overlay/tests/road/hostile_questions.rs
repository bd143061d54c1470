//! Those who ask without end, answer without end, or are not who they must be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dccp::frame::Frame;
use futures::AsyncWriteExt;
use futures::future::join;
use overlay::{AskError, AskLimits, Limits, QUESTION_BYTES_MAX, Rate, Topic, Whom};

use crate::fixture::hostile::{Mallory, RawStream};
use crate::fixture::{Answers, Node, Org, TCP, now, quick, two_nodes, two_nodes_with, within};
use crate::hostile::{acme_with, hello_of, let_in, still_serves};
use crate::questions::{AT_ONCE, FIND, SOON, asked_by_acme, failed, outcome, partner, refused, words};

const DID: &str = "/dccp/did/1";
const PREKEY: &str = "/dccp/prekey/1";

/// Limits for asking, and impatience.
fn asks(asks: AskLimits) -> Limits {
    Limits { asks, ..quick() }
}

/// Rates that a test does not meet by accident.
fn lavish() -> AskLimits {
    let rate = Rate { burst: 1_000_000, interval: Duration::from_millis(1) };
    AskLimits { stranger_rate: rate, strangers_rate: rate, partner_rate: rate, ..AskLimits::default() }
}

#[tokio::test]
async fn prekeys_are_for_nodes_that_have_presented_their_record_on_the_connection() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let mut node = Mallory::connect(globex.node_seed, &acme).await;
    // The right PeerId, and nothing that binds it to Globex.
    let mut early = node.open_as(PREKEY).await.expect("offered");
    early.say_block(b"one, please").await;
    assert_eq!(early.hear_block().await, None);
    assert_eq!(acme.metric(&refused("prekey", "stranger")), 1.0);

    let mut stream = node.open().await;
    stream.say(&hello_of(&globex)).await;
    assert!(matches!(stream.hear().await, Some(Frame::Hello { .. })));
    let mut known = node.open_as(PREKEY).await.expect("offered");
    known.say_block(b"one, please").await;
    assert_eq!(known.hear_block().await.as_deref(), Some(&b"one, please"[..]));

    // Another connection of the same node has to prove itself again.
    let mut second = Mallory::connect(globex.node_seed, &acme).await;
    let mut unknown = second.open_as(PREKEY).await.expect("offered");
    unknown.say_block(b"one, please").await;
    assert_eq!(unknown.hear_block().await, None);

    acme.overlay.set_partners(vec![]);
    node.disconnected().await;
}

/// How far the clock of the next test is ahead.
static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

#[tokio::test]
async fn a_node_whose_record_has_expired_is_a_stranger_again() {
    let clock = || now().saturating_add_ms(AHEAD_MS.load(Ordering::SeqCst));
    let acme = Node::start_at(Org::found("acme", 1), &[TCP], clock).await;
    let globex = Org::found("globex", 2);
    acme.overlay.set_partners(vec![globex.partner(&[])]);
    let (mut node, _stream) = let_in(&acme, &globex).await;
    for (ahead_ms, expected) in [(0, true), (2 * 3_600_000, false)] {
        AHEAD_MS.store(ahead_ms, Ordering::SeqCst);
        let mut stream = node.open_as(PREKEY).await.expect("offered");
        stream.say_block(b"one, please").await;
        assert_eq!(stream.hear_block().await.is_some(), expected);
    }
}

#[tokio::test]
async fn an_endless_question_is_not_waited_for() {
    let globex = Org::found("globex", 2);
    let limits = asks(AskLimits { question_timeout: AT_ONCE, ..AskLimits::default() });
    let acme = acme_with(limits, &globex).await;
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    let mut stream = mallory.open_as(DID).await.expect("offered");
    stream.say_raw(&(QUESTION_BYTES_MAX as u32).to_be_bytes()).await;
    let (_, answer) = {
        let RawStream(io) = stream;
        let (mut reader, mut writer) = futures::AsyncReadExt::split(io);
        let trickle = async {
            // An octet now and then: never a stall, never a question.
            for _ in 0..QUESTION_BYTES_MAX - 1 {
                if writer.write_all(b"a").await.is_err() || writer.flush().await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                if acme.metric(&refused("did", "unheard")) > 0.0 {
                    break;
                }
            }
        };
        let listen = async {
            let mut octet = [0];
            futures::AsyncReadExt::read(&mut reader, &mut octet).await.unwrap_or(0)
        };
        within("the end of the stream", join(trickle, listen)).await
    };
    assert_eq!(answer, 0, "no answer");
    assert_eq!(acme.metric(&refused("did", "unheard")), 1.0);
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn a_question_that_is_too_long_is_refused_by_its_length_alone() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    for length in [QUESTION_BYTES_MAX as u32 + 1, u32::MAX] {
        let mut stream = mallory.open_as(FIND).await.expect("offered");
        stream.say_raw(&length.to_be_bytes()).await;
        assert_eq!(stream.hear_block().await, None);
    }
    assert_eq!(acme.metric(&refused("find", "question_too_long")), 2.0);
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn ten_thousand_rapid_questions_are_turned_away_and_the_partner_is_answered() {
    const FLOOD: usize = 10_000;
    let (acme, globex) = two_nodes(TCP).await;
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    for asked in 0..FLOOD {
        let mut stream = mallory.open_as(FIND).await.expect("offered");
        // Written, and gone before the answer can come.
        stream.say_block(b"who?").await;
        if asked % 1000 == 0 {
            let answer = globex.overlay.ask(&partner(&acme.org), Topic::Find, words("who?"), SOON).await;
            assert_eq!(answer, Ok(words("who?")));
        }
    }
    let turned_away =
        acme.metric(&refused("find", "rate")) + acme.metric(&refused("find", "too_many_streams"));
    assert!(turned_away > FLOOD as f64 * 0.9, "{turned_away}");
    assert!(globex.link_up(&acme.org.did).await.up);
}

#[tokio::test]
async fn strangers_that_take_all_their_places_do_not_take_those_of_partners() {
    let globex = Org::found("globex", 2);
    let limits = asks(AskLimits { strangers_max: 2, per_asker_max: 2, ..lavish() });
    let acme = acme_with(limits, &globex).await;
    acme.house.answer_questions(Answers::Never);
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = mallory.open_as(DID).await.expect("offered");
        stream.say_block(b"who?").await;
        acme.question().await;
        held.push(stream);
    }
    let mut third = mallory.open_as(DID).await.expect("offered");
    third.say_block(b"who?").await;
    assert_eq!(third.hear_block().await, None);
    assert_eq!(acme.metric(&refused("did", "busy")), 1.0);

    acme.house.answer_questions(Answers::Echo);
    let (mut partner, _stream) = let_in(&acme, &globex).await;
    let mut honest = partner.open_as(DID).await.expect("offered");
    honest.say_block(b"who?").await;
    assert_eq!(honest.hear_block().await.as_deref(), Some(&b"who?"[..]));
}

#[tokio::test]
async fn an_asker_that_does_not_read_gets_no_more_than_its_time() {
    let globex = Org::found("globex", 2);
    let limits = asks(AskLimits { answer_timeout: AT_ONCE, strangers_max: 1, ..lavish() });
    let acme = acme_with(limits, &globex).await;
    acme.house.answer_questions(Answers::With(vec![7; 3 << 20].into()));
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    let mut lazy = mallory.open_as(DID).await.expect("offered");
    lazy.say_block(b"who?").await;
    acme.counts(&refused("did", "late"), 1.0).await;
    drop(lazy);

    // Its place is free again.
    acme.house.answer_questions(Answers::Echo);
    within("an answer", async {
        loop {
            let mut next = mallory.open_as(DID).await.expect("offered");
            next.say_block(b"who?").await;
            if next.hear_block().await.is_some() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_not_offered() {
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    assert!(mallory.open_as("/dccp/gossip/1").await.is_none());
    assert!(mallory.open_as("/dccp/did/2").await.is_none());
    still_serves(&acme, &globex).await;
}

#[tokio::test]
async fn answers_that_break_the_rules_are_named_and_counted() {
    let limit = Topic::Find.answer_bytes_max();
    for (said, error) in [
        (&b""[..], AskError::Refused),
        (&(limit as u32 + 1).to_be_bytes()[..], AskError::Oversize(limit + 1)),
        (&u32::MAX.to_be_bytes()[..], AskError::Oversize(u32::MAX as usize)),
        (&b"\0\0\0\x05four"[..], AskError::Interrupted),
        (&b"\0\0"[..], AskError::Interrupted),
    ] {
        let (acme, _mallory, mut stream, pending) = asked_by_acme(quick(), SOON).await;
        stream.hear_block().await;
        stream.say_raw(said).await;
        let _ = stream.0.close().await;
        drop(stream);
        assert_eq!(outcome(pending).await, Err(error.clone()));
        assert_eq!(acme.metric("dccp_overlay_asks_total{topic=\"find\"}"), 1.0);
        let reason = match error {
            AskError::Refused => "refused",
            AskError::Oversize(_) => "answer_too_long",
            _ => "interrupted",
        };
        assert_eq!(acme.metric(&failed("find", reason)), 1.0);
    }
}

#[tokio::test]
async fn an_answer_that_only_trickles_is_not_waited_for() {
    let (acme, _mallory, mut stream, pending) = asked_by_acme(quick(), AT_ONCE * 5).await;
    stream.say_raw(&1000_u32.to_be_bytes()).await;
    let trickle = async {
        while !pending.is_finished() {
            stream.say_raw(b"a").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the end of patience", trickle).await;
    assert_eq!(outcome(pending).await, Err(AskError::TimedOut));
    assert_eq!(acme.metric(&failed("find", "timeout")), 1.0);
}

#[tokio::test]
async fn a_node_that_does_not_speak_the_topic_cannot_be_asked() {
    let acme = Node::start(Org::found("acme", 1), &[], quick()).await;
    let (_mallory, address) = Mallory::listen([66; 32]).await;
    let whom = Whom::Addresses(vec![address]);
    let Err(AskError::Unreachable(reason)) = acme.overlay.ask(&whom, Topic::Did, words("?"), SOON).await
    else {
        panic!("asked");
    };
    assert!(reason.contains(DID), "{reason}");
}

#[tokio::test]
async fn a_partner_that_asks_too_much_is_slowed_and_keeps_its_link() {
    let slow = Rate { burst: 5, interval: Duration::from_secs(3600) };
    let limits = asks(AskLimits { partner_rate: slow, ..AskLimits::default() });
    let (acme, globex) = two_nodes_with(TCP, quick(), limits).await;
    let whom = partner(&globex.org);
    let mut answered = 0;
    for _ in 0..20 {
        let answer = acme.overlay.ask(&whom, Topic::Prekey, words("?"), SOON).await;
        answered += usize::from(answer.is_ok());
    }
    assert_eq!(answered, 5);
    assert_eq!(globex.metric(&refused("prekey", "rate")), 15.0);
    assert!(acme.link_up(&globex.org.did).await.up);
}
