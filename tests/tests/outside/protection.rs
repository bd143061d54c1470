//! What protects the way: DANE before MTA-STS before our own law, and nothing leaves under less.

use policies::Demand;
use smtp::client::Outcome;
use tests::peers::Zone;
use tests::site::PATIENCE;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::lab::{Lab, World, relay, relay_with, reply, to_here, verified};

fn policy(mode: &str, host: &str) -> String {
    format!("version: STSv1\nmode: {mode}\nmx: {host}\nmax_age: 86400\n")
}

fn with_policy(zone: Zone, host: u8) -> Zone {
    zone.record("_mta-sts", "TXT", "\"v=STSv1; id=1;\"").record("mta-sts", "A", &format!("127.0.0.{host}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn dane_decides_where_dnssec_secures_it_and_a_wrong_record_keeps_the_mail_back() {
    let world = World::new();
    let (tls, digest) = world.certificate(&["some.other.name"]);
    let wrong = "00".repeat(32);
    let tlsa = |zone: Zone, digest: &str| zone.record("_25._tcp.mx", "TLSA", &format!("3 0 1 {digest}"));
    let zones = [
        tlsa(to_here(Zone::signed("dane.test"), "dane.test"), &digest),
        tlsa(to_here(Zone::signed("wrong.test"), "wrong.test"), &wrong),
        tlsa(to_here(Zone::unsigned("unsigned.test"), "unsigned.test"), &wrong),
        tlsa(to_here(Zone::signed("forged.test"), "forged.test"), &digest).forged(&digest, &wrong),
        to_here(Zone::signed("plain.test"), "plain.test").record("_25._tcp.mx", "TLSA", "1 0 1 00"),
    ];
    let domains = ["dane.test", "wrong.test", "unsigned.test", "forged.test", "plain.test"];
    let lab = world.start(&zones, &domains, &tls);
    let exchange = lab.exchange();

    // The certificate is for another name and of an unknown authority; the record alone counts.
    for demand in [Demand::Opportunistic, Demand::Verified] {
        let relayed = relay(&exchange, &["bob@dane.test"], demand).await.unwrap();
        assert_eq!(verified(&relayed), "by DANE");
    }
    let facts =
        relay(&exchange, &["bob@dane.test"], Demand::Encrypted).await.unwrap().via.unwrap().tls.unwrap();
    assert_eq!(facts.version, "TLSv1.3");
    lab.dovecot.await_mail("bob", 3, PATIENCE);

    // A wrong record stops even a mail for which clear text would do, and says why.
    let relayed = relay(&exchange, &["bob@wrong.test"], Demand::Opportunistic).await.unwrap();
    assert!(relayed.outcomes.iter().all(Outcome::is_temporary), "{relayed:?}");
    assert!(reply(&relayed).contains("tlsa-invalid"), "{relayed:?}");
    let resting = relay(&exchange, &["bob@wrong.test"], Demand::Opportunistic).await.unwrap_err();
    assert!(resting.why.contains("tlsa-invalid"), "{resting}");
    let [worst, ..] = &exchange.destinations()[..] else { panic!() };
    assert_eq!((worst.domain.as_str(), worst.failures), ("wrong.test", 1));
    assert!(worst.last_error.as_deref().is_some_and(|why| why.contains("tlsa-invalid")));

    // What DNSSEC does not secure does not count, and what it says is forged is no answer.
    let relayed = relay(&exchange, &["bob@unsigned.test"], Demand::Opportunistic).await.unwrap();
    assert_eq!(verified(&relayed), "not at all");
    let relayed = relay(&exchange, &["bob@forged.test"], Demand::Opportunistic).await.unwrap();
    assert!(reply(&relayed).starts_with("451 4.4.3"), "{relayed:?}");
    // A record that nobody can use still forbids clear text, and here there is TLS.
    let relayed = relay(&exchange, &["bob@plain.test"], Demand::Opportunistic).await.unwrap();
    assert_eq!(verified(&relayed), "not at all");
    lab.dovecot.await_mail("bob", 5, PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforced_mta_sts_policy_wants_the_host_it_names_and_its_certificate() {
    let world = World::new()
        .sts(1, "sts.test", &policy("enforce", "mx.sts.test"))
        .await
        .sts(2, "impostor.test", &policy("enforce", "mx.impostor.test"))
        .await
        .sts(3, "elsewhere.test", &policy("enforce", "*.provider.test"))
        .await
        .sts(4, "testing.test", &policy("testing", "mx.testing.test"))
        .await;
    let (tls, _) = world.certificate(&["mx.sts.test", "mx.elsewhere.test"]);
    let zones: Vec<Zone> =
        [("sts.test", 1), ("impostor.test", 2), ("elsewhere.test", 3), ("testing.test", 4)]
            .map(|(domain, host)| with_policy(to_here(Zone::unsigned(domain), domain), host))
            .into();
    let lab = world.start(&zones, &["sts.test", "impostor.test", "elsewhere.test", "testing.test"], &tls);
    let exchange = lab.exchange();

    let relayed = relay(&exchange, &["bob@sts.test"], Demand::Opportunistic).await.unwrap();
    assert_eq!(verified(&relayed), "by a certificate for mx.sts.test, as its MTA-STS policy asks");
    let relayed = relay(&exchange, &["bob@impostor.test"], Demand::Opportunistic).await.unwrap();
    assert!(reply(&relayed).starts_with("451 4.7.5"), "{relayed:?}");
    assert!(reply(&relayed).contains("certificate-host-mismatch"), "{relayed:?}");
    let relayed = relay(&exchange, &["bob@elsewhere.test"], Demand::Opportunistic).await.unwrap();
    assert!(reply(&relayed).contains("does not name this host"), "{relayed:?}");
    // In testing the failure is told and the mail goes.
    let relayed = relay(&exchange, &["bob@testing.test"], Demand::Opportunistic).await.unwrap();
    assert_eq!(verified(&relayed), "not at all");
    assert!(relayed.trail.iter().any(|line| line.contains("certificate-host-mismatch")), "{relayed:?}");
    lab.dovecot.await_mail("bob", 2, PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_once_seen_holds_through_restarts_and_while_nobody_can_be_asked() {
    let world = World::new().sts(1, "sts.test", &policy("enforce", "mx.sts.test")).await;
    let (tls, _) = world.certificate(&["mx.other.test"]);
    let zone = || to_here(Zone::unsigned("sts.test"), "sts.test");
    let mut lab = world.start(&[with_policy(zone(), 1)], &["sts.test"], &tls);
    let refused = relay(&lab.exchange(), &["bob@sts.test"], Demand::Opportunistic).await.unwrap();
    assert!(reply(&refused).starts_with("451 4.7.5"), "{refused:?}");
    // Somebody makes the TXT record disappear, and the gateway starts anew.
    lab.dns = tests::peers::Dns::start(&[zone()]);
    let refused = relay(&lab.exchange(), &["bob@sts.test"], Demand::Opportunistic).await.unwrap();
    assert!(reply(&refused).starts_with("451 4.7.5"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_law_and_require_tls_ask_for_what_the_domain_does_not() {
    let world = World::new();
    let (tls, _) = world.certificate(&["mx.proper.test"]);
    let zones = [
        to_here(Zone::signed("proper.test"), "proper.test"),
        to_here(Zone::unsigned("unproven.test"), "unproven.test"),
    ];
    let lab = world.start(&zones, &["proper.test", "unproven.test"], &tls);
    let exchange = lab.exchange();

    let relayed = relay(&exchange, &["bob@proper.test"], Demand::Verified).await.unwrap();
    assert_eq!(verified(&relayed), "by a certificate for mx.proper.test");
    let relayed = relay(&exchange, &["bob@unproven.test"], Demand::Encrypted).await.unwrap();
    assert_eq!(verified(&relayed), "not at all");
    let relayed = relay_with(&exchange, &["bob@unproven.test"], Demand::Encrypted, true).await.unwrap();
    assert!(reply(&relayed).starts_with("550 5.7.10"), "{relayed:?}");
    let relayed = relay(&exchange, &["bob@unproven.test"], Demand::Verified).await.unwrap();
    assert!(reply(&relayed).contains("certificate-host-mismatch"), "{relayed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_gets_mail_only_where_clear_text_will_do() {
    let zones = [to_here(Zone::signed("clear.test"), "clear.test")];
    let lab = World::new().start(&zones, &["clear.test"], "");
    let exchange = lab.exchange();
    let relayed = relay(&exchange, &["bob@clear.test"], Demand::Opportunistic).await.unwrap();
    assert_eq!(verified(&relayed), "not at all, in the clear");
    let relayed = relay(&exchange, &["bob@clear.test"], Demand::Encrypted).await.unwrap();
    assert!(reply(&relayed).starts_with("451 4.7.4"), "{relayed:?}");
    lab.dovecot.await_mail("bob", 1, PATIENCE);
    assert_eq!(lab.postfix.queue_length(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_needs_require_tls_goes_to_the_first_host_that_offers_it() {
    let world = World::new();
    let (tls, _) = world.certificate(&["mx1.both.test"]);
    let both = |domain| Zone::signed(domain).record("@", "MX", "10 mx1.both.test.");
    let zones = [
        both("one.test"),
        both("two.test").record("@", "MX", "20 mx2.both.test."),
        both("three.test").record("@", "MX", "5 mx3.both.test."),
        Zone::signed("both.test").record("mx1", "A", "127.0.0.1").record("mx2", "A", "127.0.0.2").record(
            "mx3",
            "A",
            "127.0.0.3",
        ),
    ];
    let lab = world.start(&zones, &["one.test", "two.test", "three.test"], &tls);
    let able = tokio::spawn(able_host(&lab, "mx2.both.test").await);
    let exchange = lab.exchange();
    let ask = async |to| relay_with(&exchange, &[to], Demand::Verified, true).await.unwrap();

    let alone = ask("bob@one.test").await;
    assert!(reply(&alone).starts_with("550 5.7.30"), "{alone:?}");
    let relayed = ask("bob@two.test").await;
    assert_eq!(verified(&relayed), "by a certificate for mx2.both.test");
    assert!(relayed.trail.iter().any(|tried| tried.contains("does not offer REQUIRETLS")), "{relayed:?}");
    let heard = able.await.unwrap();
    let mail = heard.iter().find(|line| line.starts_with("MAIL FROM:")).expect("a mail");
    assert!(mail.ends_with(" REQUIRETLS"), "{mail}");
    // Nobody listens at mx3: it may be able to, so the mail waits for it.
    let waits = ask("bob@three.test").await;
    assert!(waits.outcomes[0].is_temporary(), "{waits:?}");
}

/// A host that offers REQUIRETLS under TLS, which no Postfix of Debian does; it serves one session, and tells what it heard.
async fn able_host(lab: &Lab, name: &str) -> impl Future<Output = Vec<String>> + use<> {
    let listener = TcpListener::bind(("127.0.0.2", lab.postfix.port())).await.expect("a free port");
    let acceptor = TlsAcceptor::from(lab.world.authority.tls(&[name]));
    async move {
        let mut heard = Vec::new();
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = BufStream::new(stream);
        say(&mut stream, "220 mx2").await;
        converse(&mut stream, "STARTTLS", &mut heard).await;
        let stream = acceptor.accept(stream.into_inner()).await.expect("TLS");
        converse(&mut BufStream::new(stream), "REQUIRETLS", &mut heard).await;
        heard
    }
}

/// Says yes to everything, up to STARTTLS or to the end of one mail.
async fn converse(
    stream: &mut BufStream<impl AsyncRead + AsyncWrite + Unpin>,
    offered: &str,
    heard: &mut Vec<String>,
) {
    let (mut line, mut in_mail) = (String::new(), false);
    while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
        heard.push(std::mem::take(&mut line).trim_end().to_owned());
        match heard.last().map_or("", String::as_str) {
            "." => return say(stream, "250 2.0.0 kept").await,
            _ if in_mail => {}
            "STARTTLS" => return say(stream, "220 go on").await,
            "DATA" => {
                in_mail = true;
                say(stream, "354 go on").await;
            }
            hello if hello.starts_with("EHLO") => say(stream, &format!("250-mx2\r\n250 {offered}")).await,
            _ => say(stream, "250 2.0.0 yes").await,
        }
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) {
    stream.write_all(format!("{line}\r\n").as_bytes()).await.expect("a client that listens");
    stream.flush().await.expect("a client that listens");
}
