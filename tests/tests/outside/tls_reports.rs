//! What a domain would be told of how TLS with it went.

use std::sync::Arc;

use dccp::mail::Mail;
use federation::Directory;
use gateway::custody::Vault;
use gateway::exchange::{Day, Exchange};
use gateway::flows::records::purpose;
use gateway::relay::tls_report::TlsReporting;
use policies::Demand;
use smtp::route::tls_report::{PolicyKind, Tally};
use tests::peers::{Zone, free_port};
use tests::web::status;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::lab::{Lab, World, now, relay, to_here};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_counted_under_the_policy_they_had_with_what_failed() {
    let world = World::new()
        .sts(1, "sts.test", "version: STSv1\nmode: enforce\nmx: mx.sts.test\nmax_age: 86400\n")
        .await
        .sts(2, "broken.test", "this is no policy")
        .await;
    let (tls, digest) = world.certificate(&["mx.dane.test"]);
    let policy = |zone: Zone, host: &str| {
        zone.record("_mta-sts", "TXT", "\"v=STSv1; id=1;\"").record("mta-sts", "A", host)
    };
    let dane = to_here(Zone::signed("dane.test"), "dane.test");
    let zones = [
        dane.record("_25._tcp.mx", "TLSA", &format!("3 0 1 {digest}")),
        policy(to_here(Zone::unsigned("sts.test"), "sts.test"), "127.0.0.1"),
        policy(to_here(Zone::unsigned("broken.test"), "broken.test"), "127.0.0.2"),
    ];
    let lab = world.start(&zones, &["dane.test", "sts.test", "broken.test"], &tls);
    let exchange = lab.exchange();
    let day = Day::of(now());
    for to in ["bob@dane.test", "bob@dane.test", "bob@sts.test", "bob@broken.test"] {
        relay(&exchange, &[to], Demand::Opportunistic).await.unwrap();
    }
    let counted = async |domain: &str| exchange.reports().of(domain, day).await.unwrap();
    let kinds = |counted: Vec<(Tally, u64)>| -> Vec<(PolicyKind, Option<String>, u64)> {
        let mut kinds: Vec<_> = counted
            .into_iter()
            .map(|(tally, count)| (tally.policy.kind, tally.failure.map(|failure| failure.result), count))
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(counted("dane.test").await), [(PolicyKind::Tlsa, None, 2)]);
    let mismatch = Some("certificate-host-mismatch".to_owned());
    assert_eq!(kinds(counted("sts.test").await), [(PolicyKind::Sts, mismatch, 1)]);
    let invalid = Some("sts-policy-invalid".to_owned());
    assert_eq!(
        kinds(counted("broken.test").await),
        [(PolicyKind::NoPolicyFound, None, 1), (PolicyKind::Sts, invalid, 1)]
    );
    let mut domains = exchange.reports().domains(day).await.unwrap();
    domains.sort();
    assert_eq!(domains, ["broken.test", "dane.test", "sts.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_asks_for_it_gets_a_report_by_mail_and_its_counts_are_forgotten() {
    let wants = |domain: &str, record: &str| {
        to_here(Zone::unsigned(domain), domain).record(
            "_smtp._tls",
            "TXT",
            &format!("\"v=TLSRPTv1;rua={record}\""),
        )
    };
    let world = World::new();
    let (tls, _) = world.certificate(&["mx.asks.test"]);
    let zones = [
        wants("asks.test", "mailto:tls@reports.test"),
        wants("web.test", "https://web.test/"),
        to_here(Zone::unsigned("silent.test"), "silent.test"),
    ];
    let lab = world.start(&zones, &["asks.test", "web.test", "silent.test"], &tls);
    let exchange = lab.exchange();
    for to in ["bob@asks.test", "bob@web.test", "bob@silent.test"] {
        relay(&exchange, &[to], Demand::Opportunistic).await.unwrap();
    }
    let vault = Arc::new(Vault::new([7; 32].into()));
    let reporting = reporting(&lab, &vault, &exchange);
    let today = Day::of(now());
    reporting.report(today).await.unwrap();
    assert_eq!(exchange.reports().domains(today).await.unwrap(), Vec::<String>::new());

    let mail = only_mail(&lab, &vault).await;
    assert_eq!(
        (mail.envelope.reverse_path.as_str(), &mail.envelope.forward_paths[..]),
        ("", &["tls@reports.test".to_owned()][..])
    );
    let text = String::from_utf8_lossy(mail.content.inline().unwrap());
    for word in ["Report Domain: asks.test", "report-type=\"tlsrpt\"", "total-successful-session-count\": 1"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_posted_and_a_server_that_cannot_take_it_now_is_asked_again() {
    let (port, world) = (free_port(), World::new());
    let record = format!("\"v=TLSRPTv1;rua=https://reports.test:{port}/tls?v=1,mailto:tls@asks.test\"");
    let zones = [
        to_here(Zone::unsigned("asks.test"), "asks.test").record("_smtp._tls", "TXT", &record),
        Zone::unsigned("reports.test").record("@", "A", "127.0.0.1"),
    ];
    let lab = world.start(&zones, &["asks.test"], "");
    let posted = collector(&lab, port).await;
    let exchange = lab.exchange();
    relay(&exchange, &["bob@asks.test"], Demand::Opportunistic).await.unwrap();
    let vault = Arc::new(Vault::new([7; 32].into()));
    let (reporting, today) = (reporting(&lab, &vault, &exchange), Day::of(now()));

    reporting.report(today).await.unwrap();
    assert_eq!(exchange.reports().domains(today).await.unwrap(), ["asks.test"], "kept for the next hour");
    assert!(lab.spool.due_outside(now(), 10, usize::MAX).await.unwrap().is_empty(), "nobody is told twice");
    reporting.report(today).await.unwrap();
    assert!(exchange.reports().domains(today).await.unwrap().is_empty());
    only_mail(&lab, &vault).await;

    let [first, second] = &posted.await.unwrap()[..] else { panic!("two requests") };
    let (head, body) = second.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /tls?v=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/tlsrpt+json"), "{head}");
    let report: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(report["organization-name"], "acme.test");
    assert_eq!(report["policies"][0]["policy"]["policy-domain"], "asks.test");
    assert!(first.ends_with(body), "the same report with the same name");
}

/// A web server that is busy at first and then takes what it is given; what it was told, once it has taken something.
async fn collector(lab: &Lab, port: u16) -> JoinHandle<Vec<String>> {
    let acceptor = TlsAcceptor::from(lab.world.authority.tls(&["reports.test"]));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    tokio::spawn(async move {
        let mut told = Vec::new();
        for answer in ["503 Service Unavailable", "201 Created"] {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut stream = acceptor.accept(stream).await.expect("TLS");
            told.push(request(&mut stream).await);
            stream.write_all(&status(answer)).await.expect("a client that listens");
            _ = stream.shutdown().await;
        }
        told
    })
}

/// One request with its body.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let (mut whole, mut piece) = (String::new(), [0; 4_096]);
    loop {
        let octets = stream.read(&mut piece).await.expect("a request");
        whole += str::from_utf8(&piece[..octets]).expect("a request in ASCII");
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if octets == 0 || length.is_none_or(|length| length.parse() == Ok(body.len())) {
            return whole;
        }
    }
}

fn reporting(lab: &Lab, vault: &Arc<Vault>, exchange: &Arc<Exchange>) -> TlsReporting {
    let organisation = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap();
    TlsReporting {
        directory: Directory::of_domains(organisation, &["acme.test".to_owned()]).into(),
        spool: lab.spool.clone(),
        vault: vault.clone(),
        exchange: exchange.clone(),
        organisation: "acme.test".to_owned(),
        contact: "postmaster@acme.test".parse().unwrap(),
        lifetime_ms: 3_600_000,
        clock: now,
    }
}

/// The one mail that waits to be relayed.
async fn only_mail(lab: &Lab, vault: &Vault) -> Mail {
    let due = lab.spool.due_outside(now(), 10, usize::MAX).await.unwrap();
    let [due] = &due[..] else { panic!("one report: {due:?}") };
    let clear = vault.open(purpose::MAIL, &due.body).unwrap();
    Mail::decode(clear.to_vec().into()).unwrap()
}
