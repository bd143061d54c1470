//! Questions and answers: what is promised to those who ask.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use libp2p::StreamProtocol;
use overlay::{AskError, Limits, QUESTION_BYTES_MAX, Topic, Whom, peer_id_of};

use crate::fixture::hostile::{Mallory, RawStream};
use crate::fixture::{Answers, Node, Org, QUIC, TCP, quick, two_nodes, within};

pub(crate) const FIND: &str = "/dccp/find/1";

pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const AT_ONCE: Duration = Duration::from_millis(100);

pub(crate) fn partner(org: &Org) -> Whom {
    Whom::Partner(org.did.clone())
}

pub(crate) fn words(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub(crate) fn refused(topic: &str, reason: &str) -> String {
    format!("dccp_overlay_questions_refused_total{{topic=\"{topic}\",reason=\"{reason}\"}}")
}

pub(crate) fn failed(topic: &str, reason: &str) -> String {
    format!("dccp_overlay_asks_failed_total{{topic=\"{topic}\",reason=\"{reason}\"}}")
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
pub(crate) async fn asked_by_acme(
    limits: Limits,
    within_time: Duration,
) -> (Node, Mallory, RawStream, Pending) {
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

pub(crate) type Pending = tokio::task::JoinHandle<Result<Bytes, AskError>>;

pub(crate) async fn outcome(pending: Pending) -> Result<Bytes, AskError> {
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
