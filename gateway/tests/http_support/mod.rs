//! A gateway that answers what a test wants, behind the real HTTP side, and a client that sends what it is told.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::{
    AddressView, Archive, ArchivePage, ArchiveQuery, ArchiveView, AuditView, Check, Control, ControlError,
    DestinationList, Direction, HoldLift, HoldRule, HoldRules, IdentityQuery, IdentityView, Kind, LegalHold,
    LegalHoldView, MessageTrace, OrderOutcome, Overview, PartnerList, Queue, QueueDepth, QueueOrder,
    QueuePage, QueueQuery, Readiness, RecentPage, RecentQuery, RuleRemoval, StageView, State, Totals, Traces,
};
use gateway::certificates::Certificates;
use gateway::http::{HttpState, serve};
use gateway::metrics::Metrics;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use zeroize::Zeroizing;

pub(crate) const TOKEN: &str = "correct-horse-battery-staple";

/// An `Authorization` line with the token as Bearer.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// An `Authorization` line with the token as password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

pub(crate) struct Fake {
    pub(crate) readiness: Readiness,
    /// Answers every question about the journal with this error.
    pub(crate) silent: Option<ControlError>,
    /// The last query for a page of the journal.
    pub(crate) asked: Mutex<Option<RecentQuery>>,
    /// The last order for the queue.
    pub(crate) ordered: Mutex<Option<QueueOrder>>,
}

impl Default for Fake {
    fn default() -> Self {
        let readiness = Readiness::of(vec![Check::ok("spool", "writable")]);
        Self { readiness, silent: None, asked: Mutex::new(None), ordered: Mutex::new(None) }
    }
}

impl Fake {
    fn heard(&self) -> Result<(), ControlError> {
        self.silent.clone().map_or(Ok(()), Err)
    }
}

#[async_trait::async_trait]
impl Control for Fake {
    async fn message(&self, id: &str) -> Result<Traces, ControlError> {
        self.heard()?;
        match id {
            "Q1" | "mail-1/part@acme.example" => Ok(Traces { messages: vec![trace()] }),
            _ => Err(ControlError::NotFound(format!("No message is known as {id}."))),
        }
    }

    async fn recent(&self, query: RecentQuery) -> Result<RecentPage, ControlError> {
        self.heard()?;
        *self.asked.lock().unwrap() = Some(query);
        Ok(RecentPage::default())
    }

    async fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    async fn overview(&self) -> Result<Overview, ControlError> {
        self.heard()?;
        Ok(Overview {
            domain: "acme.example".into(),
            did: "did:dccp:1abc".into(),
            fingerprint: "1abc".into(),
            version: "0.1.0".into(),
            started_at_ms: 0,
            now_ms: 0,
            totals: Totals::default(),
            queue: vec![QueueDepth { direction: Direction::Outbound, state: State::Queued, messages: 3 }],
            oldest_without_progress_ms: None,
            stuck: 0,
            archive_copies: 2,
            archive_bytes: 30_000,
            large_bodies: vec![],
            partners: Vec::new(),
            alarms: Vec::new(),
        })
    }

    async fn identity(&self, did: &str, _: IdentityQuery) -> Result<IdentityView, ControlError> {
        self.heard()?;
        match did {
            "did:dccp:1abc" => Ok(IdentityView {
                did: did.into(),
                fingerprint: "1abc".into(),
                version: 2,
                custody: "org".into(),
                deactivated: false,
                sources: vec!["overlay".into(), "https".into()],
                age_ms: 0,
                document: serde_json::json!({ "id": did }),
                bundle: String::new(),
            }),
            _ => Err(ControlError::NotFound(format!("No source knows {did}."))),
        }
    }

    async fn address(&self, address: &str) -> Result<AddressView, ControlError> {
        Err(ControlError::NotFound(format!("{address} belongs to no partner.")))
    }

    async fn partners(&self) -> Result<PartnerList, ControlError> {
        self.heard()?;
        Ok(PartnerList::default())
    }
}

#[async_trait::async_trait]
impl Queue for Fake {
    async fn list(&self, query: QueueQuery) -> Result<QueuePage, ControlError> {
        self.heard()?;
        match query.is_everything() {
            true => Ok(QueuePage { rows: Vec::new(), next: Some("77".into()) }),
            false => Ok(QueuePage::default()),
        }
    }

