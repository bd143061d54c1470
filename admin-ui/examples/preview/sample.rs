//! An invented gateway: enough of everything to see and test every page.

use control::{
    AddressView, Alarm, Archive, ArchivePage, ArchiveQuery, ArchiveRuleView, ArchiveView, AuditView, Check,
    Control, ControlError, DeclinedRow, DestinationList, DestinationView, Direction, HoldLift, HoldRule,
    HoldRules, IdentityQuery, IdentityView, Kind, LegalHold, LegalHoldView, LinkState, MessageSummary,
    MessageTrace, OrderOutcome, Overview, PartnerList, PartnerView, Queue, QueueDepth, QueueOrder, QueuePage,
    QueueQuery, QueueRow, Readiness, RecentPage, RecentQuery, RuleRemoval, StageView, Standing, State,
    Totals, Traces, Trust, normal_id,
};

/// When the invented gateway answers: 2025-11-23 05:10:42.120 UTC.
pub(crate) const NOW_MS: u64 = 1_763_874_642_120;

/// A gateway that knows what is put into its fields.
pub(crate) struct Sample {
    pub(crate) readiness: Readiness,
    pub(crate) overview: Result<Overview, ControlError>,
    pub(crate) traces: Vec<MessageTrace>,
}

#[async_trait::async_trait]
impl Control for Sample {
    async fn message(&self, id: &str) -> Result<Traces, ControlError> {
        let id = normal_id(id);
        let names = |trace: &&MessageTrace| {
            [Some(trace.queue_id.as_str()), trace.message_id.as_deref(), trace.internet_message_id.as_deref()]
                .contains(&Some(id))
        };
        let messages: Vec<_> = self.traces.iter().filter(names).cloned().collect();
        if messages.is_empty() {
            return Err(ControlError::NotFound(format!("No message is known as {id}.")));
        }
        Ok(Traces { messages })
    }

    async fn recent(&self, query: RecentQuery) -> Result<RecentPage, ControlError> {
        let wanted = |trace: &&MessageTrace| {
            query.state.is_none_or(|state| trace.state == state)
                && query.partner.as_ref().is_none_or(|partner| trace.partner_domain == *partner)
        };
        let messages: Vec<_> = self.traces.iter().filter(wanted).map(summary).collect();
        let next = (query.before.is_none() && !messages.is_empty()).then(|| "41".to_owned());
        Ok(RecentPage { messages: if query.before.is_none() { messages } else { Vec::new() }, next })
    }

    async fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    async fn overview(&self) -> Result<Overview, ControlError> {
        self.overview.clone()
    }

    async fn identity(&self, did: &str, _: IdentityQuery) -> Result<IdentityView, ControlError> {
        Err(ControlError::NotFound(format!("No source knows {did}.")))
    }

    async fn address(&self, address: &str) -> Result<AddressView, ControlError> {
        Err(ControlError::NotFound(format!("{address} belongs to no partner.")))
    }

    async fn partners(&self) -> Result<PartnerList, ControlError> {
        Ok(PartnerList { partners: self.overview.clone()?.partners })
    }
}

#[async_trait::async_trait]
impl Queue for Sample {
    async fn list(&self, query: QueueQuery) -> Result<QueuePage, ControlError> {
        let wanted = |row: &QueueRow| query.state.is_none_or(|state| row.state == state);
        let rows =
            if self.traces.is_empty() { Vec::new() } else { waiting().into_iter().filter(wanted).collect() };
        Ok(QueuePage { rows, next: None })
    }

    async fn order(&self, order: QueueOrder) -> Result<OrderOutcome, ControlError> {
        match order.which.id.as_deref() {
            Some("r1") => Ok(OrderOutcome { done: 1, ..OrderOutcome::default() }),
            _ => Ok(OrderOutcome {
                declined: vec![DeclinedRow {
                    queue_id: "4TQH0ZZ".into(),
                    destination: "initech.example".into(),
                    why: format!("it is on its way at this moment; ordered by {}", order.by),
                }],
                ..OrderOutcome::default()
            }),
        }
    }

    async fn destinations(&self) -> Result<DestinationList, ControlError> {
        let place = |name: &str, kind: &str, state: &str, error: Option<&str>| DestinationView {
            name: name.into(),
            kind: kind.into(),
            state: state.into(),
            until_ms: error.map(|_| NOW_MS + 95_000),
            error: error.map(str::to_owned),
            error_from: error.map(|_| "last attempt".into()),
            queued: 12,
            sent: 1,
            held: 1,
            oldest_at_ms: Some(NOW_MS - 4_000_000),
        };
        let destinations = vec![
            place("", "home", "quiet", None),
            place("globex.example", "partner", "up", None),
            place("initech.example", "outside", "backing-off", Some("connection refused <b>bold</b>")),
        ];
        Ok(DestinationList { destinations: if self.traces.is_empty() { Vec::new() } else { destinations } })
    }

