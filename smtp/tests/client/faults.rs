//! Servers that are slow, absent, broken or hostile: always a typed, temporary error, and never a doubt about
//! whether the message may have been delivered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use smtp::client::{HandOverError, Outcome, Protocol, ReplyError, SaidBy, Stage, Timeouts};
use tokio::sync::Notify;

use crate::scripted::*;

const MESSAGE: [Bytes; 1] = [Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")];

async fn hand_over(protocol: Protocol, script: Vec<Step>) -> Result<Vec<Outcome>, HandOverError> {
    hand_over_impatiently(protocol, script, |_| None).await
}

/// Picks one of the waits.
type Wait = fn(&mut Timeouts) -> Option<&mut Duration>;

/// With one wait that is short.
async fn hand_over_impatiently(
    protocol: Protocol,
    script: Vec<Step>,
    short: Wait,
) -> Result<Vec<Outcome>, HandOverError> {
    let server = Server::start(vec![script]).await;
    let pool = server.pool_with(protocol, |target| {
        if let Some(wait) = short(&mut target.timeouts) {
            *wait = Duration::from_millis(100);
        }
    });
    let result = pool.hand_over(&envelope(&["a@corp.test", "b@corp.test"]), &MESSAGE).await;
    if let Err(error) = &result {
        assert!(!error.is_permanent(), "{error}");
    }
    server.received().await;
    result.map(|handed_over| handed_over.outcomes)
}

/// More than the socket buffers of both sides together.
fn large_message() -> Vec<Bytes> {
    vec![Bytes::from([&[b'x'; 1 << 20][..], b"\r\n"].concat()); 32]
}

/// A session up to and including the go-ahead for mail data to two recipients.
fn to_data() -> Vec<Step> {
    let commands = vec![Read("MAIL"), Read("RCPT"), Read("RCPT"), Read("DATA")];
    [session(&["PIPELINING"]), commands, vec![say("250 ok\r\n250 ok\r\n250 ok\r\n354 go")]].concat()
}

#[tokio::test]
async fn nobody_listening_is_a_temporary_error() {
    let server = Server::start(vec![]).await;
    let pool = server.pool(Protocol::Smtp);
    server.received().await; // the listener is closed
    let error = pool.hand_over(&envelope(&["a@corp.test"]), &MESSAGE).await.unwrap_err();
    assert!(matches!(error, HandOverError::Connect { .. }) && !error.is_permanent(), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_wait_of_each_stage() {
    let command: Wait = |waits| Some(&mut waits.command);
    let mail = vec![Read("MAIL"), say("250 ok")];
    let recipients = vec![Read("RCPT"), say("250 ok"), Read("RCPT"), say("250 ok")];
    let stages: [(Vec<Step>, Wait, Stage); 5] = [
        (vec![], |waits| Some(&mut waits.greeting), Stage::Greeting),
        (vec![say("220 mx")], command, Stage::Hello),
        (session(&[]), command, Stage::Mail),
        ([session(&[]), mail.clone()].concat(), command, Stage::Recipient),
        ([session(&[]), mail, recipients].concat(), |waits| Some(&mut waits.data_start), Stage::Data),
    ];
    for (script, short, expected) in stages {
        match hand_over_impatiently(Protocol::Smtp, [script, vec![Hang]].concat(), short).await {
            Err(HandOverError::Timeout { stage }) => assert_eq!(stage, expected),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_the_message_is_left() {
    let server = Server::start(vec![
        [session(&["PIPELINING"]), commands_to_data(), vec![say("250 a\r\n250 b\r\n354 go"), ReadOctets(1)]]
            .concat(),
    ])
    .await;
    let pool =
        server.pool_with(Protocol::Smtp, |target| target.timeouts.data_block = Duration::from_millis(150));
    // The end of the script resets the connection.
    let segments = large_message();
    let error = pool.hand_over(&envelope(&["a@corp.test"]), &segments).await.unwrap_err();
    assert!(
        matches!(
            error,
            HandOverError::Timeout { stage: Stage::Content }
                | HandOverError::Lost { stage: Stage::Content, .. }
        ),
        "{error:?}"
    );
    assert!(!error.may_be_delivered());
}

/// A server of a stranger must not hold a mail for days by being slow in small steps.
#[tokio::test]
async fn a_transaction_ends_at_its_own_bound_whatever_each_of_its_steps_may_take() {
    let mail = vec![Read("MAIL"), say("250 ok")];
    let recipient = vec![Read("RCPT"), say("250 ok")];
    let go_on = vec![Read("DATA"), say("354 go")];
    for (rest, expected) in [(vec![], Stage::Recipient), ([recipient, go_on].concat(), Stage::Content)] {
        let for_ever = vec![Await(Arc::default())];
        let server = Server::start(vec![[session(&[]), mail.clone(), rest, for_ever].concat()]).await;
        let (mut bound, mut of_a_step) = (Duration::ZERO, Duration::ZERO);
        let pool = server.pool_with(Protocol::Smtp, |target| {
            target.timeouts.transaction = Duration::from_millis(300);
            (bound, of_a_step) = (target.timeouts.transaction, target.timeouts.command);
        });
        let begun = Instant::now();
        let error = pool.hand_over(&envelope(&["a@corp.test"]), &large_message()).await.unwrap_err();
        assert!(bound < of_a_step && begun.elapsed() < of_a_step, "{:?}", begun.elapsed());
        assert!(matches!(error, HandOverError::Timeout { stage } if stage == expected), "{error:?}");
        assert!(!error.may_be_delivered());
    }
}

#[tokio::test]
async fn a_trickling_reply_does_not_prolong_the_wait() {
    let short: Wait = |waits| Some(&mut waits.greeting);
    let error = hand_over_impatiently(Protocol::Smtp, vec![Trickle("220-one more line\r\n")], short)
        .await
        .unwrap_err();
    assert!(matches!(error, HandOverError::Timeout { stage: Stage::Greeting }), "{error:?}");
}

#[tokio::test]
async fn a_connection_lost_before_the_final_dot_cannot_have_delivered() {
    for script in [
        vec![],
        vec![say("220 mx")],
        vec![say("220 mx"), HalfClose, Hang],
        session(&[]),
        [session(&[]), vec![Read("MAIL"), Abort]].concat(),
        [session(&["PIPELINING"]), vec![Read("MAIL"), say("250 ok"), HalfClose, Hang]].concat(),
    ] {
        let error = hand_over(Protocol::Smtp, script).await.unwrap_err();
        assert!(matches!(error, HandOverError::Lost { .. }) && !error.may_be_delivered(), "{error:?}");
    }
}

#[tokio::test]
async fn silence_after_the_final_dot_is_reported_as_a_possible_delivery() {
    for ending in [
        vec![],
        vec![Abort],
        vec![HalfClose, Hang],
        vec![Hang],
        vec![say("what?"), Hang],
        vec![say("354 more"), Hang],
    ] {
        for protocol in [Protocol::Smtp, Protocol::Lmtp] {
            let script = [to_data(), vec![ReadMessage], ending.clone()].concat();
            let error =
                hand_over_impatiently(protocol, script, |waits| Some(&mut waits.data_end)).await.unwrap_err();
            assert!(
                matches!(error, HandOverError::Unconfirmed { .. }) && error.may_be_delivered(),
                "{error:?}"
            );
        }
    }
}

#[tokio::test]
async fn lmtp_recipients_with_an_answer_keep_it_when_the_rest_is_silence() {
    for ending in [vec![], vec![Hang], vec![say("what?"), Hang]] {
        let script = [to_data(), vec![ReadMessage, say("250 2.1.5 kept for a")], ending].concat();
        let short: Wait = |waits| Some(&mut waits.data_end);
        let outcomes = hand_over_impatiently(Protocol::Lmtp, script, short).await.unwrap();
        assert!(outcomes[0].is_delivered() && outcomes[0].said_by == SaidBy::Server);
        assert!(outcomes[1].is_temporary() && outcomes[1].said_by == SaidBy::Silence, "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_hostile_reply_ends_the_attempt_with_its_kind() {
    let endless = "250-x\r\n".repeat(65);
    for (reply, expected) in [
        ("hello\r\n".to_owned(), ReplyError::NotAReply),
        ("250 ok\n".to_owned(), ReplyError::ControlCharacter),
        ("250 \0\r\n".to_owned(), ReplyError::ControlCharacter),
        (format!("250 {}\r\n", "x".repeat(2_000)), ReplyError::LineTooLong),
        ("x".repeat(5_000), ReplyError::LineTooLong),
        (endless, ReplyError::TooManyLines),
        ("250-a\r\n550 b\r\n".to_owned(), ReplyError::CodesDiffer),
        ("334 go on\r\n".to_owned(), ReplyError::OutOfPlace(334)),
    ] {
        let script = [session(&[]), vec![Read("MAIL"), Step::Say(reply), Hang]].concat();
        match hand_over(Protocol::Smtp, script).await {
            Err(HandOverError::Reply { stage: Stage::Mail, source }) => assert_eq!(source, expected),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_reply_that_nobody_asked_for_is_not_taken_for_the_next_one() {
    let premature = vec![say("250 ok\r\n250 and a\r\n250 and b\r\n354 go\r\n250 and kept"), Hang];
    let script =
        [session(&["PIPELINING"]), vec![Read("MAIL"), Read("RCPT"), Read("RCPT"), Read("DATA")], premature]
            .concat();
    match hand_over(Protocol::Smtp, script).await {
        Err(HandOverError::Reply { stage: Stage::Content, source: ReplyError::Unasked }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_closes_with_421_is_believed_at_every_stage() {
    for (script, expected) in [
        (vec![say("421 4.3.2 closing")], Stage::Greeting),
        (vec![say("554 5.3.2 no service")], Stage::Greeting),
        (vec![say("220 mx"), Read("EHLO"), say("421 4.3.2 closing")], Stage::Hello),
        ([session(&[]), vec![Read("MAIL"), say("421 4.3.2 closing")]].concat(), Stage::Mail),
        (
            [session(&["PIPELINING"]), vec![Read("MAIL"), say("250 ok\r\n421 4.3.2 closing")]].concat(),
            Stage::Recipient,
        ),
    ] {
        match hand_over(Protocol::Smtp, script).await {
            Err(HandOverError::Refused { stage, .. }) => assert_eq!(stage, expected),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
    let outcomes =
        hand_over(Protocol::Smtp, [to_data(), vec![ReadMessage, say("421 4.3.2 closing")]].concat())
            .await
            .unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.is_temporary() && outcome.said_by == SaidBy::Server));
}

#[tokio::test]
async fn a_dropped_attempt_never_completes_the_message() {
    let (reading, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pause = vec![ReadOctets(1), Tell(reading.clone()), Await(dropped.clone()), Hang];
    let server = Server::start(vec![[to_data(), pause].concat()]).await;
    let pool = server.pool(Protocol::Smtp);
    let segments = large_message();
    let to = envelope(&["a@corp.test", "b@corp.test"]);
    tokio::select! {
        result = pool.hand_over(&to, &segments) => panic!("{result:?}"),
        () = reading.notified() => {}
    }
    dropped.notify_one();
    let received = server.received().await.remove(0);
    assert!(!received.contains("\r\n.\r\n") && !received.contains("QUIT"));
}
