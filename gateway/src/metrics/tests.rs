use control::{Alarm, LargeStanding, PartnerView, Standing, State};
use prometheus_client::encoding::text::encode;

use super::*;

fn page(registry: &Registry) -> String {
    let mut page = String::new();
    encode(&mut page, registry).unwrap();
    page
}

fn overview(queued: u64, partners: &[(&str, LinkState)]) -> Overview {
    Overview {
        domain: "acme.example".into(),
        did: "did:dccp:1a".into(),
        fingerprint: "1a".into(),
        version: "0".into(),
        started_at_ms: 0,
        now_ms: 0,
        totals: Totals::default(),
        queue: vec![QueueDepth { direction: Direction::Outbound, state: State::Queued, messages: queued }],
        oldest_without_progress_ms: Some(1_500),
        stuck: 0,
        archive_copies: 2,
        archive_bytes: 30_000,
        large_bodies: vec![LargeDepth { standing: LargeStanding::Kept, bodies: 2, bytes: 52_000_000 }],
        partners: partners
            .iter()
            .map(|&(domain, link)| PartnerView {
                domain: domain.into(),
                did: String::new(),
                fingerprint: String::new(),
                standing: Standing::Pinned,
                trust: control::Trust::Manual,
                version: 0,
                notice: None,
                link,
                address: None,
                transport: None,
                since_ms: None,
                last_error: None,
            })
            .collect(),
        alarms: vec![Alarm { at_ms: 0, about: "globex.example".into(), words: "two trees".into() }],
    }
}

#[test]
fn counters_end_in_total_and_carry_help() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.accepted(7);
    let page = page(&registry);
    assert!(page.contains("# HELP dccp_accepted Mails accepted from our people.\n"), "{page}");
    assert!(page.contains("dccp_accepted_total 1\n"), "{page}");
    assert!(page.contains("dccp_message_bytes_total{direction=\"outbound\"} 7\n"), "{page}");
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn every_stage_and_both_directions_show_before_anything_happened() {
    let mut registry = Registry::default();
    let _metrics = Metrics::new(&mut registry);
    let page = page(&registry);
    for stage in Stage::ALL {
        let line = format!("dccp_stage_duration_seconds_count{{stage=\"{}\"}} 0", stage.as_str());
        assert!(page.contains(&line), "{line} is missing in {page}");
    }
    assert!(page.contains("dccp_message_bytes_total{direction=\"inbound\"} 0"), "{page}");
}

#[test]
fn each_stage_is_measured_under_its_own_name() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    for (times, stage) in Stage::ALL.into_iter().enumerate() {
        (0..=times).for_each(|_| metrics.stage(stage).observe(0.002));
    }
    let page = page(&registry);
    for (times, stage) in Stage::ALL.into_iter().enumerate() {
        let line =
            format!("dccp_stage_duration_seconds_count{{stage=\"{}\"}} {}\n", stage.as_str(), times + 1);
        assert!(page.contains(&line), "{line} is missing in {page}");
    }
}

#[test]
fn a_clock_that_was_set_back_measures_zero() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.stage_since(Stage::Commit, UnixMillis(2_000), UnixMillis(1_000));
    metrics.stage_since(Stage::Commit, UnixMillis(1_000), UnixMillis(1_250));
    let page = page(&registry);
    assert!(page.contains("dccp_stage_duration_seconds_sum{stage=\"commit\"} 0.25\n"), "{page}");
    assert!(page.contains("dccp_stage_duration_seconds_count{stage=\"commit\"} 2\n"), "{page}");
}

#[test]
fn a_reason_from_outside_cannot_break_the_page_or_grow_without_bound() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.refused("evil\"} 1\nforged_total 9");
    metrics.refused(&"x".repeat(10_000));
    let page = page(&registry);
    assert!(!page.lines().any(|line| line.starts_with("forged_total")), "{page}");
    assert!(page.lines().all(|line| line.len() < 300), "{page}");
    assert_eq!(metrics.totals().refused, 2);
}

#[test]
fn what_ends_well_and_what_ends_badly_is_told_apart() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.settled_out(true, UnixMillis(0), UnixMillis(500));
    metrics.settled_in(true, UnixMillis(0), UnixMillis(250));
    metrics.settled_in(false, UnixMillis(0), UnixMillis(250));
    let totals = metrics.totals();
    assert_eq!((totals.delivered, totals.failed), (2, 1));
    let page = page(&registry);
    assert!(page.contains("dccp_stage_duration_seconds_sum{stage=\"end_to_end\"} 0.5\n"), "{page}");
    assert!(page.contains("dccp_stage_duration_seconds_count{stage=\"arrive_to_delivered\"} 2\n"), "{page}");
    assert!(page.contains("dccp_delivered_total{direction=\"inbound\"} 1\n"), "{page}");
}

#[test]
fn open_smtp_sessions_go_up_and_down() {
    use ::smtp::server::{Closed, Event};
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.smtp_event(&Event::SessionOpened { trusted: true });
    metrics.smtp_event(&Event::SessionOpened { trusted: false });
    metrics.smtp_event(&Event::SessionClosed(Closed::Quit));
    let page = page(&registry);
    assert!(page.contains("dccp_smtp_sessions 1\n"), "{page}");
    assert!(page.contains("dccp_smtp_events_total{event=\"session_opened\"} 2\n"), "{page}");
}

#[test]
fn gauges_follow_the_overview_and_forget_removed_partners() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.show(&overview(3, &[("globex.example", LinkState::Up), ("initech.example", LinkState::Down)]));
    let before = page(&registry);
    assert!(before.contains("dccp_alarms 1"), "{before}");
    assert!(before.contains("dccp_queue_depth{direction=\"outbound\",state=\"queued\"} 3"), "{before}");
    assert!(before.contains("dccp_large_bodies{standing=\"kept\"} 2\n"), "{before}");
    assert!(before.contains("dccp_large_bytes{standing=\"kept\"} 52000000\n"), "{before}");
    assert!(before.contains("dccp_oldest_without_progress_seconds 1.5"), "{before}");
    assert!(before.contains("dccp_partner_link_up{domain=\"globex.example\"} 1"), "{before}");
    assert!(before.contains("dccp_partner_link_up{domain=\"initech.example\"} 0"), "{before}");

    metrics.show(&overview(0, &[("globex.example", LinkState::Down)]));
    let after = page(&registry);
    assert!(after.contains("dccp_queue_depth{direction=\"outbound\",state=\"queued\"} 0"), "{after}");
    assert!(after.contains("dccp_partner_link_up{domain=\"globex.example\"} 0"), "{after}");
    assert!(!after.contains("initech"), "{after}");
}
