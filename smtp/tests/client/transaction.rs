//! What is sent, in which order, and what becomes of each recipient.

use bytes::Bytes;
use smtp::{
    client::{HandOverError, Protocol, ReplyError, SaidBy, Stage},
    reply::{Enhanced, Reply},
};

use crate::scripted::*;

const MESSAGE: &[u8] = b"Subject: a\r\n\r\n.hidden dot\r\nend\r\n";

fn message() -> [Bytes; 2] {
    [Bytes::from_static(b"Received: by gw\r\n"), Bytes::from_static(MESSAGE)]
}

#[tokio::test]
async fn with_pipelining_the_envelope_is_sent_before_any_reply_is_read() {
    let server = Server::start(vec![[session(&["PIPELINING"]), accepted_mail(), vec![Hang]].concat()]).await;
    let pool = server.pool(Protocol::Smtp);
    let outcomes = pool.hand_over(&envelope(&["bob@corp.test"]), &message()).await.unwrap().outcomes;
    assert!(outcomes[0].is_delivered());
    assert_eq!(outcomes[0].reply, Reply::new(250, Enhanced(2, 0, 0), "kept"));
    drop(pool);
    assert_eq!(
        server.received().await,
        ["EHLO gw.acme.test\r\nMAIL FROM:<alice@acme.test>\r\nRCPT TO:<bob@corp.test>\r\nDATA\r\n\
          Received: by gw\r\nSubject: a\r\n\r\n..hidden dot\r\nend\r\n.\r\nQUIT\r\n"]
    );
}

#[tokio::test]
async fn without_pipelining_each_command_waits_for_the_reply_to_the_one_before() {
    let script = vec![
        ReadAlone("MAIL FROM:<>"),
        say("250 ok"),
        ReadAlone("RCPT TO:<bob@corp.test>"),
        say("250 ok"),
        ReadAlone("RCPT TO:<eve@corp.test>"),
        say("550 5.1.1 no eve"),
        ReadAlone("DATA"),
        say("354 go"),
        ReadMessage,
        say("250 kept"),
    ];
    let server = Server::start(vec![[session(&[]), script].concat()]).await;
    let mut envelope = envelope(&["bob@corp.test", "eve@corp.test"]);
    envelope.reverse_path.clear();
    let outcomes = server.pool(Protocol::Smtp).hand_over(&envelope, &message()).await.unwrap().outcomes;
    server.received().await;
    assert!(outcomes[0].is_delivered());
    assert!(outcomes[1].is_permanent());
}

#[tokio::test]
async fn smtp_gives_all_accepted_recipients_the_reply_to_the_final_dot() {
    let script = vec![
        Read("MAIL"),
        Read("RCPT TO:<a@"),
        Read("RCPT TO:<b@"),
        Read("RCPT TO:<c@"),
        Read("DATA"),
        say("250 ok\r\n250 ok\r\n550 5.1.1 no b\r\n250 ok\r\n354 go"),
        ReadMessage,
        say("452 4.2.2 full"),
    ];
    let server = Server::start(vec![[session(&["PIPELINING"]), script].concat()]).await;
    let envelope = envelope(&["a@corp.test", "b@corp.test", "c@corp.test"]);
    let outcomes = server.pool(Protocol::Smtp).hand_over(&envelope, &message()).await.unwrap().outcomes;
    server.received().await;
    let said: Vec<_> = outcomes.iter().map(|o| (o.recipient.as_str(), o.reply.to_string())).collect();
    assert_eq!(
        said,
        [
            ("a@corp.test", "452 4.2.2 full".to_owned()),
            ("b@corp.test", "550 5.1.1 no b".to_owned()),
            ("c@corp.test", "452 4.2.2 full".to_owned())
        ]
    );
}

