//! Connections that serve more than one message.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use smtp::client::{HandOverError, Protocol, Stage};
use tokio::sync::Notify;

use crate::scripted::*;

const MESSAGE: [Bytes; 1] = [Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")];

#[tokio::test]
async fn a_second_message_uses_the_connection_of_the_first_without_reset() {
    let script = [session(&["PIPELINING"]), accepted_mail(), accepted_mail(), vec![Hang]].concat();
    let server = Server::start(vec![script]).await;
    let pool = server.pool(Protocol::Smtp);
    for _ in 0..2 {
        assert!(
            pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap().outcomes[0].is_delivered()
        );
    }
    drop(pool);
    let received = server.received().await.remove(0);
    assert_eq!(received.matches("EHLO").count(), 1);
    assert!(!received.contains("RSET"));
    assert!(received.ends_with("\r\n.\r\nQUIT\r\n"));
}

#[tokio::test]
async fn a_transaction_that_was_not_completed_is_reset_before_the_next() {
    let refused = vec![say("250 ok\r\n550 5.1.1 no\r\n554 5.5.1 no recipients")];
    let mut next = accepted_mail();
    next.insert(0, Read("RSET"));
    next.insert(4, say("250 reset"));
    let script =
        [session(&["PIPELINING"]), commands_to_data(), refused, next, accepted_mail(), vec![Hang]].concat();
    let server = Server::start(vec![script]).await;
    let pool = server.pool(Protocol::Smtp);
    let to = envelope(&["bob@corp.test"]);
    assert!(pool.hand_over(&to, &MESSAGE).await.unwrap().outcomes[0].is_permanent());
    assert!(pool.hand_over(&to, &MESSAGE).await.unwrap().outcomes[0].is_delivered());
    assert!(pool.hand_over(&to, &MESSAGE).await.unwrap().outcomes[0].is_delivered());
    drop(pool);
    assert_eq!(server.received().await[0].matches("RSET").count(), 1);
}

#[tokio::test]
async fn a_reused_connection_that_died_is_replaced_once_by_a_fresh_one() {
    let served = [session(&["PIPELINING"]), accepted_mail()].concat();
    for ending in [
        vec![],
        vec![Abort],
        vec![say("421 4.4.2 idle too long")],
        vec![Read("MAIL"), say("421 4.4.2 idle too long")],
        vec![Read("MAIL"), Abort],
        vec![Read("MAIL"), HalfClose, Hang],
    ] {
        let server = Server::start(vec![[served.clone(), ending].concat(), served.clone()]).await;
        let pool = server.pool(Protocol::Smtp);
        for _ in 0..2 {
            assert!(
                pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap().outcomes[0]
                    .is_delivered()
            );
        }
        assert_eq!(server.received().await.len(), 2);
    }
}

#[tokio::test]
async fn once_something_was_acknowledged_there_is_no_second_try() {
    for ending in [
        vec![Read("MAIL"), say("250 ok")],
        vec![Read("MAIL"), Read("RCPT"), Read("DATA"), say("250 ok\r\n250 ok\r\n354 go"), ReadMessage],
    ] {
        let server = Server::start(vec![[session(&["PIPELINING"]), accepted_mail(), ending].concat()]).await;
        let pool = server.pool(Protocol::Smtp);
        let to = envelope(&["bob@corp.test"]);
        pool.hand_over(&to, &MESSAGE).await.unwrap();
        let error = pool.hand_over(&to, &MESSAGE).await.unwrap_err();
        assert!(
            matches!(
                error,
                HandOverError::Lost { stage: Stage::Recipient, .. } | HandOverError::Unconfirmed { .. }
            ),
            "{error:?}"
        );
        server.received().await;
    }
}

#[tokio::test]
async fn a_connection_out_of_step_is_not_used_again() {
    let served = [session(&["PIPELINING"]), accepted_mail()].concat();
    let extra = vec![say("250 one reply too many"), Hang];
    let server = Server::start(vec![[served.clone(), extra].concat(), served]).await;
    let pool = server.pool(Protocol::Smtp);
    let to = envelope(&["bob@corp.test"]);
    pool.hand_over(&to, &MESSAGE).await.unwrap();
    assert!(pool.hand_over(&to, &MESSAGE).await.unwrap().outcomes[0].is_delivered());
    assert_eq!(server.received().await.len(), 2);
}

#[tokio::test]
async fn a_connection_on_which_the_server_spoke_while_idle_is_not_used_again() {
    let (kept, said) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let late = vec![Await(kept.clone()), say("250 one reply too many"), Tell(said.clone()), Hang];
    let served = [session(&["PIPELINING"]), accepted_mail()].concat();
    let server = Server::start(vec![[served.clone(), late].concat(), served]).await;
    let pool = server.pool(Protocol::Smtp);
    let to = envelope(&["bob@corp.test"]);
    pool.hand_over(&to, &MESSAGE).await.unwrap();
    kept.notify_one();
    said.notified().await;
    assert!(pool.hand_over(&to, &MESSAGE).await.unwrap().outcomes[0].is_delivered());
    assert_eq!(server.received().await.len(), 2);
}

#[tokio::test]
async fn a_connection_that_idled_too_long_is_left_with_quit() {
    let served = [session(&["PIPELINING"]), accepted_mail(), vec![Hang]].concat();
    let server = Server::start(vec![served.clone(), served]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| target.timeouts.idle = Duration::ZERO);
    for _ in 0..2 {
        pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap();
    }
    drop(pool);
    let received = server.received().await;
    assert!(received.iter().all(|session| session.ends_with("\r\nQUIT\r\n")));
}

#[tokio::test]
async fn a_connection_that_has_served_its_share_is_left_with_quit() {
    let served = [session(&["PIPELINING"]), accepted_mail(), accepted_mail(), vec![Hang]].concat();
    let server = Server::start(vec![served.clone(), served]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| target.messages_max = 2);
    for _ in 0..4 {
        pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap();
    }
    drop(pool);
    for session in server.received().await {
        assert!(session.matches("MAIL").count() == 2 && session.ends_with("\r\nQUIT\r\n"), "{session}");
    }
}

#[tokio::test]
async fn more_messages_than_connections_wait_for_their_turn() {
    let script = [session(&["PIPELINING"]), accepted_mail(), accepted_mail(), accepted_mail()].concat();
    let server = Server::start(vec![script]).await;
    let pool = Arc::new(server.pool_with(Protocol::Smtp, |target| target.connections_max = 1));
    let attempts: Vec<_> = (0..3)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await })
        })
        .collect();
    for attempt in attempts {
        assert!(attempt.await.unwrap().unwrap().outcomes[0].is_delivered());
    }
    assert_eq!(server.received().await.len(), 1);
}
