//! `/queue`: what waits, where for, and what may be done about it.

use askama::Template;
use control::{DestinationView, Direction, HoldRule, OrderOutcome, QueuePage as Page, QueueRow};

use super::{Chip, Choice, Frame, message_href, sender_word};
use crate::words::{duration, size, visible};

/// `/queue`
#[derive(Template)]
#[template(path = "queue.html")]
pub(crate) struct QueuePage {
    pub(crate) frame: Frame,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) fields: Vec<Field>,
    pub(crate) states: Vec<Choice>,
    pub(crate) rows: Vec<Line>,
    pub(crate) narrow: bool,
    pub(crate) more: Option<String>,
}

/// The answer to an order.
#[derive(Template)]
#[template(path = "ordered.html")]
pub(crate) struct OrderedPage {
    pub(crate) frame: Frame,
    pub(crate) act: &'static str,
    pub(crate) done: u64,
    pub(crate) declined: Vec<Declined>,
}

/// A text field of the filter.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
}

/// One place where messages wait for.
pub(crate) struct Destination {
    pub(crate) name: String,
    pub(crate) href: String,
    /// `good`, `warn`, `calm`: a class of the style sheet.
    pub(crate) tone: &'static str,
    pub(crate) state: String,
    pub(crate) counts: String,
    pub(crate) error: String,
}

/// One standing rule.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) words: String,
}

/// One row of the queue.
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) queue_id: String,
    pub(crate) href: String,
    pub(crate) outbound: bool,
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) more: usize,
    pub(crate) destination: String,
    pub(crate) size: String,
    pub(crate) chip: Chip,
    /// Who holds it, or when it is tried again.
    pub(crate) note: String,
    pub(crate) last: String,
    pub(crate) age: String,
}

/// A row that an order did not fit.
pub(crate) struct Declined {
    pub(crate) queue_id: String,
    pub(crate) why: String,
}

impl OrderedPage {
    pub(crate) fn new(frame: Frame, act: &'static str, outcomes: &[OrderOutcome]) -> Self {
        let declined = outcomes.iter().flat_map(|outcome| &outcome.declined);
        let declined = declined
            .map(|row| Declined { queue_id: visible(&row.queue_id), why: visible(&row.why) })
            .collect();
        Self { frame, act, done: outcomes.iter().map(|outcome| outcome.done).sum(), declined }
    }
}

/// The rows of a page, measured against the gateway's clock.
pub(crate) fn lines(page: &Page, now_ms: u64) -> Vec<Line> {
    page.rows.iter().map(|row| Line::new(row, now_ms)).collect()
}

impl Line {
    fn new(row: &QueueRow, now_ms: u64) -> Self {
        let next = row.next_attempt_at_ms.filter(|at| *at > now_ms);
        let note = match (&row.held_by, next) {
            (Some(by), _) => format!("by {}", visible(by)),
            (None, Some(at)) => format!("again in {}", duration(at - now_ms)),
            (None, None) => String::new(),
        };
        let via = row.next_hop.as_deref().map(|hop| format!(" via {}", visible(hop))).unwrap_or_default();
        Self {
            id: row.id.clone(),
            queue_id: visible(&row.queue_id),
            href: message_href(&row.queue_id),
            outbound: row.direction == Direction::Outbound,
            sender: sender_word(&row.sender),
            recipient: row
                .recipients
                .first()
                .map_or_else(|| "not known before opening".to_owned(), |to| visible(to)),
            more: row.recipients.len().saturating_sub(1),
            destination: format!("{}{via}", visible(&row.destination)),
            size: size(row.size),
            chip: Chip::of(row.state, row.direction),
            note,
            last: visible(&row.last),
            age: duration(now_ms.saturating_sub(row.accepted_at_ms)),
        }
    }
}

impl Destination {
    pub(crate) fn new(place: &DestinationView, href: String, now_ms: u64) -> Self {
        let name = if place.name.is_empty() { "our mail server".to_owned() } else { visible(&place.name) };
        let tone = match place.state.as_str() {
            "up" => "good",
            "down" | "backing-off" => "warn",
            _ => "calm",
        };
        let until = place
            .until_ms
            .filter(|at| *at > now_ms)
            .map(|at| format!(", again in {}", duration(at - now_ms)));
        let oldest =
            place.oldest_at_ms.map(|at| format!(" · oldest {}", duration(now_ms.saturating_sub(at))));
        let error = match (&place.error, &place.error_from) {
            (Some(error), Some(from)) => format!("{} ({})", visible(error), visible(from)),
            _ => String::new(),
        };
        Self {
            name,
            href,
            tone,
            state: format!("{}{}", visible(&place.state), until.unwrap_or_default()),
            counts: format!(
                "{} queued · {} sent · {} held{}",
                place.queued,
                place.sent,
                place.held,
                oldest.unwrap_or_default()
            ),
            error,
        }
    }
}

impl Rule {
    pub(crate) fn new(rule: &HoldRule) -> Self {
        let mut words = Vec::new();
        words.extend(rule.sender.as_deref().map(|from| format!("from {}", visible(from))));
        words.extend(rule.recipient.as_deref().map(|to| format!("to {}", visible(to))));
        words.extend(rule.larger_than_bytes.map(|bytes| format!("larger than {}", size(bytes))));
        words.push(format!("by {}", visible(&rule.by)));
        words.extend((!rule.why.is_empty()).then(|| visible(&rule.why)));
        Self { name: visible(&rule.name), words: words.join(", ") }
    }
}
