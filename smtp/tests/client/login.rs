//! Logging in: by which mechanism, what is said, and what is never said where others can read it.

use bytes::Bytes;
use data::*;
use smtp::client::Verification::AnyCertificate;
use smtp::client::{HandOverError, HandedOver, Login, LoginError, Protocol, ReplyError, Stage, TlsPolicy};
use smtp::sasl::{Mechanism, Secret};

use crate::certificates::{Authority, NAME};
use crate::scripted::*;

const MESSAGE: [Bytes; 1] = [Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")];

/// What is said, in base64.
mod data {
    /// `\0alice\0tr0ub4dor`
    pub(super) const PLAIN: &str = "AUTH PLAIN AGFsaWNlAHRyMHViNGRvcg==\r\n";
    pub(super) const NAME_ASKED: &str = "334 VXNlcm5hbWU6";
    /// `alice`
    pub(super) const ALICE: &str = "YWxpY2U=\r\n";
    pub(super) const PASSWORD_ASKED: &str = "334 UGFzc3dvcmQ6";
    /// `tr0ub4dor`
    pub(super) const TR0UB4DOR: &str = "dHIwdWI0ZG9y\r\n";
    /// `user=alice\x01auth=Bearer t0ken\x01\x01`
    pub(super) const XOAUTH2: &str = "AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0MGtlbgEB\r\n";
    /// `n,a=alice,\x01auth=Bearer t0ken\x01\x01`
    pub(super) const OAUTHBEARER: &str = "AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0MGtlbgEB\r\n";
}

fn password() -> Login {
    Login::Password { user: "alice".into(), password: Secret::new("tr0ub4dor".into()) }
}

fn token() -> Login {
    Login::Token { user: Some("alice".into()), token: Secret::new("t0ken".into()) }
}

/// A server under TLS that offers these mechanisms and goes on like this.
async fn hand_over(
    login: Login,
    mechanisms: &str,
    script: Vec<Step>,
) -> (Result<HandedOver, HandOverError>, String) {
    let tls = Authority::new("Any").server(NAME).tls();
    let offered = secured_session(&tls, &["PIPELINING", mechanisms]);
    let server = Server::start(vec![[offered, script].concat()]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| {
        (target.tls, target.login) = (TlsPolicy::Required(AnyCertificate), Some(login));
    });
    let result = pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await;
    if let Err(error) = &result {
        assert!(!error.is_permanent(), "{error}");
    }
    drop(pool);
    (result, server.received().await.remove(0))
}

fn let_in() -> Vec<Step> {
    [vec![say("235 2.7.0 welcome")], accepted_mail(), vec![Hang]].concat()
}

#[tokio::test]
async fn the_best_mechanism_that_both_sides_know_is_used() {
    let login = vec![ReadAlone("AUTH LOGIN\r\n"), say(NAME_ASKED), ReadAlone(ALICE), say(PASSWORD_ASKED)];
    for (credentials, offered, script) in [
        (password(), "AUTH LOGIN PLAIN GSSAPI", vec![ReadAlone(PLAIN)]),
        (password(), "AUTH LOGIN XOAUTH2", [login, vec![ReadAlone(TR0UB4DOR)]].concat()),
        (token(), "AUTH PLAIN LOGIN XOAUTH2", vec![ReadAlone(XOAUTH2)]),
        (token(), "AUTH XOAUTH2 OAUTHBEARER", vec![ReadAlone(OAUTHBEARER)]),
    ] {
        let (result, _) = hand_over(credentials, offered, [script, let_in()].concat()).await;
        assert!(result.unwrap().outcomes[0].is_delivered(), "{offered}");
    }
}

#[tokio::test]
async fn nobody_logs_in_where_others_can_read_it() {
    // 127.0.0.1 is this machine; the same server under a name that is not would not be.
    let script = [session(&["PIPELINING", "AUTH PLAIN"]), vec![ReadAlone(PLAIN)], let_in()].concat();
    let server = Server::start(vec![script]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| target.login = Some(password()));
    assert!(pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap().tls.is_none());
    drop(pool);
    server.received().await;

    let Some(address) = outside_address() else { return };
    let server = Server::start_at(address, vec![[session(&["AUTH PLAIN"]), vec![Hang]].concat()]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| target.login = Some(password()));
    let error = pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap_err();
    assert!(matches!(error, HandOverError::Login(LoginError::InClear)), "{error}");
    assert!(!server.received().await[0].contains("AUTH"));
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_gets_no_mail() {
    let refuse = |line, reply: &str| vec![ReadAlone(line), say(reply), Hang];
    for (credentials, offered, script, expected) in [
        (password(), "AUTH PLAIN", refuse(PLAIN, "535 5.7.8 no"), "535 5.7.8 no"),
        (password(), "AUTH PLAIN", refuse(PLAIN, "454 4.7.0 later"), "454 4.7.0 later"),
        (password(), "AUTH LOGIN", refuse("AUTH LOGIN", "535 5.7.8 no"), "535 5.7.8 no"),
        (
            token(),
            "AUTH XOAUTH2",
            [vec![ReadAlone(XOAUTH2), say("334 e30=")], refuse("AQ==\r\n", "535 5.7.8 old token")].concat(),
            "535 5.7.8 old token",
        ),
    ] {
        let (result, received) = hand_over(credentials, offered, script).await;
        let Err(HandOverError::Login(LoginError::Refused(reply))) = result else { panic!("{result:?}") };
        assert_eq!(reply.to_string(), expected);
        assert!(!received.contains("MAIL"));
    }
}

#[tokio::test]
async fn credentials_that_no_offered_mechanism_takes_are_not_shown() {
    for (credentials, offered) in
        [(password(), "AUTH XOAUTH2 GSSAPI"), (token(), "AUTH PLAIN LOGIN"), (password(), "8BITMIME")]
    {
        let (result, received) = hand_over(credentials, offered, vec![Hang]).await;
        assert!(matches!(result, Err(HandOverError::Login(LoginError::NoMechanism))), "{result:?}");
        assert!(!received.contains("AUTH"));
    }
}

#[tokio::test]
async fn a_go_on_where_only_yes_or_no_has_a_meaning_is_out_of_place() {
    let (result, _) = hand_over(password(), "AUTH PLAIN", vec![ReadAlone(PLAIN), say("334 "), Hang]).await;
    let Err(HandOverError::Reply { stage: Stage::Auth, source: ReplyError::OutOfPlace(334) }) = result else {
        panic!("{result:?}")
    };
}

#[tokio::test]
async fn a_server_that_does_not_keep_to_scram_is_left() {
    let first = || vec![ReadAlone("AUTH SCRAM-SHA-256 biws")];
    for ending in [
        vec![say("235 2.7.0 come in without proof"), Hang],
        vec![say("334 !not base64"), Hang],
        // r=x,s=AAAA,i=4096: not our nonce
        vec![say("334 cj14LHM9QUFBQSxpPTQwOTY="), Hang],
    ] {
        let (result, received) =
            hand_over(password(), "AUTH PLAIN SCRAM-SHA-256", [first(), ending].concat()).await;
        let Err(HandOverError::Login(LoginError::OffScript(Mechanism::ScramSha256))) = result else {
            panic!("{result:?}")
        };
        assert!(!received.contains("AUTH PLAIN"), "no weaker mechanism is tried instead");
    }
}

#[tokio::test]
async fn scram_asks_the_server_for_its_proof() {
    let impostor = vec![ReadAlone("AUTH SCRAM-SHA-256 biws"), AnswerScram("wrong"), Hang];
    let (result, received) = hand_over(password(), "AUTH SCRAM-SHA-256", impostor).await;
    assert!(matches!(result, Err(HandOverError::Login(LoginError::Unproven))), "{result:?}");
    assert!(!received.contains("MAIL"));
    let honest = vec![ReadAlone("AUTH SCRAM-SHA-256 biws"), AnswerScram("tr0ub4dor"), ReadAlone("\r\n")];
    let (result, _) = hand_over(password(), "AUTH SCRAM-SHA-256", [honest, let_in()].concat()).await;
    assert!(result.unwrap().outcomes[0].is_delivered());
}

#[test]
fn a_target_can_be_shown_without_its_secrets() {
    for login in [password(), token()] {
        let shown = format!("{login:?}");
        assert!(
            shown.contains("alice") && !shown.contains("t0ken") && !shown.contains("tr0ub4dor"),
            "{shown}"
        );
    }
}
