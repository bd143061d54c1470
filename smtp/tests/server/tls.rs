//! STARTTLS (RFC 3207), implicit TLS (RFC 8314) and client certificates.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use smtp::server::{Closed, Config, Event};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::house::{Server, config};

#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

pub(crate) fn tls() -> Tls {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issued = rcgen::generate_simple_self_signed(vec!["gw.acme.example".into()]).unwrap();
    let certificate: CertificateDer<'static> = issued.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.clone()], key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Tls { server: Arc::new(server), client: Arc::new(client) }
}

async fn start(tls: &Tls) -> Server {
    Server::start(Config { tls: Some(Arc::clone(&tls.server)), ..config() }).await
}

pub(crate) async fn shake_hands(tls: &Tls, client: Client) -> Client<TlsStream<TcpStream>> {
    let name = ServerName::try_from("gw.acme.example").unwrap();
    let connector = TlsConnector::from(Arc::clone(&tls.client));
    Client::new(connector.connect(name, client.stream).await.unwrap())
}

#[tokio::test]
async fn a_mail_over_starttls_arrives_with_the_facts_of_its_protection() {
    let tls = tls();
    let mut server = start(&tls).await;
    let mut plain = Client::connect(server.address).await;
    assert!(plain.ask("EHLO mx.acme.example\r\n", 250).await.contains("STARTTLS\r\n"));
    plain.ask("STARTTLS\r\n", 220).await;
    let mut client = shake_hands(&tls, plain).await;
    client.ask("MAIL FROM:<>\r\n", 503).await; // everything before is forgotten
    assert!(!client.ask("EHLO mx.acme.example\r\n", 250).await.contains("STARTTLS"));
    client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\n").await;
    for code in [250, 250, 354] {
        client.expect(code).await;
    }
    let body = "x".repeat(76) + "\r\n";
    client.say(body.repeat(5_000)).await;
    client.ask(".\r\nQUIT\r\n", 250).await;
    client.expect(221).await;
    assert_eq!(client.rest().await, "");
    let [mail] = &server.house.kept()[..] else { panic!("one mail") };
    assert_eq!(mail.octets.len(), 78 * 5_000);
    let facts = mail.client.tls.clone().unwrap();
    assert_eq!(facts.version, "TLSv1.3");
    assert!(facts.cipher.starts_with("TLS_"), "{}", facts.cipher);
    assert_eq!(facts.group.as_deref(), Some("X25519MLKEM768"));
    server.event(|event| *event == Event::TlsStarted(facts.clone())).await;
    server.stop().await;
}

#[tokio::test]
async fn commands_injected_behind_starttls_in_clear_text_are_never_obeyed() {
    let tls = tls();
    let server = start(&tls).await;
    let mut plain = Client::introduced(server.address).await;
    plain.say("STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@x.example>\r\n").await;
    plain.expect(220).await;
    let mut client = shake_hands(&tls, plain).await;
    let first = client.ask("NOOP\r\n", 250).await;
    assert_eq!(first, "250 2.0.0 ok\r\n", "the reply is to NOOP, not to an injected command");
    client.ask("RCPT TO:<bob@globex.example>\r\n", 503).await;
    client.ask("MAIL FROM:<>\r\n", 503).await; // no EHLO was obeyed either
}

#[tokio::test]
async fn a_failed_handshake_ends_the_connection() {
    let tls = tls();
    let mut server = start(&tls).await;
    let mut client = Client::introduced(server.address).await;
    client.ask("STARTTLS\r\n", 220).await;
    client.say("EHLO in the clear\r\n").await;
    server.event(|event| matches!(event, Event::TlsFailed(_))).await;
    server.event(|event| *event == Event::SessionClosed(Closed::TlsFailed)).await;
}

#[tokio::test]
async fn implicit_tls_begins_with_the_first_octet_and_offers_no_starttls() {
    let tls = tls();
    let server =
        Server::start(Config { implicit_tls: true, tls: Some(tls.server.clone()), ..config() }).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut client = shake_hands(&tls, Client::new(stream)).await;
    assert_eq!(client.reply().await, "220 gw.acme.example ESMTP ready\r\n");
    assert!(!client.ask("EHLO mx.acme.example\r\n", 250).await.contains("STARTTLS"));
    client.ask("STARTTLS\r\n", 503).await;
    client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n").await;
    for code in [250, 250, 354, 250, 221] {
        client.expect(code).await;
    }
    let [mail] = &server.house.kept()[..] else { panic!("one mail") };
    assert_eq!(mail.client.tls.as_ref().unwrap().group.as_deref(), Some("X25519MLKEM768"));
    assert_eq!(mail.client.certificate, None);
}

#[tokio::test]
async fn a_stop_ends_a_handshake_that_never_comes() {
    let server = Server::start(Config { implicit_tls: true, tls: Some(tls().server), ..config() }).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    server.stop().await;
}

/// A certificate that `issuer` signed for these names.
fn issued(
    issuer: &Issuer<'_, KeyPair>,
    names: &[SanType],
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.distinguished_name.push(DnType::CommonName, "the printer on the third floor");
    let certificate = params.signed_by(&key, issuer).unwrap().der().clone();
    (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

fn authority() -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (certificate, Issuer::new(params, key))
}

#[tokio::test]
async fn a_client_is_known_by_the_certificate_that_the_configured_authority_gave_it() {
    let tls = tls();
    let (certificate, ca) = authority();
    let mut clients = RootCertStore::empty();
    clients.add(certificate).unwrap();
    let verifier = WebPkiClientVerifier::builder(clients.into()).allow_unauthenticated().build().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["gw.acme.example".into()]).unwrap();
    let own_key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let server = ServerConfig::builder().with_client_cert_verifier(verifier);
    let server = server.with_single_cert(vec![own.cert.der().clone()], own_key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let strangers = Config { trusted_networks: Vec::new(), ..config() };
    let mut server =
        Server::start(Config { implicit_tls: true, tls: Some(Arc::new(server)), ..strangers }).await;

    let dns = SanType::DnsName("mail.acme.example".try_into().unwrap());
    let mail = SanType::Rfc822Name("alice@acme.example".try_into().unwrap());
    let (_, other_ca) = authority();
    for (shown, expected) in [
        (Some(issued(&ca, std::slice::from_ref(&dns))), Ok(Some("mail.acme.example"))),
        (Some(issued(&ca, &[mail])), Ok(Some("alice@acme.example"))),
        (Some(issued(&ca, &[])), Ok(Some("CN=the printer on the third floor"))),
        (None, Ok(None)),
        (Some(issued(&other_ca, &[dns])), Err(())),
    ] {
        let config = ClientConfig::builder().with_root_certificates(roots.clone());
        let config = match shown {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => config.with_no_client_auth(),
        };
        let client = Tls { client: Arc::new(config), ..tls.clone() };
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut client = shake_hands(&client, Client::new(stream)).await; // TLS 1.3: judged after it seems done
        let Ok(expected) = expected else {
            server.event(|event| matches!(event, Event::TlsFailed(_))).await;
            continue;
        };
        client.expect(220).await;
        client.say("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nhi\r\n.\r\n").await;
        for code in [250, 250, 250, 354, 250] {
            client.expect(code).await;
        }
        let kept = server.house.kept();
        let client = &kept.last().unwrap().client;
        assert_eq!(client.certificate.as_deref(), expected);
        assert_eq!(client.trusted, expected.is_some(), "a certificate makes it one of ours");
    }
}
