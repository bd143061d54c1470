//! What a mail domain says of its servers: records with what DNSSEC says of them, and the MTA-STS policy.

use ::finding::{DnsMx, Dnssec, FetchError, MailFinder, NameError, Settings, in_a_labels};
use tests::peers::Zone;

use super::web;
use crate::{Lab, at_home};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn zone(zone: Zone) -> Zone {
    zone.record("@", "MX", "10 mx")
        .record("@", "MX", "20 Backup.Provider.test.")
        .record("mx", "A", "127.0.0.2")
        .record("mx", "AAAA", "::1")
        .record("also", "CNAME", "mx")
        .record("_25._tcp.mx", "TLSA", &format!("3 1 1 {DIGEST}"))
        .record("_mta-sts", "TXT", "\"v=STSv1; \" \"id=1;\"")
}

fn finder(lab: &Lab) -> MailFinder {
    MailFinder::new(&lab.settings()).expect("a finder")
}

#[tokio::test]
async fn records_come_with_what_dnssec_says_of_them_also_from_memory() {
    let plain = zone(Zone::unsigned("plain.test"));
    let lab = Lab::new().names(&[zone(Zone::signed("globex.test")), plain]);
    let finder = finder(&lab);
    for _ in 0..2 {
        for (domain, dnssec) in [("globex.test", Dnssec::Secure), ("plain.test", Dnssec::Insecure)] {
            let mx = finder.mx(domain).await.unwrap();
            let mut records = mx.records;
            records.sort_by_key(|record| record.preference);
            let host = |preference, host: &str| DnsMx { preference, host: host.into() };
            assert_eq!(records, [host(10, &format!("mx.{domain}")), host(20, "backup.provider.test")]);
            assert_eq!((mx.dnssec, mx.alias), (dnssec, None), "{domain}");

            let addresses = finder.addresses(&format!("mx.{domain}")).await.unwrap();
            assert_eq!(
                addresses.records,
                ["127.0.0.2".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]
            );
            assert_eq!((addresses.dnssec, addresses.alias), (dnssec, None), "{domain}");
            let alias = finder.addresses(&format!("also.{domain}")).await.unwrap();
            assert_eq!((alias.dnssec, alias.alias), (dnssec, Some(format!("mx.{domain}"))), "{domain}");

            let tlsa = finder.tlsa(&format!("_25._tcp.mx.{domain}")).await.unwrap();
            let [record] = &tlsa.records[..] else { panic!("{tlsa:?}") };
            assert_eq!((record.usage, record.selector, record.matching, record.data.len()), (3, 1, 1, 32));
            assert_eq!(tlsa.dnssec, dnssec);
            let text = finder.txt(&format!("_mta-sts.{domain}")).await.unwrap();
            assert_eq!(text.records, [b"v=STSv1; id=1;".to_vec()]);
        }
    }
}

#[tokio::test]
async fn what_does_not_exist_is_an_empty_answer_and_what_is_forged_is_none_at_all() {
    let forged = zone(Zone::signed("forged.test")).forged("127.0.0.2", "127.0.0.9");
    let lab = Lab::new().names(&[zone(Zone::signed("globex.test")), forged]);
    let finder = finder(&lab);
    for _ in 0..2 {
        assert!(finder.mx("mx.globex.test").await.unwrap().records.is_empty());
        assert!(finder.mx("nowhere.globex.test").await.unwrap().records.is_empty());
        assert!(finder.tlsa("_25._tcp.globex.test").await.unwrap().records.is_empty());
        assert!(finder.addresses("nowhere.globex.test").await.unwrap().records.is_empty());
    }
    // The AAAA record beside it is genuine; but who forges one address may not choose the other for us either.
    let addresses = finder.addresses("mx.forged.test").await;
    assert!(addresses.is_err() || !addresses.unwrap().records.contains(&"127.0.0.9".parse().unwrap()));
}

#[tokio::test]
async fn addresses_inside_our_own_networks_are_left_out() {
    let lab = Lab::new().names(&[zone(Zone::signed("globex.test"))]);
    let settings = Settings { allow_private_addresses: false, ..lab.settings() };
    let finder = MailFinder::new(&settings).expect("a finder");
    assert!(finder.addresses("mx.globex.test").await.unwrap().records.is_empty());
    assert!(!finder.may_connect("169.254.169.254".parse().unwrap()));
}

#[tokio::test]
async fn a_silent_dns_is_no_answer() {
    let lab = Lab::new().names(&[]);
    let settings = Settings {
        dns_servers: vec!["127.0.0.1:9".parse().unwrap()],
        dns_deadline: std::time::Duration::from_secs(2),
        ..lab.settings()
    };
    let finder = MailFinder::new(&settings).expect("a finder");
    assert!(matches!(finder.mx("globex.test").await, Err(NameError::Unanswered(_))));
    assert!(matches!(finder.addresses("mx.globex.test").await, Err(NameError::Unanswered(_))));
}

#[tokio::test]
async fn the_policy_of_a_domain_is_plain_text_from_its_policy_host_and_nothing_else() {
    const POLICY: &str = "version: STSv1\nmode: none\nmax_age: 86400\n";
    let page = |media_type: &str| {
        let head = format!("Content-Type: {media_type}\r\nContent-Length: {}", POLICY.len());
        format!("HTTP/1.1 200 OK\r\n{head}\r\nConnection: close\r\n\r\n{POLICY}").into_bytes()
    };
    let at = |domain: &str, host: &str| Zone::signed(domain).record("mta-sts", "A", host);
    let (text, picture) = (page("text/plain; charset=utf-8"), page("image/png"));
    let moved = b"HTTP/1.1 302 Found\r\nLocation: https://mta-sts.text.test/\r\n\r\n".to_vec();
    let lab = Lab::new()
        .names(&[
            at("text.test", "127.0.0.1"),
            at("picture.test", "127.0.0.2"),
            at("moved.test", "127.0.0.3"),
            at("other.test", "127.0.0.4"),
            at_home(Zone::signed("none.test")),
        ])
        .serves(1, &["mta-sts.text.test"], move |_| text.clone())
        .await
        .serves(2, &["mta-sts.picture.test"], move |_| picture.clone())
        .await
        .serves(3, &["mta-sts.moved.test"], move |_| moved.clone())
        .await
        .serves(4, &["other.test"], |_| web::ok(b""))
        .await;
    let finder = finder(&lab);
    let fetch = async |domain: &str| finder.sts_policy(domain, "/.well-known/mta-sts.txt", 1_000).await;
    assert_eq!(fetch("text.test").await.unwrap(), POLICY.as_bytes());
    assert_eq!(fetch("picture.test").await, Err(FetchError::MediaType));
    assert_eq!(fetch("moved.test").await, Err(FetchError::Redirect));
    assert!(matches!(fetch("other.test").await, Err(FetchError::Certificate(_))));
    assert_eq!(fetch("none.test").await, Err(FetchError::Name(NameError::NoAddress)));
}

#[test]
fn a_domain_is_asked_for_in_a_labels() {
    assert_eq!(in_a_labels("Bücher.example").as_deref(), Some("xn--bcher-kva.example"));
    assert_eq!(in_a_labels("globex.test").as_deref(), Some("globex.test"));
    assert_eq!(in_a_labels("a..b"), None);
}
