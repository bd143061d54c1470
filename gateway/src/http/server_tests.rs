use std::sync::Arc;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Far longer than any test takes: only an event can end the waiting.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);

fn patient() -> Limits {
    patient_but(|_| {})
}

/// Nothing is short but what `change` makes so.
fn patient_but(change: impl FnOnce(&mut Pace)) -> Limits {
    let limits = Limits::default();
    let mut pace = Pace { header_time_max: LONG, age_max: LONG, grace: LONG, ..limits.pace };
    change(&mut pace);
    Limits { pace, ..limits }
}

struct Server {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(app: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve_within(listener, app, stop.clone(), limits));
        Self { address, stop, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn finish(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(30), self.served).await.expect("the server does not stop").unwrap();
    }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn everything(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    timeout(Duration::from_secs(30), stream.read_to_end(&mut octets)).await.expect("never closed").unwrap();
    String::from_utf8(octets).unwrap()
}

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const KEEPING: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_client_that_never_ends_its_header_is_cut() {
    let limits = patient_but(|pace| pace.header_time_max = SHORT);
    let server = Server::start(hello(), limits).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.unwrap();
    assert!(!everything(&mut slow).await.contains("hello"));
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut() {
    let limits = patient_but(|pace| pace.header_time_max = SHORT);
    let server = Server::start(hello(), limits).await;
    let mut silent = server.connect().await;
    assert!(!everything(&mut silent).await.contains("hello"));
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_falls_silent_after_an_answer_is_cut() {
    let limits = patient_but(|pace| pace.header_time_max = SHORT);
    let server = Server::start(hello(), limits).await;
    let mut idle = server.connect().await;
    idle.write_all(KEEPING).await.unwrap();
    assert!(everything(&mut idle).await.contains("hello"));
    server.finish().await;
}

#[tokio::test]
async fn a_header_without_end_is_cut() {
    let server = Server::start(hello(), patient_but(|pace| pace.header_bytes_max = 8192)).await;
    let mut long = server.connect().await;
    let header = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(20_000));
    long.write_all(header.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    long.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 431");
    server.finish().await;
}

#[tokio::test]
async fn a_full_server_answers_the_next_client_when_one_leaves() {
    let server = Server::start(hello(), Limits { connections_max: 1, ..patient() }).await;
    let mut first = server.connect().await;
    first.write_all(KEEPING).await.unwrap();
    first.read_u8().await.unwrap(); // it has its place now, and keeps it
    let mut second = server.connect().await;
    second.write_all(CLOSING).await.unwrap();
    let too_early = timeout(Duration::from_millis(100), second.read_u8()).await;
    assert!(too_early.is_err(), "two clients in one place");
    drop(first);
    assert!(everything(&mut second).await.contains("ello"));
    server.finish().await;
}

#[tokio::test]
async fn a_connection_ends_at_its_age() {
    let limits = patient_but(|pace| (pace.age_max, pace.grace) = (SHORT, SHORT));
    let server = Server::start(hello(), limits).await;
    let mut old = server.connect().await;
    old.write_all(b"GET /").await.unwrap();
    everything(&mut old).await;
    server.finish().await;
}

#[tokio::test]
async fn a_stop_lets_the_answer_in_flight_finish_and_closes_idle_connections() {
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, wait) = (Arc::clone(&asked), Arc::clone(&go));
    let slow = move || async move {
        told.notify_one();
        wait.notified().await;
        "finished"
    };
    let server = Server::start(Router::new().route("/", get(slow)), patient()).await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(KEEPING).await.unwrap();
    asked.notified().await;

    server.stop.cancel();
    everything(&mut idle).await;
    assert!(!server.served.is_finished());
    go.notify_one();
    assert!(everything(&mut busy).await.contains("finished"));
    server.finish().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_an_endless_answer() {
    let asked = Arc::new(Notify::new());
    let told = Arc::clone(&asked);
    let endless = move || async move {
        told.notify_one();
        std::future::pending::<&str>().await
    };
    let limits = patient_but(|pace| pace.grace = SHORT);
    let server = Server::start(Router::new().route("/", get(endless)), limits).await;
    let mut stuck = server.connect().await;
    stuck.write_all(KEEPING).await.unwrap();
    asked.notified().await;
    server.finish().await;
}
