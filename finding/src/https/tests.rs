//! Hostile and broken servers, each on a port of its own; the honest one is in `tests/tests/finding.rs`.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority, and a client that trusts it.
struct Lab {
    issuer: Issuer<'static, KeyPair>,
    roots: PathBuf,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let roots = folder.path().join("ca.pem");
        std::fs::write(&roots, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), roots, _folder: folder }
    }

    fn client(&self) -> Https {
        self.client_with(|_| {})
    }

    fn client_with(&self, change: impl FnOnce(&mut Settings)) -> Https {
        let mut settings = Settings {
            dns_servers: vec!["127.0.0.1:9".parse().unwrap()],
            extra_roots: Some(self.roots.clone()),
            allow_private_addresses: true,
            ..Settings::default()
        };
        change(&mut settings);
        Https::new(&settings, Names::new(&settings).unwrap(), Pages::Dccp).unwrap()
    }

    fn tls(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    /// A server on 127.0.0.1 that answers every request with these octets and closes.
    async fn says(&self, answer: impl Into<Vec<u8>>) -> Mirror {
        let answer = answer.into();
        self.serve(self.tls("127.0.0.1"), move |mut stream| {
            let answer = answer.clone();
            async move {
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    async fn serve<F>(
        &self,
        tls: ServerConfig,
        answer: impl Fn(tokio_rustls::server::TlsStream<TcpStream>) -> F + Send + Sync + 'static,
    ) -> Mirror
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mirror = Mirror::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 4096]).await;
                    answer(stream).await;
                }
            }
        });
        mirror
    }
}

const MAX: usize = 64 * 1024;

async fn fetch(client: &Https, from: &Mirror) -> Result<Vec<u8>, FetchError> {
    client.fetch(from, "/.well-known/dccp.json", MAX).await
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), body].concat()
}

#[tokio::test]
async fn an_honest_page_is_read_to_its_last_octet() {
    let lab = Lab::new();
    for (headers, body) in [
        (format!("Content-Length: {MAX}\r\n"), vec![b'x'; MAX]),
        ("Content-Encoding: identity\r\nContent-Length: 2\r\n".into(), b"ok".to_vec()),
        ("Transfer-Encoding: chunked\r\n".into(), b"2\r\nok\r\n0\r\n\r\n".to_vec()),
        ("Connection: close\r\n".into(), b"ok".to_vec()),
    ] {
        let server = lab.says(ok(&headers, &body)).await;
        let octets = fetch(&lab.client(), &server).await.unwrap();
        assert!(octets == b"ok" || octets.len() == MAX, "{headers}");
    }
}

#[tokio::test]
async fn the_key_exchange_is_post_quantum() {
    let lab = Lab::new();
    let mut tls = lab.tls("127.0.0.1");
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    };
    tls = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(tls.cert_resolver);
    let server = lab
        .serve(tls, |mut stream| async move {
            let group = stream.get_ref().1.negotiated_key_exchange_group().map(|group| group.name());
            let _ = stream.write_all(&ok("Connection: close\r\n", format!("{group:?}").as_bytes())).await;
            let _ = stream.shutdown().await;
        })
        .await;
    assert_eq!(fetch(&lab.client(), &server).await.unwrap(), b"Some(X25519MLKEM768)");
}

