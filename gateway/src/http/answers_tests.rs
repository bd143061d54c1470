use bytes::Bytes;
use control::Kind as KindView;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::spool::{
    Direction as Way, Kind, Learned, NewRow, Note, RowId, Settlement, SpoolConfig, SpoolGuard, Stage,
    State as At, Turn,
};

const NOW: UnixMillis = UnixMillis(1_763_874_642_000);

struct Gateway {
    answers: Answers,
    _links: watch::Sender<BTreeMap<Did, overlay::LinkState>>,
    _guard: SpoolGuard,
    _directory: TempDir,
}

fn us() -> Did {
    format!("did:dccp:1{}", "a".repeat(52)).parse().unwrap()
}

fn gateway() -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    let (spool, guard) = Spool::open(directory.path().join("gateway.db"), SpoolConfig::default()).unwrap();
    let (links, seen) = watch::channel(BTreeMap::new());
    let (_, partners) = watch::channel(Arc::new(Partners::default()));
    let answers = Answers {
        domain: "acme.example".into(),
        did: us(),
        spool,
        vault: Arc::new(Vault::new(Zeroizing::new([7; 32]))),
        partners,
        links: seen,
        metrics: Metrics::new(&mut Registry::default()),
        vouches: Vec::new(),
        fallen: Box::new(Vec::new),
        identify: Box::new(|did, _| {
            Box::pin(async move { Err(ControlError::NotFound(format!("No source knows {did}."))) })
        }),
        seek: Box::new(|address| {
            Box::pin(async move { Err(ControlError::NotFound(format!("{address} belongs to no partner."))) })
        }),
        started_at: UnixMillis(NOW.0 - 5_000),
        clock: || NOW,
    };
    Gateway { answers, _links: links, _guard: guard, _directory: directory }
}

impl Gateway {
    fn row(&self, queue_id: &str, domain: &str) -> NewRow {
        let id = RowId::fresh();
        let vault = &self.answers.vault;
        let summary = Summary {
            from: "alice@acme.example".into(),
            to: vec![format!("bob@{domain}")],
            message_id: Some("budget@acme.example".into()),
        };
        NewRow {
            id,
            queue_id: queue_id.into(),
            direction: Way::Out,
            kind: Kind::Mail,
            partner: None,
            partner_domain: domain.into(),
            body: Bytes::from_static(b"sealed"),
            large: None,
            slip: None,
            summary: summary.seal(vault),
            message_id_tag: Some(vault.tag(purpose::MESSAGE_ID, b"budget@acme.example")),
            digest: crate::flows::records::sha256(&[id.0.as_bytes()]),
            sealed_to: None,
            size: 42,
            now: UnixMillis(NOW.0 - 1_000),
            next_at: NOW,
            expires_at: UnixMillis(NOW.0 + 60_000),
            state: At::Queued,
            held_by: None,
            turn: Turn::default(),
            leased: false,
        }
    }

    async fn keep(&self, row: NewRow) -> RowId {
        let id = row.id;
        let received = Note::new(row.now, Stage::Received, "42 octets");
        self.answers.spool.accept(vec![row], vec![(id, received)]).await.unwrap();
        id
    }

    async fn arrived(&self, queue_id: &str) -> RowId {
        let row = NewRow { direction: Way::In, kind: Kind::Unopened, ..self.row(queue_id, "globex.example") };
        let id = row.id;
        self.answers.spool.arrive(row, vec![Note::new(NOW, Stage::Arrived, "")]).await.unwrap();
        id
    }

    async fn end(&self, id: RowId, state: At, note: Note) {
        self.answers.spool.settle(Settlement::plain(id, state, vec![note])).await.unwrap();
    }

    async fn page(&self, query: RecentQuery) -> Vec<String> {
        let page = self.answers.recent(query).await.unwrap();
        page.messages.into_iter().map(|message| message.queue_id).collect()
    }
}

#[tokio::test]
async fn a_message_is_found_by_each_of_its_names() {
    let gateway = gateway();
    let id = gateway.keep(gateway.row("Q1", "globex.example")).await;
    for name in ["Q1", &id.to_string(), "budget@acme.example", " <budget@acme.example> "] {
        let found = gateway.answers.message(name).await.unwrap();
        assert_eq!(found.messages.len(), 1, "{name}");
        assert_eq!(found.messages[0].queue_id, "Q1", "{name}");
        assert_eq!(found.messages[0].message_id, Some(id.to_string()));
        assert_eq!(found.messages[0].internet_message_id.as_deref(), Some("budget@acme.example"));
        assert_eq!(found.messages[0].recipients, ["bob@globex.example"]);
    }
}

#[tokio::test]
async fn a_mail_to_two_partners_is_two_traces_oldest_first() {
    let gateway = gateway();
    gateway.keep(gateway.row("Q1", "globex.example")).await;
    gateway.keep(gateway.row("Q1", "initech.example")).await;
    let found = gateway.answers.message("Q1").await.unwrap();
    let domains: Vec<_> = found.messages.iter().map(|trace| trace.partner_domain.as_str()).collect();
    assert_eq!(domains, ["globex.example", "initech.example"]);
}

