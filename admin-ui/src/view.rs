//! What the templates show: the control API's answers in finished words.

use askama::Template;
use control::{
    Direction, Kind, LinkState, MessageSummary, MessageTrace, Overview, PartnerView, Readiness, RecentPage,
    StageView, Standing, State,
};

use crate::words::{Moment, count, duration, size, visible};

/// What stands on every page.
pub(crate) struct Frame {
    /// The organisation, when the gateway told.
    pub(crate) domain: String,
    pub(crate) ready: bool,
    /// What is missing, in words; empty when ready.
    pub(crate) missing: Vec<String>,
    /// What stands in the search box.
    pub(crate) sought: String,
}

impl Frame {
    pub(crate) fn new(domain: &str, readiness: &Readiness, sought: &str) -> Self {
        Self {
            domain: visible(domain),
            ready: readiness.ready,
            missing: readiness.missing().map(|what| visible(&what)).collect(),
            sought: visible(sought),
        }
    }
}

/// `/`
#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct OverviewPage {
    pub(crate) frame: Frame,
    pub(crate) did: String,
    pub(crate) fingerprint: Vec<String>,
    pub(crate) version: String,
    pub(crate) uptime: String,
    pub(crate) numbers: Vec<Number>,
    pub(crate) partners: Vec<Partner>,
    pub(crate) filter: Filter,
    pub(crate) messages: Vec<Line>,
    pub(crate) older: Option<String>,
    /// The moment of the answer.
    pub(crate) now: Moment,
}

/// One number on the first page.
pub(crate) struct Number {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) note: String,
    /// `good`, `warn`, `bad`, `calm`: a class of the style sheet.
    pub(crate) tone: &'static str,
}

/// One partner organisation.
pub(crate) struct Partner {
    pub(crate) domain: String,
    pub(crate) fingerprint: String,
    pub(crate) up: bool,
    pub(crate) conflict: bool,
    /// `connected over quic for 3 h 20 min`
    pub(crate) link: String,
    pub(crate) address: String,
    /// Why it is not connected; empty while it is.
    pub(crate) error: String,
}

/// Which messages the table shows, and the links to other choices.
pub(crate) struct Filter {
    pub(crate) partner: String,
    pub(crate) state: String,
    pub(crate) choices: Vec<Choice>,
    /// Beginning of the journal or a later page of it.
    pub(crate) first_page: bool,
}

impl Filter {
    fn is_narrow(&self) -> bool {
        !self.partner.is_empty() || !self.state.is_empty()
    }
}

/// A link that filters by state.
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    pub(crate) href: String,
    pub(crate) chosen: bool,
}

/// A state as a chip.
pub(crate) struct Chip {
    pub(crate) word: &'static str,
    pub(crate) title: &'static str,
}

/// One row of the table.
pub(crate) struct Line {
    pub(crate) href: String,
    pub(crate) at: Moment,
    pub(crate) outbound: bool,
    pub(crate) who: Who,
    pub(crate) partner: String,
    pub(crate) size: String,
    pub(crate) chip: Chip,
    pub(crate) total: String,
}

/// Who writes to whom, or what else the row is.
pub(crate) enum Who {
    /// Sender, first recipient, how many more.
    Mail { sender: String, recipient: String, more: usize },
    /// Not a mail of a person.
    Other(&'static str),
}

/// `/messages/{id}`
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage {
    pub(crate) frame: Frame,
    pub(crate) traces: Vec<Trace>,
}

/// One message on its way to one destination.
pub(crate) struct Trace {
    pub(crate) heading: String,
    pub(crate) chip: Chip,
    pub(crate) outbound: bool,
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) stages: Vec<Stage>,
    /// `delivered in 412 ms`
    pub(crate) outcome: String,
}

/// A name and a value.
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// An identifier, set in a fixed-width face.
    pub(crate) code: bool,
}

/// One stage on the time line.
pub(crate) struct Stage {
    pub(crate) name: String,
    /// `good`, `warn`, `bad`, `seal`, `calm`: a class of the style sheet.
    pub(crate) tone: &'static str,
    pub(crate) at: Moment,
    pub(crate) elapsed: String,
    /// Share of the whole way, in percent, for the bar.
    pub(crate) share: u64,
    pub(crate) reason: String,
    pub(crate) detail: String,
}

/// Anything that is not a page.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) frame: Frame,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
}

