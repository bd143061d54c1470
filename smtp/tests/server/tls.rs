//! STARTTLS (RFC 3207).

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use smtp::server::{Closed, Config, Event};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::house::{Server, config};

struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn tls() -> Tls {
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

async fn shake_hands(tls: &Tls, client: Client) -> Client<TlsStream<TcpStream>> {
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