    async fn rules(&self) -> Result<HoldRules, ControlError> {
        let rule = HoldRule {
            name: "no-globex".into(),
            sender: Some("acme.example".into()),
            recipient: Some("globex.example".into()),
            larger_than_bytes: Some(5_000_000),
            by: "carol".into(),
            why: "until the contract is signed".into(),
        };
        Ok(HoldRules { rules: if self.traces.is_empty() { Vec::new() } else { vec![rule] } })
    }

    async fn add_rule(&self, _: HoldRule) -> Result<HoldRules, ControlError> {
        self.rules().await
    }

    async fn remove_rule(&self, _: &str, _: RuleRemoval) -> Result<HoldRules, ControlError> {
        self.rules().await
    }

    async fn audit(&self) -> Result<AuditView, ControlError> {
        Ok(AuditView { count: 0, head: String::new(), fault: None, entries: Vec::new() })
    }
}

#[async_trait::async_trait]
impl Archive for Sample {
    async fn view(&self) -> Result<ArchiveView, ControlError> {
        if self.traces.is_empty() {
            return Ok(ArchiveView::default());
        }
        let rule = |name: &str, directions: &[&str], recipients: &[&str], days| ArchiveRuleView {
            name: name.into(),
            directions: directions.iter().map(|&word| word.into()).collect(),
            senders: vec![],
            recipients: recipients.iter().map(|&word| word.into()).collect(),
            days,
        };
        let hold = LegalHold {
            name: "case-2026-7".into(),
            addresses: vec!["alice@acme.example".into(), "initech.example".into()],
            from_ms: Some(NOW_MS - 40 * 86_400_000),
            until_ms: None,
            by: "carol".into(),
            why: "claim of initech, letter of 3 November <b>bold</b>".into(),
        };
        Ok(ArchiveView {
            key: Some("9f0241bc77d0e3154b1f6c0d2a7788aa".into()),
            rules: vec![
                rule("business-letters", &["out", "in"], &["globex.example"], 3_650),
                rule("everything", &[], &[], 180),
            ],
            copies: 18_204,
            bytes: 17_400_000_000,
            bytes_max: Some(21_474_836_480),
            holds: vec![LegalHoldView { hold, at_ms: NOW_MS - 86_400_000, copies: 412, bytes: 88_000_000 }],
        })
    }

    async fn list(&self, _: ArchiveQuery) -> Result<ArchivePage, ControlError> {
        Ok(ArchivePage::default())
    }

    async fn add_hold(&self, hold: LegalHold) -> Result<ArchiveView, ControlError> {
        match hold.addresses.first().map(String::as_str) {
            Some("alice@acme.example") if hold.until_ms == Some(1_764_547_200_000) => self.view().await,
            _ => Err(ControlError::Bad("Whom is it about?".into())),
        }
    }

    async fn lift_hold(&self, name: &str, _: HoldLift) -> Result<ArchiveView, ControlError> {
        Err(ControlError::NotFound(format!("There is no hold “{name}”.")))
    }
}

fn waiting() -> Vec<QueueRow> {
    let row = |id: &str, state, held_by: Option<&str>, to: &str| QueueRow {
        id: id.into(),
        queue_id: "4TQH0ZZ".into(),
        direction: Direction::Outbound,
        kind: "mail".into(),
        state,
        lane: "people".into(),
        destination: "initech.example".into(),
        sender: "alice@acme.example".into(),
        recipients: vec![to.into()],
        size: 48_211,
        attempts: 3,
        accepted_at_ms: NOW_MS - 4_000_000,
        next_attempt_at_ms: (state == State::Queued).then_some(NOW_MS + 95_000),
        expires_at_ms: NOW_MS + 400_000_000,
        held_by: held_by.map(str::to_owned),
        next_hop: None,
        last: "deferred: connection refused".into(),
    };
    vec![
        row("r1", State::Queued, None, "<b>bold</b>@initech.example"),
        row("r2", State::Held, Some("carol"), "peter@initech.example"),
    ]
}

fn summary(trace: &MessageTrace) -> MessageSummary {
    MessageSummary {
        queue_id: trace.queue_id.clone(),
        message_id: trace.message_id.clone(),
        kind: trace.kind,
        direction: trace.direction,
        state: trace.state,
        partner_domain: trace.partner_domain.clone(),
        sender: trace.sender.clone(),
        recipients: trace.recipients.clone(),
        size: trace.size,
        accepted_at_ms: trace.accepted_at_ms,
        total_ms: trace.total_ms,
    }
}

