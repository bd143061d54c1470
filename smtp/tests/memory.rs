//! What handing over a large message costs in memory: nothing that grows with it. Alone in its program, because the
//! measure is that of the whole process.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use smtp::client::{Envelope, Pool, Protocol, Target, TlsPolicy, Verification};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const MESSAGE_OCTETS: usize = 50 * 1024 * 1024;
/// Buffers, stacks and certificates on both sides; a copy of the message is far more.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// The most memory that this process ever held at a time, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Takes one mail over what is already secured, and forgets it while it comes.
async fn take(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mx\r\n").await.unwrap();
    for (command, reply) in [("EHLO", "250 mx"), ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go")] {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(command), "{line}");
        stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut line = Vec::new();
    while line != b".\r\n" {
        line.clear();
        assert!(stream.read_until(b'\n', &mut line).await.unwrap() > 0);
    }
    stream.write_all(b"250 kept\r\n").await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn a_large_message_is_not_copied_under_tls() {
    let issued = rcgen::generate_simple_self_signed(vec!["mx.corp.test".into()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.unwrap().with_no_client_auth();
    let tls = tls.with_single_cert(vec![issued.cert.der().clone()], key.into()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        take(TlsAcceptor::from(Arc::new(tls)).accept(stream).await.unwrap()).await;
    });

    let line = "a line of some length, and a dot at the start of the next\r\n.\r\n";
    let message = Bytes::from(line.repeat(MESSAGE_OCTETS / line.len()));
    let pool = Pool::new(Target {
        tls: TlsPolicy::Required(Verification::AnyCertificate),
        implicit_tls: true,
        ..Target::new(Protocol::Smtp, address, "gw.acme.test")
    });
    let envelope = Envelope {
        reverse_path: "alice@acme.test".into(),
        forward_paths: vec!["bob@corp.test".into()],
        ..Envelope::default()
    };
    let before = peak_kib();
    let handed_over = pool.hand_over(&envelope, &[message]).await.unwrap();
    server.await.unwrap();
    assert!(handed_over.outcomes.iter().all(|outcome| outcome.is_delivered()));
    let growth = peak_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB more than before");
}
