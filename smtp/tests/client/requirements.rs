//! What a message needs, what the server offers, and what is refused before anything is sent.

use bytes::Bytes;
use smtp::client::{Envelope, HandOverError, Outcome, Protocol, SaidBy};

use crate::scripted::*;

const PLAIN: &str = "Subject: a\r\n\r\nb\r\n";
const EIGHT_BIT: &str = "Subject: a\r\n\r\ngrün\r\n";
const UTF8_HEADER: &str = "Subject: grün\r\n\r\nb\r\n";

/// Hands over to a server with these keywords that takes everything; gives the outcomes and the MAIL line.
async fn exchange(
    protocol: Protocol,
    keywords: &[&str],
    envelope: &Envelope,
    text: &'static str,
) -> (Vec<Outcome>, String) {
    let pipelined = [&["PIPELINING"], keywords].concat();
    let recipients = envelope.forward_paths.len();
    let commands: Vec<_> =
        [Read("MAIL")].into_iter().chain(vec![Read("RCPT"); recipients]).chain([Read("DATA")]).collect();
    let replies = format!("{}354 go", "250 ok\r\n".repeat(recipients + 1));
    let script = [session(&pipelined), commands, vec![say(replies), ReadMessage, say("250 kept")]].concat();
    let server = Server::start(vec![script]).await;
    let outcomes = server
        .pool(protocol)
        .hand_over(envelope, &[Bytes::from_static(text.as_bytes())])
        .await
        .unwrap()
        .outcomes;
    let received = server.received().await.remove(0);
    let mail = received.lines().find(|line| line.starts_with("MAIL")).unwrap_or_default();
    (outcomes, mail.to_owned())
}

/// Hands over to a server with these keywords that must not hear of a mail.
async fn refusal(
    protocol: Protocol,
    keywords: &[&str],
    envelope: &Envelope,
    text: &'static str,
) -> Vec<String> {
    let server = Server::start(vec![[session(keywords), vec![Hang]].concat()]).await;
    let pool = server.pool(protocol);
    let outcomes = pool.hand_over(envelope, &[Bytes::from_static(text.as_bytes())]).await.unwrap().outcomes;
    drop(pool);
    assert_eq!(server.received().await[0].lines().skip(1).collect::<Vec<_>>(), ["QUIT"]);
    assert!(outcomes.iter().all(|outcome| outcome.said_by == SaidBy::Client && outcome.is_permanent()));
    outcomes.iter().map(|outcome| outcome.reply.status().to_string()).collect()
}

#[tokio::test]
async fn parameters_are_sent_when_they_are_offered_and_needed() {
    let all = ["8BITMIME", "SMTPUTF8", "SIZE 1000"];
    let bob = envelope(&["bob@corp.test"]);
    let mail =
        |envelope: Envelope, text| async move { exchange(Protocol::Smtp, &all, &envelope, text).await.1 };
    assert_eq!(mail(bob.clone(), PLAIN).await, "MAIL FROM:<alice@acme.test> SIZE=17");
    assert_eq!(mail(bob.clone(), EIGHT_BIT).await, "MAIL FROM:<alice@acme.test> SIZE=21 BODY=8BITMIME");
    let declared = Envelope { body_8bit: true, smtputf8: true, ..bob };
    assert_eq!(mail(declared, PLAIN).await, "MAIL FROM:<alice@acme.test> SIZE=17 BODY=8BITMIME SMTPUTF8");
    assert_eq!(
        mail(envelope(&["jürgen@corp.test"]), PLAIN).await,
        "MAIL FROM:<alice@acme.test> SIZE=17 SMTPUTF8"
    );
}

#[tokio::test]
async fn nothing_is_declared_that_was_not_offered() {
    let declared = Envelope { body_8bit: true, smtputf8: true, ..envelope(&["bob@corp.test"]) };
    let (outcomes, mail) = exchange(Protocol::Smtp, &[], &declared, PLAIN).await;
    assert_eq!(mail, "MAIL FROM:<alice@acme.test>");
    assert!(
        outcomes[0].is_delivered(),
        "declared, but not needed: RFC 6531 §3.1 and RFC 6152 do not stand in the way"
    );
}

