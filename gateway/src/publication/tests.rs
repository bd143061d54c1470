use std::sync::Mutex;
use std::time::Duration;

use dccp::UnixMillis;
use dccp::did::{Commitment, Device, Founding, HeldBy, Manifest, found};
use dccp::keys::SigningKey;
use dccp::partner::PartnerFile;
use dccp::{Suite, xwing};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::server::{Limits, serve_within};
use super::*;
use crate::http::connection::Pace;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// Far longer than any test takes: only an event can end the waiting.
const LONG: Duration = Duration::from_secs(600);

fn bundle() -> PartnerFile {
    let key = |seed| SigningKey::from_seed(&[seed; 64]);
    let (operator, recovery) = (key(1), key(2));
    let commitment = Commitment::of(recovery.verifying_key());
    let domains = vec!["globex.test".into(), "dccp.initech.test".into()];
    let founding = Founding::organisation(domains, operator.verifying_key().clone(), commitment, NOW);
    let log = found(&founding, &[&operator]).unwrap();
    let device = Device {
        id: "gw-1".into(),
        signing: key(3).verifying_key().clone().into(),
        kem: xwing::DecapsulationKey::from_seed(&[4; 32]).encapsulation_key().clone(),
        held_by: HeldBy::Gateway,
        not_before: NOW,
        expires: UnixMillis(u64::MAX),
        revoked: None,
    };
    let manifest = Manifest::sign(&log.did(), 1, &[device], &[Suite::X0001], &[&operator]).unwrap();
    PartnerFile { log, manifest, nodes: Vec::new(), prekeys: Vec::new() }
}

/// A house with one organisation, which can be out of order.
struct House {
    entry: Arc<Entry>,
    in_order: Mutex<bool>,
}

impl House {
    fn new() -> Arc<Self> {
        let entry = Arc::new(Entry::new(&bundle(), NOW).unwrap());
        Arc::new(Self { entry, in_order: Mutex::new(true) })
    }

    fn check(&self) -> Result<(), Unavailable> {
        if *self.in_order.lock().unwrap() { Ok(()) } else { Err(Unavailable) }
    }
}

#[async_trait]
impl Published for House {
    async fn page(&self, domain: &str) -> Result<Option<WellKnown>, Unavailable> {
        self.check()?;
        let did = self.entry.did().clone();
        let page = WellKnown { did, nodes: Vec::new(), mirror: None, succession: None };
        Ok(["globex.test", "dccp.initech.test"].contains(&domain).then_some(page))
    }

    async fn entry(&self, did: &Did) -> Result<Option<Arc<Entry>>, Unavailable> {
        self.check()?;
        Ok((did == self.entry.did()).then(|| Arc::clone(&self.entry)))
    }
}

fn id(house: &House) -> String {
    house.entry.did().as_str().strip_prefix("did:dccp:").unwrap().to_owned()
}

fn get(host: &str, path: &str) -> Request<Empty<bytes::Bytes>> {
    Request::get(path).header(HOST, host).body(Empty::new()).unwrap()
}

async fn ask(house: &House, request: Request<Empty<bytes::Bytes>>) -> Response<Full<bytes::Bytes>> {
    answers::answer(house, request).await.unwrap()
}

