//! What an idle session costs: `cargo run --release -p smtp --example idle [SESSIONS]`. An exchanger has thousands that
//! wait for their next command; each should hold at most 32 KiB of ours (the kernel's buffers come on top).
//!
//! The clients are a process of their own, so that what grows here is the server alone. Both need a file descriptor for
//! each session: `ulimit -n`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use smtp::reply::{Enhanced, Reply};
use smtp::server::{Client, Config, Limits, MailFrom, Mechanisms, Premises, RcptTo, Reception, Role, serve};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// Unless the command line says another number.
const SESSIONS: usize = 10_000;
/// What one session may hold.
const OCTETS_MAX: usize = 32 * 1024;
const NAME: &str = "gw.acme.example";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [mode, address, sessions] => come(mode == "tls", address.parse().unwrap(), sessions.parse().unwrap()),
        [sessions] => measure(sessions.parse().expect("a number of sessions")),
        _ => measure(SESSIONS),
    }
}

#[tokio::main]
async fn measure(sessions: usize) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first");
    for tls in [false, true] {
        let (certificate, config) = server(tls, sessions);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(
            listener,
            Arc::new(config),
            Premises::default(),
            Arc::new(Agreeable),
            stop.clone(),
        ));
        drop(visit(tls, address, 100, &certificate)); // what the first sessions bring in once
        let before = resident_octets();
        let clients = visit(tls, address, sessions, &certificate);
        let each = resident_octets().saturating_sub(before) / sessions;
        eprintln!(
            "{sessions} idle sessions {}: {:.1} KiB each (at most {} KiB)",
            if tls { "under TLS" } else { "in the clear" },
            each as f64 / 1024.0,
            OCTETS_MAX / 1024,
        );
        drop(clients);
        stop.cancel();
        served.await.unwrap();
        assert!(each <= OCTETS_MAX, "an idle session holds {each} octets");
    }
}

fn server(tls: bool, sessions: usize) -> (CertificateDer<'static>, Config) {
    let issued = rcgen::generate_simple_self_signed(vec![NAME.into()]).unwrap();
    let certificate = issued.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.clone()], key.into()).unwrap();
    let limits = Limits {
        sessions_max: sessions * 2,
        per_source_max: sessions * 2,
        idle_s_max: 3_600,
        ..Limits::default()
    };
    let config = Config {
        role: Role::Mx,
        hostname: NAME.into(),
        size_max: 1024 * 1024,
        trusted_networks: vec!["127.0.0.0/8".parse().unwrap()],
        proxy_networks: Vec::new(),
        bare_line_ends_from: Vec::new(),
        tls: tls.then(|| Arc::new(config)),
        implicit_tls: tls,
        auth: Mechanisms::new(),
        limits,
    };
    (certificate, config)
}

/// Clients that have said EHLO and wait; they leave when this is dropped.
struct Visit(Child);

impl Drop for Visit {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn visit(tls: bool, address: SocketAddr, sessions: usize, certificate: &[u8]) -> Visit {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([if tls { "tls" } else { "clear" }, &address.to_string(), &sessions.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(&u32::try_from(certificate.len()).unwrap().to_be_bytes()).unwrap();
    stdin.write_all(certificate).unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n", "the clients did not get in; is `ulimit -n` above {sessions}?");
    Visit(child)
}

/// The clients' process.
#[tokio::main(flavor = "current_thread")]
async fn come(tls: bool, address: SocketAddr, sessions: usize) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first");
    let mut length = [0; 4];
    std::io::stdin().read_exact(&mut length).unwrap();
    let mut certificate = vec![0; u32::from_be_bytes(length) as usize];
    std::io::stdin().read_exact(&mut certificate).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.into()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let (mut in_clear, mut under_tls) = (Vec::new(), Vec::new());
    for _ in 0..sessions {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if tls {
            let mut stream = connector.connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap();
            introduce(&mut stream).await;
            under_tls.push(stream);
        } else {
            introduce(&mut stream).await;
            in_clear.push(stream);
        }
    }
    std::io::stdout().write_all(b"ready\n").unwrap();
    let _ = std::io::stdin().read(&mut [0]); // until the server's process has measured
}

async fn introduce(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut heard = Vec::new();
    for (say, code) in [("", "220 "), ("EHLO mx.globex.example\r\n", "\n250 ")] {
        stream.write_all(say.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        heard.clear();
        while !String::from_utf8_lossy(&heard).contains(code) || !heard.ends_with(b"\r\n") {
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "let in");
        }
    }
}

fn resident_octets() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// A house that agrees with everything.
struct Agreeable;

impl Reception for Agreeable {
    type Transaction = ();

    async fn mail(&self, _: &Client, _: MailFrom) -> Result<(), Reply> {
        Ok(())
    }

    async fn recipient(&self, (): &mut (), _: RcptTo) -> Result<(), Reply> {
        Ok(())
    }

    async fn message(&self, (): (), _: Bytes) -> Reply {
        Reply::new(250, Enhanced(2, 0, 0), "kept")
    }
}
