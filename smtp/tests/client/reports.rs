//! Wishes about reports and protection that are passed on, or not.

use bytes::Bytes;
use rcgen::CertificateParams;
use smtp::client::{Envelope, Outcome, Protocol, SaidBy, TlsPolicy, Verification, Wish};
use smtp::dsn::{Notify, OriginalRecipient, Ret};

use crate::certificates::{Authority, NAME, Shown};
use crate::scripted::*;

const ALICE: &str = "alice@acme.test";
const MESSAGE: [Bytes; 1] = [Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")];

/// With all wishes; the second recipient has none.
fn wishful() -> Envelope {
    let notify = Notify::On { success: true, failure: true, delay: false };
    let orcpt = Some(OriginalRecipient { kind: "rfc822".into(), address: "bob+list@corp.test".into() });
    Envelope {
        ret: Some(Ret::Full),
        envid: Some("id=7".into()),
        wishes: vec![Wish { notify, orcpt }, Wish::default()],
        ..envelope(&["bob@corp.test", "carol@corp.test"])
    }
}

/// A server with these keywords that takes the first recipient and refuses the second.
async fn hand_over(keywords: &[&str]) -> (Vec<Outcome>, String) {
    let script = vec![
        Read("MAIL"),
        Read("RCPT"),
        Read("RCPT"),
        Read("DATA"),
        say("250 ok\r\n250 ok\r\n550 5.1.1 no carol\r\n354 go"),
        ReadMessage,
        say("250 kept"),
    ];
    let script = [session(&[&["PIPELINING"], keywords].concat()), script].concat();
    let server = Server::start(vec![script]).await;
    let handed_over = server.pool(Protocol::Smtp).hand_over(&wishful(), &MESSAGE).await.unwrap();
    (handed_over.outcomes, server.received().await.remove(0))
}

#[tokio::test]
async fn a_server_that_sends_reports_hears_which_are_wanted_and_takes_the_duty_over() {
    let (outcomes, received) = hand_over(&["DSN"]).await;
    let commands: Vec<&str> = received.lines().skip(1).take(3).collect();
    assert_eq!(
        commands,
        [
            "MAIL FROM:<alice@acme.test> RET=FULL ENVID=id+3D7",
            "RCPT TO:<bob@corp.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Blist@corp.test",
            "RCPT TO:<carol@corp.test>",
        ]
    );
    assert!(outcomes[0].is_delivered() && outcomes[0].dsn_passed_on);
    assert!(outcomes[1].is_permanent() && !outcomes[1].dsn_passed_on, "who refuses reports nothing");
}

#[tokio::test]
async fn a_server_that_knows_no_reports_hears_nothing_of_them_and_leaves_the_duty_to_us() {
    let (outcomes, received) = hand_over(&[]).await;
    assert!(received.contains("MAIL FROM:<alice@acme.test>\r\nRCPT TO:<bob@corp.test>\r\n"), "{received}");
    assert!(outcomes[0].is_delivered() && !outcomes[0].dsn_passed_on);
}

/// A message of `sender` that requires TLS, for a server that shows this and offers that under TLS.
async fn hand_over_protected(
    sender: &str,
    shown: &Shown,
    policy: TlsPolicy,
    keywords: &[&str],
    ending: Vec<Step>,
) -> (Outcome, String) {
    let server = Server::start(vec![[secured_session(&shown.tls(), keywords), ending].concat()]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| target.tls = policy);
    let envelope =
        Envelope { reverse_path: sender.into(), require_tls: true, ..envelope(&["bob@corp.test"]) };
    let outcome = pool.hand_over(&envelope, &MESSAGE).await.unwrap().outcomes.remove(0);
    drop(pool);
    (outcome, server.received().await.remove(0))
}

#[tokio::test]
async fn a_message_that_requires_tls_goes_only_to_a_verified_server_that_promises_the_same() {
    let authority = Authority::new("Trusted");
    let shown = authority.server(NAME);
    let verified =
        TlsPolicy::Required(Verification::Pkix { names: vec![NAME.into()], roots: authority.roots() });
    let both = ["PIPELINING", "REQUIRETLS"];

    let (outcome, received) =
        hand_over_protected(ALICE, &shown, verified.clone(), &both, accepted_mail()).await;
    assert!(outcome.is_delivered());
    assert!(received.contains("MAIL FROM:<alice@acme.test> REQUIRETLS\r\n"), "{received}");

    let any = TlsPolicy::Required(Verification::AnyCertificate);
    let anybody = Shown::self_signed(&CertificateParams::new([NAME.to_owned()]).unwrap());
    for (shown, policy, keywords, status) in [
        (&shown, verified, &["PIPELINING"][..], "5.7.30"),
        (&anybody, any, &both[..], "5.7.10"),
        (&anybody, TlsPolicy::Opportunistic, &both[..], "5.7.10"),
    ] {
        let (outcome, received) = hand_over_protected(ALICE, shown, policy, keywords, vec![Hang]).await;
        assert_eq!(outcome.reply.status().to_string(), status);
        assert!(outcome.is_permanent() && outcome.said_by == SaidBy::Client);
        assert!(!received.contains("MAIL"), "{received}");
    }
}

#[tokio::test]
async fn a_report_asks_for_tls_on_its_way_where_that_is_offered_and_is_not_lost_where_it_is_not() {
    let authority = Authority::new("Trusted");
    let shown = authority.server(NAME);
    let verified =
        TlsPolicy::Required(Verification::Pkix { names: vec![NAME.into()], roots: authority.roots() });
    for (policy, keywords, line) in [
        (verified.clone(), &["PIPELINING", "REQUIRETLS"][..], "MAIL FROM:<> REQUIRETLS\r\n"),
        (verified, &["PIPELINING"], "MAIL FROM:<>\r\n"),
        (TlsPolicy::Opportunistic, &["PIPELINING", "REQUIRETLS"], "MAIL FROM:<>\r\n"),
    ] {
        let (outcome, received) = hand_over_protected("", &shown, policy, keywords, accepted_mail()).await;
        assert!(outcome.is_delivered() && received.contains(line), "{received}");
    }
}

#[tokio::test]
async fn a_promise_of_protection_in_clear_is_worth_nothing() {
    let server = Server::start(vec![[session(&["REQUIRETLS"]), vec![Hang]].concat()]).await;
    let pool = server.pool(Protocol::Smtp);
    let envelope = Envelope { require_tls: true, ..envelope(&["bob@corp.test"]) };
    let outcome = pool.hand_over(&envelope, &MESSAGE).await.unwrap().outcomes.remove(0);
    assert_eq!(outcome.reply.status().to_string(), "5.7.10");
}