#[tokio::test]
async fn lmtp_gives_each_accepted_recipient_its_own_reply() {
    let script = vec![
        Read("MAIL"),
        Read("RCPT TO:<a@"),
        Read("RCPT TO:<b@"),
        Read("RCPT TO:<c@"),
        Read("DATA"),
        say("250 ok\r\n250 ok\r\n550 5.1.1 no b\r\n250 ok\r\n354 go"),
        ReadMessage,
        say("250 2.1.5 kept for a\r\n452 4.2.2 c is full"),
        Hang,
    ];
    let server = Server::start(vec![[session(&["PIPELINING"]), script].concat()]).await;
    let envelope = envelope(&["a@corp.test", "b@corp.test", "c@corp.test"]);
    let outcomes = server.pool(Protocol::Lmtp).hand_over(&envelope, &message()).await.unwrap().outcomes;
    assert!(server.received().await[0].starts_with("LHLO gw.acme.test\r\n"));
    assert!(outcomes[0].is_delivered() && outcomes[1].is_permanent() && outcomes[2].is_temporary());
    assert!(outcomes.iter().all(|outcome| outcome.said_by == SaidBy::Server));
    assert_eq!(outcomes[2].reply.text, "c is full");
}

#[tokio::test]
async fn a_refused_sender_fails_all_recipients_and_no_data_is_sent() {
    let script = vec![
        Read("MAIL"),
        Read("RCPT"),
        Read("RCPT"),
        Read("DATA"),
        say("550 5.7.1 not you\r\n503 5.5.1 need MAIL\r\n503 5.5.1 need MAIL\r\n503 5.5.1 need RCPT"),
        Hang,
    ];
    let server = Server::start(vec![[session(&["PIPELINING"]), script].concat()]).await;
    let envelope = envelope(&["a@corp.test", "b@corp.test"]);
    let outcomes = server.pool(Protocol::Smtp).hand_over(&envelope, &message()).await.unwrap().outcomes;
    assert!(server.received().await[0].ends_with("DATA\r\nQUIT\r\n"));
    assert!(outcomes.iter().all(|outcome| outcome.reply.to_string() == "550 5.7.1 not you"));
}

#[tokio::test]
async fn without_pipelining_nothing_more_is_said_once_nobody_is_left_to_send_to() {
    let no_sender = vec![Read("MAIL"), say("550 5.7.1 not you"), Hang];
    let no_recipient = vec![Read("MAIL"), say("250 ok"), Read("RCPT"), say("550 5.1.1 no"), Hang];
    for (script, last) in [(no_sender, "MAIL"), (no_recipient, "RCPT")] {
        let server = Server::start(vec![[session(&[]), script].concat()]).await;
        let pool = server.pool(Protocol::Smtp);
        assert!(
            pool.hand_over(&envelope(&["a@corp.test"]), &message()).await.unwrap().outcomes[0].is_permanent()
        );
        drop(pool);
        let received = server.received().await.remove(0);
        let commands: Vec<&str> = received.lines().map(|line| &line[..4]).collect();
        assert!(commands.ends_with(&[last, "QUIT"]), "{received}");
    }
}

#[tokio::test]
async fn when_all_recipients_are_refused_a_server_that_wants_data_anyway_gets_none() {
    let replies = "250 ok\r\n550 5.1.1 no\r\n354 go";
    let script = [session(&["PIPELINING"]), commands_to_data(), vec![say(replies), Hang]].concat();
    let server = Server::start(vec![script]).await;
    let pool = server.pool(Protocol::Smtp);
    let outcomes = pool.hand_over(&envelope(&["a@corp.test"]), &message()).await.unwrap().outcomes;
    assert!(outcomes[0].is_permanent());
    assert!(
        server.received().await[0].ends_with("DATA\r\n"),
        "the connection is closed at once, without QUIT"
    );
}

#[tokio::test]
async fn a_refused_data_command_concerns_only_the_accepted_recipients() {
    let script = vec![
        Read("MAIL"),
        Read("RCPT"),
        Read("RCPT"),
        Read("DATA"),
        say("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n451 4.3.0 later"),
    ];
    let server = Server::start(vec![[session(&["PIPELINING"]), script].concat()]).await;
    let envelope = envelope(&["a@corp.test", "b@corp.test"]);
    let outcomes = server.pool(Protocol::Smtp).hand_over(&envelope, &message()).await.unwrap().outcomes;
    assert!(outcomes[0].is_temporary() && outcomes[1].is_permanent());
}

