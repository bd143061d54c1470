//! Every hostile answer at every step of the dialogue: an error that names step and fault, nothing counted as delivered that is
//! not, nothing lost: the next attempt, over a new connection, brings the mail.

use std::time::Duration;

use bytes::Bytes;
use smtp::client::Stage::*;
use smtp::client::{
    HandOverError, HandedOver, Login, Protocol, ReplyError, SaidBy, Stage, Timeouts, TlsPolicy,
};
use smtp::sasl::Secret;
use tokio::task::JoinSet;

use crate::scripted::*;

const MESSAGE: [Bytes; 1] = [Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")];

/// The steps at which a server has the word, in their order.
const STAGES: [Stage; 8] = [Greeting, Hello, StartTls, Auth, Mail, Recipient, Data, EndOfData];

/// A dialogue in which all goes well until the server has the word at `stage`, and will go on to `end`.
fn dialogue(stage: Stage, end: Stage) -> Vec<Step> {
    let keywords: &[&str] = match stage {
        StartTls => &["STARTTLS"],
        Auth => &["AUTH PLAIN"],
        _ => &[],
    };
    let mut script = Vec::new();
    for at in STAGES {
        script.extend(match at {
            Greeting => vec![],
            Hello => vec![say("220 mx.corp.test"), Read("")],
            StartTls if stage == StartTls => vec![introduction(keywords).remove(1), Read("STARTTLS")],
            Auth if stage == Auth => vec![introduction(keywords).remove(1), Read("AUTH PLAIN")],
            StartTls | Auth => continue,
            Mail if stage == StartTls => vec![say("454 4.7.0 not now"), Read("MAIL FROM:")],
            Mail if stage == Auth => vec![say("235 2.7.0 welcome"), Read("MAIL FROM:")],
            Mail => vec![introduction(keywords).remove(1), Read("MAIL FROM:")],
            Recipient => vec![say("250 ok"), Read("RCPT TO:")],
            Data => vec![say("250 ok"), Read("DATA")],
            _ => vec![say("354 go"), ReadMessage],
        });
        if at == end {
            break;
        }
    }
    script
}

/// What came of a hostile answer at `stage`: the error, after the mail was delivered by the next attempt.
async fn met(protocol: Protocol, stage: Stage, answer: Vec<Step>, wait: Option<Duration>) -> HandOverError {
    let honest = [dialogue(stage, EndOfData), vec![say("250 2.0.0 kept")]].concat();
    let server = Server::start(vec![[dialogue(stage, stage), answer].concat(), honest]).await;
    let pool = server.pool_with(protocol, |target| {
        target.tls = TlsPolicy::Opportunistic;
        let password = Secret::new("tr0ub4dor".into());
        target.login = (stage == Auth).then(|| Login::Password { user: "alice".into(), password });
        if let Some(wait) = wait {
            *patience_at(&mut target.timeouts, stage) = wait;
        }
    });
    let to = envelope(&["bob@corp.test"]);
    let error = pool.hand_over(&to, &MESSAGE).await.expect_err("a hostile answer");
    assert!(!error.is_permanent(), "at {stage:?}: {error:?}");
    assert_eq!(error.may_be_delivered(), stage == EndOfData, "at {stage:?}: {error:?}");
    let again = pool.hand_over(&to, &MESSAGE).await.unwrap_or_else(|error| panic!("at {stage:?}: {error:?}"));
    assert!(again.outcomes[0].is_delivered());
    let received = server.received().await;
    assert_eq!(received[0].contains("\r\n.\r\n"), stage == EndOfData, "at {stage:?}: {received:?}");
    error
}

fn patience_at(timeouts: &mut Timeouts, stage: Stage) -> &mut Duration {
    match stage {
        Greeting => &mut timeouts.greeting,
        Data => &mut timeouts.data_start,
        EndOfData => &mut timeouts.data_end,
        _ => &mut timeouts.command,
    }
}

/// Each answer at each step in both protocols, all at the same time; `check` is given what came of it.
async fn everywhere(
    answers: Vec<Vec<Step>>,
    wait: Option<Duration>,
    check: impl Fn(usize, Stage, HandOverError),
) {
    let mut met_all = JoinSet::new();
    for protocol in [Protocol::Smtp, Protocol::Lmtp] {
        for stage in STAGES {
            for (at, answer) in answers.iter().cloned().enumerate() {
                met_all.spawn(async move { (at, stage, met(protocol, stage, answer, wait).await) });
            }
        }
    }
    while let Some(done) = met_all.join_next().await {
        let (at, stage, error) = done.unwrap();
        // After the final dot the doubt comes first, and inside it the cause.
        check(at, stage, if let HandOverError::Unconfirmed { cause } = error { *cause } else { error });
    }
}

#[tokio::test]
async fn what_is_no_reply_is_told_with_its_fault_at_every_step() {
    let floods = ["250-X-KEYWORD\r\n".repeat(5_000), "250-".to_owned() + &"x".repeat(100_000)];
    let cases = [
        (floods[0].as_str(), ReplyError::TooManyLines),
        (&floods[1], ReplyError::LineTooLong),
        ("hello\r\n", ReplyError::NotAReply),
        ("\r\n", ReplyError::NotAReply),
        ("2500 ok\r\n", ReplyError::NotAReply),
        ("250_ok\r\n", ReplyError::NotAReply),
        ("160 ok\r\n", ReplyError::NotAReply),
        ("HTTP/1.1 400 Bad Request\r\n", ReplyError::NotAReply),
        ("* OK IMAP4rev1\r\n", ReplyError::NotAReply),
        ("250-one\r\n550 another\r\n", ReplyError::CodesDiffer),
        ("354-one\r\n250 another\r\n", ReplyError::CodesDiffer),
        ("250 ok\n", ReplyError::ControlCharacter),
        ("250 o\rk\r\n", ReplyError::ControlCharacter),
        ("250 o\0k\r\n", ReplyError::ControlCharacter),
        ("250 \u{1b}[2Jok\r\n", ReplyError::ControlCharacter),
        ("250 \u{85}ok\r\n", ReplyError::ControlCharacter),
    ];
    let answers = cases.iter().map(|(words, _)| vec![Say(words.to_string()), Hang]).collect();
    everywhere(answers, None, |at, stage, error| match error {
        HandOverError::Reply { stage: told, source } => assert_eq!((told, source), (stage, cases[at].1)),
        other => panic!("{:?} at {stage:?}: {other:?}", cases[at].0),
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_ends_is_lost_at_every_step_whatever_was_said_before() {
    let mut answers = Vec::new();
    for words in ["", "25", "250 no end", "250-and so on\r\n", "250-and so on\r\n250"] {
        answers.extend([vec![Say(words.into()), HalfClose, Hang], vec![Say(words.into()), Abort]]);
    }
    everywhere(answers, None, |_, stage, error| match error {
        HandOverError::Lost { stage: told, .. } => assert_eq!(told, stage),
        // Reset before anything was said, it may never have been there.
        HandOverError::Connect { .. } if stage == Greeting => {}
        other => panic!("at {stage:?}: {other:?}"),
    })
    .await;
}

#[tokio::test]
async fn who_drips_a_reply_is_left_in_time_at_every_step() {
    let answers = vec![vec![Hang], vec![Trickle("2")], vec![Say("250-".into()), Trickle("x")]];
    everywhere(answers, Some(Duration::from_secs(2)), |_, stage, error| match error {
        HandOverError::Timeout { stage: told } => assert_eq!(told, stage),
        other => panic!("at {stage:?}: {other:?}"),
    })
    .await;
}

#[tokio::test]
async fn a_code_that_has_no_meaning_at_a_step_is_not_taken_for_another() {
    for (stage, codes) in [
        (StartTls, [250, 354]),
        (Auth, [250, 354]),
        (Mail, [334, 354]),
        (Recipient, [334, 354]),
        (Data, [250, 334]),
        (EndOfData, [334, 354]),
    ] {
        for code in codes {
            let error = met(Protocol::Smtp, stage, vec![say(format!("{code} ok")), Hang], None).await;
            let error = if let HandOverError::Unconfirmed { cause } = error { *cause } else { error };
            match error {
                HandOverError::Reply { stage: told, source } => {
                    assert_eq!((told, source), (stage, ReplyError::OutOfPlace(code)));
                }
                other => panic!("{code} at {stage:?}: {other:?}"),
            }
        }
    }
    for (stage, code) in [(Greeting, 250), (Greeting, 354), (Hello, 354)] {
        let error = met(Protocol::Smtp, stage, vec![say(format!("{code} ok")), Hang], None).await;
        assert!(matches!(&error, HandOverError::Refused { stage: told, .. } if *told == stage), "{error:?}");
    }
}

#[tokio::test]
async fn a_reply_that_comes_before_its_command_is_told_at_that_command() {
    for (stage, words, told) in [
        (Greeting, "220 mx\r\n250 mx", Hello),
        (Hello, "250 mx\r\n250 ok", Mail),
        (StartTls, "220 go\r\n250 mx", StartTls),
        (Auth, "235 welcome\r\n250 ok", Mail),
        (Mail, "250 ok\r\n250 ok", Recipient),
        (Recipient, "250 ok\r\n354 go", Data),
        (Data, "354 go\r\n250 kept", Content),
    ] {
        match met(Protocol::Smtp, stage, vec![say(words), Hang], None).await {
            HandOverError::Reply { stage, source } => {
                assert_eq!((stage, source), (told, ReplyError::Unasked), "{words:?}");
            }
            other => panic!("{words:?}: {other:?}"),
        }
    }
}

/// Hands over to alice and bob and, afterwards, once more.
async fn twice(protocol: Protocol, answer: &[Step]) -> [HandedOver; 2] {
    let envelope_taken = [Read("MAIL"), Read("RCPT"), Read("RCPT"), Read("DATA")];
    let replies = [say("250 ok\r\n250 ok\r\n250 ok\r\n354 go"), ReadMessage];
    let begin = [session(&["PIPELINING"]), envelope_taken.to_vec(), replies.to_vec()].concat();
    let second = vec![say("250 kept\r\n250 kept")];
    let server =
        Server::start(vec![[begin.as_slice(), answer, &[Hang]].concat(), [begin, second].concat()]).await;
    let pool = server.pool(protocol);
    let to = envelope(&["alice@corp.test", "bob@corp.test"]);
    let result = [pool.hand_over(&to, &MESSAGE).await.unwrap(), pool.hand_over(&to, &MESSAGE).await.unwrap()];
    assert_eq!(server.received().await.len(), 2, "a connection that lost its step is not used again");
    result
}

#[tokio::test]
async fn more_replies_than_recipients_are_nobodys() {
    let [first, second] = twice(Protocol::Lmtp, &[say("250 kept\r\n550 5.2.2 full\r\n250 and you")]).await;
    assert!(first.outcomes[0].is_delivered() && first.outcomes[1].is_permanent(), "{first:?}");
    assert!(second.outcomes.iter().all(|outcome| outcome.is_delivered()));
    let [first, _] = twice(Protocol::Smtp, &[say("452 4.3.1 later\r\n250 kept")]).await;
    assert!(first.outcomes.iter().all(|outcome| outcome.is_temporary()), "{first:?}");
}

#[tokio::test]
async fn fewer_replies_than_recipients_leave_the_others_in_doubt() {
    for end in [HalfClose, say("what?")] {
        let [first, second] = twice(Protocol::Lmtp, &[say("250 kept"), end]).await;
        assert!(first.outcomes[0].is_delivered() && first.outcomes[0].said_by == SaidBy::Server);
        assert!(first.outcomes[1].is_temporary() && first.outcomes[1].said_by == SaidBy::Silence);
        assert!(second.outcomes.iter().all(|outcome| outcome.is_delivered()));
    }
}

/// RFC 6531 §3.7.4.2 allows UTF-8 in replies; of old servers come other octets, and what counts is the code.
#[tokio::test]
async fn words_of_an_old_server_in_its_own_charset_are_still_a_reply() {
    let to_recipient = dialogue(Recipient, Recipient);
    let refusal = vec![SayOctets(b"550 5.1.1 Empf\xe4nger unbekannt\r\n")];
    let server = Server::start(vec![[to_recipient, refusal].concat()]).await;
    let handed =
        server.pool(Protocol::Smtp).hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap();
    let outcome = &handed.outcomes[0];
    assert!(outcome.is_permanent() && outcome.said_by == SaidBy::Server);
    assert_eq!(outcome.reply.to_string(), "550 5.1.1 Empf\u{fffd}nger unbekannt");
}

#[tokio::test]
async fn a_reset_that_is_answered_with_nonsense_costs_the_connection_and_not_the_mail() {
    let refused = vec![Read("MAIL"), say("250 ok"), Read("RCPT"), say("550 5.1.1 nobody"), Read("RSET")];
    let hostile = [session(&[]), refused, vec![say("what?"), Hang]].concat();
    let honest = [dialogue(EndOfData, EndOfData), vec![say("250 kept")]].concat();
    let server = Server::start(vec![hostile, honest]).await;
    let pool = server.pool(Protocol::Smtp);
    let to = envelope(&["bob@corp.test"]);
    assert!(pool.hand_over(&to, &MESSAGE).await.unwrap().outcomes[0].is_permanent());
    assert!(pool.hand_over(&to, &MESSAGE).await.unwrap().outcomes[0].is_delivered());
    assert_eq!(server.received().await.len(), 2);
}