#[tokio::test]
async fn an_id_nobody_knows_is_not_found_and_an_endless_one_makes_no_sense() {
    let gateway = gateway();
    let unknown = gateway.answers.message("nobody@acme.example").await;
    assert_eq!(unknown, Err(ControlError::NotFound("No message is known as nobody@acme.example.".into())));
    for senseless in ["", "<>", &"x".repeat(999)] {
        assert!(matches!(gateway.answers.message(senseless).await, Err(ControlError::Bad(_))), "{senseless}");
    }
}

#[tokio::test]
async fn a_trace_tells_each_stage_with_its_time_and_opens_what_was_sealed() {
    let gateway = gateway();
    let id = gateway.keep(gateway.row("Q1", "globex.example")).await;
    let detail = gateway.answers.vault.seal(purpose::NOTE, b"bob@globex.example: 250 2.1.5 Ok");
    gateway.end(id, At::Delivered, Note::new(NOW, Stage::Delivered, "1 of 1").with_sealed(detail)).await;

    let trace = gateway.answers.message("Q1").await.unwrap().messages.remove(0);
    assert_eq!((trace.state, trace.total_ms), (State::Delivered, Some(1_000)));
    assert_eq!((trace.next_attempt_at_ms, trace.expires_at_ms), (None, None));
    let told: Vec<_> = trace.stages.iter().map(|stage| (stage.stage.as_str(), stage.elapsed_ms)).collect();
    assert_eq!(told, [("received", 0), ("delivered", 1_000)]);
    assert_eq!(trace.stages[1].reason, "1 of 1");
    assert_eq!(trace.stages[1].detail.as_deref(), Some("bob@globex.example: 250 2.1.5 Ok"));
}

#[tokio::test]
async fn a_message_under_way_says_when_it_is_tried_next_and_when_it_is_given_up() {
    let gateway = gateway();
    gateway.keep(gateway.row("Q1", "globex.example")).await;
    let trace = gateway.answers.message("Q1").await.unwrap().messages.remove(0);
    assert_eq!((trace.state, trace.total_ms), (State::Queued, None));
    assert_eq!(trace.next_attempt_at_ms, Some(NOW.0));
    assert_eq!(trace.expires_at_ms, Some(NOW.0 + 60_000));
}

#[tokio::test]
async fn a_row_whose_summary_does_not_open_is_shown_without_names() {
    let gateway = gateway();
    let foreign = Vault::new(Zeroizing::new([8; 32]));
    let row = NewRow { summary: Summary::unread().seal(&foreign), ..gateway.row("Q1", "globex.example") };
    gateway.keep(row).await;
    let trace = gateway.answers.message("Q1").await.unwrap().messages.remove(0);
    assert_eq!((trace.sender.as_str(), trace.recipients.len()), ("", 0));
    assert_eq!(trace.partner_domain, "globex.example");
}

#[tokio::test]
async fn an_arrival_has_no_dccp_id_until_it_was_opened() {
    let gateway = gateway();
    let id = gateway.arrived("Q1").await;
    let trace = gateway.answers.message("Q1").await.unwrap().messages.remove(0);
    assert_eq!(
        (trace.message_id, trace.kind, trace.direction),
        (None, KindView::Unopened, Direction::Inbound)
    );
    assert!(
        gateway.answers.message(&id.to_string()).await.is_err(),
        "the row's own id is no name of the message"
    );

    let sent_as = Uuid::from_u128(7);
    let summary = Summary::unread().seal(&gateway.answers.vault);
    let learned = Learned { kind: Kind::Mail, message_id: sent_as, message_id_tag: None, summary, size: 42 };
    let plain = Settlement::plain(id, At::Delivered, vec![Note::new(NOW, Stage::Delivered, "")]);
    gateway.answers.spool.settle(Settlement { learned: Some(learned), ..plain }).await.unwrap();
    let trace = gateway.answers.message(&sent_as.to_string()).await.unwrap().messages.remove(0);
    assert_eq!((trace.queue_id.as_str(), trace.message_id), ("Q1", Some(sent_as.to_string())));
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let gateway = gateway();
    for at in 0..5 {
        gateway.keep(gateway.row(&format!("Q{at}"), "globex.example")).await;
    }
    let first = gateway.answers.recent(RecentQuery { limit: 2, ..Default::default() }).await.unwrap();
    let second = gateway
        .answers
        .recent(RecentQuery { limit: 2, before: first.next.clone(), ..Default::default() })
        .await
        .unwrap();
    let third = gateway
        .answers
        .recent(RecentQuery { limit: 2, before: second.next.clone(), ..Default::default() })
        .await
        .unwrap();
    let ids = [first, second, third.clone()]
        .map(|page| page.messages.iter().map(|message| message.queue_id.clone()).collect::<Vec<_>>());
    assert_eq!(ids, [vec!["Q4", "Q3"], vec!["Q2", "Q1"], vec!["Q0"]]);
    assert_eq!(third.next, None);
}

