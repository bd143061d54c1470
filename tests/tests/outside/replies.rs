//! What DNS and mail servers answer, and what becomes of each recipient.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway::exchange::{Letter, Settings, Smarthost};
use policies::Demand;
use smtp::client::{Envelope, Login};
use smtp::sasl::Secret;
use tests::peers::Zone;
use tests::site::PATIENCE;

use super::lab::{BODY, World, permit, relay, reply, to_here, verified};

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_takes_no_mail_or_does_not_exist_is_final_and_a_silent_dns_is_not() {
    let zones = [
        Zone::signed("null.test").record("@", "MX", "0 ."),
        Zone::signed("loop.test").record("@", "MX", "10 gw.acme.test."),
        Zone::signed("nohost.test").record("@", "MX", "10 mx"),
        Zone::signed("implicit.test").record("@", "A", "127.0.0.1"),
        Zone::signed("dead.test").record("@", "MX", "10 mx").record("mx", "A", "127.0.0.9"),
    ];
    let lab = World::new().start(&zones, &["implicit.test"], "");
    let exchange = lab.exchange();
    for (to, expected) in [
        ("bob@null.test", "556 5.1.10"),
        ("bob@nowhere.test", "550 5.1.2"),
        ("bob@loop.test", "554 5.4.6"),
        ("bob@nohost.test", "550 5.4.4"),
        ("bob@implicit.test", "250 "),
        ("bob@dead.test", "451 4.4.1"),
    ] {
        let relayed = relay(&exchange, &[to], Demand::Opportunistic).await.unwrap();
        assert!(reply(&relayed).starts_with(expected), "{to}: {relayed:?}");
    }
    // Nobody answers: not one of these domains has ceased to exist.
    let nobody = vec!["127.0.0.1:9".parse().unwrap()];
    let silent =
        finding::Settings { dns_servers: nobody, dns_deadline: Duration::from_secs(3), ..lab.network() };
    let exchange =
        gateway::exchange::Exchange::new(lab.settings(), &silent, &lab.spool, super::lab::now).unwrap();
    for to in ["bob@null.test", "bob@nowhere.test"] {
        let relayed = relay(&exchange, &[to], Demand::Opportunistic).await.unwrap();
        assert!(reply(&relayed).starts_with("451 4.4.3"), "{to}: {relayed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_an_answer_of_its_own() {
    let zones = [to_here(Zone::signed("two.test"), "two.test")];
    let more = "smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@two.test=550 5.1.1 no such user}}";
    let lab = World::new().start(&zones, &["two.test"], more);
    let relayed =
        relay(&lab.exchange(), &["bob@two.test", "nobody@two.test"], Demand::Opportunistic).await.unwrap();
    let [bob, nobody] = &relayed.outcomes[..] else { panic!("{relayed:?}") };
    assert!(bob.is_delivered() && nobody.is_permanent(), "{relayed:?}");
    assert!(nobody.reply.text.contains("no such user"));
    lab.dovecot.await_mail("bob", 1, PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisted_mail_goes_through_at_the_next_attempt_and_its_destination_does_not_rest() {
    let greylist = Greylist::start();
    let zones = [to_here(Zone::signed("grey.test"), "grey.test")];
    let more =
        format!("smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{}", greylist.port);
    let lab = World::new().start(&zones, &["grey.test"], &more);
    let exchange = lab.exchange();
    let first = relay(&exchange, &["bob@grey.test"], Demand::Opportunistic).await.unwrap();
    assert!(first.outcomes[0].is_temporary(), "{first:?}");
    assert!(reply(&first).contains("greylisted"), "{first:?}");
    let second = relay(&exchange, &["bob@grey.test"], Demand::Opportunistic).await.unwrap();
    assert!(second.outcomes[0].is_delivered(), "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_for_one_domain_moves_nothing_to_another() {
    let zones =
        [to_here(Zone::signed("one.test"), "one.test"), to_here(Zone::signed("other.test"), "other.test")];
    let lab = World::new().start(&zones, &["one.test", "other.test"], "");
    let exchange = lab.exchange();
    let envelope = Envelope {
        reverse_path: "alice@acme.test".into(),
        forward_paths: vec!["bob@one.test".into(), "bob@other.test".into()],
        ..Envelope::default()
    };
    let octets = [BODY.into()];
    let letter = Letter { envelope: &envelope, octets: &octets, next_hop: None };
    let relayed = exchange.relay(permit("one.test", Demand::Opportunistic), &letter).await.unwrap();
    assert!(relayed.outcomes.iter().all(|outcome| outcome.is_permanent()), "{relayed:?}");
    assert!(relayed.via.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_mail_uses_the_connection_of_the_first() {
    let zones = [to_here(Zone::signed("again.test"), "again.test")];
    let lab = World::new().start(&zones, &["again.test"], "");
    let exchange = lab.exchange_with(Settings { connections_max: 1, ..lab.settings() });
    for _ in 0..5 {
        let relayed = relay(&exchange, &["bob@again.test"], Demand::Opportunistic).await.unwrap();
        assert_eq!(verified(&relayed), "not at all, in the clear");
    }
    lab.dovecot.await_mail("bob", 5, PATIENCE);
    let sessions = lab.postfix.log().matches(": connect from").count();
    assert!(sessions <= 2, "{sessions} sessions (one is the fixture's own)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smarthost_takes_everything_from_those_who_log_in_and_only_under_its_own_name() {
    let world = World::new();
    let (tls, _) = world.certificate(&["localhost"]);
    let sasl = tests::peers::Dovecot::start();
    let more = format!(
        "{tls}smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:{}\n\
         mynetworks = 192.0.2.1\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject",
        sasl.sasl_port()
    );
    let lab = world.start(&[], &["anywhere.test"], &more);
    let through = |host: &str, password: &str| {
        let password = Secret::new(password.to_owned());
        let login = Some(Login::Password { user: "acme".to_owned(), password });
        let smarthost =
            Smarthost { host: host.to_owned(), port: lab.postfix.port(), implicit_tls: false, login };
        lab.exchange_with(Settings { smarthost: Some(smarthost), ..lab.settings() })
    };
    let to = ["bob@anywhere.test"];
    let relayed = relay(&through("localhost", "pw-acme"), &to, Demand::Opportunistic).await.unwrap();
    assert_eq!(verified(&relayed), "by a certificate for localhost");
    lab.dovecot.await_mail("bob", 1, PATIENCE);
    for (host, password) in [("localhost", "wrong"), ("127.0.0.1", "pw-acme")] {
        let relayed = relay(&through(host, password), &to, Demand::Opportunistic).await.unwrap();
        assert!(relayed.outcomes[0].is_temporary(), "{host} {password}: {relayed:?}");
    }
    assert_eq!(lab.dovecot.mailbox("bob").len(), 1);
}

/// A Postfix policy server that defers everything it sees for the first time (SMTPD_POLICY_README).
pub(crate) struct Greylist {
    pub(crate) port: u16,
}

impl Greylist {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = asked.clone();
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
                    while let Some(Ok(line)) = lines.next() {
                        if !line.is_empty() {
                            continue;
                        }
                        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
                        let action = if first { "450 4.2.0 greylisted, come back" } else { "DUNNO" };
                        if (&stream).write_all(format!("action={action}\n\n").as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { port }
    }
}