async fn body(answer: Response<Full<bytes::Bytes>>) -> Vec<u8> {
    answer.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn the_page_says_who_the_domain_is_under_each_of_its_hosts() {
    let house = House::new();
    for host in ["globex.test", "GLOBEX.test:443", "dccp.globex.test", "dccp.initech.test"] {
        let answer = ask(&house, get(host, "/.well-known/dccp.json")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        let page = WellKnown::from_json(&body(answer).await).unwrap();
        assert_eq!(page.did, *house.entry.did());
    }
    for host in ["initech.test", "dccp.dccp.globex.test", "dccp.", "127.0.0.1", ""] {
        let answer = ask(&house, get(host, "/.well-known/dccp.json")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{host}");
    }
}

#[tokio::test]
async fn records_are_served_as_bytes_with_a_tag_that_saves_the_second_transfer() {
    let house = House::new();
    let path = format!("/.well-known/dccp/did/{}.cbor", id(&house));
    let answer = ask(&house, get("anything", &path)).await;
    let tag = answer.headers()[ETAG].clone();
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/cbor");
    assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=60");
    let octets = body(answer).await;
    let served = PartnerFile::from_bytes(&octets).unwrap();
    assert!(served.to_bytes() == octets && served.log.did() == *house.entry.did());

    let mut again = get("anything", &path);
    again.headers_mut().insert(IF_NONE_MATCH, tag.clone());
    let answer = ask(&house, again).await;
    assert_eq!((answer.status(), &answer.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &tag));
    assert!(body(answer).await.is_empty());
}

#[tokio::test]
async fn the_w3c_document_is_served_under_both_names() {
    let house = House::new();
    let did = house.entry.did().to_string();
    let own = ask(&house, get("x", &format!("/.well-known/dccp/did/{}.json", id(&house)))).await;
    assert_eq!(own.headers()[CONTENT_TYPE], "application/did+json");
    let own: serde_json::Value = serde_json::from_slice(&body(own).await).unwrap();
    assert_eq!(own["id"], did);

    let web = ask(&house, get("globex.test", "/.well-known/did.json")).await;
    let web: serde_json::Value = serde_json::from_slice(&body(web).await).unwrap();
    assert_eq!(web["id"], "did:web:globex.test");
    assert_eq!(web["alsoKnownAs"], serde_json::json!([did]));
    let methods = web["verificationMethod"].as_array().unwrap();
    assert_eq!(methods.len(), own["verificationMethod"].as_array().unwrap().len());
    for method in methods {
        assert_eq!(method["controller"], "did:web:globex.test");
        assert!(method["id"].as_str().unwrap().starts_with("did:web:globex.test#"));
    }
    // did:web names the domain itself, not a host that helps out.
    let helper = ask(&house, get("dccp.globex.test", "/.well-known/did.json")).await;
    assert_eq!(helper.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_published_is_not_found() {
    let house = House::new();
    let id = id(&house);
    let other = format!("1{}", "a".repeat(52));
    for path in [
        "/".to_owned(),
        "/.well-known/".into(),
        "/.well-known/dccp/did/".into(),
        format!("/.well-known/dccp/did/{other}.cbor"),
        format!("/.well-known/dccp/did/{id}"),
        format!("/.well-known/dccp/did/{id}.exe"),
        format!("/.well-known/dccp/did/{}.cbor", id.to_uppercase()),
        format!("/.well-known/dccp/did/../did/{id}.cbor"),
        format!("/.well-known/dccp/did/did:dccp:{id}.cbor"),
    ] {
        assert_eq!(ask(&house, get("globex.test", &path)).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_house_out_of_order_never_says_that_there_is_nothing() {
    let house = House::new();
    *house.in_order.lock().unwrap() = false;
    let records = format!("/.well-known/dccp/did/{}.cbor", id(&house));
    for path in ["/.well-known/dccp.json", "/.well-known/did.json", &records] {
        let answer = ask(&house, get("globex.test", path)).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
}

#[tokio::test]
async fn only_reading_is_possible() {
    let house = House::new();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let mut request = get("globex.test", "/.well-known/dccp.json");
        *request.method_mut() = method;
        let answer = ask(&house, request).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()[ALLOW], "GET, HEAD");
    }
}

#[test]
fn records_that_do_not_verify_are_not_published() {
    let expired = UnixMillis(NOW.0 - 1_000_000_000);
    assert!(Entry::new(&bundle(), expired).is_err());
}

/// The server with its TLS, and a client that trusts it.
struct Door {
    address: std::net::SocketAddr,
    client: TlsConnector,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Door {
    async fn open(limits: Limits) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(["globex.test".into()]).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = serve_within(listener, Arc::new(tls), House::new(), stop.clone(), limits);
        Self { address, client: TlsConnector::from(Arc::new(client)), stop, served: tokio::spawn(serving) }
    }

    async fn knock(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn enter(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let name = ServerName::try_from("globex.test").unwrap();
        self.client.connect(name, self.knock().await).await.unwrap()
    }

    async fn close(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.served).await.expect("it does not stop").unwrap();
    }
}

fn patient() -> Limits {
    patient_but(|_| {})
}

/// Nothing is short but what `change` makes so.
fn patient_but(change: impl FnOnce(&mut Pace)) -> Limits {
    let limits = Limits::default();
    let mut pace = Pace { header_time_max: LONG, age_max: LONG, grace: LONG, ..limits.pace };
    change(&mut pace);
    Limits { handshake_time_max: LONG, pace, ..limits }
}

const QUESTION: &[u8] =
    b"GET /.well-known/dccp.json HTTP/1.1\r\nHost: globex.test\r\nConnection: close\r\n\r\n";

/// What comes until the other side closes, however it does.
async fn everything(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut octets = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut octets)).await;
    let _ = read.expect("never closed");
    String::from_utf8_lossy(&octets).into_owned()
}

#[tokio::test]
async fn the_door_answers_over_tls() {
    let door = Door::open(patient()).await;
    let mut stream = door.enter().await;
    stream.write_all(QUESTION).await.unwrap();
    assert!(everything(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    door.close().await;
}

#[tokio::test]
async fn whoever_never_shakes_hands_or_never_ends_his_header_is_cut() {
    let short = Duration::from_millis(50);
    let door = Door::open(Limits { handshake_time_max: short, ..patient() }).await;
    assert_eq!(everything(&mut door.knock().await).await, "");
    door.close().await;

    let door = Door::open(patient_but(|pace| pace.header_time_max = short)).await;
    let mut slow = door.enter().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: glo").await.unwrap();
    assert!(!everything(&mut slow).await.contains("200"));
    door.close().await;
}

#[tokio::test]
async fn a_connection_ends_at_its_age_whatever_it_does() {
    let short = Duration::from_millis(50);
    let door = Door::open(patient_but(|pace| (pace.age_max, pace.grace) = (short, short))).await;
    let mut idle = door.enter().await;
    assert_eq!(everything(&mut idle).await, "");
    door.close().await;
}

#[tokio::test]
async fn one_network_cannot_occupy_the_house() {
    let door = Door::open(Limits { connections_per_network_max: 2, ..patient() }).await;
    let (first, second) = (door.enter().await, door.enter().await);
    assert_eq!(everything(&mut door.knock().await).await, "", "turned away");
    drop(first);
    // A place is free as soon as the server has seen the end.
    let mut stream = loop {
        let name = ServerName::try_from("globex.test").unwrap();
        if let Ok(stream) = door.client.connect(name, door.knock().await).await {
            break stream;
        }
    };
    stream.write_all(QUESTION).await.unwrap();
    assert!(everything(&mut stream).await.contains("200 OK"));
    drop(second);
    door.close().await;
}

#[tokio::test]
async fn a_stop_ends_idle_connections() {
    let door = Door::open(patient_but(|pace| pace.grace = Duration::from_secs(1))).await;
    let _idle = door.enter().await;
    let _unshaken = door.knock().await;
    door.close().await;
}