/// A gateway that works, with partners, mail and a few troubles.
pub(crate) fn busy() -> Sample {
    Sample {
        readiness: Readiness::of(vec![Check::ok("spool", "writable"), Check::ok("overlay", "listening")]),
        overview: Ok(overview(partners())),
        traces: traces(),
    }
}

/// A gateway on its first day.
pub(crate) fn fresh() -> Sample {
    let quiet = Overview {
        totals: Totals::default(),
        queue: Vec::new(),
        oldest_without_progress_ms: None,
        archive_copies: 0,
        archive_bytes: 0,
        large_bodies: vec![],
        stuck: 0,
        ..overview(Vec::new())
    };
    let missing = Check::failed("overlay", "not listening on any address; see overlay.listen");
    let readiness = Readiness::of(vec![Check::ok("spool", "writable"), missing]);
    Sample { readiness, overview: Ok(quiet), traces: Vec::new() }
}

fn overview(partners: Vec<PartnerView>) -> Overview {
    let depth = |direction, state, messages| QueueDepth { direction, state, messages };
    Overview {
        domain: "acme.example".into(),
        did: "did:dccp:1k7qz3mwxv5bnt2rjd4hfyc6sgpalh2e3uqz3mwxv5bnt2rjd4hfy".into(),
        fingerprint: "k7qz 3mwx v5bn t2rj d4hf yc6s gpal h2e3 uqz3 mwxv 5bnt 2rjd 4hfy".into(),
        version: "0.1.0".into(),
        started_at_ms: NOW_MS - 349_200_000,
        now_ms: NOW_MS,
        totals: Totals {
            accepted: 12_408,
            sealed: 13_977,
            acknowledged: 13_960,
            delivered: 26_114,
            deferred: 31,
            failed: 4,
            held: 1,
            refused: 57,
        },
        queue: vec![
            depth(Direction::Outbound, State::Queued, 3),
            depth(Direction::Outbound, State::Sent, 2),
            depth(Direction::Inbound, State::Held, 1),
            depth(Direction::Outbound, State::Delivered, 9_000),
        ],
        archive_copies: 18_204,
        archive_bytes: 17_400_000_000,
        large_bodies: vec![],
        oldest_without_progress_ms: Some(125_000),
        stuck: 0,
        partners,
        alarms: vec![Alarm {
            at_ms: NOW_MS - 3_600_000,
            about: "hooli.example".into(),
            words: "Its key log shows other people different contents than us. Call somebody you know there."
                .into(),
        }],
    }
}

fn partners() -> Vec<PartnerView> {
    let partner = |domain: &str, link, standing| PartnerView {
        domain: domain.into(),
        did: "did:dccp:1q2w3e4r5t6y7u8i9o0p".into(),
        fingerprint: "1q2w 3e4r 5t6y 7u8i 9o0p a1s2 d3f4 g5h6 j7k8 l9z0 x1c2 v3b4 n5m6 q7w8".into(),
        standing,
        trust: Trust::Dnssec,
        version: 0,
        notice: None,
        link,
        address: None,
        transport: None,
        since_ms: None,
        last_error: None,
    };
    vec![
        PartnerView {
            address: Some("/ip4/192.0.2.17/udp/4001/quic-v1/p2p/12D3KooWGlobexExampleNode".into()),
            transport: Some("quic".into()),
            since_ms: Some(NOW_MS - 12_000_000),
            ..partner("globex.example", LinkState::Up, Standing::Pinned)
        },
        PartnerView {
            since_ms: Some(NOW_MS - 125_000),
            last_error: Some("no answer from 198.51.100.4:4001: connection refused".into()),
            ..partner("initech.example", LinkState::Down, Standing::Pinned)
        },
        partner("umbrella.example", LinkState::Down, Standing::Conflict),
    ]
}

