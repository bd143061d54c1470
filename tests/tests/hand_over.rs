//! The client of the mail edge against servers that nobody here wrote.

use std::sync::Arc;

use bytes::Bytes;
use rustls::RootCertStore;
use smtp::client::{
    Envelope, HandOverError, Outcome, Pool, Protocol, Stage, Target, TlsFailureKind, TlsPolicy, Verification,
};
use tests::peers::{Dovecot, SmtpSink};
use tests::site::PATIENCE;

fn pool(protocol: Protocol, port: u16) -> Pool {
    let target = Target::new(protocol, format!("127.0.0.1:{port}"), "gw.globex.test");
    Pool::new(Target { connections_max: 3, ..target })
}

fn envelope(forward_paths: &[&str]) -> Envelope {
    let forward_paths = forward_paths.iter().map(|path| (*path).to_owned()).collect();
    Envelope { reverse_path: "alice@acme.test".into(), forward_paths, ..Envelope::default() }
}

/// A trace header and a message, as the gateway hands them over.
fn segments(message: &str) -> [Bytes; 2] {
    [Bytes::from_static(b"Received: by gw.globex.test\r\n"), Bytes::copy_from_slice(message.as_bytes())]
}

#[tokio::test]
async fn dovecot_keeps_the_octets_that_lmtp_gave_it() {
    let dovecot = Dovecot::start();
    let pool = pool(Protocol::Lmtp, dovecot.lmtp_port());
    let message = "Subject: exact\r\n\r\n.\r\n..\r\n.dot\r\n\r\nspaces at the end   \r\nGrüße\r\n";
    let outcomes =
        pool.hand_over(&envelope(&["bob@globex.test", "carol@globex.test"]), &segments(message)).await;
    assert!(outcomes.unwrap().outcomes.iter().all(Outcome::is_delivered));
    for user in ["bob", "carol"] {
        let mail = dovecot.await_mail(user, 1, PATIENCE).remove(0);
        let expected = format!("Received: by gw.globex.test\r\n{message}");
        assert!(mail.ends_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&mail));
    }
}

#[tokio::test]
async fn many_messages_share_a_few_connections_to_dovecot() {
    let dovecot = Dovecot::start();
    let pool = Arc::new(pool(Protocol::Lmtp, dovecot.lmtp_port()));
    let greeted = dovecot.log().matches("Connect from").count();
    let attempts: Vec<_> = (0..30)
        .map(|n| {
            let pool = pool.clone();
            tokio::spawn(async move {
                pool.hand_over(&envelope(&["bob@globex.test"]), &segments(&format!("Subject: {n}\r\n\r\n")))
                    .await
            })
        })
        .collect();
    for attempt in attempts {
        assert!(attempt.await.unwrap().unwrap().outcomes[0].is_delivered());
    }
    assert_eq!(dovecot.mailbox("bob").len(), 30);
    assert!(dovecot.log().matches("Connect from").count() - greeted <= 3, "{}", dovecot.log());
}

/// A certificate for this name, signed by itself: its PEM, its key's PEM, and an authority that trusts it.
fn self_signed(name: &str) -> (String, String, Arc<RootCertStore>) {
    let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    (issued.cert.pem(), issued.signing_key.serialize_pem(), Arc::new(roots))
}

#[tokio::test]
async fn dovecot_proves_its_name_over_starttls_or_gets_nothing() {
    let (certificate, key, roots) = self_signed("imap.globex.test");
    let dovecot = Dovecot::start_secured(&certificate, &key);
    let attempt = |name: &str, roots: &Arc<RootCertStore>| {
        let required = Verification::Pkix { names: vec![name.to_owned()], roots: roots.clone() };
        let address = format!("127.0.0.1:{}", dovecot.lmtp_port());
        let target = Target::new(Protocol::Lmtp, address, "gw.globex.test");
        let pool = Pool::new(Target { tls: TlsPolicy::Required(required), ..target });
        async move { pool.hand_over(&envelope(&["bob@globex.test"]), &segments("Subject: secured\r\n\r\n")).await }
    };
    let handed_over = attempt("imap.globex.test", &roots).await.unwrap();
    assert!(handed_over.outcomes[0].is_delivered());
    assert_eq!(handed_over.tls.unwrap().version, "TLSv1.3");
    dovecot.await_mail("bob", 1, PATIENCE);

    let misnamed = attempt("imap.acme.test", &roots).await.unwrap_err();
    let untrusted = attempt("imap.globex.test", &self_signed("imap.globex.test").2).await.unwrap_err();
    for (error, expected) in [
        (misnamed, TlsFailureKind::CertificateHostMismatch),
        (untrusted, TlsFailureKind::CertificateNotTrusted),
    ] {
        let HandOverError::Tls(failure) = error else { panic!("{error}") };
        assert_eq!(failure.kind, expected, "{failure}");
    }
    assert_eq!(dovecot.mailbox("bob").len(), 1);
}

#[tokio::test]
async fn a_dovecot_that_went_away_is_a_temporary_error() {
    let dovecot = Dovecot::start();
    let pool = pool(Protocol::Lmtp, dovecot.lmtp_port());
    let (to, message) = (envelope(&["bob@globex.test"]), segments("Subject: a\r\n\r\n"));
    assert!(pool.hand_over(&to, &message).await.unwrap().outcomes[0].is_delivered());
    drop(dovecot);
    let error = pool.hand_over(&to, &message).await.unwrap_err();
    assert!(matches!(error, HandOverError::Connect { .. }) && !error.is_permanent(), "{error}");
}

#[tokio::test]
async fn smtp_sink_takes_mail_by_smtp_with_and_without_pipelining() {
    for options in [&["-d", "%s."][..], &["-d", "%s.", "-p"], &["-d", "%s.", "-e", "-8"]] {
        let sink = SmtpSink::start_with(options);
        let pool = pool(Protocol::Smtp, sink.port());
        for _ in 0..3 {
            let to = envelope(&["bob@globex.test", "carol@globex.test"]);
            let handed_over = pool.hand_over(&to, &segments("Subject: sunk\r\n\r\n.dot\r\n")).await.unwrap();
            let outcomes = handed_over.outcomes;
            assert!(outcomes.iter().all(Outcome::is_delivered), "{outcomes:?}");
        }
        let mails = sink.await_messages(3, PATIENCE);
        assert!(mails.iter().all(|mail| mail.windows(6).any(|window| window == b"\n.dot\n")), "{options:?}");
    }
}

#[tokio::test]
async fn smtp_sink_refuses_hangs_up_and_says_421_and_each_is_told_apart() {
    let attempt = |options: &'static [&'static str]| async move {
        let sink = SmtpSink::start_with(options);
        pool(Protocol::Smtp, sink.port())
            .hand_over(&envelope(&["bob@globex.test"]), &segments("a: b\r\n"))
            .await
    };
    assert!(attempt(&["-f", "RCPT"]).await.unwrap().outcomes[0].is_permanent());
    assert!(attempt(&["-r", "."]).await.unwrap().outcomes[0].is_temporary());
    let lost = attempt(&["-q", "RCPT"]).await.unwrap_err();
    assert!(matches!(lost, HandOverError::Lost { stage: Stage::Recipient, .. }), "{lost}");
    let doubtful = attempt(&["-q", "."]).await.unwrap_err();
    assert!(doubtful.may_be_delivered(), "{doubtful}");
    let closing = attempt(&["-Q", "MAIL"]).await.unwrap_err();
    assert!(matches!(closing, HandOverError::Refused { stage: Stage::Mail, .. }), "{closing}");
}
