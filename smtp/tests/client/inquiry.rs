//! Questions about recipients, without a message.

use smtp::address::Address;
use smtp::client::{HandOverError, Protocol, Stage};

use crate::scripted::*;

fn bob() -> Address {
    "bob@corp.test".parse().unwrap()
}

/// An accepted MAIL, and this reply to RCPT.
fn asked(reply: &str) -> Vec<Step> {
    vec![ReadAlone("MAIL FROM:<>\r\n"), say("250 ok"), ReadAlone("RCPT TO:<bob@corp.test>\r\n"), say(reply)]
}

#[tokio::test]
async fn the_reply_to_the_recipient_is_told_and_no_message_follows() {
    let reset = vec![ReadAlone("RSET"), say("250 ok")];
    let script =
        [session(&["PIPELINING"]), asked("250 2.1.5 ok"), reset, asked("550 5.1.1 who?"), vec![Hang]]
            .concat();
    let server = Server::start(vec![script]).await;
    let pool = server.pool(Protocol::Lmtp);
    assert!(pool.would_take(&bob()).await.unwrap().is_positive());
    assert!(pool.would_take(&bob()).await.unwrap().is_permanent());
    drop(pool);
    let received = server.received().await.remove(0);
    assert!(!received.contains("DATA") && received.ends_with("QUIT\r\n"), "{received}");
}

#[tokio::test]
async fn a_server_that_does_not_come_to_the_recipient_says_nothing_about_it() {
    for (ending, stage) in [
        (vec![Read("MAIL"), say("550 5.7.1 not you")], Stage::Mail),
        (vec![Read("MAIL"), say("250 ok"), Read("RCPT"), say("421 4.3.2 going down")], Stage::Recipient),
    ] {
        let server = Server::start(vec![[session(&[]), ending].concat()]).await;
        let error = server.pool(Protocol::Smtp).would_take(&bob()).await.unwrap_err();
        assert!(matches!(&error, HandOverError::Refused { stage: at, .. } if *at == stage), "{error:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced() {
    let served = [session(&[]), asked("250 ok")].concat();
    for ending in [vec![Abort], vec![Read("RSET"), Abort]] {
        let server = Server::start(vec![[served.clone(), ending].concat(), served.clone()]).await;
        let pool = server.pool(Protocol::Smtp);
        for _ in 0..2 {
            assert!(pool.would_take(&bob()).await.unwrap().is_positive());
        }
        assert_eq!(server.received().await.len(), 2);
    }
}
