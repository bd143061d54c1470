//! What a certificate has to prove, against servers that show hostile ones.

use bytes::Bytes;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use smtp::client::{HandOverError, Protocol, TlsFailureKind as Kind, TlsPolicy, Verification};
use smtp::route::Tlsa;

use crate::certificates::{Authority, NAME, Shown};
use crate::scripted::*;

const MESSAGE: [Bytes; 1] = [Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")];

/// A server that shows this gets a mail.
async fn accept(shown: &Shown, verification: Verification) {
    let server =
        Server::start(vec![[secured_session(&shown.tls(), &["PIPELINING"]), accepted_mail()].concat()]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| target.tls = TlsPolicy::Required(verification));
    let handed_over = pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap();
    assert!(handed_over.tls.is_some() && handed_over.outcomes[0].is_delivered());
    server.received().await;
}

/// A server that shows this hears nothing after the handshake, and the reports will say this.
async fn refuse(shown: &Shown, verification: Verification) -> Kind {
    let server = Server::start(vec![[session_to_tls(), vec![FailToSecure(shown.tls())]].concat()]).await;
    let pool = server.pool_with(Protocol::Smtp, |target| target.tls = TlsPolicy::Required(verification));
    let error = pool.hand_over(&envelope(&["bob@corp.test"]), &MESSAGE).await.unwrap_err();
    server.received().await;
    let HandOverError::Tls(failure) = error else { panic!("{error}") };
    assert!(!failure.reason.is_empty());
    failure.kind
}

fn pkix(authority: &Authority, names: &[&str]) -> Verification {
    Verification::Pkix {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        roots: authority.roots(),
    }
}

fn dane(tlsa: Vec<Tlsa>, names: &[&str]) -> Verification {
    Verification::Dane { tlsa, names: names.iter().map(|name| (*name).to_owned()).collect() }
}

fn expired() -> CertificateParams {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    params
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_one_of_the_names_will_do() {
    let authority = Authority::new("Trusted");
    accept(&authority.server(NAME), pkix(&authority, &[NAME])).await;
    accept(&authority.server(NAME), pkix(&authority, &["corp.test", NAME])).await;
    accept(&authority.server("*.corp.test"), pkix(&authority, &[NAME])).await;
}

#[tokio::test]
async fn every_other_certificate_is_refused_with_its_fault() {
    let (authority, other) = (Authority::new("Trusted"), Authority::new("Other"));
    let mut not_yet = CertificateParams::new([NAME.to_owned()]).unwrap();
    not_yet.not_before = date_time_ymd(4000, 1, 1);
    let mut for_clients = CertificateParams::new([NAME.to_owned()]).unwrap();
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    for (shown, names, expected) in [
        (authority.issue(&expired()), &[NAME][..], Kind::CertificateExpired),
        (authority.issue(&not_yet), &[NAME], Kind::CertificateExpired),
        (authority.server("mx.globex.test"), &[NAME], Kind::CertificateHostMismatch),
        (authority.server(NAME), &["mx.globex.test", "corp.test"], Kind::CertificateHostMismatch),
        (authority.server(NAME), &[], Kind::CertificateHostMismatch),
        (authority.server(NAME), &["no name"], Kind::CertificateHostMismatch),
        (authority.issue(&for_clients), &[NAME], Kind::CertificateNotTrusted),
        (other.server(NAME), &[NAME], Kind::CertificateNotTrusted),
        (
            Shown::self_signed(&CertificateParams::new([NAME.to_owned()]).unwrap()),
            &[NAME],
            Kind::CertificateNotTrusted,
        ),
        (authority.server(NAME).stolen_by_one_without_its_key(), &[NAME], Kind::CertificateNotTrusted),
    ] {
        assert_eq!(refuse(&shown, pkix(&authority, names)).await, expected, "{names:?}");
    }
}

#[tokio::test]
async fn any_certificate_will_do_where_none_is_asked_for_but_its_key_must_be_there() {
    let shown = Shown::self_signed(&expired());
    accept(&shown, Verification::AnyCertificate).await;
    let without_key = shown.stolen_by_one_without_its_key();
    assert_eq!(refuse(&without_key, Verification::AnyCertificate).await, Kind::CertificateNotTrusted);
}

#[tokio::test]
async fn a_record_about_the_servers_own_key_counts_more_than_all_that_the_certificate_says() {
    let shown = Shown::self_signed(&expired());
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let tlsa = vec![shown.tlsa(selector, matching)];
        accept(&shown, dane(tlsa, &["another.name.test"])).await;
    }
    let stolen = shown.clone().stolen_by_one_without_its_key();
    assert_eq!(refuse(&stolen, dane(vec![shown.tlsa(1, 1)], &[NAME])).await, Kind::CertificateNotTrusted);
}

#[tokio::test]
async fn a_record_about_an_authority_asks_for_a_chain_a_name_and_a_date() {
    let authority = Authority::new("Unknown to all but the DNS");
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let tlsa = vec![authority.tlsa(selector, matching)];
        accept(&authority.server(NAME), dane(tlsa, &[NAME])).await;
    }
    let tlsa = || vec![authority.tlsa(1, 1)];
    assert_eq!(
        refuse(&authority.server(NAME), dane(tlsa(), &["mx.globex.test"])).await,
        Kind::CertificateHostMismatch
    );
    assert_eq!(refuse(&authority.issue(&expired()), dane(tlsa(), &[NAME])).await, Kind::CertificateExpired);
    // The authority stands in the chain, but has not signed.
    let mut pretending = Authority::new("Other").server(NAME);
    pretending.chain[1] = authority.certificate.der().clone();
    assert_eq!(refuse(&pretending, dane(tlsa(), &[NAME])).await, Kind::CertificateNotTrusted);
}

#[tokio::test]
async fn an_authority_that_is_not_shown_is_only_known_from_a_whole_record() {
    let authority = Authority::new("Unknown to all but the DNS");
    let mut shown = authority.server(NAME);
    shown.chain.truncate(1);
    accept(&shown, dane(vec![authority.tlsa(0, 0)], &[NAME])).await;
    assert_eq!(refuse(&shown, dane(vec![authority.tlsa(0, 1)], &[NAME])).await, Kind::TlsaInvalid);
}

#[tokio::test]
async fn records_that_do_not_fit_and_records_that_nobody_can_use_are_told_apart() {
    let shown = Authority::new("Unknown").server(NAME);
    let other = Shown::self_signed(&expired());
    assert_eq!(
        refuse(&shown, dane(vec![other.tlsa(1, 1), other.tlsa(0, 0)], &[NAME])).await,
        Kind::TlsaInvalid
    );
    let for_the_web = vec![Tlsa { usage: 1, ..shown.tlsa(1, 1) }, Tlsa { usage: 0, ..shown.tlsa(0, 1) }];
    assert_eq!(refuse(&shown, dane(for_the_web, &[NAME])).await, Kind::TlsaUnusable);
    assert_eq!(refuse(&shown, dane(vec![], &[NAME])).await, Kind::TlsaUnusable);
    let one_fits = vec![other.tlsa(1, 1), Tlsa { usage: 0, ..shown.tlsa(1, 1) }, shown.tlsa(1, 1)];
    accept(&shown, dane(one_fits, &[NAME])).await;
    let weaker_fits = vec![shown.tlsa(1, 1), other.tlsa(1, 2)];
    assert_eq!(refuse(&shown, dane(weaker_fits, &[NAME])).await, Kind::TlsaInvalid);
}