    async fn order(&self, order: QueueOrder) -> Result<OrderOutcome, ControlError> {
        self.heard()?;
        *self.ordered.lock().unwrap() = Some(order);
        Ok(OrderOutcome { done: 1, ..OrderOutcome::default() })
    }

    async fn destinations(&self) -> Result<DestinationList, ControlError> {
        self.heard()?;
        Ok(DestinationList::default())
    }

    async fn rules(&self) -> Result<HoldRules, ControlError> {
        self.heard()?;
        Ok(HoldRules::default())
    }

    async fn add_rule(&self, rule: HoldRule) -> Result<HoldRules, ControlError> {
        self.heard()?;
        Ok(HoldRules { rules: vec![rule] })
    }

    async fn remove_rule(&self, name: &str, _: RuleRemoval) -> Result<HoldRules, ControlError> {
        Err(ControlError::NotFound(format!("There is no rule “{name}”.")))
    }

    async fn audit(&self) -> Result<AuditView, ControlError> {
        self.heard()?;
        Ok(AuditView { count: 0, head: "00".into(), fault: None, entries: Vec::new() })
    }
}

#[async_trait::async_trait]
impl Archive for Fake {
    async fn view(&self) -> Result<ArchiveView, ControlError> {
        self.heard()?;
        Ok(ArchiveView::default())
    }

    async fn list(&self, _: ArchiveQuery) -> Result<ArchivePage, ControlError> {
        self.heard()?;
        Ok(ArchivePage::default())
    }

    async fn add_hold(&self, hold: LegalHold) -> Result<ArchiveView, ControlError> {
        self.heard()?;
        let held = LegalHoldView { hold, at_ms: 1, copies: 0, bytes: 0 };
        Ok(ArchiveView { holds: vec![held], ..ArchiveView::default() })
    }

    async fn lift_hold(&self, name: &str, _: HoldLift) -> Result<ArchiveView, ControlError> {
        Err(ControlError::NotFound(format!("There is no hold “{name}”.")))
    }
}

fn trace() -> MessageTrace {
    MessageTrace {
        queue_id: "Q1".into(),
        message_id: None,
        internet_message_id: Some("mail-1/part@acme.example".into()),
        kind: Kind::Mail,
        direction: Direction::Outbound,
        state: State::Delivered,
        partner_domain: "globex.example".into(),
        sender: "alice@acme.example".into(),
        recipients: vec!["bob@globex.example".into()],
        size: 100,
        accepted_at_ms: 1,
        total_ms: Some(2),
        next_attempt_at_ms: None,
        expires_at_ms: None,
        stages: vec![StageView {
            at_ms: 1,
            stage: "received".into(),
            reason: String::new(),
            detail: None,
            elapsed_ms: 0,
        }],
    }
}

/// The HTTP side on a port of its own; stops when dropped.
pub(crate) struct Server {
    pub(crate) fake: Arc<Fake>,
    pub(crate) metrics: Metrics,
    pub(crate) address: std::net::SocketAddr,
    _stop: DropGuard,
}

impl Server {
    pub(crate) async fn start(fake: Fake) -> Self {
        Self::start_with(fake, TOKEN, &[]).await
    }

    pub(crate) async fn start_with(fake: Fake, token: &str, hosts: &[&str]) -> Self {
        let fake = Arc::new(fake);
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let state = HttpState {
            control: fake.clone(),
            queue: fake.clone(),
            archive: fake.clone(),
            certificates: Arc::new(Certificates::new(None, gateway::clock::system)),
            registry: Arc::new(registry),
            metrics: metrics.clone(),
            token: Zeroizing::new(token.to_owned()),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, state, stop.clone()));
        Self { fake, metrics, address, _stop: stop.drop_guard() }
    }

    /// GET with a loopback Host; `authorization` is a whole line or nothing.
    pub(crate) async fn get(&self, path: &str, authorization: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{authorization}", self.address)).await
    }

    /// POST with a loopback Host, `header` lines and a body of this kind.
    pub(crate) async fn post(&self, path: &str, header: &str, kind: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (host, length) = (self.address, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{header}Content-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Answer::read(&mut stream).await
    }

    /// Sends a request head as it is (its last header line ended) and reads the whole answer.
    pub(crate) async fn ask(&self, head: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
        Answer::read(&mut stream).await
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    async fn read(stream: &mut TcpStream) -> Self {
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).await.unwrap();
        let text = String::from_utf8(octets).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// True when a header line begins so.
    pub(crate) fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line.starts_with(header))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}