#[tokio::test]
async fn a_filter_shows_what_it_says_and_reads_on_where_it_stopped() {
    let gateway = gateway();
    let held = gateway.row("Q0", "initech.example");
    gateway.keep(NewRow { state: At::Held, ..held }).await;
    for at in 1..4 {
        gateway.keep(gateway.row(&format!("Q{at}"), "globex.example")).await;
    }
    let of_partner = |partner: &str| RecentQuery { partner: Some(partner.into()), ..Default::default() };
    assert_eq!(gateway.page(of_partner("Initech.Example")).await, ["Q0"]);
    assert_eq!(gateway.page(RecentQuery { state: Some(State::Held), ..Default::default() }).await, ["Q0"]);
    assert!(gateway.page(RecentQuery { state: Some(State::Failed), ..Default::default() }).await.is_empty());

    let one = RecentQuery { limit: 1, ..of_partner("globex.example") };
    let first = gateway.answers.recent(one.clone()).await.unwrap();
    let rest = RecentQuery { before: first.next, limit: 10, ..one };
    assert_eq!(gateway.page(rest).await, ["Q2", "Q1"]);
}

#[tokio::test]
async fn a_rare_message_is_found_by_reading_on() {
    let gateway = gateway();
    gateway.keep(NewRow { state: At::Held, ..gateway.row("rare", "globex.example") }).await;
    let summary = gateway.row("common", "globex.example").summary;
    let common = |_| NewRow { summary: summary.clone(), ..gateway.row("common", "globex.example") };
    gateway
        .answers
        .spool
        .accept((0..RECENT_ROWS_READ_MAX + 10).map(common).collect(), Vec::new())
        .await
        .unwrap();

    let held = RecentQuery { state: Some(State::Held), ..Default::default() };
    let first = gateway.answers.recent(held.clone()).await.unwrap();
    assert!(first.messages.is_empty() && first.next.is_some(), "one request reads a bounded number of rows");
    assert_eq!(gateway.page(RecentQuery { before: first.next, ..held }).await, ["rare"]);
}

#[tokio::test]
async fn a_page_that_makes_no_sense_is_refused() {
    let gateway = gateway();
    for query in [
        RecentQuery { limit: 0, ..Default::default() },
        RecentQuery { limit: RECENT_LIMIT_MAX + 1, ..Default::default() },
        RecentQuery { before: Some("yesterday".into()), ..Default::default() },
    ] {
        assert!(matches!(gateway.answers.recent(query).await, Err(ControlError::Bad(_))));
    }
}

#[tokio::test]
async fn the_overview_counts_every_direction_and_state() {
    let gateway = gateway();
    gateway.keep(gateway.row("Q1", "globex.example")).await;
    let overview = gateway.answers.overview().await.unwrap();
    assert_eq!(overview.queue.len(), Direction::ALL.len() * State::ALL.len());
    assert_eq!((overview.waiting(), overview.in_state(State::Queued)), (1, 1));
    assert_eq!(overview.oldest_without_progress_ms, Some(1_000));
    assert_eq!(overview.now_ms - overview.started_at_ms, 5_000);
    assert_eq!(overview.fingerprint.split(' ').count(), 13);
}

#[tokio::test]
async fn a_part_that_does_not_vouch_is_named_and_a_closed_spool_is_one() {
    let mut gateway = gateway();
    gateway.answers.vouches.push(Box::new(|| Check::failed("overlay", "not listening")));
    let readiness = gateway.answers.readiness().await;
    assert_eq!(readiness.missing().collect::<Vec<_>>(), ["overlay: not listening"]);

    gateway._guard.close().await;
    let readiness = gateway.answers.readiness().await;
    assert!(readiness.missing().any(|missing| missing.starts_with("spool: ")), "{readiness:?}");
    assert!(matches!(gateway.answers.overview().await, Err(ControlError::Unavailable(_))));
}

#[tokio::test]
async fn a_worker_that_fell_is_an_alarm() {
    let mut gateway = gateway();
    assert_eq!(gateway.answers.overview().await.unwrap().alarms, []);
    gateway.answers.fallen = Box::new(|| vec!["housekeeping"]);
    let alarms = gateway.answers.overview().await.unwrap().alarms;
    assert!(matches!(&alarms[..], [one] if one.words.starts_with("“housekeeping” has ended")), "{alarms:?}");
}

#[test]
fn a_link_that_is_down_shows_why_and_no_stale_address() {
    let link = overlay::LinkState {
        up: false,
        since: NOW,
        address: Some("/ip4/192.0.2.1".into()),
        transport: Some("quic".into()),
        last_error: Some("connection refused".into()),
    };
    let down = LinkView::of(Some(&link));
    assert_eq!((down.state, &down.address, &down.transport), (LinkState::Down, &None, &None));
    assert_eq!(down.last_error.as_deref(), Some("connection refused"));

    let up = LinkView::of(Some(&overlay::LinkState { up: true, ..link }));
    assert_eq!((up.state, up.last_error), (LinkState::Up, None));
    assert_eq!(up.transport.as_deref(), Some("quic"));

    let unknown = LinkView::of(None);
    assert_eq!((unknown.state, unknown.since_ms), (LinkState::Down, None));
}
