//! `/messages/{id}`: one message, every stage it passed.

use askama::Template;
use control::{Direction, Kind, MessageTrace, StageView};

use super::{Chip, Frame, sender_word};
use crate::words::{Moment, duration, size, visible};

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
            name: capitalised(&visible(&stage.stage).replace('-', " ")),
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
        "acknowledged" | "handed-over" | "delivered" => "good",
        "held" | "deferred" | "duplicate" => "warn",
        "failed" | "expired" | "refused" => "bad",
        _ => "calm",
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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