#[tokio::test]
async fn many_recipients_are_sent_in_groups_that_are_answered_before_the_next() {
    let count = 150;
    let mut script = session(&["PIPELINING"]);
    let commands: Vec<_> =
        [Read("MAIL")].into_iter().chain((0..count).map(|_| Read("RCPT"))).chain([Read("DATA")]).collect();
    for group in commands.chunks(64) {
        script.extend_from_slice(&group[..group.len() - 1]);
        let last = match &group[group.len() - 1] {
            Read(start) => ReadAlone(start),
            other => other.clone(),
        };
        script.push(last);
        let replies: Vec<_> =
            group.iter().map(|step| if matches!(step, Read("DATA")) { "354 go" } else { "250 ok" }).collect();
        script.push(say(replies.join("\r\n")));
    }
    script.extend([ReadMessage, say("250 kept")]);
    let server = Server::start(vec![script]).await;
    let paths: Vec<String> = (0..count).map(|n| format!("user{n}@corp.test")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let outcomes =
        server.pool(Protocol::Smtp).hand_over(&envelope(&paths), &message()).await.unwrap().outcomes;
    server.received().await;
    assert_eq!(outcomes.len(), count);
    assert!(
        outcomes.iter().zip(paths).all(|(outcome, path)| outcome.is_delivered() && outcome.recipient == path)
    );
}

#[tokio::test]
async fn a_large_message_full_of_dots_arrives_octet_by_octet() {
    let line = ".\r\n..\r\nordinary text of some length\r\n";
    let body = line.repeat(60_000);
    let wire = line.replace("\r\n.", "\r\n..").replacen('.', "..", 1).repeat(60_000);
    let server = Server::start(vec![[session(&["PIPELINING"]), accepted_mail()].concat()]).await;
    let segments: Vec<Bytes> = body.as_bytes().chunks(100_001).map(Bytes::copy_from_slice).collect();
    server.pool(Protocol::Smtp).hand_over(&envelope(&["bob@corp.test"]), &segments).await.unwrap();
    let received = server.received().await.remove(0);
    let (_, data) = received.split_once("DATA\r\n").unwrap();
    assert!(data == wire + ".\r\n");
}

#[tokio::test]
async fn a_server_of_before_ehlo_is_greeted_with_helo() {
    let script = vec![
        say("220 old"),
        Read("EHLO gw.acme.test"),
        say("502 5.5.1 what"),
        Read("HELO gw.acme.test"),
        say("250-old\r\n250 PIPELINING"),
        ReadAlone("MAIL FROM:<alice@acme.test>\r\n"),
        say("250 ok"),
        Read("RCPT"),
        say("250 ok"),
        Read("DATA"),
        say("354 go"),
        ReadMessage,
        say("250 kept"),
    ];
    let server = Server::start(vec![script]).await;
    let outcomes = server
        .pool(Protocol::Smtp)
        .hand_over(&envelope(&["bob@corp.test"]), &message())
        .await
        .unwrap()
        .outcomes;
    assert!(outcomes[0].is_delivered());
}

#[tokio::test]
async fn a_go_ahead_for_anything_but_data_is_out_of_place() {
    let script = [session(&["PIPELINING"]), commands_to_data(), vec![say("354 go"), Hang]].concat();
    let server = Server::start(vec![script]).await;
    let pool = server.pool(Protocol::Smtp);
    let error = pool.hand_over(&envelope(&["bob@corp.test"]), &message()).await.unwrap_err();
    let HandOverError::Reply { stage: Stage::Mail, source: ReplyError::OutOfPlace(354) } = error else {
        panic!("{error:?}")
    };
}