#[tokio::test]
async fn eight_bit_content_without_8bitmime_fails_over_smtp_and_is_sent_as_it_is_over_lmtp() {
    let bob = envelope(&["bob@corp.test"]);
    assert_eq!(refusal(Protocol::Smtp, &[], &bob, EIGHT_BIT).await, ["5.6.3"]);
    let (outcomes, mail) = exchange(Protocol::Lmtp, &[], &bob, EIGHT_BIT).await;
    assert!(outcomes[0].is_delivered());
    assert_eq!(mail, "MAIL FROM:<alice@acme.test>");
}

#[tokio::test]
async fn an_internationalized_address_without_smtputf8_fails_alone() {
    let both = envelope(&["jürgen@corp.test", "bob@corp.test"]);
    let script = [session(&["PIPELINING", "8BITMIME"]), accepted_mail()].concat();
    let server = Server::start(vec![script]).await;
    let outcomes = server
        .pool(Protocol::Smtp)
        .hand_over(&both, &[Bytes::from_static(b"a: b\r\n")])
        .await
        .unwrap()
        .outcomes;
    assert_eq!(outcomes[0].reply.status().to_string(), "5.6.7");
    assert_eq!(outcomes[0].said_by, SaidBy::Client);
    assert!(outcomes[1].is_delivered());
    assert!(server.received().await[0].contains("RCPT TO:<bob@corp.test>"));
}

#[tokio::test]
async fn an_internationalized_sender_or_header_without_smtputf8_fails_for_all() {
    let sender =
        Envelope { reverse_path: "jürgen@acme.test".into(), ..envelope(&["a@corp.test", "b@corp.test"]) };
    assert_eq!(refusal(Protocol::Lmtp, &["8BITMIME"], &sender, PLAIN).await, ["5.6.7", "5.6.7"]);
    let header = Envelope { smtputf8: true, ..envelope(&["a@corp.test"]) };
    assert_eq!(refusal(Protocol::Lmtp, &["8BITMIME"], &header, UTF8_HEADER).await, ["5.6.9"]);
    let both = Envelope { smtputf8: true, ..envelope(&["jürgen@corp.test", "b@corp.test"]) };
    assert_eq!(refusal(Protocol::Lmtp, &["8BITMIME"], &both, UTF8_HEADER).await, ["5.6.7", "5.6.9"]);
}

#[tokio::test]
async fn a_message_above_the_announced_size_is_not_offered() {
    let bob = envelope(&["bob@corp.test"]);
    assert_eq!(refusal(Protocol::Smtp, &["SIZE 16"], &bob, PLAIN).await, ["5.3.4"]);
    assert!(exchange(Protocol::Smtp, &["SIZE 17"], &bob, PLAIN).await.0[0].is_delivered());
    assert!(exchange(Protocol::Smtp, &["SIZE 0"], &bob, PLAIN).await.0[0].is_delivered());
}

#[tokio::test]
async fn a_recipient_that_is_not_an_address_never_reaches_a_command() {
    for recipient in [
        "bob@corp.test>\r\nRCPT TO:<eve@corp.test",
        "a b@corp.test",
        "",
        "bob",
        "bob@corp.test> NOTIFY=NEVER",
    ] {
        let statuses = refusal(Protocol::Smtp, &["SMTPUTF8"], &envelope(&[recipient]), PLAIN).await;
        assert_eq!(statuses, ["5.1.3"], "{recipient:?}");
    }
}

#[tokio::test]
async fn a_bare_line_end_or_a_broken_sender_is_refused_before_anyone_connects() {
    let server = Server::start(vec![]).await;
    let pool = server.pool(Protocol::Smtp);
    for text in ["a: b\r\n\r\nx\n.\r\nMAIL FROM:<eve@corp.test>\r\n", "a: b\r\n\r\nx\r.\r\n", "\n"] {
        let segments = [Bytes::from_static(b"Received: x\r\n"), Bytes::from_static(text.as_bytes())];
        let error = pool.hand_over(&envelope(&["bob@corp.test"]), &segments).await.unwrap_err();
        assert!(matches!(error, HandOverError::BareLineEnd(_)) && error.is_permanent(), "{error}");
    }
    let broken = Envelope { reverse_path: "a@b>\r\nDATA".into(), ..envelope(&["bob@corp.test"]) };
    let error = pool.hand_over(&broken, &[Bytes::from_static(b"a: b\r\n")]).await.unwrap_err();
    assert!(matches!(error, HandOverError::ReversePath) && error.is_permanent());
    assert_eq!(server.received().await.len(), 0);
}