impl OverviewPage {
    pub(crate) fn new(
        frame: Frame,
        overview: &Overview,
        recent: &RecentPage,
        filter: Filter,
        older: Option<String>,
    ) -> Self {
        Self {
            frame,
            did: visible(&overview.did),
            fingerprint: groups(&overview.fingerprint),
            version: visible(&overview.version),
            uptime: duration(overview.now_ms.saturating_sub(overview.started_at_ms)),
            numbers: numbers(overview),
            partners: overview
                .partners
                .iter()
                .map(|partner| Partner::new(partner, overview.now_ms))
                .collect(),
            filter,
            messages: recent.messages.iter().map(|message| Line::new(message, overview.now_ms)).collect(),
            older,
            now: Moment::of(overview.now_ms),
        }
    }
}

fn groups(fingerprint: &str) -> Vec<String> {
    fingerprint.split([' ', '-']).filter(|group| !group.is_empty()).map(visible).collect()
}

/// A message that has seen no progress for this long is worth a look.
const PROGRESS_MS_CALM: u64 = 60_000;

/// … and for this long it is worth a call.
const PROGRESS_MS_WARN: u64 = 900_000;

fn numbers(overview: &Overview) -> Vec<Number> {
    let totals = &overview.totals;
    let since = |what: &str| format!("{what} since start");
    let held = overview.in_state(State::Held);
    let oldest = overview.oldest_without_progress_ms;
    vec![
        Number {
            name: "Waiting",
            value: count(overview.waiting()),
            note: match oldest {
                Some(ms) => format!("oldest without progress {}", duration(ms)),
                None => "nothing waits".to_owned(),
            },
            tone: match oldest {
                None | Some(..PROGRESS_MS_CALM) => "calm",
                Some(..PROGRESS_MS_WARN) => "warn",
                Some(_) => "bad",
            },
        },
        Number {
            name: "Held",
            value: count(held),
            note: if held == 0 { "no decision needed".to_owned() } else { "a person must decide".to_owned() },
            tone: if held == 0 { "calm" } else { "warn" },
        },
        Number { name: "Accepted", value: count(totals.accepted), note: since("mails"), tone: "calm" },
        Number { name: "Sealed", value: count(totals.sealed), note: since("messages"), tone: "seal" },
        Number { name: "Delivered", value: count(totals.delivered), note: since("confirmed"), tone: "good" },
        Number {
            name: "Failed or refused",
            value: count(totals.failed.saturating_add(totals.refused)),
            note: format!("{} failed, {} refused", count(totals.failed), count(totals.refused)),
            tone: "calm",
        },
    ]
}

impl Partner {
    fn new(partner: &PartnerView, now_ms: u64) -> Self {
        let up = partner.link == LinkState::Up;
        let over =
            partner.transport.as_deref().map_or_else(String::new, |name| format!(" over {}", visible(name)));
        let since = partner.since_ms.map(|since| duration(now_ms.saturating_sub(since)));
        let link = match (up, since) {
            (true, Some(since)) => format!("Connected{over} for {since}"),
            (true, None) => format!("Connected{over}"),
            (false, Some(since)) => format!("Not connected for {since}"),
            (false, None) => "Not connected yet".to_owned(),
        };
        Self {
            domain: visible(&partner.domain),
            fingerprint: visible(&partner.fingerprint),
            up,
            conflict: partner.standing == Standing::Conflict,
            link,
            address: partner.address.as_deref().map(visible).unwrap_or_default(),
            error: partner.last_error.as_deref().filter(|_| !up).map(visible).unwrap_or_default(),
        }
    }
}

impl Line {
    fn new(message: &MessageSummary, now_ms: u64) -> Self {
        Self {
            href: message_href(&message.queue_id),
            at: Moment::of(message.accepted_at_ms),
            outbound: message.direction == Direction::Outbound,
            who: Who::new(message.kind, &message.sender, &message.recipients),
            partner: visible(&message.partner_domain),
            size: size(message.size),
            chip: Chip::of(message.state, message.direction),
            total: match message.total_ms {
                Some(total) => duration(total),
                None => format!("{} so far", duration(now_ms.saturating_sub(message.accepted_at_ms))),
            },
        }
    }
}

impl Who {
    fn new(kind: Kind, sender: &str, recipients: &[String]) -> Self {
        match kind {
            Kind::Receipts => Self::Other("Signed receipts"),
            Kind::Unopened => Self::Other("Sealed, not opened yet"),
            Kind::Mail | Kind::Report => Self::Mail {
                sender: sender_word(sender),
                recipient: recipients.first().map_or_else(|| "nobody".to_owned(), |first| visible(first)),
                more: recipients.len().saturating_sub(1),
            },
        }
    }
}

/// RFC 5321 §4.5.5: the null reverse-path marks notifications.
fn sender_word(sender: &str) -> String {
    if sender.is_empty() { "<> (notification)".to_owned() } else { visible(sender) }
}