fn traces() -> Vec<MessageTrace> {
    vec![
        to_globex(),
        MessageTrace {
            partner_domain: "initech.example".into(),
            recipients: vec!["peter@initech.example".into()],
            state: State::Queued,
            total_ms: None,
            next_attempt_at_ms: Some(NOW_MS + 30_000),
            expires_at_ms: Some(NOW_MS + 172_800_000),
            stages: stages(&[
                (0, "received", "18743 octets", None),
                (2, "decided", "allowed by rule partners-are-welcome, rules 7f3a91", None),
                (5, "sealed", "suite X0001, epoch key", None),
                (11, "queued", "durable", None),
                (1_019, "deferred", "no link to the partner: connection refused", None),
                (3_030, "deferred", "no link to the partner: connection refused", None),
            ]),
            ..to_globex()
        },
        from_globex(),
        MessageTrace {
            queue_id: "4TQH2V9".into(),
            message_id: None,
            internet_message_id: None,
            kind: Kind::Receipts,
            sender: String::new(),
            recipients: Vec::new(),
            state: State::Delivered,
            size: 812,
            total_ms: Some(38),
            stages: Vec::new(),
            ..to_globex()
        },
        hostile(),
        MessageTrace {
            queue_id: "4TQG0RK".into(),
            internet_message_id: Some("contract-9@acme.example".into()),
            state: State::Failed,
            recipients: vec!["nobody@globex.example".into()],
            total_ms: Some(611),
            accepted_at_ms: NOW_MS - 90_400_000,
            stages: stages(&[
                (0, "received", "4211 octets", None),
                (4, "sealed", "suite X0001, epoch key", None),
                (12, "acknowledged", "kept durably by globex.example", None),
                (560, "receipt", "signed receipt of globex.example (1 recipients)", None),
                (561, "failed", "", Some("nobody@globex.example: 550 5.1.1 No such user here")),
                (565, "reported", "failure report to the sender", None),
            ]),
            ..to_globex()
        },
    ]
}

fn to_globex() -> MessageTrace {
    MessageTrace {
        queue_id: "4TQK7XW".into(),
        message_id: Some("019ab1c2-77d0-7e31-9c55-2f7f3a91b0cd".into()),
        internet_message_id: Some("budget-2026@acme.example".into()),
        kind: Kind::Mail,
        direction: Direction::Outbound,
        state: State::Delivered,
        partner_domain: "globex.example".into(),
        sender: "alice@acme.example".into(),
        recipients: vec!["bob@globex.example".into(), "carol@globex.example".into()],
        size: 18_743,
        accepted_at_ms: NOW_MS - 125_000,
        total_ms: Some(182),
        next_attempt_at_ms: None,
        expires_at_ms: None,
        stages: stages(&[
            (0, "received", "18743 octets", None),
            (2, "decided", "allowed by rule partners-are-welcome, rules 7f3a91", None),
            (5, "sealed", "suite X0001, epoch key", None),
            (11, "queued", "durable", None),
            (14, "sent", "to the partner's gateway", None),
            (39, "acknowledged", "kept durably by globex.example", None),
            (180, "receipt", "signed receipt of globex.example (2 recipients)", None),
            (
                182,
                "delivered",
                "",
                Some("bob@globex.example: 250 2.1.5 Ok; carol@globex.example: 250 2.1.5 Ok"),
            ),
        ]),
    }
}

fn from_globex() -> MessageTrace {
    MessageTrace {
        queue_id: "4TQJ3PD".into(),
        message_id: None,
        internet_message_id: Some("re-budget@globex.example".into()),
        direction: Direction::Inbound,
        state: State::Held,
        sender: "bob@globex.example".into(),
        recipients: vec!["alice@acme.example".into()],
        size: 2_412_113,
        accepted_at_ms: NOW_MS - 1_900_000,
        total_ms: None,
        stages: stages(&[
            (0, "arrived", "from globex.example", None),
            (3, "opened", "suite X0001, epoch key, signatures verified", None),
            (5, "decided", "held by rule executables-wait, rules 7f3a91", None),
            (6, "held", "waits for an administrator", None),
        ]),
        ..to_globex()
    }
}

/// What a malicious sender would like to do to this page.
fn hostile() -> MessageTrace {
    MessageTrace {
        queue_id: "4TQH0ZZ".into(),
        internet_message_id: Some("<script>alert('id')</script>@evil.example".into()),
        direction: Direction::Inbound,
        state: State::Delivered,
        sender: "\"><img src=x onerror=alert(1)>@evil.example".into(),
        recipients: vec!["alice@acme.example\u{202E}moc.live".into()],
        accepted_at_ms: NOW_MS - 3_700_000,
        total_ms: Some(96),
        stages: stages(&[
            (0, "arrived", "from globex.example", None),
            (3, "opened", "<b>bold</b>\r\nforged line", Some("</p><script>alert('detail')</script>")),
            (96, "delivered", "1 of 1 recipients", None),
        ]),
        ..to_globex()
    }
}

fn stages(told: &[(u64, &str, &str, Option<&str>)]) -> Vec<StageView> {
    let mut before = 0;
    let mut views = Vec::new();
    for &(after_ms, stage, reason, detail) in told {
        views.push(StageView {
            at_ms: NOW_MS - 125_000 + after_ms,
            stage: stage.into(),
            reason: reason.into(),
            detail: detail.map(Into::into),
            elapsed_ms: after_ms - before,
        });
        before = after_ms;
    }
    views
}
