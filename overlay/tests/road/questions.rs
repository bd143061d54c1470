//! Questions and answers: what is promised to those who ask, and what those get who only seem to.

use std::time::Duration;

use bytes::Bytes;
use dccp::frame::Frame;
use futures::future::{join, join_all};
use futures::{AsyncWriteExt, StreamExt};
use libp2p::StreamProtocol;
use overlay::{AskError, AskLimits, Limits, QUESTION_BYTES_MAX, Rate, Topic, Whom, peer_id_of};

use crate::fixture::hostile::{Mallory, RawStream};
use crate::fixture::{Answers, Node, Org, QUIC, TCP, quick, two_nodes, two_nodes_with, within};
use crate::hostile::{acme_with, hello_of, let_in, still_serves};

const DID: &str = "/dccp/did/1";
const PREKEY: &str = "/dccp/prekey/1";
const FIND: &str = "/dccp/find/1";

const SOON: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(100);

fn partner(org: &Org) -> Whom {
    Whom::Partner(org.did.clone())
}

fn words(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn refused(topic: &str, reason: &str) -> String {
    format!("dccp_overlay_questions_refused_total{{topic=\"{topic}\",reason=\"{reason}\"}}")
}

fn failed(topic: &str, reason: &str) -> String {
    format!("dccp_overlay_asks_failed_total{{topic=\"{topic}\",reason=\"{reason}\"}}")
}

/// Limits for asking, and impatience.
fn asks(asks: AskLimits) -> Limits {
    Limits { asks, ..quick() }
}

/// Rates that a test does not meet by accident.
fn lavish() -> AskLimits {
    let rate = Rate { burst: 1_000_000, interval: Duration::from_millis(1) };
    AskLimits { stranger_rate: rate, strangers_rate: rate, partner_rate: rate, ..AskLimits::default() }
}

async fn a_partner_answers(listen: &str) {
    let (acme, globex) = two_nodes(listen).await;
    for topic in Topic::ALL {
        let answer = acme.overlay.ask(&partner(&globex.org), topic, words("who?"), SOON).await;
        assert_eq!(answer, Ok(words("who?")));
        let (asker, asked, question) = globex.question().await;
        assert_eq!((asked, question), (topic, words("who?")));
        assert_eq!(asker.did, Some(acme.org.did.clone()), "{topic:?}");
        assert_eq!(asker.peer_id, peer_id_of(&acme.org.node_seed).to_bytes());
    }
    assert_eq!(acme.metric("dccp_overlay_asks_total{topic=\"prekey\"}"), 1.0);
    globex.counts("dccp_overlay_questions_answered_total{topic=\"prekey\"}", 1.0).await;
}

#[tokio::test]
async fn a_partner_answers_on_tcp() {
    a_partner_answers(TCP).await;
}

#[tokio::test]
async fn a_partner_answers_on_quic() {
    a_partner_answers(QUIC).await;
}

async fn a_stranger_answers(listen: &str) {
    let acme = Node::start(Org::found("acme", 1), &[], quick()).await;
    let globex = Node::start(Org::found("globex", 2), &[listen], quick()).await;
    globex.house.answer_questions(Answers::With(vec![7; 3 << 20].into()));
    let whom = Whom::Addresses(globex.addresses());
    let answer = acme.overlay.ask(&whom, Topic::Did, words("who?"), SOON).await.expect("answered");
    assert!(answer.len() == 3 << 20 && answer.iter().all(|octet| *octet == 7));
    assert_eq!(globex.question().await.0.did, None);
    // Nothing of ours was shown.
    assert_eq!(globex.metric("dccp_overlay_streams_ended_total{reason=\"closed\"}"), 0.0);
}

#[tokio::test]
async fn a_stranger_answers_on_tcp() {
    a_stranger_answers(TCP).await;
}

#[tokio::test]
async fn a_stranger_answers_on_quic() {
    a_stranger_answers(QUIC).await;
}

/// Mallory listens, and Acme asks her as a stranger; gives the question's stream.
async fn asked_by_acme(limits: Limits, within_time: Duration) -> (Node, Mallory, RawStream, Pending) {
    let acme = Node::start(Org::found("acme", 1), &[], limits).await;
    let (mut mallory, address) = Mallory::listen([66; 32]).await;
    let mut incoming = mallory.control.accept(StreamProtocol::new(FIND)).expect("once");
    let overlay = acme.overlay.clone();
    let pending = tokio::spawn(async move {
        overlay.ask(&Whom::Addresses(vec![address]), Topic::Find, words("who?"), within_time).await
    });
    let stream = RawStream(within("a question", incoming.next()).await.expect("swarm runs").1);
    (acme, mallory, stream, pending)
}

type Pending = tokio::task::JoinHandle<Result<Bytes, AskError>>;

async fn outcome(pending: Pending) -> Result<Bytes, AskError> {
    within("the outcome", pending).await.expect("no panic")
}

#[tokio::test]
async fn a_stranger_is_left_after_the_answer() {
    let (_acme, mut mallory, mut stream, pending) = asked_by_acme(quick(), SOON).await;
    assert_eq!(stream.hear_block().await.as_deref(), Some(&b"who?"[..]));
    stream.say_block(b"nobody").await;
    assert_eq!(outcome(pending).await, Ok(words("nobody")));
    mallory.disconnected().await;
}

#[tokio::test]
async fn the_next_address_of_a_stranger_is_tried_when_one_is_dead() {
    let acme = Node::start(Org::found("acme", 1), &[], quick()).await;
    let globex = Node::start(Org::found("globex", 2), &[TCP], quick()).await;
    let nobody = peer_id_of(&[77; 32]);
    let mut addresses = vec![format!("/ip4/127.0.0.1/tcp/1/p2p/{nobody}")];
    addresses.extend(globex.addresses());
    let answer = acme.overlay.ask(&Whom::Addresses(addresses), Topic::Find, words("who?"), SOON).await;
    assert_eq!(answer, Ok(words("who?")));
}

#[tokio::test]
async fn questions_that_cannot_be_asked_say_why() {
    let acme = Node::start(Org::found("acme", 1), &[], quick()).await;
    let globex = Org::found("globex", 2);
    let ask = |whom, topic, question| {
        let overlay = acme.overlay.clone();
        async move { overlay.ask(&whom, topic, question, SOON).await.expect_err("cannot be asked") }
    };
    let dead = |text: &str| Whom::Addresses(vec![text.to_owned()]);
    let nobody = format!("/ip4/127.0.0.1/tcp/1/p2p/{}", peer_id_of(&[77; 32]));

    assert_eq!(ask(partner(&globex), Topic::Did, words("who?")).await, AskError::UnknownPartner);
    assert_eq!(ask(dead(&nobody), Topic::Prekey, words("who?")).await, AskError::PartnersOnly);
    let long = Bytes::from(vec![0; QUESTION_BYTES_MAX + 1]);
    assert_eq!(ask(dead(&nobody), Topic::Did, long).await, AskError::TooLong(QUESTION_BYTES_MAX + 1));
    assert!(matches!(ask(dead("/ip4/127.0.0.1/tcp/1"), Topic::Did, words("?")).await, AskError::Address(_)));
    let AskError::Unreachable(reason) = ask(dead(&nobody), Topic::Did, words("?")).await else { panic!() };
    assert!(reason.contains("refused"), "{reason}");
    let empty = ask(Whom::Addresses(vec![]), Topic::Did, words("?")).await;
    assert!(matches!(empty, AskError::Unreachable(_)));

    acme.overlay.set_partners(vec![globex.partner(&["/ip4/127.0.0.1/tcp/1".to_owned()])]);
    tokio::task::yield_now().await;
    for topic in Topic::ALL {
        let error = ask(partner(&globex), topic, words("who?")).await;
        assert!(matches!(error, AskError::Unreachable(_)), "{topic:?}: {error:?}");
    }
    assert_eq!(acme.metric(&failed("prekey", "unreachable")), 1.0);
    acme.stop().await;
    assert_eq!(ask(partner(&globex), Topic::Did, words("who?")).await, AskError::Closed);
}

#[tokio::test]
async fn more_questions_than_a_connection_carries_wait_for_their_turn() {
    let (acme, globex) = two_nodes(TCP).await;
    let whom = partner(&globex.org);
    let asking = (0..100_u8).map(|n| acme.overlay.ask(&whom, Topic::Prekey, Bytes::from(vec![n]), SOON));
    for (n, answer) in within("answers", join_all(asking)).await.into_iter().enumerate() {
        assert_eq!(answer.as_deref(), Ok(&[n as u8][..]));
    }
}

#[tokio::test]
async fn a_question_whose_time_is_over_gives_its_turn_to_the_next() {
    let (acme, globex) = two_nodes(TCP).await;
    let whom = partner(&globex.org);
    globex.house.answer_questions(Answers::Never);
    let asking = (0..20).map(|_| acme.overlay.ask(&whom, Topic::Find, words("who?"), AT_ONCE));
    for answer in within("the end of patience", join_all(asking)).await {
        assert_eq!(answer, Err(AskError::TimedOut));
    }
    globex.house.answer_questions(Answers::Echo);
    let asking = (0..20).map(|_| acme.overlay.ask(&whom, Topic::Find, words("who?"), SOON));
    assert!(within("answers", join_all(asking)).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_house_that_does_not_answer_refuses_without_a_reason() {
    let (acme, globex) = two_nodes(TCP).await;
    for (answers, reason) in [
        (Answers::Not, "house"),
        (Answers::With(vec![0; Topic::Find.answer_bytes_max() + 1].into()), "answer_too_long"),
    ] {
        globex.house.answer_questions(answers);
        let answer = acme.overlay.ask(&partner(&globex.org), Topic::Find, words("who?"), SOON).await;
        assert_eq!(answer, Err(AskError::Refused));
        globex.counts(&refused("find", reason), 1.0).await;
    }
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
    let globex = Org::found("globex", 2);
    let acme = acme_with(quick(), &globex).await;
    let (mut partner, _stream) = let_in(&acme, &globex).await;
    let mut mallory = Mallory::connect([66; 32], &acme).await;
    for asked in 0..FLOOD {
        let mut stream = mallory.open_as(FIND).await.expect("offered");
        // Written, and gone before the answer can come.
        let _ = stream.0.write_all(b"\0\0\0\x04who?").await;
        let _ = stream.0.flush().await;
        if asked % 1000 == 0 {
            let mut honest = partner.open_as(FIND).await.expect("offered");
            honest.say_block(b"who?").await;
            assert_eq!(honest.hear_block().await.as_deref(), Some(&b"who?"[..]));
        }
    }
    let turned_away =
        acme.metric(&refused("find", "rate")) + acme.metric(&refused("find", "too_many_streams"));
    assert!(turned_away > FLOOD as f64 * 0.9, "{turned_away}");
    still_serves(&acme, &globex).await;
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