impl Chip {
    fn of(state: State, direction: Direction) -> Self {
        let title = match (state, direction) {
            (State::Queued, _) => "Kept durably, waiting for its next attempt",
            (State::Sent, _) => "The partner's gateway keeps it durably; its signed receipt is awaited",
            (State::Held, _) => "Stopped by a rule until a person decides",
            (State::Delivered, Direction::Outbound) => "The partner's signed receipt confirms the delivery",
            (State::Delivered, Direction::Inbound) => "The internal mail server took it",
            (State::Failed, _) => "Given up for good",
            (State::Expired, _) => "Its time ran out",
        };
        Self { word: state.as_str(), title }
    }
}

impl Trace {
    pub(crate) fn new(trace: &MessageTrace, now_ms: Option<u64>) -> Self {
        let whole_ms = trace.stages.iter().map(|stage| stage.elapsed_ms).fold(0, u64::saturating_add);
        let heading = match (trace.kind, trace.direction) {
            (Kind::Receipts, _) => format!("Signed receipts · {}", visible(&trace.partner_domain)),
            (Kind::Report, _) => "Delivery report to our own people".to_owned(),
            (_, Direction::Outbound) => format!("To {}", visible(&trace.partner_domain)),
            (_, Direction::Inbound) => format!("From {}", visible(&trace.partner_domain)),
        };
        Self {
            heading,
            chip: Chip::of(trace.state, trace.direction),
            outbound: trace.direction == Direction::Outbound,
            sender: sender_word(&trace.sender),
            recipients: trace.recipients.iter().map(|one| visible(one)).collect(),
            facts: facts(trace),
            stages: trace.stages.iter().map(|stage| Stage::new(stage, whole_ms)).collect(),
            outcome: outcome(trace, now_ms),
        }
    }
}

fn outcome(trace: &MessageTrace, now_ms: Option<u64>) -> String {
    match (trace.total_ms, now_ms) {
        (Some(total), _) => format!("{} after {}", trace.state, duration(total)),
        (None, Some(now)) => format!("on its way for {}", duration(now.saturating_sub(trace.accepted_at_ms))),
        (None, None) => "on its way".to_owned(),
    }
}

fn facts(trace: &MessageTrace) -> Vec<Fact> {
    let moment = |unix_ms: u64| {
        let at = Moment::of(unix_ms);
        format!("{} {} UTC", at.date, at.time)
    };
    let text = |name, value| Fact { name, value, code: false };
    let code = |name, value: &str| Fact { name, value: visible(value), code: true };
    let mut facts = vec![code("Queue id", &trace.queue_id)];
    facts.extend(trace.message_id.as_deref().map(|id| code("DCCP message id", id)));
    facts.extend(trace.internet_message_id.as_deref().map(|id| code("Message-ID", id)));
    facts.push(text("Size", size(trace.size)));
    facts.push(text("Accepted", moment(trace.accepted_at_ms)));
    facts.extend(trace.next_attempt_at_ms.map(|at| text("Next attempt", moment(at))));
    facts.extend(trace.expires_at_ms.map(|at| text("Gives up", moment(at))));
    facts
}

impl Stage {
    fn new(stage: &StageView, whole_ms: u64) -> Self {
        Self {
            name: capitalised(&visible(&stage.stage)),
            tone: tone(&stage.stage),
            at: Moment::of(stage.at_ms),
            elapsed: duration(stage.elapsed_ms),
            share: stage.elapsed_ms.saturating_mul(100).checked_div(whole_ms).unwrap_or(0),
            reason: visible(&stage.reason),
            detail: stage.detail.as_deref().map(visible).unwrap_or_default(),
        }
    }
}

/// The stages of the journal that deserve a colour; the rest is calm.
fn tone(stage: &str) -> &'static str {
    match stage {
        "sealed" | "opened" => "seal",
        "acknowledged" | "handed over" | "delivered" => "good",
        "held" | "deferred" | "duplicate" => "warn",
        "failed" | "expired" | "refused" => "bad",
        _ => "calm",
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The path of a message's page. Everything but RFC 3986 unreserved characters is escaped.
pub(crate) fn message_href(id: &str) -> String {
    format!("/messages/{}", escaped(id))
}

/// Percent-encodes a path segment or a query value (RFC 3986 §2.3).
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet))
            }
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_path_segment() {
        assert_eq!(message_href("<a/../b?c#d@x y>"), "/messages/%3Ca%2F..%2Fb%3Fc%23d%40x%20y%3E");
    }

    #[test]
    fn the_share_of_a_message_without_elapsed_time_is_zero() {
        let stage = StageView {
            at_ms: 0,
            stage: "queued".into(),
            reason: String::new(),
            detail: None,
            elapsed_ms: 0,
        };
        assert_eq!(Stage::new(&stage, 0).share, 0);
    }
}