#[tokio::test]
async fn answers_that_are_no_page_are_refused_by_name() {
    let lab = Lab::new();
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let redirect = |code: u16| {
        format!("HTTP/1.1 {code} x\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
            .into_bytes()
    };
    let too_large = || FetchError::TooLarge { max: MAX };
    let cases: Vec<(Vec<u8>, FetchError)> = vec![
        (redirect(301), FetchError::Redirect),
        (redirect(302), FetchError::Redirect),
        (redirect(307), FetchError::Redirect),
        (redirect(308), FetchError::Redirect),
        (status("404 x"), FetchError::NotFound),
        (status("410 x"), FetchError::NotFound),
        (status("403 x"), FetchError::Status(403)),
        (status("204 x"), FetchError::Status(204)),
        (status("429 x"), FetchError::Busy(429)),
        (status("503 x"), FetchError::Busy(503)),
        (ok(&format!("Content-Length: {}\r\n", MAX + 1), b""), too_large()),
        (ok("Content-Length: 9999999999999\r\n", b""), too_large()),
        (ok("Connection: close\r\n", &vec![b'x'; MAX + 1]), too_large()),
        (ok("Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"ok"), FetchError::Compressed),
        (ok(&"X-Fill: y\r\n".repeat(4000), b""), FetchError::TooLarge { max: HEADER_BYTES_MAX }),
    ];
    for (answer, why) in cases {
        let server = lab.says(answer.clone()).await;
        assert_eq!(
            fetch(&lab.client(), &server).await,
            Err(why),
            "{}",
            String::from_utf8_lossy(&answer[..60.min(answer.len())])
        );
    }
}

#[tokio::test]
async fn a_page_that_breaks_off_is_no_page() {
    let lab = Lab::new();
    for answer in [
        ok("Content-Length: 10\r\n", b"half"),
        ok("Transfer-Encoding: chunked\r\n", b"4\r\nhalf"),
        b"".to_vec(),
        b"SSH-2.0-x\r\n".to_vec(),
    ] {
        let server = lab.says(answer).await;
        let error = fetch(&lab.client(), &server).await.unwrap_err();
        assert!(matches!(error, FetchError::Unreachable(_)) && error.is_temporary(), "{error}");
    }
}

#[tokio::test]
async fn an_endless_page_ends_at_its_limit() {
    let lab = Lab::new();
    let server = lab
        .serve(lab.tls("127.0.0.1"), |mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"1\r\nx\r\n").await.is_ok() {}
        })
        .await;
    assert_eq!(fetch(&lab.client(), &server).await, Err(FetchError::TooLarge { max: MAX }));
}

#[tokio::test]
async fn a_server_that_stops_talking_costs_the_deadline_and_no_more() {
    let lab = Lab::new();
    let deadline = Duration::from_millis(300);
    let client = lab.client_with(|settings| settings.fetch_deadline = deadline);
    for beginning in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let server = lab
            .serve(lab.tls("127.0.0.1"), move |mut stream| async move {
                let _ = stream.write_all(beginning.as_bytes()).await;
                std::future::pending::<()>().await;
            })
            .await;
        assert_eq!(fetch(&client, &server).await, Err(FetchError::TooSlow), "{beginning}");
    }
    // One that accepts and never shakes hands.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Mirror::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    assert_eq!(fetch(&client, &silent).await, Err(FetchError::TooSlow));
    assert!(FetchError::TooSlow.is_temporary());
}

#[tokio::test]
async fn a_server_that_trickles_does_not_get_more_time() {
    let lab = Lab::new();
    let client = lab.client_with(|settings| settings.fetch_deadline = Duration::from_millis(300));
    let server = lab
        .serve(lab.tls("127.0.0.1"), |mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n").await;
            let mut beat = tokio::time::interval(Duration::from_millis(10));
            while stream.write_all(b"x").await.is_ok() && stream.flush().await.is_ok() {
                beat.tick().await;
            }
        })
        .await;
    assert_eq!(fetch(&client, &server).await, Err(FetchError::TooSlow));
}

#[tokio::test]
async fn a_certificate_of_another_name_or_of_nobody_is_refused() {
    let lab = Lab::new();
    let page = |mut stream: tokio_rustls::server::TlsStream<TcpStream>| async move {
        let _ = stream.write_all(&ok("Content-Length: 2\r\n", b"ok")).await;
    };
    let other_name = lab.serve(lab.tls("other.test"), page).await;
    let stranger = Lab::new().serve(Lab::new().tls("127.0.0.1"), page).await;
    for server in [other_name, stranger] {
        let error = fetch(&lab.client(), &server).await.unwrap_err();
        assert!(matches!(error, FetchError::Certificate(_)) && !error.is_temporary(), "{error}");
    }
}

#[tokio::test]
async fn tls_before_version_1_3_is_refused() {
    let lab = Lab::new();
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(lab.tls("127.0.0.1").cert_resolver);
    let server = lab.serve(tls, |_| async {}).await;
    let error = fetch(&lab.client(), &server).await.unwrap_err();
    assert!(matches!(error, FetchError::Tls(_)), "{error}");
}

#[tokio::test]
async fn addresses_inside_are_refused_before_anything_is_sent() {
    let lab = Lab::new();
    let client = lab.client_with(|settings| settings.allow_private_addresses = false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in
        ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "[fd00::1]", "[fe80::1]"]
    {
        let server = Mirror::parse(&format!("https://{host}:{port}")).unwrap();
        let error = fetch(&client, &server).await.unwrap_err();
        assert!(matches!(error, FetchError::Name(NameError::PrivateAddress(_))), "{host}: {error}");
        assert!(!error.is_temporary());
    }
    let knocked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(knocked.is_err(), "somebody connected");
}
