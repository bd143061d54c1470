//! When TLS is spoken, what is forgotten by it, and what happens where there is none.

use std::sync::Arc;

use bytes::Bytes;
use rcgen::{CertificateParams, date_time_ymd};
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use smtp::client::{
    HandOverError, HandedOver, Pool, Protocol, ReplyError, Stage, TlsFailureKind, TlsPolicy, Verification,
};

use crate::certificates::{Asked, Authority, NAME, Shown};
use crate::scripted::*;

const MESSAGE: [Bytes; 1] = [Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")];

/// Nobody would believe this certificate.
fn dubious() -> Shown {
    let mut params = CertificateParams::new(["elsewhere.test".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    Shown::self_signed(&params)
}

const ANY: TlsPolicy = TlsPolicy::Required(Verification::AnyCertificate);

fn pool(server: &Server, policy: TlsPolicy) -> Pool {
    server.pool_with(Protocol::Smtp, |target| target.tls = policy)
}

async fn hand_over(pool: &Pool) -> Result<HandedOver, HandOverError> {
    pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await
}

fn mail_over(tls: &Arc<ServerConfig>) -> Vec<Step> {
    [secured_session(tls, &["PIPELINING"]), accepted_mail()].concat()
}

fn mail_in_clear(keywords: &[&str]) -> Vec<Step> {
    [session(&[&["PIPELINING"], keywords].concat()), accepted_mail(), vec![Hang]].concat()
}

#[tokio::test]
async fn tls_is_used_where_it_is_offered_whatever_the_certificate_and_told_to_the_house() {
    let server = Server::start(vec![[mail_over(&dubious().tls()), vec![Hang]].concat()]).await;
    let pool = pool(&server, TlsPolicy::Opportunistic);
    let handed_over = hand_over(&pool).await.unwrap();
    drop(pool);
    assert!(handed_over.outcomes[0].is_delivered());
    assert_eq!(handed_over.tls_failure, None);
    let facts = handed_over.tls.unwrap();
    assert_eq!((facts.version.as_str(), facts.group.as_deref()), ("TLSv1.3", Some("X25519MLKEM768")));
    assert_eq!(
        server.received().await,
        ["EHLO gw.acme.test\r\nSTARTTLS\r\nEHLO gw.acme.test\r\n\
          MAIL FROM:<alice@acme.test>\r\nRCPT TO:<bob@corp.test>\r\nDATA\r\n\
          Subject: a\r\n\r\nb\r\n.\r\nQUIT\r\n"]
    );
}

#[tokio::test]
async fn a_server_that_only_knows_tls_1_2_is_good_enough() {
    let server = Server::start(vec![mail_over(&dubious().tls_of(&[&TLS12]))]).await;
    let handed_over = hand_over(&pool(&server, ANY)).await.unwrap();
    assert_eq!(handed_over.tls.unwrap().version, "TLSv1.2");
}

#[tokio::test]
async fn lmtp_is_secured_in_the_same_way() {
    let server = Server::start(vec![mail_over(&dubious().tls())]).await;
    let pool = server.pool_with(Protocol::Lmtp, |target| target.tls = ANY);
    assert!(hand_over(&pool).await.unwrap().tls.is_some());
    assert_eq!(server.received().await[0].matches("LHLO").count(), 2);
}

#[tokio::test]
async fn tls_from_the_start_secures_the_greeting_too() {
    let script = [vec![Secure(dubious().tls())], mail_in_clear(&[])].concat();
    let server = Server::start(vec![script]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| {
        (target.tls, target.implicit_tls) = (ANY, true);
    });
    assert!(hand_over(&pool).await.unwrap().tls.is_some());
    drop(pool);
    assert!(!server.received().await[0].contains("STARTTLS"));
}

#[tokio::test]
async fn a_target_without_tls_is_left_in_clear_even_where_tls_is_offered() {
    let server = Server::start(vec![mail_in_clear(&["STARTTLS"])]).await;
    let pool = pool(&server, TlsPolicy::Never);
    let handed_over = hand_over(&pool).await.unwrap();
    assert_eq!((handed_over.tls, handed_over.tls_failure), (None, None));
}

#[tokio::test]
async fn where_clear_text_will_do_a_server_without_tls_gets_the_mail_on_the_same_connection() {
    let refused = [
        session(&["STARTTLS", "PIPELINING"]),
        vec![Read("STARTTLS"), say("454 4.7.0 no certificate today")],
        accepted_mail(),
    ];
    for script in [mail_in_clear(&[]), refused.concat()] {
        let server = Server::start(vec![script]).await;
        let handed_over = hand_over(&pool(&server, TlsPolicy::Opportunistic)).await.unwrap();
        assert!(handed_over.outcomes[0].is_delivered() && handed_over.tls.is_none());
        assert_eq!(handed_over.tls_failure.unwrap().kind, TlsFailureKind::StartTlsNotSupported);
    }
}

#[tokio::test]
async fn where_clear_text_will_do_a_handshake_that_fails_is_followed_by_a_connection_in_clear() {
    for broken in [vec![say("250 what handshake?")], vec![], vec![Abort]] {
        let broken = [session_to_tls(), vec![ReadOctets(1)], broken].concat();
        let server = Server::start(vec![broken, mail_in_clear(&["STARTTLS"])]).await;
        let pool = pool(&server, TlsPolicy::Opportunistic);
        let handed_over = hand_over(&pool).await.unwrap();
        assert!(handed_over.outcomes[0].is_delivered() && handed_over.tls.is_none());
        assert_eq!(handed_over.tls_failure.unwrap().kind, TlsFailureKind::ValidationFailure);
    }
}

#[tokio::test]
async fn where_tls_is_required_nothing_is_handed_over_without() {
    let refuse = |reply: &str| vec![Read("STARTTLS"), say(reply), Hang];
    for (script, expected) in [
        ([session(&["PIPELINING"]), vec![Hang]].concat(), TlsFailureKind::StartTlsNotSupported),
        (
            [session(&["STARTTLS"]), refuse("454 4.7.0 not today")].concat(),
            TlsFailureKind::StartTlsNotSupported,
        ),
        ([session(&["STARTTLS"]), refuse("502 5.5.1 what?")].concat(), TlsFailureKind::StartTlsNotSupported),
        (
            [session_to_tls(), vec![ReadOctets(1), say("250 what?"), Hang]].concat(),
            TlsFailureKind::ValidationFailure,
        ),
        ([session_to_tls(), vec![ReadOctets(1), Abort]].concat(), TlsFailureKind::ValidationFailure),
    ] {
        let server = Server::start(vec![script]).await;
        let pool = pool(&server, ANY);
        match hand_over(&pool).await {
            Err(error @ HandOverError::Tls(_)) if error.is_permanent() => panic!("{error}"),
            Err(HandOverError::Tls(failure)) => assert_eq!(failure.kind, expected),
            other => panic!("{other:?}"),
        }
        drop(pool);
        let received = server.received().await;
        assert_eq!(received.len(), 1, "there is no second connection");
        assert!(!received[0].contains("MAIL"));
    }
}

#[tokio::test]
async fn a_port_that_speaks_tls_from_the_start_is_never_tried_in_clear() {
    let server = Server::start(vec![vec![ReadOctets(1), say("220 mx")]]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| {
        (target.tls, target.implicit_tls) = (TlsPolicy::Opportunistic, true);
    });
    let error = hand_over(&pool).await.unwrap_err();
    assert!(matches!(error, HandOverError::Tls(_)), "{error}");
    assert_eq!(server.received().await.len(), 1);
}

#[tokio::test]
async fn a_server_that_closes_instead_of_starting_tls_is_believed() {
    let script = [session(&["STARTTLS"]), vec![Read("STARTTLS"), say("421 4.3.2 closing")]].concat();
    let server = Server::start(vec![script]).await;
    let error = hand_over(&pool(&server, TlsPolicy::Opportunistic)).await.unwrap_err();
    assert!(matches!(error, HandOverError::Refused { stage: Stage::StartTls, .. }), "{error}");
}

#[tokio::test]
async fn words_behind_the_go_ahead_in_clear_are_an_attack_and_not_a_reply() {
    for policy in [TlsPolicy::Opportunistic, ANY] {
        let injected = "220 go\r\n250-mx.corp.test\r\n250 AUTH PLAIN";
        let script = [session(&["STARTTLS"]), vec![Read("STARTTLS"), say(injected), Hang]].concat();
        let server = Server::start(vec![script]).await;
        let error = hand_over(&pool(&server, policy)).await.unwrap_err();
        assert!(
            matches!(error, HandOverError::Reply { stage: Stage::StartTls, source: ReplyError::Unasked }),
            "{error}"
        );
        assert_eq!(server.received().await.len(), 1, "and no reason to go on in clear");
    }
}

#[tokio::test]
async fn what_was_offered_in_clear_does_not_count_under_tls() {
    let offered = session(&["STARTTLS", "PIPELINING", "SIZE 1", "8BITMIME", "SMTPUTF8"]);
    let script = vec![
        ReadAlone("MAIL FROM:<alice@acme.test>\r\n"),
        say("250 ok"),
        ReadAlone("RCPT"),
        say("250 ok"),
        ReadAlone("DATA"),
        say("354 go"),
        ReadMessage,
        say("250 kept"),
    ];
    let to_tls = vec![Read("STARTTLS"), say("220 go"), Secure(dubious().tls())];
    let server = Server::start(vec![[offered, to_tls, introduction(&[]), script].concat()]).await;
    assert!(hand_over(&pool(&server, ANY)).await.unwrap().outcomes[0].is_delivered());
    server.received().await;
}

#[tokio::test]
async fn a_secured_connection_is_used_again_and_replaced_when_the_server_has_closed_it() {
    let tls = dubious().tls();
    let twice = [mail_over(&tls), accepted_mail(), vec![HalfClose, Hang]].concat();
    let server = Server::start(vec![twice, mail_over(&tls)]).await;
    let pool = pool(&server, ANY);
    for _ in 0..3 {
        let handed_over = hand_over(&pool).await.unwrap();
        assert!(handed_over.outcomes[0].is_delivered() && handed_over.tls.is_some());
    }
    let received = server.received().await;
    assert_eq!(received[0].matches("MAIL FROM").count(), 2);
}

#[tokio::test]
async fn a_large_message_full_of_dots_arrives_octet_by_octet_under_tls() {
    let line = ".\r\n..\r\nordinary text of some length\r\n";
    let body = line.repeat(20_000);
    let wire = line.replace("\r\n.", "\r\n..").replacen('.', "..", 1).repeat(20_000);
    let server = Server::start(vec![mail_over(&dubious().tls())]).await;
    let segments: Vec<Bytes> = body.as_bytes().chunks(100_001).map(Bytes::copy_from_slice).collect();
    pool(&server, ANY).hand_over(&envelope(&["bob@corp.test"]), &segments).await.unwrap();
    let received = server.received().await.remove(0);
    let (_, data) = received.split_once("DATA\r\n").unwrap();
    assert!(data == wire + ".\r\n");
}

#[tokio::test]
async fn the_server_is_asked_for_by_the_first_name_of_the_verification() {
    let authority = Authority::new("Trusted");
    let asked = Asked::default();
    let tls = authority.server(NAME).tls_noting(&[&TLS13], asked.clone());
    let server = Server::start(vec![mail_over(&tls)]).await;
    let names = vec![NAME.to_owned(), "corp.test".to_owned()];
    let required = TlsPolicy::Required(Verification::Pkix { names, roots: authority.roots() });
    hand_over(&pool(&server, required)).await.unwrap();
    assert_eq!(asked.lock().unwrap().as_deref(), Some(NAME));
    let server = Server::start(vec![mail_over(&tls)]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| {
        (target.tls, target.name) = (ANY, Some("backup.corp.test".into()));
    });
    hand_over(&pool).await.unwrap();
    assert_eq!(asked.lock().unwrap().as_deref(), Some("backup.corp.test"));
}
