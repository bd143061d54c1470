//! What protects the way: DANE before MTA-STS before our own law, and nothing leaves under less.

use std::time::Duration;

use policies::Demand;
use smtp::client::Outcome;
use tests::peers::Zone;

use super::lab::{World, relay, relay_with, reply, to_here, verified};

const PATIENCE: Duration = Duration::from_secs(60);

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
