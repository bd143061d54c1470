use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use tempfile::TempDir;

use super::*;
use crate::clock;
use crate::config::tls::{certified_key, provider};

/// Writes a certificate for `name` with a key of its own.
fn issue(folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("crt"), certificate.pem()).unwrap();
    fs::write(folder.join("key"), key.serialize_pem()).unwrap();
}

fn files(folder: &TempDir) -> Tls {
    Tls { certificate: folder.path().join("crt"), key: folder.path().join("key") }
}

/// What a client is shown that connects now.
fn shown(server: &Arc<ServerConfig>) -> CertificateDer<'static> {
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    let name = ServerName::try_from("gw.acme.example").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut pipe = Vec::new();
        client.write_tls(&mut pipe).unwrap();
        server.read_tls(&mut &pipe[..]).unwrap();
        server.process_new_packets().unwrap();
        pipe.clear();
        server.write_tls(&mut pipe).unwrap();
        client.read_tls(&mut &pipe[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    client.peer_certificates().unwrap()[0].clone()
}

fn on_disk(folder: &TempDir) -> CertificateDer<'static> {
    certified_key(&files(folder)).unwrap().cert[0].clone()
}

#[test]
fn a_new_certificate_is_shown_to_the_next_client() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "gw.acme.example");
    let certificate = Files::load(&files(&folder)).unwrap();
    let server = certificate.shown().server_config(None).unwrap();
    let old = on_disk(&folder);
    assert_eq!(shown(&server), old);
    assert!(matches!(certificate.look(), Look::Same));

    issue(folder.path(), "gw.acme.example");
    assert_eq!(shown(&server), old, "nobody has looked yet");
    assert!(matches!(certificate.look(), Look::Renewed));
    assert_ne!(on_disk(&folder), old);
    assert_eq!(shown(&server), on_disk(&folder));
}

#[test]
fn a_bad_new_certificate_leaves_the_old_one_in_use_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "gw.acme.example");
    let certificate = Files::load(&files(&folder)).unwrap();
    let server = certificate.shown().server_config(None).unwrap();
    let old = on_disk(&folder);
    let other = tempfile::tempdir().unwrap();
    issue(other.path(), "gw.acme.example");
    let new = |file: &str| fs::read(other.path().join(file)).unwrap();

    for (file, contents) in [("crt", b"half a certi".to_vec()), ("crt", new("crt")), ("key", Vec::new())] {
        fs::write(folder.path().join(file), contents).unwrap();
        assert!(matches!(certificate.look(), Look::Refused(_)), "{file}");
        assert!(matches!(certificate.look(), Look::Same), "said once");
        assert_eq!(shown(&server), old);
        assert!(certificate.fault().is_some());
    }
    fs::remove_file(folder.path().join("crt")).unwrap();
    assert!(matches!(certificate.look(), Look::Refused(TlsError::Certificate { .. })));
    assert_eq!(shown(&server), old);

    issue(folder.path(), "gw.acme.example");
    assert!(matches!(certificate.look(), Look::Renewed));
    assert_eq!(certificate.fault(), None);
    assert_eq!(shown(&server), on_disk(&folder));
}

#[test]
fn doors_with_the_same_files_share_a_certificate_and_the_gauge_counts_the_stale_ones() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "gw.acme.example");
    let mut registry = Registry::default();
    let certificates = Certificates::watched(None, clock::system, &mut registry);
    let [first, second] = [(); 2].map(|()| certificates.of_door(Some(&files(&folder))).unwrap().unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    certificates.look();
    assert_eq!(certificates.stale.get(), 0);
    fs::write(folder.path().join("key"), "no key").unwrap();
    certificates.look();
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    assert!(page.contains("dccp_certificates_stale 1\n"), "{page}");
    let file = files(&folder).certificate;
    let days = format!("dccp_certificate_days_left{{certificate=\"{}\"}} ", file.display());
    let left = page.lines().find_map(|line| line.strip_prefix(&days)).unwrap_or_else(|| panic!("{page}"));
    assert!(left.parse::<i64>().unwrap() > 365, "{left}");
}

#[tokio::test]
async fn sighup_has_the_files_looked_at_now() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "gw.acme.example");
    let certificates = Arc::new(Certificates::new(None, clock::system));
    let shown_here = certificates.of_door(Some(&files(&folder))).unwrap().unwrap();
    let stop = CancellationToken::new();
    let following = certificates.follow(stop.clone());
    let server = shown_here.server_config(None).unwrap();
    let hangup = async {
        let old = shown(&server);
        tokio::task::yield_now().await; // the first look is over, the next one is a minute away
        issue(folder.path(), "gw.acme.example");
        let us = std::process::id().to_string();
        assert!(Command::new("kill").args(["-HUP", &us]).status().unwrap().success());
        while shown(&server) == old {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    tokio::join!(following, tokio::time::timeout(Duration::from_secs(20), hangup)).1.unwrap();
}

/// Believes any certificate.
#[derive(Debug)]
struct Trusting;

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
